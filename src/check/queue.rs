//! Judges a queue: whether its server did what a worker asks, and whether it keeps what it is given.

use super::{Finding, Side};
use crate::exit::Failure;
use crate::wording::count;

/// A queue on which a trial did all that a worker does.
#[derive(Debug, Default)]
pub(crate) struct QueueFacts {
    /// Requests that wait.
    pub waiting: u64,
    /// The `maxmemory-policy` that deletes any key when memory is full, requests included.
    pub evicts_requests: Option<String>,
    /// The one that deletes keys that expire. The workers' quota is one.
    pub evicts_quota: Option<String>,
    /// The server writes nothing to a disk.
    pub keeps_nothing: bool,
}

/// The findings of a trial on this stream.
pub(crate) fn queue(stream: &str, tried: Result<QueueFacts, Failure>) -> Vec<Finding> {
    let facts = match tried {
        Ok(facts) => facts,
        Err(failure) => {
            let advice = failure
                .hint
                .unwrap_or_else(|| "check that Redis runs at this address, and check queue.url".into());
            return vec![Finding::wrong(Side::Local, "queue", failure.problem, advice)];
        }
    };
    let waiting = count(facts.waiting, "waiting request");
    let found = format!("a trial on {stream} did all that a worker does; it has {waiting}");
    let mut findings = vec![Finding::ok("queue", found)];
    let no_eviction = "set maxmemory-policy noeviction";
    findings.extend(facts.evicts_requests.map(|policy| {
        let found = format!("this Redis deletes requests when it is full (maxmemory-policy {policy})");
        Finding::wrong(Side::Local, "queue memory", found, no_eviction)
    }));
    findings.extend(facts.evicts_quota.map(|policy| {
        let found =
            format!("this Redis deletes the workers' quota when it is full (maxmemory-policy {policy})");
        Finding::warning("queue memory", found, no_eviction)
    }));
    if facts.keeps_nothing {
        findings.push(Finding::warning(
            "queue disk",
            "this Redis writes nothing to a disk: a restart loses the queue",
            "set appendonly yes",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitCode;

    fn lines(facts: QueueFacts) -> Vec<String> {
        queue("s", Ok(QueueFacts { waiting: 1, ..facts })).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_queue_that_works_is_one_line_and_what_may_lose_it_is_another() {
        let works = "ok     queue: a trial on s did all that a worker does; it has 1 waiting request";
        assert_eq!(lines(QueueFacts::default()), [works]);
        let second = |facts| lines(facts)[1].clone();
        let policy = || Some("lru".to_owned());
        assert_eq!(
            second(QueueFacts { evicts_requests: policy(), ..QueueFacts::default() }),
            "wrong  queue memory: this Redis deletes requests when it is full (maxmemory-policy lru); hint: set \
             maxmemory-policy noeviction"
        );
        let quota = second(QueueFacts { evicts_quota: policy(), ..QueueFacts::default() });
        assert!(quota.starts_with("warn   queue memory: "), "{quota}");
        let disk = second(QueueFacts { keeps_nothing: true, ..QueueFacts::default() });
        assert!(disk.starts_with("warn   queue disk: "), "{disk}");
    }

    #[test]
    fn a_failure_is_wrong_with_its_advice_or_with_where_to_look() {
        let failure = Failure::new(ExitCode::Usage, "away");
        let line = |failure| queue("s", Err(failure))[0].to_string();
        assert_eq!(
            line(failure),
            "wrong  queue: away; hint: check that Redis runs at this address, and check queue.url"
        );
        let failure = Failure::new(ExitCode::Usage, "full").hint("make room");
        assert_eq!(line(failure), "wrong  queue: full; hint: make room");
    }
}
