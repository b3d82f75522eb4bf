//! Why a process may not be looked into, and what can be done about it.

use std::os::unix::fs::MetadataExt;

use super::files;

/// What was denied for the process `pid` with `errno`, and the remedy.
pub fn explain(pid: i32, errno: i32) -> String {
    let what = format!("its stacks may not be read: {}", std::io::Error::from_raw_os_error(errno));
    if !matches!(errno, libc::EPERM | libc::EACCES) {
        return what;
    }
    let own = nix::unistd::geteuid().as_raw();
    let status = files::text(&format!("/proc/{pid}/status")).unwrap_or_default();
    let user = files::number(&status, "Uid").and_then(|uid| u32::try_from(uid).ok());
    // The folder itself always belongs to the user; its files to root when the process is undumpable.
    let owner = std::fs::metadata(format!("/proc/{pid}/status")).map(|data| data.uid()).ok();
    let yama = files::line("/proc/sys/kernel/yama/ptrace_scope").and_then(|scope| scope.parse::<u32>().ok());
    let tracer = files::number(&status, "TracerPid").filter(|tracer| *tracer != 0);
    let why = match (user, owner, yama, tracer) {
        (_, _, Some(3), _) => {
            "kernel.yama.ptrace_scope is 3, which denies it to everyone until the next boot".to_owned()
        }
        (Some(user), Some(owner), ..) if user != owner => {
            "it has made itself undumpable (PR_SET_DUMPABLE, or it was executed with privileges): let the launcher \
             have CAP_SYS_PTRACE, or the program leave PR_SET_DUMPABLE at 1"
                .to_owned()
        }
        (Some(user), ..) if user != own => {
            format!(
                "it runs as uid {user}, the launcher as uid {own}: let the launcher have CAP_SYS_PTRACE, or run both as one user"
            )
        }
        (_, _, Some(scope @ 1..=2), _) => format!(
            "kernel.yama.ptrace_scope is {scope}: set it to 0 (`sysctl kernel.yama.ptrace_scope=0`), let the launcher \
             have CAP_SYS_PTRACE, or dump it by the launcher that started it"
        ),
        (.., Some(tracer)) => format!("it is traced by process {tracer}"),
        _ => "let the launcher have CAP_SYS_PTRACE (in a container: `--cap-add SYS_PTRACE`)".to_owned(),
    };
    format!("{what}: {why}")
}
