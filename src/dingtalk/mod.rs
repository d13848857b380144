//! DingTalk: one request out, one verdict back, the access token that requests carry, and the group robot.
//!
//! Invariant: a call of [`Api::close`] is at most one request on the wire; but for the robot's message, nothing here waits,
//! retries or paces.

mod client;
mod codes;
mod exchange;
mod first_contact;
mod judge;
mod robot;
mod token_grant;
mod token_keeper;

use std::future::Future;

pub use client::{ClientError, HttpApi};
pub use codes::{Hint, hint};
pub use exchange::{Exchange, HttpAnswer, MAX_BODY_BYTES, MAX_SERVER_WAIT, NoReply};
pub use first_contact::{FirstContact, Reachability};
pub use judge::{judge, says_ended};
pub use robot::{Message, Robot, RobotError};
pub use token_grant::{TokenError, TokenGrant};
pub use token_keeper::{AccessToken, TokenKeeper, TokenSupply};

use crate::meeting::CloseRequest;

/// DingTalk as a run sees it; a test puts a simulated one in its place.
pub trait Api: Send + Sync + 'static {
    /// Asks once to close one meeting.
    fn close(&self, request: &CloseRequest, token: &AccessToken) -> impl Future<Output = Exchange> + Send;

    /// Asks once for an access token.
    fn fetch_token(&self) -> impl Future<Output = Result<TokenGrant, TokenError>> + Send;
}
