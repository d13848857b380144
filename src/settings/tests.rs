//! Tests of the layers and of the errors that name a key.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::*;

/// The defaults under a configuration file with this text.
pub(crate) fn load_text(text: &str) -> Result<Settings, SettingsError> {
    load(text, &[])
}

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, text).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Settings::load(&Layers { file: Some(file), environment, ..Layers::default() })
}

#[test]
fn the_defaults_are_valid() {
    let settings = Settings::load(&Layers::default()).unwrap();
    assert!((settings.pace.requests_per_second - 18.0).abs() < f64::EPSILON);
}

#[test]
fn options_override_the_environment_which_overrides_the_file_which_overrides_the_defaults() {
    let file = "[pace]\nburst = 2\nconcurrency = 3\nrequests_per_second = 4";
    let environment =
        [("MEETING_CLOSER__PACE__CONCURRENCY", "5"), ("MEETING_CLOSER__PACE__REQUESTS_PER_SECOND", "6.5")];
    let settings = load(file, &environment).unwrap();
    assert_eq!((settings.pace.burst.get(), settings.pace.concurrency), (2, 5));
    let layers = Layers {
        environment: environment.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        options: vec![("pace.requests_per_second", 7.0.into())],
        ..Layers::default()
    };
    assert!((Settings::load(&layers).unwrap().pace.requests_per_second - 7.0).abs() < f64::EPSILON);
}

#[test]
fn an_unknown_key_is_named() {
    for (file, environment) in [("[pace]\nrqs = 1", None), ("", Some(("MEETING_CLOSER__PACE__RQS", "1")))] {
        let error = load(file, environment.as_slice()).unwrap_err().to_string();
        assert!(error.contains("pace") && error.contains("rqs"), "{error}");
    }
    assert!(load_text("[speed]\na = 1").unwrap_err().to_string().contains("speed"));
}

#[test]
fn a_key_that_could_steer_a_terminal_is_named_without_its_control_characters() {
    for (file, environment) in
        [("\"\\u001b[2Jrate\" = 1", None), ("", Some(("MEETING_CLOSER__\u{1b}[2Jrate", "1")))]
    {
        let error = load(file, environment.as_slice()).unwrap_err().to_string();
        assert!(error.contains("rate"), "{error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_an_error_with_its_key_and_without_the_value() {
    let error = load_text("[pace]\nconcurrency = \"SECRET\"").unwrap_err().to_string();
    assert!(error.contains("pace.concurrency") && !error.contains("SECRET"), "{error}");
    let error = load_text("[dingtalk.app_secret]\nvalue = \"SECRET\"").unwrap_err().to_string();
    assert!(error.contains("app_secret") && !error.contains("SECRET"), "{error}");
}

#[test]
fn a_value_in_place_of_a_section_is_not_shown() {
    for (file, environment) in
        [("dingtalk = \"SECRET\"", None), ("", Some(("MEETING_CLOSER__DINGTALK", "SECRET, expected x")))]
    {
        let error = load(file, environment.as_slice()).unwrap_err().to_string();
        assert!(error.contains("dingtalk: it has the wrong type: expected a section with keys"), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
}

#[test]
fn a_line_that_is_not_toml_is_named_but_not_shown() {
    let error = load_text("[dingtalk]\napp_secret = \"SECRET\nauth = \"x\"").unwrap_err();
    assert!(matches!(error, SettingsError::Syntax { line: 2, .. }), "{error}");
    assert!(!format!("{error}{error:?}").contains("SECRET"), "{error}");
}

#[test]
fn an_unreadable_file_is_named() {
    let layers = Layers { file: Some("/nowhere/x.toml".into()), ..Layers::default() };
    let error = Settings::load(&layers).unwrap_err();
    assert!(error.to_string().starts_with("cannot read the configuration file /nowhere/x.toml"));
    assert!(error.hint().contains("--config"));
}

#[test]
fn a_variable_of_ours_that_is_not_text_is_named_without_its_value_and_others_are_ignored() {
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let key = "MEETING_CLOSER__DINGTALK__APP_SECRET";
    let others =
        [(text(b"OTHER"), text(b"hunter2\xff")), (text(b"\xff"), text(b"\xff")), (text(b"M"), text(b"x"))];
    assert!(environment(others.into_iter()).unwrap().is_empty());
    for name in [key, &key.to_lowercase()] {
        let pairs = [(text(name.as_bytes()), text(b"hunter2"))];
        assert_eq!(environment(pairs.into_iter()).unwrap()[name], "hunter2");
        let error = environment([(text(name.as_bytes()), text(b"hunter2\xff"))].into_iter()).unwrap_err();
        assert_eq!(error.to_string(), format!("the environment variable {name} is not valid UTF-8"));
    }
    let name = text(b"MEETING_CLOSER__\xff");
    assert!(environment([(name, text(b"hunter2"))].into_iter()).is_err());
}

#[test]
fn the_folder_of_an_option_is_taken_as_it_is() {
    for dir in [OsString::from(" audit "), OsString::from_vec(b"audit\xff".to_vec())] {
        let layers = Layers { audit_dir: Some(dir.clone().into()), ..Layers::default() };
        assert_eq!(Settings::load(&layers).unwrap().audit.dir.as_os_str(), dir);
    }
}
