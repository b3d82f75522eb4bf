//! Restart: policy, backoff, limits, breaker.

use std::time::Duration;

use crate::support::*;

/// Flags that restart without waiting.
const AT_ONCE: [&str; 2] = ["--backoff", "0ms..0ms"];

#[test]
fn nothing_is_restarted_unless_asked_for() {
    let mut run = launcher().child(["say up {generation}", "exit 3"]);
    run.ends_with(3);
    run.said("up 1");
    assert!(!run.says_within("up 2", Duration::ZERO));
}

#[test]
fn on_failure_restarts_until_success() {
    let steps = ["print up {generation}", "generation 1", "exit 3", "end", "generation 2", "die KILL", "end", "exit 0"];
    let mut run = launcher().flags(["--restart", "on-failure"]).flags(AT_ONCE).child(steps);
    let ended = run.ends_with(0);
    assert_eq!(ended.out, ["up 1", "up 2", "up 3"]);
    assert_eq!(run.reports("child").len(), 2, "one for each that failed");
}

#[test]
fn on_failure_gives_up_after_five_with_the_last_code() {
    let steps = ["print up {generation}", "generation 5", "exit 42", "end", "exit 1"];
    let mut run = launcher().flags(["--restart", "on-failure"]).flags(AT_ONCE).child(steps);
    let ended = run.ends_with(42);
    assert_eq!(ended.out.len(), 5);
    run.leaves_nothing();
}

#[test]
fn the_limit_can_be_set() {
    let flags = ["--restart", "always", "--max-failures", "2"];
    let ended = launcher().flags(flags).flags(AT_ONCE).child(["print up", "die USR1"]).ends_with(138);
    assert_eq!(ended.out.len(), 2);
}

#[test]
fn a_limit_of_0_is_none() {
    let flags = ["--restart", "on-failure", "--max-failures", "0"];
    let mut run = launcher().flags(flags).flags(AT_ONCE).child(["print up {generation}", "exit 1"]);
    run.out("up 12");
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

#[test]
fn always_restarts_after_success_too_but_not_after_a_stop() {
    let flags = ["--restart", "always"];
    let steps = ["print up {generation}", "generation 3", "on TERM exit 0", "print last", "wait", "end", "exit 0"];
    let mut run = launcher().flags(flags).flags(AT_ONCE).child(steps);
    run.out("last");
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(0);
    assert_eq!(ended.out, ["up 1", "up 2", "up 3", "last"]);
}

/// Being ready for a moment does not make a crash a success: a service that crashes at its first request would be
/// restarted for ever.
#[test]
fn being_ready_for_a_moment_does_not_break_the_row_of_failures() {
    let flags = ["--ready", "notify", "--restart", "on-failure", "--max-failures", "3"];
    let steps = ["print up {generation}", "generation 2", "notify READY=1", "barrier", "exit 5", "end", "exit 9"];
    let ended = launcher().flags(flags).flags(AT_ONCE).child(steps).ends_with(9);
    assert_eq!(ended.out, ["up 1", "up 2", "up 3"]);
    // Attempts are counted since it was ready, failures are not.
    for words in ["(attempt 2 of 3)", "(attempt 1, after 2 of 3 failures in a row)", "given up after 3 failed starts"] {
        assert!(ended.complains(words), "{words}: {:#?}", ended.err);
    }
}

#[test]
fn being_ready_for_reset_after_breaks_the_row_of_failures() {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let mut run = setup.file(
        r#"log_level = "debug"
        [service.child]
        command = ["CHILD", "say up {generation}", "generation 2", "notify READY=1", "gate gate", "exit 5", "end", "exit 9"]
        ready = "notify"
        [service.child.restart]
        policy = "on-failure"
        max_failures = 2
        reset_after = "50ms"
        backoff = { initial = "1ms", max = "1ms", jitter = "none" }
        "#,
    );
    run.said("up 2");
    run.is_ready("child");
    run.control_socket();
    let failures = || {
        let told = run.command(&["status", "child", "--json"]);
        serde_json::from_str::<serde_json::Value>(&told.out).unwrap()["failures_in_a_row"].as_u64().unwrap()
    };
    // It waits at the gate, and the one failure before it is forgotten.
    until("a failure is forgotten", || failures() == 0);
    std::fs::write(gate, "").unwrap();
    // One failure after the reset, and one more.
    run.said("up 3");
    run.ends_with(9);
    assert_eq!(run.reports("child").len(), 3);
}

#[test]
fn backoff_grows() {
    let mut run = launcher().file(
        r#"[service.child]
        command = ["CHILD", "say at {now}", "exit 1"]
        ready = "notify"
        [service.child.restart]
        policy = "on-failure"
        backoff = { initial = "100ms", max = "300ms", factor = 2.0, jitter = "none" }
        "#,
    );
    let mut at = || run.said("at ").split_once(' ').unwrap().1.parse::<u64>().unwrap() / 1_000_000;
    let moments: Vec<u64> = (0..5).map(|_| at()).collect();
    for (index, least) in [100, 200, 300, 300].into_iter().enumerate() {
        let gap = moments[index + 1] - moments[index];
        assert!(gap >= least, "between attempt {} and the next: {gap} ms, at least {least}", index + 1);
    }
}

/// The report of a crash is made while the next attempt is waited for, and is read first all the same.
#[test]
fn what_comes_next_is_said_after_the_failure() {
    let mut run = launcher().file(
        r#"log_format = "text"
        [service.child]
        command = ["CHILD", "exit 1"]
        ready = "notify"
        [service.child.restart]
        max_failures = 2
        backoff = { initial = "2s", max = "2s", jitter = "none" }
        "#,
    );
    let ended = run.ends_with(1);
    let at = |text: &str| {
        let found = ended.err.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text:?} in {:#?}", ended.err))
    };
    let order = ["ready (attempt 1 of 2)", "is started again in 2", "ready (attempt 2 of 2)", "is given up"].map(at);
    assert!(order.is_sorted(), "{order:?}: {:#?}", ended.err);
}

#[test]
fn a_stop_request_during_backoff_is_obeyed_at_once() {
    let flags = ["--restart", "on-failure", "--backoff", "1h..1h"];
    let mut run = launcher().flags(flags).child(["say up", "exit 1"]);
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

#[test]
fn success_codes_can_be_chosen() {
    let text = r#"[service.child]
        command = ["CHILD", "say up {generation}", "exit 75"]
        ready = "started"
        [service.child.restart]
        policy = "on-failure"
        success_codes = [0, 75]
        "#;
    let mut run = launcher().file(text);
    run.said("up 1");
    run.ended();
    assert!(!run.says_within("up 2", Duration::ZERO));
    assert!(run.reports("child").is_empty());
}

/// A service that always fails, with a breaker.
fn with_breaker(on_open: &str) -> Running {
    let text = r#"[service.child]
        command = ["CHILD", "say at {now}", "exit 7"]
        ready = "notify"
        [service.child.restart]
        policy = "on-failure"
        backoff = { initial = "1ms", max = "1ms", jitter = "none" }
        breaker = { failures = 3, within = "60s", cooldown = "400ms", on_open = "HOW" }
        "#;
    launcher().file(&text.replace("HOW", on_open))
}

#[test]
fn an_open_breaker_waits_and_tries_once() {
    let mut run = with_breaker("cooldown");
    let mut at = || run.said("at ").split_once(' ').unwrap().1.parse::<u64>().unwrap() / 1_000_000;
    let moments: Vec<u64> = (0..5).map(|_| at()).collect();
    let gaps: Vec<u64> = moments.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps[2] >= 400, "after the third failure: {gaps:?}");
    assert!(gaps[3] >= 400, "after the trial that failed: {gaps:?}");
    run.err("child failed 3 times: not started again for");
    run.err("child failed once: not started again for");
}

#[test]
fn an_open_breaker_can_end_the_launcher() {
    let mut run = with_breaker("exit");
    run.ends_with(7);
    assert_eq!(run.reports("child").len(), 3);
}

#[test]
fn a_leftover_of_a_generation_does_not_live_beside_the_next() {
    let steps = [
        "double-fork",
        "on TERM ignore",
        "say leftover {pid}",
        "wait",
        "end",
        "say up {generation}",
        "generation 2",
        "wait",
        "end",
        "gate gate",
        "exit 1",
    ];
    let flags = ["--restart", "on-failure", "--stop-timeout", "200ms"];
    let setup = launcher().flags(flags).flags(AT_ONCE);
    let gate = setup.home().fifo("gate");
    let mut run = setup.child(steps);
    let leftover = run.said_number("leftover");
    std::fs::write(gate, "").unwrap();
    run.said("up 2");
    let state = status_field(leftover, "State");
    assert!(state.is_none_or(|state| state.starts_with('Z')), "pid {leftover} is still there");
}
