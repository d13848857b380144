//! When a request may be sent.
//!
//! [`Pauses`] decides when no request may be sent at all (a ban, an outage, a `Retry-After`), and when one request may probe.
//! Below that, a quota grants one permit for each request: [`OwnQuota`] for one process, [`SharedQuota`] for a fleet of
//! workers. A [`RateController`] finds the rate that DingTalk allows. [`Pacer`] is all of it, as a run sees it.
//!
//! Invariant: in any span of `t` seconds, at most `rate × t + burst` permits are granted. Workers that share a quota keep to
//! that together in every span of a second or longer. A worker may use a shared permit up to half a second late. So a shorter
//! span may hold as many more permits as the rate grants in that time.

mod controller;
mod limiter;
mod outage;
mod own_quota;
mod pacer;
mod pauses;
mod quota;
mod shared;

pub(crate) use controller::{RateController, Reduction, window};
pub(crate) use limiter::Limiter;
pub(crate) use own_quota::OwnQuota;
pub use pacer::Pacer;
pub(crate) use pacer::RateReport;
pub(crate) use pauses::{Admission, OutageStep, Pause, Pauses, ProbeFor};
pub(crate) use quota::NotYet;
pub use quota::RateSignal;
pub(crate) use shared::QuotaReply;
pub use shared::{Feedback, PermitGrant, PermitRequest, QuotaStore, SharedQuota, WaitReason};
