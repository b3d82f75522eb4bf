//! What several services write: line by line, each with its service's name.

use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::support::*;

/// A service that asks something and waits for the gate, and one that writes a line when its own gate opens.
const ASKS: &str = r#"
log_format = "text"
[service.a]
command = ["sh", "-c", "printf 'name? '; cat answer; echo thanks; exec sleep 1000"]
[service.b]
command = ["sh", "-c", "cat other; echo words; exec sleep 1000"]
"#;

fn open(run: &Running, gate: &str, text: &str) {
    std::fs::write(run.home().join(gate), text).unwrap();
}

/// Starts both services and waits until the question of the first stands there.
fn asked() -> Running {
    let setup = launcher();
    setup.home().fifo("answer");
    setup.home().fifo("other");
    let mut run = setup.file(ASKS);
    run.prompt("a | name? ");
    run
}

#[test]
fn a_prompt_is_seen_and_its_line_goes_on() {
    let mut run = asked();
    open(&run, "answer", "Ada\n");
    assert_eq!(run.out("Ada"), "a | name? Ada");
    assert_eq!(run.out("thanks"), "a | thanks");
}

#[test]
fn a_prompt_is_ended_when_another_service_writes() {
    let mut run = asked();
    open(&run, "other", "");
    run.out("b | words");
    open(&run, "answer", "Ada\n");
    run.out("thanks");
    run.signal(Signal::SIGTERM);
    let ended = run.ended();
    assert_eq!(ended.out, ["a | name? ", "b | words", "a | Ada", "a | thanks"]);
}

#[test]
fn a_last_line_without_an_end_gets_one() {
    let text = "log_format = \"text\"\n[service.a]\ncommand = [\"sh\", \"-c\", \"printf end\"]\nready = \"exited\"\n";
    let ended = launcher().file(text).ends_with(0);
    assert_eq!(ended.out, ["a | end"]);
}

/// On a terminal, and wherever stdout and stderr are one, the launcher's own lines come between.
#[test]
fn a_prompt_is_ended_before_a_line_of_the_launcher() {
    let setup = launcher().on_terminal().variable("NO_COLOR", "1");
    setup.home().fifo("answer");
    setup.home().fifo("other");
    let mut run = setup.file(ASKS);
    run.prompt("a | name? ");
    run.signal(Signal::SIGTERM);
    run.out("launcher: ");
    let ended = run.ended();
    let is_whole = |line: &String| !line.contains("launcher: ") || line.starts_with("launcher: ");
    assert!(ended.out.iter().all(is_whole), "{:#?}", ended.out);
}

/// What is no terminal gets one object a line, with what is known of it.
#[test]
fn lines_are_objects_where_no_person_reads_them() {
    let text = r#"
[service.api]
command = ["sh", "-c", """
printf 'plain "text"\\n{"msg":"own","level":"warn","service":"mine"}\\n\\377\\n2026-11-28 12:00:00 ERROR failed\\n'
echo other >&2; printf end"""]
ready = "exited"
"#;
    let ended = launcher().file(text).ends_with(0);
    let objects: Vec<serde_json::Value> = ended.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for object in &objects {
        assert_eq!((&object["service"], &object["generation"]), (&"api".into(), &1.into()), "{object}");
        assert_eq!(object["stream"], "stdout", "{object}");
        assert!(object["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{object}");
    }
    let of = |key: &str| objects.iter().map(|object| object[key].clone()).collect::<Vec<_>>();
    let none = serde_json::Value::Null;
    let messages =
        ["plain \"text\"".into(), none.clone(), "\u{fffd}".into(), "2026-11-28 12:00:00 ERROR failed".into()];
    assert_eq!(of("message"), [&messages[..], &["end".into()]].concat());
    assert_eq!(of("level"), [none.clone(), "warn".into(), none.clone(), "error".into(), none]);
    assert_eq!((&objects[1]["msg"], &objects[1]["child_service"]), (&"own".into(), &"mine".into()));
    let other = ended.err.iter().find(|line| line.contains("other")).expect("stderr is passed on, too");
    let other: serde_json::Value = serde_json::from_str(other).unwrap();
    assert_eq!((&other["stream"], &other["message"]), (&"stderr".into(), &"other".into()));
}

/// On a terminal names are aligned and coloured, and levels have their colours; NO_COLOR leaves the names alone.
#[test]
fn a_terminal_shows_names_in_colours() {
    let text = "[service.a]\ncommand = [\"sh\", \"-c\", \"echo plain; echo ERROR: x; printf '\\\\033[32mgreen\\\\033[0m\\\\n'\"]\nready = \"exited\"\n\
                [service.longer]\ncommand = [\"echo\", \"there\"]\nready = \"exited\"\nafter = [\"a\"]\n";
    let ended = launcher().on_terminal().file(text).ends_with(0);
    let lines: Vec<&str> = ended.out.iter().map(String::as_str).filter(|line| line.contains(" |\u{1b}")).collect();
    let expected = [
        "\u{1b}[0;36ma      |\u{1b}[0m plain",
        "\u{1b}[0;36ma      |\u{1b}[0m \u{1b}[31mERROR: x\u{1b}[0m",
        "\u{1b}[0;36ma      |\u{1b}[0m \u{1b}[32mgreen\u{1b}[0m",
        "\u{1b}[0;33mlonger |\u{1b}[0m there",
    ];
    assert_eq!(lines, expected, "{:#?}", ended.out);
    let ended = launcher().variable("NO_COLOR", "1").on_terminal().file(text).ends_with(0);
    for line in ["a      | plain", "a      | ERROR: x", "longer | there"] {
        assert!(ended.out.iter().any(|other| other == line), "{line:?} is not in {:#?}", ended.out);
    }
}

/// Lines of a killed generation are read to their end and told apart from those of the next.
#[test]
fn each_line_has_its_generation_and_none_is_lost() {
    let text = r#"
[service.api]
command = ["sh", "-c", """
i=0; while [ $i -lt 2000 ]; do echo "line $i of $LAUNCHER_GENERATION"; i=$((i+1)); done
[ $LAUNCHER_GENERATION = 2 ] || kill -9 $$"""]
ready = "exited"
restart = { backoff = { initial = "1ms", max = "1ms" } }
"#;
    let ended = launcher().file(text).ends_with(0);
    let lines: Vec<serde_json::Value> = ended.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected =
        (1..=2).flat_map(|generation| (0..2000).map(move |i| (generation, format!("line {i} of {generation}"))));
    let found =
        lines.iter().map(|line| (line["generation"].as_u64().unwrap(), line["message"].as_str().unwrap().to_owned()));
    assert!(found.eq(expected), "{} lines, the last {:?}", lines.len(), lines.last());
}

/// A reader that goes away does not take the services with it.
#[test]
fn services_outlive_the_reader_of_their_lines() {
    let setup = launcher().below(["sh", "-c", "\"$@\" | head -n 1 >/dev/null", "sh"]);
    let text = r#"
[service.api]
command = ["sh", "-c", "echo first; i=0; while [ $i -lt 500 ]; do echo more || exit 9; i=$((i+1)); done; echo done >&2"]
ready = "exited"
"#;
    let mut run = setup.file(text);
    run.err("done");
    run.ends_with(0);
}

/// The launcher's own writes are no signals for its services.
#[test]
fn services_outlive_the_reader_of_the_launchers_lines() {
    let setup = launcher().below(["sh", "-c", "\"$@\" 2>&1 >/dev/null | head -n 1 >/dev/null", "sh"]);
    let held = r#"
[service.held]
command = ["sh", "-c", "trap 'exit 9' PIPE; until [ -e last ]; do sleep 0.01; done; touch well"]
ready = "exited"
restart.policy = "never"
"#;
    let mut text = held.to_owned();
    let mut before = String::new();
    for number in 0..20 {
        text += &format!("[service.s{number}]\ncommand = [\"true\"]\nready = \"exited\"\n{before}");
        before = format!("after = [\"s{number}\"]\n");
    }
    text += &format!("[service.last]\ncommand = [\"touch\", \"last\"]\nready = \"exited\"\n{before}");
    let mut run = setup.file(&text);
    run.ends_with(0);
    assert!(run.home().join("well").exists());
}

/// Lines below the level are kept for the report and in the file, but not passed on.
#[test]
fn lines_are_passed_on_from_a_level_on() {
    let text = r#"
log_format = "text"
[service.api]
command = ["sh", "-c", "echo INFO: one; echo ERROR: two; echo '  frame'; echo DEBUG: three; echo '  more'; echo four"]
ready = "exited"
[service.api.log]
level = "warn"
file = "lines/api.log"
"#;
    let mut run = launcher().file(text);
    let ended = run.ends_with(0);
    assert_eq!(ended.out, ["api | ERROR: two", "api |   frame", "api | four"]);
    let file = std::fs::read_to_string(run.home().join("lines/api.log")).unwrap();
    assert_eq!(file, "INFO: one\nERROR: two\n  frame\nDEBUG: three\n  more\nfour\n");
}

/// All lines are in the files, in their order, whole, and no file is longer than allowed.
#[test]
fn files_are_put_aside_and_hold_every_line() {
    let text = r#"
[service.api]
command = ["sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i of many; i=$((i+1)); done; printf end"]
ready = "exited"
[service.api.log]
forward = false
file = "api.log"
max_size = "16KiB"
keep = 100
compress = false
"#;
    let mut run = launcher().file(text);
    let ended = run.ends_with(0);
    assert!(ended.out.is_empty(), "{:#?}", ended.out);
    let folder = run.home().path();
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("api.log"))
        .collect();
    names.sort_by_key(|name| (name == "api.log", name.clone()));
    assert!(names.len() >= 3, "{names:?}");
    let files: Vec<String> = names.iter().map(|name| std::fs::read_to_string(folder.join(name)).unwrap()).collect();
    assert!(files.iter().all(|file| file.len() <= 16 * 1024 && file.ends_with('\n')));
    let expected = (0..3000).map(|i| format!("line {i} of many\n")).collect::<String>() + "end\n";
    assert_eq!(files.concat(), expected);
}

#[test]
fn a_file_that_cannot_be_opened_fails_the_start_by_name() {
    let text = r#"
[service.api]
command = ["true"]
restart = { policy = "never" }
[service.api.log]
file = "/proc/no/api.log"
"#;
    let mut run = launcher().file(text);
    let ended = run.ended();
    assert_ne!(ended.code, Some(0));
    assert!(ended.complains("/proc/no/api.log"), "{:#?}", ended.err);
}

/// Nobody reads: a service that drops goes on, and how much it dropped is told when somebody reads again.
#[test]
fn a_service_that_drops_its_oldest_lines_goes_on_and_they_are_counted() {
    let setup = launcher();
    setup.home().fifo("out");
    // Opened for reading as well, so that it opens at once and nothing is read.
    let setup = setup.below(["sh", "-c", "exec 3<>out; exec \"$@\" >out", "sh"]);
    let text = r#"
[service.api]
command = ["sh", "-c", "i=0; while [ $i -lt 30000 ]; do echo line $i of very many that nobody reads; i=$((i+1)); done; echo all written >&2"]
ready = "exited"
log.on_slow = "drop-oldest"
"#;
    let mut run = setup.file(text);
    run.err("all written");
    let out = run.home().join("out");
    let lines = std::thread::spawn(move || {
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(std::fs::File::open(out).unwrap()));
        std::iter::from_fn(|| lines.next()).map(Result::unwrap).collect::<Vec<_>>()
    });
    run.err("lines-dropped");
    let ended = run.ended();
    let lines = lines.join().unwrap();
    // What it had still in its pipe may have come too fast once more.
    let told = ended.err.iter().filter(|line| line.contains("lines-dropped"));
    let told = told.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["dropped"].as_u64().unwrap());
    let dropped: u64 = told.sum();
    assert!(lines.last().unwrap().contains("line 29999 of"), "{:?}", lines.last());
    assert_eq!(lines.len() as u64 + dropped, 30_000, "{} lines and {dropped} dropped", lines.len());
    let whole = |line: &String| serde_json::from_str::<serde_json::Value>(line).is_ok();
    assert!(lines.iter().all(whole));
}

/// The reader takes nothing: signals and the stop go on all the same.
#[test]
fn a_reader_that_is_stuck_does_not_keep_launcher_from_stopping() {
    let setup = launcher();
    setup.home().fifo("out");
    let setup = setup.below(["sh", "-c", "exec 3<>out; exec \"$@\" >out 2>&1", "sh"]);
    let text = r#"
[service.api]
command = ["CHILD", "say up", "exec", "yes", "a line that fills the pipe"]
ready = "started"
"#;
    let mut run = setup.file(text);
    run.said("up");
    // How many bytes there are then depends on how they were written: each write may begin a page of its own.
    let out = std::fs::File::options().read(true).write(true).open(run.home().join("out")).unwrap();
    until("the pipe is full", || {
        let mut entry = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
        poll(&mut entry, PollTimeout::ZERO) == Ok(0)
    });
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

/// Whether something begins as `12:33:00.123 ` does.
fn begins_with_a_time(line: &str) -> bool {
    let form = "00:00:00.000 ";
    line.len() > form.len()
        && line.chars().zip(form.chars()).all(|(is, form)| if form == '0' { is.is_ascii_digit() } else { is == form })
}

#[test]
fn times_of_day_stand_before_lines_of_services_and_of_the_launcher() {
    let mut run = launcher().file(
        r#"log_format = "text"
        log_times = true
        [service.a]
        command = ["CHILD", "print up"]
        ready = "exited"
        "#,
    );
    let line = run.out("a | up");
    assert!(begins_with_a_time(&line) && line.ends_with(" a | up"), "{line:?}");
    let line = run.err("launcher: a is starting");
    assert!(begins_with_a_time(&line), "{line:?}");
    run.ends_with(0);
}
