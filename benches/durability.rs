//! The cost of durability: compares an unthrottled run that syncs its journal to the disk with one that does not.
//!
//! `cargo bench --bench durability`. Both runs use a loopback socket to a stand-in in this process. They take turns, so that
//! other load on the machine affects both. The bench compares the medians.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use meeting_closer::{
    Chain, Clock, FileStorage, Hasher, HttpApi, IncomingRow, Journal, Layers, Observers, Origin, Pacer,
    PriorAttempts, Quotas, RunParts, Sandbox, SandboxSettings, Settings, Storage, TriagedRow, fixtures,
    print_out, run,
};
use tokio::sync::mpsc;

const ROWS: u64 = 10_000;
const TURNS: usize = 9;

/// A file that is never synced to the disk.
struct Unsynced(FileStorage);

impl Storage for Unsynced {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir_in(".").expect("the bench needs a folder that it may write to");
    let mut seconds: [Vec<f64>; 2] = [vec![], vec![]];
    for turn in 0..TURNS {
        for (synced, seconds) in [true, false].into_iter().zip(&mut seconds) {
            let path = folder.path().join(format!("{turn}-{synced}.jsonl"));
            seconds.push(one_run(&path, synced).await.as_secs_f64());
        }
    }
    let [synced, unsynced] = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        ROWS as f64 / seconds[TURNS / 2]
    });
    print_out(&format!("synced    {synced:>8.0} rows/s"));
    print_out(&format!("unsynced  {unsynced:>8.0} rows/s"));
    print_out(&format!("synced runs keep {:.0} % of the speed", 100.0 * synced / unsynced));
}

async fn one_run(path: &Path, synced: bool) -> Duration {
    let unlimited = SandboxSettings {
        latency: (Duration::ZERO, Duration::ZERO),
        quotas: Quotas::unlimited(),
        ..SandboxSettings::default()
    };
    let sandbox = Sandbox::start(unlimited).await.expect("the stand-in needs a free port");
    let variables = [
        ("MEETING_CLOSER__DINGTALK__BASE_URL", sandbox.base_url()),
        ("MEETING_CLOSER__DINGTALK__APP_KEY", "any".into()),
        ("MEETING_CLOSER__DINGTALK__APP_SECRET", "any".into()),
        ("MEETING_CLOSER__PACE__REQUESTS_PER_SECOND", "1000000".into()),
        ("MEETING_CLOSER__PACE__CONCURRENCY", "64".into()),
    ];
    let environment = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let settings =
        Settings::load(&Layers { environment, ..Layers::default() }).expect("the default settings are valid");
    let auth = settings.dingtalk.auth().expect("the bench sets an app key and a secret");
    let file = FileStorage::create(path).expect("the bench needs space on the disk");
    let chain = Chain::new(Hasher::PLAIN);
    let journal = if synced {
        Journal::new(path.to_owned(), file, chain)
    } else {
        Journal::new(path.to_owned(), Unsynced(file), chain)
    };
    let clock = Clock::System;
    let (_signal, signals) = mpsc::channel(1);
    let parts = RunParts {
        api: Arc::new(
            HttpApi::new(&settings.dingtalk, auth, 64, clock.clone())
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
        clock: clock.clone(),
    };
    let start = clock.now();
    let end = run(parts, rows()).await;
    journal.sync().expect("the bench needs space on the disk");
    assert_eq!(end.totals.outcomes.get("closed"), Some(&ROWS), "{end:?}");
    clock.now() - start
}

fn rows() -> mpsc::Receiver<Result<IncomingRow, meeting_closer::ListError>> {
    let (sender, receiver) = mpsc::channel(256);
    tokio::spawn(async move {
        for line in 0..ROWS {
            let request = fixtures::close_request(&format!("meeting-{line}"), "host");
            let entry = TriagedRow::ToClose { origin: Origin { source: "list.csv".into(), line }, request };
            if sender.send(Ok(IncomingRow { entry, prior: PriorAttempts::default() })).await.is_err() {
                return;
            }
        }
    });
    receiver
}
