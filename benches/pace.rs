//! Measures how close a run comes to the quota, and how often it is refused, over a loopback socket in real time.
//!
//! `cargo bench --bench pace` takes two minutes. The ideal is the time that the rows would take if the run used the whole quota,
//! from the first request to the last.

use std::sync::Arc;
use std::time::Duration;

use meeting_closer::{
    Chain, Clock, FileStorage, Hasher, HttpApi, IncomingRow, Journal, Layers, ListError, Observers, Origin,
    Pacer, PriorAttempts, Quotas, RunParts, Sandbox, SandboxSettings, Settings, TriagedRow, fixtures,
    print_out, run,
};
use tokio::sync::mpsc;

/// A measured case. `quota` lists the second at which a quota starts, and the quota per second.
struct Case {
    name: &'static str,
    quota: &'static [(u64, usize)],
    configured: u32,
    rows: u64,
}

const CASES: [Case; 3] = [
    Case { name: "quota known", quota: &[(0, 60)], configured: 60, rows: 900 },
    Case { name: "configured four times too high", quota: &[(0, 60)], configured: 240, rows: 900 },
    Case {
        name: "quota falling and rising",
        quota: &[(0, 40), (30, 8), (60, 40)],
        configured: 40,
        rows: 3000,
    },
];

#[tokio::main]
async fn main() {
    for case in &CASES {
        measure(case).await;
    }
}

async fn measure(case: &Case) {
    let folder = tempfile::tempdir_in(".").expect("the bench needs a folder that it may write to");
    let quotas = Quotas { per_second: Some(case.quota[0].1), ..Quotas::unlimited() };
    let sandbox = Sandbox::start(SandboxSettings { quotas, ..SandboxSettings::default() }).await;
    let sandbox = Arc::new(sandbox.expect("the stand-in needs a free port"));
    let steps = tokio::spawn({
        let (sandbox, steps, start) = (Arc::clone(&sandbox), case.quota, Clock::System.now());
        async move {
            for (second, quota) in steps {
                Clock::System.wait_until(start + Duration::from_secs(*second)).await;
                sandbox.set_app_quota(Some(*quota));
            }
        }
    });
    let variables = [
        ("MEETING_CLOSER__DINGTALK__BASE_URL", sandbox.base_url()),
        ("MEETING_CLOSER__DINGTALK__APP_KEY", "any".into()),
        ("MEETING_CLOSER__DINGTALK__APP_SECRET", "any".into()),
        ("MEETING_CLOSER__PACE__REQUESTS_PER_SECOND", case.configured.to_string()),
    ];
    let environment = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let settings =
        Settings::load(&Layers { environment, ..Layers::default() }).expect("the default settings are valid");
    let auth = settings.dingtalk.auth().expect("the bench sets an app key and a secret");
    let path = folder.path().join("journal.jsonl");
    let file = FileStorage::create(&path).expect("the bench needs space on the disk");
    let journal = Journal::new(path, file, Chain::new(Hasher::PLAIN));
    let (_signal, signals) = mpsc::channel(1);
    let clock = Clock::System;
    let parts = RunParts {
        api: Arc::new(
            HttpApi::new(&settings.dingtalk, auth, settings.pace.concurrency, clock.clone())
                .expect("an HTTP client needs nothing from the machine"),
        ),
        pacer: Pacer::new(&settings.pace, None),
        pace: settings.pace,
        retry: settings.retry,
        seed: 1,
        journal: &journal,
        observer: &mut Observers::default(),
        signals,
        deadline: None,
        clock,
    };
    let end = run(parts, rows(case.rows)).await;
    steps.abort();
    let statistics = sandbox.statistics();
    let ideal = ideal_seconds(case);
    let taken = statistics.span_ms as f64 / 1000.0;
    print_out(&format!(
        "{:<32} {taken:>6.2} s, {:>5.1} % of the ideal speed, {:>5.2} % refused ({} of {})",
        case.name,
        100.0 * ideal / taken,
        100.0 * end.totals.throttled_calls as f64 / end.totals.calls as f64,
        end.totals.throttled_calls,
        end.totals.calls,
    ));
}

fn ideal_seconds(case: &Case) -> f64 {
    let mut left = case.rows as f64 - 1.0;
    for (index, (from, quota)) in case.quota.iter().enumerate() {
        let quota = (*quota as f64).min(f64::from(case.configured));
        let length = case.quota.get(index + 1).map_or(f64::INFINITY, |(to, _)| (to - from) as f64);
        if left <= quota * length {
            return *from as f64 + left / quota;
        }
        left -= quota * length;
    }
    unreachable!("the last quota lasts for ever")
}

fn rows(count: u64) -> mpsc::Receiver<Result<IncomingRow, ListError>> {
    let (sender, receiver) = mpsc::channel(256);
    tokio::spawn(async move {
        for line in 0..count {
            let request = fixtures::close_request(&format!("meeting-{line}"), "host");
            let entry = TriagedRow::ToClose { origin: Origin { source: "list.csv".into(), line }, request };
            if sender.send(Ok(IncomingRow { entry, prior: PriorAttempts::default() })).await.is_err() {
                return;
            }
        }
    });
    receiver
}
