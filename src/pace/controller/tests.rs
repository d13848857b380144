//! The rate controller, answer by answer, at instants that each test chooses.

use super::*;
use crate::settings::tests::load_text;

const SECOND: Duration = Duration::from_secs(1);

fn controller(configured: u32) -> RateController {
    let text = format!("[pace]\nrequests_per_second = {configured}");
    RateController::new(&load_text(&text).unwrap().pace)
}

/// Sends requests evenly at `rate` for `span`. DingTalk lets each in at once. Returns when the span ends.
fn quiet(controller: &mut RateController, rate: u32, from: Instant, span: Duration) -> Instant {
    let end = from + span;
    for at in (0..).map(|n| from + SECOND * n / rate).take_while(|at| *at < end) {
        controller.sent(at);
        controller.let_in(at);
    }
    end
}

fn refuse(controller: &mut RateController, at: Instant) -> Option<Reduction> {
    controller.sent(at);
    controller.refused(Throttle::Second, at, at)
}

#[test]
fn a_refusal_sets_the_rate_a_little_below_what_was_let_in() {
    let mut controller = controller(240);
    let at = quiet(&mut controller, 240, Instant::now(), SECOND / 4);
    let reduction = refuse(&mut controller, at).unwrap();
    assert!((reduction.per_second - 60.0 * KEPT).abs() < 1e-9, "{reduction:?}");
    // The window has room when enough of the first quarter second's requests have left it.
    let (least, most) = (SECOND * 3 / 4, SECOND * 3 / 4 + SECOND / 20);
    assert!(least <= reduction.pause && reduction.pause <= most, "{reduction:?}");
}

#[test]
fn refusals_of_requests_in_flight_at_a_reduction_count_once() {
    let mut controller = controller(100);
    let at = quiet(&mut controller, 100, Instant::now(), SECOND);
    let in_flight: Vec<Instant> = (0..5).map(|n| at + n * SECOND / 100).collect();
    for sent_at in &in_flight {
        controller.sent(*sent_at);
    }
    let refused_at = at + SECOND / 10;
    assert!(controller.refused(Throttle::Second, in_flight[0], refused_at).is_some());
    let rate = controller.per_second();
    for sent_at in &in_flight[1..] {
        assert_eq!(controller.refused(Throttle::Second, *sent_at, refused_at), None);
    }
    assert!((controller.per_second() - rate).abs() < 1e-9);
}

#[test]
fn without_refusals_the_rate_rises_to_the_configured_one_and_no_further() {
    let mut controller = controller(100);
    let mut at = quiet(&mut controller, 100, Instant::now(), SECOND / 5);
    let reduced = refuse(&mut controller, at).unwrap().per_second;
    let mut rates = vec![reduced];
    for _ in 0..20 {
        at = quiet(&mut controller, 20, at, SECOND);
        rates.push(controller.per_second());
    }
    assert!(rates.windows(2).all(|pair| pair[0] <= pair[1]), "{rates:?}");
    assert!((rates[2] - 20.0).abs() < 0.5, "back at the refused level after 1.5 s: {rates:?}");
    assert!((rates[20] - 100.0).abs() < 1e-9, "{rates:?}");
}

#[test]
fn trouble_never_raises_the_rate() {
    let mut controller = controller(100);
    let mut at = quiet(&mut controller, 100, Instant::now(), SECOND / 5);
    let reduced = refuse(&mut controller, at).unwrap().per_second;
    for _ in 0..1000 {
        at += SECOND / 10;
        controller.sent(at);
        controller.trouble(at);
    }
    controller.let_in(at + SECOND / 10);
    assert!(controller.per_second() - reduced < 1.0, "{} {reduced}", controller.per_second());
}

#[test]
fn the_rate_returns_more_slowly_to_a_level_that_is_refused_again() {
    let mut controller = controller(100);
    let mut at = quiet(&mut controller, 100, Instant::now(), SECOND / 2);
    let mut spells = vec![];
    for _ in 0..4 {
        refuse(&mut controller, at).unwrap();
        let start = at + SECOND;
        at = start;
        while controller.per_second() < controller.refused_level {
            controller.sent(at);
            at += SECOND / 50;
            controller.let_in(at);
        }
        spells.push((at - start).as_secs_f64());
        // At the quota once more before the next refusal.
        controller.let_in_at.clear();
        at = quiet(&mut controller, 50, at, SECOND);
    }
    assert!(spells[1] > 1.5 * spells[0] && spells[2] > 1.5 * spells[1], "{spells:?}");
    assert!((spells[3] - spells[2]).abs() < 0.5, "{spells:?}");
}

#[test]
fn when_the_whole_quota_is_gone_each_refusal_halves_the_rate_down_to_the_floor() {
    let mut controller = controller(64);
    let mut at = quiet(&mut controller, 64, Instant::now(), SECOND) + SECOND;
    let mut refusals = 0;
    while controller.per_second() > 0.5 {
        refuse(&mut controller, at).unwrap();
        at += 2 * SECOND;
        refusals += 1;
    }
    assert_eq!(refusals, 7);
    for _ in 0..9 {
        refuse(&mut controller, at).unwrap();
        at += 2 * SECOND;
    }
    assert!((controller.per_second() - 0.5).abs() < 1e-9);
}

#[test]
fn a_quota_per_minute_is_measured_over_a_minute() {
    let mut controller = controller(18);
    let start = Instant::now();
    let at = quiet(&mut controller, 18, start, 20 * SECOND);
    controller.sent(at);
    let reduction = controller.refused(Throttle::Minute, at, at).unwrap();
    assert!((reduction.per_second - 6.0 * KEPT).abs() < 1e-9, "{reduction:?}");
    assert!((40..42).contains(&reduction.pause.as_secs()), "{reduction:?}");
}

#[test]
fn the_refused_level_is_kept_for_the_person_who_configures_the_rate() {
    let mut controller = controller(100);
    assert_eq!(controller.unrefused(), None);
    let at = quiet(&mut controller, 100, Instant::now(), SECOND / 2);
    refuse(&mut controller, at);
    assert!((controller.unrefused().unwrap() - 50.0 * KEPT).abs() < 1e-9);
    assert!((controller.lowest() - 50.0 * KEPT).abs() < 1e-9);
}

#[test]
fn the_number_of_remembered_requests_does_not_grow_with_the_rate() {
    let mut controller = controller(100_000);
    let at = quiet(&mut controller, 100_000, Instant::now(), SECOND / 2);
    let at = quiet(&mut controller, 100_000, at, 3 * SECOND);
    assert_eq!(controller.let_in_at.len(), REMEMBERED.1);
    let reduction = refuse(&mut controller, at).unwrap();
    assert!((reduction.per_second / (100_000.0 * KEPT) - 1.0).abs() < 0.01, "{reduction:?}");
}

#[test]
fn of_several_refused_levels_the_lowest_is_kept() {
    let mut controller = controller(100);
    let at = quiet(&mut controller, 100, Instant::now(), SECOND / 5);
    refuse(&mut controller, at);
    let at = quiet(&mut controller, 20, at + SECOND, 20 * SECOND);
    let at = quiet(&mut controller, 90, at, SECOND);
    assert!(refuse(&mut controller, at).unwrap().per_second > 80.0);
    assert!((controller.unrefused().unwrap() - 20.0 * KEPT).abs() < 1e-9, "{:?}", controller.unrefused());
}

#[test]
fn neither_idle_time_nor_the_time_before_trouble_counts_as_quiet() {
    let mut controller = controller(100);
    let at = quiet(&mut controller, 100, Instant::now(), SECOND / 5);
    refuse(&mut controller, at);
    let at = at + 3600 * SECOND;
    controller.let_in(at);
    assert_eq!(controller.quiet, SECOND);
    controller.trouble(at + SECOND * 9 / 10);
    controller.let_in(at + SECOND);
    assert_eq!(controller.quiet, SECOND * 11 / 10);
}

#[test]
fn the_run_waits_for_a_quota_per_minute_even_when_it_is_below_the_floor() {
    let mut controller = controller(18);
    let at = quiet(&mut controller, 20, Instant::now(), SECOND);
    controller.sent(at);
    let reduction = controller.refused(Throttle::Minute, at, at).unwrap();
    assert!((reduction.per_second - 0.5).abs() < 1e-9, "{reduction:?}");
    assert!((58..61).contains(&reduction.pause.as_secs()), "{reduction:?}");
}
