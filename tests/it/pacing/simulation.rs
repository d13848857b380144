//! A whole run against a simulated server: the real pacer, dispatcher and runner, on paused time.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use meeting_closer::clock::Clock;
use meeting_closer::events::{Observe, RunEvent};
use meeting_closer::intake::Entry;
use meeting_closer::journal::{Chain, Hasher, Journal, Storage};
use meeting_closer::meeting::{CloseRequest, ConferenceId, Origin, UnionId};
use meeting_closer::outcome::Outcome;
use meeting_closer::pace::Pacer;
use meeting_closer::run::{self, Arrival, Parts, Prior, RunEnd};
use meeting_closer::settings::{Layers, Settings};
use tokio::sync::mpsc;

use super::server::{Behaviour, Server};

/// Longer than any simulated run takes: a run that is not over by then hangs.
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

/// What came of it.
pub(crate) struct Ran {
    pub(crate) end: RunEnd,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) server: Arc<Server>,
    pub(crate) settings: Settings,
}

/// A journal that is not kept.
struct Nowhere;

impl Storage for Nowhere {
    fn append(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Heard(Vec<Outcome>);

impl Observe for Heard {
    fn observe(&mut self, event: &RunEvent<'_>) {
        if let RunEvent::RowEnded { outcome } = event {
            self.0.push((*outcome).clone());
        }
    }
}

/// Plays a plan on a runtime of its own; an error where the run hangs.
pub(crate) fn play(plan: &Plan) -> Result<Ran, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let ran = tokio::time::timeout(HANGS, run_plan(plan)).await;
        ran.map_err(|_| "the run hangs".to_owned())
    })
}

async fn run_plan(plan: &Plan) -> Ran {
    let environment =
        plan.settings.iter().map(|(key, value)| (format!("MEETING_CLOSER__{key}"), value.clone())).collect();
    let settings = Settings::load(&Layers { environment, ..Layers::default() }).unwrap();
    let server = Arc::new(Server::new(plan.behaviour.clone(), plan.seed));
    let journal = Journal::new("nowhere".into(), Nowhere, Chain::new(Hasher::PLAIN));
    let (clock, mut heard) = (Clock::tokio(), Heard::default());
    let (_signal, signals) = mpsc::channel(1);
    let parts = Parts {
        api: Arc::clone(&server),
        pacer: Pacer::new(&settings.pace),
        pace: settings.pace,
        retry: settings.retry,
        seed: plan.seed,
        journal: &journal,
        observer: &mut heard,
        signals,
        deadline: plan.deadline.map(|deadline| clock.now() + deadline),
        patience: None,
        clock,
    };
    let end = run::run(parts, rows(plan.rows)).await;
    Ran { end, outcomes: heard.0, server, settings }
}

fn rows(count: u64) -> mpsc::Receiver<Result<Arrival, meeting_closer::intake::IntakeError>> {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        for line in 0..count {
            let request = CloseRequest {
                conference_id: ConferenceId::parse(&format!("m{line}")).unwrap(),
                union_id: UnionId::parse("host").unwrap(),
            };
            let entry = Entry::ToClose { origin: Origin { source: "list.csv".into(), line }, request };
            if sender.send(Ok(Arrival { entry, prior: Prior::default() })).await.is_err() {
                return;
            }
        }
    });
    receiver
}
