//! Texts as people see them, and what holds for any of them.

use std::time::Duration;

use proptest::prelude::*;

use crate::core::diagnosis::diagnose;
use crate::core::diagnosis::testing::*;
use crate::core::exit::Ending;
use crate::core::facts::{
    ExecFailure, ExecProblem, Facts, FutexKind, HolderFacts, Kin, Occasion, OwnerFacts, PortFacts, PortFailure,
    PortProblem, ProbeFacts, Refusal, StopLimit, StopLimitKey, WaitingOn,
};
use crate::core::report::{Meta, ReadError, Report, TimelineEntry, mask};
use crate::core::settings::{Listen, PortMode};
use crate::core::signal::Signal;

use super::*;

fn report(facts: &Facts) -> Report {
    let timeline = [(0, "checking"), (2, "starting")]
        .map(|(at_ms, event)| TimelineEntry { at_ms, event: event.to_owned() })
        .to_vec();
    let meta = Meta { generation: 1, attempt: 1, time: "2026-11-23T12:33:00.123Z".to_owned(), timeline };
    Report::assemble(facts, diagnose(facts), meta)
}

fn context(width: usize) -> Context<'static> {
    Context {
        attempt: 1,
        of: Some(5),
        next: Next::Attempt(Duration::from_millis(412)),
        report_path: Some("/var/lib/launcher/api/latest.json"),
        report_dir: None,
        limit: None,
        killed: false,
        style: Style { width, colour: false },
    }
}

fn waiting() -> Facts {
    let mut facts = single(connecting("127.0.0.1:6379"));
    facts.ports = vec![port("0.0.0.0:8080", false)];
    facts.output_tail = "listening soon\nconnecting to redis…\n".to_owned();
    facts.output_age = Some(Duration::from_millis(29_700));
    facts
}

#[test]
fn a_deadline_that_the_service_extended_is_not_told_as_the_one_that_was_set() {
    let mut facts = waiting();
    facts.start_timeout = Duration::from_secs(1);
    facts.elapsed = Duration::from_secs(3);
    facts.notified.extended = true;
    let words = "api was not ready within 3.0 s, its start_timeout of 1s extended as it asked";
    assert_eq!(headline(&report(&facts), Some(Duration::from_secs(1))), words);
    // It asked, and for no more than it had.
    facts.elapsed = Duration::from_millis(1010);
    assert_eq!(headline(&report(&facts), None), "api was not ready within 1s");
}

#[test]
fn a_missed_deadline_reads_as_the_design_has_it() {
    let expected = "\
✗ api was not ready within 30s (attempt 1 of 5)
  why   api (pid 4711) has waited 29.8 s in connect() to 127.0.0.1:6379 (tcp): SYN sent, no answer
        init_redis  /src/app/main.c:42
  also  port 8080 is declared but nothing listens; last output 29.7 s ago: \"connecting to redis…\"
  try   start what should listen on 127.0.0.1:6379 (usually Redis), or correct the address
        look for a firewall or a route that drops packets to 127.0.0.1:6379: a closed port would
        refuse at once
        if the answer only takes long, raise start_timeout (--start-timeout)
  report  /var/lib/launcher/api/latest.json   (launcher report api)
  next  restart in 412 ms
";
    assert_eq!(missed_deadline(&report(&waiting()), &context(100)), expected);
}

#[test]
fn a_deadlock_names_both_threads_functions_and_lines() {
    let text = missed_deadline(&report(&deadlock()), &Context { of: None, next: Next::Nothing, ..context(80) });
    let expected = "\
✗ api was not ready within 30s (attempt 1)
  why   deadlock: thread 4712 `worker_a` in lock_b() at deadlock.c:23 waits for
        the lock held by thread 4713 `worker_b`, and thread 4713 `worker_b` in
        lock_a() at deadlock.c:31 waits for the lock held by thread 4712
        `worker_a`
        lock_b  /src/app/deadlock.c:23
  try   take these locks in the same order everywhere
        or release the first before the second is taken
  report  /var/lib/launcher/api/latest.json   (launcher report api)
  next  it is not started again
";
    assert_eq!(text, expected);
}

#[test]
fn what_comes_after_a_failed_restart_is_the_generation_that_stays() {
    let last = |next| {
        let text = missed_deadline(&report(&deadlock()), &Context { next, ..context(80) });
        text.lines().last().unwrap().to_owned()
    };
    assert_eq!(last(Next::OldStays), "  next  it is removed, and the generation before it serves on");
    assert_eq!(last(Next::NewTakesOver), "  next  the generation that was started beside it takes its place");
}

#[test]
fn endings_say_what_happened_once() {
    let mut facts = Facts::new("api", Occasion::Exited);
    facts.elapsed = Duration::from_millis(1200);
    facts.ending = Some(Ending::Code(3));
    facts.output_tail = "FATAL: no license\n".to_owned();
    let text = missed_deadline(&report(&facts), &context(80));
    assert!(text.starts_with("✗ api exited with code 3 before it was ready (attempt 1 of 5)\n"), "{text}");
    assert!(text.contains("\n  why   after 1.2 s: FATAL: no license\n"), "{text}");
    assert!(!text.contains("also"), "{text}");
    facts.occasion = Occasion::Crashed;
    facts.ending = Some(Ending::Signal(Signal::SEGV));
    let text = missed_deadline(&report(&facts), &context(80));
    assert!(text.starts_with("✗ api was ended by SIGSEGV before it was ready (attempt 1 of 5)\n"), "{text}");
}

#[test]
fn refusals_and_stops_have_headlines_of_their_own() {
    let mut facts = Facts::new("api", Occasion::ExecFailed);
    facts.refusal = Some(Refusal::Exec(ExecFailure {
        problem: ExecProblem::NotFound,
        summary: "./api does not exist".to_owned(),
        advice: vec!["build it".to_owned()],
        errno: None,
    }));
    let text = missed_deadline(&report(&facts), &context(80));
    assert!(text.starts_with("✗ api could not be started: ./api does not exist (attempt 1 of 5)\n"), "{text}");
    assert!(text.contains("\n  try   build it\n"), "{text}");
    let mut facts = waiting();
    facts.occasion = Occasion::StopTimeout;
    let limit = Some(Duration::from_secs(8));
    let text = missed_deadline(&report(&facts), &Context { limit, ..context(80) });
    assert!(text.starts_with("⚠ api did not stop within 8s\n  why   api (pid 4711) has waited"), "{text}");
    assert!(text.ends_with("  next  SIGKILL to what is left of it\n"), "{text}");
}

#[test]
fn the_whole_report_has_everything_and_folds_equal_threads() {
    let mut facts = waiting();
    for tid in 4712..4724 {
        let mut idle = thread(tid, "pool", Some(futex(FutexKind::Condition, 9, None)));
        idle.frames = stack("wait_for_work", "pool.c", 12);
        facts.processes[0].threads.push(idle);
    }
    facts.processes[0].command = vec!["./api".to_owned(), "--password=hunter2".to_owned()];
    facts.processes[0].threads[0].syscall = Some("connect(fd 7) to 127.0.0.1:6379".to_owned());
    let text = full(&report(&facts), Style::default());
    for part in [
        "api: not ready after 30.0 s",
        "verdict: connect-wait (certain)",
        "- socket state: syn-sent, sent again 4 times",
        "    0.002 s  starting",
        "http  tcp://0.0.0.0:8080  nothing listens",
        "process 4711  ./api --password=***  (parent 4700, native)",
        "  thread 4711 `api`  S  connect(fd 7) to 127.0.0.1:6379  for 29.8 s",
        "      1  init_redis  /src/app/main.c:42",
        "4719, …  × 12",
        "      1  wait_for_work  /src/app/pool.c:12",
        "  | connecting to redis…",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("hunter2"));
    assert_eq!(text.matches("wait_for_work").count(), 1);
    let dumped = dump(&facts.processes, &diagnose(&facts), false, Style::default());
    assert!(dumped.starts_with("verdict: "), "{dumped}");
    assert!(dumped.contains("× 12") && !dumped.contains("hunter2"), "{dumped}");
}

#[test]
fn output_of_the_child_cannot_speak_to_the_terminal() {
    let mut facts = waiting();
    facts.output_tail = "\x1b]0;owned\x07\x1b[2J\u{202e}gone\n".to_owned();
    facts.processes[0].threads[0].name = "a\x1b[31m".to_owned();
    let report = report(&facts);
    for text in [full(&report, Style::default()), missed_deadline(&report, &context(80)), termination(&report)] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n') && !text.contains('\u{202e}'), "{text:?}");
        assert!(text.contains("\\x1b[2J"), "{text}");
    }
    let coloured = missed_deadline(&report, &Context { style: Style { width: 80, colour: true }, ..context(80) });
    assert!(coloured.starts_with("\x1b[1;31m✗\x1b[0m "), "{coloured:?}");
}

#[test]
fn the_termination_message_fits_and_begins_with_the_verdict() {
    let mut facts = waiting();
    facts.output_tail = "日本語日本語日本語\n".repeat(400);
    let text = termination(&report(&facts));
    assert!(text.len() <= 4096 && text.len() > 4090);
    assert!(
        text.starts_with(
            "api: not ready after 30.0 s: api (pid 4711) has waited 29.8 s in connect() to 127.0.0.1:6379"
        )
    );
}

#[test]
fn json_has_the_keys_of_the_design() {
    let json: serde_json::Value = serde_json::from_str(&report(&waiting()).to_json()).unwrap();
    assert_eq!(json["schema"], "launcher-report/1");
    assert_eq!(json["kind"], "start-timeout");
    assert_eq!(json["elapsed_ms"], 30_004);
    assert_eq!(json["verdict"]["cause"], "connect-wait");
    assert_eq!(json["verdict"]["confidence"], "certain");
    assert_eq!(json["verdict"]["target"], "127.0.0.1:6379");
    assert_eq!(json["verdict"]["frame"]["line"], 42);
    assert_eq!(json["timeline"][1]["at_ms"], 2);
    assert_eq!(json["processes"][0]["threads"][0]["waiting_on"]["kind"], "connect");
    assert_eq!(json["processes"][0]["threads"][0]["frames"][1]["address"], "0x40102a");
    assert_eq!(json["ports"][0]["listen"], "tcp://0.0.0.0:8080");
    assert_eq!(json["ports"][0]["mode"], "reserve");
    assert_eq!(json["exit"]["out_of_memory"], false);
    assert_eq!(json["limits"]["start_timeout_ms"], 30_000);
    let json: serde_json::Value = serde_json::from_str(&report(&deadlock()).to_json()).unwrap();
    let wait = &json["processes"][0]["threads"][1]["waiting_on"];
    assert_eq!((&wait["kind"], &wait["lock"], &wait["owner"]), (&"futex".into(), &"mutex".into(), &4713.into()));
}

#[test]
fn what_is_no_report_is_said_to_be_none() {
    assert!(matches!(Report::from_json("nonsense"), Err(ReadError::Format(_))));
    let newer = Report::from_json("{\"schema\":\"launcher-report/2\"}");
    assert!(matches!(newer, Err(ReadError::Schema(schema)) if schema.ends_with("/2")));
    assert!(matches!(Report::from_json("{\"schema\":\"launcher-report/1\"}"), Err(ReadError::Format(_))));
    // A cause of a later version.
    let later = report(&waiting()).to_json().replace("\"connect-wait\"", "\"gravity\"");
    assert_eq!(Report::from_json(&later).unwrap().verdict.cause, Cause::Unknown);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What a variable or an argument of a secret's name holds is in nothing that is made of it.
    #[test]
    fn a_known_secret_is_in_no_report(secret in "[a-zA-Z0-9]{6,24}", lead in "[a-z: ]{0,300}", end in 0usize..3) {
        let lock = WaitingOn::FileLock { path: Some(format!("/run/{secret}.lock")), holders: vec![named(7, "x")] };
        let mut facts = single(lock);
        facts.processes[0].threads[0].syscall = Some(format!("flock on /run/{secret}.lock"));
        facts.processes.push(process(4712, 4711, "worker", Vec::new()));
        facts.processes[1].command = ["worker", "--name", &secret].map(str::to_owned).to_vec();
        facts.ending = [None, Some(Ending::Code(1)), Some(Ending::Signal(Signal::TERM))][end];
        facts.occasion = [Occasion::StartTimeout, Occasion::Exited, Occasion::Crashed][end];
        facts.output_tail = format!("starting\nError: {lead} {secret} is refused\n{secret}\n");
        facts.probe = Some(ProbeFacts { wanted: "w".to_owned(), last_error: Some(secret.clone()), ..ProbeFacts::default() });
        facts.ports = vec![port("0.0.0.0:8080", false)];
        let command = ["h", &secret].map(str::to_owned).to_vec();
        let holder = HolderFacts { pid: 9, command, ..HolderFacts::default() };
        facts.ports[0].owner = Some(OwnerFacts { holders: vec![holder], ..OwnerFacts::default() });
        match secret.len() % 2 {
            0 => facts.secrets.variable("DB_PASSWORD", &secret),
            _ => facts.command = ["api", "--password", &secret].map(str::to_owned).to_vec(),
        }
        facts.hide_secrets();
        let mut report = report(&facts);
        report.timeline.push(TimelineEntry { at_ms: 1, event: format!("status: {secret}") });
        mask::report(&mut report, &facts.known_secrets());
        let style = Style { width: 100, colour: false };
        for text in [report.to_json(), full(&report, style), termination(&report), missed_deadline(&report, &context(100))] {
            prop_assert!(!text.contains(&secret), "{secret} in {text}");
        }
    }

    #[test]
    fn at_most_25_lines_of_the_width_whatever_the_facts(seed: u64, width in 0usize..200) {
        let report = report(&random(seed, true));
        let text = missed_deadline(&report, &context(width));
        prop_assert!(text.lines().count() <= 25, "{text}");
        let columns = width.max(Style::NARROWEST);
        for line in text.lines() {
            prop_assert!(layout::width(line) <= columns, "{line:?} is wider than {columns}");
        }
        prop_assert!(termination(&report).len() <= 4096);
    }

    #[test]
    fn a_stored_report_reads_back_and_shows_the_same(seed: u64) {
        let report = report(&random(seed, true));
        let json = report.to_json();
        let back = Report::from_json(&json).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(back.to_json(), json);
        prop_assert_eq!(full(&back, Style::default()), full(&report, Style::default()));
        // What the text calls it is what the report calls it.
        prop_assert_eq!(serde_json::to_value(report.kind).unwrap(), report.kind.name());
    }
}

#[test]
fn each_process_that_has_not_stopped_gets_a_line_with_what_it_does() {
    let mut facts = waiting();
    facts.occasion = Occasion::StopTimeout;
    facts.processes[0].threads[0].syscall = Some("connect(fd 7) to 127.0.0.1:6379".to_owned());
    let mut second = facts.processes[0].clone();
    (second.pid, second.threads[0].syscall, second.threads[0].state) = (4712, None, 'D');
    let mut ended = facts.processes[0].clone();
    (ended.pid, ended.zombie) = (4713, true);
    facts.processes.extend([second, ended]);
    let lines = survivors(&report(&facts), false);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("pid 4711 (") && lines[0].contains("still runs: it is in connect("), "{}", lines[0]);
    assert!(lines[1].ends_with("still runs: it waits for I/O and cannot be interrupted"), "{}", lines[1]);
    facts.processes = (0..255).map(|pid| ProcessFacts { pid, ..facts.processes[0].clone() }).collect();
    let lines = survivors(&report(&facts), false);
    assert_eq!(lines.len(), 21);
    assert_eq!(lines[20], "235 more processes still run: the report has what each of them does");
}

/// The stop budget may be used up before the report is there.
#[test]
fn what_was_killed_meanwhile_is_told_as_it_was() {
    let mut facts = waiting();
    facts.occasion = Occasion::StopTimeout;
    facts.processes[0].threads[0].syscall = Some("pause()".to_owned());
    let mut second = facts.processes[0].clone();
    (second.pid, second.threads[0].syscall, second.threads[0].state) = (4712, None, 'R');
    facts.processes.push(second);
    let lines = survivors(&report(&facts), true);
    assert!(lines[0].ends_with(" was still running: it was in pause()"), "{lines:?}");
    assert!(lines[1].ends_with(" was still running: it was on a CPU"), "{lines:?}");
    let text = missed_deadline(&report(&facts), &Context { killed: true, ..context(80) });
    assert!(text.ends_with("  next  nothing: what was left of it was sent SIGKILL\n"), "{text}");
}

#[test]
fn the_limit_of_a_stop_is_the_one_that_it_had() {
    let mut facts = waiting();
    facts.occasion = Occasion::StopTimeout;
    let mut headline = |by| {
        facts.stop_limit = Some(StopLimit { time: Duration::from_secs(3), by });
        super::headline(&report(&facts), None)
    };
    let drained = "generation 1 of api did not stop within 3s (drain_timeout)";
    assert_eq!(headline(StopLimitKey::DrainTimeout), drained);
    assert_eq!(headline(StopLimitKey::StopTimeout), "api did not stop within 3s");
    let budget = "api did not stop within 3s, which is what the stop_budget left to it";
    assert_eq!(headline(StopLimitKey::StopBudget), budget);
}

#[test]
fn a_line_begins_with_what_happened_and_says_it_once() {
    let mut facts = waiting();
    let waits = "api (pid 4711) has waited 29.8 s in connect() to 127.0.0.1:6379 (tcp): SYN sent, no answer";
    assert_eq!(line(&report(&facts), None), format!("api was not ready within 30s: {waits}"));
    facts.occasion = Occasion::Watchdog;
    let limit = Some(Duration::from_millis(500));
    assert_eq!(line(&report(&facts), limit), format!("api did not send WATCHDOG=1 within 500ms: {waits}"));
    let mut facts = Facts::new("api", Occasion::Exited);
    (facts.elapsed, facts.ending) = (Duration::from_millis(1200), Some(Ending::Code(3)));
    let said = line(&report(&facts), None);
    assert!(said.starts_with("api exited with code 3 before it was ready, ") && said.matches("exited").count() == 1);
}

/// Two generations share a port, and the one that serves on keeps nobody from it.
#[test]
fn the_generation_that_serves_on_is_no_cause() {
    let mut facts = Facts::new("api", Occasion::Exited);
    facts.ending = Some(Ending::Code(3));
    let holder = HolderFacts {
        pid: 77,
        command: vec!["./api".to_owned()],
        service: Some("api".to_owned()),
        generation: Some(1),
        kin: Kin::Child,
        ..HolderFacts::default()
    };
    let owner = OwnerFacts { holders: vec![holder], ..OwnerFacts::default() };
    facts.ports = vec![PortFacts { mode: PortMode::Share, owner: Some(owner), ..port("0.0.0.0:8080", false) }];
    let text = |facts: &Facts| missed_deadline(&report(facts), &context(80));
    assert!(!text(&facts).contains("held by"), "{}", text(&facts));
    facts.ports[0].mode = PortMode::Check;
    assert!(text(&facts).contains("port 8080 is held by pid 77"), "{}", text(&facts));
}

/// Who holds a port, and why it is not had all the same, is a long sentence: its end says what to do.
#[test]
fn a_refusal_is_told_to_its_end() {
    let mut facts = Facts::new("api", Occasion::Preflight);
    let summary = "port 127.0.0.1:21074 is taken: python3 -c import socket; s = socket.create_server(('127.0.0.1', \
                   21074)); input() (pid 2410, user nobody, running for 12 s) listens on it; it was started by sh \
                   (pid 2409) below bash (pid 2301) below sshd (pid 900); take_over does not end it: pid 2410 is of \
                   another user, for which it takes take_over = \"any\"";
    facts.refusal = Some(Refusal::Port(PortFailure {
        name: "1".to_owned(),
        listen: Listen::Tcp("127.0.0.1:21074".parse().unwrap()),
        problem: PortProblem::Taken,
        owner: None,
        errno: Some(98),
        summary: summary.to_owned(),
        advice: vec!["stop it: kill 2410".to_owned()],
    }));
    let text = missed_deadline(&report(&facts), &context(80));
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("for which it takes take_over = \"any\" (attempt 1 of 5)"), "{text}");
    assert!(text.lines().count() <= 25, "{text}");
}

#[test]
fn a_number_stays_with_its_unit() {
    let lines = super::layout::wrap("connected, nothing came for 1.4 s", 32);
    assert_eq!(lines, ["connected, nothing came for", "1.4 s"]);
    assert_eq!(super::layout::wrap("port 8080", 6), ["port", "8080"]);
}
