//! Why a process may not be looked into, and what can be done about it.

use std::os::unix::fs::MetadataExt;

use super::files;
use crate::core::capability;

/// What was denied for the process `pid` with `errno`, and the remedy.
pub fn explain(pid: i32, errno: i32) -> String {
    if errno == libc::ETIMEDOUT {
        return "a thread that runs did not come to be held in time, so its native stack is missing".to_owned();
    }
    if errno == libc::ENOENT {
        return "native stacks are missing: this kernel does not tell where a blocked thread stands (it has no \
                /proc/PID/task/TID/syscall; gVisor is one such)"
            .to_owned();
    }
    let what = format!("its stacks may not be read: {}", crate::core::errno::describe(errno));
    if !matches!(errno, libc::EPERM | libc::EACCES) {
        return what;
    }
    format!("{what}: {}", why(pid))
}

fn why(pid: i32) -> String {
    let own = nix::unistd::geteuid().as_raw();
    let status = files::text(&format!("/proc/{pid}/status")).unwrap_or_default();
    let ours = files::text("/proc/thread-self/status").unwrap_or_default();
    let user = files::number(&status, "Uid").and_then(|uid| u32::try_from(uid).ok());
    // The folder itself always belongs to the user; its files to root when the process is undumpable. Root's do anyway.
    let owner = std::fs::metadata(format!("/proc/{pid}/status")).map(|data| data.uid()).ok();
    let yama = files::line("/proc/sys/kernel/yama/ptrace_scope").and_then(|scope| scope.parse::<u32>().ok());
    let tracer = files::number(&status, "TracerPid").filter(|tracer| *tracer != 0);
    let (theirs, have) = (capabilities(&status, "CapPrm"), capabilities(&ours, "CapPrm"));
    // With CAP_SETUID the launcher looks with the user's own rights.
    let becomes = have >> 7 & 1 == 1;
    let more = theirs & !have;
    match (user, owner, yama, tracer) {
        (_, _, Some(3), _) => {
            "kernel.yama.ptrace_scope is 3, which denies it to everyone until the next boot".to_owned()
        }
        (Some(user), Some(owner), ..) if user != owner => {
            "it has made itself undumpable (PR_SET_DUMPABLE, or it was executed with privileges): let the launcher \
             have CAP_SYS_PTRACE, or the program leave PR_SET_DUMPABLE at 1"
                .to_owned()
        }
        (Some(user), ..) if user != own && !becomes => {
            format!(
                "it runs as uid {user}, the launcher as uid {own}: let the launcher have CAP_SYS_PTRACE, or run both as one user"
            )
        }
        _ if more != 0 => format!(
            "it may do what the launcher may not ({}): let the launcher have CAP_SYS_PTRACE, or that too",
            names(more)
        ),
        (_, _, Some(scope @ 1..=2), _) => format!(
            "kernel.yama.ptrace_scope is {scope}: set it to 0 (`sysctl kernel.yama.ptrace_scope=0`), let the launcher \
             have CAP_SYS_PTRACE, or dump it by the launcher that started it"
        ),
        (.., Some(tracer)) => format!("it is traced by process {tracer}"),
        _ => "let the launcher have CAP_SYS_PTRACE (in a container: `--cap-add SYS_PTRACE`)".to_owned(),
    }
}

/// A set of capabilities of a `status` file.
fn capabilities(status: &str, set: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'));
    value.and_then(|value| u64::from_str_radix(value.trim(), 16).ok()).unwrap_or(0)
}

/// The first few of a set by name.
fn names(set: u64) -> String {
    const SHOWN: usize = 3;
    let all = capability::names().enumerate().filter(|(number, _)| set >> number & 1 == 1);
    let mut names: Vec<String> = all.map(|(_, name)| format!("CAP_{name}")).collect();
    if names.len() > SHOWN {
        names.truncate(SHOWN);
        names.push("…".to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_by_name() {
        let status = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n";
        let docker = capabilities(status, "CapPrm");
        assert_eq!(docker >> 19 & 1, 0);
        assert_eq!(names(docker & 0x400), "CAP_NET_BIND_SERVICE");
        assert_eq!(names(docker), "CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, …");
        assert_eq!((capabilities("noise", "CapPrm"), names(0)), (0, String::new()));
        assert_eq!(names(1 << 40), "CAP_CHECKPOINT_RESTORE");
    }
}
