//! A child below a supervisor.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running supervisor with one child; both are gone when it is dropped.
pub struct Supervised {
    process: Child,
    lines: BufReader<ChildStdout>,
    child: i32,
    number: u64,
}

impl Supervised {
    /// Starts this program in a role below the supervisor, and waits until it says so.
    pub fn start(words: &[&str], role: &str) -> Supervised {
        let own = std::env::current_exe().expect("this program's path");
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(own).arg(format!("child={role}"));
        Supervised::watch(command)
    }

    /// The same below runit's `runsv`, whose service is a folder.
    pub fn start_runsv(folder: &Path, role: &str) -> Supervised {
        let own = std::env::current_exe().expect("this program's path");
        fs::create_dir_all(folder).expect("a folder for runsv");
        let script = folder.join("run");
        fs::write(&script, format!("#!/bin/sh\nexec {} child={role}\n", own.display())).expect("a script for runsv");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&script, executable).expect("an executable script");
        let mut command = Command::new("runsv");
        command.arg(folder);
        Supervised::watch(command)
    }

    fn watch(mut command: Command) -> Supervised {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the supervisor starts");
        let lines = BufReader::new(process.stdout.take().expect("its output"));
        let mut supervised = Supervised { process, lines, child: 0, number: 0 };
        supervised.read();
        supervised
    }

    /// Reads one line: the child's pid and its number.
    fn read(&mut self) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line of the child");
        let mut words = line.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
        let pid = words.next().filter(|pid| *pid > 0).expect("the child says its pid");
        (self.child, self.number) = (pid as i32, words.next().unwrap_or(0));
    }

    /// What the child said first; after [`Self::kill_child`], what the next one says.
    pub fn number(&mut self) -> u64 {
        if self.child == 0 {
            self.read();
        }
        self.number
    }

    /// Kills the child by SIGKILL.
    pub fn kill_child(&mut self) {
        // SAFETY: kill(2) takes no pointers.
        unsafe { libc::kill(self.child, libc::SIGKILL) };
        self.child = 0;
    }

    /// The supervisor's own processes: all below it that are not the child.
    pub fn supervisors(&self) -> Vec<i32> {
        let mut found = vec![self.process.id() as i32];
        let mut next = 0;
        while next < found.len() {
            let children = format!("/proc/{0}/task/{0}/children", found[next]);
            let children = fs::read_to_string(children).unwrap_or_default();
            let children = children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok());
            found.extend(children.filter(|pid| *pid != self.child));
            next += 1;
        }
        found
    }

    /// Their proportional set size, in KiB.
    pub fn pss_kib(&self) -> u64 {
        self.sum(|pid| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:"))
    }

    /// How often their threads have slept so far.
    pub fn switches(&self) -> u64 {
        self.sum(|pid| {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            threads
                .map(|thread| field(&thread.path().join("status").display().to_string(), "voluntary_ctxt_switches:"))
                .sum()
        })
    }

    /// CPU time they have used, in ticks of 10 ms.
    pub fn cpu_ticks(&self) -> u64 {
        self.sum(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
            fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
        })
    }

    fn sum(&self, of: impl Fn(i32) -> u64) -> u64 {
        self.supervisors().into_iter().map(of).sum()
    }
}

/// The number after a word in a file.
fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.process.kill();
        if self.child > 0 {
            // SAFETY: kill(2) takes no pointers.
            unsafe { libc::kill(self.child, libc::SIGKILL) };
        }
        let _ = self.process.wait();
    }
}
