//! What a service gets, and how a start that fails is told.

use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use launcher::core::exit::Ending;
use launcher::core::signal::Signal;
use launcher::sys::cgroup::Delegated;
use launcher::sys::keeper::{Message, SpawnPlan, Stage, Stdio};
use launcher::sys::users::Identity;

use super::support::*;

#[test]
fn every_exit_code_and_signal_is_told() {
    for code in [0, 1, 7, 126, 127, 128, 255] {
        assert_eq!(run(shell(&format!("exit {code}"))).0, Ending::Code(code));
    }
    for signal in [Signal::KILL, Signal::TERM, Signal::SEGV] {
        assert_eq!(run(shell(&format!("kill -{} $$", signal.name()))).0, Ending::Signal(signal));
    }
}

#[test]
fn it_gets_its_arguments_and_its_environment_and_no_other() {
    let mut plan = SpawnPlan::new(c("/usr/bin/env"), vec![c("anything")]);
    plan.envp = vec![c("A=1").into(), c("B=two words").into()];
    assert_eq!(run(plan).1, "A=1\nB=two words\n");
    let mut plan = shell("echo \"$0/$1/$2\"");
    plan.argv.extend([c("zero"), c(""), c("a b")]);
    assert_eq!(run(plan).1, "zero//a b\n");
}

#[test]
fn variables_of_its_own_pid_are_right() {
    let mut plan = shell("echo $$ $LISTEN_PID $WATCHDOG_PID $LAST");
    plan.pid_variables = vec!["LISTEN_PID", "WATCHDOG_PID"];
    plan.envp.push(c("LAST=x").into());
    let output = with_output(&mut plan);
    let keeper = start(plan);
    let pid = spawned(&keeper);
    assert_eq!(output.rest(), format!("{pid} {pid} {pid} x\n"));
}

#[test]
fn no_signal_is_blocked_ignored_or_caught() {
    let told = play_through(&[], "ignoring-launcher");
    assert_eq!(told.len(), 4, "{told:?}");
    for line in told {
        let (name, bits) = line.split_once(':').unwrap();
        assert_eq!(u64::from_str_radix(bits.trim(), 16), Ok(0), "{name}");
    }
}

#[test]
fn it_has_the_first_three_descriptors_and_the_passed_ones_and_no_other() {
    // Without CLOEXEC, as inherited ones are.
    // SAFETY: makes a new descriptor, which this test owns.
    let stray = unsafe { OwnedFd::from_raw_fd(libc::dup(2)) };
    let (reader, writer) = std::io::pipe().unwrap();
    let mut plan = shell("echo up; read answer");
    let (stdin, mut answer) = std::io::pipe().unwrap();
    plan.stdio[0] = Stdio::Fd(stdin.into());
    plan.passed = vec![writer.as_raw_fd(), reader.as_raw_fd(), writer.as_raw_fd()];
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    let pid = spawned(&keeper);
    assert_eq!(output.line(), "up");
    let mut fds: Vec<i32> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().parse().unwrap())
        .collect();
    fds.sort_unstable();
    assert_eq!(fds, [0, 1, 2, 3, 4, 5]);
    // The keeper has none of them: it has its socket, its signals and the launcher.
    let keeper_fds = std::fs::read_dir(format!("/proc/{}/fd", settled(&keeper))).unwrap().count();
    assert_eq!(keeper_fds, 3);
    answer.write_all(b"go\n").unwrap();
    exited(&keeper);
    gone(&keeper);
    drop(stray);
}

#[test]
fn descriptors_whose_numbers_collide_all_arrive() {
    let told = play_through(&[], "colliding-descriptors");
    assert_eq!(told, ["120 permutations"]);
}

#[test]
fn it_is_in_its_own_group_and_its_keeper_in_another() {
    let mut plan = shell("echo up; exec sleep 1000");
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    let pid = spawned(&keeper);
    assert_eq!(output.line(), "up");
    // SAFETY: no memory is involved.
    let group = |pid| unsafe { libc::getpgid(pid) };
    assert_eq!(group(pid), pid);
    let keeper_pid = settled(&keeper);
    assert_eq!(group(keeper_pid), keeper_pid);
    assert_eq!(keeper.main_pid(), Some(pid));
    keeper.signal_main(Signal::TERM).unwrap();
    assert_eq!(exited(&keeper), Ending::Signal(Signal::TERM));
    gone(&keeper);
    // Nobody is hit by a signal to one that is gone.
    keeper.signal_main(Signal::KILL).unwrap();
    keeper.signal_group(Signal::KILL).unwrap();
    keeper.kill().unwrap();
    assert_eq!(keeper.receive(), None);
}

#[test]
fn it_runs_where_and_as_whom_it_is_told() {
    let mut plan = shell("pwd");
    plan.directory = Some(c("/usr"));
    assert_eq!(run(plan).1, "/usr\n");
    if !is_root() {
        return;
    }
    let mut plan = shell("id -u; id -g; id -G; umask; grep -h CapEff /proc/self/status");
    plan.directory = Some(c("/"));
    plan.identity = Some(Identity {
        uid: 12345,
        gid: 12346,
        groups: vec![12346, 12347],
        groups_are_set: false,
        name: None,
        home: None,
    });
    let (ending, text) = run(plan);
    assert_eq!(ending, Ending::Code(0));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["12345", "12346", "12346 12347"]);
    assert!(lines[4].ends_with("\t0000000000000000"), "{text}");
}

fn failure(plan: SpawnPlan) -> (Stage, i32) {
    let keeper = start(plan);
    let message = next(&keeper);
    gone(&keeper);
    match message {
        Message::ExecFailed { stage, errno } => (stage, errno),
        other => panic!("{other:?} instead of ExecFailed"),
    }
}

#[test]
fn a_start_that_fails_names_its_stage_and_errno() {
    let program = |path: &str| SpawnPlan::new(c(path), vec![c("x")]);
    assert_eq!(failure(program("/nonexistent")), (Stage::Exec, libc::ENOENT));
    assert_eq!(failure(program("/usr")), (Stage::Exec, libc::EACCES));
    assert_eq!(failure(program("/etc/passwd/x")), (Stage::Exec, libc::ENOTDIR));
    let mut plan = shell("exit 0");
    plan.directory = Some(c("/nonexistent"));
    assert_eq!(failure(plan), (Stage::Directory, libc::ENOENT));
    let mut plan = shell("exit 0");
    plan.passed = vec![987_654];
    assert_eq!(failure(plan), (Stage::Descriptors, libc::EBADF));

    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text");
    std::fs::write(&text, "neither a program nor a script").unwrap();
    let mut permissions = std::fs::metadata(&text).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&text, permissions).unwrap();
    assert_eq!(failure(program(text.to_str().unwrap())), (Stage::Exec, libc::ENOEXEC));
    assert_eq!(Stage::User.to_string(), "setting user");
}

#[test]
fn a_user_that_may_not_be_taken_on_is_told_by_stage() {
    if is_root() {
        assert_eq!(play_through(&["setpriv", "--reuid=65534", "--clear-groups"], "other-user"), ["Groups 1"]);
    } else {
        assert_eq!(play_through(&[], "other-user"), ["Groups 1"]);
    }
}

#[test]
fn it_is_put_in_its_cgroup_which_is_removed_after_it() {
    let name = format!("launcher-test-{}", std::process::id());
    let Some(Ok(cgroup)) = Delegated::prepare(&[]).0.map(|delegated| delegated.create(&name, &[])) else {
        eprintln!("no cgroup v2 can be made here: not tested");
        return;
    };
    let directory = cgroup.directory().to_owned();
    let mut plan = shell("grep ^0: /proc/self/cgroup; setsid sleep 1000 & exec sleep 1000");
    plan.cgroup = Some(cgroup);
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    let pid = spawned(&keeper);
    assert!(output.line().ends_with(&format!("/{name}")));
    let inside = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap();
    assert!(inside.lines().any(|line| line == pid.to_string()));
    assert!(!inside.lines().any(|line| line == keeper.pid().unwrap().to_string()));
    keeper.kill().unwrap();
    assert_eq!(exited(&keeper), Ending::Signal(Signal::KILL));
    gone(&keeper);
    // It is there until the launcher has looked into it for the last time.
    assert!(directory.exists());
    drop(keeper);
    assert!(!directory.exists());
    assert_eq!(output.rest(), "");
}
