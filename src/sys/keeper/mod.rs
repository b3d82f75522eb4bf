//! The keeper: a small process between the launcher and each generation of a service.
//!
//! It is a fork of the launcher that starts the service's main process and is the reaper of everything below it
//! (`PR_SET_CHILD_SUBREAPER`), so that
//!
//! - a process belongs to the generation exactly if it descends from its keeper, double-forked ones included;
//! - no process of the generation is left exactly when the keeper has ended;
//! - when the launcher dies, by SIGKILL too, the keeper sees it and ends everything. No privilege or cgroup is needed.
//!
//! The launcher never waits here: it gets [`Message`]s through a descriptor, and sends commands that cannot block.
//! The end of a keeper sends no SIGCHLD and is not seen by a plain `waitpid(-1)`, so that the launcher can reap orphans
//! (as PID 1) without taking a keeper's end from its [`Keeper`].

mod attributes;
mod create;
mod left;
mod orphans;
mod plan;
mod process;
mod raw;
mod service;
mod small;
mod sweep;
mod tree;
mod wire;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::core::exit::Ending;
use crate::core::signal::Signal;
use crate::sys::cgroup::Cgroup;
use crate::sys::seccomp::Listener;
use crate::sys::signals;

pub use attributes::{Attributes, hard_limit, number_of};
pub use left::await_ended;
pub use orphans::{become_subreaper, reap_orphans, sweep_orphans};
pub use plan::{SpawnPlan, Stage, Stdio};

use plan::Prepared;
use raw::Wait;
use tree::Walk;
use wire::Received;

/// Why not even a keeper could be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// What was tried: `creating a process`.
    pub action: &'static str,
    /// `errno(3)`.
    pub errno: i32,
}

impl StartError {
    fn new(action: &'static str, error: &io::Error) -> StartError {
        StartError { action, errno: error.raw_os_error().unwrap_or(0) }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.action, io::Error::from_raw_os_error(self.errno))
    }
}

impl std::error::Error for StartError {}

/// What a keeper tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The main process was executed.
    Spawned {
        /// Its pid.
        pid: i32,
    },
    /// The main process was not executed. `Gone` follows.
    ExecFailed {
        /// At which step.
        stage: Stage,
        /// `errno(3)` of that step.
        errno: i32,
    },
    /// The main process, or the one followed in its place, ended.
    Exited {
        /// Its pid.
        pid: i32,
        /// How; absent for a followed process that was reaped by another one on a kernel that does not tell (before
        /// 6.15).
        ending: Option<Ending>,
    },
    /// The main process was stopped; told with [`SpawnPlan::foreground`] only.
    Stopped {
        /// By which signal.
        signal: Signal,
    },
    /// The main process was continued; told with [`SpawnPlan::foreground`] only.
    Continued,
    /// No process of the generation is left, and the keeper is at its very end ([`await_ended`]). The last message.
    Gone,
    /// Somebody killed the keeper. The main process dies of it; what else was left is the launcher's own child now:
    /// [`sweep_orphans`]. The last message.
    Lost,
}

/// One generation of a service, held by its keeper. Dropping it ends every process of the generation.
#[derive(Debug)]
pub struct Keeper {
    /// The keeper's pid, until it is reaped.
    pid: Cell<Option<i32>>,
    socket: OwnedFd,
    /// Whether it has said that its own end is all that follows.
    ending: Cell<bool>,
    /// The main process, or the one followed in its place, while it lives.
    main: Cell<Option<i32>>,
    /// The first main process and its pidfd.
    first: OnceCell<(i32, OwnedFd)>,
    cgroup: Option<Cgroup>,
    /// Where the calls that its filter hands over come in, until somebody takes it.
    listener: RefCell<Option<Listener>>,
}

impl Keeper {
    /// Forks a keeper, which starts the service at once. Comes back after the fork: whether the service could be
    /// executed is told by the first message, `Spawned` or `ExecFailed`.
    ///
    /// # Errors
    /// When there is no process, descriptor or memory left for a keeper (`clone(2)`, `socketpair(2)`).
    pub fn start(plan: SpawnPlan) -> Result<Keeper, StartError> {
        left::reap();
        let (ours, theirs) = wire::pair().map_err(|error| StartError::new("creating a socket pair", &error))?;
        let mut prepared = Prepared::new(plan)?;
        // SAFETY: no memory is involved.
        let launcher = unsafe { libc::getpid() };
        let former = signals::set_mask(u64::MAX);
        // Without a signal of its end: see the module's head.
        // SAFETY: the child runs `process::run`, which neither allocates nor locks, and never comes back.
        let pid = unsafe { create::fork(0, &mut -1) };
        if pid == 0 {
            process::run(&mut prepared, theirs.as_raw_fd(), launcher);
        }
        let error = io::Error::last_os_error();
        signals::set_mask(former);
        if pid < 0 {
            return Err(StartError::new("creating a process", &error));
        }
        Ok(Keeper {
            pid: Cell::new(Some(pid)),
            socket: ours,
            ending: Cell::new(false),
            main: Cell::new(None),
            first: OnceCell::new(),
            cgroup: prepared.into_cgroup(),
            listener: RefCell::new(None),
        })
    }

    /// The keeper's own pid; `None` once it has ended.
    pub fn pid(&self) -> Option<i32> {
        self.pid.get()
    }

    /// The pid of the main process, or of the one followed in its place, while it lives as far as was told.
    pub fn main_pid(&self) -> Option<i32> {
        self.main.get()
    }

    /// The cgroup it is in, if it was put in one.
    pub fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup.as_ref()
    }

    /// Where the calls come in that the plan's filter hands over: there once `Spawned` was told, for whoever asks first.
    pub fn take_listener(&self) -> Option<Listener> {
        self.listener.take()
    }

    /// Readable when there is a message. Non-blocking.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Readable when the first main process has ended: the keeper, which is woken by the same end, is about to tell of
    /// it. `None` before that process is started, and where the kernel knows no pidfds.
    pub fn main_end(&self) -> Option<BorrowedFd<'_>> {
        self.first.get().map(|(_, pidfd)| pidfd.as_fd())
    }

    /// Lets the keeper have its say, if it does not take longer than going to sleep and being woken would.
    pub fn give_way(&self) {
        raw::look_soon(self.socket.as_raw_fd());
    }

    /// The next message, if there is one. After `Gone` or `Lost` there is none any more, while [`Keeper::fd`] stays
    /// readable: whoever waits for it drops the keeper then.
    pub fn receive(&self) -> Option<Message> {
        loop {
            if self.ending.get() {
                return self.reap();
            }
            match wire::receive(self.socket.as_raw_fd()) {
                Received::Nothing => return None,
                Received::End => return self.reap(),
                Received::Packet(packet, fd) => {
                    // SAFETY: the kernel just gave this descriptor to this process, and nobody else knows of it.
                    let fd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) });
                    // A packet that cannot be understood says nothing.
                    if let Some(message) = self.take_in(packet, fd) {
                        return Some(message);
                    }
                }
            }
        }
    }

    fn take_in(&self, [kind, first, second, third]: wire::Packet, pidfd: Option<OwnedFd>) -> Option<Message> {
        match kind {
            wire::SPAWNED => {
                self.main.set(Some(first));
                if let Some(pidfd) = pidfd {
                    let _ = self.first.set((first, pidfd));
                }
                Some(Message::Spawned { pid: first })
            }
            wire::LISTENER => {
                self.listener.replace(pidfd.map(Listener::new));
                None
            }
            wire::EXEC_FAILED => Some(Message::ExecFailed { stage: Stage::from_number(first)?, errno: second }),
            wire::EXITED | wire::EXITED_LAST => {
                self.ending.set(kind == wire::EXITED_LAST);
                if self.main.get() == Some(first) {
                    self.main.set(None);
                }
                let ending = match second {
                    libc::CLD_EXITED => Some(Ending::Code(third)),
                    libc::CLD_KILLED | libc::CLD_DUMPED => Signal::from_number(third).map(Ending::Signal),
                    _ => None,
                };
                Some(Message::Exited { pid: first, ending })
            }
            wire::STOPPED => Some(Message::Stopped { signal: Signal::from_number(first)? }),
            wire::CONTINUED => Some(Message::Continued),
            _ => None,
        }
    }

    /// It has ended, or is about to within microseconds. The last message, once.
    fn reap(&self) -> Option<Message> {
        self.main.set(None);
        let pid = self.pid.take()?;
        if self.ending.get() {
            left::is_ending(pid);
            return Some(Message::Gone);
        }
        match raw::wait_soon(pid) {
            Wait::Changed(change) if change.code == libc::CLD_EXITED && change.status == 0 => Some(Message::Gone),
            _ => {
                if let Some(cgroup) = &self.cgroup {
                    cgroup.kill();
                }
                Some(Message::Lost)
            }
        }
    }

    /// Sends a signal to the main process, or the one followed in its place. Nothing happens when it has ended.
    ///
    /// # Errors
    /// `EAGAIN` when the keeper takes no commands.
    pub fn signal_main(&self, signal: Signal) -> io::Result<()> {
        let Some(main) = self.main.get() else { return Ok(()) };
        match self.first.get() {
            Some((pid, pidfd)) if *pid == main && signal_by_pidfd(pidfd.as_fd(), signal) => Ok(()),
            // Another one is followed, or `pidfd_send_signal(2)` is denied.
            _ => self.command(wire::SIGNAL_MAIN, signal.number()),
        }
    }

    /// Sends a signal to the process group of the main process, as a terminal does to a job. A main process that is in a
    /// group of somebody else's is sent it alone. Nothing happens when it has ended.
    ///
    /// # Errors
    /// `EAGAIN` when the keeper takes no commands.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        self.command(wire::SIGNAL_GROUP, signal.number())
    }

    /// Lets every process of the generation go on that is stopped by a signal (SIGCONT).
    ///
    /// # Errors
    /// `EAGAIN` when the keeper takes no commands.
    pub fn resume(&self) -> io::Result<()> {
        self.command(wire::RESUME, 0)
    }

    /// Sends a signal to every process of the generation, parents first, and lets go on what is stopped.
    ///
    /// # Errors
    /// `EAGAIN` when the keeper takes no commands.
    pub fn signal_rest(&self, signal: Signal) -> io::Result<()> {
        self.command(wire::SIGNAL_REST, signal.number())
    }

    /// Ends every process of the generation by SIGKILL, and the keeper with them: `Gone` follows.
    ///
    /// # Errors
    /// `EAGAIN` when the keeper takes no commands: see [`Keeper::destroy`].
    pub fn kill(&self) -> io::Result<()> {
        if let Some(pid) = self.pid.get() {
            // Somebody may have stopped it: STOP cannot be blocked.
            raw::kill(pid, libc::SIGCONT);
        }
        self.command(wire::KILL, 0)
    }

    /// Kills the keeper itself: for one that does not answer, as its service hangs before exec in a file system that
    /// does not answer either. `Lost` follows.
    pub fn destroy(&self) {
        if let Some(pid) = self.pid.get() {
            raw::kill(pid, libc::SIGKILL);
        }
    }

    /// From now on this process is the main one (MAINPID=): its end is told by `Exited`. False when it does not belong
    /// to the generation: nothing changes then.
    ///
    /// # Errors
    /// `EAGAIN` when the keeper takes no commands.
    pub fn follow(&self, pid: i32) -> io::Result<bool> {
        if !self.is_member(pid) {
            return Ok(false);
        }
        self.command(wire::FOLLOW, pid)?;
        self.main.set(Some(pid));
        Ok(true)
    }

    /// Whether a process belongs to the generation: it descends from the keeper. One that has ended and was reaped does
    /// not any more.
    pub fn is_member(&self, pid: i32) -> bool {
        self.main.get() == Some(pid) || self.pid.get().is_some_and(|keeper| tree::is_below(keeper, pid))
    }

    /// Every process of the generation, parents first, also those that have ended and are not reaped yet.
    ///
    /// A process that is given to the keeper while the list is made may be missing, as in any look at a tree that
    /// moves.
    pub fn members(&self) -> Vec<i32> {
        self.pid.get().map(members_below).unwrap_or_default()
    }

    fn command(&self, command: i32, argument: i32) -> io::Result<()> {
        if self.ending.get() {
            return Ok(());
        }
        match wire::send(self.socket.as_raw_fd(), [command, argument, 0, 0], -1) {
            // It has ended: there is nobody left to do something with.
            Ok(()) | Err(libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN) => Ok(()),
            Err(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

impl Drop for Keeper {
    /// The keeper sees its socket close and ends everything; how long that takes is not waited for.
    fn drop(&mut self) {
        if let Some(pid) = self.pid.take() {
            left::was_dropped(pid);
        }
    }
}

/// `pidfd_send_signal(2)`; false when it is not permitted here. A process that has ended is no error.
fn signal_by_pidfd(pidfd: BorrowedFd<'_>, signal: Signal) -> bool {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: no siginfo is passed.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal.number(), nothing, 0) };
    sent == 0 || raw::errno() == libc::ESRCH
}

/// Every process below this one, parents first, also those that have ended and are not reaped yet: for the dump of any
/// process tree.
pub fn members_below(root: i32) -> Vec<i32> {
    let mut members = Vec::new();
    if let Some(mut walk) = Walk::new() {
        walk.below(root, |_| false, |pid, stat| members.extend(stat.map(|_| pid)));
    }
    members
}
