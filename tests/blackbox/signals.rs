//! Signals: held until ready, in order, with a limit; second and third request; rewritten; Ctrl-C (DESIGN §7).

use std::time::{Duration, Instant};

use crate::support::*;

/// Steps that never become ready and say which of these signals came.
fn unready(names: &[&str]) -> Vec<String> {
    let mut steps: Vec<String> = names.iter().map(|name| format!("on {name} print got {name}")).collect();
    steps.extend(["say up".into(), "wait".into()]);
    steps
}

#[test]
fn signals_are_held_until_ready_each_once_in_order_of_arrival() {
    let setup = launcher().flags(["--ready", "notify"]);
    let gate = setup.home().fifo("gate");
    let mut run = setup.child([
        "on HUP print got HUP",
        "on USR1 print got USR1",
        "on USR2 print got USR2",
        "say up",
        "gate gate",
        "print before ready",
        "notify READY=1",
        "barrier",
        "print after ready",
        "wait",
    ]);
    run.said("up");
    for (signal, name) in [(Signal::SIGUSR2, "USR2"), (Signal::SIGHUP, "HUP"), (Signal::SIGUSR1, "USR1")] {
        run.signal(signal);
        run.err(name);
    }
    run.signal(Signal::SIGUSR2);
    std::fs::write(gate, "").unwrap();
    run.out("before ready");
    run.outs(&["got HUP", "got USR1", "got USR2"]);
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(0);
    let before = ended.out.iter().position(|line| line == "before ready").unwrap();
    assert_eq!(before, 0, "nothing arrived before: {:?}", ended.out);
    for name in ["HUP", "USR1", "USR2"] {
        let line = format!("got {name}");
        assert_eq!(ended.out.iter().filter(|out| **out == line).count(), 1, "{line}: {:?}", ended.out);
    }
    // The kernel hands several pending signals over by number, so only the launcher can tell in which order it sent.
    let order: Vec<usize> = ["USR2", "HUP", "USR1"].iter().map(|name| last_mention(&ended.err, name)).collect();
    assert!(order.is_sorted(), "delivered in order of arrival: {:?}", ended.err);
}

fn last_mention(lines: &[String], name: &str) -> usize {
    lines.iter().rposition(|line| line.contains(name)).unwrap()
}

#[test]
fn a_stop_request_waits_for_ready() {
    let setup = launcher().flags(["--ready", "notify"]);
    let gate = setup.home().fifo("gate");
    let steps = ["on TERM both 6 got TERM", "say up", "gate gate", "print before ready", "notify READY=1", "wait"];
    let mut run = setup.child(steps);
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.err("TERM");
    std::fs::write(gate, "").unwrap();
    let ended = run.ends_with(6);
    assert_eq!(ended.out, ["before ready", "got TERM"]);
}

#[test]
fn a_stop_request_waits_no_longer_than_the_limit() {
    let mut run = launcher().file(
        r#"[service.slow]
        command = ["CHILD", "on TERM both 6 got TERM", "say up", "wait"]
        ready = "notify"
        [service.slow.signals]
        hold_limit = "300ms"
        [service.slow.restart]
        policy = "never"
        "#,
    );
    run.said("up");
    let asked = Instant::now();
    run.signal(Signal::SIGTERM);
    run.said("got TERM");
    let waited = asked.elapsed();
    assert!(waited >= Duration::from_millis(300), "it waited {waited:?}");
    run.ended();
    run.leaves_nothing();
}

/// A service that never becomes ready and has these steps. Nothing that is asked of it comes about by a limit: each is
/// longer than this test has patience.
fn without_limits(steps: &str) -> Running {
    launcher().file(&format!(
        "stop_budget = \"10m\"\n[service.child]\ncommand = [\"CHILD\", {steps}, \"say up\", \"wait\"]\nready = \"notify\"\n\
         start_timeout = \"10m\"\nstop_timeout = \"10m\"\nrestart.policy = \"never\"\nsignals.hold_limit = \"10m\"\n"
    ))
}

#[test]
fn a_second_stop_request_begins_the_stop_at_once() {
    let mut run = without_limits("\"on TERM both 6 got TERM\"");
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.err("TERM");
    run.signal(Signal::SIGTERM);
    run.ends_with(6);
}

#[test]
fn a_third_stop_request_kills() {
    let mut run = without_limits("\"on TERM print got TERM\"");
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.err("TERM");
    run.signal(Signal::SIGTERM);
    run.said("got TERM");
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(137);
    assert!(ended.complains("as was asked: it is killed"), "{:?}", ended.err);
    run.leaves_nothing();
}

#[test]
fn a_second_request_to_a_ready_service_kills_no_one_yet() {
    let steps = ["on TERM print got TERM", "on INT print got INT", "print up", "wait"];
    let mut run = launcher().flags(["--stop-timeout", "60s"]).child(steps);
    run.out("up");
    run.signal(Signal::SIGTERM);
    run.out("got TERM");
    run.signal(Signal::SIGINT);
    run.out("got INT");
    run.signal(Signal::SIGTERM);
    run.ends_with(137);
}

#[test]
fn every_stop_request_is_one() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT] {
        let mut run = launcher().child(["print up", "wait"]);
        run.out("up");
        run.signal(signal);
        run.ends_with(0);
        run.leaves_nothing();
    }
}

#[test]
fn the_stop_signal_can_be_chosen() {
    let mut run = launcher().flags(["--stop-signal", "USR2"]).child(["on USR2 both 3 got USR2", "print up", "wait"]);
    run.out("up");
    run.signal(Signal::SIGTERM);
    run.out("got USR2");
    run.ends_with(3);
}

#[test]
fn signals_are_rewritten() {
    let mut run = launcher().file(
        r#"[service.child]
        command = ["CHILD", "on QUIT both 4 got QUIT", "on HUP both 5 got HUP", "on USR1 print got USR1", "say up", "wait"]
        ready = "started"
        [service.child.signals]
        rewrite = { USR1 = "HUP", TERM = "QUIT" }
        [service.child.restart]
        policy = "never"
        "#,
    );
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.said("got QUIT");
    run.ends_with(4);

    let mut run = launcher().file(
        r#"[service.child]
        command = ["CHILD", "on HUP print got HUP", "on USR1 print got USR1", "say up", "wait"]
        ready = "started"
        [service.child.signals]
        rewrite = { USR1 = "HUP" }
        "#,
    );
    run.said("up");
    run.signal(Signal::SIGUSR1);
    run.said("got HUP");
}

/// The flags by which a subject sends one signal, by its number, in place of another; 0 is none.
fn rewriting(subject: Subject, pairs: &[(i32, i32)]) -> Vec<String> {
    let words = |(from, to): &(i32, i32)| match (subject, to) {
        (Subject::DumbInit, _) => ["--rewrite".to_owned(), format!("{from}:{to}")],
        (_, 0) => ["--rewrite".to_owned(), format!("{from}=none")],
        _ => ["--rewrite".to_owned(), format!("{from}={to}")],
    };
    pairs.iter().flat_map(words).collect()
}

for_subjects!(each_signal_is_sent_as_any_other: launcher, dumb_init; |subject| {
    let numbers = [1, 10, 12, 14, 18, 24, 28];
    let shifted = numbers.iter().cycle().skip(1);
    let pairs: Vec<(i32, i32)> = numbers.iter().zip(shifted).map(|(from, to)| (*from, *to)).collect();
    let steps = numbers.iter().map(|number| format!("on {number} print got {number}."));
    let steps: Vec<String> = steps.chain(["print up".into(), "wait".into()]).collect();
    let mut run = subject.run().flags(rewriting(subject, &pairs)).child(steps);
    run.out("up");
    for (from, to) in pairs {
        run.signal_number(from);
        run.out(&format!("got {to}."));
    }
});

for_subjects!(a_stop_request_is_sent_as_another: launcher, dumb_init; |subject| {
    let flags = rewriting(subject, &[(15, 3)]);
    let mut run = subject.run().flags(flags).child(["on QUIT both 4 got QUIT", "print up", "wait"]);
    run.out("up");
    run.signal(Signal::SIGTERM);
    run.out("got QUIT");
    run.ends_with(4);
});

for_subjects!(a_signal_is_dropped_where_asked_for: launcher, dumb_init; |subject| {
    let flags = rewriting(subject, &[(1, 0), (10, 0)]);
    let steps = ["on HUP both 5 got HUP", "on USR1 both 5 got USR1", "on USR2 print got USR2", "print up", "wait"];
    let mut run = subject.run().flags(flags).child(steps);
    run.out("up");
    run.signal(Signal::SIGHUP);
    run.signal(Signal::SIGUSR1);
    run.signal(Signal::SIGUSR2);
    run.out("got USR2");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.ends_with(subject.code_when_stopped_by(15)).out, ["up", "got USR2"]);
});

for_subjects!(what_is_no_signal_is_not_rewritten: launcher, dumb_init; |subject| {
    for words in ["", "TERM", "=", "TERM=", "TREM=QUIT", "KILL=TERM", "15:", "66:6"] {
        let ended = subject.run().flags(["--rewrite", words]).child(["print started"]).ended();
        assert!(ended.code != Some(0) && ended.out.is_empty() && !ended.err.is_empty(), "{words:?}: {ended:?}");
    }
});

#[test]
fn a_stop_request_cannot_be_dropped() {
    for words in ["TERM=none", "INT=none", "QUIT=none"] {
        let ended = launcher().flags(["--rewrite", words]).child(["print started"]).ends_with(2);
        assert!(ended.complains("asks launcher to stop") && ended.out.is_empty(), "{ended:?}");
    }
}

#[test]
fn a_signal_can_be_held_until_it_is_handled() {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let mut run = setup.file(
        r#"[service.child]
        command = ["CHILD", "say up", "gate gate", "on USR1 print got USR1", "wait"]
        ready = "notify"
        [service.child.signals]
        hold_until = "handled"
        "#,
    );
    run.said("up");
    run.signal(Signal::SIGUSR1);
    run.err("USR1");
    std::fs::write(gate, "").unwrap();
    run.said("got USR1");
}

#[test]
fn the_first_ctrl_c_on_a_terminal_says_so() {
    let mut run = launcher().flags(["--ready", "notify"]).on_terminal().child(unready(&["INT", "TERM"]));
    run.said("up");
    run.input("\x03");
    let line = run.out("Ctrl-C");
    assert!(!line.is_empty());
    run.input("\x03");
    run.said("got");
    run.input("\x03");
    run.ended();
    run.leaves_nothing();
}

#[test]
fn ctrl_c_stops_a_ready_service() {
    let mut run = launcher().on_terminal().child(["print up", "wait"]);
    run.out("up");
    run.input("\x03");
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn an_interactive_child_has_the_terminal() {
    let flags = ["-i", "--restart", "on-failure", "--max-failures", "2", "--backoff", "1ms..1ms"];
    let mut run = launcher().flags(flags).on_terminal().child(ON_THE_TERMINAL);
    for _ in 0..2 {
        run.has_the_terminal();
    }
    run.ends_with(5);
}

/// An interactive shell, with job control, on the terminal, as which `script` goes on while the job is stopped. `$LAUNCH` is the
/// launcher with its flags, the child's steps are the script's arguments.
fn from_a_shell(script: &str, flags: &[&str], steps: &[&str]) -> Running {
    let setup = Subject::Bare.run().on_terminal();
    let reports = setup.home().join("reports").display().to_string();
    let launch = [&[env!("CARGO_BIN_EXE_launcher"), "run", "--report-dir", &reports], flags].concat().join(" ");
    let child = child().display().to_string();
    let words = ["bash", "--norc", "-i", "-c", script, &child].map(str::to_owned);
    let steps = steps.iter().map(|step| (*step).to_owned());
    setup.variable("LAUNCH", launch).command(words.into_iter().chain(steps))
}

/// Waits until a process is stopped (by a signal), or is not.
#[track_caller]
fn is_stopped(pid: i32, stopped: bool) {
    until("it is stopped or not", || status_field(pid, "State").unwrap().starts_with('T') == stopped);
}

/// Starts the child from a shell, and stops it and the launcher by Ctrl-Z; both go on in the foreground again.
fn stopped_and_back(flags: &[&str], steps: &[&str]) -> Running {
    let script = r#"$LAUNCH -- "$0" "$@"; echo in the shell; read -r line; fg; echo code $?"#;
    let mut run = from_a_shell(script, flags, steps);
    let pid = run.out_number("up");
    run.input("\x1a");
    run.out("in the shell");
    is_stopped(pid, true);
    run.input("go on\n");
    is_stopped(pid, false);
    run
}

#[test]
fn ctrl_z_stops_the_service_too_and_both_go_on_together() {
    let mut run = stopped_and_back(&[], &["print up {pid}", "wait"]);
    run.input("\x03");
    run.out("code 0");
    run.ended();
    run.leaves_nothing();
}

#[test]
fn ctrl_z_of_an_interactive_child_gives_the_terminal_back_until_both_go_on() {
    let mut run = stopped_and_back(&["-i"], &["print up {pid}", "read-line", "exit 4"]);
    run.input("typed\n");
    run.out("read typed");
    run.out("code 4");
    run.ended();
    run.leaves_nothing();
}

#[test]
fn an_interactive_child_of_a_launcher_in_the_background_leaves_the_terminal_to_the_shell() {
    let script = r#"$LAUNCH -- "$0" "$@" & read -r line; echo shell read $line; fg; echo code $?"#;
    let mut run = from_a_shell(script, &["-i"], &["print up {pid}", "read-line", "exit 4"]);
    let job = run.out_number("[1]");
    let pid = run.out_number("up");
    // It reads in the background, for which the kernel stops it, and launcher with it. A shell that is asked for `fg` before
    // it knows that sends no CONT.
    is_stopped(pid, true);
    is_stopped(job, true);
    run.input("first\n");
    run.out("shell read first");
    run.input("second\n");
    run.out("read second");
    run.out("code 4");
    run.ended();
    assert!(status_field(pid, "State").is_none());
    run.leaves_nothing();
}

/// A shell below launcher is a shell: its jobs stop and go on, it follows the terminal's size, its exit code is passed on.
#[test]
fn an_interactive_shell_has_job_control() {
    let mut run = launcher().flags(["-i"]).on_terminal().command(["bash", "--norc", "-i"]);
    let child = child().display().to_string();
    // The quotes tell what is printed from what is typed, and from what the shell's `fg` says.
    run.input(&format!("PS1=; {child} 'on CONT print went o''n' 'print jo''b {{foreground}} {{pgid}} .' wait\n"));
    let line = run.out("job ");
    let mut words = line.split_whitespace().skip_while(|word| *word != "job").skip(1);
    assert_eq!(words.next(), words.next(), "the job has the foreground: {line}");
    run.input("\x1a");
    run.out("Stopped");
    run.resize(123, 45);
    run.input("echo size $(stty size)\n");
    run.out("size 45 123");
    run.input("fg\n");
    run.out("went on");
    run.input("\x03");
    run.input("exit 7\n");
    run.ends_with(7);
    run.leaves_nothing();
}

/// It ignores TERM, and is told that its terminal goes away.
#[test]
fn an_interactive_shell_stops_when_it_is_asked_to() {
    let flags = ["-i", "--stop-timeout", "1h", "--stop-budget", "2h"];
    let mut run = launcher().flags(flags).on_terminal().command(["bash", "--norc", "--noediting", "-i"]);
    run.input("PS1=; echo he''re\n");
    run.out("here");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_launcher_in_the_background_does_not_take_the_terminal() {
    let script = r#"$LAUNCH -- "$0" "$@" & read -r line; echo shell read $line; kill %1; wait %1; echo code $?"#;
    let mut run = from_a_shell(script, &[], &["print up", "wait"]);
    run.out("up");
    run.input("typed\n");
    run.out("shell read typed");
    run.out("code 0");
    run.ended();
    run.leaves_nothing();
}

/// Ctrl-C reaches the outer launcher alone, which asks the inner one to stop.
#[test]
fn nested_launchers_stop_in_order_on_ctrl_c() {
    let setup = launcher().flags(["--name", "outer"]).on_terminal();
    let reports = setup.home().join("inner").display().to_string();
    let child = child().display().to_string();
    let inner = [env!("CARGO_BIN_EXE_launcher"), "run", "--report-dir", &reports, "--", &child];
    let mut run = setup.command(inner.into_iter().chain(["on INT both 6 got INT", "say up", "wait"]));
    run.said("up");
    run.input("\x03");
    run.said("got INT");
    run.ends_with(6);
    run.leaves_nothing();
}

#[test]
fn the_terminals_modes_stay_as_an_interactive_child_left_them_unless_it_was_killed() {
    let script = r#"$LAUNCH -- stty -echo; echo after exit $(stty -a | grep -ow -- '-*echo')
        stty echo; $LAUNCH -- sh -c 'stty -echo; kill -9 $$'; echo after kill $(stty -a | grep -ow -- '-*echo')"#;
    let mut run = from_a_shell(script, &["-i"], &[]);
    assert!(run.out("after exit").contains("-echo"), "{}", run.show());
    assert!(!run.out("after kill").contains("-echo"), "{}", run.show());
    run.ended();
}

#[test]
fn a_terminal_that_goes_away_ends_everything() {
    for flags in [&[][..], &["-i"]] {
        let mut run = launcher().flags(flags).on_terminal().child(["on HUP print reload", "say up", "wait"]);
        run.said("up");
        run.hang_up();
        run.ended();
        run.leaves_nothing();
        // Below a shell, which tells its jobs by kill(2).
        let mut run = from_a_shell(r#"$LAUNCH -- "$0" "$@"; true"#, flags, &["on HUP ignore", "say up", "wait"]);
        run.said("up");
        run.hang_up();
        run.ended();
        run.leaves_nothing();
    }
}

#[test]
fn a_child_that_ends_is_no_signal_for_its_parents_child() {
    let steps = ["on CHLD print got CHLD", "print up", "on USR1 print got USR1", "say up", "wait"];
    let mut run = launcher().child(steps);
    run.said("up");
    run.signal(Signal::SIGCHLD);
    run.signal(Signal::SIGUSR1);
    run.out("got USR1");
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(0);
    assert!(!ended.out.iter().any(|line| line.contains("CHLD")), "{:?}", ended.out);
}

for_subjects!(an_early_stop_request_is_not_lost: launcher, tini, catatonit; |subject| {
    for round in 0..100_u32 {
        let mut run = subject.run().child(["wait"]);
        let until = Instant::now() + Duration::from_micros(u64::from(round) * 40);
        while Instant::now() < until {}
        run.signal(Signal::SIGTERM);
        let ended = run.ended();
        // It is there to be ready at once: what is held for a moment is not held until its limit is over.
        let held = ended.complains("\"signal-held\"");
        assert!(!held || ended.complains("\"signal-delivered\""), "round {round}: {:#?}", ended.err);
        run.leaves_nothing();
    }
});
