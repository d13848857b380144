//! How many retries a run may make in all, so that many errors do not multiply its calls by `max_attempts`.
//!
//! Invariant: the budget is never below zero and never above its start.

/// Pays for retries. Each meeting that has ended earns one back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    left: u32,
    full: u32,
}

impl Budget {
    /// A full budget: this many retries are paid before a meeting has ended.
    pub(crate) fn new(full: u32) -> Self {
        Self { left: full, full }
    }

    /// Pays for one retry. Returns false where nothing is left.
    pub(crate) fn pay(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// A meeting has ended: this earns one retry back, up to the full budget.
    pub(crate) fn earn(&mut self) {
        self.left = self.full.min(self.left + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_budget_pays_nothing_until_a_meeting_ends() {
        let mut budget = Budget::new(2);
        assert!(budget.pay() && budget.pay());
        assert!(!budget.pay());
        budget.earn();
        assert!(budget.pay());
        assert!(!budget.pay());
    }

    #[test]
    fn a_full_budget_earns_nothing() {
        let mut budget = Budget::new(1);
        budget.earn();
        assert!(budget.pay());
        assert!(!budget.pay());
    }
}
