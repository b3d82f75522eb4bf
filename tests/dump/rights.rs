//! Processes are read with the rights at hand, and what is denied is said with the remedy.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use launcher::core::facts::{ProcessFacts, ThreadFacts};
use launcher::sys::dump;

use crate::victim::{Victim, frame, functions, line_of, options, thread_in, until};

/// A user that owns nothing else.
const NOBODY: u32 = 65534;
/// Numbers of `capabilities(7)`.
const NET_BIND_SERVICE: u32 = 10;
const SYS_PTRACE: u32 = 19;
/// The 14 capabilities that Docker leaves to a container.
const DOCKER: [u32; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

pub fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root to become another user");
    }
    root
}

/// Sets the capabilities of this thread: permitted and effective.
fn set_capabilities(permitted: &[u32]) {
    #[repr(C)]
    struct Header(u32, i32);
    let bits = permitted.iter().fold(0u64, |bits, capability| bits | 1 << capability);
    let (low, high) = (bits as u32, (bits >> 32) as u32);
    let (header, sets) = (Header(0x2008_0522, 0), [low, low, 0, high, high, 0]);
    // SAFETY: both are of the version that the header names; only this thread, which ends soon, is changed.
    let result = unsafe { nix::libc::syscall(nix::libc::SYS_capset, &raw const header, sets.as_ptr()) };
    assert_eq!(result, 0);
}

/// Does it as root with these capabilities alone.
fn with_capabilities<T: Send + 'static>(capabilities: &'static [u32], work: impl FnOnce() -> T + Send + 'static) -> T {
    let limited = move || {
        set_capabilities(capabilities);
        work()
    };
    std::thread::spawn(limited).join().unwrap()
}

/// The process as the launcher sees it in a container of Docker's.
pub fn dumped_in_docker(pid: i32) -> ProcessFacts {
    with_capabilities(&DOCKER, move || dump::dump(&[pid], &options()).remove(0))
}

fn start_as(uid: u32, shape: &'static str) -> Victim {
    Victim::start_with("shapes.c", &["-g", "-O0"], |command| {
        open_to_all(Path::new(command.get_program()).parent().unwrap());
        command.arg(shape).uid(uid).gid(uid).current_dir("/");
    })
}

fn open_to_all(folder: &Path) {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Who looks, as the kernel has it: nothing of it may stay changed.
fn own_credentials() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().filter(|line| line.starts_with("Uid") || line.starts_with("Gid")).map(str::to_owned).collect()
}

/// Waits until this process is dumpable: it is not for the moment in which a thread of another test takes on other ids,
/// and must not stay so.
#[track_caller]
fn is_dumpable() {
    until(|| nix::sys::prctl::get_dumpable().unwrap());
}

#[track_caller]
fn is_whole(thread: &ThreadFacts) {
    assert_eq!(frame(thread, "wait_for_input").line, Some(line_of("shapes.c", "in wait_for_input")));
    assert!(functions(thread).contains(&"main"), "{:?}", functions(thread));
}

#[test]
fn with_docker_s_capabilities_a_child_of_the_same_user_is_read() {
    if !is_root() {
        return;
    }
    // A child in the container has no more capabilities than the launcher.
    let victim = Victim::start_with("shapes.c", &["-g", "-O0"], |command| {
        command.arg("wait");
        // SAFETY: capset(2) alone, on memory of its own.
        unsafe {
            command.pre_exec(|| {
                drop_all_but_docker_s();
                Ok(())
            })
        };
    })
    .ready(1);
    let process = dumped_in_docker(victim.pid());
    assert_eq!((process.dump_error, process.paused_ms), (None, 0.0));
    is_whole(&process.threads[0]);
}

/// Between fork and exec of root: what exec gives root is bounded.
fn drop_all_but_docker_s() {
    for capability in (0..=40).filter(|capability| !DOCKER.contains(capability)) {
        // SAFETY: PR_CAPBSET_DROP takes a number.
        unsafe { nix::libc::prctl(nix::libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

#[test]
fn with_docker_s_capabilities_a_child_of_another_user_is_read() {
    if !is_root() {
        return;
    }
    let before = own_credentials();
    let victim = start_as(NOBODY, "wait").ready(1);
    let process = dumped_in_docker(victim.pid());
    assert_eq!((process.dump_error, process.paused_ms), (None, 0.0));
    is_whole(&process.threads[0]);
    assert_eq!(process.executable.as_ref(), Some(&victim.program));
    assert_eq!(own_credentials(), before);
    is_dumpable();
}

#[test]
fn with_docker_s_capabilities_a_busy_child_of_another_user_is_held_and_runs_on() {
    if !is_root() {
        return;
    }
    let before = own_credentials();
    let victim = start_as(NOBODY, "busy").ready(1);
    let process = dumped_in_docker(victim.pid());
    assert_eq!(process.dump_error, None);
    let spinning = thread_in(&process, "spin");
    assert_eq!((spinning.state, functions(spinning).contains(&"busy")), ('R', true));
    assert!(process.paused_ms > 0.0);
    assert_eq!(own_credentials(), before);
    is_dumpable();
    let status = std::fs::read_to_string(format!("/proc/{}/status", victim.pid())).unwrap();
    assert!(status.contains("TracerPid:\t0"), "{status}");
}

#[test]
fn children_of_several_users_are_read_in_one_dump() {
    if !is_root() {
        return;
    }
    let victims = [start_as(NOBODY, "wait").ready(1), start_as(NOBODY - 1, "wait").ready(1)];
    let pids = victims.each_ref().map(Victim::pid);
    let processes = with_capabilities(&DOCKER, move || dump::dump(&pids, &dump::Options::default()));
    for process in processes {
        assert_eq!(process.dump_error, None);
        is_whole(&process.threads[0]);
        assert!(process.io.second.is_some() && process.io.first > 0, "{:?}", process.io);
    }
}

#[test]
fn a_child_with_a_capability_of_its_own_is_read_by_who_has_it_too() {
    if !is_root() {
        return;
    }
    let victim = Victim::start_with("shapes.c", &["-g", "-O0"], |command| {
        open_to_all(Path::new(command.get_program()).parent().unwrap());
        let program = command.get_program().to_owned();
        let mut with = std::process::Command::new("setpriv");
        with.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        with.args(["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"]).arg(program).arg("wait");
        with.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        *command = with;
    })
    .ready(1);
    let pid = victim.pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains(&format!("CapPrm:\t{:016x}", 1 << NET_BIND_SERVICE)), "{status}");
    let process = dumped_in_docker(pid);
    assert_eq!(process.dump_error, None);
    is_whole(&process.threads[0]);
    // Without it, the launcher says which one it lacks.
    let process = with_capabilities(&[6, 7], move || dump::dump(&[pid], &options()).remove(0));
    let error = process.dump_error.unwrap();
    assert!(error.contains("CAP_NET_BIND_SERVICE") && error.contains("CAP_SYS_PTRACE"), "{error}");
}

#[test]
fn an_undumpable_child_is_said_to_be_one_and_what_shows_is_told() {
    if !is_root() {
        return;
    }
    let victim = start_as(NOBODY, "undumpable").ready(1);
    let process = dumped_in_docker(victim.pid());
    let error = process.dump_error.unwrap();
    assert!(error.contains("undumpable") && error.contains("CAP_SYS_PTRACE"), "{error}");
    let [thread] = &process.threads[..] else { panic!("{:?}", process.threads) };
    assert_eq!((thread.state, thread.frames.len()), ('S', 0));
    assert!(thread.wchan.is_some() || !Path::new("/proc/self/wchan").exists() || wchan_is_hidden(), "{thread:?}");
    // With the capability it is read.
    let pid = victim.pid();
    let process = with_capabilities(&[SYS_PTRACE], move || dump::dump(&[pid], &options()).remove(0));
    assert_eq!(process.dump_error, None);
    assert!(functions(&process.threads[0]).contains(&"main"), "{:?}", functions(&process.threads[0]));
}

/// Whether this kernel shows wchan to nobody.
fn wchan_is_hidden() -> bool {
    std::fs::read_to_string("/proc/1/wchan").is_ok_and(|wchan| wchan == "0")
}

#[test]
fn who_may_not_become_the_user_is_told_so() {
    if !is_root() {
        return;
    }
    let victim = start_as(NOBODY, "wait").ready(1);
    let pid = victim.pid();
    let process = with_capabilities(&[], move || dump::dump(&[pid], &options()).remove(0));
    let error = process.dump_error.unwrap();
    assert!(error.contains("uid 65534") && error.contains("CAP_SYS_PTRACE"), "{error}");
}
