//! The queue: requests that wait, and the workers that share them.
//!
//! The rest of the program knows a queue by this module's terms alone. An entry is taken, held while it is worked on (which
//! has to be said again and again), and settled: acknowledged, buried, or given back. What takes, holds and settles is a
//! [`Broker`]; Redis is one, all of it in `redis_streams`, and another is one more folder like that.
//!
//! Invariant: an entry is settled once its outcome is on the disk, and not before; one that is never settled is handed to
//! somebody else.

mod broker;
mod delivery;
mod failures;
mod feeder;
mod hand;
mod keeper;
mod redis_streams;
mod rotation;
mod settler;
mod watched;

pub use broker::{
    Added, Batch, Broker, BrokerError, Delivery, EntryId, Field, Renewed, Requeued, Settled, Settlement,
    Snapshot, WorkerLoad,
};
pub use failures::Failures;
pub use feeder::{Feeder, OnLook, Step};
pub use hand::{Hand, SharedHand};
pub use keeper::keep;
pub use redis_streams::{Link, QUOTA_SCRIPT, QuotaHost, QuotaReply, RedisQueue, RedisQuota};
pub use rotation::{Ends, feed, until_midnight};
pub use settler::{QueueObserver, Settler, Settling};
pub use watched::{OnAnswer, Watched};

#[cfg(test)]
mod tests;
