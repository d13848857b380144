//! meeting-closer as its users have it: the real binary, real sockets, a real clock.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod answers;
mod audit;
mod browser;
mod check;
mod claims;
mod continuing;
mod deploy;
mod disk;
mod excel;
mod failures;
mod figures;
mod fleet;
mod found_runs;
mod guards;
mod help;
mod killed;
mod lists;
mod meddled_queue;
mod network;
mod outage;
mod pacing;
mod page;
mod python_sdk;
mod queue;
mod quota;
mod readme;
mod receiver;
mod rehearsal;
mod robot;
mod service;
mod support;
mod support_redis;
mod tokens;
mod work;
mod written_run;
