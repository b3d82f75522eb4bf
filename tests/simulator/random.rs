//! Chance from a seed, so that a run can be repeated.

use std::time::Duration;

/// xorshift64* (Vigna 2016), seeded through a mixer so that neighbouring seeds give unrelated runs.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Random((mixed ^ (mixed >> 31)) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `limit`, without it.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit.max(1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    /// Nothing at all, or anything up to `limit`; short times as likely as long ones.
    pub fn delay(&mut self, limit: Duration) -> Duration {
        if self.percent(10) {
            return Duration::ZERO;
        }
        let limit = limit.as_micros() as u64;
        let scale = self.pick(&[limit, limit / 10, limit / 100]);
        Duration::from_micros(self.below(scale + 1))
    }

    pub fn maybe<T>(&mut self, percent: u64, make: impl FnOnce(&mut Random) -> T) -> Option<T> {
        self.percent(percent).then(|| make(self))
    }
}
