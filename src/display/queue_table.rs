//! The queue at one moment, for people.

use crate::queue::{Snapshot, WorkerLoad};
use crate::wording::duration;

/// What waits, who works on what, what is dead.
pub(crate) fn queue_table(snapshot: &Snapshot) -> String {
    let Snapshot { waiting, workers, dead, dead_by_code } = snapshot;
    let in_work = workers.iter().map(|worker| worker.entries).sum();
    let mut lines = vec![line("waiting", *waiting), line("in work", in_work)];
    for WorkerLoad { worker, entries, longest_ms } in workers {
        lines.push(format!("{}  for {}", line(&format!("  {worker}"), *entries), duration(*longest_ms)));
    }
    lines.push(line("dead", *dead));
    lines.extend(dead_by_code.iter().map(|(code, count)| line(&format!("  {code}"), *count)));
    lines.join("\n")
}

fn line(name: &str, count: u64) -> String {
    format!("{name:<32}{count:>10}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_who_works_on_what_and_what_is_dead_are_told() {
        let snapshot = Snapshot {
            waiting: 1200,
            workers: vec![WorkerLoad { worker: "host-7-0a1b".into(), entries: 3, longest_ms: 75_300 }],
            dead: 2,
            dead_by_code: vec![("permissionError".into(), 2)],
        };
        let expected = "\
waiting                               1200
in work                                  3
  host-7-0a1b                            3  for 1m 15s
dead                                     2
  permissionError                        2";
        assert_eq!(queue_table(&snapshot), expected);
    }
}
