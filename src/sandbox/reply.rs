//! The answers of the stand-in, and the ways in which it gives none.
//!
//! Invariant: the forms of DingTalk's answers are written here and nowhere else in the stand-in.

use serde_json::{Value, json};

/// What the client gets for its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An answer.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
        /// Headers beside the usual ones. A `content-type` here replaces the usual one.
        headers: Vec<(&'static str, String)>,
    },
    /// The connection breaks.
    Drop,
    /// No answer comes.
    Silence,
}

impl Reply {
    /// An answer in JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::raw(status, body.to_string())
    }

    /// An answer with any body.
    pub fn raw(status: u16, body: impl Into<String>) -> Self {
        Self::Answer { status, body: body.into(), headers: vec![] }
    }

    /// A failure in DingTalk's form. The server fills in the request id.
    pub fn failure(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &json!({"code": code, "requestid": REQUEST_ID, "message": message}))
    }

    /// The documented success, with DingTalk's own spelling.
    pub fn closed() -> Self {
        Self::json(200, &json!({"code": 200, "cause": "sucess"}))
    }

    /// The answer of the wall in front of DingTalk to a banned address.
    pub fn ban() -> Self {
        Self::json(200, &json!({"status": 1111, "wait": 5, "source": "x5", "punish": "deny"}))
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn header(self, name: &'static str, value: &str) -> Self {
        match self {
            Self::Answer { status, body, mut headers } => {
                headers.push((name, value.to_owned()));
                Self::Answer { status, body, headers }
            }
            Self::Drop | Self::Silence => self,
        }
    }

    /// The name in the statistics: the code in the body, else the status, else what happened to the connection.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Drop => "connection dropped".into(),
            Self::Silence => "no answer".into(),
            Self::Answer { status, body, .. } => {
                let body: Value = serde_json::from_str(body).unwrap_or_default();
                match (&body["code"], &body["punish"]) {
                    (Value::String(code), _) => code.clone(),
                    (Value::Number(code), _) => code.to_string(),
                    (_, Value::String(_)) => "banned".into(),
                    _ => format!("http {status}"),
                }
            }
        }
    }
}

/// The place for the request id, which the server fills in.
pub(super) const REQUEST_ID: &str = "REQUEST-ID";

/// An answer that a test prepared for one conference id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedReply {
    /// The answer.
    pub reply: Reply,
    /// Whether it closes the meeting.
    pub closes: bool,
}

impl From<Reply> for ScriptedReply {
    /// An answer that closes nothing.
    fn from(reply: Reply) -> Self {
        Self { reply, closes: false }
    }
}
