//! meeting-closer
#![expect(missing_docs, reason = "x")]
pub mod clock;
pub mod meeting;
pub mod outcome;
pub mod settings;
