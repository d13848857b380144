//! `enqueue`: the rows of lists, on the queue.

use std::path::PathBuf;

use config::Value;

use crate::cli::EnqueueArgs;
use crate::clock::Clock;
use crate::display;
use crate::exit::{ExitCode, Failure};
use crate::lifecycle::guard;
use crate::lists::{Exclusions, ListName, Lists, Survey, Triage, TriagedRow};
use crate::printer;
use crate::queue::{Added, BrokerError, Link, RedisQueue};
use crate::settings::Settings;

pub(super) async fn run(args: EnqueueArgs, config: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let max_meetings = args.max_meetings.map(|most| ("guard.max_meetings", Value::from(most)));
    let settings = super::settings(config, max_meetings.into_iter().collect())?;
    let inputs = ListName::all(&args.inputs, args.workbooks.sheet.as_deref())?;
    let lists = Lists::open(&inputs, &settings.input)?;
    let exclusions = super::close::exclusions(args.exclude.as_ref(), &settings)?;
    let survey = Survey::of(&lists, exclusions.clone())?;
    display::remarks(&survey).iter().for_each(|line| printer::err(line));
    guard::check_max_meetings(&survey, &settings)?;
    let code = if survey.invalid > 0 { ExitCode::Incomplete } else { ExitCode::Done };
    if args.dry_run {
        printer::out(&display::contents(&survey));
        printer::out("dry run: nothing was added");
        return Ok(code);
    }
    let link = Link::new(&settings.queue, "enqueue")?;
    let queue = RedisQueue::new(link, &settings.queue, "enqueue".to_owned(), Clock::System);
    confirm(&args, &survey, &settings)?;
    let mut done = Added::default();
    let added = add(&queue, &lists, exclusions, &mut done).await;
    let Added { added: count, waited } = done;
    if let Err(error) = added {
        let code = if count + waited > 0 { ExitCode::Interrupted } else { ExitCode::Usage };
        let so_far = format!("{error}; {count} of {} were added", survey.to_close);
        return Err(Failure::new(code, so_far).hint(
            error.hint.unwrap_or("run the same command again: what waits already is not added twice"),
        ));
    }
    let stream = &settings.queue.stream;
    printer::out(&format!("{count} added to {stream}, {waited} waited there already"));
    Ok(code)
}

async fn add(
    queue: &RedisQueue,
    lists: &Lists,
    exclusions: Exclusions,
    done: &mut Added,
) -> Result<(), BrokerError> {
    let mut triage = Triage::new(exclusions);
    let mut batch = Vec::with_capacity(RedisQueue::MOST_ADDED);
    // The lists were read to their end before, from the copy that is read now.
    for row in lists.rows().map_while(Result::ok) {
        if let TriagedRow::ToClose { origin, request } = triage.sort(row) {
            batch.push((origin, request));
        }
        if batch.len() == RedisQueue::MOST_ADDED {
            *done += queue.add(&std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        *done += queue.add(&batch).await?;
    }
    Ok(())
}

fn confirm(args: &EnqueueArgs, survey: &Survey, settings: &Settings) -> Result<(), Failure> {
    if args.yes || survey.to_close == 0 {
        return Ok(());
    }
    let question = format!("Add {} meetings to {}, to be closed?", survey.to_close, settings.queue.stream);
    guard::confirm(&question, "nothing was added")
}
