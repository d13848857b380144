//! Whether a failed attempt is retried, and how long the run waits before it.
//!
//! Invariant: nothing here reads a clock or has a random generator of its own. The same input gives the same answer.

mod budget;
mod policy;

pub(crate) use budget::Budget;
pub(crate) use policy::{Cause, GiveUp, RetryPolicy, Wait};
