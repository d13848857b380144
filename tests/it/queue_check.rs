//! `check` of a queue, against servers with which a worker could not work; and an address with any password.

use meeting_closer::Sandbox;

use crate::check::line;
use crate::support::{Closer, CommandOutput, fast_sandbox};
use crate::support_redis::{DEAD, Redis, STREAM, worker};

#[track_caller]
fn says(ran: &CommandOutput, about: &str, start: &str, part: &str, hint: &str) {
    let line = line(ran, about);
    let fits = line.starts_with(start) && line.contains(part) && line.contains(&format!("; hint: {hint}"));
    assert!(fits, "{start} {part} {hint}: {}", ran.printed());
    assert_eq!(ran.code, if start == "wrong" { 2 } else { 0 }, "{}", ran.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_a_worker_could_not_use_is_wrong_with_its_reason_and_keeps_no_key() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let keys = |redis: &Redis| redis.command::<Vec<String>>(&["KEYS", "*"]);

    let replica = Redis::start_with(&["--replicaof", "127.0.0.1 1"]);
    let ran = worker(&sandbox, &replica).run(&["check"]).await;
    says(
        &ran,
        "queue",
        "wrong",
        "read only replica",
        "this Redis is a replica: set queue.url to the primary",
    );

    let cluster = Redis::start_with(&["--cluster-enabled", "yes"]);
    let ran = worker(&sandbox, &cluster).run(&["check"]).await;
    says(&ran, "queue", "wrong", "it is a Redis Cluster", "a queue needs all its keys on one server");

    let redis = Redis::start();
    let closer = worker(&sandbox, &redis);
    redis.configure("maxmemory", "1");
    says(
        &closer.run(&["check"]).await,
        "queue",
        "wrong",
        "OOM",
        "Redis has no memory left: raise its maxmemory",
    );
    redis.configure("maxmemory", "100mb");
    for (policy, start, part) in [
        ("allkeys-lru", "wrong", "deletes requests when it is full (maxmemory-policy allkeys-lru)"),
        (
            "volatile-ttl",
            "warn",
            "deletes the workers' quota when it is full (maxmemory-policy volatile-ttl)",
        ),
    ] {
        redis.configure("maxmemory-policy", policy);
        let ran = closer.run(&["check"]).await;
        says(&ran, "queue memory", start, part, "set maxmemory-policy noeviction");
    }
    redis.configure("maxmemory-policy", "noeviction");
    redis.configure("appendonly", "no");
    says(
        &closer.run(&["check"]).await,
        "queue disk",
        "warn",
        "a restart loses the queue",
        "set appendonly yes",
    );
    assert!(keys(&redis).is_empty(), "{:?}", keys(&redis));

    // The snapshot's file cannot be replaced.
    std::fs::create_dir(redis.folder.path().join("dump.rdb")).unwrap();
    redis.configure("save", "3600 1");
    let _: String = redis.command(&["BGSAVE"]);
    while !redis.command::<String>(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:err") {
        std::thread::yield_now();
    }
    says(&closer.run(&["check"]).await, "queue", "wrong", "MISCONF", "Redis cannot save to its disk");
    redis.configure("save", "");

    for key in [DEAD, "meeting-closer:quota", "meeting-closer:requests:waiting"] {
        let _: String = redis.command(&["SET", key, "mine"]);
        says(
            &closer.run(&["check"]).await,
            "queue",
            "wrong",
            "WRONGTYPE",
            "a key of the queue has another type",
        );
        assert_eq!(keys(&redis), [key]);
        let _: u64 = redis.command(&["DEL", key]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_do_all_that_a_worker_does_is_told_and_one_who_may_is_ok() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = Closer::at(&sandbox).set("QUEUE__URL", &redis.url_of("robot:hunter2"));
    let check = async |rules: &[&str]| {
        let user = ["ACL", "SETUSER", "robot", "reset", "on", ">hunter2"];
        let _: String = redis.command(&[&user[..], rules].concat());
        let ran = closer.run(&["check"]).await;
        assert!(!ran.printed().contains("hunter2"), "{}", ran.printed());
        assert!(redis.command::<Vec<String>>(&["KEYS", "*"]).is_empty(), "{rules:?}");
        ran
    };
    for command in [
        "evalsha",
        "exists",
        "hdel",
        "hget",
        "hgetall",
        "hmget",
        "hset",
        "info",
        "pexpire",
        "script|load",
        "time",
        "xack",
        "xadd",
        "xclaim",
        "xdel",
        "xgroup|create",
        "xgroup|delconsumer",
        "xinfo|consumers",
        "xlen",
        "xpending",
        "xrange",
        "xreadgroup",
        "xrevrange",
    ] {
        let _: String = redis.command(&["SCRIPT", "FLUSH"]);
        let ran = check(&["~*", "+@all", &format!("-{command}")]).await;
        says(
            &ran,
            "queue",
            "wrong",
            "the queue at redis://127.0.0.1:",
            "allow the Redis user to run scripts",
        );
    }
    for keys in ["~meeting-closer:requests*", "~meeting-closer:d*", "%R~*"] {
        says(&check(&[keys, "+@all"]).await, "queue", "wrong", "", "allow the Redis user to run scripts");
    }
    for rules in [&["~meeting-closer:*", "+@all"], &["~*", "+@all", "-del", "-unlink", "-config"][..]] {
        let ran = check(rules).await;
        assert!(line(&ran, "queue").starts_with("ok ") && ran.code == 0, "{}", ran.printed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_leaves_a_queue_in_use_as_it_is() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let closer = worker(&sandbox, &redis);
    redis.add_meeting("m");
    redis.add(&[("conference_id", "poison")]);
    assert_eq!(closer.run(&["work", "--drain"]).await.code, 1);
    redis.add_meeting("m2");
    let state = || {
        let mut keys: Vec<String> = redis.command(&["KEYS", "*"]);
        keys.sort();
        let dumps: Vec<Vec<u8>> = keys.iter().map(|key| redis.command(&["DUMP", key])).collect();
        (keys, dumps)
    };
    let before = state();
    assert!(before.0.contains(&DEAD.to_owned()) && before.0.contains(&STREAM.to_owned()), "{:?}", before.0);
    let ran = closer.run(&["check"]).await;
    assert!(line(&ran, "queue").ends_with("; it has 1 waiting request"), "{}", ran.printed());
    assert_eq!(state(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_the_address_may_hold_any_character_and_is_never_shown() {
    let (sandbox, redis) = (Sandbox::start(fast_sandbox()).await.unwrap(), Redis::start());
    let password = "hunter#2@/x%?y:z [&]";
    redis.configure("requirepass", password);
    let at = |credentials: &str| Closer::at(&sandbox).set("QUEUE__URL", &redis.url_of(credentials));
    for credentials in [format!(":{password}"), format!("default:{password}")] {
        let ran = at(&credentials).run(&["check"]).await;
        assert!(line(&ran, "queue").starts_with("ok ") && ran.code == 0, "{}", ran.printed());
        assert!(!ran.printed().contains("hunter"), "{}", ran.printed());
    }
    for wrong in [format!(":{password}x"), format!("12#{password}"), password.to_owned()] {
        let ran = at(&wrong).run(&["queue", "status"]).await;
        assert_eq!(ran.code, 2, "{}", ran.printed());
        assert!(!ran.printed().contains("hunter") && ran.stderr.contains("hint: "), "{}", ran.printed());
    }
}
