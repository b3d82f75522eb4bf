//! What is to be executed, and the same laid out in memory so that a fork can use it without allocating.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::ptr;

use crate::sys::cgroup::Cgroup;
use crate::sys::open_files;
use crate::sys::seccomp::Filter;
use crate::sys::terminal;
use crate::sys::users::Identity;

use super::StartError;
use super::attributes::Attributes;

/// One of the first three descriptors of a service.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The launcher's own.
    #[default]
    Inherit,
    /// This one.
    Fd(OwnedFd),
    /// `/dev/null`.
    Null,
}

/// What is to be executed, and how.
#[derive(Debug)]
pub struct SpawnPlan {
    /// The file; it is not looked for on PATH. A relative one is taken from `directory`.
    pub program: CString,
    /// The arguments, the program's own name first.
    pub argv: Vec<CString>,
    /// The environment, `KEY=VALUE` each: all of it, nothing is inherited.
    pub envp: Vec<Cow<'static, CStr>>,
    /// Variables that are set to the service's own pid, which is known only in the service: `LISTEN_PID`,
    /// `WATCHDOG_PID`.
    pub pid_variables: Vec<&'static str>,
    /// Where it runs; the launcher's own directory when absent. Entered as the service's user.
    pub directory: Option<CString>,
    /// As whom it runs; the launcher's own user and groups when absent.
    pub identity: Option<Identity>,
    /// Its limits and privileges.
    pub attributes: Attributes,
    /// Its descriptors 0, 1 and 2.
    pub stdio: [Stdio; 3],
    /// Descriptors that become 3, 4, … in this order. They stay the caller's, and must be open until `start` returns.
    pub passed: Vec<RawFd>,
    /// A descriptor that becomes this number, above those that are passed.
    pub ready_fd: Option<(RawFd, OwnedFd)>,
    /// Whether it is a job on the launcher's terminal, if there is one: its stops are told, and its process group takes
    /// the foreground, unless the launcher is in the background itself and has none to give.
    pub foreground: bool,
    /// Whether stops of the main process are told, as they are of one in the foreground.
    pub tells_stops: bool,
    /// Whether its descriptor 0 is a terminal of its own: it leads a session that this terminal controls.
    pub own_terminal: bool,
    /// The cgroup it is put in.
    pub cgroup: Option<Cgroup>,
    /// A filter that hands some of its calls to the launcher: [`Keeper::take_listener`](super::Keeper::take_listener).
    pub filter: Option<Filter>,
}

impl SpawnPlan {
    /// A plan to execute this program with these arguments (its own name first), no environment, and all else
    /// inherited.
    pub fn new(program: CString, argv: Vec<CString>) -> SpawnPlan {
        SpawnPlan {
            program,
            argv,
            envp: Vec::new(),
            pid_variables: Vec::new(),
            directory: None,
            identity: None,
            attributes: Attributes::default(),
            stdio: Default::default(),
            passed: Vec::new(),
            ready_fd: None,
            foreground: false,
            tells_stops: false,
            own_terminal: false,
            cgroup: None,
            filter: None,
        }
    }
}

/// The steps between fork and exec; a failed start names one of them with its `errno(3)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Stage {
    /// Making the service's process.
    Forking = 1,
    /// Making its own process group, or its own session.
    ProcessGroup,
    /// Taking the terminal's foreground.
    Foreground,
    /// Having its own terminal control its session.
    Terminal,
    /// Entering its cgroup.
    Cgroup,
    /// `seccomp(2)`.
    Filter,
    /// Placing descriptors 0 to 2 and the passed ones.
    Descriptors,
    /// Writing `/proc/self/oom_score_adj`.
    OomScore,
    /// `setpriority(2)`.
    Priority,
    /// `setrlimit(2)`.
    Limits,
    /// `capset(2)` and `prctl(2)`.
    Capabilities,
    /// `PR_SET_NO_NEW_PRIVS(2const)`.
    NoNewPrivileges,
    /// `setgroups(2)`.
    Groups,
    /// `setresgid(2)`.
    Group,
    /// `setresuid(2)`.
    User,
    /// `chdir(2)`.
    Directory,
    /// `execve(2)`.
    Exec,
}

impl Stage {
    const ALL: [Stage; 17] = [
        Stage::Forking,
        Stage::ProcessGroup,
        Stage::Foreground,
        Stage::Terminal,
        Stage::Cgroup,
        Stage::Filter,
        Stage::Descriptors,
        Stage::OomScore,
        Stage::Priority,
        Stage::Limits,
        Stage::Capabilities,
        Stage::NoNewPrivileges,
        Stage::Groups,
        Stage::Group,
        Stage::User,
        Stage::Directory,
        Stage::Exec,
    ];

    pub(super) fn from_number(number: i32) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| *stage as i32 == number)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Forking => "creating the process",
            Stage::ProcessGroup => "making a process group",
            Stage::Foreground => "taking the terminal's foreground",
            Stage::Terminal => "taking its terminal",
            Stage::Cgroup => "entering the cgroup",
            Stage::Filter => "installing the filter for its ports",
            Stage::Descriptors => "passing descriptors",
            Stage::OomScore => "setting oom_score_adj",
            Stage::Priority => "setting nice",
            Stage::Limits => "setting limits",
            Stage::Capabilities => "setting capabilities",
            Stage::NoNewPrivileges => "setting no_new_privs",
            Stage::Groups => "setting supplementary groups",
            Stage::Group => "setting group",
            Stage::User => "setting user",
            Stage::Directory => "changing the directory",
            Stage::Exec => "executing",
        })
    }
}

/// A variable whose value is written in the service itself: `NAME=`, then room for a pid and a NUL.
struct PidVariable {
    text: Box<[u8]>,
    value_at: usize,
}

impl PidVariable {
    fn new(name: &str) -> PidVariable {
        let mut text = format!("{name}=").into_bytes();
        let value_at = text.len();
        text.resize(value_at + 11, 0);
        PidVariable { text: text.into_boxed_slice(), value_at }
    }
}

/// A plan laid out for `execve(2)` and the calls before it. Everything that pointers in here point to is owned by
/// `kept` and `pid_variables`, whose buffers do not move.
pub(super) struct Prepared {
    pub program: *const libc::c_char,
    pub argv: Vec<*const libc::c_char>,
    pub envp: Vec<*const libc::c_char>,
    pub directory: *const libc::c_char,
    /// Which descriptor becomes number `index`; -1 where none does.
    pub sources: Vec<RawFd>,
    pub terminal: RawFd,
    pub cgroup: Option<CgroupFds>,
    /// The keeper's own pid, filled in by the keeper.
    pub keeper: i32,
    /// Where the service tells why it was not executed, filled in by the keeper.
    pub report: RawFd,
    /// The keeper's socket to the launcher, filled in by the keeper.
    pub control: RawFd,
    pid_variables: Vec<PidVariable>,
    kept: SpawnPlan,
    _opened: [Option<OwnedFd>; 2],
}

/// The descriptors and the path of a cgroup, as a fork uses them.
#[derive(Clone, Copy)]
pub(super) struct CgroupFds {
    pub join: RawFd,
    pub kill: RawFd,
    pub path: *const libc::c_char,
}

impl Prepared {
    pub fn new(plan: SpawnPlan) -> Result<Prepared, StartError> {
        let mut plan = plan;
        if plan.identity.as_ref().is_some_and(Identity::is_own_and_unprivileged) {
            plan.identity = None;
        }
        let limits = &mut plan.attributes.limits;
        if let Some(files) = open_files::of_children().filter(|(of, ..)| limits.iter().all(|(set, ..)| set != of)) {
            limits.push(files);
        }
        let null = match plan.stdio.iter().any(|stdio| matches!(stdio, Stdio::Null)) {
            true => Some(open_null().map_err(|error| StartError::new("opening /dev/null", &error))?),
            false => None,
        };
        let terminal = if plan.foreground { terminal::controlling() } else { None };
        let terminal = terminal.filter(|terminal| {
            terminal::foreground_group(terminal.as_fd()).is_ok_and(|group| group == terminal::own_group())
        });
        let null_fd = null.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let stdio = plan.stdio.iter().enumerate().map(|(index, stdio)| match stdio {
            Stdio::Inherit => index as RawFd,
            Stdio::Fd(fd) => fd.as_raw_fd(),
            Stdio::Null => null_fd,
        });
        let mut sources: Vec<RawFd> = stdio.chain(plan.passed.iter().copied()).collect();
        if let Some((number, fd)) = &plan.ready_fd {
            let number = usize::try_from(*number).unwrap_or_default().max(sources.len());
            sources.resize(number, -1);
            sources.push(fd.as_raw_fd());
        }
        let mut pid_variables: Vec<PidVariable> =
            plan.pid_variables.iter().map(|name| PidVariable::new(name)).collect();
        let variables = pid_variables.iter_mut().map(|variable| variable.text.as_mut_ptr().cast_const().cast());
        Ok(Prepared {
            program: plan.program.as_ptr(),
            argv: terminated(plan.argv.iter().map(|text| text.as_ptr())),
            envp: terminated(plan.envp.iter().map(|text| text.as_ptr()).chain(variables)),
            directory: plan.directory.as_deref().map_or(ptr::null(), CStr::as_ptr),
            sources,
            terminal: terminal.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            cgroup: plan.cgroup.as_ref().map(|cgroup| CgroupFds {
                join: cgroup.join_fd(),
                kill: cgroup.kill_fd(),
                path: cgroup.path().as_ptr(),
            }),
            keeper: 0,
            report: -1,
            control: -1,
            pid_variables,
            _opened: [null, terminal],
            kept: plan,
        })
    }

    pub fn attributes(&self) -> &Attributes {
        &self.kept.attributes
    }

    pub fn identity(&self) -> Option<&Identity> {
        self.kept.identity.as_ref()
    }

    pub fn filter(&self) -> Option<&Filter> {
        self.kept.filter.as_ref()
    }

    /// Whether it leads a session on a terminal of its own.
    pub fn own_terminal(&self) -> bool {
        self.kept.own_terminal
    }

    /// Whether stops and continuations of the main process are told.
    pub fn tells_stops(&self) -> bool {
        self.kept.foreground || self.kept.tells_stops
    }

    /// Writes the service's pid where the environment points to. No allocation.
    pub fn fill_pid_variables(&mut self, pid: i32) {
        for variable in &mut self.pid_variables {
            if let Some(room) = variable.text.get_mut(variable.value_at..) {
                super::raw::decimal(pid, room);
            }
        }
    }

    /// Gives back what outlives the fork.
    pub fn into_cgroup(self) -> Option<Cgroup> {
        self.kept.cgroup
    }
}

fn terminated(pointers: impl Iterator<Item = *const libc::c_char>) -> Vec<*const libc::c_char> {
    pointers.chain([ptr::null()]).collect()
}

fn open_null() -> io::Result<OwnedFd> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open("/dev/null")?;
    Ok(file.into())
}
