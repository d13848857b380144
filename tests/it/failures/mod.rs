//! Every failure that a user can meet: the exit code and the whole output, as files in `snapshots/`.
//!
//! A changed output fails these tests. `INSTA_UPDATE=always cargo test failures` writes the files again. Read them before
//! you commit them.

mod dingtalk;
mod lists;
mod runs;
mod settings;
mod usage;

use std::path::{Path, PathBuf};

use insta::{Settings, assert_snapshot};

use crate::support::Closer;

/// A list of two meetings.
const LIST: &str = "conferenceId,unionId\na,host\nb,host\n";

/// Runs the binary, and compares its output with the snapshot of this name.
async fn assert_failure(name: &str, closer: &Closer, arguments: &[&str]) {
    let ran = closer.run(arguments).await;
    assert_ne!(ran.code, 0, "{name}: {}", ran.printed());
    assert!(!ran.printed().contains("hunter2"), "{name}: {}", ran.printed());
    let folder = closer.folder.path().to_str().unwrap();
    let mut settings = Settings::new();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (what, shown) in [
        (folder, "FOLDER"),
        (r"127\.0\.0\.1:[1-6]\d{4}", "127.0.0.1:PORT"),
        (r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}", "REQUEST"),
        (r"\b[0-9a-f]{64}\b", "HASH"),
        (r"\d{8}T\d{6}Z-[0-9a-f]{8}", "RUN"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z", "TIME"),
        (r"\bprocess \d+", "process PID"),
        (r"(calls?) in [^,\n]+", "$1 in TIME"),
        (r", \S+ in pauses", ""),
        (r"(to continue:) \S+", "$1 meeting-closer"),
    ] {
        settings.add_filter(what, shown);
    }
    let typed = format!("$ meeting-closer {}", arguments.join(" "));
    settings.bind(|| assert_snapshot!(name, format!("{typed}\n{}", ran.printed())));
}

#[test]
fn every_snapshot_belongs_to_a_failure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/failures");
    let files = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.is_file() && path.extension().is_none_or(|ending| ending != "new"))
            .collect()
    };
    let sources: String = files(&folder).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let snapshots = files(&folder.join("snapshots"));
    assert!(snapshots.len() > 60);
    for snapshot in snapshots {
        let name = snapshot.file_name().unwrap().to_str().unwrap().strip_suffix(".snap");
        let name = name.unwrap_or_else(|| panic!("{} is no snapshot", snapshot.display()));
        assert!(sources.contains(&format!("\"{name}\"")), "no failure is called {name}");
    }
}
