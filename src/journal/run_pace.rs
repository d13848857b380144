//! How the rate went, in requests a second.

use serde::Serialize;

use super::PaceTotals;

/// How the rate went, in requests a second. All is 0 where no process of the run came to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RunPace {
    /// The configured rate.
    pub configured: f64,
    /// The lowest that it was brought down to.
    pub lowest: f64,
    /// The rate at the end.
    pub last: f64,
    /// The rate below which nothing would have been refused, where something was.
    pub unrefused: Option<f64>,
}

impl RunPace {
    /// Goes on with what a later process of the same run found.
    #[must_use]
    pub fn then(self, later: PaceTotals) -> Self {
        let [configured, lowest, last] = [later.configured, later.lowest, later.last].map(per_second);
        let unrefused = later.unrefused.map(per_second);
        // A rate that another process was configured to is no rate that this run was brought down to.
        let lowest = match (self.was_reduced(), lowest < configured) {
            (true, true) => lowest.min(self.lowest),
            (true, false) => self.lowest,
            (false, _) => lowest,
        };
        Self {
            configured,
            lowest,
            last,
            unrefused: match (self.unrefused, unrefused) {
                (Some(earlier), Some(later)) => Some(earlier.min(later)),
                (earlier, later) => earlier.or(later),
            },
        }
    }

    /// In words, where the rate did not stay as it was configured.
    pub fn told(&self) -> Option<String> {
        let Self { configured, lowest, last, .. } = self;
        self.was_reduced()
            .then(|| format!("rate {configured} a second, down to {lowest:.1}, {last:.1} at the end"))
    }

    fn was_reduced(&self) -> bool {
        self.lowest < self.configured
    }

    /// What to configure so that nothing is refused, where something was.
    pub fn advice(&self) -> Option<String> {
        let rate = self.unrefused.filter(|rate| *rate >= 0.1)?;
        Some(format!(
            "requests were refused for their rate: at pace.requests_per_second = {:.1} none would have been",
            (rate * 10.0).floor() / 10.0
        ))
    }
}

fn per_second(per_1000_s: u64) -> f64 {
    per_1000_s as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOWED: PaceTotals =
        PaceTotals { configured: 240_000, lowest: 58_800, last: 60_123, unrefused: Some(58_867) };

    #[test]
    fn a_rate_that_moved_is_told_and_one_that_stayed_is_not() {
        let pace = RunPace::default().then(SLOWED);
        assert_eq!(pace.told().unwrap(), "rate 240 a second, down to 58.8, 60.1 at the end");
        assert!(pace.advice().unwrap().ends_with("at pace.requests_per_second = 58.8 none would have been"));
        let steady = PaceTotals { lowest: 240_000, last: 240_000, unrefused: None, ..SLOWED };
        let pace = RunPace::default().then(steady);
        assert_eq!((pace.told(), pace.advice()), (None, None));
    }

    #[test]
    fn of_several_processes_the_lowest_counts_and_the_last_rate_stays() {
        let later = PaceTotals { configured: 100_000, lowest: 100_000, last: 100_000, unrefused: None };
        let pace = RunPace::default().then(SLOWED).then(later);
        let expected = RunPace { configured: 100.0, lowest: 58.8, last: 100.0, unrefused: Some(58.867) };
        assert_eq!(pace, expected);
        let slower = PaceTotals { configured: 10_000, lowest: 10_000, last: 10_000, unrefused: None };
        assert_eq!(RunPace::default().then(slower).then(later).told(), None);
    }
}
