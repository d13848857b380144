//! The body of an answer, as far as it can be read. DingTalk spreads its fields over several spellings.
//!
//! Invariant: a body that is cut off, or that has a deciding field twice, is never read as JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
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
    /// The body by what it says. The header `content-type` decides nothing: gateways send JSON as `text/html`.
    pub(super) fn read(answer: &HttpAnswer) -> Self {
        let text = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&answer.body);
        if text.trim_ascii_start().starts_with(b"<") {
            return Self::Html;
        }
        match serde_json::from_slice(text) {
            Ok(UniqueFields(fields)) if answer.complete => Self::Json(fields),
            Ok(_) | Err(_) => Self::Unreadable,
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

    /// What `code` says.
    pub(super) fn code_field(&self) -> CodeField {
        match self.fields().and_then(|fields| fields.get("code").or(fields.get("Code"))) {
            None | Some(Value::Null) => CodeField::Missing,
            Some(value @ Value::Number(_)) => {
                number(Some(value)).map_or(CodeField::Unclear, CodeField::Number)
            }
            Some(value @ Value::String(text)) => match number(Some(value)) {
                Some(number) => CodeField::Number(number),
                None if is_word(text) => CodeField::Word,
                None => CodeField::Unclear,
            },
            Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => CodeField::Unclear,
        }
    }

    /// Whether a `code` of 200 stands in the one documented field, and no `errcode` contradicts it.
    pub(super) fn is_consistent(&self) -> bool {
        let Some(fields) = self.fields() else { return false };
        fields.contains_key("code")
            && fields.get("errcode").is_none_or(|errcode| number(Some(errcode)) == Some(0))
    }

    /// `errcode`: the form of DingTalk's older gateway.
    pub(super) fn errcode(&self) -> Option<i64> {
        number(self.fields()?.get("errcode"))
    }

    /// `errcode`, and before it the `sub_code` that says what an `errcode` of 88 is about.
    pub(super) fn errcodes(&self) -> impl Iterator<Item = i64> + use<> {
        let errcode = self.errcode();
        let fields = self.fields().filter(|_| errcode == Some(88));
        let sub_code = fields.and_then(|fields| number(fields.get("sub_code").or(fields.get("subCode"))));
        sub_code.into_iter().chain(errcode)
    }

    /// The code in words: `code` where it is text, else the first word of `cause` (`permissionError: …`).
    pub(super) fn code_word(&self) -> Option<String> {
        let code = self.text(&["code", "Code"]).filter(|code| is_word(code));
        code.or_else(|| {
            let cause = self.text(&["cause", "Cause"])?;
            Some(cause.split([':', ' ', '\u{ff1a}']).next().unwrap_or_default().to_owned())
        })
    }

    pub(super) fn request_id(&self) -> Option<String> {
        self.text(&["requestid", "requestId", "RequestId"]).map(|id| one_line(&id))
    }
}

/// What stands in `code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeField {
    Missing,
    /// A whole number, or exactly its digits as text.
    Number(i64),
    /// A name such as `permissionError`.
    Word,
    /// Neither: `"+200"`, `200.0`, `true`.
    Unclear,
}

/// The fields of a JSON object. Parsers do not agree on which of two equal names counts, so a field that decides about a
/// meeting must not be there twice.
struct UniqueFields(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueFieldsVisitor)
    }
}

struct UniqueFieldsVisitor;

impl<'de> Visitor<'de> for UniqueFieldsVisitor {
    type Value = UniqueFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueFields, A::Error> {
        let (mut fields, mut deciding) = (Map::new(), Vec::new());
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            let lower = name.to_ascii_lowercase();
            if matches!(lower.as_str(), "code" | "cause" | "errcode" | "sub_code") {
                if deciding.contains(&lower) {
                    return Err(A::Error::custom("a field that decides is there twice"));
                }
                deciding.push(lower);
            }
            fields.insert(name, value);
        }
        Ok(UniqueFields(fields))
    }
}

/// Whether a code is a name. Text that could also be meant as a number is none.
fn is_word(code: &str) -> bool {
    code.contains(char::is_alphabetic) && code.trim().parse::<f64>().is_err()
}

/// A number, also where text is exactly its digits. `"+200"` and `"0200"` are none.
pub(super) fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok().filter(|number: &i64| number.to_string() == *text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Foreign text as one line of bounded length, without characters that could steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.take(MAX_MESSAGE_CHARS).collect::<String>().trim().to_owned()
}
