//! When a request may leave.
//!
//! [`Pauses`] decides when nothing may leave at all (a ban, an outage, a `Retry-After`), and when one request may probe. Below
//! that, a quota grants one permit for each request: this process's own ([`OwnQuota`]), or one that a fleet of workers shares
//! ([`SharedQuota`]). A [`RateController`] finds the rate that DingTalk allows. [`Pacer`] is all of it, as a run sees it.
//!
//! Invariant: in any span of `t` seconds, at most `rate × t + burst` permits are granted. Workers that share a quota keep to
//! that together in every span of a second or longer. A shared permit may be used a little late, so a shorter span may hold
//! as many more as the rate brings in that little time.

mod controller;
mod limiter;
mod outage;
mod own_quota;
mod pacer;
mod pauses;
mod shared;

pub(crate) use controller::{RateController, Reduction, window};
pub(crate) use limiter::Limiter;
pub(crate) use own_quota::OwnQuota;
pub(crate) use pacer::{NotYet, RateChange, RateReport};
pub use pacer::{Pacer, RateSignal};
pub(crate) use pauses::{Admission, OutageStep, Pause, Pauses, ProbeFor};
pub(crate) use shared::QuotaReply;
pub(crate) use shared::refusing_window;
pub use shared::{Feedback, PermitGrant, PermitRequest, QuotaStore, SharedQuota, WaitReason};
