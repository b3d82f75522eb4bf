//! The start deadline: what happens, and the record of it (DESIGN §8).

use std::time::{Duration, Instant};

use crate::support::*;

/// Flags for a child that never becomes ready: time enough to come to where it hangs, on a machine that does other things.
pub const SHORT: [&str; 4] = ["--ready", "notify", "--start-timeout", "1s"];

#[test]
fn a_missed_deadline_ends_with_124_and_one_report() {
    let begun = Instant::now();
    let mut run = launcher().flags(SHORT).child(["print up", "wait"]);
    run.ends_with(124);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    run.leaves_nothing();
    let report = run.report();
    let whole = &report.0;
    assert_eq!(report.text("/schema"), "launcher-report/1");
    assert_eq!(report.text("/service"), "child");
    assert_eq!(report.kind(), "start-timeout");
    assert_eq!((&whole["generation"], &whole["attempt"]), (&1.into(), &1.into()));
    assert!(whole["elapsed_ms"].as_u64().unwrap() >= 1000, "{}", whole["elapsed_ms"]);
    let time = report.text("/time");
    assert!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T", "{time}");
    for key in ["cause", "confidence", "summary"] {
        assert!(!report.text(&format!("/verdict/{key}")).is_empty(), "{key}");
    }
    for key in ["evidence", "advice", "process", "thread", "target", "frame"] {
        assert!(whole["verdict"].get(key).is_some(), "{key}");
    }
    for key in ["alternatives", "timeline", "processes", "ports"] {
        assert!(whole[key].is_array(), "{key}");
    }
    for key in ["code", "signal", "out_of_memory"] {
        assert!(whole["exit"].get(key).is_some(), "{key}");
    }
    assert!(whole.get("output_tail").is_some() && whole.get("limits").is_some());
    assert_eq!(report.list("/timeline")[0]["event"], "checking");
    let thread = &report.list("/processes")[0]["threads"][0];
    for key in ["tid", "name", "state", "syscall", "waiting_on", "frames"] {
        assert!(thread.get(key).is_some(), "{key}");
    }
    let frames = thread["frames"].to_string();
    assert!(frames.contains("wait_for_ever"), "the function of the child that waits: {frames}");
}

#[test]
fn reports_are_private_and_whole() {
    use std::os::unix::fs::PermissionsExt;
    let mut run = launcher().flags(SHORT).child(["wait"]);
    run.ends_with(124);
    for entry in std::fs::read_dir(run.home().join("reports/child")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(name.ends_with("-g1.json") || name == "latest.json", "{name} is left over");
        let mode = std::fs::metadata(entry.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o002, 0, "{name}: {mode:o}");
    }
}

#[test]
fn each_attempt_is_reported_and_the_last_one_gives_124() {
    let flags = ["--restart", "on-failure", "--max-failures", "3", "--backoff", "1ms..1ms", "--start-timeout", "200ms"];
    let mut run = launcher().flags(["--ready", "notify"]).flags(flags).child(["wait"]);
    run.ends_with(124);
    let reports = run.reports("child");
    let numbers: Vec<(u64, u64)> =
        reports.iter().map(|r| (r.0["generation"].as_u64().unwrap(), r.0["attempt"].as_u64().unwrap())).collect();
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 3)]);
    run.leaves_nothing();
}

#[test]
fn a_second_attempt_that_is_ready_ends_the_matter() {
    let flags = ["--restart", "on-failure", "--backoff", "1ms..1ms"];
    let steps = ["generation 1", "wait", "end", "notify READY=1", "barrier", "print served", "exit 0"];
    let mut run = launcher().flags(SHORT).flags(flags).child(steps);
    run.out("served");
    run.ends_with(0);
    assert_eq!(run.report().kind(), "start-timeout");
}

#[test]
fn on_timeout_exit_gives_up_at_once() {
    let flags = ["--restart", "always", "--on-timeout", "exit"];
    let mut run = launcher().flags(SHORT).flags(flags).child(["say up", "wait"]);
    run.ends_with(124);
    assert_eq!(run.report().0["generation"], 1);
}

#[test]
fn the_terminal_shows_the_verdict_in_25_lines() {
    let setup = launcher().flags(SHORT).on_terminal();
    let fifo = setup.home().fifo("input");
    let mut run = setup.child([format!("read-file {}", fifo.display())]);
    let ended = run.ends_with(124);
    let first = ended.out.iter().position(|line| line.contains("was not ready within 1s")).expect("the headline");
    assert!(ended.out[first].contains('✗') && ended.out[first].contains("child"), "{}", ended.out[first]);
    let block = &ended.out[first..];
    let report = block.iter().position(|line| line.contains("report")).expect("where the report is");
    assert!(report < 25, "{block:#?}");
    assert!(block.iter().any(|line| line.contains("why") && line.contains("input")), "{block:#?}");
}

#[test]
fn text_is_not_coloured_where_that_is_not_wanted() {
    let setup = launcher().flags(SHORT).flags(["--log-format", "text"]).variable("NO_COLOR", "1").on_terminal();
    let ended = setup.child(["wait"]).ends_with(124);
    assert!(!ended.out.iter().any(|line| line.contains('\x1b')), "{:?}", ended.out);
    let ended = launcher().flags(SHORT).flags(["--log-format", "text"]).child(["wait"]).ends_with(124);
    assert!(!ended.err.iter().any(|line| line.contains('\x1b')), "{:?}", ended.err);
}

#[test]
fn secrets_are_masked() {
    let words = ["sh", "-c", "sleep 1000 & wait", "sh", "--password=hunter2", "--api-token", "hunter3", "--port=8080"];
    let setup = launcher().flags(SHORT).flags(["--name", "child"]).variable("DB_PASSWORD", "hunter4");
    let mut run = setup.command(words);
    run.ends_with(124);
    let text = run.report().0.to_string();
    for secret in ["hunter2", "hunter3", "hunter4"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("--port=8080"), "what is no secret stays");
}

#[test]
fn values_of_secrets_are_masked_wherever_the_program_says_them() {
    let script = "echo \"login of $1 with $DB_PASSWORD and $FILE_TOKEN failed\"; exit 1";
    let setup = launcher().variable("DB_PASSWORD", "hunter2hunter2").flags(["--log-format", "text"]);
    let file = setup.home().write(".env", "FILE_TOKEN=fileT0ken\n");
    let setup = setup.flags(["--name", "child", "--env-file", file.to_str().unwrap()]);
    let mut run = setup.command(["sh", "-c", script, "--password", "LoginPw44"]);
    let ended = run.ends_with(1);
    assert!(ended.out.iter().any(|line| line.contains("hunter2hunter2")), "its own output is its own");
    let told = format!("{}{}", run.report().0, ended.err.join("\n"));
    assert!(told.contains("with *** and *** failed"), "{told}");
    for secret in ["hunter2hunter2", "fileT0ken", "LoginPw44"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

/// `/dev/termination-log` is what `kubectl describe pod` shows; it is made in a mount namespace of the test's own.
#[test]
fn the_termination_log_has_the_verdict() {
    if nix::unistd::geteuid().is_root() {
        let script = "mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && mknod -m 444 /dev/urandom c 1 9 \
            && : > /dev/termination-log && \"$@\"; code=$?; cat /dev/termination-log; exit $code";
        let below = ["unshare", "--mount", "sh", "-c", script, "sh"];
        let setup = launcher().below(below).flags(SHORT);
        let fifo = setup.home().fifo("input");
        let ended = setup.child([format!("read-file {}", fifo.display())]).ends_with(124);
        let log = ended.out.join("\n");
        assert!(log.contains("child") && log.contains("input"), "{log}");
        assert!(log.len() <= 4096);
    }
}

#[test]
fn only_the_last_20_reports_are_kept() {
    let flags = ["--restart", "on-failure", "--max-failures", "23", "--backoff", "0ms..0ms"];
    let mut run = launcher().flags(flags).child(["exit 1"]);
    run.ends_with(1);
    let reports = run.reports("child");
    assert_eq!(reports.len(), 20);
    assert_eq!(reports[19].0["generation"], 23);
}

#[test]
fn a_crash_is_reported_with_its_signal() {
    let mut run = launcher().flags(["--ready", "notify"]).child(["die SEGV"]);
    run.ends_with(139);
    let report = run.report();
    assert_eq!((report.kind(), report.cause()), ("crashed", "crashed"));
    assert_eq!(report.text("/exit/signal"), "SEGV");
}

#[test]
fn an_end_before_ready_is_reported_with_its_code() {
    let mut run = launcher().flags(["--ready", "notify"]).child(["exit 3"]);
    run.ends_with(3);
    let report = run.report();
    assert_eq!((report.kind(), report.cause()), ("exited", "exited"));
    assert_eq!(report.0["exit"]["code"], 3);
}

#[test]
fn an_end_before_ready_with_code_0_is_a_failure_but_the_code_stays() {
    let mut run = launcher().flags(["--ready", "notify"]).child(["exit 0"]);
    run.ends_with(0);
    assert_eq!(run.report().kind(), "exited");
}
