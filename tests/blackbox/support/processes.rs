//! The processes of a test: found by a token in their environment, so that daemons are found too.

use std::os::fd::OwnedFd;
use std::time::Instant;

use super::PATIENCE;
use super::streams::{pidfd, readable};

/// The variable with the test's token.
pub const TOKEN: &str = "LAUNCHER_TEST_TOKEN";

/// All processes with one token.
pub struct Processes {
    token: String,
}

impl Processes {
    /// Those with this token.
    pub fn with(token: &str) -> Processes {
        Processes { token: format!("{TOKEN}={token}") }
    }

    /// Their pids. A zombie has no environment and is not among them.
    pub fn pids(&self) -> Vec<i32> {
        let found = std::fs::read_dir("/proc").unwrap().flatten();
        found
            .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
            .filter(|pid| self.holds(*pid))
            .collect()
    }

    fn holds(&self, pid: i32) -> bool {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == self.token.as_bytes())
    }

    /// Waits until there is none, as long as tests wait at most. Returns what is left then.
    pub fn wait_until_none(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let fds: Vec<(i32, OwnedFd)> =
                self.pids().into_iter().filter_map(|pid| pidfd(pid).map(|fd| (pid, fd))).collect();
            let Some((pid, fd)) = fds.first() else { return Vec::new() };
            if !readable(fd, deadline) {
                let left = fds.iter().map(|(pid, _)| describe(*pid)).collect();
                println!("process {pid} is still there");
                return left;
            }
        }
    }

    /// Kills all, again until none is left.
    pub fn kill(&self) {
        for _ in 0..100 {
            let pids = self.pids();
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                let fd = pidfd(pid);
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
                fd.map(|fd| readable(&fd, Instant::now() + PATIENCE));
            }
        }
    }
}

/// A process as a line: pid, state, command.
fn describe(pid: i32) -> String {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid} {} {}", status_field(pid, "State").unwrap_or_default(), String::from_utf8_lossy(&command))
}

/// A field of `/proc/PID/status`.
pub fn status_field(pid: i32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// All processes below one, zombies too.
pub fn descendants(root: i32) -> Vec<i32> {
    let all: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .filter_map(|pid| Some((pid, status_field(pid, "PPid")?.parse().ok()?)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}
