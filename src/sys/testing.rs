//! What tests of sockets, and of what else is held by a descriptor, share: they run beside others in one process.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// So long is waited before a test fails: machines that test are busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until it is as expected. What was closed a moment ago may still be held by a process that another test is just
/// starting: it has a copy of each descriptor until it executes its program.
#[track_caller]
pub fn comes_to_be<T: PartialEq + Debug>(expected: &T, mut look: impl FnMut() -> T) {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if found == *expected {
            return;
        }
        assert!(Instant::now() < end, "it stays {found:?} and does not become {expected:?}");
        std::thread::yield_now();
    }
}

/// Tries until it succeeds, for the same reason.
#[track_caller]
pub fn succeeds<T, E: Debug>(mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) => assert!(Instant::now() < end, "it goes on to fail: {error:?}"),
        }
        std::thread::yield_now();
    }
}

/// A port that no other test is given, and that the kernel gives to nobody: below those that it picks from by itself
/// (`ip_local_port_range`, from 32768 on). So a test may know that it is free on every address.
pub fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() % 100) as u16 * 100;
    20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000
}
