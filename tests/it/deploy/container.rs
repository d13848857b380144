//! The Dockerfile, checked without a container engine, and the health check, executed.

use std::path::Path;
use std::process::Command;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::{read, repository};

/// The instructions as keyword and rest. Continued lines are joined.
fn instructions() -> Vec<(String, String)> {
    let text = read("deploy/Dockerfile").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(word, rest)| (word.into(), rest.into())).collect()
}

fn of(word: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == word).map(|(_, rest)| rest).collect()
}

/// The paths that the build copies from the repository.
fn sources() -> Vec<String> {
    let copies = of("COPY").into_iter().filter(|copy| !copy.starts_with("--from="));
    let paths = copies.map(|copy| copy.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    paths.flat_map(|mut paths| paths.drain(..paths.len() - 1).collect::<Vec<_>>()).collect()
}

#[test]
fn every_stage_names_a_version_and_the_compiler_has_the_crates_rust_version() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let rust = manifest["package"]["rust-version"].as_str().unwrap();
    let stages = of("FROM");
    assert_eq!(stages.len(), 2);
    for stage in &stages {
        let (_, tag) = stage.split(' ').next().unwrap().split_once(':').unwrap();
        assert!(tag.starts_with(|c: char| c.is_ascii_digit()), "{stage}");
    }
    assert!(stages[0].starts_with(&format!("rust:{rust}-")), "{}", stages[0]);
    assert!(of("RUN")[0].starts_with("cargo build --release --locked"));
}

#[test]
fn the_image_runs_unprivileged_has_a_health_check_and_contains_no_secret() {
    let all = instructions();
    let last = |word: &str| all.iter().rposition(|(found, _)| found == word).unwrap();
    let user = &all[last("USER")].1;
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap()).collect();
    assert!(ids.iter().all(|id| *id > 0) && last("USER") > last("RUN"), "{user}");
    assert!(of("HEALTHCHECK")[0].contains("CMD [\"healthcheck\", \"127.0.0.1:9464\"]"));
    assert_eq!(of("ENTRYPOINT"), ["[\"meeting-closer\"]"]);
    for setting in of("ENV").into_iter().chain(of("ARG")) {
        let name = setting.to_lowercase();
        assert!(!["secret", "token", "password", "key"].iter().any(|word| name.contains(word)), "{setting}");
    }
}

#[test]
fn everything_that_is_copied_exists_and_nothing_else_reaches_the_build() {
    let ignore = read(".dockerignore");
    let rules: Vec<&str> = ignore.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let (first, allowed) = rules.split_first().unwrap();
    assert_eq!(*first, "*");
    let mut allowed: Vec<_> = allowed.iter().map(|rule| rule.strip_prefix('!').unwrap().to_owned()).collect();
    let mut copied = sources();
    assert!(copied.iter().all(|path| repository(path).exists()), "{copied:?}");
    allowed.sort();
    copied.sort();
    assert_eq!(allowed, copied);
}

#[test]
fn everything_that_the_build_reads_is_copied() {
    let copied = sources();
    for needed in ["Cargo.toml", "Cargo.lock", "src", "benches"] {
        assert!(copied.iter().any(|path| path == needed), "{needed}");
    }
    let files =
        super::content("grep", ["-rnoE", r#"include_(str|bytes)!\("[^"]+"\)"#, "src"], &repository(""));
    let mut included = 0;
    for line in files.lines() {
        let (file, rest) = line.split_once(':').unwrap();
        let target = rest.split('"').nth(1).unwrap();
        let mut path = Path::new(file).parent().unwrap().to_owned();
        for part in Path::new(target) {
            if part == ".." { assert!(path.pop()) } else { path.push(part) }
        }
        assert!(copied.iter().any(|copied| path.starts_with(copied)), "{line}");
        included += 1;
    }
    assert!(included > 0);
    assert!(!repository("build.rs").exists() || copied.iter().any(|path| path == "build.rs"));
}

/// Whether the health check passes for a server that answers once with this.
async fn health(answer: &'static str) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut request).await.unwrap() > 0, "{request}");
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    });
    let mut check = Command::new(repository("deploy/healthcheck"));
    let check = tokio::task::spawn_blocking(move || check.arg(address).output()).await.unwrap().unwrap();
    assert!(asked.await.unwrap().starts_with("GET /healthz HTTP/1.1\r\n"));
    check.status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_passes_only_when_healthz_answers_200() {
    assert!(health("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await);
    assert!(!health("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await);
    assert!(!health("").await);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = Command::new(repository("deploy/healthcheck")).arg(free.to_string()).output().unwrap();
    assert!(!refused.status.success());
}
