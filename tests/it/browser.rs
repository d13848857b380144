//! A real browser for one test, with its own driver, port and empty profile.

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::common::log::LoggingPrefsLogLevel;
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Keeps the browser off the network, and lets it run as root.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
];

/// Gives `test` a browser, and ends the browser even if the test fails.
pub(crate) async fn with_browser<F>(test: impl FnOnce(WebDriver) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let profile = tempfile::tempdir().unwrap();
    let (mut driver, port) = start_driver(&profile).await;
    let browser = connect(port, &profile).await;
    let outcome = tokio::spawn(test(browser.clone())).await;
    let quit = browser.quit().await;
    driver.kill().await.unwrap();
    if let Err(failed) = outcome {
        std::panic::resume_unwind(failed.into_panic());
    }
    quit.unwrap();
}

async fn start_driver(profile: &TempDir) -> (Child, u16) {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .env("HOME", profile.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("chromedriver; tests/run installs it");
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let port =
            line.split_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.').parse());
        if let Some(port) = port {
            // The driver keeps printing, so something must read the pipe.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (driver, port.unwrap());
        }
    }
    panic!("chromedriver printed no port");
}

async fn connect(port: u16, profile: &TempDir) -> WebDriver {
    // The driver's client needs a crypto provider, although it only uses loopback. Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut wanted = DesiredCapabilities::chrome();
    for argument in ARGUMENTS {
        wanted.add_arg(argument).unwrap();
    }
    wanted.add_arg(&format!("--user-data-dir={}", profile.path().join("profile").display())).unwrap();
    wanted.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
    WebDriver::new(format!("http://127.0.0.1:{port}"), wanted).await.unwrap()
}

/// The browser's new messages: script errors, and everything that the page's policy refused.
pub(crate) async fn complaints(browser: &WebDriver) -> Vec<String> {
    let log = browser.browser_log().await.unwrap();
    log.into_iter().map(|entry| entry.message).collect()
}

/// The value of a script expression in the page.
pub(crate) async fn ask<T: serde::de::DeserializeOwned>(browser: &WebDriver, script: &str) -> T {
    browser.execute(format!("return {script}"), Vec::<Value>::new()).await.unwrap().convert().unwrap()
}

/// Shows the page for a reader who prefers this colour scheme (`light`, `dark`).
pub(crate) async fn prefer(browser: &WebDriver, scheme: &str) {
    let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
    browser.cdp().send_raw("Emulation.setEmulatedMedia", features).await.unwrap();
}

/// Shows the page for this medium (`screen`, `print`).
pub(crate) async fn show_as(browser: &WebDriver, media: &str) {
    browser.cdp().send_raw("Emulation.setEmulatedMedia", json!({"media": media})).await.unwrap();
}

/// Turns off scripts in every page from now on.
pub(crate) async fn without_script(browser: &WebDriver) {
    browser.cdp().send_raw("Emulation.setScriptExecutionDisabled", json!({"value": true})).await.unwrap();
}

/// Presses keys in the focused element.
pub(crate) async fn press(browser: &WebDriver, keys: impl Into<TypingData>) {
    browser.action_chain().send_keys(keys).perform().await.unwrap();
}
