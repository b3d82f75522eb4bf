//! A service with a terminal of its own, and people at it.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Instant;

use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::support::*;

/// A service with a terminal and these steps, or words; what stands in `more` comes behind. Its launcher can be asked.
fn service_of(command: &str, more: &str) -> Running {
    let text = format!(
        "log_level = \"debug\"\n[service.api]\nterminal = true\nready = \"started\"\ncommand = {command}\n{more}\n"
    );
    let mut run = launcher().file(&text);
    run.control_socket();
    run
}

/// Somebody at its terminal.
fn attached(run: &Running, words: &[&str]) -> Running {
    let mut person = run.on_terminal(&[&["attach"], words].concat());
    person.out("attached to api");
    person
}

/// Somebody whose keys are passed on one by one by now.
fn at_keys(run: &Running) -> Running {
    let person = attached(run, &["api"]);
    let deadline = Instant::now() + PATIENCE;
    while is_usual(&person) {
        assert!(Instant::now() < deadline, "the terminal is not read by keys");
        std::thread::yield_now();
    }
    person
}

/// Whether the terminal waits for whole lines, shows them and knows Ctrl-C.
fn is_usual(person: &Running) -> bool {
    let flags = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
    tcgetattr(person.terminal()).unwrap().local_flags.contains(flags)
}

#[test]
fn what_is_typed_is_for_the_service_and_the_keys_to_leave_are_not() {
    let steps =
        r#"["CHILD", "on INT print got INT", "print session {sid} {pgid} {foreground} .", "read-line", "wait"]"#;
    let mut run = service_of(steps, "");
    let line = run.out("session ");
    let mut numbers = line.split_whitespace().skip_while(|word| !word.contains("session")).skip(1);
    let sid = numbers.next().unwrap();
    assert!([numbers.next(), numbers.next()] == [Some(sid), Some(sid)], "its own session, in the foreground: {line}");
    let mut person = at_keys(&run);
    person.input("typed\r");
    person.out("read typed");
    assert!(!run.out("read typed").contains("\\r"), "the line is kept as it was written");
    person.input("\x03");
    person.out("got INT");
    person.input("\x10\x11");
    let ended = person.ends_with(0);
    assert!(ended.out.iter().any(|line| line.contains("left api, which goes on")), "{:#?}", ended.out);
    assert!(is_usual(&person));
    assert_eq!(run.command(&["status"]).code, Some(0));
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn other_keys_can_be_chosen() {
    let run = service_of(r#"["CHILD", "read-line", "wait"]"#, "");
    let mut person = attached(&run, &["--detach-keys", "ctrl-a,d", "api"]);
    person.input("\x01d");
    person.ends_with(0);
    let told = run.command(&["attach", "--detach-keys", "hyper-x", "api"]);
    assert_eq!(told.code, Some(2), "{told:?}");
    assert!(told.err.contains("\"hyper-x\" are no keys") && told.err.contains("ctrl-p,ctrl-q"), "{told:?}");
}

#[test]
fn the_prompt_is_there_and_the_size_is_that_of_who_came_last() {
    let script =
        r#"["bash", "-c", "trap 'echo size $(stty size)' WINCH; printf '> '; while :; do sleep 1000 & wait; done"]"#;
    let run = service_of(script, "");
    let mut person = run.on_terminal(&["attach", "api"]);
    // By then it knows what to do when the size changes.
    person.prompt("> ");
    person.resize(101, 41);
    person.out("size 41 101");
    let mut other = run.on_terminal(&["attach", "api"]);
    other.resize(77, 33);
    other.out("size 33 77");
    person.out("size 33 77");
    other.hang_up();
    other.ended();
    person.resize(90, 30);
    person.out("size 30 90");
}

#[test]
fn who_comes_sees_the_line_that_waits_for_an_answer() {
    let run =
        service_of(r#"["bash", "-c", "echo before; printf 'name? '; read -r name; echo hello $name; read -r"]"#, "");
    let mut person = at_keys(&run);
    person.prompt("name? ");
    person.input("you\r");
    person.out("hello you");
    assert!(!person.show().contains("before"), "what was shown before is for launcher logs");
}

#[test]
fn several_are_there_and_stay_when_one_leaves() {
    let run = service_of(r#"["CHILD", "read-line", "read-line", "wait"]"#, "");
    let (mut one, mut other) = (at_keys(&run), at_keys(&run));
    one.input("first\r");
    one.out("read first");
    other.out("read first");
    one.input("\x10\x11");
    one.ends_with(0);
    other.input("second\r");
    other.out("read second");
}

#[test]
fn a_restart_keeps_them() {
    let run = service_of(r#"["CHILD", "read-line", "wait"]"#, "");
    let mut person = at_keys(&run);
    let told = run.command(&["restart", "api"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    person.out("api is stopping");
    person.out("api is starting (generation 2)");
    person.input("again\r");
    person.out("read again");
}

#[test]
fn its_end_is_told_with_its_code() {
    let restart = "[service.api.restart]\npolicy = \"never\"";
    for (step, code, text) in
        [("exit 3", 3, "api has failed, with exit code 3"), ("exit 0", 0, "api has done its work")]
    {
        let run = service_of(&format!(r#"["CHILD", "read-line", "print last words", "{step}"]"#), restart);
        let mut person = at_keys(&run);
        person.input("go\r");
        let ended = person.ends_with(code);
        let places = ["last words", text].map(|text| ended.out.iter().position(|line| line.contains(text)));
        assert!(places[0].is_some() && places[0] < places[1], "{:#?}", ended.out);
        assert!(is_usual(&person));
    }
}

#[test]
fn a_stop_ends_it_and_so_does_the_end_of_launcher() {
    let run = service_of(r#"["CHILD", "wait"]"#, "[service.other]\ncommand = [\"CHILD\", \"wait\"]");
    let mut person = at_keys(&run);
    assert_eq!(run.command(&["stop", "api"]).code, Some(0));
    person.out("api was stopped");
    person.ends_with(0);
    let told = run.command(&["attach", "api"]);
    assert_eq!(told.code, Some(71), "{told:?}");
    assert!(told.err.contains("api does not run (stopped): launcher start api"), "{told:?}");
    assert_eq!(run.command(&["start", "api"]).code, Some(0));
    let mut person = at_keys(&run);
    run.signal(Signal::SIGTERM);
    person.out("api was stopped");
    person.ends_with(0);
    assert!(is_usual(&person));
}

#[test]
fn a_launcher_that_is_killed_is_told_and_the_terminal_is_as_it_was() {
    let mut run = service_of(r#"["CHILD", "wait"]"#, "");
    let mut person = at_keys(&run);
    run.signal(Signal::SIGKILL);
    run.ended();
    person.out("the connection to launcher has broken off");
    person.ends_with(125);
    assert!(is_usual(&person));
}

#[test]
fn a_signal_ends_launcher_attach_alone() {
    let run = service_of(r#"["CHILD", "read-line", "wait"]"#, "");
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let mut person = at_keys(&run);
        person.signal(signal);
        person.ends_with(code);
        assert!(is_usual(&person));
    }
    let mut person = at_keys(&run);
    person.input("still there\r");
    person.out("read still there");
}

#[test]
fn input_that_is_no_terminal_is_typed_to_its_end() {
    let mut run = service_of(r#"["CHILD", "read-line", "read-line", "wait"]"#, "");
    let mut attach = run.command_as(env!("CARGO_BIN_EXE_launcher"), &["attach", "api"]);
    let mut process = attach.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(b"one\ntwo\n").unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("attached to api; Ctrl-C leaves it") && err.contains("all of the input was typed"), "{err}");
    run.out("read one");
    run.out("read two");
}

/// As `echo save-all | launcher attach game` wants it.
#[test]
fn an_answer_to_input_that_is_no_terminal_is_seen() {
    let steps = r#"["CHILD", "read-line", "print the answer", "exit 3"]"#;
    let run = service_of(steps, "restart = { policy = \"never\" }");
    let words = ["attach", "--linger", "1h", "api"];
    let mut attach = run.command_as(env!("CARGO_BIN_EXE_launcher"), &words);
    let mut process = attach.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(b"question\n").unwrap();
    let output = process.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("read question") && shown.contains("the answer"), "{shown}");
    assert_eq!(output.status.code(), Some(3), "it has ended before: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_linger_that_is_no_duration_is_refused() {
    let run = service_of(r#"["CHILD", "wait"]"#, "");
    let output = run.command_as(env!("CARGO_BIN_EXE_launcher"), &["attach", "--linger", "5", "api"]).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && err.contains("--linger 5: a duration needs a unit"), "{err}");
}

#[test]
fn who_looks_at_nothing_holds_up_nobody() {
    // 4 MB in all: more than any buffer in between.
    let script = r#"["bash", "-c", "read -r; yes $(printf %4000d 7) | head -n 1000; CHILD 'say done'; read -r"]"#;
    let mut run = service_of(script, "[service.api.log]\nforward = false");
    let mut attach = run.command_as(env!("CARGO_BIN_EXE_launcher"), &["attach", "api"]);
    let mut process = attach.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    process.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    run.said("done");
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn last_words_on_a_terminal_are_kept() {
    let mut run =
        service_of(r#"["bash", "-c", "seq -f 'number %.0f' 1 20000"]"#, "[service.api.restart]\npolicy = \"never\"");
    let ended = run.ends_with(0);
    let lines = ended.out.iter().filter(|line| line.contains("number ")).count();
    assert_eq!(lines, 20_000, "{:#?}", ended.out.last());
}

#[test]
fn a_program_that_closes_its_terminal_can_still_write_to_it() {
    let script = r#"["bash", "-c", "exec </dev/null >/dev/null 2>&1; sleep 0; echo by name >/dev/tty; CHILD 'say done'; sleep 1000"]"#;
    let mut run = service_of(script, "");
    run.said("done");
    run.out("by name");
}

#[test]
fn what_cannot_be_attached_to_says_what_to_write() {
    let text = "log_level = \"debug\"\n[service.api]\ncommand = [\"CHILD\", \"wait\"]\n";
    let mut run = launcher().file(text);
    run.control_socket();
    let told = run.command(&["attach", "api"]);
    assert_eq!(told.code, Some(71), "{told:?}");
    let said = "api has no terminal of its own: write terminal = true below [service.api] in ";
    let said = format!("{said}{}", run.home().join("launcher.toml").display());
    assert!(told.err.contains(&said), "{told:?}");
    let told = run.command(&["attach", "apy"]);
    assert_eq!(told.code, Some(71), "{told:?}");
    assert!(told.err.contains("did you mean \"api\"?"), "{told:?}");
    let mut run = launcher().flags(["--log-level", "debug"]).child(["wait"]);
    run.control_socket();
    let told = run.command(&["attach", "child"]);
    assert!(told.code == Some(71) && told.err.contains("launcher run -i"), "{told:?}");
}

#[test]
fn the_socket_takes_the_upgrade_alone() {
    let mut run =
        launcher().file("log_level = \"debug\"\n[service.api]\nterminal = true\ncommand = [\"CHILD\", \"wait\"]\n");
    let socket = run.control_socket();
    let answer = http::unix(&socket, "POST", "/services/api/attach");
    assert_eq!(answer.code, 426, "{answer:?}");
    assert!(answer.body.contains("Upgrade: launcher-attach"), "{answer:?}");
    // Noise instead of frames ends that connection alone.
    let noise =
        "POST /services/api/attach HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: launcher-attach\r\n\r\n?\0\0";
    let answer = http::raw_unix(&socket, noise);
    assert_eq!(answer.code, 101, "{answer:?}");
    assert_eq!(http::unix(&socket, "GET", "/livez").code, 200);
}

/// The kernel ends a service whose terminal goes away with its launcher, as any other.
#[test]
fn nothing_is_left_of_a_shell_with_jobs() {
    let mut run = service_of(r#"["bash", "--norc", "-i"]"#, "stop_signal = \"HUP\"");
    let mut person = at_keys(&run);
    let child = child().display().to_string();
    // The quotes tell what is printed from what is typed.
    person.input(&format!("PS1=; sleep 1000 & {child} 'print in fro''nt' wait\r"));
    person.out("in front");
    person.input("\x1a");
    person.out("Stopped");
    person.input("echo still he''re\r");
    person.out("still here");
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

/// Interactive shells ignore TERM: they are told that their terminal goes away.
#[test]
fn a_shell_stops_when_it_is_asked_to() {
    let mut run = service_of(r#"["bash", "--norc", "--noediting", "-i"]"#, "stop_timeout = \"1h\"");
    let mut person = at_keys(&run);
    // The quotes tell what is printed from what is typed.
    person.input("PS1=; sleep 1000 & echo he''re\r");
    person.out("here");
    person.input("\x10\x11");
    person.ends_with(0);
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

/// A program that does something on TERM is given the time for it.
#[test]
fn who_hears_the_stop_signal_is_not_hung_up_on_unless_asked_for() {
    for (more, hung_up) in [("", false), ("send_hup = true", true)] {
        let steps = r#"["CHILD", "on TERM print got TERM", "on HUP print got HUP", "print up", "read-line"]"#;
        let mut run = service_of(steps, more);
        run.out("up");
        let mut person = at_keys(&run);
        run.signal(Signal::SIGTERM);
        run.outs(if hung_up { &["got TERM", "got HUP"] } else { &["got TERM"] });
        person.input("\r");
        let ended = run.ends_with(0);
        assert_eq!(ended.out.iter().any(|line| line.contains("got HUP")), hung_up, "{:?}", ended.out);
    }
}

#[test]
fn a_check_refuses_two_terminals() {
    let text = "[service.api]\ncommand = [\"true\"]\nterminal = true\ninteractive = true\n";
    let ended = launcher().file(text).ends_with(78);
    assert!(ended.complains("a service has one terminal"), "{:#?}", ended.err);
}

/// What a person sees of a program that does not know it is watched.
#[test]
fn programs_take_it_for_a_terminal() {
    let run = service_of(
        r#"["bash", "-c", "read -r; test -t 0 -a -t 1 -a -t 2 && echo all three; tty; echo $TERM; read -r"]"#,
        "",
    );
    let mut person = at_keys(&run);
    person.input("\r");
    person.out("all three");
    person.out("/dev/pts/");
}
