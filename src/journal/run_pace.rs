//! How the rate of a run changed, over all its processes.
//!
//! Invariant: only ended processes count; a killed one recorded no rate.

use serde::Serialize;

use super::PaceTotals;

/// Rates in requests a second. All are 0 if no process of the run ended by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RunPace {
    /// The configured rate.
    pub configured: f64,
    /// The lowest rate.
    pub lowest: f64,
    /// The rate at the end.
    pub last: f64,
    /// The rate below which DingTalk would have refused nothing, if it refused something.
    pub unrefused: Option<f64>,
}

impl RunPace {
    /// Adds the totals of the run's next process.
    #[must_use]
    pub fn then(self, later: PaceTotals) -> Self {
        let [configured, lowest, last] = [later.configured, later.lowest, later.last].map(per_second);
        let unrefused = later.unrefused.map(per_second);
        // A lower configured rate of another process is no reduction.
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

    /// Whether the rate was ever below the configured one.
    pub(crate) fn was_reduced(&self) -> bool {
        self.lowest < self.configured
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
    fn a_run_has_the_lowest_rate_of_all_its_processes_and_the_last_rate_of_its_last() {
        let later = PaceTotals { configured: 100_000, lowest: 100_000, last: 100_000, unrefused: None };
        let pace = RunPace::default().then(SLOWED).then(later);
        let expected = RunPace { configured: 100.0, lowest: 58.8, last: 100.0, unrefused: Some(58.867) };
        assert_eq!(pace, expected);
        let slower = PaceTotals { configured: 10_000, lowest: 10_000, last: 10_000, unrefused: None };
        assert!(!RunPace::default().then(slower).then(later).was_reduced());
    }
}
