//! The table of simulated servers in `tests/data/pacing/`: one file each, with what is expected.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use meeting_closer::OutcomeKind;
use serde::Deserialize;

use super::server::{Behaviour, Call, Came};
use super::simulation::{Plan, Ran, play, play_fleet};

/// One file of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    rows: u64,
    /// `SECTION__KEY` and value, over the defaults.
    settings: HashMap<String, String>,
    server: Behaviour,
    expect: Expected,
}

/// What is expected, of every seed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// The share of the ideal speed: the time in which the rows would be let in were every moment used, by the time taken.
    speed: (f64, f64),
    /// The greatest share of requests that were refused for their rate.
    refused: f64,
    /// The most requests that left after a ban was heard of and before it was over.
    #[serde(default)]
    calls_in_ban: usize,
    /// The most requests that left within any one second.
    most_in_a_second: usize,
    /// The most rows that failed.
    #[serde(default)]
    failed: usize,
}

/// What was measured.
#[derive(Debug)]
struct Measured {
    speed: f64,
    refused: f64,
    calls_in_ban: usize,
    most_in_a_second: usize,
    failed: usize,
}

/// How much of the speed workers that share a quota may lose, and how many more requests may be refused: they know what was
/// let in by twentieths of a window, they learn a round trip later, and their permits stand a little apart.
const SHARING: (f64, f64) = (0.05, 0.005);

#[test]
fn each_simulated_server_is_served_within_its_expected_range() {
    each_case(1..=5, (0.0, 0.0), |plan| play(plan).unwrap());
}

#[test]
fn three_workers_that_share_the_quota_serve_each_simulated_server_as_one_run_does() {
    each_case(1..=2, SHARING, |plan| play_fleet(plan, 3).unwrap());
}

/// Plays every case with these seeds, and holds it against what is expected and by how much that may be missed.
fn each_case(seeds: RangeInclusive<u64>, (slower, more_refused): (f64, f64), play: impl Fn(&Plan) -> Ran) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pacing");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 11, "{files:?}");
    let mut wrong = String::new();
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let case: Case = toml::from_str(&std::fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        for seed in seeds.clone() {
            let measured = measure(&case, &play(&plan(&case, seed)));
            meeting_closer::print_out(&format!("{name:<36} seed {seed}  {measured:?}"));
            let Expected { speed: (slowest, fastest), refused, calls_in_ban, most_in_a_second, failed } =
                case.expect;
            let fits = (slowest - slower..=fastest).contains(&measured.speed)
                && measured.refused <= refused + more_refused
                && measured.calls_in_ban <= calls_in_ban
                && measured.most_in_a_second <= most_in_a_second
                && measured.failed <= failed;
            if !fits {
                let _ = writeln!(wrong, "{name}, seed {seed}: {measured:?}, expected {:?}", case.expect);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn plan(case: &Case, seed: u64) -> Plan {
    Plan {
        rows: case.rows,
        settings: case.settings.clone(),
        behaviour: case.server.clone(),
        deadline: None,
        seed,
    }
}

fn measure(case: &Case, ran: &Ran) -> Measured {
    let Ran { outcomes, server, settings, .. } = ran;
    let calls = server.calls();
    assert_eq!(outcomes.len() as u64, case.rows);
    let (first, last) = (calls[0].left_at, calls.iter().map(|call| call.left_at).max().unwrap());
    let refused = calls.iter().filter(|call| call.came == Came::Refused).count();
    let ideal = ideal_seconds(case, first.as_secs_f64(), settings.pace.requests_per_second);
    Measured {
        speed: ideal / last.saturating_sub(first).as_secs_f64(),
        refused: refused as f64 / calls.len() as f64,
        calls_in_ban: server.calls_in_bans(),
        most_in_a_second: most_within(&calls, Duration::from_secs(1)),
        failed: outcomes.iter().filter(|outcome| outcome.kind == OutcomeKind::Failed).count(),
    }
}

/// From the first request to the last, were the quota known at every moment and never missed.
fn ideal_seconds(case: &Case, start: f64, cap: f64) -> f64 {
    const STEP: f64 = 0.01;
    // The first request leaves at the start; those that fail by chance are sent again.
    let again = 1.0 / (1.0 - case.server.errors - case.server.resets);
    let (mut left, mut at) = ((case.rows as f64) * again - 1.0, start);
    while left > 0.0 {
        left -= case.server.room(at, cap) * STEP;
        at += STEP;
    }
    at - start
}

/// The most requests that left within any span of this length.
fn most_within(calls: &[Call], span: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, call) in calls.iter().enumerate() {
        while calls[first].left_at + span <= call.left_at {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}
