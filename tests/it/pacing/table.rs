//! The table of simulated servers in `tests/data/pacing/`: one file per server, with the expected results.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use meeting_closer::OutcomeKind;
use serde::Deserialize;

use super::server::{Behaviour, Call, Fate};
use super::simulation::{Plan, Played, play, play_fleet};

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

/// The expected results, for every seed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// The least and the greatest share of the ideal speed: the time that the rows take if the run uses every moment of the
    /// quota, divided by the time that the run took.
    speed: (f64, f64),
    /// The greatest share of requests that were refused for their rate.
    refused: f64,
    /// The most requests that were sent between the first answer that reported a ban and the ban's end.
    #[serde(default)]
    calls_in_ban: usize,
    /// The most requests that were sent within any one second.
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

/// How much of the speed workers that share a quota may lose, and how many more requests may be refused. There are three
/// reasons: the store counts requests by twentieths of a window, a worker learns of a refusal a round trip later, and permits
/// have slots with a little time between them.
const SHARING: (f64, f64) = (0.05, 0.005);

#[test]
fn each_simulated_server_gives_results_within_its_expected_range() {
    each_case(1..=5, (0.0, 0.0), |plan| play(plan).unwrap());
}

#[test]
fn three_workers_that_share_the_quota_are_as_fast_as_one_run_at_each_simulated_server() {
    each_case(1..=2, SHARING, |plan| play_fleet(plan, 3).unwrap());
}

/// Plays every case with these seeds, and compares the results with the expected ones, which may be missed by the given
/// amounts.
fn each_case(seeds: RangeInclusive<u64>, (slower, more_refused): (f64, f64), play: impl Fn(&Plan) -> Played) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pacing");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 11, "{files:?}");
    let mut failures = String::new();
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
                let _ = writeln!(failures, "{name}, seed {seed}: {measured:?}, expected {:?}", case.expect);
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
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

fn measure(case: &Case, played: &Played) -> Measured {
    let Played { outcomes, server, settings, .. } = played;
    let calls = server.calls();
    assert_eq!(outcomes.len() as u64, case.rows);
    let (first, last) = (calls[0].sent_at, calls.iter().map(|call| call.sent_at).max().unwrap());
    let refused = calls.iter().filter(|call| call.fate == Fate::Refused).count();
    let ideal = ideal_seconds(case, first.as_secs_f64(), settings.pace.requests_per_second);
    Measured {
        speed: ideal / last.saturating_sub(first).as_secs_f64(),
        refused: refused as f64 / calls.len() as f64,
        calls_in_ban: server.calls_in_bans(),
        most_in_a_second: most_within(&calls, Duration::from_secs(1)),
        failed: outcomes.iter().filter(|outcome| outcome.kind == OutcomeKind::Failed).count(),
    }
}

/// The time from the first request to the last, if the run used every moment of the quota and exceeded it never.
fn ideal_seconds(case: &Case, start: f64, cap: f64) -> f64 {
    const STEP: f64 = 0.01;
    // The first request is sent at the start. Requests that fail by chance are sent again.
    let again = 1.0 / (1.0 - case.server.errors - case.server.resets);
    let (mut left, mut at) = ((case.rows as f64) * again - 1.0, start);
    while left > 0.0 {
        left -= case.server.room(at, cap) * STEP;
        at += STEP;
    }
    at - start
}

/// The most requests that were sent within any span of this length.
fn most_within(calls: &[Call], span: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (last, call) in calls.iter().enumerate() {
        while calls[first].sent_at + span <= call.sent_at {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}
