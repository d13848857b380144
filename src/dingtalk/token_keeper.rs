//! The access token of a run: which one requests carry, and when the next one is due.
//!
//! Invariant: a token that was refused is never handed out again, and one task at a time fetches the next.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::token_grant::{TokenError, TokenGrant};
use crate::outcome::ReplyDetails;

/// How long before its end a token is replaced, as DingTalk advises.
const REFRESH_MARGIN: Duration = Duration::from_mins(10);

/// A token that requests can carry.
#[derive(Clone)]
pub struct AccessToken {
    header: HeaderValue,
    generation: u64,
}

impl AccessToken {
    /// A token for tests and simulations.
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

/// What the keeper has to offer.
#[derive(Debug, Clone)]
pub(crate) enum TokenSupply {
    /// A token good for requests.
    Ready(AccessToken),
    /// A token still good for requests, whose successor should be fetched now.
    Due(AccessToken),
    /// No token: fetch one now.
    Fetch,
    /// No token, and one is being fetched.
    Fetching,
    /// No token, and the last fetch failed: not before this instant.
    FetchAt(Instant),
}

/// Keeps the token. It decides and does nothing: fetching is its owner's.
#[derive(Debug, Default)]
pub(crate) struct TokenKeeper {
    current: Option<Held>,
    generation: u64,
    fetching: bool,
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    token: AccessToken,
    due: Instant,
    expires: Instant,
}

impl TokenKeeper {
    /// What there is at `now`.
    pub(crate) fn supply(&self, now: Instant) -> TokenSupply {
        let may_fetch = !self.fetching && self.not_before.is_none_or(|at| at <= now);
        match &self.current {
            Some(held) if now >= held.due && now < held.expires && may_fetch => {
                TokenSupply::Due(held.token.clone())
            }
            Some(held) if now < held.expires => TokenSupply::Ready(held.token.clone()),
            _ if self.fetching => TokenSupply::Fetching,
            _ => match self.not_before {
                Some(at) if at > now => TokenSupply::FetchAt(at),
                _ => TokenSupply::Fetch,
            },
        }
    }

    /// Whether there is a token at `now`, be it due or not.
    pub(crate) fn serves(&self, now: Instant) -> bool {
        self.current.as_ref().is_some_and(|held| now < held.expires)
    }

    /// A fetch has begun.
    pub(crate) fn fetch_started(&mut self) {
        self.fetching = true;
    }

    /// A fetch brought a token.
    pub(crate) fn fetched(&mut self, grant: &TokenGrant, now: Instant) -> Result<(), TokenError> {
        self.fetching = false;
        self.not_before = None;
        let mut header = HeaderValue::from_str(grant.token.expose_secret()).map_err(|_| {
            TokenError::Refused(ReplyDetails {
                code: "unusable_token".into(),
                message: "the access token holds characters that no header can carry".into(),
                ..ReplyDetails::default()
            })
        })?;
        header.set_sensitive(true);
        self.generation += 1;
        // A lifetime of under twenty minutes is not documented; half of it is kept then.
        let margin = REFRESH_MARGIN.min(grant.lifetime / 2);
        self.current = Some(Held {
            token: AccessToken { header, generation: self.generation },
            due: now + grant.lifetime.saturating_sub(margin),
            expires: now + grant.lifetime,
        });
        Ok(())
    }

    /// A fetch failed; the next one is due at `not_before`.
    pub(crate) fn fetch_failed(&mut self, not_before: Instant) {
        self.fetching = false;
        self.not_before = Some(not_before);
    }

    /// DingTalk refused this token. Others in flight may hear the same of it later, which says nothing about a newer one.
    pub(crate) fn refused(&mut self, token: &AccessToken) {
        self.current.take_if(|held| held.token.generation <= token.generation);
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
    fn a_token_is_fetched_by_one_while_the_others_wait() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        assert!(matches!(keeper.supply(now), TokenSupply::Fetch));
        keeper.fetch_started();
        assert!(matches!(keeper.supply(now), TokenSupply::Fetching));
        keeper.fetched(&grant(120), now).unwrap();
        assert!(ready(&keeper.supply(now)));
    }

    #[test]
    fn a_token_is_due_ten_minutes_before_its_end_and_serves_meanwhile() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        keeper.fetched(&grant(120), now).unwrap();
        assert!(ready(&keeper.supply(now + 110 * MINUTE - Duration::from_millis(1))));
        assert!(matches!(keeper.supply(now + 110 * MINUTE), TokenSupply::Due(_)));
        keeper.fetch_started();
        assert!(ready(&keeper.supply(now + 119 * MINUTE)));
        assert!(matches!(keeper.supply(now + 120 * MINUTE), TokenSupply::Fetching));
    }

    #[test]
    fn a_short_lived_token_serves_half_its_life_before_it_is_due() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        keeper.fetched(&grant(4), now).unwrap();
        assert!(ready(&keeper.supply(now + MINUTE)));
        assert!(matches!(keeper.supply(now + 2 * MINUTE), TokenSupply::Due(_)));
    }

    #[test]
    fn a_refused_token_is_gone_and_its_late_refusals_do_not_hit_its_successor() {
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
    fn a_failed_refresh_leaves_the_old_token_in_use_until_it_expires() {
        let (mut keeper, now) = (TokenKeeper::default(), Instant::now());
        keeper.fetched(&grant(120), now).unwrap();
        keeper.fetch_failed(now + 112 * MINUTE);
        assert!(ready(&keeper.supply(now + 111 * MINUTE)));
        assert!(matches!(keeper.supply(now + 112 * MINUTE), TokenSupply::Due(_)));
    }

    #[test]
    fn a_token_is_never_printed_and_one_that_no_header_can_carry_is_refused() {
        let mut keeper = TokenKeeper::default();
        let hunter = TokenGrant { token: "hunter2".into(), lifetime: MINUTE };
        keeper.fetched(&hunter, Instant::now()).unwrap();
        assert!(!format!("{keeper:?}{hunter:?}").contains("hunter2"));
        let odd = TokenGrant { token: "a\nb".into(), lifetime: MINUTE };
        assert!(!keeper.fetched(&odd, Instant::now()).unwrap_err().is_transient());
    }
}
