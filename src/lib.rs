//! meeting-closer
pub mod clock;
pub mod dingtalk;
pub mod journal;
pub mod meeting;
pub mod outcome;
pub mod pace;
pub mod retry;
pub mod settings;
