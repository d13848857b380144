//! The state of the queue as a table.

use crate::queue::{Snapshot, WorkerLoad};
use crate::wording::duration;

/// How many entries wait, how many each worker has, and how many are dead, by code.
pub(crate) fn queue_table(snapshot: &Snapshot) -> String {
    let Snapshot { waiting, workers, dead, dead_by_code } = snapshot;
    let in_progress = workers.iter().map(|worker| worker.entries).sum();
    let mut lines = vec![line("waiting", *waiting), line("in progress", in_progress)];
    for WorkerLoad { worker, entries, longest_ms } in workers {
        lines.push(format!("{}  for {}", line(&format!("  {worker}"), *entries), duration(*longest_ms)));
    }
    lines.push(line("dead", *dead));
    lines.extend(dead_by_code.iter().map(|(code, entries)| line(&format!("  {code}"), *entries)));
    lines.join("\n")
}

fn line(name: &str, entries: u64) -> String {
    format!("{name:<32}{entries:>10}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_waiting_entries_each_workers_entries_and_dead_entries() {
        let snapshot = Snapshot {
            waiting: 1200,
            workers: vec![WorkerLoad { worker: "host-7-0a1b".into(), entries: 3, longest_ms: 75_300 }],
            dead: 2,
            dead_by_code: vec![("permissionError".into(), 2)],
        };
        let expected = "\
waiting                               1200
in progress                              3
  host-7-0a1b                            3  for 1m 15s
dead                                     2
  permissionError                        2";
        assert_eq!(queue_table(&snapshot), expected);
    }
}
