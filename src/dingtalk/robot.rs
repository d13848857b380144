//! The group robot: sends one short, signed message and reads DingTalk's answer.
//!
//! A robot cannot recognise a message that it had before. So a message is sent again only if the group certainly does not have
//! it: no connection could be made, or DingTalk answered that its system is busy. If no answer comes, it is not sent again.
//!
//! Invariant: no error contains the webhook's token or the robot's secret.
//!
//! Source: DingTalk's page "Custom robots", its list of global error codes for -1 ("try again later, three times at most").

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::Sha256;
use thiserror::Error;

use super::body::{Body, one_line};
use super::client::{ClientError, exchange, http_client};
use super::exchange::{Exchange, NoReply};
use super::token_grant::redact;
use crate::clock::Clock;
use crate::settings::{DingTalkSettings, RobotAccess};

/// How long a message may take in all, retries included.
const MAX_TIME: Duration = Duration::from_secs(15);

/// The waits before each retry. A robot takes 20 messages a minute, and one run stays far below that.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// DingTalk's "the system is busy": the request was not carried out.
const BUSY: i64 = -1;

/// A message in the markdown that DingTalk's clients show: headings, bold, links, lists, quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// What a phone shows before the message is opened.
    pub title: String,
    /// The message.
    pub text: String,
}

/// A group's robot.
#[derive(Debug, Clone)]
pub(crate) struct Robot {
    client: Client,
    access: RobotAccess,
    clock: Clock,
}

/// Why a message did not arrive, or may not have arrived.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum RobotError {
    /// DingTalk refused the message.
    #[error("DingTalk refused the message: {message} ({code})")]
    Refused {
        /// DingTalk's `errcode`, or `http_<status>` if there was none.
        code: String,
        /// DingTalk's words.
        message: String,
    },
    /// No connection could be made.
    #[error("the message was not delivered: {0}")]
    Unreachable(String),
    /// No answer came, or it cannot be read.
    #[error("the message may or may not have arrived, so it is not sent again: {0}")]
    Unknown(String),
}

/// What one answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SendResult {
    Done,
    /// The message certainly did not arrive, and the next attempt may succeed.
    Again(RobotError),
    Failed(RobotError),
}

impl Robot {
    /// A robot with DingTalk's time limits, proxy and certificate authorities.
    pub(crate) fn new(
        settings: &DingTalkSettings,
        access: RobotAccess,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        Ok(Self { client: http_client(settings, access.is_loopback, 0)?, access, clock })
    }

    /// Sends this message to the group. It takes no longer than 15 seconds.
    pub(crate) async fn say(&self, message: &Message) -> Result<(), RobotError> {
        deliver(&self.clock, async || self.send(message).await).await
    }

    async fn send(&self, message: &Message) -> SendResult {
        let body = json!({
            "msgtype": "markdown",
            "markdown": {"title": message.title, "text": message.text},
        });
        let url = signed(&self.access, self.clock.timestamp());
        let secrets = secrets(&self.access, &url);
        let request = self.client.post(url).header(CONTENT_TYPE, "application/json").body(body.to_string());
        judge(&exchange(request, &self.clock).await, &secrets)
    }
}

/// Sends until the message has arrived or may have arrived, or until the attempts or the time are used up.
async fn deliver(clock: &Clock, mut send: impl AsyncFnMut() -> SendResult) -> Result<(), RobotError> {
    let attempts = async {
        let mut waits = WAITS.into_iter();
        loop {
            match (send().await, waits.next()) {
                (SendResult::Done, _) => return Ok(()),
                (SendResult::Again(_), Some(wait)) => clock.wait_until(clock.now() + wait).await,
                (SendResult::Again(error), None) | (SendResult::Failed(error), _) => return Err(error),
            }
        }
    };
    let too_long = || RobotError::Unknown(format!("no answer within {} s", MAX_TIME.as_secs()));
    tokio::time::timeout(MAX_TIME, attempts).await.unwrap_or_else(|_| Err(too_long()))
}

/// The webhook's URL, with `timestamp` and `sign` where there is a secret: base64 of HMAC-SHA-256, with the secret as key,
/// over the milliseconds, a line feed and the secret.
fn signed(access: &RobotAccess, at: Timestamp) -> Url {
    let mut url = Url::parse(access.webhook.expose_secret().trim()).expect("RobotAccess has a checked URL");
    if let Some(secret) = &access.secret {
        let (secret, timestamp) = (secret.expose_secret(), at.as_millisecond().to_string());
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(format!("{timestamp}\n{secret}").as_bytes());
        let sign = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        url.query_pairs_mut().append_pair("timestamp", &timestamp).append_pair("sign", &sign);
    }
    url
}

/// What no error may repeat: the values of the query, except for the time, and the key.
fn secrets(access: &RobotAccess, url: &Url) -> Vec<SecretString> {
    let query = url.query_pairs().filter(|(name, _)| name != "timestamp");
    query.map(|(_, value)| value.into_owned().into()).chain(access.secret.clone()).collect()
}

/// Success is a 2xx with `errcode` 0. A refusal says that the message did not arrive. Without either, it is unknown.
fn judge(exchange: &Exchange, secrets: &[SecretString]) -> SendResult {
    let hidden = |text: &str| redact(one_line(text), secrets);
    let answer = match exchange {
        Exchange::Answered(answer) => answer,
        Exchange::NoReply(no_reply @ (NoReply::NoConnection(_) | NoReply::Untrusted(_))) => {
            return SendResult::Again(RobotError::Unreachable(hidden(&no_reply.to_string())));
        }
        Exchange::NoReply(no_reply @ (NoReply::WrongServer(_) | NoReply::Timeout | NoReply::Broken(_))) => {
            return SendResult::Failed(RobotError::Unknown(hidden(&no_reply.to_string())));
        }
    };
    let body = Body::read(answer);
    let refused = |code: String| {
        let message = body.text(&["errmsg"]).unwrap_or_else(|| "no reason given".into());
        RobotError::Refused { code, message: hidden(&message) }
    };
    match (body.errcode(), answer.status) {
        (Some(0), 200..=299) => SendResult::Done,
        (Some(BUSY), _) => SendResult::Again(refused(BUSY.to_string())),
        (Some(code), _) if code != 0 => SendResult::Failed(refused(code.to_string())),
        (_, status @ 300..=499) => SendResult::Failed(refused(format!("http_{status}"))),
        (_, status) => {
            SendResult::Failed(RobotError::Unknown(format!("an answer that cannot be read (HTTP {status})")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::HttpAnswer;
    use super::*;

    fn access(webhook: &str, secret: Option<&str>) -> RobotAccess {
        RobotAccess { webhook: webhook.into(), secret: secret.map(Into::into), is_loopback: false }
    }

    #[test]
    fn a_message_is_signed_as_dingtalk_documents() {
        // printf '1577262236756\nthis is secret' | openssl dgst -sha256 -hmac 'this is secret' -binary | base64
        let sign = "m%2F%2BvkPxKeH1LqDAuSqTUkZNOUpBE2%2F1nJGfguSIIkm8%3D";
        let at = Timestamp::from_millisecond(1_577_262_236_756).unwrap();
        let webhook = "https://oapi.dingtalk.com/robot/send?access_token=abc";
        assert_eq!(
            signed(&access(webhook, Some("this is secret")), at).as_str(),
            format!("{webhook}&timestamp=1577262236756&sign={sign}")
        );
        assert_eq!(signed(&access(webhook, None), at).as_str(), webhook);
    }

    fn answered(status: u16, body: &str) -> Exchange {
        Exchange::Answered(HttpAnswer { status, body: body.into(), complete: true, ..HttpAnswer::default() })
    }

    #[test]
    fn a_2xx_with_errcode_0_is_delivered_and_only_a_message_that_certainly_did_not_arrive_is_sent_again() {
        let (done, again, failed, unknown) = ("done", "again", "failed", "unknown");
        for (exchange, expected) in [
            (answered(200, r#"{"errcode":0,"errmsg":"ok"}"#), done),
            (answered(200, r#"{"errcode":"0"}"#), done),
            (answered(200, r#"{"errcode":-1,"errmsg":"系统繁忙"}"#), again),
            (answered(500, r#"{"errcode":-1}"#), again),
            (Exchange::NoReply(NoReply::NoConnection("refused".into())), again),
            (answered(200, r#"{"errcode":310000,"errmsg":"sign not match"}"#), failed),
            (answered(200, r#"{"errcode":130101,"errmsg":"send too fast"}"#), failed),
            (answered(429, "slow down"), failed),
            (answered(403, "<html>"), failed),
            (answered(302, ""), failed),
            (answered(200, ""), unknown),
            (answered(200, r#"{"code":200}"#), unknown),
            (answered(502, r#"{"errcode":0}"#), unknown),
            (answered(504, "<html>"), unknown),
            (Exchange::NoReply(NoReply::Timeout), unknown),
            (Exchange::NoReply(NoReply::Broken("reset".into())), unknown),
        ] {
            let judged = match judge(&exchange, &[]) {
                SendResult::Done => done,
                SendResult::Again(_) => again,
                SendResult::Failed(RobotError::Unknown(_)) => unknown,
                SendResult::Failed(RobotError::Refused { .. } | RobotError::Unreachable(_)) => failed,
            };
            assert_eq!(judged, expected, "{exchange:?}");
        }
    }

    #[test]
    fn an_error_does_not_repeat_token_sign_or_secret() {
        let access = access("https://host/robot/send?access_token=hunter2", Some("hunter3"));
        let url = signed(&access, Timestamp::UNIX_EPOCH);
        let sign = url.query_pairs().find(|(name, _)| name == "sign").unwrap().1.into_owned();
        let body = json!({"errcode": 300_001, "errmsg": format!("no robot hunter2, {sign}, hunter3")});
        let secrets = secrets(&access, &url);
        let judged = judge(&answered(200, &body.to_string()), &secrets);
        let message = "no robot [redacted], [redacted], [redacted]".into();
        assert_eq!(judged, SendResult::Failed(RobotError::Refused { code: "300001".into(), message }));
    }

    async fn delivered(
        mut send: impl AsyncFnMut(usize) -> SendResult,
    ) -> (usize, Duration, Result<(), RobotError>) {
        let (clock, mut attempts) = (Clock::tokio(), 0);
        let start = clock.now();
        let result = deliver(&clock, async || {
            attempts += 1;
            send(attempts).await
        })
        .await;
        (attempts, clock.now() - start, result)
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_is_sent_at_most_three_times_and_never_again_after_it_may_have_arrived() {
        let busy = || RobotError::Refused { code: "-1".into(), message: "busy".into() };
        let unknown = || RobotError::Unknown("no answer".into());
        let second = Duration::from_secs(1);
        assert_eq!(delivered(async |_| SendResult::Again(busy())).await, (3, 4 * second, Err(busy())));
        let once_busy = async |n| if n == 1 { SendResult::Again(busy()) } else { SendResult::Done };
        assert_eq!(delivered(once_busy).await, (2, second, Ok(())));
        assert_eq!(
            delivered(async |_| SendResult::Failed(unknown())).await,
            (1, Duration::ZERO, Err(unknown()))
        );
        let (attempts, time, result) = delivered(async |_| std::future::pending().await).await;
        assert_eq!((attempts, time), (1, MAX_TIME));
        assert!(matches!(result, Err(RobotError::Unknown(_))), "{result:?}");
    }
}
