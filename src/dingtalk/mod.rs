//! DingTalk: one request out, one verdict back, and the access token that requests carry.
//!
//! Invariant: a call of [`Api::close`] is at most one request on the wire; nothing here waits, retries or paces.

mod client;
mod exchange;
mod grant;
mod token;
mod verdict;

use std::future::Future;

pub use client::{ClientError, HttpApi};
pub use exchange::{Answer, Exchange, Lost, MAX_BODY_BYTES, MAX_SERVER_WAIT};
pub use grant::{Grant, TokenError};
pub use token::{AccessToken, Supply, TokenKeeper};
pub use verdict::judge;

use crate::meeting::CloseRequest;

/// DingTalk as a run sees it; a test puts a simulated one in its place.
pub trait Api: Send + Sync + 'static {
    /// Asks once to close one meeting.
    fn close(&self, request: &CloseRequest, token: &AccessToken) -> impl Future<Output = Exchange> + Send;

    /// Asks once for an access token.
    fn fetch_token(&self) -> impl Future<Output = Result<Grant, TokenError>> + Send;
}
