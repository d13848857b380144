//! DingTalk: one request out, one verdict back, the access token that requests carry, and the group robot.
//!
//! Invariant: a call of [`Api::close`] sends at most one request. Except for the robot's message, nothing here waits, retries
//! or limits a rate.

mod body;
mod client;
mod codes;
mod exchange;
mod first_contact;
mod judge;
mod robot;
mod suspect;
mod token_grant;
mod token_keeper;

use std::future::Future;

pub use client::HttpApi;
pub(crate) use codes::UNKNOWN_REFUSAL_HINT;
pub use codes::hint;
pub(crate) use codes::says_ended;
pub(crate) use exchange::SANDBOX_HEADER;
#[cfg(any(test, fuzzing))]
pub(crate) use exchange::parse_retry_after;
pub use exchange::{Exchange, HttpAnswer, NoReply};
pub(crate) use first_contact::{FirstContact, Reachability};
pub(crate) use judge::judge;
pub(crate) use robot::{Message, Robot};
pub(crate) use suspect::may_concern_every_row;
#[cfg(any(test, fuzzing))]
pub(crate) use token_grant::read_grant;
pub use token_grant::{TokenError, TokenGrant};
pub use token_keeper::AccessToken;
pub(crate) use token_keeper::{TokenKeeper, TokenSupply};

use crate::meeting::CloseRequest;

/// DingTalk as a run sees it. Tests replace it with a simulated one.
pub trait Api: Send + Sync + 'static {
    /// Sends one request to close one meeting.
    fn close(&self, request: &CloseRequest, token: &AccessToken) -> impl Future<Output = Exchange> + Send;

    /// Sends one request for an access token.
    fn fetch_token(&self) -> impl Future<Output = Result<TokenGrant, TokenError>> + Send;
}
