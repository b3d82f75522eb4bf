//! The dump: the stacks of every thread of every process of a tree, taken from outside, and what each thread waits on.
//!
//! It does the processes no harm. A blocked thread is not stopped: its place comes from `/proc/PID/task/TID/syscall`,
//! its stack from `process_vm_readv(2)`, and what changed in between is read again. Only a thread that is on a CPU is
//! held by `ptrace(2)` while its registers and stack are copied; at a missed deadline one
//! that is awake for a moment only is looked at again as it sleeps (`awake`), and a sleeping one may be followed (`tries`).
//! Names are looked up after that. Nothing here stops at memory that makes no sense, and everything is bounded.

mod awake;
mod capture;
mod cfi;
mod code;
mod debug_file;
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
mod lookup;
mod maps;
pub(crate) mod memory;
mod module;
mod numbers;
mod peers;
mod perf_map;
mod polled;
mod process;
mod registers;
mod resolver;
pub(crate) mod rights;
mod runtimes;
pub(crate) mod samples;
mod shrunk;
mod so_far;
mod sockets;
mod symbols;
mod tries;
mod unpacked;
mod unwind;
mod waited;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use process::{Draft, PlacedStack, Shared, ThreadDraft};
use runtimes::{Run, ToldStack};
use so_far::SoFar;
use symbols::{Names, Site, Symbols};
use unwind::RawFrame;

use crate::core::facts::{Frame, ProcessFacts, ThreadFacts, WaitingOn};

/// So often more the counters of a thread that has to wait for a CPU are looked at, at most.
const STARVED: usize = 4;

/// So often processes that were awake are looked at again as they sleep, at most.
const AGAIN: usize = 3;
/// Processes of a tree looked at, at most.
const PROCESSES: usize = 2048;

/// How a dump is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// When it has to be done; what is not there by then is left out, and said so.
    pub deadline: Duration,
    /// After how long the counters (CPU time, bytes, context switches) are read a second time; not when every thread has
    /// slept for far longer, as there is nothing to be seen then.
    pub second_sample_after: Option<Duration>,
    /// Up to what time processes that sleep are waited for to wake, and followed to see what they try in vain: see
    /// `tries`. `None` leaves every blocked thread alone.
    pub follow_sleepers: Option<Duration>,
    /// Whether they are known to try something again and again, so that they are followed until that was seen.
    pub insist: bool,
    /// Whether frames get names.
    pub symbolise: bool,
}

impl Default for Options {
    fn default() -> Options {
        let second_sample_after = Some(Duration::from_millis(100));
        Options {
            deadline: Duration::from_secs(2),
            second_sample_after,
            follow_sleepers: None,
            insist: false,
            symbolise: true,
        }
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
/// The work is done by a thread of its own with the caller's credentials; see `rights` for when they do not suffice. Should it hang in the kernel on a process
/// that cannot be read, that thread is left behind; should it panic, the caller is not hurt.
pub fn dump(pids: &[i32], options: &Options) -> Vec<ProcessFacts> {
    let (wanted, options) = (pids.to_vec(), *options);
    so_far::in_time(pids, options.deadline, move |so_far, deadline| run(&wanted, &options, deadline, so_far))
}

fn run(pids: &[i32], options: &Options, deadline: Instant, so_far: &SoFar) -> Vec<ProcessFacts> {
    let symbols = options.symbolise.then(Symbols::start);
    let mut shared = Shared { sampling: options.second_sample_after.is_some(), symbols, ..Shared::default() };
    let mut drafts = match options.follow_sleepers {
        Some(_) => look_as_they_sleep(pids, &mut shared, deadline, so_far),
        None => look(pids, &mut shared, deadline, so_far),
    };
    let followed = options.follow_sleepers.map(|longest| tries::follow(&drafts, longest, options.insist, deadline));
    let looked_up = shared.symbols.take().map(|symbols| symbols.finish(symbols_deadline(options, deadline)));
    let (names, complete) = looked_up.unwrap_or((Names::new(), true));
    let wanted = options.second_sample_after.filter(|_| !drafts.iter().all(samples::stands_still));
    if let Some(after) = wanted {
        let first = drafts.iter().filter_map(|draft| draft.sampled).max();
        let at = first.map_or(deadline, |first| (first + after).min(deadline));
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        drafts.iter_mut().for_each(samples::sample_again);
        // On a busy machine one that wants to run may not have had its turn yet, which would look like waiting.
        for _ in 0..STARVED {
            if !drafts.iter().any(samples::is_starved) || Instant::now() + after >= deadline {
                break;
            }
            std::thread::sleep(after);
            drafts.iter_mut().for_each(samples::sample_again);
        }
    }
    if let Some(followed) = followed {
        followed.finish(&mut drafts);
    }
    let everyone: Vec<i32> =
        drafts.iter().flat_map(|draft| draft.facts.threads.iter().map(|thread| thread.tid)).collect();
    for draft in &mut drafts {
        if !complete && !draft.facts.zombie {
            let reason = "the time for the dump was up before all frames had names".to_owned();
            process::add_error(&mut draft.facts, reason);
        }
        finish(draft, &shared, &names, &everyone);
        draft.facts.resolver = resolver::settings(&draft.facts);
    }
    let sites: Vec<_> = drafts.iter_mut().map(|draft| std::mem::take(&mut draft.sites)).collect();
    let calls: Vec<Vec<ThreadDraft>> = drafts.iter_mut().map(|draft| std::mem::take(&mut draft.threads)).collect();
    let mut processes: Vec<ProcessFacts> = drafts.into_iter().map(|draft| draft.facts).collect();
    for process in &mut processes {
        process.tasks = so_far.take_tasks(process.pid);
    }
    for (process, sites) in processes.iter_mut().zip(sites) {
        place_tasks(process, &sites, &names);
    }
    peers::fill_in(&mut processes, &shared.sockets, deadline);
    for (process, calls) in processes.iter_mut().zip(calls) {
        for (thread, draft) in process.threads.iter_mut().zip(calls) {
            let text = |call| describe::describe(call, thread.waiting_on.as_ref(), thread.waited);
            thread.syscall = draft.call.as_ref().map(text);
        }
    }
    processes
}

/// Looks at these processes, and notes what there is of each as soon as it is.
fn look(pids: &[i32], shared: &mut Shared, deadline: Instant, so_far: &SoFar) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for pid in pids {
        let note = |draft: &Draft, shared: &Shared| so_far.note(unnamed(draft, shared));
        let Some(mut draft) = process::look(*pid, shared, deadline, &note) else { continue };
        // Tasks may be very many: they are kept once.
        let tasks = std::mem::take(&mut draft.facts.tasks);
        so_far.note(ProcessFacts { tasks, ..unnamed(&draft, shared) });
        drafts.push(draft);
    }
    drafts
}

/// The same, and again when one was awake that sleeps most of the time.
fn look_as_they_sleep(pids: &[i32], shared: &mut Shared, deadline: Instant, so_far: &SoFar) -> Vec<Draft> {
    let begun = Instant::now();
    let mut drafts = look(pids, shared, deadline, so_far);
    for _ in 0..AGAIN {
        // One that was there and is gone has been awake, too.
        let awake = awake::any(&drafts) || drafts.len() < pids.len() || awake::any_ended(&drafts);
        let time = begun.elapsed() * 2 < deadline.saturating_duration_since(Instant::now());
        if !awake || !time {
            break;
        }
        let Some(asleep) = awake::until_asleep(pids) else { break };
        (shared.sockets, shared.clocks) = Default::default();
        let again = look(&asleep, shared, deadline, so_far);
        // What is known of one that has ended itself meanwhile is not given away.
        if drafts.first().is_some_and(|main| again.first().is_none_or(|again| again.facts.pid != main.facts.pid)) {
            break;
        }
        drafts = again;
    }
    drafts
}

/// What is known of a process before anything has a name.
fn unnamed(draft: &Draft, shared: &Shared) -> ProcessFacts {
    let mut facts = draft.facts.clone();
    for (thread, raw) in facts.threads.iter_mut().zip(&draft.threads) {
        thread.waiting_on = raw.call.as_ref().and_then(|call| call.waiting_on.clone());
        let text = |call| describe::describe(call, thread.waiting_on.as_ref(), thread.waited);
        thread.syscall = raw.call.as_ref().map(text);
        thread.frames = raw.frames.iter().flat_map(|frame| named(frame, facts.pid, shared, &Names::new())).collect();
    }
    facts
}

/// Symbols leave a tenth of the time to what comes after them.
fn symbols_deadline(options: &Options, deadline: Instant) -> Instant {
    deadline.checked_sub(options.deadline / 10).unwrap_or(deadline)
}

/// Where a frame of the process `pid` is looked up.
fn site(frame: &RawFrame, pid: i32) -> Site {
    frame.module.map_or(Site::Process(pid), Site::Module)
}

/// Gives the frames of a process their names, and then its futexes their meaning.
fn finish(draft: &mut Draft, shared: &Shared, names: &Names, everyone: &[i32]) {
    let pid = draft.facts.pid;
    let tids: Vec<i32> = draft.facts.threads.iter().map(|thread| thread.tid).collect();
    for (thread, raw) in draft.facts.threads.iter_mut().zip(&mut draft.threads) {
        let mut told =
            draft.told.iter_mut().find(|told| told.tid == thread.tid).map(std::mem::take).unwrap_or_default();
        let in_runtime = |index: usize| match &told.stack {
            ToldStack::Named(frames) => frames.get(&index).cloned(),
            ToldStack::Beside(_) | ToldStack::Runs(_) | ToldStack::Instead { .. } => None,
        };
        // Where the frames of each native one begin: a place in the code may stand for several functions.
        let mut starts = Vec::with_capacity(raw.frames.len());
        for (index, frame) in raw.frames.iter().enumerate() {
            starts.push((frame.stack_pointer, thread.frames.len()));
            thread.frames.extend(in_runtime(index).unwrap_or_else(|| named(frame, pid, shared, names)));
        }
        if let ToldStack::Instead { frames, .. } = &mut told.stack {
            thread.frames.append(frames);
        }
        // A lock is told by the native functions that wait for it.
        finish_call(thread, raw, &tids, everyone);
        let runs = match told.stack {
            ToldStack::Beside(frames) => vec![Run { frames, stack: None }],
            ToldStack::Runs(runs) => runs,
            ToldStack::Named(_) | ToldStack::Instead { .. } => Vec::new(),
        };
        let native = std::mem::take(&mut thread.frames);
        thread.frames = runtimes::merge(native, &starts, &runs, &draft.facts.runtime);
        (thread.runtime_name, thread.runtime_state, thread.locks) = (told.name, told.state, told.locks);
    }
}

/// Gives the frames of tasks the file and line where their code begins.
fn place_tasks(process: &mut ProcessFacts, sites: &[PlacedStack], names: &Names) {
    let mut placed: HashMap<*const Frame, Arc<[Frame]>> = HashMap::new();
    for (frames, site, address) in sites {
        let Some(name) = names.get(&(*site, *address)).and_then(|names| names.last()) else { continue };
        if name.line.is_none() {
            continue;
        }
        let place = |frame: &Frame| Frame { file: name.file.clone(), line: name.line, near: true, ..frame.clone() };
        placed.insert(frames.as_ptr(), frames.iter().map(place).collect());
    }
    for task in &mut process.tasks {
        if let Some(frames) = placed.get(&task.frames.as_ptr()) {
            task.frames = Arc::clone(frames);
        }
    }
}

fn finish_call(thread: &mut ThreadFacts, raw: &mut ThreadDraft, tids: &[i32], everyone: &[i32]) {
    let Some(call) = &mut raw.call else { return };
    let futex = call.futex.map(|futex| WaitingOn::Futex(futex.classify(&thread.frames, tids, everyone)));
    thread.waiting_on = call.waiting_on.take().or(futex);
}

/// The frames that one place in the code stands for: those inlined there, and the function itself.
fn named(raw: &RawFrame, pid: i32, shared: &Shared, names: &Names) -> Vec<Frame> {
    let module = raw.module.and_then(|index| shared.modules.get(index)).map(|module| module.name.clone());
    let plain = Frame { module, address: raw.address, found: raw.found, ..Frame::default() };
    let names = names.get(&(site(raw, pid), raw.lookup)).filter(|names| !names.is_empty());
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
