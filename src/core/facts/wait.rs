//! What a thread waits on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::descriptor::{FdFacts, FileFacts, SocketFacts};
use super::process::ProcessName;
use super::written::{hex, millis};

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
    /// Channels of the runtime, any one of them: a Go channel or `select`.
    Channels {
        /// The channels; none for `select {}`.
        channels: Vec<ChannelFacts>,
    },
    /// A lock, a condition or a group of the runtime's own: `sync.Mutex`, `sync.WaitGroup`, `threading.Lock`, a monitor.
    RuntimeLock {
        /// What tells it from others of the process.
        #[serde(with = "hex")]
        address: u64,
        /// What it is, in the runtime's words.
        class: String,
        /// The thread that holds it, where the runtime keeps it: a tid.
        owner: Option<i32>,
        /// The task that holds it, where the runtime keeps it.
        owner_task: Option<u64>,
    },
    /// Other tasks of the runtime, or a result that no task will give: `await`.
    Tasks {
        /// The tasks.
        tasks: Vec<u64>,
        /// What is awaited, in the runtime's words: `Future`, `Event.wait`.
        what: String,
    },
    /// Another system call.
    Other {
        /// Its name.
        call: String,
    },
}

/// A channel that a task waits on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelFacts {
    /// Its address; 0 for a nil channel, on which a wait never ends.
    #[serde(with = "hex")]
    pub address: u64,
    /// Whether the task sends; otherwise it receives.
    pub sending: bool,
    /// How many elements it holds.
    pub length: u64,
    /// How many it can hold; 0 when it is not buffered.
    pub capacity: u64,
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
