//! What is left to the launcher itself, as PID 1 or subreaper: what keepers leave when somebody kills them.

use std::time::Duration;

use super::left;
use super::raw;
use super::sweep::{self, Sweep};

/// Makes the launcher the reaper of what its keepers leave when somebody kills them (`PR_SET_CHILD_SUBREAPER`).
pub fn become_subreaper() {
    // SAFETY: no memory is involved. It cannot fail since Linux 3.4.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Reaps every ordinary child that has ended: orphans that the launcher was given as PID 1 or subreaper. Keepers are
/// not among them. Called on SIGCHLD, and when something was dropped; on the main thread when another one traces
/// processes, whose stops it would be shown otherwise.
pub fn reap_orphans() {
    left::reap();
    sweep::reap_all(not_of_other_threads(), |_| {});
}

/// Ends and reaps every ordinary child of the launcher, with all that is below, after [`Message::Lost`](super::Message::Lost). Keepers are
/// not among them. Blocks for `limit` at most; whether none is left.
pub fn sweep_orphans(limit: Duration) -> bool {
    // SAFETY: no memory is involved.
    let root = unsafe { libc::getpid() };
    let until = raw::now_ms().saturating_add(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX));
    let sweep = Sweep { root, signals: -1, cgroup_kill: -1, until: Some(until) };
    sweep.run(|| sweep::reap_all(not_of_other_threads(), |_| {}))
}

/// An option of `waitid(2)`: a traced process is shown to every thread, even to those that did not ask for stops.
/// Orphans are given to the main thread, so that this one needs to look at its own children only.
fn not_of_other_threads() -> i32 {
    // SAFETY: no memory is involved.
    let is_main = unsafe { libc::gettid() == libc::getpid() };
    if is_main { libc::__WNOTHREAD } else { 0 }
}
