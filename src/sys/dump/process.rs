//! One process and its threads, looked at without names for its frames yet.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::capture::{self, Call, Denied};
use super::decode::{self, Caller, Decoded};
use super::fds;
use super::files;
use super::maps::Maps;
use super::memory::{Memory, Stack};
use super::resolver;
use super::rights;
use super::runtimes::{self, Subject, TaskSite, ThreadTold, Told, ToldStack};
use super::samples;
use super::sockets::Sockets;
use super::symbols::{Site, Symbols};
use super::unwind::{self, Modules, RawFrame};
use super::waited::{Scheduled, SchedulerClocks};
use crate::core::facts::{Frame, ProcessFacts, QuotaFacts, Samples, ThreadFacts, WaitingOn};
use crate::sys::cpu_quota;
use crate::sys::procfs::Stat;

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
    /// What looks names up, if any are to be.
    pub symbols: Option<Symbols>,
    /// Whether the counters are read a second time; else they are not read for threads.
    pub sampling: bool,
}

impl Shared {
    /// Asks for the names of the frames of some threads.
    fn ask(&mut self, pid: i32, threads: &[ThreadDraft]) {
        let frames = threads.iter().flat_map(|thread| &thread.frames);
        if let Some(symbols) = &mut self.symbols {
            symbols.ask(&self.modules, pid, frames.map(|frame| (super::site(frame, pid), frame.lookup)));
        }
    }
}

impl Shared {
    /// Asks for the names of where tasks' code begins.
    fn sites(&mut self, process: &unwind::Process, sites: &[TaskSite]) -> Vec<PlacedStack> {
        let place = |(frames, address): &TaskSite| {
            let mapping = process.maps.code(*address)?;
            let module = self.modules.of(process, mapping)?;
            let lookup = self.modules.get(module)?.file_address(mapping, *address)?;
            Some((Arc::clone(frames), Site::Module(module), lookup))
        };
        let sites: Vec<_> = sites.iter().filter_map(place).collect();
        if let Some(symbols) = &mut self.symbols {
            symbols.ask(&self.modules, process.pid, sites.iter().map(|(_, site, lookup)| (*site, *lookup)));
        }
        sites
    }
}

/// The stack of a task, and where its frame is looked up.
pub type PlacedStack = (Arc<[Frame]>, Site, u64);

/// A process, with what is still to be worked out.
#[derive(Default)]
pub struct Draft {
    /// What is known; its threads' frames come later.
    pub facts: ProcessFacts,
    /// For each of its threads: its frames and its system call.
    pub threads: Vec<ThreadDraft>,
    /// What its runtime told; its tasks and its error are in `facts` already.
    pub told: Vec<ThreadTold>,
    /// Stacks of its tasks whose frame is looked up, too: each with its place, and the address there.
    pub sites: Vec<PlacedStack>,
    /// When the first sample of its counters was taken.
    pub sampled: Option<Instant>,
}

/// A thread, with what is still to be worked out.
#[derive(Debug, Default)]
pub struct ThreadDraft {
    /// Its frames, without names.
    pub frames: Vec<RawFrame>,
    /// Its system call.
    pub call: Option<Decoded>,
    /// The copy of its stack, when it was on a CPU: what is there now is another moment's.
    pub stack: Stack,
}

/// Looks at the process `pid`; `None` when there is no such process. What is known by then is handed to `note` before
/// anything that may take long, or hang.
pub fn look(pid: i32, shared: &mut Shared, deadline: Instant, note: &dyn Fn(&Draft, &Shared)) -> Option<Draft> {
    let stat = Stat::of(pid)?;
    let _rights = rights::take(pid);
    let mut draft = Draft { sampled: Some(Instant::now()), ..Draft::default() };
    draft.facts = facts(pid, &stat);
    let tids = files::numbered(&format!("/proc/{pid}/task")).unwrap_or_default();
    // A main thread that has ended while others run is a zombie, too, but the process is not.
    draft.facts.zombie = matches!(stat.state, 'Z' | 'X') && tids.len() <= 1;
    if draft.facts.zombie {
        return Some(draft);
    }
    note(&draft, shared);
    // A main thread that has ended shows neither memory nor files: they are reached by one that lives.
    let lives = |tid: &&i32| Stat::of_thread(pid, **tid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'));
    let via = tids.iter().find(lives).copied().unwrap_or(pid);
    draft.facts.executable = executable(via);
    let memory = Memory::of(via);
    let maps = Maps::of(via).unwrap_or_default();
    let executable =
        draft.facts.executable.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    draft.facts.runtime = runtimes::recognise(&executable, &maps, &memory).into();
    let denied = threads(
        &mut draft,
        &tids,
        ThreadLook { pid, via, maps: &maps, memory: &memory, shared, denied: None },
        deadline,
    );
    note(&draft, shared);
    let denied =
        denied.map(|errno| if errno == libc::ENOENT && !is_readable(&maps, &memory) { libc::EPERM } else { errno });
    if let Some(denied) = denied {
        add_error(&mut draft.facts, super::denied::explain(pid, denied));
    } else if let Some(reason) = unreadable(&maps) {
        add_error(&mut draft.facts, reason);
    }
    // A thread that could not be held in time keeps no reader from the others: readers hold nothing. Nor does a kernel that
    // does not tell places.
    if denied.is_none_or(|errno| matches!(errno, libc::ETIMEDOUT | libc::ENOENT)) {
        let (facts, stacks) = (&draft.facts, draft.threads.as_slice());
        let (executable, threads) = (executable.as_str(), facts.threads.as_slice());
        let sockets = RefCell::new(std::mem::take(&mut shared.sockets));
        let subject = Subject {
            pid,
            via,
            executable,
            maps: &maps,
            memory: &memory,
            threads,
            stacks,
            sockets: &sockets,
            deadline,
        };
        let told = runtimes::read(&facts.runtime, &subject);
        shared.sockets = sockets.into_inner();
        let process = unwind::Process { pid: via, maps: &maps, memory: &memory };
        draft.sites = shared.sites(&process, &told.sites);
        take_in(&mut draft, told);
    }
    draft.facts.sockets = fds::sockets(via).into_iter().map(|inode| shared.sockets.get(via, inode)).collect();
    Some(draft)
}

/// Whether anything of a process's memory may be read.
fn is_readable(maps: &Maps, memory: &Memory) -> bool {
    maps.all().first().is_none_or(|mapping| !memory.read_fresh(mapping.start, 1).is_empty())
}

/// Takes in what the runtime told. Native frames that it replaces need no names.
fn take_in(draft: &mut Draft, told: Told) {
    draft.facts.runtime_version = told.version;
    draft.facts.tasks = told.tasks;
    if told.disturbed {
        samples::count_from_now(draft);
    }
    draft.facts.paused_ms = draft.facts.paused_ms.max(told.held.as_secs_f64() * 1000.0);
    if let Some(error) = told.error {
        add_error(&mut draft.facts, error);
    }
    for (facts, thread) in draft.facts.threads.iter().zip(&mut draft.threads) {
        let stack = told.threads.iter().find(|told| told.tid == facts.tid).map(|told| &told.stack);
        if let Some(ToldStack::Instead { from, .. }) = stack {
            thread.frames.truncate(*from);
        }
    }
    draft.told = told.threads;
}

/// Looks at the threads, the main one first; why they may not be looked at, if so.
fn threads(draft: &mut Draft, tids: &[i32], mut look: ThreadLook, deadline: Instant) -> Option<i32> {
    let pid = look.pid;
    // The main thread has the process's own number, which need not be the smallest one.
    let ordered = tids.iter().copied().filter(|tid| *tid == pid).chain(tids.iter().copied().filter(|tid| *tid != pid));
    let mut asked = 0;
    for tid in ordered.take(THREADS) {
        if Instant::now() >= deadline {
            add_error(&mut draft.facts, "the time for the dump was up before all threads were looked at".into());
            break;
        }
        let Some((facts, thread)) = look.thread(tid, &mut draft.facts.paused_ms) else { continue };
        draft.facts.threads.push(facts);
        draft.threads.push(thread);
        // The names of the first few are looked up while the many are looked at: mostly they are the same.
        if draft.threads.len().is_power_of_two() {
            look.shared.ask(pid, draft.threads.get(asked..).unwrap_or_default());
            asked = draft.threads.len();
        }
    }
    look.shared.ask(pid, draft.threads.get(asked..).unwrap_or_default());
    look.denied
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
        io: Samples { first: samples::transferred(pid).unwrap_or(0), ..Samples::default() },
        cpu: Samples { first: stat.cpu_ms(), ..Samples::default() },
        quota: cpu_quota::of_process(pid).map(|quota| QuotaFacts {
            cpus: quota.cpus(),
            throttled: Samples { first: quota.throttled_ms, ..Samples::default() },
        }),
        ..ProcessFacts::default()
    }
}

fn executable(pid: i32) -> Option<PathBuf> {
    let link = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let text = link.to_string_lossy();
    Some(text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(link))
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
        let mut facts = ThreadFacts { tid, name: stat.name.clone(), state: stat.state, ..ThreadFacts::default() };
        let scheduled = Scheduled::of(pid, tid);
        if self.shared.sampling {
            let (used, queued) = samples::cpu_ms(pid, tid, Some(&stat)).unwrap_or_default();
            let switches = scheduled.and_then(|scheduled| scheduled.switches).or_else(|| samples::switches(pid, tid));
            facts.cpu = Samples { first: used, ..Samples::default() };
            facts.queued = Samples { first: queued, ..Samples::default() };
            facts.switches = Samples { first: switches.unwrap_or(0), ..Samples::default() };
        }
        if matches!(stat.state, 'Z' | 'X') {
            return Some((facts, ThreadDraft::default()));
        }
        if stat.state != 'R' {
            facts.waited = scheduled.and_then(|scheduled| self.shared.clocks.waited(scheduled, stat.processor));
        }
        let mut draft = ThreadDraft::default();
        let captured = capture::capture(pid, tid, self.maps, self.memory);
        facts.wchan = self.wchan(tid, stat.state, captured.as_ref().ok().and_then(|capture| capture.call));
        match captured {
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
                if let Some(waiting_on) = draft.call.as_mut().and_then(|call| call.waiting_on.as_mut()) {
                    resolver::fill_in(waiting_on, || &capture.stack, self.memory);
                }
                if draft.call.is_none() {
                    draft.stack = capture.stack;
                }
                if let Some(call) = &mut draft.call {
                    tell_duration(call, facts.waited);
                }
            }
            Err(Denied::Gone) => return Stat::of_thread(pid, tid).map(|_| (facts, draft)),
            Err(Denied::Errno(errno)) => self.denied = Some(errno),
        }
        Some((facts, draft))
    }

    /// Where in the kernel the thread sleeps, unless its system call says so by itself: a dump may have thousands.
    fn wchan(&self, tid: i32, state: char, call: Option<Call>) -> Option<String> {
        let plain = [
            libc::SYS_futex,
            libc::SYS_clock_nanosleep,
            libc::SYS_epoll_pwait,
            libc::SYS_ppoll,
            libc::SYS_rt_sigtimedwait,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_pause,
        ];
        if state == 'S' && call.is_some_and(|call| plain.contains(&call.number)) {
            return None;
        }
        files::line(&format!("/proc/{}/task/{tid}/wchan", self.pid)).filter(|wchan| wchan != "0")
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
