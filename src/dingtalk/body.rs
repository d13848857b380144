//! The body of an answer, as far as it can be read. DingTalk spreads its fields over several spellings.
//!
//! Invariant: a body that is cut off is never read as JSON.

use serde_json::{Map, Value};

use super::exchange::HttpAnswer;

/// The longest message that the audit keeps, in characters.
pub(super) const MAX_MESSAGE_CHARS: usize = 500;

/// A body by its kind.
pub(super) enum Body {
    Json(Map<String, Value>),
    Html,
    Unreadable,
}

impl Body {
    pub(super) fn read(answer: &HttpAnswer) -> Self {
        let starts_like_html = answer.body.trim_ascii_start().starts_with(b"<");
        if starts_like_html || (answer.is_html && !answer.body.is_empty()) {
            return Self::Html;
        }
        Self::read_json(answer)
    }

    /// The same for a server whose header `content-type` means nothing.
    pub(super) fn read_json(answer: &HttpAnswer) -> Self {
        match serde_json::from_slice(&answer.body) {
            Ok(Value::Object(fields)) if answer.complete => Self::Json(fields),
            _ => Self::Unreadable,
        }
    }

    pub(super) fn fields(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Json(fields) => Some(fields),
            Self::Html | Self::Unreadable => None,
        }
    }

    /// A text field, under any of its names.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        let fields = self.fields()?;
        names.iter().find_map(|name| fields.get(*name)?.as_str()).map(str::to_owned)
    }

    /// `{"status":1111,"wait":5,"source":"x5","punish":"deny"}`: the wall in front of DingTalk, not DingTalk.
    pub(super) fn is_ban(&self) -> bool {
        let Some(fields) = self.fields() else { return false };
        fields.get("punish").and_then(Value::as_str) == Some("deny")
            || fields.get("status").and_then(Value::as_i64) == Some(1111)
    }

    /// `code`, where it is a number, also one written as text.
    pub(super) fn code_number(&self) -> Option<i64> {
        let fields = self.fields()?;
        number(fields.get("code").or(fields.get("Code")))
    }

    /// `errcode`: the form of DingTalk's older hosts.
    pub(super) fn errcode(&self) -> Option<i64> {
        number(self.fields()?.get("errcode"))
    }

    /// The code in words: `code` where it is text, else the first word of `cause` (`permissionError: …`).
    pub(super) fn code_word(&self) -> Option<String> {
        let code = self.text(&["code", "Code"]).filter(|code| code.parse::<i64>().is_err());
        code.or_else(|| {
            let cause = self.text(&["cause", "Cause"])?;
            Some(cause.split([':', ' ', '\u{ff1a}']).next().unwrap_or_default().to_owned())
        })
    }

    pub(super) fn request_id(&self) -> Option<String> {
        self.text(&["requestid", "requestId", "RequestId"]).map(|id| one_line(&id))
    }
}

/// A number, also where it is written as text.
pub(super) fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Foreign text as one line of bounded length, without characters that could steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(MAX_MESSAGE_CHARS).collect::<String>().trim().to_owned()
}
