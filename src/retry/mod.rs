//! Whether an attempt that failed is repeated, and how long is waited before.
//!
//! Invariant: nothing here knows the time or draws its own luck; the same question has the same answer.

mod budget;
mod policy;

pub(crate) use budget::Budget;
pub(crate) use policy::{Cause, GiveUp, RetryPolicy, Wait};
