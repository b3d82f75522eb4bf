//! `launcher verify`: a start that is tried, phase by phase, and stopped again.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::*;

/// `launcher verify` of the scriptable child with these steps.
fn verify(words: &[&str], steps: &[&str]) -> Ended {
    let setup = launcher();
    let reports = setup.home().join("reports").display().to_string();
    let child = child().display().to_string();
    let words = ["verify", "--report-dir", &reports].into_iter().chain(words.iter().copied());
    setup.verb(words.chain(["--", child.as_str()]).chain(steps.iter().copied())).ended()
}

/// The record that `--json` writes.
fn record(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out.join("\n")).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// The statuses of all phases by their names.
fn phases(record: &Value) -> Vec<String> {
    let phase = |phase: &Value| format!("{} {}", phase["phase"].as_str().unwrap(), phase["status"].as_str().unwrap());
    record["phases"].as_array().unwrap().iter().map(phase).collect()
}

#[test]
fn what_starts_becomes_ready_and_stops_passes() {
    let port = format!("http={}", Address::new());
    let steps = ["print hello", "listen 127.0.0.1:{port.http}", "serve"];
    let port = port.replace(port.split(['=', ':']).nth(1).unwrap(), "127.0.0.1");
    let expect = ["--expect", "http://127.0.0.1:{port.http}/=200", "--expect", "http://127.0.0.1:8080/x=200,204"];
    let words = [&["--json", "--ports", "auto", "--port", &port][..], &expect].concat();
    let ended = verify(&words, &steps);
    let record = record(&ended);
    assert_eq!((ended.code, &record["exit_code"]), (Some(0), &0.into()), "{ended:#?}");
    let all = ["config", "preflight", "requirements", "start", "ready", "stop"];
    assert_eq!(phases(&record), all.map(|phase| format!("{phase} passed")));
    assert!(record["services"][0]["ready_after_ms"].as_f64().is_some_and(|time| time > 0.0), "{record}");
    let moved = &record["moved_ports"][0];
    assert_eq!((&moved["port"], &moved["declared"]), (&"http".into(), &"tcp://127.0.0.1:8080".into()));
    assert_ne!(moved["declared"], moved["tried"]);
    assert!(ended.complains("hello"), "what a service writes is not in the JSON: {ended:#?}");
}

#[test]
fn a_program_that_ignores_where_its_port_is_tried_is_not_waited_for() {
    let address = Address::new().to_string();
    let port = format!("http={address}");
    // Nobody would wait for this test if it went on until the deadline.
    let words = ["--json", "--ports", "auto", "--port", &port, "--ready", "listen", "--start-timeout", "1h"];
    let ended = verify(&words, &[&format!("listen {address}"), "serve"]);
    let record = record(&ended);
    assert_eq!((ended.code, &record["failed_phase"]), (Some(124), &"ready".into()), "{ended:#?}");
    let failure = &record["phases"][4]["failures"][0];
    assert_eq!((&failure["cause"], &failure["confidence"]), (&"listening-elsewhere".into(), &"certain".into()));
    let summary = failure["summary"].as_str().unwrap();
    let tried = record["moved_ports"][0]["tried"].as_str().unwrap();
    assert!(summary.contains(&format!("listens on tcp://{address}, where its port http is declared")), "{summary}");
    assert!(summary.contains(&format!("not on {tried}, where --ports auto has put it")), "{summary}");
    assert!(ended.complains("PORT_HTTP"), "{ended:#?}");
}

#[test]
fn a_program_that_keeps_to_its_port_may_warm_up_and_say_ready() {
    let address = Address::new().to_string();
    let port = format!("http={address}");
    let words = ["--json", "--ports", "auto", "--port", &port];
    let ended = verify(&words, &[&format!("listen {address}"), "nap 3000", "notify READY=1", "wait"]);
    assert_eq!((ended.code, &record(&ended)["failed_phase"]), (Some(0), &Value::Null), "{ended:#?}");
}

#[test]
fn a_start_that_hangs_fails_the_phase_with_its_verdict() {
    let setup = launcher();
    let fifo = setup.home().fifo("input").display().to_string();
    let junit = setup.home().join("out/verify.xml");
    let (shown, reports) = (junit.display().to_string(), setup.home().join("reports").display().to_string());
    let text = format!(
        "[launcher]\nreport_dir = {reports:?}\n[service.a]\ncommand = [{:?}, \"read-file {fifo}\"]\n\
         ready = \"notify\"\nstart_timeout = \"1s\"\n",
        child().display().to_string()
    );
    let file = setup.home().write("launcher.toml", &text).display().to_string();
    let mut run = setup.verb(["verify", "--json", "-c", &file, "--junit", &shown]);
    let ended = run.ends_with(124);
    let record = record(&ended);
    assert_eq!(record["failed_phase"], "ready");
    assert_eq!(phases(&record)[4..], ["ready failed", "stop passed"]);
    let failure = &record["phases"][4]["failures"][0];
    assert_eq!((&failure["cause"], &failure["service"]), (&"input-wait".into(), &"a".into()), "{failure}");
    assert_eq!(failure["headline"], "a was not ready within 1s");
    assert!(failure["summary"].as_str().unwrap().contains(&fifo), "{failure}");
    assert_eq!(run.reports("a").len(), 1, "it is tried once");
    let xml = std::fs::read_to_string(junit).unwrap();
    assert!(xml.contains("tests=\"6\" failures=\"1\"") && xml.contains("type=\"input-wait\""), "{xml}");
    run.leaves_nothing();
}

#[test]
fn each_phase_gives_its_own_code() {
    let taken = Address::new();
    let _holder = TcpListener::bind(taken.0).unwrap();
    let (taken, gone) = (format!("{taken}"), format!("tcp://{}", Address::new()));
    let table: [(&[&str], &[&str], i32, &str); 6] = [
        (&["--port", &taken, "--env-file", "/no/such.env"], &["wait"], 71, "preflight"),
        (&["--require", &gone, "--require-timeout", "200ms"], &["wait"], 69, "requirements"),
        (&["--ready", "notify"], &["exit 5"], 5, "ready"),
        (&["--ready", "notify"], &["exit 0"], 124, "ready"),
        (&["--for", "1m"], &["nap 1", "exit 0"], 124, "ready"),
        (&["--ready", "notify"], &["on TERM exit 9", "notify READY=1", "wait"], 9, "stop"),
    ];
    for (words, steps, code, phase) in table {
        let ended = verify(&[&["--json"], words].concat(), steps);
        let record = record(&ended);
        let found = (ended.code, record["exit_code"].as_i64(), record["failed_phase"].as_str());
        assert_eq!(found, (Some(code), Some(code.into()), Some(phase)), "{words:?} {ended:#?}");
        assert!(ended.complains(&format!("failed in phase {phase}: exit code {code}")), "{ended:#?}");
    }
    let ended = verify(&["--port", &taken, "--env-file", "/no/such.env"], &["wait"]);
    for part in [taken.as_str(), "/no/such.env"] {
        assert!(ended.complains(part), "everything in the way is told: {part} in {ended:#?}");
    }
}

#[test]
fn a_wrong_file_fails_the_first_phase_and_nothing_is_started() {
    let setup = launcher();
    let file = setup.home().write("launcher.toml", "[service.a]\ncomand = [\"true\"]\n").display().to_string();
    let junit = setup.home().join("j.xml").display().to_string();
    let mut run = setup.verb(["verify", "--json", "-c", &file, "--junit", &junit]);
    let ended = run.ends_with(78);
    let record = record(&ended);
    assert_eq!(phases(&record)[0], "config failed");
    assert_eq!(phases(&record)[5], "stop skipped");
    let failures = record["phases"][0]["failures"].as_array().unwrap();
    assert!(failures.iter().any(|of| of["summary"].as_str().unwrap().contains("launcher.toml:2:1: ")), "{failures:?}");
    assert!(std::fs::read_to_string(junit).unwrap().contains("failures=\"1\""));
}

#[test]
fn a_wrong_command_line_is_told_before_anything_is_started() {
    for words in [
        &["--for", "soon"][..],
        &["--expect", "http://127.0.0.1/"],
        &["--expect", "http://127.0.0.1:{port.web}/=200"],
        &["--junit", "/proc/no/such/folder/j.xml"],
    ] {
        let ended = verify(words, &["print started", "wait"]);
        assert_eq!(ended.code, Some(2), "{words:?} {ended:#?}");
        assert!(!ended.out.iter().any(|line| line.contains("started")), "{ended:#?}");
    }
}

#[test]
fn an_interrupted_trial_stops_everything_and_does_not_pass() {
    let child = child().display().to_string();
    let mut run = launcher().verb(["verify", "--for", "5m", "--", &child, "print up", "wait"]);
    run.out("up");
    run.err("is ready");
    run.signal(Signal::SIGINT);
    let ended = run.ends_with(130);
    assert!(ended.complains("interrupted by SIGINT") && ended.complains("failed in phase ready"), "{ended:#?}");
    run.leaves_nothing();
}
