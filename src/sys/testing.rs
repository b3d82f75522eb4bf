//! What tests of sockets, and of what else is held by a descriptor, share: they run beside others in one process.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::sys::sock_diag::{Filter, Protocol, State, inet_sockets};

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
/// (`ip_local_port_range`, from 32768 on). So a test may know that it is free on every address. Tests in other processes
/// begin elsewhere, and what they have is left out.
pub fn own_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id() * 97 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (number % 12_000) as u16;
        let is_free = |protocol| {
            let filter = Filter { protocol, port: Some(port), states: State::ALL, details: false };
            inet_sockets(&filter).is_ok_and(|sockets| sockets.is_empty())
        };
        // Not by a bind: what is bound for a moment may be held longer by what another test is just starting.
        if is_free(Protocol::Tcp) && is_free(Protocol::Udp) {
            return port;
        }
    }
}
