//! When a request may leave.
//!
//! Invariant: in any span of `t` seconds no more than `rate × t + burst` tokens are granted.

mod adaptive;
mod limiter;
mod pacer;
mod shared;

pub use adaptive::{Adaptive, Reduction, window};
pub use limiter::Limiter;
pub use pacer::{Change, Heard, NotYet, Pacer};
pub(crate) use shared::refusing_window;
pub use shared::{Answer, Ask, Book, Grant, Shared, Told, Why};
