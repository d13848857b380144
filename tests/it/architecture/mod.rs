//! Which folder may use which: the order of ARCHITECTURE.md, held against every path in the code.
//!
//! The code of tests is left out: a test may use what it likes.

mod imports;

use std::collections::{BTreeMap, BTreeSet};

use imports::{Source, sources};

/// The modules of `src/`, from the top down. A module may use those of later lines, and never one of an earlier line or of its
/// own line. What a line's modules have in common stands beside it.
const ORDER: [(&[&str], &str); 16] = [
    (&["commands"], "wire the parts together"),
    (&["worker"], "one run after the other, from a queue"),
    (&["lifecycle", "check"], "one run from end to end; what has to be right before one"),
    (&["cli"], "the command line"),
    (&["sandbox"], "the stand-in; the command line names its faults"),
    (&["display", "telemetry", "traces", "metrics"], "what people and machines see of a run"),
    (&["report"], "what a journal says, as files"),
    (&["run"], "rows in, outcomes out"),
    (&["queue"], "entries that wait, and their broker"),
    (&["pace", "dingtalk", "journal", "lists", "retry"], "they do not know each other"),
    (&["settings", "events"], "what was configured; what happens in a run"),
    (&["outcome"], "what an attempt and a row came to"),
    (&["meeting"], "what a row asks for"),
    (&["clock"], "time"),
    (&["exit"], "exit codes, and the form of every error"),
    (&["atomic_file", "backoff", "http_server", "printer", "wording"], "tools that know nothing of ours"),
];

/// A module that few may use, and who they are.
const RESERVED: [(&str, &[&str]); 4] = [
    ("cli", &["commands", "lifecycle"]),
    ("sandbox", &["commands", "cli"]),
    ("pace", &["commands", "worker", "run", "queue"]),
    ("queue", &["commands", "worker", "display"]),
];

/// What `queue` may know of `pace`: the trait of the shared quota, and the types in it.
const QUOTA: [&str; 8] = [
    "Feedback",
    "PermitGrant",
    "PermitRequest",
    "QuotaReply",
    "QuotaStore",
    "RateSignal",
    "WaitReason",
    "shared",
];

fn line_of(module: &str) -> usize {
    let line = ORDER.iter().position(|(modules, _)| modules.contains(&module));
    line.unwrap_or_else(|| {
        panic!("module {module} has no place in ORDER: give it one, and ARCHITECTURE.md too")
    })
}

#[test]
fn a_module_uses_only_modules_below_it() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Some(module) = source.module() else { continue };
        for import in &source.imports {
            let used = import.path[0].as_str();
            if used != module && line_of(used) <= line_of(module) {
                wrong.insert(format!(
                    "{}: {module} may not use crate::{}",
                    source.file,
                    import.path.join("::")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_reserved_module_is_used_by_few() {
    let mut wrong = BTreeSet::new();
    for source in sources() {
        let Some(module) = source.module() else { continue };
        for import in &source.imports {
            let used = import.path[0].as_str();
            let users = RESERVED.iter().find(|(reserved, _)| *reserved == used);
            if used != module && users.is_some_and(|(_, users)| !users.contains(&module)) {
                wrong.insert(format!(
                    "{}: {module} may not use crate::{}",
                    source.file,
                    import.path.join("::")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_queue_knows_of_the_pace_the_shared_quota_alone() {
    let of_queue = sources().into_iter().filter(|source| source.module() == Some("queue"));
    let paths = of_queue.flat_map(|source| source.imports).map(|import| import.path);
    let names: BTreeSet<String> =
        paths.filter(|path| path[0] == "pace").map(|path| path[1].clone()).collect();
    let others: Vec<&String> = names.iter().filter(|name| !QUOTA.contains(&name.as_str())).collect();
    assert!(!names.is_empty() && others.is_empty(), "{others:?}");
}

#[test]
fn no_two_files_need_each_other() {
    let sources = sources();
    let mut uses: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in &sources {
        let files = source.imports.iter().filter_map(|import| Source::holding(&sources, &import.path));
        uses.insert(&source.file, files.filter(|file| *file != source.file).map(str::to_owned).collect());
    }
    // Take away files that use no file that is left. What remains is circles, and what uses them.
    loop {
        let left: BTreeSet<String> = uses.keys().map(|file| (*file).to_owned()).collect();
        let before = uses.len();
        uses.retain(|_, used| used.iter().any(|file| left.contains(file)));
        if uses.len() == before {
            break;
        }
    }
    let is_in_circle = |file: &str| {
        let mut reached = BTreeSet::new();
        let mut open = vec![file.to_owned()];
        while let Some(next) = open.pop() {
            for used in uses.get(next.as_str()).into_iter().flatten() {
                if reached.insert(used.clone()) {
                    open.push(used.clone());
                }
            }
        }
        reached.contains(file)
    };
    let circles: Vec<(&str, &BTreeSet<String>)> =
        uses.iter().filter(|(file, _)| is_in_circle(file)).map(|(file, used)| (*file, used)).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_type_name_has_one_meaning() {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        for name in &source.types {
            files.entry(name.clone()).or_default().insert(source.file.clone());
        }
    }
    let shared: Vec<_> = files.into_iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(shared.is_empty(), "{shared:#?}");
}

#[test]
fn architecture_md_names_every_folder_of_the_code() {
    let text = std::fs::read_to_string("ARCHITECTURE.md").unwrap();
    for (modules, _) in ORDER {
        for module in modules {
            assert!(text.contains(&format!("`{module}")), "ARCHITECTURE.md does not name {module}");
        }
    }
}
