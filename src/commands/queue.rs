//! `queue`: shows the queue, and puts dead entries back.

use std::path::PathBuf;

use super::layers;
use crate::cli::RequeueArgs;
use crate::clock::Clock;
use crate::exit::{ExitCode, Failure};
use crate::queue::{Link, RedisQueue, Requeued};
use crate::settings::Settings;
use crate::{display, printer};

pub(super) async fn status(config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let settings = layers::settings(config, vec![])?;
    printer::out(&display::queue_table(&connect(&settings)?.status().await?));
    Ok(ExitCode::Done)
}

pub(super) async fn requeue_dead(args: &RequeueArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let settings = layers::settings(config, vec![])?;
    let requeued = connect(&settings)?.requeue(args.code.as_deref(), args.limit).await?;
    let Requeued { put_back, waited } = requeued;
    let stream = &settings.queue.stream;
    let put_back = if put_back == 1 { "1 entry".to_owned() } else { format!("{put_back} entries") };
    printer::out(&format!("{put_back} put back on {stream}, {waited} waited there already"));
    Ok(ExitCode::Done)
}

/// The configured queue. It connects at its first use.
pub(super) fn connect(settings: &Settings) -> Result<RedisQueue, Failure> {
    let link = Link::new(&settings.queue, "queue")?;
    Ok(RedisQueue::new(link, &settings.queue, "queue".to_owned(), Clock::System))
}
