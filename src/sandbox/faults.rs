//! The faults that the stand-in makes on request, by name and probability.
//!
//! Invariant: [`FaultKind::ALL`] has every fault once.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One fault with its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    /// From 0 to 1.
    pub probability: f64,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// 500 `systemError`; nothing is closed.
    SystemError,
    /// 404 `waterLimitError`; nothing is closed.
    WaterLimitError,
    /// 403, the rate a second; nothing is closed.
    Qps,
    /// 403, the rate a minute; nothing is closed.
    Qpm,
    /// 400 `InvalidAuthentication`; nothing is closed.
    Token,
    /// 502 with an HTML page; nothing is closed.
    Html,
    /// 200 with `{"code":500,"cause":"systemError"}`; nothing is closed.
    Body,
    /// The address is banned from now on.
    Ban,
    /// The meeting is closed, and the answer's body is empty.
    Empty,
    /// The meeting is closed, and the answer's body is cut off.
    Cut,
    /// The meeting is closed, and the connection breaks before the answer.
    NoReply,
    /// The connection breaks; nothing is closed.
    Reset,
    /// No answer comes; nothing is closed.
    Silent,
    /// The answer takes three seconds longer.
    Slow,
}

impl FaultKind {
    /// All faults, each with its name and its effect.
    pub const ALL: [(Self, &'static str, &'static str); 14] = [
        (Self::SystemError, "systemError", "500 systemError"),
        (Self::WaterLimitError, "waterLimitError", "404 waterLimitError"),
        (Self::Qps, "qps", "403 QpsLimitForAppkeyAndApi"),
        (Self::Qpm, "qpm", "403 QpmLimitForAppkeyAndApi"),
        (Self::Token, "token", "400 InvalidAuthentication"),
        (Self::Html, "html", "502 with a page"),
        (Self::Body, "body", "200 that says systemError"),
        (Self::Ban, "ban", "the address is banned"),
        (Self::Empty, "empty", "closed, answer empty"),
        (Self::Cut, "cut", "closed, answer cut off"),
        (Self::NoReply, "lost", "closed, connection breaks"),
        (Self::Reset, "reset", "connection breaks"),
        (Self::Silent, "silent", "no answer, ever"),
        (Self::Slow, "slow", "answer 3 s late"),
    ];
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (.., name, _) = Self::ALL.iter().find(|(kind, ..)| kind == self).expect("ALL has every fault");
        f.write_str(name)
    }
}

/// Why a text is no fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultParseError {
    /// It has not the form `NAME=PROBABILITY`.
    #[error("a fault has the form NAME=PROBABILITY, such as systemError=0.02")]
    Form,
    /// There is no fault of that name.
    #[error("unknown fault {name:?}; the faults are {}", FaultKind::ALL.map(|(_, name, _)| name).join(", "))]
    Name {
        /// The given text.
        name: String,
    },
    /// The probability is not from 0 to 1.
    #[error("{text:?} is not a probability from 0 to 1")]
    Probability {
        /// The given text.
        text: String,
    },
}

impl FromStr for Fault {
    type Err = FaultParseError;

    fn from_str(text: &str) -> Result<Self, FaultParseError> {
        let (name, probability) = text.split_once('=').ok_or(FaultParseError::Form)?;
        let (kind, ..) = FaultKind::ALL
            .into_iter()
            .find(|(_, known, _)| *known == name)
            .ok_or_else(|| FaultParseError::Name { name: name.to_owned() })?;
        let parsed = probability.parse().ok().filter(|probability| (0.0..=1.0).contains(probability));
        let wrong = || FaultParseError::Probability { text: probability.to_owned() };
        Ok(Self { kind, probability: parsed.ok_or_else(wrong)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_parsed_by_its_name() {
        for (kind, name, _) in FaultKind::ALL {
            let fault: Fault = format!("{name}=0.5").parse().unwrap();
            assert_eq!((fault.kind, fault.kind.to_string().as_str()), (kind, name));
        }
    }

    #[test]
    fn a_text_that_is_no_fault_is_refused_with_the_names_of_all_faults() {
        let error = |text: &str| text.parse::<Fault>().unwrap_err().to_string();
        assert!(error("systemError").contains("NAME=PROBABILITY"));
        assert!(error("oops=1").contains("unknown fault \"oops\"; the faults are systemError, "));
        assert!(error("qps=2").contains("\"2\" is not a probability"));
    }
}
