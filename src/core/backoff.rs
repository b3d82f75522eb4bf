//! How long is waited before something is tried again: a start, a requirement.

use std::time::Duration;

use crate::core::settings::{Backoff, Jitter};

/// Numbers that look random and follow from a seed (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Anything from zero to the whole of `limit`, as far as nanoseconds fit into 64 bits (584 years).
    fn part_of(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(((u128::from(limit) * u128::from(self.next())) >> 64) as u64)
    }
}

/// Counts the waits in a row, each longer than the one before.
#[derive(Debug, Clone)]
pub struct Waits {
    chance: Chance,
    in_a_row: u32,
}

impl Waits {
    /// None yet; `seed` decides what is left to chance.
    pub fn new(seed: u64) -> Waits {
        Waits { chance: Chance(seed), in_a_row: 0 }
    }

    /// The next wait starts again at the initial length.
    pub fn reset(&mut self) {
        self.in_a_row = 0;
    }

    /// A seed for other waits.
    pub fn seed(&mut self) -> u64 {
        self.chance.next()
    }

    /// How long to wait this time.
    pub fn next(&mut self, backoff: &Backoff) -> Duration {
        let whole = whole(backoff, self.in_a_row);
        self.in_a_row = self.in_a_row.saturating_add(1);
        match backoff.jitter {
            Jitter::None => whole,
            Jitter::Full => self.chance.part_of(whole),
            Jitter::Equal => whole / 2 + self.chance.part_of(whole / 2),
        }
    }
}

/// The wait number `index`, counted from 0, before chance: `initial × factor^index`, at most `max`.
fn whole(backoff: &Backoff, index: u32) -> Duration {
    // A factor below 1 would make the waits shorter, and NaN none at all.
    let factor = if backoff.factor >= 1.0 { backoff.factor } else { 1.0 };
    let growth = factor.powi(i32::try_from(index).unwrap_or(i32::MAX));
    Duration::try_from_secs_f64(backoff.initial.as_secs_f64() * growth)
        .map_or(backoff.max, |wait| wait.min(backoff.max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(jitter: Jitter) -> Backoff {
        Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(30), factor: 2.0, jitter }
    }

    fn first(count: usize, backoff: &Backoff) -> Vec<Duration> {
        let mut waits = Waits::new(1);
        (0..count).map(|_| waits.next(backoff)).collect()
    }

    #[test]
    fn each_wait_is_longer_by_the_factor_up_to_the_maximum() {
        let millis: Vec<_> = first(10, &backoff(Jitter::None)).iter().map(Duration::as_millis).collect();
        assert_eq!(millis, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
    }

    #[test]
    fn full_jitter_uses_the_whole_range_and_equal_jitter_its_upper_half() {
        let constant = |jitter| Backoff { factor: 1.0, ..backoff(jitter) };
        let full = first(1000, &constant(Jitter::Full));
        assert!(full.iter().all(|wait| *wait <= Duration::from_millis(200)));
        assert!(full.iter().any(|wait| *wait < Duration::from_millis(20)));
        assert!(full.iter().any(|wait| *wait > Duration::from_millis(180)));
        let equal = first(1000, &constant(Jitter::Equal));
        assert!(equal.iter().all(|wait| (Duration::from_millis(100)..=Duration::from_millis(200)).contains(wait)));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits_and_another_one_others() {
        let draw = |seed| {
            let mut waits = Waits::new(seed);
            [(); 4].map(|()| waits.next(&backoff(Jitter::Full)))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn numbers_that_make_no_sense_do_no_harm() {
        for factor in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300] {
            for (initial, max) in [(Duration::ZERO, Duration::ZERO), (Duration::MAX, Duration::MAX)] {
                let strange = Backoff { initial, max, factor, jitter: Jitter::Full };
                assert!(first(100, &strange).iter().all(|wait| *wait <= max), "{strange:?}");
            }
        }
    }

    #[test]
    fn a_reset_starts_again_at_the_initial_wait() {
        let mut waits = Waits::new(1);
        for _ in 0..5 {
            waits.next(&backoff(Jitter::None));
        }
        waits.reset();
        assert_eq!(waits.next(&backoff(Jitter::None)), Duration::from_millis(200));
    }
}
