//! The rules, a file for each family. Each looks at one thread, or at the service as a whole, and proposes at most one
//! explanation; none knows of the others.

pub mod bind;
pub mod connection;
pub mod cpu;
pub mod dns;
pub mod endings;
pub mod kernel;
pub mod listening;
pub mod locks;
pub mod output;
pub mod polling;
pub mod retry;
pub mod signalled;
pub mod waits;

use std::time::Duration;

use super::candidate::{Candidate, Grip};
use super::view::{Place, View};
use super::{Cause, Confidence, futures};

/// A rule on one thread.
type ThreadRule = for<'a> fn(&View<'a>, &Place<'a>) -> Option<Candidate>;

/// A wait that is shorter than this is not known to be what holds anything up.
const MOMENT: Duration = Duration::from_millis(100);

/// Rules on one thread or task, the first that fits wins.
const THREAD_RULES: [ThreadRule; 19] = [
    kernel::stopped,
    retry::seen_to_try,
    waits::try_lock,
    cpu::throttled,
    cpu::busy,
    dns::waits,
    connection::connect,
    connection::reply,
    locks::lock,
    waits::file_lock,
    waits::input,
    kernel::entropy,
    kernel::disk,
    signalled::awaiting,
    signalled::sleeps_in_loop,
    futures::awaiting,
    polling::poll,
    polling::returned,
    signalled::signalled,
];

/// What holds this thread, if a rule can tell.
pub fn explain<'a>(view: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let mut found = THREAD_RULES.iter().find_map(|rule| rule(view, place))?;
    // What has waited but for a moment may be about to go on: a step of something longer.
    let retries = matches!(found.verdict.cause, Cause::ConnectRetry | Cause::CpuThrottled | Cause::SlowProgress);
    let waits = !retries && !matches!(found.verdict.cause, Cause::LockCycle | Cause::Stopped | Cause::BusyLoop);
    // A lock that is tried again and again is not waited for in between.
    let waits = waits && found.grip < Grip::Firm;
    // One that is on a CPU is done with its wait, or about to be.
    let runs = place.task.is_none() && place.thread.state == 'R';
    if waits && (runs || place.waited().is_some_and(|waited| waited < MOMENT)) {
        found.verdict.confidence = found.verdict.confidence.min(Confidence::Likely);
        // Of a disk every program waits for moments.
        let most = if found.verdict.cause == Cause::DiskWait { Grip::Weak } else { Grip::Soft };
        found.grip = found.grip.min(most);
    }
    Some(futures::tell(found, place))
}
