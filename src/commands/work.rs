//! `work`: entries of a queue in, meetings ended, one run after the other out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::begin;
use super::worker::{CARRIED, Parting, Queue, Worker};
use crate::cli::WorkArgs;
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::exit::{ExitCode, Failure};
use crate::journal;
use crate::metrics::{Metrics, MetricsServer, Readiness};
use crate::pace::Shared;
use crate::queue::{
    Broker as _, Failures, Feeder, Hand, Link, OnAnswer, RedisQueue, RedisQuota, Settler, SharedHand,
    Watched, keep,
};
use crate::run::Signal;
use crate::settings::Settings;

/// How long a worker that ends waits for a queue that does not answer.
const GOODBYE: Duration = Duration::from_secs(10);

pub(super) async fn run(args: WorkArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let settings = super::settings(config, options(&args))?;
    let hasher = begin::hasher(&settings)?;
    let clock = Clock::System;
    let link = Link::new(&settings.queue, "work")?;
    let auth = settings.dingtalk.auth()?;
    let api = Arc::new(HttpApi::new(&settings.dingtalk, auth, settings.pace.concurrency, clock.clone())?);
    let audit_dir = &settings.audit.dir;
    journal::lock_audit_dir(audit_dir).map_err(|error| begin::lost(audit_dir, &error))?;
    let mut signals = super::signals::listen().map_err(|error| Failure::new(ExitCode::Usage, error))?;

    let (concurrency, per_second) = (settings.pace.concurrency, settings.pace.requests_per_second);
    let (metrics, readiness) = (Arc::new(Metrics::new(per_second)), Readiness::not_yet("joining the queue"));
    let _server = serve(&settings, &metrics, &readiness).await?;

    let name = worker_name();
    let hand = SharedHand::new(Hand::new(&settings.queue.stream, clock.clone()));
    let in_hand = hand.clone();
    let queue = RedisQueue::new(link, &settings.queue, name.clone(), clock.clone())
        .on_reconnection(move || in_hand.doubt());
    if !join(&queue, args.drain, &readiness, &mut signals, &clock).await? {
        return Ok(ExitCode::Done);
    }
    let queue = Arc::new(Watched::new(queue, tells(readiness.clone())));
    info!(worker = name, stream = settings.queue.stream, "joined the queue");
    let quota = RedisQuota::new(Arc::clone(&queue), name.clone(), settings.pace);
    let shared = Shared::start(quota, concurrency, per_second, clock.clone());
    let (settler, settling) = Settler::new(Arc::clone(&queue), hand.clone(), clock.clone());
    let settler = tokio::spawn(settler.run());
    let keeper = tokio::spawn({
        let (queue, hand, clock, claim_after) =
            (Arc::clone(&queue), hand.clone(), clock.clone(), settings.queue.claim_after);
        async move { keep(&*queue, &hand, &clock, claim_after).await }
    });

    let feeder = Feeder::new(
        Arc::clone(&queue),
        hand.clone(),
        settling.clone(),
        clock.clone(),
        settings.queue.claim_after,
        CARRIED * concurrency,
        Box::new({
            let metrics = Arc::clone(&metrics);
            move |batch| metrics.queue_pending(batch.entries)
        }),
    );
    let (drains, stop) = (args.drain, None);
    let worker = Worker {
        drains,
        settings,
        hasher,
        clock,
        api,
        queue,
        shared,
        hand,
        settling,
        signals,
        metrics,
        readiness,
        stop,
    };
    let Parting { ended, queue, mut signals } = worker.work(feeder).await;

    tokio::select! {
        () = say_goodbye(&queue, settler) => {}
        Some(_) = signals.recv() => {
            warn!("let go of the queue: what is done and not acknowledged is handed to another worker later");
        }
    }
    keeper.abort();
    ended
}

/// Joins the queue; says whether it did before a signal came. A worker that serves waits for a queue that is away, as it does
/// later; one that drains says so at once.
async fn join(
    queue: &RedisQueue,
    drains: bool,
    readiness: &Readiness,
    signals: &mut mpsc::Receiver<Signal>,
    clock: &Clock,
) -> Result<bool, Failure> {
    let mut failures = Failures::default();
    loop {
        let error = tokio::select! {
            joined = queue.join() => match joined {
                Ok(()) => break,
                Err(error) if error.passes && !drains => error,
                Err(error) => return Err(error.into()),
            },
            Some(_) = signals.recv() => return Ok(false),
        };
        readiness.not_ready(&error.to_string());
        let again_at = clock.now() + failures.failed(&error);
        tokio::select! {
            () = clock.wait_until(again_at) => {}
            Some(_) = signals.recv() => return Ok(false),
        }
    }
    failures.worked();
    readiness.ready();
    Ok(true)
}

/// Sees what is done acknowledged, and leaves.
async fn say_goodbye(queue: &Queue, settler: JoinHandle<()>) {
    // Every way to the settler is gone by now: it ends with the last entry.
    if tokio::time::timeout(GOODBYE, settler).await.is_err() {
        warn!(
            "the queue does not take everything: what is done and not acknowledged is handed to another worker later"
        );
    }
    match tokio::time::timeout(GOODBYE, queue.leave()).await {
        Ok(Ok(0)) => {}
        Ok(Ok(held)) => warn!("{held} entries stay with this worker until they are taken over"),
        Ok(Err(error)) => warn!("{error}"),
        Err(_) => warn!("the queue does not answer"),
    }
}

fn options(args: &WorkArgs) -> Vec<(&'static str, Value)> {
    let path = |path: &PathBuf| Value::from(path.to_string_lossy().into_owned());
    let options = [
        ("pace.requests_per_second", args.rate.map(Value::from)),
        ("pace.concurrency", args.concurrency.map(Value::from)),
        ("audit.dir", args.audit_dir.as_ref().map(path)),
    ];
    options.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The figures over HTTP, where an address is configured.
async fn serve(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
) -> Result<Option<MetricsServer>, Failure> {
    let Some(listen) = settings.metrics.listen else { return Ok(None) };
    let server =
        MetricsServer::start(listen, Arc::clone(metrics), readiness.clone()).await.map_err(|error| {
            Failure::new(ExitCode::Usage, format!("cannot listen on {listen}: {error}"))
                .hint("name a free address in metrics.listen")
        })?;
    info!("figures are at http://{}/metrics", server.address());
    Ok(Some(server))
}

/// Whether this worker can work: as long as its queue does what it is asked.
fn tells(readiness: Readiness) -> OnAnswer {
    Box::new(move |answer| match answer {
        Ok(()) => readiness.ready(),
        Err(problem) => readiness.not_ready(&problem),
    })
}

/// A name that no other worker has: host, process and a few digits for the process id that comes again.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}-{:04x}", std::process::id(), fastrand::u16(..))
}
