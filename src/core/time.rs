//! Time as the core sees it: a point on a monotonic clock that somebody else read.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the monotonic clock (`clock_gettime(2)`, `CLOCK_MONOTONIC`), in nanoseconds since that clock's start.
///
/// The core never reads a clock: whoever calls it says what time it is. The simulator starts at zero and jumps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The start of the clock.
    pub const ZERO: Moment = Moment(Duration::ZERO);

    /// The moment that lies `since_start` after the start of the clock.
    pub const fn from_start(since_start: Duration) -> Moment {
        Moment(since_start)
    }

    /// How far this moment lies from the start of the clock.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this moment lies; zero when it lies before it.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The earlier one of two moments, of which neither need ever come.
    pub fn first(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, None) => one,
            (None, other) => other,
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, rhs: Duration) -> Moment {
        Moment(self.0.saturating_add(rhs))
    }
}

impl Sub<Moment> for Moment {
    type Output = Duration;

    fn sub(self, rhs: Moment) -> Duration {
        self.since(rhs)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:?}", self.0)
    }
}
