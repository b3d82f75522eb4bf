//! Keepers that nobody holds any more and that are not reaped yet.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::raw::{self, Wait};

struct Left {
    /// Those that were dropped before they had ended.
    dropped: Vec<i32>,
    /// Those that have said that their own end is all that follows: giving back their memory takes them a moment.
    ending: Vec<i32>,
}

static LEFT: Mutex<Left> = Mutex::new(Left { dropped: Vec::new(), ending: Vec::new() });

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn was_dropped(pid: i32) {
    left().dropped.push(pid);
}

pub(super) fn is_ending(pid: i32) {
    left().ending.push(pid);
}

/// Reaps those that have ended since.
pub(super) fn reap() {
    let lives =
        |pid: &i32| matches!(raw::wait(libc::P_PID, *pid, libc::WEXITED | libc::__WALL | libc::WNOHANG), Wait::Nothing);
    let mut left = left();
    left.dropped.retain(lives);
    left.ending.retain(lives);
}

/// Waits for the end of every keeper whose [`super::Message::Gone`] was received, a matter of microseconds: whoever ends
/// after this leaves none of them behind.
pub fn await_ended() {
    for pid in std::mem::take(&mut left().ending) {
        raw::wait_soon(pid);
    }
}
