//! What a person sees of the start of several services.

use crate::support::*;

const SHOP: &str = r#"
[service.db]
command = ["CHILD", "print hello", "print there", "gate gate", "notify READY=1", "wait"]
ready = "notify"
[service.api]
command = ["CHILD", "wait"]
ready = "started"
after = ["db"]
"#;

/// Starts the shop and waits until its database waits at its gate.
fn shop(setup: Setup) -> (Running, std::path::PathBuf) {
    let gate = setup.home().fifo("gate");
    (setup.file(SHOP), gate)
}

/// What of a line is seen: its drawing again and again, and its colours, left out.
fn seen(line: &str) -> &str {
    line.rsplit("\x1b[J").next().unwrap_or(line)
}

#[test]
fn a_terminal_shows_what_each_waits_for_and_the_services_lines_whole() {
    let (mut run, gate) = shop(launcher().on_terminal().variable("TERM", "xterm").variable("NO_COLOR", "1"));
    run.out("db   starting");
    // The last line of the table has no end: the next table, or line, wipes it away.
    let line = run.out("api  waiting               waits for db");
    assert!(!line.contains("\x1b[3") && !line.contains("\x1b[1;"), "no colours: {line:?}");
    std::fs::write(gate, "").unwrap();
    let line = run.out("ready in ");
    assert!(line.contains(": db ") && line.contains(" → api "), "{line:?}");
    run.signal(Signal::SIGTERM);
    let ended = run.ended();
    for text in ["db  | hello", "db  | there"] {
        assert!(ended.out.iter().any(|line| seen(line) == text), "{text:?} in {:?}", ended.out);
    }
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let (mut run, gate) = shop(launcher().on_terminal().variable("TERM", "dumb").variable("NO_COLOR", "1"));
    run.out("api waits for db");
    std::fs::write(gate, "").unwrap();
    run.out("ready in ");
    run.signal(Signal::SIGTERM);
    let ended = run.ended();
    assert!(!ended.out.iter().any(|line| line.contains('\x1b')), "{:?}", ended.out);
}

#[test]
fn elsewhere_the_critical_path_is_a_line_with_its_fields() {
    let (mut run, gate) = shop(launcher());
    run.err("api waits for db");
    std::fs::write(gate, "").unwrap();
    let line: serde_json::Value = serde_json::from_str(&run.err("\"all-ready\"")).unwrap();
    assert!(line["critical_path"].as_str().unwrap().starts_with("db "), "{line}");
    assert!(line["took_ms"].is_u64());
}
