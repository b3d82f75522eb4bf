//! Ends every process below one, until none is left. Used by the keeper, so nothing in here allocates.

use std::os::fd::RawFd;

use super::create;
use super::raw::{self, Wait};
use super::tree::{self, Walk};

/// So many times everything is killed before it is frozen first: enough for all but a tree that forks all the time.
const ROUNDS_BEFORE_FREEZING: u32 = 3;
/// So many times everything that still runs is stopped before it is killed all the same.
const FREEZE_ROUNDS: u32 = 64;
/// So many times is looked for processes that are to be told to go: one that forks all the time is not looked at for ever.
const FIND_ROUNDS: u32 = 8;
/// A round is over when no process has ended for so long.
const QUIET_MS: i32 = 5;
/// A round lasts no longer than this while processes go on ending: new ones may be born at the same rate.
const ROUND_MS: i64 = 50;
/// Between rounds in which nothing has ended at all (uninterruptible sleep, another user's process), at most so long.
const PATIENCE_MS: i32 = 500;

/// Which processes a sweep ends.
pub(super) struct Sweep {
    /// Everything below this one: the calling process.
    pub root: i32,
    /// Readable when a child has ended (`signalfd(2)` for SIGCHLD); -1 where there is none.
    pub signals: RawFd,
    /// `cgroup.kill` of the cgroup they are in; -1 where there is none.
    pub cgroup_kill: RawFd,
    /// When to give up, on [`raw::now_ms`]'s clock; never when absent.
    pub until: Option<i64>,
}

impl Sweep {
    /// Kills all there is, reaping with `reap`, which says whether children are left. Whether none is.
    ///
    /// A keeper is not a child in the sense of [`raw::is_child`] and is left alone, with all that is below it.
    pub fn run(&self, mut reap: impl FnMut() -> bool) -> bool {
        let mut walk = usable_walk();
        let mut rounds = 0;
        let mut patience = QUIET_MS;
        if walk.is_none() && reap() {
            // What was killed by its group may have been all: looking for children blindly takes long.
            self.wait_for_ends(&mut reap, QUIET_MS);
        }
        while reap() {
            if self.until.is_some_and(|until| raw::now_ms() >= until) {
                return false;
            }
            if rounds == ROUNDS_BEFORE_FREEZING {
                self.freeze(walk.as_mut());
            }
            if self.cgroup_kill >= 0 {
                raw::write(self.cgroup_kill, b"1");
            }
            match walk.as_mut() {
                Some(walk) => self.signal_all(walk, libc::SIGKILL),
                None => signal_children_blindly(self.root, libc::SIGKILL, rounds == ROUNDS_BEFORE_FREEZING),
            }
            rounds += 1;
            patience = if self.wait_for_ends(&mut reap, patience) { QUIET_MS } else { (patience * 2).min(PATIENCE_MS) };
            // A tree that outran the last freeze is frozen again after as many rounds.
            if rounds > ROUNDS_BEFORE_FREEZING {
                rounds = 0;
            }
        }
        true
    }

    /// Reaps until it has been quiet for `patience` milliseconds, or the round has lasted long enough. Whether anything
    /// has ended.
    fn wait_for_ends(&self, reap: &mut impl FnMut() -> bool, patience: i32) -> bool {
        let end = raw::now_ms() + ROUND_MS;
        let mut ended = false;
        loop {
            let mut fds = [raw::pollfd(self.signals, libc::POLLIN)];
            // Without a descriptor for SIGCHLD this is a plain wait; a negative number is left out by poll(2).
            let wait = if self.signals >= 0 { patience } else { 1 };
            raw::poll(&mut fds, wait);
            if fds[0].revents == 0 {
                return ended;
            }
            drain_signals(self.signals);
            ended = true;
            if !reap() || raw::now_ms() >= end {
                return true;
            }
        }
    }

    /// Stops whatever runs until nothing does, so that the killing that follows has nothing to race with.
    fn freeze(&self, walk: Option<&mut Walk>) {
        let Some(walk) = walk else { return };
        // Against hundreds of busy processes this one needs its turn; not permitted without privilege, and no matter.
        // Only a keeper does so, which ends with its sweep.
        if self.until.is_none() {
            // SAFETY: no memory is involved.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -20) };
        }
        for _ in 0..FREEZE_ROUNDS {
            let mut running = false;
            self.visit(walk, |pid, stat| {
                if stat.is_some_and(tree::Stat::is_running) && raw::kill(pid, libc::SIGSTOP) {
                    running = true;
                }
            });
            if !running {
                return;
            }
        }
    }

    /// Sends a signal to every living process below, parents first.
    fn signal_all(&self, walk: &mut Walk, signal: i32) {
        self.visit(walk, |pid, stat| {
            if !stat.is_some_and(tree::Stat::is_dead) {
                raw::kill(pid, signal);
            }
        });
    }

    /// Calls `visit` for each process below, parents first, without keepers and what is below them.
    fn visit(&self, walk: &mut Walk, visit: impl FnMut(i32, Option<tree::Stat>)) {
        walk.below(self.root, |child| !raw::is_child(child), visit);
    }

    /// Sends a signal to every living process below, once, and lets go on what is stopped; without a usable /proc to
    /// direct children only.
    pub fn signal(&self, signal: i32) {
        match usable_walk().zip(Walk::new()) {
            Some((walk, found)) => self.signal_each(walk, found, signal),
            None => signal_children_blindly(self.root, signal, true),
        }
        self.resume();
    }

    /// All are found before the first is told: the children of one that ends by that are told all the same, and what one
    /// starts because of it, to clean up, is not. Whoever gets a new parent as others are looked up may be missed: that
    /// is seen by looking again.
    fn signal_each(&self, mut walk: Walk, mut found: Walk, signal: i32) {
        for _ in 0..FIND_ROUNDS {
            if !walk.find_below(self.root, |child| !raw::is_child(child), &mut found) {
                break;
            }
        }
        found.found(|pid, stat| {
            if !stat.is_some_and(tree::Stat::is_dead) {
                raw::kill(pid, signal);
            }
        });
    }

    /// Lets every process below go on that is stopped; without a usable /proc direct children only, stopped or not.
    pub fn resume(&self) {
        let Some(mut walk) = usable_walk() else { return signal_children_blindly(self.root, libc::SIGCONT, true) };
        self.visit(&mut walk, |pid, stat| {
            if stat.is_some_and(tree::Stat::is_stopped) {
                raw::kill(pid, libc::SIGCONT);
            }
        });
    }
}

fn usable_walk() -> Option<Walk> {
    if tree::is_readable() { Walk::new() } else { None }
}

/// Without a usable /proc: whatever number answers `waitid(2)` is a child. What is below the children becomes a child
/// itself when they have ended.
fn signal_children_blindly(own: i32, signal: i32, everywhere: bool) {
    // Numbers are given out in turn: those of later processes lie between this one's and that of the newest.
    let mut pidfd = -1;
    // SAFETY: the child ends at once; it is reaped with all others.
    let newest = unsafe { create::fork(libc::SIGCHLD, &mut pidfd) };
    if newest == 0 {
        raw::exit(0);
    }
    let numbers = if own < newest && !everywhere { own + 1..=newest } else { 2..=highest_pid() };
    for pid in numbers {
        if pid != own && raw::is_child(pid) {
            raw::kill(pid, signal);
        }
    }
}

/// `/proc/sys/kernel/pid_max`, or the most it can be.
fn highest_pid() -> i32 {
    const PID_MAX_LIMIT: i32 = 1 << 22;
    let Some(fd) = raw::open(&raw::PathBuffer::new(b"/proc/sys/kernel/pid_max")) else { return PID_MAX_LIMIT };
    let mut buffer = [0; 16];
    let length = raw::read(fd, &mut buffer);
    raw::close(fd);
    let digits = buffer.iter().take(length).take_while(|byte| byte.is_ascii_digit());
    match digits.fold(0_i32, |sum, byte| sum.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'))) {
        max @ 1..PID_MAX_LIMIT => max,
        _ => PID_MAX_LIMIT,
    }
}

/// Takes what has come in by a signalfd.
pub(super) fn drain_signals(signals: RawFd) {
    let mut buffer = [0_u8; size_of::<libc::signalfd_siginfo>()];
    while raw::read(signals, &mut buffer) > 0 {}
}

/// Reaps every ordinary child that has ended; whether any is left. `options` are further ones of `waitid(2)`.
pub(super) fn reap_all(options: i32, mut ended: impl FnMut(raw::Change)) -> bool {
    loop {
        match raw::wait(libc::P_ALL, 0, libc::WEXITED | libc::WNOHANG | options) {
            Wait::Changed(change) => ended(change),
            Wait::Nothing => return true,
            Wait::NoChild => return false,
        }
    }
}
