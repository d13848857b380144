//! `work`: takes entries from a queue and closes their meetings, one run after the other.

use std::path::PathBuf;
use std::sync::Arc;

use config::Value;
use tracing::info;

use super::layers;
use crate::cli::WorkArgs;
use crate::clock::Clock;
use crate::dingtalk::HttpApi;
use crate::exit::{ExitCode, Failure};
use crate::journal;
use crate::lifecycle;
use crate::metrics::{Metrics, MetricsServer, Readiness};
use crate::pace::SharedQuota;
use crate::queue::{Link, MonitoredQueue, OnResult, RedisQueue, RedisQuota};
use crate::settings::Settings;
use crate::worker::{self, Feeder, FeederParts, Leases, PREFETCH, Settler, SharedLeases, Worker, WorkerEnd};

pub(super) async fn run(args: WorkArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let settings = layers::settings_in(args.audit.audit_dir.as_ref(), config, options(&args))?;
    let hasher = lifecycle::hasher(&settings)?;
    let clock = Clock::System;
    let link = Link::new(&settings.queue, "work")?;
    let auth = settings.dingtalk.auth()?;
    let mut api = HttpApi::new(&settings.dingtalk, auth, settings.pace.concurrency, clock.clone())?;
    let audit_dir = &settings.audit.dir;
    journal::lock_audit_dir(audit_dir).map_err(|error| lifecycle::audit_not_writable(audit_dir, &error))?;
    let is_rehearsal = lifecycle::is_rehearsal(&settings, &api).await;
    api.expect_sandbox(is_rehearsal);
    let api = Arc::new(api);
    let mut signals = lifecycle::signals::listen()?;

    let (concurrency, per_second) = (settings.pace.concurrency, settings.pace.requests_per_second);
    let metrics = Arc::new(Metrics::new(per_second));
    let readiness = Readiness::not_yet("joining the queue");
    let _server = serve(&settings, &metrics, &readiness).await?;

    let name = worker::worker_name();
    let leases = SharedLeases::new(Leases::new(&settings.queue.stream, clock.clone()));
    let queue = RedisQueue::new(link, &settings.queue, name.clone(), clock.clone()).on_reconnection({
        let leases = leases.clone();
        move || leases.doubt_all()
    });
    if !worker::join(&queue, args.drain, &readiness, &mut signals, &clock).await? {
        return Ok(ExitCode::Done);
    }
    let queue = Arc::new(MonitoredQueue::new(queue, sets(readiness.clone())));
    info!(worker = name, stream = settings.queue.stream, "joined the queue");
    let quota = RedisQuota::new(Arc::clone(&queue), name.clone(), settings.pace);
    let quota = SharedQuota::start(quota, concurrency, per_second, clock.clone());
    let (settler, settle_queue) = Settler::new(Arc::clone(&queue), leases.clone(), clock.clone());
    let settler = tokio::spawn(settler.run());
    let renewal = tokio::spawn({
        let (queue, leases, clock) = (Arc::clone(&queue), leases.clone(), clock.clone());
        let claim_after = settings.queue.claim_after;
        async move { worker::renew_leases(&*queue, &leases, &clock, claim_after).await }
    });
    let feeder = Feeder::new(FeederParts {
        broker: Arc::clone(&queue),
        leases: leases.clone(),
        settle_queue: settle_queue.clone(),
        clock: clock.clone(),
        claim_after: settings.queue.claim_after,
        capacity: PREFETCH * concurrency,
        on_batch: Box::new({
            let metrics = Arc::clone(&metrics);
            move |batch| metrics.queue_pending(batch.entries)
        }),
    });
    let (drains, stop) = (args.drain, None);
    let worker = Worker {
        drains,
        settings,
        hasher,
        clock,
        api,
        is_rehearsal,
        queue,
        quota,
        leases,
        settle_queue,
        signals,
        metrics,
        readiness,
        stop,
    };
    let WorkerEnd { result, queue, mut signals } = worker.work(feeder).await;

    worker::leave(&*queue, settler, &mut signals).await;
    renewal.abort();
    result
}

fn options(args: &WorkArgs) -> Vec<(&'static str, Value)> {
    layers::given([
        ("pace.requests_per_second", args.pace.rate.map(Value::from)),
        ("pace.concurrency", args.pace.concurrency.map(Value::from)),
    ])
}

/// Serves the metrics over HTTP, if an address is configured.
async fn serve(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    readiness: &Readiness,
) -> Result<Option<MetricsServer>, Failure> {
    let Some(listen) = settings.metrics.listen else { return Ok(None) };
    let server =
        MetricsServer::start(listen, Arc::clone(metrics), readiness.clone()).await.map_err(|error| {
            Failure::new(ExitCode::Usage, format!("cannot listen on {listen}: {error}"))
                .hint("set metrics.listen to a free address")
        })?;
    info!("serving metrics at http://{}/metrics", server.address());
    Ok(Some(server))
}

/// Sets whether this worker is ready: its last call to the queue succeeded.
fn sets(readiness: Readiness) -> OnResult {
    Box::new(move |result| match result {
        Ok(()) => readiness.ready(),
        Err(problem) => readiness.not_ready(&problem),
    })
}
