//! `work`: entries of a queue in, meetings ended, one run after the other out.

use std::path::PathBuf;
use std::sync::Arc;

use config::Value;
use tracing::info;

use crate::cli::WorkArgs;
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::exit::{ExitCode, Failure};
use crate::journal;
use crate::lifecycle;
use crate::metrics::{Metrics, MetricsServer, Readiness};
use crate::pace::SharedQuota;
use crate::queue::{Link, MonitoredQueue, OnAnswer, RedisQueue, RedisQuota};
use crate::settings::Settings;
use crate::worker::{
    self, Feeder, Leases, PREFETCH, Settler, SharedLeases, Worker, WorkerEnd, join, leave, renew_leases,
};

pub(super) async fn run(args: WorkArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let settings = super::settings(config, options(&args))?;
    let hasher = lifecycle::hasher(&settings)?;
    let clock = Clock::System;
    let link = Link::new(&settings.queue, "work")?;
    let auth = settings.dingtalk.auth()?;
    let api = Arc::new(HttpApi::new(&settings.dingtalk, auth, settings.pace.concurrency, clock.clone())?);
    let audit_dir = &settings.audit.dir;
    journal::lock_audit_dir(audit_dir).map_err(|error| lifecycle::audit_not_writable(audit_dir, &error))?;
    let mut signals = lifecycle::signals::listen().map_err(|error| Failure::new(ExitCode::Usage, error))?;

    let (concurrency, per_second) = (settings.pace.concurrency, settings.pace.requests_per_second);
    let (metrics, readiness) = (Arc::new(Metrics::new(per_second)), Readiness::not_yet("joining the queue"));
    let _server = serve(&settings, &metrics, &readiness).await?;

    let name = worker::worker_name();
    let leases = SharedLeases::new(Leases::new(&settings.queue.stream, clock.clone()));
    let doubted = leases.clone();
    let queue = RedisQueue::new(link, &settings.queue, name.clone(), clock.clone())
        .on_reconnection(move || doubted.doubt_all());
    if !join(&queue, args.drain, &readiness, &mut signals, &clock).await? {
        return Ok(ExitCode::Done);
    }
    let queue = Arc::new(MonitoredQueue::new(queue, tells(readiness.clone())));
    info!(worker = name, stream = settings.queue.stream, "joined the queue");
    let quota = RedisQuota::new(Arc::clone(&queue), name.clone(), settings.pace);
    let quota = SharedQuota::start(quota, concurrency, per_second, clock.clone());
    let (settler, settle_queue) = Settler::new(Arc::clone(&queue), leases.clone(), clock.clone());
    let settler = tokio::spawn(settler.run());
    let renewal = tokio::spawn({
        let (queue, leases, clock, claim_after) =
            (Arc::clone(&queue), leases.clone(), clock.clone(), settings.queue.claim_after);
        async move { renew_leases(&*queue, &leases, &clock, claim_after).await }
    });

    let feeder = Feeder::new(
        Arc::clone(&queue),
        leases.clone(),
        settle_queue.clone(),
        clock.clone(),
        settings.queue.claim_after,
        PREFETCH * concurrency,
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
        quota,
        leases,
        settle_queue,
        signals,
        metrics,
        readiness,
        stop,
    };
    let WorkerEnd { ended, queue, mut signals } = worker.work(feeder).await;

    leave(&queue, settler, &mut signals).await;
    renewal.abort();
    ended
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
