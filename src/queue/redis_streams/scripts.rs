//! The scripts that run on the Redis server.

use std::sync::LazyLock;

use redis::Script;

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("scripts/", $file))));
    };
}

script!(JOIN, "join.lua");
script!(TAKE, "take.lua");
script!(RENEW, "renew.lua");
script!(SETTLE, "settle.lua");
script!(LEAVE, "leave.lua");
script!(ENQUEUE, "enqueue.lua");
script!(REQUEUE, "requeue.lua");
script!(STATUS, "status.lua");
script!(DEAD_CODES, "dead_codes.lua");

/// The quota's script, for tests that run it outside Redis.
pub const QUOTA_SCRIPT: &str = include_str!("scripts/quota.lua");

pub(super) static QUOTA: LazyLock<Script> = LazyLock::new(|| Script::new(QUOTA_SCRIPT));
