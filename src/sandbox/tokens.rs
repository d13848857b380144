//! The stand-in's access tokens: who gets one, and which are valid.
//!
//! Invariant: only an access token that was issued here, and has not expired, is valid.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Reply;

/// The secret that is always refused, to rehearse a refusal.
const WRONG_SECRET: &str = "wrong";

/// The access tokens that were issued.
#[derive(Debug)]
pub(super) struct Tokens {
    lifetime: Duration,
    valid_until: HashMap<String, Instant>,
    internal: HashMap<String, String>,
    issued: u64,
}

/// The three ways to an access token. Each has its own path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenFlow {
    Internal,
    ThirdParty,
    Corp,
}

impl Tokens {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self { lifetime, valid_until: HashMap::new(), internal: HashMap::new(), issued: 0 }
    }

    pub(super) fn is_valid(&self, token: &str, now: Instant) -> bool {
        self.valid_until.get(token).is_some_and(|until| now < *until)
    }

    /// Makes every access token invalid at once.
    pub(super) fn expire_all(&mut self) {
        self.valid_until.clear();
        self.internal.clear();
    }

    /// Answers a request for an access token.
    pub(super) fn grant(&mut self, flow: TokenFlow, body: &[u8], now: Instant) -> Reply {
        let Ok(Value::Object(body)) = serde_json::from_slice(body) else {
            return Reply::failure(400, "Missingbody", "body is mandatory for this action.");
        };
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let accepted =
            |names: &[&str]| names.iter().all(|name| !text(name).is_empty() && text(name) != WRONG_SECRET);
        match flow {
            TokenFlow::Internal if !accepted(&["appKey", "appSecret"]) => {
                Reply::failure(400, "invalidClientIdOrSecret", "无效的clientId或者clientSecret")
            }
            TokenFlow::ThirdParty if !accepted(&["suiteKey", "suiteSecret"]) => {
                Reply::failure(400, "invalidSuiteKey", "无效的suiteKey")
            }
            TokenFlow::ThirdParty if !accepted(&["suiteTicket"]) => {
                Reply::failure(400, "invalidSuiteTicket", "无效的suiteTicket")
            }
            TokenFlow::ThirdParty if !accepted(&["authCorpId"]) => {
                Reply::failure(400, "invalidAuthInfo", "无效的授权信息")
            }
            TokenFlow::Corp if !accepted(&["client_id", "client_secret"]) => {
                Reply::failure(400, "invalid.client", "invalid client")
            }
            TokenFlow::Internal => {
                let known =
                    self.internal.get(&text("appKey")).filter(|token| self.is_valid(token, now)).cloned();
                let token = known.unwrap_or_else(|| self.issue());
                self.internal.insert(text("appKey"), token.clone());
                self.give(&token, ["accessToken", "expireIn"], now)
            }
            TokenFlow::ThirdParty => {
                let token = self.issue();
                self.give(&token, ["accessToken", "expireIn"], now)
            }
            TokenFlow::Corp => {
                let token = self.issue();
                self.give(&token, ["access_token", "expires_in"], now)
            }
        }
    }

    fn issue(&mut self) -> String {
        self.issued += 1;
        format!("sandbox-token-{}", self.issued)
    }

    fn give(&mut self, token: &str, [name, lifetime]: [&str; 2], now: Instant) -> Reply {
        self.valid_until.insert(token.to_owned(), now + self.lifetime);
        Reply::json(200, &json!({name: token, lifetime: self.lifetime.as_secs()}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(tokens: &mut Tokens, flow: TokenFlow, body: &str, now: Instant) -> (u16, Value) {
        match tokens.grant(flow, body.as_bytes(), now) {
            Reply::Answer { status, body, .. } => (status, serde_json::from_str(&body).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_internal_app_gets_its_access_token_extended_and_a_third_party_app_a_new_one() {
        let (mut tokens, now) = (Tokens::new(Duration::from_secs(60)), Instant::now());
        let internal = r#"{"appKey":"k","appSecret":"s"}"#;
        let (_, first) = grant(&mut tokens, TokenFlow::Internal, internal, now);
        let later = now + Duration::from_secs(59);
        assert_eq!(grant(&mut tokens, TokenFlow::Internal, internal, later).1, first);
        assert!(tokens.is_valid(first["accessToken"].as_str().unwrap(), later + Duration::from_secs(59)));
        let third_party = r#"{"suiteKey":"k","suiteSecret":"s","authCorpId":"c","suiteTicket":"t"}"#;
        let (_, first) = grant(&mut tokens, TokenFlow::ThirdParty, third_party, now);
        assert_ne!(grant(&mut tokens, TokenFlow::ThirdParty, third_party, now).1, first);
    }

    #[test]
    fn an_access_token_ends_after_its_lifetime_or_with_all_others() {
        let (mut tokens, now) = (Tokens::new(Duration::from_secs(60)), Instant::now());
        let corp = r#"{"client_id":"k","client_secret":"s","grant_type":"client_credentials"}"#;
        let (_, answer) = grant(&mut tokens, TokenFlow::Corp, corp, now);
        let token = answer["access_token"].as_str().unwrap();
        assert!(tokens.is_valid(token, now));
        assert!(!tokens.is_valid(token, now + Duration::from_secs(60)));
        tokens.expire_all();
        assert!(!tokens.is_valid(token, now));
    }

    #[test]
    fn wrong_requests_get_their_documented_codes() {
        let mut tokens = Tokens::new(Duration::from_secs(60));
        for (flow, body, code) in [
            (TokenFlow::Internal, "appKey=k&appSecret=s", "Missingbody"),
            (TokenFlow::Internal, r#"{"appKey":"k","appSecret":"wrong"}"#, "invalidClientIdOrSecret"),
            (TokenFlow::ThirdParty, r#"{"suiteKey":"k"}"#, "invalidSuiteKey"),
            (TokenFlow::ThirdParty, r#"{"suiteKey":"k","suiteSecret":"s"}"#, "invalidSuiteTicket"),
            (
                TokenFlow::ThirdParty,
                r#"{"suiteKey":"k","suiteSecret":"s","suiteTicket":"t"}"#,
                "invalidAuthInfo",
            ),
            (TokenFlow::Corp, r#"{"client_id":"k","client_secret":"wrong"}"#, "invalid.client"),
        ] {
            let (status, answer) = grant(&mut tokens, flow, body, Instant::now());
            assert_eq!((status, answer["code"].as_str().unwrap()), (400, code));
        }
    }
}
