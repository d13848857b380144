//! `sandbox`: runs the stand-in for DingTalk until a signal comes.

use std::time::Duration;

use crate::cli::SandboxArgs;
use crate::exit::{ExitCode, Failure};
use crate::lifecycle;
use crate::printer;
use crate::sandbox::{Fault, Quotas, Sandbox, SandboxSettings};

/// DingTalk counts the calls of an address over this time.
const ADDRESS_SPAN: Duration = Duration::from_secs(20);

pub(super) async fn run(args: SandboxArgs) -> Result<ExitCode, Failure> {
    let listen = args.listen;
    let faults = args.faults.iter().map(|text| fault(text)).collect::<Result<_, _>>()?;
    let mut signals = lifecycle::signals::listen()?;
    let sandbox = Sandbox::start(settings(&args, faults)).await.map_err(|error| {
        Failure::new(ExitCode::Usage, format!("cannot listen on {listen}: {error}"))
            .hint("choose a loopback address with a free port, such as --listen 127.0.0.1:0")
    })?;
    printer::out(&sandbox.base_url());
    printer::err(
        "a stand-in for DingTalk: it touches no real meeting; Ctrl-C ends it and prints its statistics",
    );
    signals.recv().await;
    printer::out(&sandbox.statistics().to_string());
    Ok(ExitCode::Done)
}

fn fault(text: &str) -> Result<Fault, Failure> {
    text.parse().map_err(|error| {
        Failure::new(ExitCode::Usage, format!("cannot read --fault {text:?}: {error}"))
            .hint("see meeting-closer sandbox --help for the faults")
    })
}

fn settings(args: &SandboxArgs, faults: Vec<Fault>) -> SandboxSettings {
    let limit = |number: usize| (number > 0).then_some(number);
    SandboxSettings {
        listen: args.listen,
        latency: args.latency,
        faults,
        seed: args.seed,
        quotas: Quotas {
            per_second: limit(args.app_quota),
            per_minute: limit(args.minute_quota),
            address: limit(args.address_quota).map(|number| (number, ADDRESS_SPAN)),
            ban: args.ban,
            month: (args.month_quota > 0).then_some(args.month_quota),
        },
        token_lifetime: args.token_lifetime,
        says_so: !args.no_header,
        keep_calls: false,
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::SANDBOX_HELP;
    use crate::sandbox::FaultKind;

    #[test]
    fn help_lists_every_fault() {
        for (_, name, _) in FaultKind::ALL {
            assert!(SANDBOX_HELP.split([' ', '\n']).any(|word| word == name), "{name}");
        }
    }
}
