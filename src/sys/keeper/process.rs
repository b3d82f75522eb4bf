//! The keeper itself: a fork of the launcher that starts one generation's main process, reaps everything below it, and
//! stays until nothing is left there.
//!
//! It never comes back and never allocates: the launcher may have had several threads when it was forked, and any of
//! them may have held a lock of libc at that moment.

use std::os::fd::RawFd;
use std::ptr;

use super::create;
use super::plan::Prepared;
use super::raw::{self, Change};
use super::small;
use super::sweep::{self, Sweep};
use super::tree;
use super::wire::{self, Packet, Received};
use crate::sys::{memory, signals};

/// Where the keeper's descriptors lie once it has closed all others.
const CONTROL: RawFd = 0;
const SIGNALS: RawFd = 1;
const LAUNCHER: RawFd = 2;
const CGROUP_KILL: RawFd = 3;
const KEPT: RawFd = 4;

/// How long the end of a followed process may take to become known through its own parent, in milliseconds.
const FOREIGN_REAPER_MS: i64 = 100;
/// When nothing has happened for so long, the keeper makes itself small, in milliseconds.
const QUIET_MS: i32 = 200;
/// How often it is looked whether a child has ended where there is no signalfd, in milliseconds.
const BLIND_MS: i32 = 100;

/// The main process, as far as it lives.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Main {
    pid: i32,
    /// Of a process whose reaper is another one; -1 for a child of the keeper, or where there are no pidfds.
    pidfd: RawFd,
}

struct Keeper {
    own: i32,
    /// SIGCHLD as a descriptor; -1 where there is none.
    signals: RawFd,
    /// The launcher's pidfd: its death is seen even if somebody else holds a copy of its socket. -1 where there is
    /// none.
    launcher: RawFd,
    main: Option<Main>,
    /// The process group of the first main process, while that holds its number.
    group: Option<i32>,
    /// Options of `waitid(2)` beside the usual: stops and continuations are of interest with a terminal only.
    wait_options: i32,
    cgroup: Option<*const libc::c_char>,
    /// Ends all that is in it; -1 where that cannot be done.
    cgroup_kill: RawFd,
    /// What could not be sent yet, as the launcher is slow: the last change, and the end.
    untold_change: Option<Packet>,
    untold_end: Option<Packet>,
}

/// Runs the keeper in a fork of the launcher, with all signals blocked.
pub(super) fn run(prepared: &mut Prepared, control: RawFd, launcher: i32) -> ! {
    // SAFETY: no memory is involved. Orphans below are given to this process; a terminal's signals go to another group;
    // children that end are kept until they are reaped, whatever the launcher inherited.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        libc::setpgid(0, 0);
    }
    raw::reset_disposition(libc::SIGCHLD);
    // SAFETY: no memory is involved.
    prepared.keeper = unsafe { libc::getpid() };
    prepared.control = control;
    let mut keeper = Keeper {
        own: prepared.keeper,
        signals: -1,
        launcher: -1,
        main: None,
        group: None,
        wait_options: if prepared.tells_stops() { libc::WSTOPPED | libc::WCONTINUED } else { 0 },
        cgroup: prepared.cgroup.map(|cgroup| cgroup.path),
        cgroup_kill: -1,
        untold_change: None,
        untold_end: None,
    };
    match create::spawn(prepared) {
        Ok((pid, pidfd)) => {
            keeper.main = Some(Main { pid, pidfd: -1 });
            keeper.group = Some(pid);
            // The launcher's end is fresh and empty: this is never refused for want of room.
            let _ = wire::send(control, [wire::SPAWNED, pid, 0, 0], pidfd);
        }
        Err(failure) => {
            let _ = wire::send(control, [wire::EXEC_FAILED, failure.stage as i32, failure.errno, 0], -1);
        }
    }
    let kept = settle(control, launcher, prepared.cgroup.map_or(-1, |cgroup| cgroup.kill));
    [_, keeper.signals, keeper.launcher, keeper.cgroup_kill] = kept;
    keeper.stay()
}

/// Moves what the keeper needs to its place, lets go of everything else that it has from the launcher, and puts its
/// name where `ps` shows it. Each of the four is at its place then, or -1 where it could not be had.
fn settle(control: RawFd, launcher: i32, cgroup_kill: RawFd) -> [RawFd; 4] {
    // Above the places: none of them may lie on one that is to be taken.
    let lift = |fd: RawFd| {
        // SAFETY: makes a new descriptor, or fails for -1; no memory is involved.
        unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, KEPT) }
    };
    let child_ended = signals::descriptor_of(signals::bit(libc::SIGCHLD));
    // SAFETY: no memory is involved.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, launcher, 0) as RawFd };
    let lifted = [lift(control), lift(child_ended), lift(pidfd), lift(cgroup_kill)];
    let mut kept = [CONTROL, SIGNALS, LAUNCHER, CGROUP_KILL];
    for (place, fd) in kept.iter_mut().zip(lifted) {
        // SAFETY: what lay on these numbers is the launcher's, and this process needs it no more.
        if fd < 0 || unsafe { libc::dup2(fd, *place) } < 0 {
            raw::close(*place);
            *place = -1;
        }
    }
    raw::close_from(KEPT);
    // SAFETY: both texts end with a NUL. The directory is left so that its file system can be unmounted.
    unsafe {
        libc::chdir(c"/".as_ptr());
        libc::prctl(libc::PR_SET_NAME, c"launcher-keeper".as_ptr());
        // It may have died before it was looked at; its number can mean another process by now.
        if libc::getppid() != launcher {
            libc::close(CONTROL);
        }
    }
    kept
}

impl Keeper {
    /// Serves until nothing is left below, or the launcher is gone.
    fn stay(&mut self) -> ! {
        let mut patience = QUIET_MS;
        while self.reap() {
            self.tell();
            let writable = if self.has_untold() { libc::POLLOUT } else { 0 };
            let mut fds = [
                raw::pollfd(CONTROL, libc::POLLIN | writable),
                raw::pollfd(self.signals, libc::POLLIN),
                raw::pollfd(self.launcher, libc::POLLIN),
                raw::pollfd(self.main.map_or(-1, |main| main.pidfd), libc::POLLIN),
            ];
            raw::poll(&mut fds, if self.signals >= 0 { patience } else { BLIND_MS });
            if patience > 0 && fds.iter().all(|fd| fd.revents == 0) {
                self.be_small();
                patience = -1;
            }
            let [control, signals, launcher, followed] = fds.map(|fd| fd.revents);
            if signals != 0 {
                sweep::drain_signals(self.signals);
            }
            if followed & libc::POLLIN != 0 {
                self.followed_ended();
            }
            if launcher & libc::POLLIN != 0 || (control != 0 && !self.obey()) {
                self.sweep();
            }
        }
        self.finish()
    }

    /// Lets go of what is the launcher's; with a cgroup its path lies on the heap.
    fn be_small(&self) {
        let is_main = self.cgroup.is_none() && {
            // SAFETY: this process has one thread and never allocates. `self` lies in the frame of `run`, which never
            // returns, and what that has from the launcher is not used any more: the path of a cgroup would be.
            unsafe { small::forget(ptr::from_ref(self).cast()) }
        };
        memory::forget_program();
        if is_main {
            memory::forget_stack();
        }
    }

    /// Does what the launcher asks for; false when it is gone.
    fn obey(&mut self) -> bool {
        loop {
            match wire::receive(CONTROL) {
                Received::Nothing => return true,
                Received::End => return false,
                Received::Packet([command, argument, ..], fd) => {
                    raw::close(fd);
                    match command {
                        wire::KILL => self.sweep(),
                        wire::SIGNAL_MAIN => self.signal_main(argument),
                        wire::SIGNAL_GROUP => self.signal_group(argument),
                        wire::SIGNAL_REST => self.below().signal(argument),
                        wire::RESUME => self.below().resume(),
                        wire::FOLLOW => self.follow(argument),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Ends everything below, and this process with it when that is done. An end of the main process is told all the
    /// same.
    fn sweep(&mut self) -> ! {
        self.kill_group();
        // Stops are of this process's own making from here on.
        self.wait_options = 0;
        self.below().run(|| {
            let left = self.reap();
            self.tell();
            left
        });
        self.finish()
    }

    fn below(&self) -> Sweep {
        Sweep { root: self.own, signals: self.signals, cgroup_kill: self.cgroup_kill, until: None }
    }

    /// Reaps what has ended and notes changes of the main process; whether children are left.
    fn reap(&mut self) -> bool {
        sweep::reap_all(libc::__WALL | self.wait_options, |change| self.note(change))
    }

    fn note(&mut self, change: Change) {
        let is_main = self.main.is_some_and(|main| main.pid == change.pid);
        match change.code {
            libc::CLD_STOPPED if is_main => self.untold_change = Some([wire::STOPPED, change.status, 0, 0]),
            libc::CLD_CONTINUED if is_main => self.untold_change = Some([wire::CONTINUED, 0, 0, 0]),
            _ if change.is_end() => {
                // Its number may be somebody else's from here on.
                if self.group == Some(change.pid) {
                    self.group = None;
                }
                if is_main {
                    self.main_ended(change.code, change.status);
                }
            }
            _ => {}
        }
    }

    fn main_ended(&mut self, code: i32, status: i32) {
        if let Some(main) = self.main.take() {
            raw::close(main.pidfd);
            self.untold_end = Some([wire::EXITED, main.pid, code, status]);
        }
    }

    /// Makes this process the main one: MAINPID=. The launcher has seen that it belongs here: one that does not any
    /// more is gone, and has ended in a way nobody knows.
    fn follow(&mut self, pid: i32) {
        if self.main.is_some_and(|main| main.pid == pid) {
            return;
        }
        // SAFETY: no memory is involved.
        let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) as RawFd };
        let belongs = tree::is_below(self.own, pid);
        // Asked for last: a parent that dies meanwhile leaves the process to the keeper.
        if raw::is_child(pid) {
            raw::close(pidfd);
            self.set_main(Main { pid, pidfd: -1 });
        } else if belongs {
            self.set_main(Main { pid, pidfd });
        } else {
            raw::close(pidfd);
            self.set_main(Main { pid, pidfd: -1 });
            self.main_ended(-1, 0);
        }
    }

    fn set_main(&mut self, main: Main) {
        if let Some(former) = self.main.replace(main) {
            raw::close(former.pidfd);
        }
        self.untold_end = None;
    }

    /// A followed process has ended whose reaper is, or was, another one. How it ended is known when its parent has
    /// reaped it, or has ended and left it to the keeper. A parent that does neither is not waited for.
    fn followed_ended(&mut self) {
        let until = raw::now_ms() + FOREIGN_REAPER_MS;
        let mut reaped = false;
        loop {
            self.reap();
            let Some(main) = self.main.filter(|main| main.pidfd >= 0 && !raw::is_child(main.pid)) else { return };
            let status = raw::exit_status(main.pidfd);
            let left = until - raw::now_ms();
            if status.is_some() || reaped || left <= 0 {
                let (code, status) = match status {
                    Some(status) if libc::WIFEXITED(status) => (libc::CLD_EXITED, libc::WEXITSTATUS(status)),
                    Some(status) if libc::WIFSIGNALED(status) => (libc::CLD_KILLED, libc::WTERMSIG(status)),
                    _ => (-1, 0),
                };
                return self.main_ended(code, status);
            }
            let mut fds = [raw::pollfd(main.pidfd, 0), raw::pollfd(self.signals, libc::POLLIN)];
            raw::poll(&mut fds, left as i32);
            reaped = fds[0].revents & libc::POLLHUP != 0;
            sweep::drain_signals(self.signals);
        }
    }

    /// The main process is either a child that is not reaped, or held by its pidfd.
    fn signal_main(&self, signal: i32) {
        match self.main {
            Some(Main { pid, pidfd: -1 }) => {
                raw::kill(pid, signal);
            }
            Some(Main { pidfd, .. }) => {
                // SAFETY: no siginfo is passed.
                unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, ptr::null::<libc::siginfo_t>(), 0) };
            }
            None => {}
        }
    }

    /// The group's number cannot be given away while the process that made it is not reaped.
    fn kill_group(&self) {
        if let Some(group) = self.group {
            raw::kill(-group, libc::SIGKILL);
        }
    }

    /// A main process that has gone into a group of somebody else's is signalled alone.
    fn signal_group(&self, signal: i32) {
        match self.group_of_main() {
            Some(group) => {
                raw::kill(-group, signal);
            }
            None => self.signal_main(signal),
        }
    }

    /// The group of the main process, if it is the one made for the first, or the main process's own and its number
    /// cannot be given away meanwhile.
    fn group_of_main(&self) -> Option<i32> {
        let main = self.main?;
        // SAFETY: no memory is involved.
        let group = unsafe { libc::getpgid(main.pid) };
        let own = group == main.pid && raw::is_child(main.pid);
        (own || self.group == Some(group)).then_some(group)
    }

    fn has_untold(&self) -> bool {
        self.untold_change.is_some() || self.untold_end.is_some()
    }

    /// Tells the launcher what it does not know yet, as far as it takes it. A launcher that is gone is told nothing.
    fn tell(&mut self) {
        for untold in [&mut self.untold_change, &mut self.untold_end] {
            if let Some(packet) = *untold {
                match wire::send(CONTROL, packet, -1) {
                    Err(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => return,
                    _ => *untold = None,
                }
            }
        }
    }

    /// Whether the launcher is gone, or has let go of this generation.
    fn is_alone(&self) -> bool {
        let mut fds = [raw::pollfd(CONTROL, 0), raw::pollfd(self.launcher, libc::POLLIN)];
        raw::poll(&mut fds, 0);
        fds[0].revents & (libc::POLLHUP | libc::POLLERR) != 0 || fds[1].revents & libc::POLLIN != 0
    }

    /// Nothing is left below: waits until the launcher has taken the last words, and ends. The launcher still looks into the
    /// cgroup, and removes it; when it is gone it does neither.
    fn finish(&mut self) -> ! {
        if let Some([kind, ..]) = &mut self.untold_end {
            *kind = wire::EXITED_LAST;
        }
        self.tell();
        while self.has_untold() {
            let mut fds = [raw::pollfd(CONTROL, libc::POLLOUT), raw::pollfd(self.launcher, libc::POLLIN)];
            raw::poll(&mut fds, -1);
            if fds[1].revents & libc::POLLIN != 0 {
                break;
            }
            self.tell();
        }
        if let Some(path) = self.cgroup
            && self.is_alone()
        {
            // SAFETY: the path ends with a NUL and lives in the plan.
            unsafe { libc::rmdir(path) };
        }
        raw::exit(0)
    }
}
