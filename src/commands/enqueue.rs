//! `enqueue`: adds the rows of lists to the queue.

use std::path::PathBuf;

use config::Value;

use super::layers;
use crate::cli::EnqueueArgs;
use crate::clock::Clock;
use crate::exit::{ExitCode, Failure};
use crate::lifecycle::guard;
use crate::lifecycle::preview::{self, InvalidRows};
use crate::lists::{Exclusions, ListName, Lists, Triage, TriagedRow};
use crate::printer;
use crate::queue::{Added, BrokerError, Link, RedisQueue};
use crate::wording::count;

pub(super) async fn run(args: EnqueueArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let options = layers::given([("guard.max_meetings", args.guards.max_meetings.map(Value::from))]);
    let settings = layers::settings(config, options)?;
    let inputs = ListName::all(&args.inputs, args.workbooks.sheet.as_deref())?;
    let lists = Lists::open(&inputs, &settings.input)?;
    let exclusions = guard::exclusions(args.guards.exclude.as_deref(), &settings)?;
    let named = if args.dry_run { InvalidRows::All } else { InvalidRows::BEFORE_A_QUESTION };
    let survey = preview::survey(&lists, &exclusions, named)?;
    guard::check_max_meetings(&survey, &settings)?;
    if args.dry_run {
        return Ok(preview::dry_run_of_enqueue(&survey));
    }
    let link = Link::new(&settings.queue, "enqueue")?;
    let queue = RedisQueue::new(link, &settings.queue, "enqueue".to_owned(), Clock::System);
    guard::confirm_enqueue(&args, &survey, &settings)?;
    let mut done = Added::default();
    let result = add(&queue, &lists, exclusions, &mut done).await;
    let Added { added, waited } = done;
    if let Err(error) = result {
        let code = if added + waited > 0 { ExitCode::Interrupted } else { ExitCode::Usage };
        let problem = format!("{error}; added {added} of {}", count(survey.to_close, "request"));
        return Err(Failure::new(code, problem).hint(
            error.hint.unwrap_or("repeat the command: it adds no request that is on the queue already"),
        ));
    }
    let stream = &settings.queue.stream;
    printer::out(&format!("{} added to {stream}, {waited} waited there already", count(added, "request")));
    Ok(preview::exit_code(&survey))
}

async fn add(
    queue: &RedisQueue,
    lists: &Lists,
    exclusions: Exclusions,
    done: &mut Added,
) -> Result<(), BrokerError> {
    let mut triage = Triage::new(exclusions);
    let mut batch = Vec::with_capacity(RedisQueue::MAX_ADDED);
    // The survey has read this same copy of the lists to the end, so every row is readable.
    for row in lists.rows().map_while(Result::ok) {
        if let TriagedRow::ToClose { origin, request } = triage.sort(row) {
            batch.push((origin, request));
        }
        if batch.len() == RedisQueue::MAX_ADDED {
            *done += queue.add(&std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        *done += queue.add(&batch).await?;
    }
    Ok(())
}
