//! Random servers with random faults: what must hold whatever the server does.
//!
//! The test prints a seed that fails. `PACING_SEED=123 tests/run pacing::seeds` plays it alone.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use meeting_closer::{EndedBy, OutcomeKind};

use super::server::Behaviour;
use super::simulation::{Plan, Played, play};

const SEEDS: u64 = 10_000;

#[test]
fn whatever_a_server_does_each_row_gets_one_outcome_and_no_limit_of_ours_is_exceeded() {
    if let Some(seed) = std::env::var("PACING_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let plan = plan(seed);
        meeting_closer::print_out(&format!("{plan:#?}"));
        return check(&plan).unwrap();
    }
    let (next, failures) = (AtomicU64::new(0), Mutex::new(vec![]));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let seed = next.fetch_add(1, Ordering::Relaxed)
                    && seed < SEEDS
                {
                    let checked = std::panic::catch_unwind(|| check(&plan(seed)));
                    if let Err(problem) = checked.unwrap_or_else(|_| Err("it panics".into())) {
                        failures.lock().unwrap().push(format!("seed {seed}: {problem}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} seeds fail; play one alone with PACING_SEED=…\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// A server and a run, drawn from a seed.
fn plan(seed: u64) -> Plan {
    let mut random = Rng::with_seed(seed);
    let mut sometimes = |probability: f64, value: f64| if random.f64() < probability { value } else { 0.0 };
    let (errors, resets) = (sometimes(0.4, 0.05), sometimes(0.4, 0.03));
    let other_apps = sometimes(0.3, 0.9);
    let mut random = Rng::with_seed(seed.wrapping_add(1 << 32));
    let mut between = |least: f64, most: f64| least + (most - least) * random.f64();
    let quota = (0..3).map(|step| (f64::from(step) * between(1.0, 30.0), between(0.8, 80.0))).collect();
    let latency_ms = (between(1.0, 50.0), between(50.0, 2000.0));
    let ban = (between(0.0, 20.0), between(60.0, 700.0));
    let outage = between(0.0, 20.0);
    let outage = (outage, outage + between(1.0, 600.0));
    let (rate, minute_quota) = (between(1.0, 100.0), between(20.0, 600.0));
    let deadline = Duration::from_secs_f64(between(0.1, 60.0));
    let mut random = Rng::with_seed(seed.wrapping_add(2 << 32));
    let settings = [
        ("PACE__REQUESTS_PER_SECOND", rate.to_string()),
        ("PACE__BURST", random.u32(1..5).to_string()),
        ("PACE__CONCURRENCY", random.u32(1..40).to_string()),
        ("PACE__ADAPTIVE", (random.u32(0..10) > 0).to_string()),
        ("RETRY__MAX_ATTEMPTS", random.u32(1..10).to_string()),
        ("RETRY__BUDGET", random.u32(0..100).to_string()),
    ];
    let mut one_in = |number: u32| random.u32(0..number) == 0;
    Plan {
        rows: 20 + seed % 60,
        settings: settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        deadline: one_in(8).then_some(deadline),
        behaviour: Behaviour {
            quota,
            calendar_seconds: one_in(3),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "20 to 600")]
            minute_quota: one_in(5).then_some(minute_quota as usize),
            other_apps,
            latency_ms,
            errors,
            resets,
            bans: if one_in(5) { vec![ban] } else { vec![] },
            outages: if one_in(5) { vec![outage] } else { vec![] },
        },
        seed,
    }
}

fn check(plan: &Plan) -> Result<(), String> {
    let Played { ends, outcomes, server, settings } = play(plan)?;
    let [end] = &ends[..] else { return Err("one run".into()) };
    let ensure = |holds: bool, what: &dyn Fn() -> String| if holds { Ok(()) } else { Err(what()) };
    let rows: HashSet<&str> = outcomes.iter().map(|outcome| outcome.conference_id.as_str()).collect();
    ensure(rows.len() == outcomes.len() && rows.len() as u64 == plan.rows, &|| {
        format!("{} outcomes of {} rows for {} rows", outcomes.len(), rows.len(), plan.rows)
    })?;
    ensure(end.totals.outcomes.values().sum::<u64>() == plan.rows, &|| format!("totals {:?}", end.totals))?;
    let calls = server.calls();
    ensure(end.totals.calls == calls.len() as u64, &|| {
        format!("{} calls counted, {} made", end.totals.calls, calls.len())
    })?;
    let mut asked: HashMap<&str, u32> = HashMap::new();
    for call in &calls {
        *asked.entry(call.conference_id.as_str()).or_default() += 1;
    }
    for outcome in &outcomes {
        let ended = server.has_ended(&outcome.conference_id);
        let outcome_is_true = match outcome.kind {
            OutcomeKind::Closed => ended && outcome.ended_by == Some(EndedBy::ThisRun),
            // Every meeting was open before, so an earlier request of this run ended it.
            OutcomeKind::AlreadyClosed => ended && outcome.ended_by == Some(EndedBy::Unknown),
            OutcomeKind::Failed => outcome.attempts > 0,
            OutcomeKind::NotAttempted => end.stop.is_some(),
            OutcomeKind::Invalid
            | OutcomeKind::Duplicate
            | OutcomeKind::Excluded
            | OutcomeKind::Withdrawn => false,
        };
        ensure(outcome_is_true, &|| format!("{outcome:?}"))?;
        let attempts = asked.get(outcome.conference_id.as_str()).copied().unwrap_or(0);
        ensure(outcome.attempts <= attempts.min(settings.retry.max_attempts), &|| {
            format!("{attempts} requests of {outcome:?}")
        })?;
    }
    // One probe at the end of each pause of five minutes.
    let probes: f64 = plan.behaviour.bans.iter().map(|(_, length)| (length / 300.0).floor()).sum();
    let in_bans = server.calls_in_bans();
    ensure(in_bans as f64 <= probes, &|| format!("{in_bans} requests were sent during a ban"))?;
    let (interval, burst) = (1.0 / settings.pace.requests_per_second, f64::from(settings.pace.burst.get()));
    let mut due = f64::NEG_INFINITY;
    for call in &calls {
        let at = call.sent_at.as_secs_f64();
        ensure(at >= due - (burst - 1.0) * interval - 1e-6, &|| format!("the cap is exceeded at {at} s"))?;
        due = due.max(at) + interval;
    }
    Ok(())
}
