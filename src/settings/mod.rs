//! The configuration: its layers in, checked [`Settings`] out.
//!
//! From lowest to highest, the layers are: `config/default.toml` (built in), a file, `MEETING_CLOSER__SECTION__KEY` in
//! the environment, and the command's options. Invariant: every [`Settings`] is valid, and no error shows a secret.

mod audit;
mod dingtalk;
mod error;
mod guard;
mod input;
mod load;
mod metrics;
mod notify;
mod pace;
mod queue;
mod retry;
mod secret;
#[cfg(test)]
pub(crate) mod tests;
mod text;

pub(crate) use dingtalk::{Auth, BaseUrl, DingTalkSettings};
pub(crate) use error::{FILE_VARIABLE, SettingsError};
pub(crate) use guard::GuardSettings;
pub(crate) use input::InputSettings;
pub(crate) use load::environment;
pub use load::{DEFAULTS, Layers, Settings};
pub(crate) use notify::RobotAccess;
pub use pace::PaceSettings;
pub(crate) use queue::QueueSettings;
pub(crate) use retry::RetrySettings;
pub(crate) use secret::Secret;
