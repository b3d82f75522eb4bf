//! Sees what a process tries between two sleeps: `connect(2)` that fails at once leaves no trace in a thread that sleeps
//! again, so the process is followed through one round by `ptrace(2)`.
//!
//! Only a process that sleeps for a time and is about to wake is followed. Its sleep, unlike other blocking calls, goes
//! on where it was after the interruption (`restart_syscall(2)`), so the program does not notice. It is done at a missed
//! deadline only, never for a dump that somebody asks for.
//!
//! Who sleeps and who tries need not be the same thread: goroutines and tasks go from one thread to another, and a shell
//! starts a program for each. So all threads of a small process are followed, and what a shell starts.

mod call;
mod round;

use std::collections::HashMap;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::decode::Decoded;
use super::process::Draft;
use super::rights;
use crate::core::facts::{AttemptFacts, FdFacts, FileKind, WaitingOn, WatchedFacts};
use round::Round;

/// Processes followed at most.
const PROCESSES: usize = 4;
/// Threads of one process followed at most, those that sleep first.
const THREADS: usize = 32;
/// How long a round may take from the wake-up on.
const ROUND: Duration = Duration::from_millis(60);
/// The same where programs are started in it.
const ROUND_OF_PROGRAMS: Duration = Duration::from_millis(800);
/// How much longer it is followed when it was not seen to come back to its sleep: it may just have woken when the
/// following began, and sleeps once more before it tries again.
const ANOTHER: Duration = Duration::from_millis(600);

/// What a thread was seen to try in vain, by its number.
type Seen = Vec<(i32, AttemptFacts)>;

/// The processes that are being followed.
pub struct Followed(Vec<(i32, JoinHandle<Seen>)>);

impl Followed {
    /// Waits until all of it is seen, and gives it to the threads that tried, or to the process where its threads only
    /// carry tasks or others tried for it.
    pub fn finish(self, drafts: &mut [Draft]) {
        let mut seen: HashMap<i32, Seen> = HashMap::new();
        for (pid, work) in self.0 {
            seen.insert(pid, work.join().unwrap_or_default());
        }
        for draft in drafts {
            for (tid, attempt) in seen.remove(&draft.facts.pid).unwrap_or_default() {
                let carries_tasks = draft.facts.runtime == "go";
                let thread = draft.facts.threads.iter_mut().find(|thread| thread.tid == tid && !carries_tasks);
                thread.map_or(&mut draft.facts.attempts, |thread| &mut thread.attempts).push(attempt);
            }
        }
    }
}

/// In what time a sleeping thread wakes by itself; `None` when it does not sleep, or that cannot be told.
pub fn wakes_in(call: &Decoded, waited: Option<Duration>) -> Option<Duration> {
    if let Some(futex) = &call.futex {
        return futex.timeout().map(|whole| call.remaining.unwrap_or(whole));
    }
    let whole = match call.waiting_on.as_ref()? {
        WaitingOn::Sleep { duration: Some(whole) } => *whole,
        WaitingOn::Sleep { duration: None } => return call.remaining,
        WaitingOn::Poll { timeout: Some(whole), watched, .. } => {
            // A pipe or the like by which other threads wake it, as Ruby has it, makes it no less a sleep.
            watched.iter().all(only_wakes).then_some(*whole)?
        }
        _ => return None,
    };
    Some(call.remaining.unwrap_or_else(|| whole.saturating_sub(waited.unwrap_or_default())))
}

/// For how long a call polls from its beginning on.
fn polls_for(call: &Decoded) -> Option<Duration> {
    match call.waiting_on.as_ref()? {
        WaitingOn::Poll { timeout, .. } => *timeout,
        _ => None,
    }
}

fn only_wakes(watched: &WatchedFacts) -> bool {
    match &watched.what {
        FdFacts::File(file) => matches!(file.kind, FileKind::Anonymous | FileKind::Pipe),
        // An asyncio loop wakes itself by a pair of these.
        FdFacts::Socket(socket) => socket.protocol.starts_with("unix"),
    }
}

/// One process to follow.
struct Plan {
    pid: i32,
    /// Its threads.
    tids: Vec<i32>,
    /// When the first of what is waited for wakes, from now.
    wakes: Duration,
    /// Where programs are started to try: the one that sleeps in between.
    pause: Option<i32>,
    /// Whether its runtime goes on by itself when an `epoll_wait(2)` is interrupted, with the time that is left.
    minds_interruptions: bool,
}

/// Follows the processes that sleep and wake within `longest`; those that are known to try something, by `insist`, until
/// that was seen. They are not waited for.
pub fn follow(drafts: &[Draft], longest: Duration, insist: bool, deadline: Instant) -> Followed {
    let plans = drafts.iter().filter_map(|draft| plan(draft, drafts, longest));
    let start = |plan: Plan| {
        let round = if plan.pause.is_some() { ROUND_OF_PROGRAMS } else { ROUND };
        let until = (Instant::now() + plan.wakes + round).min(deadline);
        let latest = (until + ANOTHER).min(deadline);
        let until = if insist { latest.max(Instant::now() + longest + round).min(deadline) } else { until };
        let latest = latest.max(until);
        let pid = plan.pid;
        let work = move || {
            rights::take_for_tracing(plan.pid);
            Round::new(plan.pid, plan.pause, plan.minds_interruptions).follow(&plan.tids, until, latest)
        };
        Some((pid, std::thread::Builder::new().name("dump-follow".into()).spawn(work).ok()?))
    };
    Followed(plans.take(PROCESSES).filter_map(start).collect())
}

fn plan(draft: &Draft, all: &[Draft], longest: Duration) -> Option<Plan> {
    let main = draft.threads.first()?.call.as_ref();
    let plan = |tids, wakes, pause| Plan {
        pid: draft.facts.pid,
        tids,
        wakes,
        pause,
        minds_interruptions: draft.facts.runtime == "native",
    };
    match main.map(|call| (call.waiting_on.as_ref(), call.futex.is_some())) {
        Some((Some(WaitingOn::Child { .. }), _)) => {
            // The pause of a shell's loop is a child that sleeps.
            let children = all.iter().filter(|child| child.facts.parent == draft.facts.pid);
            let sleeps = children.filter_map(|child| Some((child.facts.pid, sleepers(child, longest).first()?.1)));
            let (pause, wakes) = sleeps.min_by_key(|it| it.1)?;
            Some(plan(vec![draft.facts.pid], wakes, Some(pause)))
        }
        // Whatever else holds its main thread is seen without this.
        Some((Some(WaitingOn::Sleep { .. } | WaitingOn::Poll { .. }), _) | (_, true)) => {
            let sleepers = sleepers(draft, longest);
            let mut wakes = sleepers.iter().map(|(_, wakes)| *wakes).max()?;
            if draft.facts.runtime == "native" {
                // An `epoll_wait(2)` that is made to go on begins with its whole time again.
                let whole = draft.threads.iter().filter_map(|thread| polls_for(thread.call.as_ref()?));
                wakes = whole.filter(|whole| *whole <= longest).max().map_or(wakes, |whole| wakes.max(whole));
            }
            let mut tids: Vec<i32> = sleepers.into_iter().map(|(tid, _)| tid).collect();
            if matches!(draft.facts.runtime.as_str(), "go" | "native") {
                let others: Vec<i32> = draft.facts.threads.iter().map(|thread| thread.tid).collect();
                tids.extend(others.into_iter().filter(|tid| !tids.contains(tid)).collect::<Vec<i32>>());
            }
            tids.truncate(THREADS);
            Some(plan(tids, wakes, None))
        }
        _ => None,
    }
}

/// The threads that sleep and wake in time, and in what time each does.
fn sleepers(draft: &Draft, longest: Duration) -> Vec<(i32, Duration)> {
    // Threads of the Java machine itself wake all the time.
    let of_program = |tid: i32| {
        draft.facts.runtime != "jvm"
            || draft.told.iter().any(|told| {
                told.tid == tid && told.state.as_ref().is_some_and(|state| state.starts_with("TIMED_WAITING"))
            })
    };
    let sleeper = |(facts, thread): (&crate::core::facts::ThreadFacts, &super::ThreadDraft)| {
        let wakes = wakes_in(thread.call.as_ref()?, facts.waited)?;
        (wakes <= longest && of_program(facts.tid)).then_some((facts.tid, wakes))
    };
    draft.facts.threads.iter().zip(&draft.threads).filter_map(sleeper).collect()
}
