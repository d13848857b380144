//! DingTalk: one request out, one verdict back, the access token that requests carry, and the group robot.
//!
//! Invariant: a call of [`Api::close`] is at most one request on the wire; but for the robot's message, nothing here waits,
//! retries or paces.

mod client;
mod exchange;
mod first_contact;
mod grant;
mod robot;
mod token;
mod verdict;

use std::future::Future;

pub use client::{ClientError, HttpApi};
pub use exchange::{Answer, Exchange, Lost, MAX_BODY_BYTES, MAX_SERVER_WAIT};
pub use first_contact::{FirstContact, Met};
pub use grant::{Grant, TokenError};
pub use robot::{Message, Robot, RobotError};
pub use token::{AccessToken, Supply, TokenKeeper};
pub use verdict::{judge, says_ended};

use crate::meeting::CloseRequest;

/// DingTalk as a run sees it; a test puts a simulated one in its place.
pub trait Api: Send + Sync + 'static {
    /// Asks once to close one meeting.
    fn close(&self, request: &CloseRequest, token: &AccessToken) -> impl Future<Output = Exchange> + Send;

    /// Asks once for an access token.
    fn fetch_token(&self) -> impl Future<Output = Result<Grant, TokenError>> + Send;
}
