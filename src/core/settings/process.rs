//! With what the processes of a service begin: groups, limits, privileges.

use super::GroupLimits;
use crate::core::capability::CapabilitySet;

/// The keys of `[service.NAME]` about its processes, beside `user`. What is absent is the launcher's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProcessSettings {
    /// The primary group, by name or number; the user's own when absent.
    pub group: Option<String>,
    /// The supplementary groups, by name or number; those of the user when absent.
    pub groups: Option<Vec<String>>,
    /// The mask for new files, as in `umask(2)`.
    pub umask: Option<u32>,
    /// From -20, most favoured, to 19 (`setpriority(2)`).
    pub nice: Option<i32>,
    /// From -1000, never killed for want of memory, to 1000, killed first (`proc_pid_oom_score_adj(5)`).
    pub oom_score_adj: Option<i32>,
    /// Nothing it executes gains privileges (`PR_SET_NO_NEW_PRIVS(2const)`).
    pub no_new_privs: bool,
    /// Exactly these it may have at most; another user than root has them at once.
    pub capabilities: Option<CapabilitySet>,
    /// Whether GOMEMLIMIT and GOMAXPROCS tell a Go program the limits of the launcher's cgroup.
    pub go_limits: bool,
    /// What `setrlimit(2)` limits of `[service.NAME.limits]`, in the order of [`Resource::NAMES`].
    pub limits: Vec<(Resource, Limit)>,
    /// What a cgroup limits of it.
    pub group_limits: GroupLimits,
}

/// A limit of `setrlimit(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is in force.
    pub soft: u64,
    /// Up to where the process itself may raise it.
    pub hard: u64,
}

impl Limit {
    /// No limit (`RLIM_INFINITY`).
    pub const UNLIMITED: u64 = u64::MAX;
}

/// What `setrlimit(2)` limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Resource {
    AddressSpace,
    Core,
    Cpu,
    Data,
    FileSize,
    Memlock,
    MessageQueues,
    OpenFiles,
    Processes,
    RealtimePriority,
    PendingSignals,
    Stack,
}

impl Resource {
    /// All of them by the names that `limits.conf(5)` and `systemd.exec(5)` have for them.
    pub const NAMES: [(&'static str, Resource); 12] = [
        ("as", Resource::AddressSpace),
        ("core", Resource::Core),
        ("cpu", Resource::Cpu),
        ("data", Resource::Data),
        ("fsize", Resource::FileSize),
        ("memlock", Resource::Memlock),
        ("msgqueue", Resource::MessageQueues),
        ("nofile", Resource::OpenFiles),
        ("nproc", Resource::Processes),
        ("rtprio", Resource::RealtimePriority),
        ("sigpending", Resource::PendingSignals),
        ("stack", Resource::Stack),
    ];

    /// Whether it is counted in bytes, so that a size may have a unit.
    pub fn is_size(self) -> bool {
        !matches!(
            self,
            Resource::Cpu
                | Resource::OpenFiles
                | Resource::Processes
                | Resource::RealtimePriority
                | Resource::PendingSignals
        )
    }
}
