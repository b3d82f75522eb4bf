//! What tini's and dumb-init's own tests check: reaping, signals, process groups, death of the parent, PID 1.

use std::time::Instant;

use crate::support::*;

/// Waits until the subject has no child that has ended and was not reaped, and exactly so many children in all.
#[track_caller]
fn has_descendants(run: &Running, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let below = run.below();
        let zombies = below.iter().filter(|pid| status_field(**pid, "State").is_some_and(|s| s.starts_with('Z')));
        if zombies.count() == 0 && below.len() == count {
            return;
        }
        assert!(Instant::now() < deadline, "{} processes are below it instead of {count}: {below:?}", below.len());
        std::thread::yield_now();
    }
}

/// How many processes the subject puts between itself and the child: the launcher's keeper.
fn between(subject: Subject) -> usize {
    usize::from(subject == Subject::Launcher)
}

for_subjects!(orphans_are_reaped_while_the_child_runs: launcher, tini, catatonit; |subject| {
    let mut run = subject.run().child(["orphans 100", "print left", "wait"]);
    run.out("left");
    has_descendants(&run, between(subject) + 1);
});

for_subjects!(orphans_are_reaped_as_pid_1: launcher, tini, dumb_init, catatonit; |subject| {
    let mut run = subject.run().being_pid_1().child(["orphans 100", "print left {ppid}", "read-line", "exit 8"]);
    run.out("left");
    // Below `unshare`: the subject, what it puts between, the child.
    has_descendants(&run, 1 + between(subject) + 1);
    run.input("go\n");
    run.ends_with(8);
});

for_subjects!(as_pid_1_codes_and_signals_pass_too: launcher, tini, dumb_init, catatonit; |subject| {
    subject.run().being_pid_1().child(["exit 42"]).ends_with(42);
    subject.run().being_pid_1().child(["die KILL"]).ends_with(137);
    let mut run = subject.run().being_pid_1().child(["on TERM both 9 got TERM", "print up", "wait"]);
    run.out("up");
    // Signals are sent from outside of the namespace to its PID 1, as `docker stop` does.
    let pid_1 = run.below()[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid_1), Signal::SIGTERM).unwrap();
    run.out("got TERM");
    run.ends_with(9);
});

/// Every process and thread takes a number of a pid namespace: the start of a service without ports costs the launcher, a
/// keeper, a thread for each of the two pipes of output, and nothing that only looks what the kernel would allow.
#[test]
fn a_start_makes_no_process_that_it_does_not_need() {
    let mut run = launcher().being_pid_1().child(["print number {pid}.", "exit 0"]);
    let line = run.out("number ");
    assert!(["number 3.", "number 4.", "number 5."].iter().any(|said| line.contains(said)), "{line}");
    run.ends_with(0);
}

for_subjects!(an_orphan_that_ends_with_a_code_does_not_change_ours: launcher, tini, dumb_init, catatonit; |subject| {
    let steps = ["double-fork", "say orphan", "exit 77", "end", "read-line", "exit 3"];
    let mut run = subject.run().child(steps);
    run.said("orphan");
    run.input("go\n");
    run.ends_with(3);
});

for_subjects!(what_is_left_of_the_group_is_asked_to_stop_at_the_childs_end: launcher, dumb_init; |subject| {
    let setup = subject.run();
    let gate = setup.home().fifo("gate");
    let below = ["fork", "on TERM both 0 tidied up", "print below", "wait", "end"];
    let mut run = setup.child([&below[..], &["gate gate", "exit 3"]].concat());
    run.out("below");
    std::fs::write(gate, "").unwrap();
    run.ends_with(3);
    // dumb-init does not wait for what it has asked to stop.
    run.leaves_nothing();
    assert_eq!(run.ended().out, ["below", "tidied up"]);
});

for_subjects!(every_signal_is_forwarded: launcher, tini, dumb_init, dumb_init_single, catatonit; |subject| {
    // Not those that end the child, that the subject has a use of its own for, or that cannot be caught.
    let numbers = [1, 10, 12, 14, 18, 23, 24, 25, 26, 27, 28, 29, 30];
    let mut steps: Vec<String> = numbers.iter().map(|number| format!("on {number} print got {number}.")).collect();
    steps.extend(["print up".into(), "wait".into()]);
    let mut run = subject.run().child(steps);
    run.out("up");
    for number in numbers {
        run.signal_number(number);
        run.out(&format!("got {number}."));
    }
});

for_subjects!(real_time_signals_are_forwarded: launcher, tini, catatonit; |subject| {
    // The first one that programs may use.
    let first = libc::SIGRTMIN();
    let on = |number| format!("on {number} print got {number}.");
    let mut run = subject.run().child([on(first), on(50), "print up".into(), "wait".into()]);
    run.out("up");
    for number in [first, 50] {
        run.signal_number(number);
        run.out(&format!("got {number}."));
    }
});

for_subjects!(the_first_real_time_signal_of_any_libc_is_forwarded: launcher; |subject| {
    let mut run = subject.run().child(["print up", "wait"]);
    run.out("up");
    run.signal_number(34);
    run.ends_with(128 + 34);
});

for_subjects!(a_stop_request_reaches_the_child_and_its_code_is_ours: launcher, tini, dumb_init, catatonit; |subject| {
    let mut run = subject.run().child(["on TERM both 7 got TERM", "print up", "wait"]);
    run.out("up");
    run.signal(Signal::SIGTERM);
    run.out("got TERM");
    run.ends_with(7);
});

for_subjects!(a_child_without_a_handler_ends_on_the_stop_request: launcher, tini, dumb_init, catatonit; |subject| {
    let mut run = subject.run().child(["print up", "wait"]);
    run.out("up");
    run.signal(Signal::SIGTERM);
    run.ends_with(subject.code_when_stopped_by(15));
});

for_subjects!(a_signal_that_ends_the_child_is_no_stop_request: launcher, tini, dumb_init, catatonit; |subject| {
    for (signal, number) in [(Signal::SIGUSR1, 10), (Signal::SIGUSR2, 12), (Signal::SIGHUP, 1)] {
        let mut run = subject.run().child(["print up", "wait"]);
        run.out("up");
        run.signal(signal);
        run.ends_with(128 + number);
    }
});

// tini's own: the child ignores the signal, its child does not; the signal goes to the whole group.
for_subjects!(a_whole_group_is_signalled_where_asked_for: launcher_group, tini_group, dumb_init, catatonit_group; |subject| {
    let steps = ["fork", "print up", "wait", "end", "on USR1 ignore", "print first", "wait-child", "exit 4"];
    let mut run = subject.run().child(steps);
    run.outs(&["first", "up"]);
    run.signal(Signal::SIGUSR1);
    run.out("child ended by 10");
    run.ends_with(4);
});

for_subjects!(a_whole_group_is_asked_to_stop_where_asked_for: launcher_group, tini_group, catatonit_group; |subject| {
    let one = ["fork", "on TERM exit 3", "print one", "wait", "end"];
    let apart = ["fork", "setpgid", "on TERM both 0 got it apart", "print other", "wait", "end"];
    let mut run = subject.run().child([&one[..], &apart, &["on TERM ignore", "print main", "wait-child"]].concat());
    run.outs(&["one", "other", "main"]);
    run.signal(Signal::SIGTERM);
    let seen = run.out_until("child ended with 3");
    assert!(!seen.iter().any(|line| line.contains("apart")), "{seen:?}");
});

for_subjects!(only_the_child_is_signalled_otherwise: launcher, tini, dumb_init_single, catatonit; |subject| {
    let steps = [
        "fork", "on USR1 print grandchild got it", "print up", "wait", "end", "gate ready", "on USR1 print child got it",
        "print first", "wait",
    ];
    let setup = subject.run();
    let gate = setup.home().fifo("ready");
    let mut run = setup.child(steps);
    run.out("up");
    std::fs::write(gate, "").unwrap();
    run.out("first");
    run.signal(Signal::SIGUSR1);
    run.out("child got it");
    run.signal(Signal::SIGUSR1);
    let seen = run.out_until("child got it");
    assert!(!seen.iter().any(|line| line.contains("grandchild got it")), "{seen:?}");
});

for_subjects!(the_child_has_a_group_of_its_own: launcher, tini, dumb_init, catatonit; |subject| {
    let mut run = subject.run().child(["print {pid} {pgid}"]);
    let ended = run.ends_with(0);
    let numbers: Vec<&str> = ended.out[0].split(' ').collect();
    assert_eq!(numbers[0], numbers[1], "pid and group");
    assert_ne!(numbers[0], run.pid().to_string());
});

/// A shell that runs the subject, and stays to wait for it: the parent.
fn parent_of(subject: Subject, flags: &[&str]) -> Setup {
    let script = "\"$@\"; true";
    subject.run().below(["sh", "-c", script, "sh"]).flags(flags.iter().copied())
}

fn flags_about_the_parent(subject: Subject) -> &'static [&'static str] {
    if subject == Subject::Tini { &["-p", "SIGTERM"] } else { &["--stop-with-parent"] }
}

for_subjects!(the_death_of_the_parent_is_a_stop_request_where_asked_for: launcher, tini; |subject| {
    let mut run = parent_of(subject, flags_about_the_parent(subject)).child(["on TERM both 0 got TERM", "say up", "wait"]);
    run.said("up");
    let parent = run.pid();
    run.signal(Signal::SIGKILL);
    run.leaves_nothing();
    let ended = run.ended();
    assert_eq!(ended.out, ["got TERM"]);
    let told = format!("the process that started launcher (pid {parent}, sh) has ended: stopping");
    assert!(subject == Subject::Tini || ended.complains(&told), "{:?}", ended.err);
});

for_subjects!(the_death_of_the_parent_is_nothing_otherwise: launcher, tini, catatonit; |subject| {
    let mut run = parent_of(subject, &[]).child(["say up", "read-line", "print is there"]);
    run.said("up");
    run.signal(Signal::SIGKILL);
    run.ended();
    run.input("go on\n");
    run.leaves_nothing();
    assert_eq!(run.ended().out, ["read go on", "is there"]);
});

/// What only the launcher does: descendants that ignore it go, and those in sessions of their own.
#[test]
fn nothing_is_left_when_the_parent_has_died() {
    let deep = ["double-fork", "setsid", "on TERM ignore", "say deep", "wait", "end"];
    let steps = [&deep[..], &["say up", "wait"]].concat();
    let mut run = parent_of(Subject::Launcher, &["--stop-with-parent", "--stop-timeout", "100ms"]).child(steps);
    run.saids(&["deep", "up"]);
    run.signal(Signal::SIGKILL);
    run.leaves_nothing();
}

#[test]
fn where_no_parent_can_be_seen_that_is_said() {
    let mut run = launcher().being_pid_1().flags(["--stop-with-parent"]).child(["print up", "read-line", "exit 4"]);
    run.out("up");
    run.err_ever("launcher has no parent that it could see");
    run.input("go\n");
    run.ends_with(4);
}

#[test]
fn a_launcher_of_a_file_ends_with_its_parent_too() {
    let text = "stop_with_parent = true\n[service.a]\ncommand = [\"CHILD\", \"say a\", \"wait\"]\n\
                [service.b]\nafter = [\"a\"]\ncommand = [\"CHILD\", \"say b\", \"wait\"]\n";
    let mut run = launcher().below(["sh", "-c", "\"$@\"; true", "sh"]).file(text);
    run.saids(&["a", "b"]);
    run.signal(Signal::SIGKILL);
    run.leaves_nothing();
}

#[test]
fn the_death_of_the_parent_ends_a_launcher_below_a_launcher() {
    let inner = [env!("CARGO_BIN_EXE_launcher"), "run", "--"];
    let mut words: Vec<String> = inner.iter().map(|word| (*word).to_owned()).collect();
    words.extend([child().display().to_string(), "double-fork".into(), "on TERM ignore".into()]);
    words.extend(["say deep".into(), "wait".into(), "end".into(), "say up".into(), "wait".into()]);
    let mut run = Subject::Launcher.run().command(words);
    run.saids(&["deep", "up"]);
    run.signal(Signal::SIGKILL);
    run.ended();
    run.leaves_nothing();
}

for_subjects!(a_fast_child_is_never_missed: launcher, tini, dumb_init, catatonit; |subject| {
    for _ in 0..100 {
        subject.run().command(["true"]).ends_with(0);
        subject.run().command(["false"]).ends_with(1);
    }
});
