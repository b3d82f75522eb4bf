//! Processes of a service, their threads and their stacks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::descriptor::SocketFacts;
use super::resolver::ResolverFacts;
use super::wait::WaitingOn;
use super::written::{hex, millis};

/// One process of a service, looked at from outside.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessFacts {
    /// Its pid.
    pub pid: i32,
    /// Its parent's pid.
    pub parent: i32,
    /// Its command line, secrets masked.
    pub command: Vec<String>,
    /// Its executable.
    #[serde(skip)]
    pub executable: Option<PathBuf>,
    /// What runs it: `go`, `cpython`, `jvm`, `node`, `ruby`, `native`, …
    pub runtime: String,
    /// Its version, where it can be read.
    pub runtime_version: Option<String>,
    /// Its threads, the main one first.
    pub threads: Vec<ThreadFacts>,
    /// Tasks of its runtime (goroutines, virtual threads, asyncio tasks).
    pub tasks: Vec<TaskFacts>,
    /// Why the dump is not whole.
    pub dump_error: Option<String>,
    /// The longest any of its threads was held, in milliseconds; 0 when none was.
    pub paused_ms: f64,
    /// Whether it has ended and waits to be reaped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub zombie: bool,
    /// Variables of its environment that matter to readiness: whether NOTIFY_SOCKET is still there, if readable.
    #[serde(skip)]
    pub has_notify_socket: Option<bool>,
    /// Sockets of any kind that it holds (connections and listeners), for the diagnosis.
    #[serde(skip)]
    pub sockets: Vec<SocketFacts>,
    /// Bytes it has read and written so far (`/proc/PID/io`, rchar + wchar) at two samples.
    #[serde(skip)]
    pub io: Samples,
    /// CPU time used by the whole process at two samples, in milliseconds.
    #[serde(skip)]
    pub cpu: Samples,
    /// Connections that it was seen to try in vain between two sleeps, where no thread of its own stands for them: its
    /// tasks go from thread to thread, or programs that it started tried.
    #[serde(skip)]
    pub attempts: Vec<AttemptFacts>,
    /// By which rules it looks names up, where it seems to be about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<ResolverFacts>,
    /// The CPU quota it is under, if any.
    #[serde(skip)]
    pub quota: Option<QuotaFacts>,
}

/// The CPU quota of a cgroup and how it held back what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct QuotaFacts {
    /// How many CPUs' time may be used.
    pub cpus: f64,
    /// For how long tasks were held back at two samples, in milliseconds, summed up over the CPUs.
    pub throttled: Samples,
}

/// A counter at the first and the second sample of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Samples {
    /// At the first sample.
    pub first: u64,
    /// At the second sample, when one was taken.
    pub second: Option<u64>,
    /// Between the two.
    pub apart: Duration,
}

impl Samples {
    /// By how much it grew between the two samples; `None` when there was but one.
    pub fn growth(self) -> Option<u64> {
        self.second.map(|second| second.saturating_sub(self.first))
    }
}

/// One thread.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadFacts {
    /// Its tid.
    pub tid: i32,
    /// Its name (`comm`).
    pub name: String,
    /// Its state letter (`proc_pid_stat(5)`): `R` running, `S` sleeping, `D` uninterruptible, `T` stopped, `t` traced, `Z`.
    pub state: char,
    /// The system call it is in, decoded: `connect(fd 7) to 10.0.0.5:6379, SYN sent 28.1 s ago`.
    pub syscall: Option<String>,
    /// What it waits on, as far as the system call shows it.
    pub waiting_on: Option<WaitingOn>,
    /// How long it has been off the CPU in this wait, where it can be known.
    #[serde(rename = "waited_ms", with = "millis", skip_serializing_if = "Option::is_none")]
    pub waited: Option<Duration>,
    /// Its stack, innermost first: the runtime's own frames stand where its interpreter's or machine's native ones begin.
    pub frames: Vec<Frame>,
    /// Its name in the runtime's terms, when it has another than the kernel's: `HikariPool-1 housekeeper`, `MainThread`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_name: Option<String>,
    /// Its state in the runtime's own words: `WAITING (parking)`, `holds the GIL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_state: Option<String>,
    /// Locks of the runtime that it holds or waits for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<LockFacts>,
    /// CPU time used at two samples, in milliseconds.
    #[serde(skip)]
    pub cpu: Samples,
    /// Time it was ready to run but waited for a CPU at two samples, in milliseconds; 0 where it is not told.
    #[serde(skip)]
    pub queued: Samples,
    /// Context switches, voluntary and not, at two samples.
    #[serde(skip)]
    pub switches: Samples,
    /// Connections that it was seen to try in vain between two sleeps.
    #[serde(skip)]
    pub attempts: Vec<AttemptFacts>,
    /// Where in the kernel it sleeps (`/proc/PID/wchan`), where readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wchan: Option<String>,
}

/// Tries of one thread at one thing between two sleeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptFacts {
    /// What was tried.
    pub what: Tried,
    /// The address: `127.0.0.1:6379`, or a Unix path; of a lock the file's path.
    pub address: String,
    /// Who has the lock that was not given, as far as the kernel tells.
    pub holders: Vec<ProcessName>,
    /// `errno(3)` of the last of them; 0 for a connection that came about.
    pub errno: i32,
    /// How many there were.
    pub times: u32,
}

/// What a thread was seen to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tried {
    /// To connect.
    #[default]
    Connect,
    /// To lock a file that another process has locked, without waiting for it.
    FileLock,
}

/// One task of a runtime: a goroutine, a virtual thread, an asyncio task.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskFacts {
    /// Its number in the runtime's own terms.
    pub id: u64,
    /// Its name, where the runtime has names for tasks: `Task-3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its state in the runtime's own words.
    pub state: String,
    /// How long it has been so, where the runtime knows.
    #[serde(rename = "waited_ms", with = "millis")]
    pub waited: Option<Duration>,
    /// The thread that runs it now, or that it is bound to: a tid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<i32>,
    /// What it waits on, as far as the runtime shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_on: Option<WaitingOn>,
    /// Whether it is one of the runtime's own (a garbage collector's worker), not of the program.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
    /// Its stack, innermost first. Tasks may be very many, and most stand in one of a few places: those share it.
    pub frames: Arc<[Frame]>,
    /// Where it was made, and by which task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<CreatedBy>,
}

/// Where a task was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CreatedBy {
    /// The task that made it, where the runtime keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// The function and line that did.
    pub frame: Frame,
}

/// A lock of a runtime that a thread holds or waits for: a JVM monitor, a `java.util.concurrent` lock.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockFacts {
    /// What tells it from others of the process: its address in the runtime's terms.
    #[serde(with = "hex")]
    pub address: u64,
    /// What it is: `java.lang.Object`, `java.util.concurrent.locks.ReentrantLock$NonfairSync`.
    pub class: String,
    /// Whether the thread holds it; otherwise it waits for it.
    pub held: bool,
}

/// One frame of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// The function, demangled; `None` when no symbol is known.
    pub function: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// Whether the line is only near the place: where the function starts, or a call before it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub near: bool,
    /// The file it was loaded from.
    pub module: Option<String>,
    /// Its address.
    #[serde(with = "hex")]
    pub address: u64,
    /// The language, as far as it can be told: `c`, `c++`, `rust`, `go`, `python`, …
    pub language: Option<String>,
    /// Whether it was inlined into the next one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
    /// How it was found.
    pub found: FoundBy,
}

impl Frame {
    /// Whether the runtime told it. One that was read while the thread ran is a guess; only native ones have an address.
    pub fn is_told(&self) -> bool {
        self.found == FoundBy::Runtime || self.found == FoundBy::Guess && self.address == 0 && self.function.is_some()
    }
}

/// How a frame was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// It is where the thread stands: its program counter.
    #[default]
    Pc,
    /// By call frame information (`.eh_frame`, `.debug_frame`).
    Cfi,
    /// By following frame pointers.
    Fp,
    /// A word on the stack that looks like a return address; or a runtime's frame, read while the thread ran and could not
    /// be held, that need not have been there at the same moment as the others.
    Guess,
    /// By the runtime's own tables.
    Runtime,
}

/// A process or thread by number and name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessName {
    /// Its pid.
    pub pid: i32,
    /// Its name (`comm`) or command line.
    pub name: String,
}

impl std::fmt::Display for ProcessName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}
