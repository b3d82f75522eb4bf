//! The stacks of language runtimes, read from outside: nothing is stopped, no signal is sent that could hurt.
//!
//! A reader gets a process as the native dump left it (its mappings, its memory, the native frames of its threads) and
//! tells what the runtime itself knows: frames, names and states of threads, tasks that no thread of the kernel shows.
//! What it reads may change under it and may be broken: it never trusts, never loops without a bound, and ends at the
//! deadline with what it has.

mod cpython;
mod exported;
mod futures;
mod go;
mod image;
mod jvm;
mod merge;
pub mod namespace;
mod php;
mod recognise;
mod ruby;
mod unread;
mod v8;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::maps::Maps;
use super::memory::Memory;
use super::process::ThreadDraft;
use super::sockets::Sockets;
use crate::core::facts::{Frame, LockFacts, TaskFacts, ThreadFacts};

pub use merge::merge;
pub use recognise::recognise;

/// A process whose runtime is to be read.
#[allow(dead_code, reason = "the readers that need all of it follow")]
pub struct Subject<'a> {
    /// Its pid.
    pub pid: i32,
    /// The pid, or the tid of a thread that lives when the main one has ended: for what is under `/proc`.
    pub via: i32,
    /// Its executable, as the process sees it; below `/proc/VIA/root`.
    pub executable: &'a str,
    /// Its mappings.
    pub maps: &'a Maps,
    /// Its memory. Pages read through `read`, `word` and `fill` are kept, so that one look sees one state.
    pub memory: &'a Memory,
    /// Its threads, without names for their frames yet.
    pub threads: &'a [ThreadFacts],
    /// For each of the threads its native frames and its system call.
    pub stacks: &'a [ThreadDraft],
    /// Sockets by inode, as far as they were read; others are read when they are asked for.
    pub sockets: &'a RefCell<Sockets>,
    /// When the reader must be done.
    pub deadline: Instant,
}

/// What a runtime told about a process.
#[derive(Debug, Default)]
pub struct Told {
    /// The runtime's version: `1.21.13`, `3.11.7`.
    pub version: Option<String>,
    /// Of its threads, those of which it knows something.
    pub threads: Vec<ThreadTold>,
    /// Its tasks.
    pub tasks: Vec<TaskFacts>,
    /// Stacks of tasks whose only frame has its file and line where the code at this address of the process begins.
    pub sites: Vec<TaskSite>,
    /// Whether the process itself worked for this, so that its counters have to be read again.
    pub disturbed: bool,
    /// The longest that a thread was held for it, if any was.
    pub held: Duration,
    /// What could not be read, why, and what would help: one sentence without a period.
    pub error: Option<String>,
}

/// The stack of a task, and an address of the process.
pub type TaskSite = (Arc<[Frame]>, u64);

/// What a runtime told about one thread.
#[derive(Debug, Default)]
pub struct ThreadTold {
    /// The thread.
    pub tid: i32,
    /// Its name in the runtime's terms.
    pub name: Option<String>,
    /// Its state in the runtime's words.
    pub state: Option<String>,
    /// Locks it holds or waits for.
    pub locks: Vec<LockFacts>,
    /// Its stack.
    pub stack: ToldStack,
}

/// The stack that a runtime told of a thread.
#[derive(Debug)]
#[allow(dead_code, reason = "the readers that need all of it follow")]
pub enum ToldStack {
    /// A stack of its own beside the native one, innermost frame first: put where the interpreter's native frames begin.
    Beside(Vec<Frame>),
    /// The stack from the native frame with the index `from` on, as the runtime's own tables have it: in place of the
    /// native frames from there on.
    Instead {
        /// The first native frame that is replaced.
        from: usize,
        /// The frames.
        frames: Vec<Frame>,
    },
    /// The same in pieces, innermost first. Between two of them is C code that was called by the outer one and called the
    /// inner one.
    Runs(Vec<Run>),
    /// The runtime's names for native frames, by their index in [`ThreadDraft::frames`], innermost inlined one first: code
    /// that the runtime made while it ran.
    Named(BTreeMap<usize, Vec<Frame>>),
}

impl Default for ToldStack {
    fn default() -> ToldStack {
        ToldStack::Beside(Vec::new())
    }
}

/// The frames that one call of an interpreter's loop runs.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The frames, innermost first.
    pub frames: Vec<Frame>,
    /// An address that lies in the native stack frame of that call, where it is known.
    pub stack: Option<u64>,
}

/// Reads what the runtime `name` knows of the process. A fault in a reader costs no more than what it would have told.
pub fn read(name: &str, subject: &Subject) -> Told {
    let reader: fn(&Subject) -> Told = match name {
        "go" => go::read,
        "cpython" => cpython::read,
        "jvm" => jvm::read,
        "ruby" => ruby::read,
        "node" => v8::read,
        "dotnet" => unread::dotnet,
        "php" => php::read,
        "erlang" => unread::beam,
        "perl" => unread::perl,
        "native" => futures::read,
        _ => return Told::default(),
    };
    catch_unwind(AssertUnwindSafe(|| reader(subject))).unwrap_or_else(|_| Told {
        error: Some(format!("reading the stacks of {name} failed: a fault in the launcher, please report it")),
        ..Told::default()
    })
}
