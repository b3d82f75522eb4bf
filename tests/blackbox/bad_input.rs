//! Bad input: a clear error or a normal stop, never a panic, a leak or a leftover.

use crate::support::*;

/// Nothing that looks like a fault of the launcher's own.
#[track_caller]
fn no_panic(ended: &Ended) {
    assert!(!ended.complains("panicked"), "{:#?}", ended.err);
    assert_ne!(ended.code, Some(101));
    assert_eq!(ended.signal, None);
}

#[test]
fn a_wrong_command_line_gives_2() {
    for words in [
        &["run", "--no-such-flag", "--", "true"][..],
        &["run", "--start-timeout", "30", "--", "true"],
        &["run", "--start-timeout", "soon", "--", "true"],
        &["run", "--start-timeout", "-5s", "--", "true"],
        &["run", "--start-timeout", "99999999999999999999s", "--", "true"],
        &["run", "--restart", "sometimes", "--", "true"],
        &["run", "--ready", "perhaps", "--", "true"],
        &["run", "--stop-signal", "TREM", "--", "true"],
        &["run", "--backoff", "1s", "--", "true"],
        &["run", "--backoff", "5s..1s", "--", "true"],
        &["run", "--max-failures", "-1", "--", "true"],
        &["run", "--max-failures", "many", "--", "true"],
        &["run", "--port", "127.0.0.1:70000", "--", "true"],
        &["run", "--port", "127.0.0.1", "--", "true"],
        &["run", "--port", "127.0.0.1:80,keep", "--", "true"],
        &["run", "--port", "a=127.0.0.1:8080", "--port", "a=127.0.0.1:8081", "--", "true"],
        &["run", "--port", "", "--", "true"],
        &["run", "--log-format", "xml", "--", "true"],
        &["run", "--"],
        &["port"],
        &["port", "nowhere"],
        &["dump"],
        &["no-such-command"],
    ] {
        let ended = launcher().verb(words).ended();
        no_panic(&ended);
        assert_eq!(ended.code, Some(2), "{words:?}: {:#?}", ended.err);
        assert!(!ended.err.is_empty(), "{words:?} says why");
    }
}

/// What is said of a wrong command line is about the command that was called.
#[test]
fn a_message_names_the_command_that_was_called() {
    for (words, parts) in [
        (&["check"][..], &["write launcher check -- COMMAND, or", "try 'launcher check --help'"][..]),
        (&["verify"], &["write launcher verify -- COMMAND, or", "try 'launcher verify --help'"]),
        (&["verify", "x"], &["to verify the command x: launcher verify -- x"]),
        (&["run"], &["write launcher run -- COMMAND, or", "try 'launcher run --help'"]),
        (&["check", "--"], &["write launcher check -- ./program", "try 'launcher check --help'"]),
        (&["check", "--ready", "no", "--", "true"], &["try 'launcher check --help'"]),
        (&["check", "--debug", "no", "--", "true"], &["try 'launcher check --help'"]),
        (&["nope"], &["to start a program: launcher run -- nope"]),
        (&["help", "nope"], &["unrecognized subcommand 'nope'"]),
    ] {
        let ended = launcher().verb(words).ends_with(2);
        for part in parts {
            assert!(ended.complains(part), "{words:?}: {part} in {:#?}", ended.err);
        }
        assert!(words[0] != "help" || !ended.complains("tip: to start"), "{:#?}", ended.err);
    }
}

#[test]
fn an_unknown_key_is_shown_in_its_place_with_a_hint() {
    let setup = launcher();
    let file = setup.home().write("launcher.toml", "[service.api]\ncomand = [\"./api\"]\n");
    let ended = setup.verb(["run", "-c", &file.display().to_string()]).ends_with(78);
    no_panic(&ended);
    let shown = ended.err.join("\n");
    for part in ["comand", "command", "launcher.toml:2", "^", "did you mean"] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
}

#[test]
fn all_errors_of_a_file_come_at_once_and_nothing_starts() {
    let mut run = launcher().file(
        r#"[service.good]
        command = ["CHILD", "say started", "wait"]
        [service.api]
        command = ["CHILD"]
        start_timeout = "30"
        redy = "notify"
        after = ["nobody"]
        stop_signal = "TREM"
        [[service.api.port]]
        name = "http"
        listen = "tcp://127.0.0.1:70000"
        [service.api.restart]
        backoff = { initial = "1 fortnight" }
        "#,
    );
    let ended = run.ends_with(78);
    no_panic(&ended);
    let shown = ended.err.join("\n");
    for part in ["start_timeout", "redy", "nobody", "TREM", "70000", "1 fortnight"] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
    assert!(!run.says_within("started", std::time::Duration::ZERO));
}

#[test]
fn services_in_a_circle_are_named() {
    let text = "[service.a]\ncommand = [\"true\"]\nafter = [\"b\"]\n[service.b]\ncommand = [\"true\"]\nafter = [\"c\"]\n\
        [service.c]\ncommand = [\"true\"]\nafter = [\"a\"]\n";
    let ended = launcher().file(text).ends_with(78);
    let shown = ended.err.join("\n");
    assert!(["a", "b", "c"].iter().all(|name| shown.contains(name)), "{shown}");
}

#[test]
fn files_that_are_no_configuration_give_78() {
    for text in ["", "not toml at all [", "[service]\n", "[service.a]\n", "\0\0\0", "[service.a]\ncommand = []\n"] {
        let setup = launcher();
        let file = setup.home().write("launcher.toml", text);
        let ended = setup.verb(["run", "-c", &file.display().to_string()]).ends_with(78);
        no_panic(&ended);
        assert!(!ended.err.is_empty(), "{text:?} says why");
    }
    let setup = launcher();
    let file = setup.home().join("launcher.toml");
    std::fs::write(&file, b"[service.a]\ncommand = [\"\xff\xfe\"]\n").unwrap();
    no_panic(&setup.verb(["run", "-c", &file.display().to_string()]).ends_with(78));
    let setup = launcher();
    let folder = setup.home().join("folder");
    std::fs::create_dir(&folder).unwrap();
    let ended = setup.verb(["run", "-c", &folder.display().to_string()]).ends_with(78);
    assert!(ended.complains("it is a folder, not a file"), "{:?}", ended.err);
    let ended = launcher().verb(["run", "-c", "/no/such/launcher.toml"]).ends_with(78);
    assert!(ended.complains("/no/such/launcher.toml"), "{:?}", ended.err);
}

/// How many descriptors the launcher has open once it knows that the child runs: it holds a pidfd then.
#[track_caller]
fn open_descriptors(run: &Running) -> usize {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let all = std::fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap();
        let links: Vec<_> = all.map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap_or_default()).collect();
        if links.iter().any(|link| link.to_string_lossy().contains("pidfd")) {
            return links.len();
        }
        assert!(std::time::Instant::now() < deadline, "no pidfd: {links:?}");
        std::thread::yield_now();
    }
}

/// Waits until the launcher has no more descriptors open than this: it may have a file open for a moment, but one that
/// is lost stays.
#[track_caller]
fn has_at_most(run: &Running, count: usize) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while open_descriptors(run) > count {
        assert!(std::time::Instant::now() < deadline, "{} instead of {count}", open_descriptors(run));
        std::thread::yield_now();
    }
}

#[test]
fn noise_on_the_notify_socket_does_no_harm() {
    // The control socket is opened some time after the start: one descriptor more by then would be no loss.
    let setup = launcher().flags(["--ready", "notify", "--control", "off"]);
    let gate = setup.home().fifo("gate");
    let mut run = setup.child([
        "notify STATUS=first",
        "barrier",
        "say counted",
        "gate gate",
        "flood-notify 65536",
        "flood-notify 1",
        "notify ",
        "notify =",
        "notify READY=2\\nSTATUS=\\nERRNO=abc\\nMAINPID=1\\nEXTEND_TIMEOUT_USEC=99999999999999999999999",
        "notify MAINPID=-1\\nWATCHDOG_USEC=x\\nBARRIER=1",
        "notify-storm 2000",
        "notify-fds 253",
        "notify-fds 253",
        "notify-fds 1",
        "barrier",
        "say over",
        "notify READY=1",
        "barrier",
        "print ready",
        "wait",
    ]);
    run.said("counted");
    let before = open_descriptors(&run);
    std::fs::write(gate, "").unwrap();
    run.said("over");
    has_at_most(&run, before);
    run.out("ready");
    run.signal(Signal::SIGTERM);
    no_panic(&run.ends_with(0));
    run.leaves_nothing();
}

#[test]
fn a_child_that_closes_its_descriptors_is_looked_after_all_the_same() {
    let mut run = launcher().child(["close-fds", "say closed", "on TERM exit 6", "say up", "wait"]);
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.ends_with(6);
    run.leaves_nothing();
}

#[test]
fn a_child_that_forks_wildly_is_stopped_whole() {
    let mut run = launcher().flags(["--stop-timeout", "100ms"]).child(["fork-storm 200", "say up", "wait"]);
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

#[test]
fn no_descriptor_is_lost_over_many_generations() {
    let address = Address::new();
    let flags = [
        "--restart",
        "always",
        "--backoff",
        "0ms..0ms",
        "--max-failures",
        "0",
        "--port",
        &format!("{address},pass"),
        "--ready",
        "started",
    ];
    let mut run = launcher().flags(flags).child([
        "print up {generation}.",
        "generation 10",
        "gate gate",
        "end",
        "generation 60",
        "gate gate",
        "end",
    ]);
    nix::unistd::mkfifo(&run.home().join("gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    run.out("up 10.");
    let before = open_descriptors(&run);
    std::fs::write(run.home().join("gate"), "").unwrap();
    run.out("up 60.");
    // What is opened once and kept is no loss: one descriptor lost in each generation would be fifty.
    has_at_most(&run, before + 5);
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

#[test]
fn output_that_nobody_reads_does_not_stop_the_launcher() {
    let flags = ["--log-level", "trace", "--stop-timeout", "200ms"];
    let mut run = launcher().below(["sh", "-c", "exec \"$@\" >&- 2>&-", "sh"]).flags(flags).child(["say up", "wait"]);
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_report_folder_that_cannot_be_written_is_told_and_changes_nothing_else() {
    let setup = launcher();
    let file = setup.home().write("plain", "");
    let words =
        ["run".into(), "--report-dir".into(), file.join("below").display().to_string(), "--".into(), "false".into()];
    let ended = setup.verb::<String>(words).ends_with(1);
    no_panic(&ended);
    assert!(ended.complains("plain"), "{:?}", ended.err);
}

#[test]
fn odd_names_and_arguments_reach_the_child() {
    let odd = "a b\t'\"\\ $HOME\n ü \u{202e}";
    let mut run = launcher().command(["printf", "%s", odd]);
    assert_eq!(run.ends_with(0).out.join("\n"), odd);
}

#[test]
fn many_signals_at_once_do_no_harm() {
    let mut run = launcher().child(["on USR1 print got", "on HUP print got", "print up", "wait"]);
    run.out("up");
    for _ in 0..500 {
        run.signal(Signal::SIGUSR1);
        run.signal(Signal::SIGHUP);
        run.signal(Signal::SIGCHLD);
        run.signal(Signal::SIGWINCH);
    }
    run.out("got");
    run.signal(Signal::SIGTERM);
    no_panic(&run.ends_with(0));
}
