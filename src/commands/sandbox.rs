//! `sandbox`: the stand-in on a port of one's own.

use std::time::Duration;

use crate::cli::SandboxArgs;
use crate::exit::{ExitCode, Failure};
use crate::lifecycle;
use crate::printer;
use crate::sandbox::{Quotas, Sandbox, SandboxSettings};

/// DingTalk counts an address's calls over this long.
const ADDRESS_SPAN: Duration = Duration::from_secs(20);

pub(super) async fn run(args: SandboxArgs) -> Result<ExitCode, Failure> {
    let listen = args.listen;
    let mut signals = lifecycle::signals::listen().map_err(|error| Failure::new(ExitCode::Usage, error))?;
    let sandbox = Sandbox::start(settings(args)).await.map_err(|error| {
        Failure::new(ExitCode::Usage, format!("cannot listen on {listen}: {error}"))
            .hint("name a free port of loopback, such as --listen 127.0.0.1:0")
    })?;
    printer::out(&sandbox.base_url());
    printer::err("a stand-in for DingTalk: no real meeting is touched; Ctrl-C ends it with its statistics");
    signals.recv().await;
    printer::out(&sandbox.statistics().to_string());
    Ok(ExitCode::Done)
}

fn settings(args: SandboxArgs) -> SandboxSettings {
    let limit = |number: usize| (number > 0).then_some(number);
    SandboxSettings {
        listen: args.listen,
        latency: args.latency,
        faults: args.faults,
        seed: args.seed,
        quotas: Quotas {
            per_second: limit(args.app_quota),
            per_minute: limit(args.minute_quota),
            address: limit(args.address_quota).map(|number| (number, ADDRESS_SPAN)),
            ban: args.ban,
            month: (args.month_quota > 0).then_some(args.month_quota),
        },
        token_lifetime: args.token_lifetime,
        keep_calls: false,
    }
}
