//! When a request may leave.
//!
//! Invariant: in any span of `t` seconds no more than `rate × t + burst` tokens are granted.

mod pacer;

pub use pacer::Pacer;
