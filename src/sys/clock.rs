//! Clocks and randomness, for those who may not have them themselves.

use std::time::Duration;

use crate::core::time::Moment;

/// Now, on `CLOCK_MONOTONIC` (`clock_gettime(2)`).
pub fn now() -> Moment {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure lives through the call, which cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    Moment::from_start(Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32))
}

/// The time of day where this machine is, `12:33:00.123`, of a time since 1970, UTC (`localtime_r(3)`, which goes by `TZ`
/// and /etc/localtime).
pub fn time_of_day(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs().cast_signed();
    // SAFETY: all of it is numbers, and a pointer that may be null.
    let mut time: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both live through the call.
    unsafe { libc::localtime_r(&seconds, &mut time) };
    format!("{:02}:{:02}:{:02}.{:03}", time.tm_hour, time.tm_min, time.tm_sec, since_1970.subsec_millis())
}

/// Random bytes (`getrandom(2)`), without waiting for the kernel's pool: for names and jitter, not for secrets.
pub fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    // SAFETY: the kernel writes no more than the length.
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    if count != bytes.len() as isize {
        // Early in the boot of a machine, or where it is denied: the clock and the pid differ at least.
        let moment = now().since_start().as_nanos() ^ (u128::from(std::process::id()) << 96);
        bytes = moment.to_ne_bytes();
    }
    bytes
}

/// What chance begins with.
pub fn seed() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = random();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_go_back_and_chance_does_not_repeat() {
        let before = now();
        assert!(now() >= before);
        assert_ne!(random(), random());
    }

    #[test]
    fn the_time_of_day_has_the_usual_form() {
        // Zones differ by whole minutes from UTC since long before.
        let text = time_of_day(Duration::new(1_795_869_180, 123_456_789));
        assert_eq!((text.len(), &text[2..3], &text[5..]), (12, ":", ":00.123"));
    }
}
