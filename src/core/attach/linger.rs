//! How long an answer is waited for when all of the input was typed: until nothing has come for a while.

use std::time::Duration;

use crate::core::time::Moment;

/// Nothing has to come for so long, where nobody says otherwise: as with socat (`-t`).
pub const QUIET: Duration = Duration::from_millis(500);

/// A service that is never quiet is left after so many times that.
const TIMES: u32 = 10;

/// The time after the end of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linger {
    quiet: Duration,
    began: Moment,
    /// When something came last, or it began.
    last: Moment,
}

impl Linger {
    /// The input has ended now.
    pub fn begin(now: Moment, quiet: Duration) -> Linger {
        Linger { quiet, began: now, last: now }
    }

    /// Something has come.
    pub fn heard(&mut self, now: Moment) {
        self.last = now;
    }

    /// When it is over, if nothing more comes.
    pub fn end(&self) -> Moment {
        (self.last + self.quiet).min(self.began + self.quiet.saturating_mul(TIMES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn what_comes_is_followed_by_as_much_quiet() {
        let mut linger = Linger::begin(at(1000), QUIET);
        assert_eq!(linger.end(), at(1500));
        linger.heard(at(1400));
        assert_eq!(linger.end(), at(1900));
    }

    #[test]
    fn who_is_never_quiet_is_left_all_the_same() {
        let mut linger = Linger::begin(at(1000), QUIET);
        (1..60).for_each(|times| linger.heard(at(1000 + 100 * times)));
        assert_eq!(linger.end(), at(6000));
    }

    #[test]
    fn without_time_it_is_over_at_once() {
        let mut linger = Linger::begin(at(1000), Duration::ZERO);
        assert_eq!(linger.end(), at(1000));
        linger.heard(at(1001));
        assert_eq!(linger.end(), at(1000));
        assert!(Linger::begin(at(1000), Duration::MAX).end() > at(1_000_000), "no panic");
    }
}
