//! Alerts and dashboard: valid for Prometheus' own tool, and they use only metrics that exist.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{METRICS, content, read, repository};

/// The metrics that a text names, without a histogram's suffix.
fn asked(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("meeting_closer_"));
    words.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/meeting-closer.json")).unwrap()
}

/// The dashboard's queries.
fn queries() -> Vec<String> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_alerts_fire_when_they_should_and_not_before() {
    let folder = repository("deploy/prometheus");
    content("promtool", ["check", "config", "--lint-fatal", "prometheus.yml"], &folder);
    content("promtool", ["check", "rules", "--lint-fatal", "alerts.yml"], &folder);
    content("promtool", ["test", "rules", "alerts.test.yml"], &folder);
    let tested = read("deploy/prometheus/alerts.test.yml");
    let fires = tested.split("- eval_time:").filter(|case| case.contains("exp_alerts:"));
    let fires: Vec<&str> = fires.collect();
    let silent = tested.split("- eval_time:").filter(|case| !case.contains("exp_alerts:"));
    let silent: Vec<&str> = silent.collect();
    for alert in alerts() {
        let named = |cases: &[&str]| cases.iter().any(|case| case.contains(&format!("alertname: {alert}\n")));
        assert!(named(&fires) && named(&silent), "{alert}");
    }
}

/// The names of all alerts.
pub(super) fn alerts() -> Vec<String> {
    let text = read("deploy/prometheus/alerts.yml");
    text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

#[test]
fn alerts_and_dashboard_name_existing_metrics_and_the_dashboard_shows_them_all() {
    let known: BTreeSet<String> = METRICS.map(str::to_owned).into();
    let alerts = asked(&read("deploy/prometheus/alerts.yml"));
    assert!(!alerts.is_empty() && alerts.is_subset(&known), "{alerts:?}");
    assert_eq!(asked(&queries().join("\n")), known);
    let everything = asked(&read("deploy/grafana/meeting-closer.json"));
    assert!(everything.is_subset(&known), "{everything:?}");
}

#[test]
fn every_query_of_the_dashboard_parses() {
    let queries = queries();
    assert!(queries.len() > 10);
    let rule = |(number, query): (usize, &String)| {
        let query = query.replace("$__rate_interval", "5m").replace("$instance", ".*");
        serde_json::json!({"record": format!("query:{number}"), "expr": query})
    };
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    let folder = tempfile::tempdir().unwrap();
    // JSON is YAML too.
    let text = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string();
    std::fs::write(folder.path().join("rules.yml"), text).unwrap();
    content("promtool", ["check", "rules", "rules.yml"], folder.path());
}

#[test]
fn the_alerts_know_the_worker_by_the_name_of_its_scrape_job() {
    let jobs = read("deploy/prometheus/prometheus.yml");
    let alerts = read("deploy/prometheus/alerts.yml");
    let mut named = alerts.split("job=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).peekable();
    assert!(named.peek().is_some());
    assert!(named.all(|name| jobs.contains(&format!("job_name: {name}\n"))));
}
