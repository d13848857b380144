//! When a request may leave.
//!
//! Invariant: in any span of `t` seconds no more than `rate × t + burst` tokens are granted. Workers that share a quota keep
//! to it together in every span of a second or longer; as a permit may be used a little late, a shorter one may hold as many
//! more as the rate brings in that little.

mod adaptive;
mod limiter;
mod pacer;
mod shared;

pub use adaptive::{Adaptive, Reduction, window};
pub use limiter::Limiter;
pub use pacer::{Change, Heard, NotYet, Pacer};
pub(crate) use shared::refusing_window;
pub use shared::{Answer, Ask, Book, Grant, Shared, Told, Why};
