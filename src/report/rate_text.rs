//! The rate of a run in words: how it changed, and what to configure.

use crate::journal::RunPace;

/// How the rate changed, if it was ever below the configured one.
pub(crate) fn changes(pace: &RunPace) -> Option<String> {
    let RunPace { configured, lowest, last, .. } = pace;
    pace.was_reduced()
        .then(|| format!("{configured} a second configured, {lowest:.1} at the lowest, {last:.1} at the end"))
}

/// What to configure so that DingTalk refuses no request for its rate, if it refused one.
pub(crate) fn advice(pace: &RunPace) -> Option<String> {
    let rate = pace.unrefused.filter(|rate| *rate >= 0.1)?;
    let rate = (rate * 10.0).floor() / 10.0;
    Some(format!(
        "DingTalk refused requests for their rate; set pace.requests_per_second = {rate:.1} to avoid that"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::PaceTotals;

    const SLOWED: PaceTotals =
        PaceTotals { configured: 240_000, lowest: 58_800, last: 60_123, unrefused: Some(58_867) };

    #[test]
    fn a_rate_that_changed_is_reported_and_one_that_stayed_is_not() {
        let pace = RunPace::default().then(SLOWED);
        let expected = "240 a second configured, 58.8 at the lowest, 60.1 at the end";
        assert_eq!(changes(&pace).unwrap(), expected);
        assert!(advice(&pace).unwrap().contains("set pace.requests_per_second = 58.8 "));
        let steady = PaceTotals { lowest: 240_000, last: 240_000, unrefused: None, ..SLOWED };
        let pace = RunPace::default().then(steady);
        assert_eq!((changes(&pace), advice(&pace)), (None, None));
    }
}
