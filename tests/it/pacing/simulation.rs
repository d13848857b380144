//! A whole run against a simulated server, with the real pacer, dispatcher and runner, on paused time.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use meeting_closer::{
    Chain, Clock, Hasher, IncomingRow, Journal, Layers, ListError, Observe, Origin, Outcome, Pacer,
    PriorAttempts, RunEnd, RunEvent, RunParts, Settings, Storage, TriagedRow, fixtures, run,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::fleet::{self, ScriptHost};
use super::server::{Behaviour, Server};

/// Longer than any simulated run takes. A run that is not over by then hangs.
const HANGS: Duration = Duration::from_hours(24 * 30);

/// What is simulated.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) rows: u64,
    /// `SECTION__KEY` and value.
    pub(crate) settings: HashMap<String, String>,
    pub(crate) behaviour: Behaviour,
    pub(crate) deadline: Option<Duration>,
    pub(crate) seed: u64,
}

/// What was played.
pub(crate) struct Played {
    /// One for each worker.
    pub(crate) ends: Vec<RunEnd>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) server: Arc<Server>,
    pub(crate) settings: Settings,
}

/// A journal that keeps nothing.
struct NoStorage;

impl Storage for NoStorage {
    fn append(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The outcomes that a run reported.
#[derive(Default)]
struct Observed(Vec<Outcome>);

impl Observe for Observed {
    fn observe(&mut self, event: &RunEvent<'_>) {
        if let RunEvent::RowEnded { outcome } = event {
            self.0.push((*outcome).clone());
        }
    }
}

/// Plays a plan on a runtime of its own. An error means that the run hangs.
pub(crate) fn play(plan: &Plan) -> Result<Played, String> {
    on_paused_time(run_plan(plan))
}

/// Plays a plan with this many workers that share the quota.
pub(crate) fn play_fleet(plan: &Plan, workers: usize) -> Result<Played, String> {
    on_paused_time(run_fleet(plan, workers))
}

fn on_paused_time(run: impl Future<Output = Played>) -> Result<Played, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let played = tokio::time::timeout(HANGS, run).await;
        played.map_err(|_| "the run hangs".to_owned())
    })
}

async fn run_plan(plan: &Plan) -> Played {
    let (settings, server) = begin(plan);
    let pacer = Pacer::new(&settings.pace, None);
    let rows = rows(Arc::new(AtomicU64::new(0)), plan.rows);
    let (end, outcomes) = one_run(plan, &settings, Arc::clone(&server), pacer, rows).await;
    Played { ends: vec![end], outcomes, server, settings }
}

async fn run_fleet(plan: &Plan, workers: usize) -> Played {
    let (settings, server) = begin(plan);
    let (host, next) = (Arc::new(ScriptHost::new()), Arc::new(AtomicU64::new(0)));
    let mut runs = JoinSet::new();
    for number in 0..workers {
        let pacer = fleet::pacer(&host, &settings.pace, number);
        let rows = rows(Arc::clone(&next), plan.rows);
        let (plan, settings, server) = (plan.clone(), settings.clone(), Arc::clone(&server));
        runs.spawn(async move { one_run(&plan, &settings, server, pacer, rows).await });
    }
    let (ends, outcomes): (Vec<_>, Vec<_>) = runs.join_all().await.into_iter().unzip();
    Played { ends, outcomes: outcomes.concat(), server, settings }
}

fn begin(plan: &Plan) -> (Settings, Arc<Server>) {
    let environment =
        plan.settings.iter().map(|(key, value)| (format!("MEETING_CLOSER__{key}"), value.clone())).collect();
    let settings = Settings::load(&Layers { environment, ..Layers::default() }).unwrap();
    (settings, Arc::new(Server::new(plan.behaviour.clone(), plan.seed)))
}

async fn one_run(
    plan: &Plan,
    settings: &Settings,
    api: Arc<Server>,
    pacer: Pacer,
    rows: mpsc::Receiver<Result<IncomingRow, ListError>>,
) -> (RunEnd, Vec<Outcome>) {
    let journal = Journal::new("nowhere".into(), NoStorage, Chain::new(Hasher::PLAIN));
    let (clock, mut observed) = (Clock::tokio(), Observed::default());
    let (_signal, signals) = mpsc::channel(1);
    let parts = RunParts {
        api,
        pacer,
        pace: settings.pace,
        retry: settings.retry,
        seed: plan.seed,
        journal: &journal,
        observer: &mut observed,
        signals,
        deadline: plan.deadline.map(|deadline| clock.now() + deadline),
        clock,
    };
    let end = run(parts, rows).await;
    (end, observed.0)
}

/// The rows that no worker has taken yet: `next` is the first of them.
fn rows(next: Arc<AtomicU64>, count: u64) -> mpsc::Receiver<Result<IncomingRow, ListError>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let Ok(slot) = sender.reserve().await else { return };
            let line = next.fetch_add(1, Ordering::Relaxed);
            if line >= count {
                return;
            }
            let request = fixtures::close_request(&format!("m{line}"), "host");
            let entry = TriagedRow::ToClose { origin: Origin { source: "list.csv".into(), line }, request };
            slot.send(Ok(IncomingRow { entry, prior: PriorAttempts::default() }));
        }
    });
    receiver
}
