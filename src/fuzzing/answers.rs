//! DingTalk's answers, to a request to close a meeting and to a request for an access token.
//!
//! An input begins with a line `STATUS FLAGS RETRY-AFTER`: `c` among the flags means a body that is cut off, `h` means HTML. The
//! body follows.

use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::first_line;
use crate::dingtalk::{
    Exchange, HttpAnswer, TokenGrant, TokenKeeper, judge, parse_retry_after, read_grant, says_ended,
};
use crate::outcome::{ReplyDetails, Verdict};

/// The secret that a request for an access token sends. The corpus repeats it in answers.
const SECRET: &str = "hunter2-hunter2-hunter2";

/// The longest text that the audit keeps of an answer, in characters.
const MAX_CHARS: usize = 500;

/// The longest wait that a server may ask for, in seconds.
const MAX_WAIT: u64 = 300;

/// The bytes as the answer to a request to close a meeting.
pub fn answer(bytes: &[u8]) {
    let answer = read(bytes);
    let judgement = judge(&Exchange::Answered(answer.clone()));
    match judgement.verdict {
        Verdict::Closed => assert_closed(&answer),
        Verdict::AlreadyEnded => {
            assert!(answer.complete && fields(&answer.body).is_some());
            assert!(says_ended(&judgement.details.code), "{judgement:?}");
        }
        Verdict::Retry
        | Verdict::Unreachable
        | Verdict::Throttled(_)
        | Verdict::Banned
        | Verdict::TokenRefused
        | Verdict::Refused
        | Verdict::Halt => {}
    }
    assert_details(&judgement.details);
    assert_eq!(judgement.details.http_status, Some(answer.status));
    assert!(judgement.retry_after.is_none_or(|wait| wait.as_secs() <= MAX_WAIT));
    let cut_off = judge(&Exchange::Answered(HttpAnswer { complete: false, ..answer }));
    assert!(!matches!(cut_off.verdict, Verdict::Closed | Verdict::AlreadyEnded), "{cut_off:?}");
}

/// The bytes as the answer to a request for an access token.
pub fn token_answer(bytes: &[u8]) {
    let answer = read(bytes);
    let exchange = Exchange::Answered(answer.clone());
    match read_grant(&exchange, &[SECRET.into()]) {
        Ok(grant) => {
            assert!((200..300).contains(&answer.status) && answer.complete);
            assert!(!grant.token.expose_secret().is_empty());
            assert_hidden(&grant);
        }
        Err(error) => {
            let shown = format!("{error} {error:?} {:?}", error.details());
            assert!(!shown.contains(SECRET), "a secret is shown: {shown}");
            assert_details(&error.details());
            // The beginning of a secret is a part of it, too. A beginning that stands alone is none.
            let (body, beginning) = (String::from_utf8_lossy(&answer.body), &SECRET[..10]);
            if !body.replace(SECRET, "").contains(beginning) && !body.contains('\\') {
                assert!(!shown.contains(beginning), "a part of a secret is shown: {shown}");
            }
        }
    }
}

fn read(bytes: &[u8]) -> HttpAnswer {
    let (head, body) = first_line(bytes);
    let mut head = head.splitn(3, ' ');
    let status = head.next().and_then(|status| status.parse().ok()).unwrap_or(200);
    let flags = head.next().unwrap_or_default();
    HttpAnswer {
        status,
        body: body.to_vec(),
        complete: !flags.contains('c'),
        retry_after: head.next().and_then(|header| parse_retry_after(header, Timestamp::UNIX_EPOCH)),
        ..HttpAnswer::default()
    }
}

/// Only a whole answer of success with one code, which is 200, says that a meeting was closed.
fn assert_closed(answer: &HttpAnswer) {
    let shown = || format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
    assert!((200..300).contains(&answer.status) && answer.complete, "{}", shown());
    let fields = fields(&answer.body).unwrap_or_default();
    let codes: Vec<_> = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("code")).collect();
    let [(_, code)] = codes.as_slice() else { panic!("closed without a single code: {}", shown()) };
    assert!(*code == json!(200) || *code == json!("200"), "closed with another code: {}", shown());
}

fn assert_details(ReplyDetails { code, message, request_id, .. }: &ReplyDetails) {
    assert!(!code.is_empty(), "an answer has no code");
    for text in [code, message, request_id] {
        assert!(!text.contains(char::is_control), "{text:?}");
        // A redacted secret may be longer than the secret.
        assert!(text.chars().count() <= 2 * MAX_CHARS, "{text:?}");
    }
}

/// Neither the grant nor the access token that requests carry shows its value.
fn assert_hidden(grant: &TokenGrant) {
    let other = TokenGrant { token: SecretString::from("other"), lifetime: grant.lifetime };
    assert_eq!(format!("{grant:?}"), format!("{other:?}"), "a token is shown");
    let now = tokio::time::Instant::now();
    let debug = |grant: &TokenGrant| {
        let mut keeper = TokenKeeper::default();
        keeper.fetch_started();
        let fetched = keeper.fetched(grant, now);
        fetched.is_ok().then(|| format!("{keeper:?}"))
    };
    if let Some(shown) = debug(grant) {
        assert_eq!(Some(shown), debug(&other), "a token is shown");
    }
}

/// The fields of a JSON object in their order, repeated ones included.
fn fields(body: &[u8]) -> Option<Vec<(String, Value)>> {
    struct Fields(Vec<(String, Value)>);
    struct FieldsVisitor;
    impl<'de> Visitor<'de> for FieldsVisitor {
        type Value = Fields;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
            let mut fields = vec![];
            while let Some(field) = map.next_entry()? {
                fields.push(field);
            }
            Ok(Fields(fields))
        }
    }
    impl<'de> Deserialize<'de> for Fields {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(FieldsVisitor)
        }
    }
    serde_json::from_slice(body).ok().map(|Fields(fields)| fields)
}
