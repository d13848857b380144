//! The controller, answer by answer, on instants of our own.

use super::*;
use crate::settings::tests::load_text;

const SECOND: Duration = Duration::from_secs(1);

fn adaptive(configured: u32) -> RateController {
    let text = format!("[pace]\nrequests_per_second = {configured}");
    RateController::new(&load_text(&text).unwrap().pace)
}

/// Lets requests leave evenly at `rate` for `span`, all let in at once, and says when the span ends.
fn quiet(adaptive: &mut RateController, rate: u32, from: Instant, span: Duration) -> Instant {
    let end = from + span;
    for at in (0..).map(|n| from + SECOND * n / rate).take_while(|at| *at < end) {
        adaptive.sent(at);
        adaptive.let_in(at);
    }
    end
}

fn refuse(adaptive: &mut RateController, at: Instant) -> Option<Reduction> {
    adaptive.sent(at);
    adaptive.refused(Throttle::Second, at, at)
}

#[test]
fn a_refusal_sets_the_rate_a_little_below_what_was_let_in() {
    let mut adaptive = adaptive(240);
    let at = quiet(&mut adaptive, 240, Instant::now(), SECOND / 4);
    let reduction = refuse(&mut adaptive, at).unwrap();
    assert!((reduction.per_second - 60.0 * KEPT).abs() < 1e-9, "{reduction:?}");
    // The window has room when enough of the first quarter second's requests have left it.
    let (least, most) = (SECOND * 3 / 4, SECOND * 3 / 4 + SECOND / 20);
    assert!(least <= reduction.pause && reduction.pause <= most, "{reduction:?}");
}

#[test]
fn refusals_of_one_moment_count_once() {
    let mut adaptive = adaptive(100);
    let at = quiet(&mut adaptive, 100, Instant::now(), SECOND);
    let in_flight: Vec<Instant> = (0..5).map(|n| at + n * SECOND / 100).collect();
    for left in &in_flight {
        adaptive.sent(*left);
    }
    let heard = at + SECOND / 10;
    assert!(adaptive.refused(Throttle::Second, in_flight[0], heard).is_some());
    let rate = adaptive.per_second();
    for left in &in_flight[1..] {
        assert_eq!(adaptive.refused(Throttle::Second, *left, heard), None);
    }
    assert!((adaptive.per_second() - rate).abs() < 1e-9);
}

#[test]
fn quiet_brings_the_rate_back_up_to_the_configured_one_and_no_further() {
    let mut adaptive = adaptive(100);
    let mut at = quiet(&mut adaptive, 100, Instant::now(), SECOND / 5);
    let reduced = refuse(&mut adaptive, at).unwrap().per_second;
    let mut rates = vec![reduced];
    for _ in 0..20 {
        at = quiet(&mut adaptive, 20, at, SECOND);
        rates.push(adaptive.per_second());
    }
    assert!(rates.windows(2).all(|pair| pair[0] <= pair[1]), "{rates:?}");
    assert!((rates[2] - 20.0).abs() < 0.5, "back at the refused level after 1.5 s: {rates:?}");
    assert!((rates[20] - 100.0).abs() < 1e-9, "{rates:?}");
}

#[test]
fn trouble_never_raises_the_rate() {
    let mut adaptive = adaptive(100);
    let mut at = quiet(&mut adaptive, 100, Instant::now(), SECOND / 5);
    let reduced = refuse(&mut adaptive, at).unwrap().per_second;
    for _ in 0..1000 {
        at += SECOND / 10;
        adaptive.sent(at);
        adaptive.trouble(at);
    }
    adaptive.let_in(at + SECOND / 10);
    assert!(adaptive.per_second() - reduced < 1.0, "{} {reduced}", adaptive.per_second());
}

#[test]
fn a_level_that_is_refused_again_is_touched_less_often() {
    let mut adaptive = adaptive(100);
    let mut at = quiet(&mut adaptive, 100, Instant::now(), SECOND / 2);
    let mut spells = vec![];
    for _ in 0..4 {
        refuse(&mut adaptive, at).unwrap();
        let start = at + SECOND;
        at = start;
        while adaptive.per_second() < adaptive.refused_level {
            adaptive.sent(at);
            at += SECOND / 50;
            adaptive.let_in(at);
        }
        spells.push((at - start).as_secs_f64());
        // At the quota once more before the next refusal.
        adaptive.let_in_at.clear();
        at = quiet(&mut adaptive, 50, at, SECOND);
    }
    assert!(spells[1] > 1.5 * spells[0] && spells[2] > 1.5 * spells[1], "{spells:?}");
    assert!((spells[3] - spells[2]).abs() < 0.5, "{spells:?}");
}

#[test]
fn a_quota_taken_away_whole_is_followed_down_to_the_floor_in_halves() {
    let mut adaptive = adaptive(64);
    let mut at = quiet(&mut adaptive, 64, Instant::now(), SECOND) + SECOND;
    let mut moments = 0;
    while adaptive.per_second() > 0.5 {
        refuse(&mut adaptive, at).unwrap();
        at += 2 * SECOND;
        moments += 1;
    }
    assert_eq!(moments, 7);
    for _ in 0..9 {
        refuse(&mut adaptive, at).unwrap();
        at += 2 * SECOND;
    }
    assert!((adaptive.per_second() - 0.5).abs() < 1e-9);
}

#[test]
fn a_quota_a_minute_is_measured_over_the_minute() {
    let mut adaptive = adaptive(18);
    let start = Instant::now();
    let at = quiet(&mut adaptive, 18, start, 20 * SECOND);
    adaptive.sent(at);
    let reduction = adaptive.refused(Throttle::Minute, at, at).unwrap();
    assert!((reduction.per_second - 6.0 * KEPT).abs() < 1e-9, "{reduction:?}");
    assert!((40..42).contains(&reduction.pause.as_secs()), "{reduction:?}");
}

#[test]
fn what_was_refused_is_remembered_for_whoever_configures_the_rate() {
    let mut adaptive = adaptive(100);
    assert_eq!(adaptive.unrefused(), None);
    let at = quiet(&mut adaptive, 100, Instant::now(), SECOND / 2);
    refuse(&mut adaptive, at);
    assert!((adaptive.unrefused().unwrap() - 50.0 * KEPT).abs() < 1e-9);
    assert!((adaptive.lowest() - 50.0 * KEPT).abs() < 1e-9);
}

#[test]
fn what_is_remembered_does_not_grow_with_the_rate() {
    let mut adaptive = adaptive(100_000);
    let at = quiet(&mut adaptive, 100_000, Instant::now(), SECOND / 2);
    let at = quiet(&mut adaptive, 100_000, at, 3 * SECOND);
    assert_eq!(adaptive.let_in_at.len(), REMEMBERED.1);
    let reduction = refuse(&mut adaptive, at).unwrap();
    assert!((reduction.per_second / (100_000.0 * KEPT) - 1.0).abs() < 0.01, "{reduction:?}");
}

#[test]
fn of_several_levels_that_were_refused_the_lowest_is_remembered() {
    let mut adaptive = adaptive(100);
    let at = quiet(&mut adaptive, 100, Instant::now(), SECOND / 5);
    refuse(&mut adaptive, at);
    let at = quiet(&mut adaptive, 20, at + SECOND, 20 * SECOND);
    let at = quiet(&mut adaptive, 90, at, SECOND);
    assert!(refuse(&mut adaptive, at).unwrap().per_second > 80.0);
    assert!((adaptive.unrefused().unwrap() - 20.0 * KEPT).abs() < 1e-9, "{:?}", adaptive.unrefused());
}

#[test]
fn neither_idle_time_nor_the_time_before_trouble_counts_as_quiet() {
    let mut adaptive = adaptive(100);
    let at = quiet(&mut adaptive, 100, Instant::now(), SECOND / 5);
    refuse(&mut adaptive, at);
    let at = at + 3600 * SECOND;
    adaptive.let_in(at);
    assert_eq!(adaptive.quiet, SECOND);
    adaptive.trouble(at + SECOND * 9 / 10);
    adaptive.let_in(at + SECOND);
    assert_eq!(adaptive.quiet, SECOND * 11 / 10);
}

#[test]
fn a_quota_a_minute_below_the_floor_is_waited_out_all_the_same() {
    let mut adaptive = adaptive(18);
    let at = quiet(&mut adaptive, 20, Instant::now(), SECOND);
    adaptive.sent(at);
    let reduction = adaptive.refused(Throttle::Minute, at, at).unwrap();
    assert!((reduction.per_second - 0.5).abs() < 1e-9, "{reduction:?}");
    assert!((58..61).contains(&reduction.pause.as_secs()), "{reduction:?}");
}
