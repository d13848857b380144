//! Three workers with many faults at once.

use std::collections::{HashMap, HashSet};

use meeting_closer::{EndedBy, Hasher, OutcomeKind, Reader, Record, Sandbox};
use tokio::process::Child;

use crate::support::{Closer, calls_reach, fast_sandbox};
use crate::support_redis::{DEAD, Redis, STREAM, terminate};

const ENTRIES: usize = 5000;
const RATE: usize = 400;

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_with_killed_stopped_and_disconnected_workers_loses_no_entry_and_keeps_one_quota() {
    let (sandbox, mut redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let names: Vec<String> = (0..ENTRIES).map(|n| format!("m{n:04}")).collect();
    let fleet: Vec<Closer> = (0..3)
        .map(|_| {
            Closer::at(&sandbox)
                .with_queue(&redis)
                .set("PACE__REQUESTS_PER_SECOND", &RATE.to_string())
                .set("QUEUE__CLAIM_AFTER", "2s")
        })
        .collect();
    fleet[0].list(names.iter().map(String::as_str));
    assert_eq!(fleet[0].run(&["enqueue", "--yes", "list.csv"]).await.code, 0);
    let entries: Vec<(String, HashMap<String, String>)> = redis.command(&["XRANGE", STREAM, "-", "+"]);
    let mut workers: Vec<Child> =
        fleet.iter().map(|closer| closer.command(&["work", "--drain"]).spawn().unwrap()).collect();

    calls_reach(&sandbox, 1000).await;
    let name = format!("-{}-", workers[0].id().unwrap());
    workers[0].kill().await.unwrap();
    // The killed worker's leases. It may have closed some of these entries without an acknowledgement.
    let leased = redis.pending().iter().filter(|lease| lease.worker.contains(&name)).count() as u64;

    calls_reach(&sandbox, 2000).await;
    terminate(&workers[1]);
    let ended = workers.remove(1).wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(4), "{}", String::from_utf8_lossy(&ended.stderr));

    calls_reach(&sandbox, 3000).await;
    redis.stop();
    redis.start_again();
    let last = workers.remove(1).wait_with_output().await.unwrap();
    let printed = String::from_utf8_lossy(&last.stderr);
    assert_eq!(last.status.code(), Some(0), "{printed}");
    assert!(printed.contains("no request is sent until the store of the shared quota replies"), "{printed}");
    assert!(printed.contains("the store of the shared quota replies again"), "{printed}");

    assert_eq!((redis.length(STREAM), redis.pending(), redis.length(DEAD)), (0, vec![], 0));
    assert!(names.iter().all(|name| sandbox.has_ended(name)));
    let calls = sandbox.statistics();
    assert!(calls.close_calls <= ENTRIES as u64 + leased, "{} calls, {leased} leases", calls.close_calls);
    // The stand-in counts arrivals, and the machine's scheduler shifts them by up to 50 ms. The journals below are exact.
    assert!(calls.most_in_a_second <= RATE + RATE / 20, "{} in a second", calls.most_in_a_second);

    let (mut ended, mut sent_at) = (HashSet::new(), vec![]);
    for run in fleet.iter().flat_map(Closer::run_folders) {
        let mut reader = Reader::open(&run.join("journal.jsonl"), Hasher::PLAIN).unwrap();
        while let Some(entry) = reader.next_entry().unwrap() {
            if let Record::Attempt(_) = entry.record {
                sent_at.push(entry.at.as_millisecond());
            }
            let Record::Outcome(outcome) = entry.record else { continue };
            match outcome.outcome {
                OutcomeKind::NotAttempted => continue,
                OutcomeKind::Closed => {}
                // The worker that closed it was killed before the outcome or the acknowledgement.
                OutcomeKind::AlreadyClosed => assert_eq!(outcome.ended_by, Some(EndedBy::Unknown)),
                kind => panic!("{kind}: {outcome:?}"),
            }
            ended.insert(outcome.source.to_string());
        }
    }
    sent_at.sort_unstable();
    let within_a_second = |first: usize| sent_at.partition_point(|at| *at < sent_at[first] + 1000) - first;
    let most = (0..sent_at.len()).map(within_a_second).max().unwrap();
    assert!(most <= RATE + 1, "{most} sent within a second");
    let expected: HashSet<String> = entries.into_iter().map(|(id, _)| format!("{STREAM}/{id}")).collect();
    assert!(ended == expected, "{} of {} entries have an outcome", ended.len(), expected.len());
}
