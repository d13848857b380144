//! meeting-closer
pub mod clock;
pub mod dingtalk;
pub mod events;
pub mod exit;
pub mod intake;
pub mod journal;
pub mod meeting;
pub mod outcome;
pub mod pace;
pub mod report;
pub mod retry;
pub mod run;
pub mod sandbox;
pub mod settings;
