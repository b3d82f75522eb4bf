//! Facts about a service at one moment, as `sys` and `run` found them: what the diagnosis reasons on and what the
//! report shows. Nothing in here is a conclusion.
//!
//! The structures below `processes` are the report's own (DESIGN §8), so they serialise as they stand.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exit::Ending;
use super::settings::{Listen, PortMode, Ready};

mod written;

use written::{hex, listen_text, millis, mode_text, seconds};

/// All that is known about one generation at the moment it is explained.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The service's name.
    pub service: String,
    /// Its command line.
    pub command: Vec<String>,
    /// Why it is looked at.
    pub occasion: Occasion,
    /// Since the generation's start.
    pub elapsed: Duration,
    /// Its start deadline.
    pub start_timeout: Duration,
    /// How it was to become ready.
    pub ready: Ready,
    /// Whether it was ready before.
    pub was_ready: bool,
    /// What it said on the notify socket.
    pub notified: NotifyFacts,
    /// Its declared ports.
    pub ports: Vec<PortFacts>,
    /// All sockets its processes listen on, declared or not.
    pub listening: Vec<ListeningFacts>,
    /// Its processes, the first one first, each parent before its children.
    pub processes: Vec<ProcessFacts>,
    /// What it wrote last, when the launcher could see it; lossy UTF-8, oldest first.
    pub output_tail: String,
    /// How long ago it wrote last, when the launcher could see it.
    pub output_age: Option<Duration>,
    /// How its main process ended, if it did.
    pub ending: Option<Ending>,
    /// Memory limit, peak and kills of its cgroup, where they could be read.
    pub memory: Option<MemoryFacts>,
    /// Why it could not be executed or failed preflight.
    pub refusal: Option<Refusal>,
    /// Whether the launcher asked it to end (so that the ending is no surprise).
    pub stop_requested: bool,
}

impl Facts {
    /// Facts of a service of which nothing is known yet but its name and why it is looked at.
    pub fn new(service: impl Into<String>, occasion: Occasion) -> Facts {
        Facts {
            service: service.into(),
            command: Vec::new(),
            occasion,
            elapsed: Duration::ZERO,
            start_timeout: Duration::ZERO,
            ready: Ready::Auto,
            was_ready: false,
            notified: NotifyFacts::default(),
            ports: Vec::new(),
            listening: Vec::new(),
            processes: Vec::new(),
            output_tail: String::new(),
            output_age: None,
            ending: None,
            memory: None,
            refusal: None,
            stop_requested: false,
        }
    }
}

/// Why a service is looked at: the report's `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A preflight check failed.
    Preflight,
    /// A requirement did not answer.
    Requirement,
    /// It could not be executed.
    ExecFailed,
    /// It ended with a code before it was ready, or with a failure code after.
    Exited,
    /// A signal ended it.
    Crashed,
    /// The start deadline was missed.
    StartTimeout,
    /// WATCHDOG=1 did not come in time.
    Watchdog,
    /// The memory limit ended it.
    OutOfMemory,
    /// It did not stop in time.
    StopTimeout,
    /// Somebody asked (`launcher dump`).
    Requested,
}

impl Occasion {
    /// As a report writes it.
    pub fn name(self) -> &'static str {
        match self {
            Occasion::Preflight => "preflight",
            Occasion::Requirement => "requirement",
            Occasion::ExecFailed => "exec-failed",
            Occasion::Exited => "exited",
            Occasion::Crashed => "crashed",
            Occasion::StartTimeout => "start-timeout",
            Occasion::Watchdog => "watchdog",
            Occasion::OutOfMemory => "out-of-memory",
            Occasion::StopTimeout => "stop-timeout",
            Occasion::Requested => "requested",
        }
    }
}

/// What a service said on the notify socket.
#[derive(Debug, Clone, Default)]
pub struct NotifyFacts {
    /// READY=1 was accepted.
    pub ready: bool,
    /// The last STATUS=.
    pub status: Option<String>,
    /// The last ERRNO=.
    pub errno: Option<i32>,
    /// Messages by processes that do not belong to the service: pid, and what they said.
    pub strangers: Vec<(i32, String)>,
}

/// One declared port.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PortFacts {
    /// Its name.
    pub name: String,
    /// Where it is declared to listen.
    #[serde(with = "listen_text")]
    pub listen: Listen,
    /// What the launcher does with it.
    #[serde(with = "mode_text")]
    pub mode: PortMode,
    /// Whether a process of the service (or, with `pass`, the launcher) listens on it.
    pub listening: bool,
    /// Who else holds it.
    pub owner: Option<OwnerFacts>,
}

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnerFacts {
    /// All processes that hold the socket; empty when they may not be looked into, or there is none.
    pub holders: Vec<HolderFacts>,
    /// The socket's owner.
    pub uid: Option<u32>,
    /// That user's name.
    pub user: Option<String>,
    /// The socket's cgroup, or a systemd unit or container id in it.
    pub cgroup: Option<String>,
    /// What kind of hold it is.
    pub state: HoldState,
    /// The address it is held on, when that is not the one asked for (a wildcard, dual stack).
    pub address: Option<String>,
}

/// One process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HolderFacts {
    /// Its pid.
    pub pid: i32,
    /// Its command line.
    pub command: Vec<String>,
    /// Since when it runs.
    #[serde(rename = "running_s", with = "seconds")]
    pub running: Option<Duration>,
    /// Whether it is a leftover of this very service: started by a launcher that is gone.
    pub leftover: bool,
    /// The living launcher that looks after it, if one does: without that one it would come back.
    pub launcher: Option<i32>,
}

/// What kind of hold there is on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldState {
    /// A listening socket (for UDP: a bound one).
    #[default]
    Listening,
    /// Bound, not listening.
    Bound,
    /// A connection's local end.
    Connected,
    /// TIME_WAIT: nobody's, gone within a minute.
    TimeWait,
    /// A Unix socket's file without anyone behind it.
    Stale,
    /// A file that is no socket is in the place of a Unix socket.
    NotASocket,
}

/// A socket that a process of the service listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListeningFacts {
    /// Its address.
    pub listen: Listen,
    /// By which process.
    pub pid: i32,
}

/// Limits and use of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryFacts {
    /// The limit, in bytes.
    pub limit: Option<u64>,
    /// The most that was used, in bytes.
    pub peak: Option<u64>,
    /// How many processes of the cgroup the kernel killed for it since the generation started.
    pub kills: u64,
}

/// Why a generation was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The program cannot be executed.
    Exec(ExecFailure),
    /// A port is taken, or cannot be bound.
    Port(PortFailure),
}

/// Why a program cannot be executed: found before the try, or the stage and errno of the try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecFailure {
    /// What is wrong, as a kind.
    pub problem: ExecProblem,
    /// The whole of it for a person: what, to whom; no final period.
    pub summary: String,
    /// What can be done, in the imperative.
    pub advice: Vec<String>,
    /// `errno(3)`, where there was one.
    pub errno: Option<i32>,
}

/// What keeps a program from being executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecProblem {
    /// There is no such file, there or on PATH.
    NotFound,
    /// A directory.
    IsDirectory,
    /// No x bit for this user.
    NotExecutable,
    /// The file system is mounted noexec.
    NoExecMount,
    /// The interpreter of a script is missing.
    InterpreterMissing,
    /// The ELF loader (`PT_INTERP`) is missing.
    LoaderMissing,
    /// Made for another architecture.
    WrongArchitecture,
    /// Neither a script nor a program.
    BadFormat,
    /// The working directory cannot be entered.
    Directory,
    /// The user cannot be taken on.
    User,
    /// Another step between fork and exec failed.
    Stage,
}

impl ExecProblem {
    /// 127 when there is nothing to execute, 71 when the launcher could not get that far, 126 otherwise (DESIGN §2).
    pub fn exit_code(self) -> i32 {
        use super::exit::code;
        match self {
            ExecProblem::NotFound => code::NOT_FOUND,
            ExecProblem::Directory | ExecProblem::User | ExecProblem::Stage => code::PREFLIGHT,
            _ => code::NOT_EXECUTABLE,
        }
    }
}

/// Why a port cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFailure {
    /// The port's name.
    pub name: String,
    /// Its address.
    pub listen: Listen,
    /// What is wrong, as a kind.
    pub problem: PortProblem,
    /// Who holds it, when it is taken.
    pub owner: Option<OwnerFacts>,
    /// `errno(3)` of the bind.
    pub errno: Option<i32>,
    /// The whole of it for a person; no final period.
    pub summary: String,
    /// What can be done, in the imperative.
    pub advice: Vec<String>,
}

/// What is wrong with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortProblem {
    /// Somebody holds it.
    Taken,
    /// Below `net.ipv4.ip_unprivileged_port_start`, without the capability.
    Privileged,
    /// The address is not on this host.
    NoSuchAddress,
    /// The directory of a Unix socket is missing, or not writable, or the like.
    Other,
}

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
    /// Its stack, innermost first.
    pub frames: Vec<Frame>,
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

/// Tries of one thread to connect to one address, all of which failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFacts {
    /// The address: `127.0.0.1:6379`, or a Unix path.
    pub address: String,
    /// `errno(3)` of the last of them.
    pub errno: i32,
    /// How many there were.
    pub times: u32,
}

/// One task of a runtime: a goroutine, a virtual thread, an asyncio task.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskFacts {
    /// Its number in the runtime's own terms.
    pub id: u64,
    /// Its state in the runtime's own words.
    pub state: String,
    /// How long it has been so, where the runtime knows.
    #[serde(rename = "waited_ms", with = "millis")]
    pub waited: Option<Duration>,
    /// Its stack, innermost first.
    pub frames: Vec<Frame>,
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
    /// A word on the stack that looks like a return address.
    Guess,
    /// By the runtime's own tables.
    Runtime,
}

/// What a thread waits on, as far as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum WaitingOn {
    /// A connection that is not yet there: blocking `connect(2)`.
    Connect {
        /// The descriptor.
        fd: i32,
        /// The socket.
        socket: SocketFacts,
    },
    /// `accept(2)` on a listening socket.
    Accept {
        /// The descriptor.
        fd: i32,
        /// The socket.
        socket: SocketFacts,
    },
    /// Data from a connected socket: `read`, `recv*` and the like.
    Receive {
        /// The descriptor.
        fd: i32,
        /// The socket.
        socket: SocketFacts,
    },
    /// Room to send on a socket.
    Send {
        /// The descriptor.
        fd: i32,
        /// The socket.
        socket: SocketFacts,
    },
    /// Input from a terminal, a pipe, a FIFO, or another file that is no socket.
    Input {
        /// The descriptor.
        fd: i32,
        /// What it is.
        file: FileFacts,
    },
    /// Room to write to a pipe, a terminal or a file.
    Output {
        /// The descriptor.
        fd: i32,
        /// What it is.
        file: FileFacts,
    },
    /// Opening a FIFO that has no peer yet, or another file whose opening blocks.
    Open {
        /// Its path.
        path: String,
    },
    /// A futex: a lock, a condition, a join.
    Futex(FutexFacts),
    /// A lock on a file: `flock(2)`, `fcntl(2)` F_SETLKW.
    FileLock {
        /// The file, when known.
        path: Option<String>,
        /// Who holds it.
        holders: Vec<ProcessName>,
    },
    /// The end, or another change, of a child: `wait4(2)`, `waitid(2)`.
    Child {
        /// The children it can be waiting for.
        children: Vec<ProcessName>,
    },
    /// Several descriptors: `epoll_wait`, `poll`, `select`.
    Poll {
        /// `epoll_wait`, `poll`, `select`, `io_uring_enter`.
        call: String,
        /// How long it waits at most; `None` for ever.
        #[serde(rename = "timeout_ms", with = "millis", default)]
        timeout: Option<Duration>,
        /// What is watched, as far as it can be read.
        watched: Vec<WatchedFacts>,
    },
    /// Time: `nanosleep(2)`, `clock_nanosleep(2)`.
    Sleep {
        /// For how long in all, when it can be read.
        #[serde(rename = "duration_ms", with = "millis", default)]
        duration: Option<Duration>,
    },
    /// A signal: `sigwaitinfo`, `pause`, `sigsuspend`.
    Signal,
    /// Random numbers: `getrandom(2)` before the pool is ready.
    Entropy,
    /// A System V semaphore or message queue.
    Ipc {
        /// Which call.
        call: String,
    },
    /// Another system call.
    Other {
        /// Its name.
        call: String,
    },
}

/// One descriptor that a poller watches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedFacts {
    /// The descriptor.
    pub fd: i32,
    /// Whether readability is waited for.
    pub read: bool,
    /// Whether writability is waited for (a pending connect).
    pub write: bool,
    /// What it is.
    pub what: FdFacts,
}

/// What a descriptor is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FdFacts {
    /// A socket.
    Socket(SocketFacts),
    /// A file, pipe, terminal, or one of the anonymous kinds.
    File(FileFacts),
}

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SocketFacts {
    /// `tcp`, `tcp6`, `udp`, `udp6`, `unix`, `netlink`, …
    pub protocol: String,
    /// Its inode.
    pub inode: u64,
    /// Its state: `syn-sent`, `established`, `listen`, `close-wait`, `unconnected`, …
    pub state: String,
    /// Its local address.
    pub local: Option<String>,
    /// Its peer's address: `10.0.0.5:6379`, or a Unix path.
    pub peer: Option<String>,
    /// The processes at the other end, when they are on this host and may be looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer_processes: Vec<ProcessName>,
    /// For a peer on this host: whether anything listens there, and how full its backlog is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_listener: Option<ListenerFacts>,
    /// How long ago data last arrived, in milliseconds (`tcp_info`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_received_ms: Option<u64>,
    /// How long ago data was last sent, in milliseconds (`tcp_info`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sent_ms: Option<u64>,
    /// How often the SYN or the data was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmits: Option<u32>,
    /// Bytes received that nobody read; for a listener: connections not yet accepted.
    pub receive_queue: u32,
    /// Bytes not yet acknowledged; for a listener: its backlog limit.
    pub send_queue: u32,
}

/// The listener at the other end of a connection on this host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerFacts {
    /// Whether anything listens there.
    pub listens: bool,
    /// Connections in its backlog.
    pub queued: u32,
    /// How many fit.
    pub backlog: u32,
    /// Who listens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessName>,
}

/// A file that is no socket.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FileFacts {
    /// What kind.
    pub kind: FileKind,
    /// Its path, or what `/proc/PID/fd/N` says.
    pub path: String,
    /// Processes that hold the other end of a pipe or FIFO; a terminal's are not told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<ProcessName>,
    /// Whether all processes could be looked at, so that an empty `peers` means that there is none.
    pub peers_complete: bool,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    #[default]
    Regular,
    /// A terminal.
    Terminal,
    /// An anonymous pipe.
    Pipe,
    /// A named pipe.
    Fifo,
    /// A character or block device.
    Device,
    /// A directory.
    Directory,
    /// eventfd, timerfd, signalfd, inotify, epoll, pidfd and the like; the path says which.
    Anonymous,
}

/// A futex that a thread waits on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FutexFacts {
    /// Its address.
    #[serde(with = "hex")]
    pub address: u64,
    /// What it is, as far as memory and frames show. In the report `kind` is already that of the wait.
    #[serde(rename = "lock")]
    pub kind: FutexKind,
    /// Who holds it: a tid, read from the lock's own memory.
    pub owner: Option<i32>,
    /// How long it waits at most, in milliseconds; `None` for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What a futex belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FutexKind {
    /// glibc's `pthread_mutex_t`: the owner is in it.
    Mutex,
    /// `pthread_rwlock_t`.
    RwLock,
    /// `pthread_cond_t`.
    Condition,
    /// `pthread_join`.
    Join,
    /// A semaphore.
    Semaphore,
    /// A lock of a kind that records no owner.
    Lock,
    /// A parked thread of a runtime, or one that cannot be told.
    #[default]
    Unknown,
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
