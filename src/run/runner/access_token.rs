//! The access token of a run. A task of its own fetches it, while requests with the old token are still sent.
//!
//! Invariant: at most one task fetches a token.

use std::sync::Arc;
use std::time::Duration;

use super::{Runner, TaskEnd};
use crate::dingtalk::{Api, TokenError, TokenGrant};
use crate::events::RunEvent;
use crate::run::Stop;

/// The wait before a failed refresh is tried again, while the old token is still valid.
const REFRESH_AGAIN: Duration = Duration::from_secs(10);

impl<A: Api> Runner<'_, A> {
    /// Starts a task that fetches an access token. [`Runner::token_came`] takes its result.
    pub(super) fn fetch_token(&mut self) {
        self.token_keeper.fetch_started();
        let api = Arc::clone(&self.parts.api);
        self.tasks.spawn(async move { TaskEnd::Token(api.fetch_token().await) });
    }

    /// Takes in a fetched token. If there is none, the run tries again later or halts.
    pub(super) fn token_came(&mut self, result: Result<TokenGrant, TokenError>) {
        let now = self.parts.clock.now();
        let error = match result.and_then(|grant| self.token_keeper.fetched(&grant, now)) {
            Ok(()) => {
                self.token_failures = 0;
                return self.report(&RunEvent::TokenFetched);
            }
            Err(error) => error,
        };
        self.token_failures += 1;
        let was_running = self.dispatcher.stopped().is_none();
        let wait = if !error.is_transient() {
            None
        } else if self.token_keeper.serves(now) {
            Some(REFRESH_AGAIN)
        } else {
            self.dispatcher.no_access_token(
                self.token_failures,
                &error.details(),
                self.parts.pacer.pauses(),
                now,
            )
        };
        self.report_dispatchers_stop(was_running);
        if let Some(wait) = wait {
            self.token_keeper.fetch_failed(now + wait);
            self.report(&RunEvent::TokenFetchFailed { problem: &error.to_string(), wait });
        } else {
            self.token_keeper.fetch_failed(now);
            self.stop(Stop::Halted(error.details()));
        }
    }
}
