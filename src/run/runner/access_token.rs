//! The access token of a run: fetched beside the requests, and what becomes of the run where there is none.

use std::sync::Arc;
use std::time::Duration;

use super::{Runner, TaskEnd};
use crate::dingtalk::{Api, TokenError, TokenGrant};
use crate::events::RunEvent;
use crate::run::Stop;

/// When a refresh that failed is tried again, while the old token serves.
const REFRESH_AGAIN: Duration = Duration::from_secs(10);

impl<A: Api> Runner<'_, A> {
    /// Asks for an access token, which comes by [`Runner::token_came`].
    pub(super) fn fetch_token(&mut self) {
        self.token_keeper.fetch_started();
        let api = Arc::clone(&self.parts.api);
        self.tasks.spawn(async move { TaskEnd::Token(api.fetch_token().await) });
    }

    /// A token, or why there is none: then it is asked for again later, or the run halts.
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
        self.heed_dispatchers_stop(was_running);
        if let Some(wait) = wait {
            self.token_keeper.fetch_failed(now + wait);
            self.report(&RunEvent::TokenFetchFailed { problem: &error.to_string(), wait });
        } else {
            self.token_keeper.fetch_failed(now);
            self.stop(Stop::Halted(error.details()));
        }
    }
}
