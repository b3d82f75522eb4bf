//! Numbers of processes and threads in their own pid namespace.

use std::collections::HashMap;

use super::Subject;
use crate::sys::dump::files;

/// A process's or thread's number in its own pid namespace, by its `/proc/PID/status`; `key` is `NStgid` or `NSpid`.
pub fn innermost(status: &str, key: &str) -> Option<i32> {
    numbers(status, key)?.split_whitespace().last()?.parse().ok()
}

/// Whether a process with this `/proc/PID/status` is in another pid namespace than ours.
pub fn is_nested(status: &str) -> bool {
    numbers(status, "NStgid").is_some_and(|pids| pids.split_whitespace().count() > 1)
}

/// The tids of the process's threads by those in its own pid namespace.
pub fn tids(subject: &Subject) -> HashMap<i32, i32> {
    let status = |tid: i32| files::record(&format!("/proc/{}/task/{tid}/status", subject.pid)).unwrap_or_default();
    let nested = is_nested(&status(subject.via));
    let inner = |tid: i32| if nested { innermost(&status(tid), "NSpid") } else { Some(tid) };
    subject.threads.iter().filter_map(|thread| Some((inner(thread.tid)?, thread.tid))).collect()
}

fn numbers<'t>(status: &'t str, key: &str) -> Option<&'t str> {
    status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_that_inside() {
        let status = "Name:\tx\nNStgid:\t4711\t12\t1\nNSpid:\t4713\t14\t3\n";
        assert_eq!(
            (innermost(status, "NStgid"), innermost(status, "NSpid"), is_nested(status)),
            (Some(1), Some(3), true)
        );
        assert_eq!((innermost("NSpid:\t7\n", "NSpid"), is_nested("NStgid:\t7\n")), (Some(7), false));
        assert_eq!(innermost("", "NSpid"), None);
    }
}
