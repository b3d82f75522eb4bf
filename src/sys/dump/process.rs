//! One process and its threads, looked at without names for its frames yet.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::capture::{self, Denied};
use super::decode::{self, Caller, Decoded};
use super::files::{self, Stat};
use super::maps::Maps;
use super::memory::Memory;
use super::sockets::Sockets;
use super::unwind::{self, Modules, RawFrame};
use super::waited::SchedulerClocks;
use super::{fds, runtimes};
use crate::core::facts::{ProcessFacts, Samples, ThreadFacts, WaitingOn};

/// Threads of one process that are looked at; more would not be read by anyone.
const THREADS: usize = 8192;

/// What one dump keeps over all its processes.
#[derive(Default)]
pub struct Shared {
    /// Modules that code was loaded from.
    pub modules: Modules,
    /// Sockets.
    pub sockets: Sockets,
    /// The scheduler's clocks.
    pub clocks: SchedulerClocks,
}

/// A process, with what is still to be worked out.
#[derive(Default)]
pub struct Draft {
    /// What is known; its threads' frames come later.
    pub facts: ProcessFacts,
    /// For each of its threads: its frames and its system call.
    pub threads: Vec<ThreadDraft>,
    /// When the first sample of its counters was taken.
    pub sampled: Option<Instant>,
}

/// A thread, with what is still to be worked out.
#[derive(Default)]
pub struct ThreadDraft {
    /// Its frames, without names.
    pub frames: Vec<RawFrame>,
    /// Its system call.
    pub call: Option<Decoded>,
}

/// Looks at the process `pid`; `None` when there is no such process.
pub fn look(pid: i32, shared: &mut Shared, deadline: Instant) -> Option<Draft> {
    let stat = Stat::of(pid)?;
    let mut draft = Draft { sampled: Some(Instant::now()), ..Draft::default() };
    draft.facts = facts(pid, &stat);
    let tids = files::numbered(&format!("/proc/{pid}/task")).unwrap_or_default();
    // A main thread that has ended while others run is a zombie, too, but the process is not.
    draft.facts.zombie = matches!(stat.state, 'Z' | 'X') && tids.len() <= 1;
    if draft.facts.zombie {
        return Some(draft);
    }
    // A main thread that has ended shows neither memory nor files: they are reached by one that lives.
    let lives = |tid: &&i32| Stat::of_thread(pid, **tid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'));
    let via = tids.iter().find(lives).copied().unwrap_or(pid);
    draft.facts.executable = executable(via);
    let memory = Memory::of(via);
    let maps = Maps::of(via).unwrap_or_default();
    let executable = draft.facts.executable.as_ref().map(|path| path.to_string_lossy().into_owned());
    draft.facts.runtime = runtimes::recognise(executable.as_deref().unwrap_or_default(), &maps, &memory).into();
    let mut look = ThreadLook { pid, via, maps: &maps, memory: &memory, shared, denied: None };
    // The main thread has the process's own number, which need not be the smallest one.
    let ordered = tids.iter().copied().filter(|tid| *tid == pid).chain(tids.iter().copied().filter(|tid| *tid != pid));
    for tid in ordered.take(THREADS) {
        if Instant::now() >= deadline {
            add_error(&mut draft.facts, "the time for the dump was up before all threads were looked at".into());
            break;
        }
        if let Some((facts, thread)) = look.thread(tid, &mut draft.facts.paused_ms) {
            draft.facts.threads.push(facts);
            draft.threads.push(thread);
        }
    }
    if let Some(denied) = look.denied {
        add_error(&mut draft.facts, super::denied::explain(pid, denied));
    } else if let Some(reason) = unreadable(&maps) {
        add_error(&mut draft.facts, reason);
    }
    draft.facts.sockets = fds::sockets(via).into_iter().map(|inode| shared.sockets.get(via, inode)).collect();
    Some(draft)
}

/// Adds a reason why the dump is not whole.
pub fn add_error(facts: &mut ProcessFacts, reason: String) {
    facts.dump_error = Some(match facts.dump_error.take() {
        Some(before) => format!("{before}; {reason}"),
        None => reason,
    });
}

fn facts(pid: i32, stat: &Stat) -> ProcessFacts {
    let environment = files::strings(&format!("/proc/{pid}/environ"));
    let has_notify_socket = environment.ok().map(|all| all.iter().any(|one| one.starts_with("NOTIFY_SOCKET=")));
    let mut command = files::strings(&format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // Programs that write their own title leave empty words behind it.
    while command.last().is_some_and(String::is_empty) {
        command.pop();
    }
    ProcessFacts {
        pid,
        parent: stat.parent,
        command: if command.is_empty() { vec![stat.name.clone()] } else { command },
        runtime: "native".into(),
        has_notify_socket,
        io: Samples { first: transferred(pid).unwrap_or(0), ..Samples::default() },
        cpu: Samples { first: stat.cpu_ms, ..Samples::default() },
        ..ProcessFacts::default()
    }
}

fn executable(pid: i32) -> Option<PathBuf> {
    let link = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let text = link.to_string_lossy();
    Some(text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(link))
}

/// Bytes read and written so far.
fn transferred(pid: i32) -> Option<u64> {
    let text = files::record(&format!("/proc/{pid}/io")).ok()?;
    Some(files::number(&text, "rchar")?.saturating_add(files::number(&text, "wchar")?))
}

/// Why no stack can be read whatever the permissions are.
fn unreadable(maps: &Maps) -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some("native stacks are read on x86_64 only so far".into());
    }
    let high = |address: u64| address > u64::from(u32::MAX);
    let narrow = !maps.all().is_empty() && !maps.all().iter().any(|mapping| high(mapping.start));
    narrow.then(|| "stacks of 32-bit programs are not read so far".into())
}

struct ThreadLook<'a> {
    pid: i32,
    via: i32,
    maps: &'a Maps,
    memory: &'a Memory,
    shared: &'a mut Shared,
    denied: Option<i32>,
}

impl ThreadLook<'_> {
    /// One thread; `None` when it is gone.
    fn thread(&mut self, tid: i32, paused_ms: &mut f64) -> Option<(ThreadFacts, ThreadDraft)> {
        let pid = self.pid;
        let stat = Stat::of_thread(pid, tid)?;
        let wchan = files::line(&format!("/proc/{pid}/task/{tid}/wchan")).filter(|wchan| wchan != "0");
        let (used, queued) = cpu_ms(pid, tid, &stat);
        let mut facts = ThreadFacts {
            tid,
            name: stat.name.clone(),
            state: stat.state,
            cpu: Samples { first: used, ..Samples::default() },
            queued: Samples { first: queued, ..Samples::default() },
            switches: Samples { first: switches(pid, tid).unwrap_or(0), ..Samples::default() },
            wchan,
            ..ThreadFacts::default()
        };
        if matches!(stat.state, 'Z' | 'X') {
            return Some((facts, ThreadDraft::default()));
        }
        if stat.state != 'R' {
            facts.waited = self.shared.clocks.waited(pid, tid, stat.processor);
        }
        let mut draft = ThreadDraft::default();
        match capture::capture(pid, tid, self.maps, self.memory) {
            Ok(capture) => {
                *paused_ms = paused_ms.max(capture.held.as_secs_f64() * 1000.0);
                if cfg!(target_arch = "x86_64")
                    && let Some(registers) = capture.registers
                {
                    let process = unwind::Process { pid: self.via, maps: self.maps, memory: self.memory };
                    draft.frames = unwind::walk(&process, &mut self.shared.modules, registers, &capture.stack);
                }
                draft.call = capture.call.map(|call| {
                    let sockets = &mut self.shared.sockets;
                    let wchan = facts.wchan.as_deref();
                    decode::decode(&mut Caller { pid, via: self.via, memory: self.memory, sockets, wchan }, call)
                });
                if let Some(call) = &mut draft.call {
                    tell_duration(call, facts.waited);
                }
            }
            Err(Denied::Gone) => return Stat::of_thread(pid, tid).map(|_| (facts, draft)),
            Err(Denied::Errno(errno)) => self.denied = Some(errno),
        }
        Some((facts, draft))
    }
}

/// How long a sleep until a point in time is in all: what it has slept and what is left.
fn tell_duration(call: &mut Decoded, waited: Option<Duration>) {
    if let (Some(WaitingOn::Sleep { duration: duration @ None }), Some(remaining), Some(waited)) =
        (&mut call.waiting_on, call.remaining, waited)
    {
        *duration = Some(rounded(remaining + waited));
    }
}

/// Without the digits that two readings of clocks cannot tell.
fn rounded(time: Duration) -> Duration {
    let step = match time.as_millis() {
        0..100 => 1,
        100..1_000 => 10,
        1_000..10_000 => 100,
        _ => 1_000,
    };
    let millis = time.as_millis() as u64;
    Duration::from_millis((millis + step / 2) / step * step)
}

/// CPU time of a thread, and the time it waited for a CPU, in milliseconds: to the nanosecond where the scheduler tells.
fn cpu_ms(pid: i32, tid: i32, stat: &Stat) -> (u64, u64) {
    let text = files::record(&format!("/proc/{pid}/task/{tid}/schedstat")).unwrap_or_default();
    let mut words = text.split_whitespace().map_while(|word| word.parse::<u64>().ok());
    let used = words.next().map_or(stat.cpu_ms, |nanoseconds| nanoseconds / 1_000_000);
    (used, words.next().unwrap_or(0) / 1_000_000)
}

fn switches(pid: i32, tid: i32) -> Option<u64> {
    let text = files::record(&format!("/proc/{pid}/task/{tid}/status")).ok()?;
    let voluntary = files::number(&text, "voluntary_ctxt_switches")?;
    Some(voluntary + files::number(&text, "nonvoluntary_ctxt_switches")?)
}

/// Takes the second sample of all counters.
pub fn sample_again(draft: &mut Draft) {
    let facts = &mut draft.facts;
    let pid = facts.pid;
    let Some(apart) = draft.sampled.map(|first| first.elapsed()) else { return };
    let second = |samples: &mut Samples, value: Option<u64>, apart: Duration| {
        samples.second = value;
        samples.apart = apart;
    };
    second(&mut facts.io, transferred(pid), apart);
    second(&mut facts.cpu, Stat::of(pid).map(|stat| stat.cpu_ms), apart);
    for thread in &mut facts.threads {
        let times = Stat::of_thread(pid, thread.tid).map(|stat| cpu_ms(pid, thread.tid, &stat));
        second(&mut thread.cpu, times.map(|(used, _)| used), apart);
        second(&mut thread.queued, times.map(|(_, queued)| queued), apart);
        second(&mut thread.switches, switches(pid, thread.tid), apart);
    }
}
