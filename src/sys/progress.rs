//! What can be counted of processes, for who wants to see whether they get on.

use std::collections::BTreeMap;

use super::dump::{rights, samples};
use super::procfs;
use crate::core::progress::Counters;

/// The counters of those of these processes that live. What may not be read of one is left out.
pub fn counters(pids: &[i32]) -> BTreeMap<i32, Counters> {
    pids.iter().filter_map(|pid| Some((*pid, of(*pid)?))).collect()
}

fn of(pid: i32) -> Option<Counters> {
    let stat = procfs::Stat::of(pid).filter(|stat| !matches!(stat.state, 'Z' | 'X'))?;
    let thread = |tid| {
        let (used, queued) = samples::cpu_ms(pid, tid, None)?;
        Some((tid, used.saturating_add(queued)))
    };
    // Of another user's process its I/O is not told without the rights to look into it.
    let io = {
        let _rights = rights::take(pid);
        samples::transferred(pid)
    };
    let cpu_ms = procfs::ticks(stat.cpu_ticks).as_millis() as u64;
    let threads = procfs::threads(pid).into_iter().filter_map(thread).collect();
    Some(Counters { born: stat.start_ticks, cpu_ms, io, threads })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_does_is_counted() {
        let me = std::process::id() as i32;
        let before = counters(&[me, -1]);
        assert_eq!(before.len(), 1, "a process that is not there is left out");
        // Reads of 1 MiB, and CPU time until the kernel has counted some.
        let mut zeroes = std::fs::File::open("/dev/zero").unwrap();
        let mut buffer = vec![1; 1 << 20];
        let after = loop {
            std::io::Read::read_exact(&mut zeroes, &mut buffer).unwrap();
            let after = counters(&[me]).remove(&me).unwrap();
            if after.cpu_ms > before[&me].cpu_ms {
                break after;
            }
        };
        let before = &before[&me];
        assert_eq!(after.born, before.born);
        assert!(after.io.unwrap() >= before.io.unwrap() + (1 << 20));
        let tid = nix::unistd::gettid().as_raw();
        assert!(after.threads[&tid] >= before.threads[&tid]);
    }
}
