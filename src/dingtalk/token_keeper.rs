//! The access token of a run: which one requests carry, and when to fetch the next one.
//!
//! Invariant: an access token that DingTalk refused is never used again, and one task at a time fetches the next one.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::codes::UNUSABLE_TOKEN;
use super::token_grant::{TokenError, TokenGrant};
use crate::outcome::ReplyDetails;

/// How long before its end an access token is replaced, as DingTalk advises.
const REFRESH_MARGIN: Duration = Duration::from_mins(10);

/// An access token that requests can carry.
#[derive(Clone)]
pub struct AccessToken {
    header: HeaderValue,
    generation: u64,
}

impl AccessToken {
    /// An access token for tests and simulations.
    pub fn for_tests() -> Self {
        Self { header: HeaderValue::from_static("token"), generation: 1 }
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken(generation {})", self.generation)
    }
}

/// What the keeper has for the next request.
#[derive(Debug, Clone)]
pub(crate) enum TokenSupply {
    /// A valid access token.
    Ready(AccessToken),
    /// An access token that is still valid. Its successor is to be fetched now.
    Due(AccessToken),
    /// No access token: fetch one now.
    Fetch,
    /// No access token, and one is being fetched.
    Fetching,
    /// No access token, and the last fetch failed. Fetch again, but not before this instant.
    FetchAt(Instant),
}

/// Keeps the access token of a run. It only decides; its owner fetches.
#[derive(Debug, Default)]
pub(crate) struct TokenKeeper {
    current: Option<CurrentToken>,
    generation: u64,
    fetching: bool,
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct CurrentToken {
    token: AccessToken,
    due: Instant,
    expires: Instant,
}

impl TokenKeeper {
    /// What the next request can have at `now`.
    pub(crate) fn supply(&self, now: Instant) -> TokenSupply {
        let may_fetch = !self.fetching && self.not_before.is_none_or(|at| at <= now);
        match &self.current {
            Some(current) if now >= current.due && now < current.expires && may_fetch => {
                TokenSupply::Due(current.token.clone())
            }
            Some(current) if now < current.expires => TokenSupply::Ready(current.token.clone()),
            _ if self.fetching => TokenSupply::Fetching,
            _ => match self.not_before {
                Some(at) if at > now => TokenSupply::FetchAt(at),
                _ => TokenSupply::Fetch,
            },
        }
    }

    /// Whether there is a valid access token at `now`.
    pub(crate) fn serves(&self, now: Instant) -> bool {
        self.current.as_ref().is_some_and(|current| now < current.expires)
    }

    pub(crate) fn fetch_started(&mut self) {
        self.fetching = true;
    }

    /// A fetch succeeded.
    pub(crate) fn fetched(&mut self, grant: &TokenGrant, now: Instant) -> Result<(), TokenError> {
        self.fetching = false;
        self.not_before = None;
        let mut header = HeaderValue::from_str(grant.token.expose_secret()).map_err(|_| {
            TokenError::Refused(ReplyDetails {
                code: UNUSABLE_TOKEN.name().into(),
                message: UNUSABLE_TOKEN.reason.into(),
                ..ReplyDetails::default()
            })
        })?;
        header.set_sensitive(true);
        self.generation += 1;
        // DingTalk documents no lifetime under 20 minutes. If one comes, it is replaced after half of it.
        let margin = REFRESH_MARGIN.min(grant.lifetime / 2);
        self.current = Some(CurrentToken {
            token: AccessToken { header, generation: self.generation },
            due: now + grant.lifetime.saturating_sub(margin),
            expires: now + grant.lifetime,
        });
        Ok(())
    }

    /// A fetch failed. The next one starts at `not_before` or later.
    pub(crate) fn fetch_failed(&mut self, not_before: Instant) {
        self.fetching = false;
        self.not_before = Some(not_before);
    }

    /// DingTalk refused this access token. Other requests in flight may bring the same refusal later. That says nothing about a
    /// newer access token.
    pub(crate) fn refused(&mut self, token: &AccessToken) {
        self.current.take_if(|current| current.token.generation <= token.generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn grant(minutes: u64) -> TokenGrant {
        TokenGrant { token: "t".into(), lifetime: Duration::from_mins(minutes) }
    }

    fn ready(supply: &TokenSupply) -> bool {
        matches!(supply, TokenSupply::Ready(_))
    }

    #[test]
    fn one_task_fetches_the_access_token_while_the_others_wait() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        assert!(matches!(keeper.supply(now), TokenSupply::Fetch));
        keeper.fetch_started();
        assert!(matches!(keeper.supply(now), TokenSupply::Fetching));
        keeper.fetched(&grant(120), now).unwrap();
        assert!(ready(&keeper.supply(now)));
    }

    #[test]
    fn an_access_token_is_replaced_ten_minutes_before_its_end_and_is_used_meanwhile() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        keeper.fetched(&grant(120), now).unwrap();
        assert!(ready(&keeper.supply(now + 110 * MINUTE - Duration::from_millis(1))));
        assert!(matches!(keeper.supply(now + 110 * MINUTE), TokenSupply::Due(_)));
        keeper.fetch_started();
        assert!(ready(&keeper.supply(now + 119 * MINUTE)));
        assert!(matches!(keeper.supply(now + 120 * MINUTE), TokenSupply::Fetching));
    }

    #[test]
    fn a_short_lived_access_token_is_replaced_after_half_its_life() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        keeper.fetched(&grant(4), now).unwrap();
        assert!(ready(&keeper.supply(now + MINUTE)));
        assert!(matches!(keeper.supply(now + 2 * MINUTE), TokenSupply::Due(_)));
    }

    #[test]
    fn a_refused_access_token_is_gone_and_its_late_refusals_do_not_hit_its_successor() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        keeper.fetched(&grant(120), now).unwrap();
        let TokenSupply::Ready(first) = keeper.supply(now) else { panic!("no token") };
        keeper.refused(&first);
        assert!(matches!(keeper.supply(now), TokenSupply::Fetch));
        keeper.fetched(&grant(120), now).unwrap();
        keeper.refused(&first);
        assert!(ready(&keeper.supply(now)));
    }

    #[test]
    fn a_failed_fetch_is_not_repeated_before_its_time() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        keeper.fetch_started();
        keeper.fetch_failed(now + MINUTE);
        assert!(matches!(keeper.supply(now), TokenSupply::FetchAt(at) if at == now + MINUTE));
        assert!(matches!(keeper.supply(now + MINUTE), TokenSupply::Fetch));
    }

    #[test]
    fn after_a_failed_refresh_the_old_access_token_is_used_until_it_expires() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        keeper.fetched(&grant(120), now).unwrap();
        keeper.fetch_failed(now + 112 * MINUTE);
        assert!(ready(&keeper.supply(now + 111 * MINUTE)));
        assert!(matches!(keeper.supply(now + 112 * MINUTE), TokenSupply::Due(_)));
    }

    #[test]
    fn an_access_token_is_never_printed_and_one_that_no_header_can_carry_is_refused() {
        let mut keeper = TokenKeeper::default();
        let hunter = TokenGrant { token: "hunter2".into(), lifetime: MINUTE };
        keeper.fetched(&hunter, Instant::now()).unwrap();
        assert!(!format!("{keeper:?}{hunter:?}").contains("hunter2"));
        let odd = TokenGrant { token: "a\nb".into(), lifetime: MINUTE };
        assert!(!keeper.fetched(&odd, Instant::now()).unwrap_err().is_transient());
    }
}
