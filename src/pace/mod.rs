//! When a request may leave.
//!
//! Invariant: in any span of `t` seconds no more than `rate × t + burst` tokens are granted.

mod adaptive;
mod limiter;
mod pacer;

pub use adaptive::{Adaptive, Reduction, window};
pub use limiter::Limiter;
pub use pacer::{Change, Heard, NotYet, Pacer};
