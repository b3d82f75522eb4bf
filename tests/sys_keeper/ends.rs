//! How a service ends, and that nothing of it is left, whoever dies.

use std::io::Write;
use std::time::{Duration, Instant};

use launcher::core::exit::Ending;
use launcher::core::signal::Signal;
use launcher::sys::keeper::{self, Keeper, Message, Stdio};

use super::support::*;

/// A service with a descendant of a session of its own, forked twice, that ignores TERM.
pub const STUBBORN: &str =
    "setsid sh -c '(trap \"\" TERM HUP; echo @hidden; while :; do sleep 1000; done) & exit' & wait;
                            trap '' TERM; echo @main $$; while :; do sleep 1000; done";

#[test]
fn a_kill_leaves_nothing_of_a_stubborn_service() {
    let mut plan = shell(STUBBORN);
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    let pid = spawned(&keeper);
    let mut lines = [output.told(), output.told()];
    lines.sort();
    assert_eq!(lines, ["hidden".to_owned(), format!("main {pid}")]);
    keeper.signal_main(Signal::TERM).unwrap();
    assert_eq!(keeper.receive(), None);
    let members = keeper.members();
    assert!(members.len() >= 2 && members[0] == pid, "{members:?}");
    assert_eq!(members.iter().filter(|member| !keeper.is_member(**member)).count(), 0);
    assert!(!keeper.is_member(std::process::id() as i32) && !keeper.is_member(1));
    keeper.kill().unwrap();
    assert_eq!(exited(&keeper), Ending::Signal(Signal::KILL));
    gone(&keeper);
    assert_eq!(output.rest(), "");
    assert!(keeper.members().is_empty());
}

#[test]
fn what_outlives_the_main_process_is_kept_told_apart_and_ended() {
    let mut plan = shell("setsid sh -c 'trap \"echo bye; exit\" TERM; echo up; while :; do sleep 0.01; done' & exit 3");
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    let main = spawned(&keeper);
    assert_eq!(exited(&keeper), Ending::Code(3));
    assert_eq!(output.line(), "up");
    assert_eq!(keeper.main_pid(), None);
    let members = keeper.members();
    assert!(!members.is_empty() && !members.contains(&main), "{members:?}");
    keeper.signal_rest(Signal::TERM).unwrap();
    gone(&keeper);
    assert_eq!(output.rest(), "bye\n");
}

#[test]
fn a_signal_for_what_is_left_reaches_processes_whose_parents_end_on_it() {
    // Each is the parent of the next one, in a session of its own.
    let script = "export SELF='[ $0 = 0 ] && { echo up; exec sleep 1000; }; setsid sh -c \"$SELF\" $(($0 - 1)) & wait'; \
                  sh -c \"$SELF\" 30 & exit 0";
    let mut plan = shell(script);
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    spawned(&keeper);
    assert_eq!(exited(&keeper), Ending::Code(0));
    assert_eq!(output.line(), "up");
    keeper.signal_rest(Signal::TERM).unwrap();
    gone(&keeper);
}

#[test]
fn a_signal_for_what_is_left_spares_what_is_started_because_of_it() {
    const CLEANERS: usize = 30;
    let clean_up = "(i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo clean)";
    // The sleeper says that it is up: dash loses a signal for a child that it has forked and not executed yet, where it
    // has a trap for that signal.
    let script = format!(
        "export SLEEPER='echo up; exec sleep 1000'
         export SELF='trap \"$CLEAN_UP; exit\" TERM; sh -c \"$SLEEPER\" & while :; do wait; done'
         export CLEAN_UP='{clean_up}'
         for _ in $(seq {CLEANERS}); do setsid sh -c \"$SELF\" & done; exit 0"
    );
    let mut plan = shell(&script);
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    spawned(&keeper);
    assert_eq!(exited(&keeper), Ending::Code(0));
    for _ in 0..CLEANERS {
        assert_eq!(output.line(), "up");
    }
    keeper.signal_rest(Signal::TERM).unwrap();
    gone(&keeper);
    assert_eq!(output.rest(), "clean\n".repeat(CLEANERS));
}

#[test]
fn the_end_of_the_main_process_is_seen_beside_the_keeper() {
    let keeper = start(shell("exit 5"));
    assert!(keeper.main_end().is_none(), "nothing is known of it before it was told of");
    spawned(&keeper);
    wait_readable(keeper.main_end().unwrap());
    keeper.give_way();
    assert_eq!(exited(&keeper), Ending::Code(5));
    let pid = keeper.pid().unwrap();
    gone(&keeper);
    keeper::await_ended();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "the keeper is not reaped");
}

#[test]
fn dropping_a_keeper_ends_its_service() {
    let mut plan = shell(STUBBORN);
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    spawned(&keeper);
    output.line();
    output.line();
    drop(keeper);
    assert_eq!(output.rest(), "");
}

#[test]
fn when_the_launcher_is_killed_nothing_of_its_services_is_left() {
    let mut launcher = play(&[], "launcher");
    let mut output = Output::of(&mut launcher);
    // Each of two services writes two lines.
    for _ in 0..4 {
        output.told();
    }
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    // Everybody who lived had the other end of this pipe.
    assert_eq!(output.rest(), "");
}

#[test]
fn when_the_launcher_is_killed_at_any_moment_nothing_is_left() {
    for delay in 0..40_u64 {
        let mut launcher = play(&[], "launcher");
        let output = Output::of(&mut launcher);
        // Not a wait for anything: any moment will do, and each of them is another one.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(delay * 250) {
            std::hint::spin_loop();
        }
        launcher.kill().unwrap();
        launcher.wait().unwrap();
        output.rest();
    }
}

#[test]
fn when_a_keeper_is_killed_the_launcher_ends_what_it_left() {
    let told = play_through(&[], "lost-keeper");
    assert_eq!(told, ["Lost", "swept true", "other lives", "children 0"]);
}

#[test]
fn ten_thousand_orphans_are_reaped() {
    let told = play_through(&[], "orphans");
    assert!(told[0].starts_with("gone, 0 left"), "{told:?}");
    eprintln!("{told:?}");
}

#[test]
fn a_fork_bomb_is_ended() {
    let told = play_through(&[], "bomb");
    assert!(told[0].starts_with("gone, 0 left"), "{told:?}");
    eprintln!("{told:?}");
}

#[test]
fn everything_works_without_the_newer_system_calls() {
    let told = play_through(&[], "old-kernel");
    assert_eq!(told, ["denied", "spawned", "own fds only", "killed", "exec failed", "gone"]);
}

#[test]
fn everything_is_ended_without_proc_and_with_that_of_another_namespace() {
    if !is_root() {
        return;
    }
    assert_eq!(play_through(&["unshare", "--mount"], "no-proc"), ["hidden", "killed", "gone"]);
    assert_eq!(play_through(&["unshare", "--pid", "--fork"], "foreign-proc"), ["hidden", "killed", "gone"]);
}

#[test]
fn a_stopped_and_a_continued_service_are_told_with_a_terminal() {
    let told = play_through(&[], "terminal");
    assert_eq!(
        told,
        ["no terminal", "foreground true", "stopped SIGTSTP", "continued", "by group", "taken back", "stopped itself"]
    );
}

#[test]
fn nothing_leaks_over_many_generations() {
    let told = play_through(&[], "generations");
    assert_eq!(told, ["200 generations: 0 descriptors more, 0 children"]);
}

fn follow(script: &str) -> (Keeper, Output, i32, i32, std::io::PipeWriter) {
    let mut plan = shell(script);
    let (stdin, answer) = std::io::pipe().unwrap();
    plan.stdio[0] = Stdio::Fd(stdin.into());
    let mut output = with_output(&mut plan);
    let keeper = start(plan);
    let main = spawned(&keeper);
    let followed = output.line().parse().unwrap();
    assert!(keeper.follow(followed).unwrap());
    (keeper, output, main, followed, answer)
}

#[test]
fn a_followed_orphan_is_the_main_process() {
    let script = "exec 3<&0; sh -c 'read x; exit 7' <&3 3<&- & echo $!; read x; exit 1";
    let (keeper, _output, main, followed, mut answer) = follow(script);
    assert_ne!(main, followed);
    assert_eq!(keeper.main_pid(), Some(followed));
    // Whichever of the two reads the line: the end of the former main process is told by nobody.
    // SAFETY: no memory is involved; the process is a child of the keeper, which has not told of its end.
    unsafe { libc::kill(main, libc::SIGKILL) };
    answer.write_all(b"go\ngo\n").unwrap();
    assert_eq!(next(&keeper), Message::Exited { pid: followed, ending: Some(Ending::Code(7)) });
    gone(&keeper);
}

/// What is sent to the group goes to the one of a daemon that is followed, and of no other.
#[test]
fn the_group_of_a_followed_orphan_is_signalled() {
    let (keeper, _output, main, followed, _answer) =
        follow("setsid sh -c 'sleep 1000 & echo $$; exec sleep 1000' & wait");
    // SAFETY: no memory is involved; the process is a child of the keeper, which has not told of its end.
    unsafe { libc::kill(main, libc::SIGKILL) };
    let keeper_pid = keeper.pid().unwrap().to_string();
    let until = Instant::now() + LIMIT;
    while status_field(followed, "PPid") != Some(keeper_pid.clone()) {
        assert!(Instant::now() < until, "the daemon is no orphan within {LIMIT:?}");
        std::thread::yield_now();
    }
    keeper.signal_group(Signal::TERM).unwrap();
    assert_eq!(next(&keeper), Message::Exited { pid: followed, ending: Some(Ending::Signal(Signal::TERM)) });
    // Nothing is left: what it had started was in its group.
    gone(&keeper);
}

#[test]
fn a_followed_process_with_another_reaper_is_the_main_process() {
    let (keeper, mut output, main, followed, mut answer) = follow(
        "exec 3<&0; sh -c 'read x; kill -USR1 $$' <&3 3<&- & echo $!; wait; echo reaped; trap : TERM; sleep 1000",
    );
    answer.write_all(b"go\n").unwrap();
    match next(&keeper) {
        // A kernel before 6.15 does not tell.
        Message::Exited { pid, ending } if pid == followed => {
            assert!(matches!(ending, Some(Ending::Signal(Signal::USR1)) | None), "{ending:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(status_field(main, "Name").as_deref(), Some("sh"));
    assert_eq!(output.line(), "reaped");
    keeper.kill().unwrap();
    gone(&keeper);
}

#[test]
fn a_stranger_is_not_followed() {
    let mut plan = shell("exec sleep 1000");
    plan.stdio[1] = Stdio::Null;
    let keeper = start(plan);
    let main = spawned(&keeper);
    for stranger in [1, std::process::id() as i32, keeper.pid().unwrap(), -1, 0] {
        assert!(!keeper.follow(stranger).unwrap());
    }
    assert_eq!(keeper.main_pid(), Some(main));
    keeper.kill().unwrap();
    assert_eq!(exited(&keeper), Ending::Signal(Signal::KILL));
    gone(&keeper);
}

#[test]
fn a_followed_process_that_is_gone_has_ended() {
    let (keeper, _output, main, followed, mut answer) = {
        let mut plan = shell("exec 3<&0; sh -c 'read x' <&3 3<&- & echo $!; wait; read x; exit 5");
        let (stdin, answer) = std::io::pipe().unwrap();
        plan.stdio[0] = Stdio::Fd(stdin.into());
        let mut output = with_output(&mut plan);
        let keeper = start(plan);
        let main = spawned(&keeper);
        let followed: i32 = output.line().parse().unwrap();
        (keeper, output, main, followed, answer)
    };
    // The keeper is told only when the process has ended and was reaped by its parent.
    // SAFETY: no memory is involved; the keeper is not reaped yet.
    let to_keeper = |signal| unsafe { libc::kill(keeper.pid().unwrap(), signal) };
    to_keeper(libc::SIGSTOP);
    assert!(keeper.follow(followed).unwrap());
    answer.write_all(b"go\n").unwrap();
    let end = Instant::now() + LIMIT;
    while status_field(followed, "Name").is_some() && Instant::now() < end {
        std::thread::yield_now();
    }
    to_keeper(libc::SIGCONT);
    assert_eq!(next(&keeper), Message::Exited { pid: followed, ending: None });
    assert!(keeper.is_member(main));
    answer.write_all(b"go\n").unwrap();
    gone(&keeper);
}

#[test]
fn a_launcher_that_does_not_listen_is_told_the_end_all_the_same() {
    assert_eq!(play_through(&[], "deaf-launcher"), ["full", "told the end", "gone"]);
}

#[test]
fn a_stopped_keeper_is_woken_by_a_kill() {
    let mut plan = shell("exec sleep 1000");
    plan.stdio[1] = Stdio::Null;
    let keeper = start(plan);
    spawned(&keeper);
    // SAFETY: no memory is involved; the keeper is not reaped yet.
    unsafe { libc::kill(keeper.pid().unwrap(), libc::SIGSTOP) };
    let started = Instant::now();
    keeper.kill().unwrap();
    assert_eq!(exited(&keeper), Ending::Signal(Signal::KILL));
    gone(&keeper);
    assert!(started.elapsed() < LIMIT);
}

#[test]
fn a_keeper_ignores_what_can_be_ignored() {
    let mut plan = shell("read x; exit 4");
    let (stdin, mut answer) = std::io::pipe().unwrap();
    plan.stdio[0] = Stdio::Fd(stdin.into());
    let keeper = start(plan);
    spawned(&keeper);
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: no memory is involved; the keeper is not reaped yet.
        unsafe { libc::kill(keeper.pid().unwrap(), signal) };
    }
    answer.write_all(b"go\n").unwrap();
    assert_eq!(exited(&keeper), Ending::Code(4));
    gone(&keeper);
}
