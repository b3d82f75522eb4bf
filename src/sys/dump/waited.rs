//! For how long a thread has been off the CPU: the scheduler notes when it last ran (`/proc/PID/task/TID/sched`,
//! `se.exec_start`, where the kernel has that file), on a clock of its own for each CPU. It counts its switches, too.

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

/// What the scheduler notes of a thread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scheduled {
    /// When it last ran, in milliseconds of the CPU's clock; 0 when it was moved to another CPU since, which a thread that
    /// has just gone to sleep can be, too (since Linux 6.12).
    ran: f64,
    /// How often it was switched, by its own will or not.
    pub switches: Option<u64>,
}

impl Scheduled {
    /// Of a thread; `None` where the kernel does not tell.
    pub fn of(pid: i32, tid: i32) -> Option<Scheduled> {
        Scheduled::parse(&files::record(&format!("/proc/{pid}/task/{tid}/sched")).ok()?)
    }

    fn parse(text: &str) -> Option<Scheduled> {
        let (mut ran, mut switches) = (None, None);
        for line in text.lines() {
            let value = || line.rsplit(':').next().map(str::trim);
            if line.starts_with("se.exec_start") {
                ran = value()?.parse().ok();
            } else if line.starts_with("nr_switches") {
                switches = value()?.parse().ok();
                break;
            }
        }
        Some(Scheduled { ran: ran?, switches })
    }
}

impl SchedulerClocks {
    /// How long a thread, which last ran on `cpu`, has not run; right to some milliseconds. `None` when that is not known.
    pub fn waited(&mut self, scheduled: Scheduled, cpu: usize) -> Option<Duration> {
        if scheduled.ran <= 0.0 {
            return None;
        }
        let (clock, read) = (*self.clocks.entry(cpu).or_insert_with(|| read_clock(cpu)))?;
        let now = clock + read.elapsed().as_secs_f64() * 1000.0;
        Duration::try_from_secs_f64((now - scheduled.ran).max(0.0) / 1000.0).ok()
    }
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
    let clock = files::record("/proc/thread-self/sched").ok().and_then(|text| Scheduled::parse(&text));
    let read = Instant::now();
    if moved {
        let _ = sched_setaffinity(this, &before);
    }
    Some((clock?.ran, read))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_scheduler_notes() {
        let text =
            "sh (1, #threads: 1)\n-----\nse.exec_start        :     14.5\nse.vruntime : 3\nnr_switches   :   7\n";
        assert_eq!(Scheduled::parse(text), Some(Scheduled { ran: 14.5, switches: Some(7) }));
        assert_eq!(Scheduled::parse("se.exec_start : 1\n"), Some(Scheduled { ran: 1.0, switches: None }));
        assert_eq!(Scheduled::parse("noise"), None);
    }

    #[test]
    fn one_that_was_moved_in_its_sleep_has_not_waited_since_the_machine_was_started() {
        let mut clocks = SchedulerClocks::default();
        clocks.clocks.insert(0, Some((9_852_438.0, Instant::now())));
        let mut waited = |ran| clocks.waited(Scheduled { ran, switches: None }, 0);
        assert_eq!(waited(0.0), None);
        assert!(waited(9_852_000.0).is_some_and(|time| time >= Duration::from_millis(438)));
    }
}
