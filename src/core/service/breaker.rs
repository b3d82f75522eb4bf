//! The breaker: too many failures within a window, and the service is not started again for a while.

use std::collections::VecDeque;

use crate::core::settings::BreakerSettings;
use crate::core::time::Moment;

/// Where a breaker stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Position {
    /// Restarts are allowed.
    Closed,
    /// None is.
    Open,
    /// One trial is; it closes the breaker when it has been ready for `reset_after`.
    HalfOpen,
}

/// Counts failures within a window.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    settings: BreakerSettings,
    position: Position,
    failures: VecDeque<Moment>,
}

impl Breaker {
    /// Closed, with no failures.
    pub(super) fn new(settings: BreakerSettings) -> Breaker {
        Breaker { settings, position: Position::Closed, failures: VecDeque::new() }
    }

    /// How it was set.
    pub(super) fn settings(&self) -> &BreakerSettings {
        &self.settings
    }

    /// Whether a failure now would open it.
    pub(super) fn would_open(&self, now: Moment) -> bool {
        let recent = self.failures.iter().filter(|at| now.since(**at) <= self.settings.within).count();
        self.position == Position::HalfOpen || recent + 1 >= self.settings.failures as usize
    }

    /// Takes in a failure. Returns how many there were within the window when that opens the breaker: enough of them,
    /// or a failed trial.
    pub(super) fn failed(&mut self, now: Moment) -> Option<u32> {
        while self.failures.front().is_some_and(|at| now.since(*at) > self.settings.within) {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
        let count = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        if self.position == Position::HalfOpen || count >= self.settings.failures {
            self.position = Position::Open;
            // The next trial is judged by itself; and while it is open nothing can fail.
            self.failures.clear();
            return Some(count);
        }
        None
    }

    /// The cooldown is over, or somebody asked for a start: one trial.
    pub(super) fn allow_trial(&mut self) {
        if self.position == Position::Open {
            self.position = Position::HalfOpen;
        }
    }

    /// The service has been well for long enough, or a person starts it anew: closed, and nothing counted.
    pub(super) fn close(&mut self) {
        self.position = Position::Closed;
        self.failures.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::settings::OnOpen;

    fn at(seconds: u64) -> Moment {
        Moment::from_start(Duration::from_secs(seconds))
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings {
            failures: 3,
            within: Duration::from_secs(10),
            cooldown: Duration::from_secs(60),
            on_open: OnOpen::Cooldown,
        })
    }

    #[test]
    fn opens_at_enough_failures_within_the_window() {
        let mut breaker = breaker();
        assert_eq!([0, 5, 10].map(|second| breaker.failed(at(second))), [None, None, Some(3)]);
    }

    #[test]
    fn failures_outside_the_window_are_forgotten() {
        let mut breaker = breaker();
        assert_eq!([0, 5, 11, 16, 21].map(|second| breaker.failed(at(second))), [None, None, None, None, Some(3)]);
    }

    #[test]
    fn a_failed_trial_opens_it_again_and_a_good_one_closes_it() {
        let mut breaker = breaker();
        for second in 0..3 {
            breaker.failed(at(second));
        }
        breaker.allow_trial();
        assert_eq!(breaker.failed(at(100)), Some(1));
        breaker.allow_trial();
        breaker.close();
        assert_eq!([200, 201, 202].map(|second| breaker.failed(at(second))), [None, None, Some(3)]);
    }

    #[test]
    fn a_trial_is_only_for_an_open_breaker() {
        let mut breaker = breaker();
        breaker.allow_trial();
        assert_eq!(breaker.failed(at(0)), None);
    }
}
