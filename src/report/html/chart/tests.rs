use super::drawing::Chart;
use super::scale::Tick;
use crate::journal::{ProcessSpan, Span, Timeline};

fn span(calls: u64, refused: u64, paused_ms: u64, per_1000_s: u64) -> Span {
    Span { calls, refused, paused_ms, per_1000_s }
}

fn process(begun_at: &str, is_whole: bool, spans: Vec<Span>) -> ProcessSpan {
    ProcessSpan { begun_at: begun_at.parse().unwrap(), timeline: Timeline { span_ms: 2000, spans }, is_whole }
}

fn whole() -> ProcessSpan {
    let spans = vec![span(36, 0, 0, 18_000), span(20, 3, 1000, 9_000), span(18, 0, 0, 0)];
    process("2026-11-23T19:00:00Z", true, spans)
}

#[test]
fn the_chart_draws_requests_rate_refusals_and_pauses_to_scale() {
    let chart = Chart::of(&[whole()]).unwrap();
    // The axis ends at 20 and is 180 units high. So 18 a second is 162 high, at 48; then 10, then 9.
    assert_eq!(
        chart.calls,
        "M56.0 210.0V48.0h278.5V210.0zM336.0 210.0V120.0h278.5V210.0zM616.0 210.0V129.0h278.5V210.0z"
    );
    assert_eq!(
        chart.rate.as_deref(),
        Some("M56.0 48.0H336.0V129.0H616.0V129.0H896.0"),
        "a rate is valid until the next one"
    );
    let labels = |ticks: &[Tick]| ticks.iter().map(|tick| tick.label.clone()).collect::<Vec<_>>();
    assert_eq!(labels(&chart.y_ticks), ["0", "5", "10", "15", "20"]);
    assert_eq!(labels(&chart.x_ticks), ["0", "1s", "2s", "3s", "4s", "5s", "6s"]);
    let [refused, paused] = &chart.lanes[..] else { panic!("{chart:?}") };
    assert_eq!((refused.name, &*refused.total, refused.foot), ("refused", "3 in total", 254.0));
    assert_eq!(refused.columns, "M336.0 254.0V224.0h278.5V254.0z");
    // A pause of half the span is half as high as the lane.
    assert_eq!((&*paused.total, &*paused.columns), ("1s in total", "M336.0 298.0V283.0h278.5V298.0z"));
    assert_eq!(
        chart.alternative,
        "74 requests in 6s, at most 18 a second; the rate fell to 9; 3 refused for their rate; 1s in pauses."
    );
}

#[test]
fn of_a_killed_process_the_chart_draws_only_requests_and_says_so() {
    let killed = process("2026-11-24T07:00:00Z", false, vec![span(10, 0, 0, 0)]);
    let chart = Chart::of(&[whole(), killed.clone()]).unwrap();
    assert_eq!(chart.breaks, [Tick { at: 686.0, label: "continued 24 Nov 2026, 07:00:00".into() }]);
    assert!(!chart.rate.unwrap().contains("H896"), "its rate is not known");
    assert!(chart.caption.contains("Only the requests of killed processes are known."));
    let alone = Chart::of(&[killed]).unwrap();
    assert!(alone.rate.is_none() && alone.lanes.is_empty());
    assert!(!alone.caption.contains("refused no request") && alone.caption.contains("not recorded"));
}

#[test]
fn the_caption_says_when_nothing_was_refused() {
    let chart = Chart::of(&[process("2026-11-23T19:00:00Z", true, vec![span(1, 0, 0, 18_000)])]).unwrap();
    assert!(
        chart.caption.ends_with("DingTalk refused no request for its rate, and there was no pause."),
        "{}",
        chart.caption
    );
}

#[test]
fn a_run_without_requests_has_no_chart() {
    assert_eq!(Chart::of(&[process("2026-11-23T19:00:00Z", true, vec![])]), None);
    assert_eq!(Chart::of(&[process("2026-11-23T19:00:00Z", true, vec![span(0, 0, 5, 1)])]), None);
}

#[test]
fn the_chart_has_a_title_and_a_description_for_readers_who_do_not_see_it() {
    let svg = Chart::of(&[whole()]).unwrap().to_string();
    assert!(svg.contains("role=\"img\" aria-labelledby=\"chart-title chart-text\""));
    assert!(svg.contains("<desc id=\"chart-text\">74 requests in 6s, "), "{svg}");
}
