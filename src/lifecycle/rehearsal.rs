//! Whether a run is a rehearsal: its requests go to a stand-in on this machine.
//!
//! Invariant: every output of a rehearsal is marked as one.

use crate::dingtalk::HttpApi;
use crate::settings::Settings;

/// The line that marks every output of a rehearsal.
pub(crate) const REHEARSAL: &str = "SANDBOX: a rehearsal, no real meeting was touched";

/// Whether a run with these settings is a rehearsal: the address is on this machine, and the stand-in answers there. A server on
/// this machine that does not say so, such as a proxy, may lead to DingTalk. No other address is asked.
pub(crate) async fn is_rehearsal(settings: &Settings, api: &HttpApi) -> bool {
    settings.dingtalk.base_url.is_loopback() && api.is_answered_by_sandbox().await
}
