//! For how long a thread has been off the CPU: the scheduler notes when it last ran (`/proc/PID/task/TID/sched`,
//! `se.exec_start`, where the kernel has that file), on a clock of its own for each CPU.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::files;

/// The scheduler's clocks, each read once.
#[derive(Debug, Default)]
pub struct SchedulerClocks {
    /// For each CPU: its clock in milliseconds, and when it was read. `None` when it cannot be read.
    clocks: HashMap<usize, Option<(f64, Instant)>>,
}

impl SchedulerClocks {
    /// How long the thread, which last ran on `cpu`, has not run; right to some milliseconds.
    pub fn waited(&mut self, pid: i32, tid: i32, cpu: usize) -> Option<Duration> {
        let ran = last_ran(&format!("/proc/{pid}/task/{tid}/sched"))?;
        let (clock, read) = (*self.clocks.entry(cpu).or_insert_with(|| read_clock(cpu)))?;
        let now = clock + read.elapsed().as_secs_f64() * 1000.0;
        Duration::try_from_secs_f64((now - ran).max(0.0) / 1000.0).ok()
    }
}

fn last_ran(path: &str) -> Option<f64> {
    let text = files::record(path).ok()?;
    let line = text.lines().find(|line| line.starts_with("se.exec_start"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

/// Reads the clock of a CPU by running there for a moment: what the scheduler notes of this thread is then fresh.
fn read_clock(cpu: usize) -> Option<(f64, Instant)> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this).ok()?;
    let mut only = CpuSet::new();
    only.set(cpu).ok()?;
    // Where the CPU may not be used, this one's clock must do: they differ by little.
    let moved = sched_setaffinity(this, &only).is_ok();
    std::thread::yield_now();
    let clock = last_ran("/proc/thread-self/sched");
    let read = Instant::now();
    if moved {
        let _ = sched_setaffinity(this, &before);
    }
    Some((clock?, read))
}
