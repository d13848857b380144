//! `enqueue` and the `queue` commands.

use crate::support::{Closer, CommandOutput};
use crate::support_redis::{DEAD, Redis, STREAM};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n:04}")).collect()
}

fn with_rows(closer: Closer, names: &[String]) -> Closer {
    closer.list(names.iter().map(String::as_str));
    closer
}

async fn enqueue(closer: &Closer) -> CommandOutput {
    closer.run(&["enqueue", "--yes", "list.csv"]).await
}

#[tokio::test]
async fn a_waiting_row_is_not_added_twice_and_a_deleted_row_is_added_again() {
    let redis = Redis::start();
    let closer = with_rows(Closer::bare().with_queue(&redis), &names(1200));
    let first = enqueue(&closer).await;
    let expected = format!("1200 requests added to {STREAM}, 0 waited there already\n");
    assert_eq!((first.code, first.stdout.as_str(), first.stderr.as_str()), (0, expected.as_str(), ""));
    assert_eq!(
        enqueue(&closer).await.stdout,
        format!("0 requests added to {STREAM}, 1200 waited there already\n")
    );
    let more = with_rows(closer, &names(1210));
    assert_eq!(
        enqueue(&more).await.stdout,
        format!("10 requests added to {STREAM}, 1200 waited there already\n")
    );
    assert_eq!(redis.length(STREAM), 1210);

    // Entries of other producers and their deletion do no harm.
    redis.add_meeting("m0000");
    let _: u64 = redis.command(&["DEL", STREAM]);
    assert_eq!(
        enqueue(&more).await.stdout,
        format!("1210 requests added to {STREAM}, 0 waited there already\n")
    );
}

#[tokio::test]
async fn an_entry_contains_the_ids_and_the_requester() {
    let redis = Redis::start();
    let closer = Closer::bare().with_queue(&redis);
    closer.file("list.csv", "host,meeting id\nU,../x\n");
    assert_eq!(enqueue(&closer).await.code, 0);
    let entries: Vec<(String, Vec<String>)> = redis.command(&["XRANGE", STREAM, "-", "+"]);
    assert_eq!(entries[0].1, ["conference_id", "../x", "union_id", "U", "requested_by", "list.csv:2"]);
}

#[tokio::test]
async fn enqueue_applies_the_same_guards_as_close() {
    let redis = Redis::start();
    let closer = with_rows(Closer::bare().with_queue(&redis), &names(3));
    closer.file("keep.csv", "meeting id\nm0001\n");
    let ran = closer.run(&["enqueue", "list.csv"]).await;
    let question = format!("Add 3 close requests to {STREAM}?");
    assert_eq!(
        (ran.code, ran.stderr),
        (
            2,
            format!(
                "error: cannot ask for confirmation ({question}): standard input or standard error is not a terminal\nhint: pass --yes to confirm in advance\n"
            )
        )
    );
    let ran = closer.run(&["enqueue", "--yes", "--max-meetings", "2", "list.csv"]).await;
    assert_eq!(ran.code, 2, "{}", ran.printed());
    assert!(ran.stderr.starts_with("error: the lists contain 3 meetings, and at most 2 may be closed\n"));
    let ran = closer.run(&["enqueue", "--dry-run", "--exclude", "keep.csv", "list.csv"]).await;
    let expected = "3 rows: 2 meetings to close, 1 excluded\nexclusions: 1 read, 1 of them in the lists\n\
                    dry run: nothing was added\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (0, expected));
    assert!(!redis.exists(STREAM));
    let ran = closer.run(&["enqueue", "--yes", "--exclude", "keep.csv", "list.csv"]).await;
    assert_eq!(ran.stdout, format!("2 requests added to {STREAM}, 0 waited there already\n"));
    closer.file("list.csv", "meeting id,host\n,u\nx,u\n");
    let ran = enqueue(&closer).await;
    assert_eq!((ran.code, redis.length(STREAM)), (1, 3), "{}", ran.printed());
    assert_eq!(ran.stderr, "invalid row list.csv:2: column \"meeting id\" is empty\n");
}

#[tokio::test]
async fn an_unreachable_queue_is_reported_with_its_address_and_without_its_password() {
    let closer = with_rows(Closer::bare(), &names(1));
    let ran = enqueue(&closer).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(
        ran.stderr.starts_with("error: queue.url is not set, but enqueue needs it\nhint: "),
        "{}",
        ran.printed()
    );
    let nowhere = closer.set("QUEUE__URL", "redis://me:hunter2@127.0.0.1:1/4");
    for arguments in [&["enqueue", "--yes", "list.csv"][..], &["queue", "status"], &["queue", "requeue-dead"]]
    {
        let ran = nowhere.run(arguments).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.printed());
        assert!(ran.stderr.starts_with("error: the queue at redis://127.0.0.1:1/4: "), "{}", ran.printed());
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.printed());
    }
}

#[tokio::test]
async fn a_full_queue_takes_no_row_and_this_is_reported() {
    let redis = Redis::start();
    redis.configure("maxmemory", "1");
    let closer = with_rows(Closer::bare().with_queue(&redis), &names(3));
    let ran = enqueue(&closer).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("used memory > 'maxmemory'"), "{}", ran.printed());
    assert!(
        ran.stderr.contains("; added 0 of 3 requests\nhint: Redis has no memory left: raise its maxmemory"),
        "{}",
        ran.printed()
    );
    redis.configure("maxmemory", "0");
    assert_eq!(enqueue(&closer).await.code, 0);
}

#[tokio::test]
async fn a_password_from_a_file_opens_the_queue_and_a_wrong_one_is_reported() {
    let redis = Redis::start();
    redis.configure("requirepass", "hunter2");
    let closer = with_rows(Closer::bare().with_queue(&redis), &names(1));
    let ran = enqueue(&closer).await;
    assert_eq!(ran.code, 2, "{}", ran.printed());
    assert!(
        ran.stderr.contains("hint: set queue.password_file, and put the user's name into queue.url"),
        "{}",
        ran.printed()
    );
    closer.file("password", "hunter2\n");
    let closer = closer.set("QUEUE__PASSWORD_FILE", "password");
    let ran = enqueue(&closer).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    closer.file("password", "hunter3\n");
    let ran = closer.run(&["queue", "status"]).await;
    assert_eq!(ran.code, 2, "{}", ran.printed());
    assert!(!ran.printed().contains("hunter3"), "{}", ran.printed());
}

#[tokio::test]
async fn status_shows_an_unused_queue_and_a_missing_one() {
    let redis = Redis::start();
    let closer = with_rows(Closer::bare().with_queue(&redis), &names(3));
    let status = |waiting: u64| {
        format!(
            "waiting                         {waiting:>10}\nin progress                              0\n\
                 dead                                     0\n"
        )
    };
    assert_eq!(closer.run(&["queue", "status"]).await.stdout, status(0));
    enqueue(&closer).await;
    assert_eq!(closer.run(&["queue", "status"]).await.stdout, status(3));
    let ran = closer.run(&["queue", "requeue-dead"]).await;
    assert_eq!(
        (ran.code, ran.stdout),
        (0, format!("0 entries put back on {STREAM}, 0 waited there already\n"))
    );
    assert!(!redis.exists(DEAD));
}

#[tokio::test]
async fn check_looks_at_the_queue_only_if_one_is_configured() {
    let redis = Redis::start();
    redis.add_meeting("m");
    let line = async |closer: &Closer| {
        let ran = closer.run(&["check"]).await;
        ran.stdout.lines().find(|line| line.contains("queue: ")).map(str::to_owned)
    };
    assert_eq!(line(&Closer::bare()).await, None);
    let expected =
        format!("ok     queue: a trial on {STREAM} did all that a worker does; it has 1 waiting request");
    assert_eq!(line(&Closer::bare().with_queue(&redis)).await, Some(expected));
    let away = line(&Closer::bare().set("QUEUE__URL", "redis://127.0.0.1:1/")).await.unwrap();
    assert!(away.starts_with("wrong  queue: the queue at redis://127.0.0.1:1/0: "), "{away}");
    assert!(away.contains("; hint: "), "{away}");
}
