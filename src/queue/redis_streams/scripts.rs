//! The scripts that the server runs.

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

pub(super) static QUOTA: LazyLock<Script> = LazyLock::new(|| Script::new(super::QUOTA_SCRIPT));
