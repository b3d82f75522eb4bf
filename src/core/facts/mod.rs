//! Facts about a service at one moment, as `sys` and `run` found them: what the diagnosis reasons on and what the
//! report shows. Nothing in here is a conclusion.
//!
//! What serialises is the report's own (DESIGN §8), and does so as it stands.

mod descriptor;
mod port;
mod probe;
mod process;
mod profile;
mod refusal;
mod requirement;
mod resolver;
mod sent;
mod wait;
mod written;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exit::Ending;
use super::report::mask::Secrets;
use super::settings::Ready;

pub use descriptor::{FdFacts, FileFacts, FileKind, ListenerFacts, SocketFacts};
pub use port::{HoldState, HolderFacts, Kin, ListeningFacts, OwnerFacts, ParentFacts, PortFacts};
pub use probe::ProbeFacts;
pub use process::{
    AttemptFacts, CreatedBy, FoundBy, Frame, LockFacts, ProcessFacts, ProcessName, QuotaFacts, Samples, TaskFacts,
    ThreadFacts, Tried,
};
pub use profile::ProfileFacts;
pub use refusal::{ExecFailure, ExecProblem, FileFailure, FilePlace, PortFailure, PortProblem, Refusal};
pub use requirement::{RequirementFacts, RequirementFailure, RequirementProblem, Trouble};
pub use resolver::ResolverFacts;
pub use sent::{SentFacts, SentFor};
pub use wait::{ChannelFacts, FutexFacts, FutexKind, WaitingOn, WatchedFacts};

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
    /// For how long in all that may move on while it visibly gets on; not at all when absent.
    pub extend_while_progressing: Option<Duration>,
    /// How often it has.
    pub extensions: u32,
    /// How it was to become ready.
    pub ready: Ready,
    /// What came of looking for that, where it is asked or listened to.
    pub probe: Option<ProbeFacts>,
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
    /// Its goroutine profile, where the service says where that is.
    pub profile: Option<ProfileFacts>,
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
    /// Who holds the address that it says it could not bind, where that is none of its declared ports.
    pub in_use: Option<OwnerFacts>,
    /// Whether it has a terminal of its own, at which somebody can be.
    pub terminal: bool,
    /// The signals that the launcher sent to it, each as it was sent last.
    pub sent: Vec<SentFacts>,
    /// Whether the launcher asked it to end (so that the ending is no surprise).
    pub stop_requested: bool,
    /// The limit within which it has not stopped.
    pub stop_limit: Option<StopLimit>,
    /// The secrets of its environment, which nothing that is told of it may hold.
    pub secrets: Secrets,
}

/// How long a generation had to stop, and by which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopLimit {
    /// From the stop request on.
    pub time: Duration,
    /// What set it.
    pub by: StopLimitKey,
}

/// What limits a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopLimitKey {
    /// `stop_timeout`.
    StopTimeout,
    /// `drain_timeout`: another generation serves in its place.
    DrainTimeout,
    /// `stop_budget`, which left less than the timeout.
    StopBudget,
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
            extend_while_progressing: None,
            extensions: 0,
            ready: Ready::Auto,
            probe: None,
            was_ready: false,
            notified: NotifyFacts::default(),
            ports: Vec::new(),
            listening: Vec::new(),
            processes: Vec::new(),
            profile: None,
            output_tail: String::new(),
            output_age: None,
            ending: None,
            memory: None,
            refusal: None,
            in_use: None,
            terminal: false,
            sent: Vec::new(),
            stop_requested: false,
            stop_limit: None,
            secrets: Secrets::default(),
        }
    }

    /// All secrets that are known: those of its environment, of its command lines and of those that hold its ports.
    pub fn known_secrets(&self) -> Secrets {
        let mut secrets = self.secrets.clone();
        secrets.arguments(&self.command);
        self.processes.iter().for_each(|process| secrets.arguments(&process.command));
        let owners = self.ports.iter().filter_map(|port| port.owner.as_ref());
        owners
            .chain(&self.in_use)
            .flat_map(|owner| &owner.holders)
            .for_each(|holder| secrets.arguments(&holder.command));
        secrets.except(&self.service);
        secrets
    }

    /// Masks them in what it wrote last. The diagnosis cuts from that what it tells, and half a secret is not known again.
    pub fn hide_secrets(&mut self) {
        self.output_tail = self.known_secrets().hide(&self.output_tail);
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
    /// Whether it asked for more time by EXTEND_TIMEOUT_USEC= before it was ready.
    pub extended: bool,
    /// The last STATUS=.
    pub status: Option<String>,
    /// The last ERRNO=.
    pub errno: Option<i32>,
    /// The last BUSERROR=.
    pub bus_error: Option<String>,
    /// The last EXIT_STATUS=.
    pub exit_status: Option<i32>,
    /// Messages by processes that do not belong to the service: pid, and what they said.
    pub strangers: Vec<(i32, String)>,
}

/// Limits and use of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryFacts {
    /// The limit, in bytes.
    pub limit: Option<u64>,
    /// Whether that is the service's own, of launcher.toml, and not one of what launcher itself runs in.
    pub own: bool,
    /// The most that was used, in bytes.
    pub peak: Option<u64>,
    /// How many processes of the cgroup the kernel killed for it since the generation started.
    pub kills: u64,
}
