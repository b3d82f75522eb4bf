//! What tini's and dumb-init's own tests check of terminals and job control, where launcher means the same. launcher gives
//! the terminal to a child that is interactive (`-i`), these to any.

use nix::sys::signal::Signal;

use crate::support::*;

/// The subject on a terminal, with its child in the foreground.
fn in_the_foreground(subject: Subject) -> Setup {
    let flags: &[&str] = if subject == Subject::Launcher { &["-i"] } else { &[] };
    subject.run().flags(flags).on_terminal()
}

for_subjects!(the_terminal_is_handed_on: launcher, tini, dumb_init, catatonit; |subject| {
    let mut run = in_the_foreground(subject).child(ON_THE_TERMINAL);
    run.has_the_terminal();
    run.ends_with(5);
});

// A session leader that lets go of its terminal is sent HUP and CONT by the kernel, which are not for the child.
for_subjects!(the_hand_over_of_the_terminal_is_no_signal: launcher, tini, dumb_init, catatonit; |subject| {
    let steps = ["on HUP print got HUP", "on CONT print got CONT", "print up", "read-line", "exit 3"];
    let mut run = in_the_foreground(subject).child(steps);
    run.out("up");
    run.input("typed\n");
    let ended = run.ends_with(3);
    assert!(!ended.out.iter().any(|line| line.contains("got ")), "{:?}", ended.out);
});

for_subjects!(a_stop_of_job_control_stops_both_until_they_go_on: launcher, dumb_init, dumb_init_single; |subject| {
    let mut run = subject.run().being_a_job().child(["print up {pid}", "wait"]);
    let child = run.out_number("up");
    let both = [run.pid(), child];
    let are_stopped = |stopped: bool| {
        let is = |pid: &i32| status_field(*pid, "State").unwrap().starts_with('T') == stopped;
        until("both are stopped, or neither is", || both.iter().all(is));
    };
    for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        run.signal(signal);
        are_stopped(true);
        run.signal(Signal::SIGCONT);
        are_stopped(false);
    }
    run.signal(Signal::SIGTERM);
    run.ends_with(subject.code_when_stopped_by(15));
});

/// Only with `-i` it has the foreground, and the kernel stops what reads in the background.
#[test]
fn a_child_that_is_stopped_for_want_of_the_terminal_is_told_of() {
    let mut run = launcher().on_terminal().child(["print up", "read-line", "exit 3"]);
    run.out("up");
    let told = run.out("SIGTTIN");
    assert!(told.contains("child is stopped by") && told.contains("-i"), "{told}");
    run.input("\x03");
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn the_first_real_time_signal_of_any_libc_is_forwarded_by_one_that_has_given_the_terminal_away() {
    let mut run = in_the_foreground(Subject::Launcher).child(["print up", "wait"]);
    run.out("up");
    run.signal_number(34);
    run.ends_with(128 + 34);
}

for_subjects!(the_child_is_told_that_the_terminal_has_another_size: launcher, tini, dumb_init, catatonit; |subject| {
    for setup in [in_the_foreground(subject), subject.run().on_terminal()] {
        let mut run = setup.child(["on WINCH print got WINCH", "print up", "wait"]);
        run.out("up");
        run.resize(90, 30);
        run.out("got WINCH");
        run.signal(Signal::SIGTERM);
        run.ends_with(subject.code_when_stopped_by(15));
    }
});
