//! Replays the corpus, so that no input that once went wrong goes wrong again.

use std::collections::BTreeSet;
use std::fs;
use std::panic;
use std::path::Path;

use super::TARGETS;

#[test]
fn every_input_of_the_corpus_keeps_the_promises() {
    for (name, check) in TARGETS {
        let folder = Path::new("fuzz/corpus").join(name);
        let mut inputs = 0;
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            let kept = panic::catch_unwind(|| check(&input));
            assert!(kept.is_ok(), "{} breaks a promise", path.display());
            inputs += 1;
        }
        assert!(inputs > 2, "{name} has {inputs} inputs");
    }
}

#[test]
fn every_target_has_a_binary_and_every_binary_a_check() {
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz/targets"), targets);
    assert_eq!(names("fuzz/corpus"), targets);
    let manifest = fs::read_to_string("fuzz/Cargo.toml").unwrap();
    for target in &targets {
        assert!(manifest.contains(&format!("path = \"targets/{target}.rs\"")), "{target}");
    }
}
