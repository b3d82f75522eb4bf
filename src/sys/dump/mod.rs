//! The dump: the stacks of every thread of every process of a tree, taken from outside, and what each thread waits on.
//!
//! It does the processes no harm. A blocked thread is not stopped: its place comes from `/proc/PID/task/TID/syscall`,
//! its stack from `process_vm_readv(2)`, and what changed in between is read again. Only a thread that is on a CPU is
//! held by `ptrace(2)` while its registers and stack are copied; a missed deadline may follow a sleeping one (`tries`).
//! Names are looked up after that. Nothing here stops at
//! memory that makes no sense, and everything is bounded.

mod capture;
mod cfi;
mod code;
mod decode;
mod denied;
mod describe;
mod diag;
mod fds;
mod files;
mod futex;
#[cfg(target_arch = "x86_64")]
mod hold;
mod locks;
mod maps;
mod memory;
mod module;
mod numbers;
mod peers;
mod polled;
mod process;
mod registers;
mod runtimes;
mod sockets;
mod symbols;
mod tries;
mod unwind;
mod waited;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use process::{Draft, Shared, ThreadDraft};
use symbols::Names;
use unwind::RawFrame;

use crate::core::facts::{Frame, ProcessFacts, ThreadFacts, WaitingOn};

/// How long after its deadline a dump may still hand over what it has.
const GRACE: Duration = Duration::from_millis(200);
/// Processes of a tree looked at, at most.
const PROCESSES: usize = 2048;

/// How a dump is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// When it has to be done; what is not there by then is left out, and said so.
    pub deadline: Duration,
    /// After how long the counters (CPU time, bytes, context switches) are read a second time.
    pub second_sample_after: Option<Duration>,
    /// Up to what time main threads that sleep are waited for to wake, and followed to see what they try in vain: see
    /// `tries`. `None` leaves every blocked thread alone.
    pub follow_sleepers: Option<Duration>,
    /// Whether frames get names.
    pub symbolise: bool,
}

impl Default for Options {
    fn default() -> Options {
        let second_sample_after = Some(Duration::from_millis(100));
        Options { deadline: Duration::from_secs(2), second_sample_after, follow_sleepers: None, symbolise: true }
    }
}

/// The process `pid` and all its descendants, each parent before its children.
pub fn tree(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut seen = HashSet::from([pid]);
    let mut next = 0;
    while next < found.len() && found.len() < PROCESSES {
        found.extend(decode::children(found[next]).into_iter().filter(|child| seen.insert(*child)));
        next += 1;
    }
    found
}

/// Dumps these processes. Blocks until it is done, or shortly after the deadline at the latest, with what is there by
/// then; `dump_error` of a process says what is missing and why. Processes that do not exist are left out.
///
/// The work is done by a thread of its own with the caller's credentials. Should it hang in the kernel on a process
/// that cannot be read, that thread is left behind; should it panic, the caller is not hurt.
pub fn dump(pids: &[i32], options: &Options) -> Vec<ProcessFacts> {
    let deadline = Instant::now() + options.deadline;
    let so_far: Arc<Mutex<Vec<ProcessFacts>>> = Arc::default();
    let (send, receive) = mpsc::channel();
    let (work, wanted, options) = (Arc::clone(&so_far), pids.to_vec(), *options);
    let spawned = std::thread::Builder::new().name("dump".into()).spawn(move || {
        let _ = send.send(run(&wanted, &options, deadline, &work));
    });
    let reason = match spawned {
        Ok(_) => match receive.recv_timeout(deadline.saturating_duration_since(Instant::now()) + GRACE) {
            Ok(processes) => return processes,
            Err(RecvTimeoutError::Timeout) => format!("the dump did not end within {:?}", options.deadline),
            Err(RecvTimeoutError::Disconnected) => "the dump failed: a fault in the launcher, please report it".into(),
        },
        Err(error) => format!("no thread could be started for the dump: {error}"),
    };
    let mut partial = so_far.lock().map(|mut list| std::mem::take(&mut *list)).unwrap_or_default();
    for pid in pids {
        match partial.iter_mut().find(|process| process.pid == *pid) {
            Some(process) => process::add_error(process, reason.clone()),
            None => {
                partial.push(ProcessFacts { pid: *pid, dump_error: Some(reason.clone()), ..ProcessFacts::default() });
            }
        }
    }
    partial
}

fn run(pids: &[i32], options: &Options, deadline: Instant, so_far: &Mutex<Vec<ProcessFacts>>) -> Vec<ProcessFacts> {
    let mut shared = Shared::default();
    let mut drafts = Vec::new();
    for pid in pids {
        let Some(draft) = process::look(*pid, &mut shared, deadline) else { continue };
        if let Ok(mut list) = so_far.lock() {
            list.push(draft.facts.clone());
        }
        drafts.push(draft);
    }
    let followed = options.follow_sleepers.map(|longest| tries::follow(&drafts, longest, deadline));
    let (names, complete) = match options.symbolise {
        true => symbols::look_up(&shared.modules, &wanted(&drafts), symbols_deadline(options, deadline)),
        false => (Names::new(), true),
    };
    if let Some(after) = options.second_sample_after {
        let first = drafts.iter().filter_map(|draft| draft.sampled).max();
        let at = first.map_or(deadline, |first| (first + after).min(deadline));
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        drafts.iter_mut().for_each(process::sample_again);
    }
    let mut attempts = followed.map(tries::Followed::finish).unwrap_or_default();
    for thread in drafts.iter_mut().flat_map(|draft| &mut draft.facts.threads) {
        thread.attempts = attempts.remove(&thread.tid).unwrap_or_default();
    }
    let everyone: Vec<i32> =
        drafts.iter().flat_map(|draft| draft.facts.threads.iter().map(|thread| thread.tid)).collect();
    for draft in &mut drafts {
        if !complete && !draft.facts.zombie {
            let reason = "the time for the dump was up before all frames had names".to_owned();
            process::add_error(&mut draft.facts, reason);
        }
        finish(draft, &shared, &names, &everyone);
    }
    let calls: Vec<Vec<ThreadDraft>> = drafts.iter_mut().map(|draft| std::mem::take(&mut draft.threads)).collect();
    let mut processes: Vec<ProcessFacts> = drafts.into_iter().map(|draft| draft.facts).collect();
    peers::fill_in(&mut processes, &shared.sockets, deadline);
    for (process, calls) in processes.iter_mut().zip(calls) {
        for (thread, draft) in process.threads.iter_mut().zip(calls) {
            let text = |call| describe::describe(call, thread.waiting_on.as_ref(), thread.waited);
            thread.syscall = draft.call.as_ref().map(text);
        }
    }
    processes
}

/// Symbols leave a tenth of the time to what comes after them.
fn symbols_deadline(options: &Options, deadline: Instant) -> Instant {
    deadline.checked_sub(options.deadline / 10).unwrap_or(deadline)
}

/// All addresses that need a name, by module.
fn wanted(drafts: &[Draft]) -> HashMap<usize, BTreeSet<u64>> {
    let mut wanted: HashMap<usize, BTreeSet<u64>> = HashMap::new();
    for frame in drafts.iter().flat_map(|draft| &draft.threads).flat_map(|thread| &thread.frames) {
        if let Some(module) = frame.module {
            wanted.entry(module).or_default().insert(frame.lookup);
        }
    }
    wanted
}

/// Gives the frames of a process their names, and then its futexes their meaning.
fn finish(draft: &mut Draft, shared: &Shared, names: &Names, everyone: &[i32]) {
    let tids: Vec<i32> = draft.facts.threads.iter().map(|thread| thread.tid).collect();
    for (thread, raw) in draft.facts.threads.iter_mut().zip(&mut draft.threads) {
        thread.frames = raw.frames.iter().flat_map(|frame| named(frame, shared, names)).collect();
        finish_call(thread, raw, &tids, everyone);
    }
}

fn finish_call(thread: &mut ThreadFacts, raw: &mut ThreadDraft, tids: &[i32], everyone: &[i32]) {
    let Some(call) = &mut raw.call else { return };
    let futex = call.futex.map(|futex| WaitingOn::Futex(futex.classify(&thread.frames, tids, everyone)));
    thread.waiting_on = call.waiting_on.take().or(futex);
}

/// The frames that one place in the code stands for: those inlined there, and the function itself.
fn named(raw: &RawFrame, shared: &Shared, names: &Names) -> Vec<Frame> {
    let module = raw.module.and_then(|index| shared.modules.get(index)).map(|module| module.name.clone());
    let plain = Frame { module, address: raw.address, found: raw.found, ..Frame::default() };
    let names = raw.module.and_then(|module| names.get(&(module, raw.lookup))).filter(|names| !names.is_empty());
    if raw.signal {
        return vec![Frame { function: Some("<signal handler called>".into()), ..plain }];
    }
    let Some(names) = names else { return vec![plain] };
    let last = names.len() - 1;
    let frame = |(index, name): (usize, &symbols::Name)| Frame {
        function: Some(name.function.clone()),
        file: name.file.clone(),
        line: name.line,
        language: name.language.map(str::to_owned),
        inlined: index < last,
        ..plain.clone()
    };
    names.iter().enumerate().map(frame).collect()
}
