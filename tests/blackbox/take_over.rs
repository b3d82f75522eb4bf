//! `--take-over` and `take_over`: who holds a port is named, and ended before the start, when that may be.

use std::net::TcpListener;

use crate::support::*;

/// A program of its own that listens there, and what it does then.
fn holder(address: Address, more: &[&str]) -> Running {
    let listen = format!("listen {address}");
    let mut held = Subject::bare().run().child(more.iter().copied().chain([listen.as_str(), "say up", "wait"]));
    held.said("up");
    held
}

#[test]
fn an_own_process_is_named_and_ended_before_the_start() {
    let address = Address::new();
    let mut held = holder(address, &[]);
    let flags = ["--take-over", "--ready", "listen", "--port", &address.to_string()];
    let mut run = launcher().flags(flags).child([&format!("listen {address}"), "say serving", "wait"]);
    run.said("serving");
    assert_eq!(held.ended().signal, Some(15), "it was asked to end");
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(0);
    let named = format!("is taken: {}", child().display());
    assert!(ended.complains(&named) && ended.complains("it is ended, as take_over says"), "{:?}", ended.err);
}

#[test]
fn one_that_does_not_end_is_killed_after_the_stop_timeout() {
    let address = Address::new();
    let mut held = holder(address, &["on TERM ignore"]);
    let flags = ["--take-over", "--stop-timeout", "100ms", "--port", &address.to_string()];
    let ended = launcher().flags(flags).child(["exit 5"]).ends_with(5);
    assert!(ended.complains("has not ended within 100ms, and is killed"), "{:?}", ended.err);
    assert_eq!(held.ended().signal, Some(9));
}

#[test]
fn every_process_that_holds_it_is_ended() {
    let address = Address::new();
    let listen = format!("listen {address}");
    let mut held =
        Subject::bare().run().child([listen.as_str(), "fork", "say forked", "wait", "end", "say up", "wait"]);
    held.saids(&["up", "forked"]);
    let flags = ["--take-over", "--port", &address.to_string()];
    let ended = launcher().flags(flags).child(["exit 5"]).ends_with(5);
    assert!(ended.complains("and pid "), "both are named: {:?}", ended.err);
    held.ended();
}

#[test]
fn a_port_of_the_file_is_taken_over_and_a_datagram_socket_too() {
    let (address, other) = (Address::new(), Address::new());
    let mut first = holder(address, &[]);
    let udp = format!("udp {other}");
    let mut second = Subject::bare().run().child([udp.as_str(), "say up", "wait"]);
    second.said("up");
    let mut run = launcher().file(&format!(
        "[service.a]\ncommand = [\"CHILD\", \"exit 5\"]\nrestart.policy = \"never\"\n\
         [[service.a.port]]\nlisten = \"tcp://{address}\"\ntake_over = true\n\
         [[service.a.port]]\nlisten = \"udp://{other}\"\ntake_over = true\n"
    ));
    run.ends_with(5);
    assert_eq!((first.ended().signal, second.ended().signal), (Some(15), Some(15)));
}

#[test]
fn what_launcher_runs_below_is_never_ended() {
    let address = Address::new();
    let holder = TcpListener::bind(address.0).unwrap();
    let flags = ["--take-over=any", "--port", &address.to_string()];
    let mut run = launcher().flags(flags).child(["say started", "exit 0"]);
    let ended = run.ends_with(71);
    let why = format!("take_over does not end it: launcher runs below pid {}", std::process::id());
    assert!(ended.complains(&why), "{:?}", ended.err);
    assert_eq!(run.report().cause(), "port-taken");
    drop(holder);
}

#[test]
fn what_another_launcher_runs_is_not_ended() {
    let address = Address::new();
    let mut other = launcher().child([&format!("listen {address}"), "say up", "wait"]);
    other.said("up");
    let flags = ["--take-over", "--port", &address.to_string()];
    let ended = launcher().flags(flags).child(["exit 0"]).ends_with(71);
    let why = format!("would be started again by its own launcher (pid {})", other.pid());
    assert!(ended.complains(&why), "{:?}", ended.err);
    assert!(!other.has_ended());
    other.signal(Signal::SIGTERM);
    other.ends_with(0);
}

#[test]
fn another_user_s_process_is_ended_only_when_anybody_s_may_be() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root has processes of others");
        return;
    }
    let address = Address::new();
    let listen = format!("listen {address}");
    let setup = Subject::bare().run().below(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let copied = std::process::Command::new("cp").arg(child()).arg(setup.home().path()).status();
    assert!(copied.unwrap().success());
    let program = setup.home().join("child").display().to_string();
    let mut held = setup.command([program.as_str(), listen.as_str(), "say up", "wait"]);
    held.said("up");
    let with = |flag: &str, code: i32| {
        launcher().flags([flag, "--port", &address.to_string()]).child(["exit 5"]).ends_with(code)
    };
    let ended = with("--take-over", 71);
    assert!(ended.complains("is of another user, for which it takes take_over = "), "{:?}", ended.err);
    assert!(ended.complains("--take-over=any"), "{:?}", ended.err);
    // On a terminal as well.
    let ended = with("--log-format=text", 71);
    assert!(!ended.complains("--take-over=any"), "nobody wants it: {:?}", ended.err);
    let words = ["--log-format=text", "--take-over", "--port", &address.to_string()];
    let ended = launcher().flags(words).child(["exit 5"]).ends_with(71);
    let words = ended.err.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("is of another user, for which it takes take_over = \"any\""), "{:?}", ended.err);
    assert!(words.contains("--take-over=any"), "{:?}", ended.err);
    let ended = launcher().verb(["check", "--take-over", "--port", &address.to_string(), "--", "true"]).ends_with(71);
    assert!(ended.complains("--take-over=any"), "{:?}", ended.err);
    assert!(!held.has_ended());
    with("--take-over=any", 5);
    held.ended();
}

#[test]
fn check_tells_what_would_be_ended_and_ends_nothing() {
    let address = Address::new();
    let mut held = holder(address, &[]);
    let words = ["check", "--take-over", "--port", &address.to_string(), "--", "true"];
    let ended = launcher().verb(words).ends_with(0);
    assert!(ended.complains("it will be ended, as take_over says [port-taken]"), "{:?}", ended.err);
    assert!(!held.has_ended());
    let ended = launcher().verb(["check", "--port", &address.to_string(), "--", "true"]).ends_with(71);
    assert!(ended.complains("--take-over"), "it is offered: {:?}", ended.err);
    held.signal(Signal::SIGTERM);
    held.ended();
}

#[test]
fn wrong_words_are_told() {
    let ended = launcher().flags(["--take-over"]).command(["true"]).ends_with(2);
    assert!(ended.complains("--take-over has no port to take"), "{:?}", ended.err);
    let ended = launcher().flags(["--take-over=all", "--port", "auto"]).command(["true"]).ends_with(2);
    assert!(ended.complains("one of own, any"), "{:?}", ended.err);
}

#[test]
fn the_advice_is_for_where_the_port_is_written() {
    let address = Address::new();
    let mut held = holder(address, &[]);
    let ended = launcher()
        .file(&format!("[service.a]\ncommand = [\"true\"]\nrestart.policy = \"never\"\n[[service.a.port]]\nlisten = \"tcp://{address}\"\n"))
        .ends_with(71);
    assert!(ended.complains("in [[service.a.port]]") && !ended.complains("--port"), "{:?}", ended.err);
    let pid = held.pid();
    let told = launcher().verb(["port", &address.to_string()]).ends_with(0).out.join("\n");
    for part in [&format!("(pid {pid}, "), "it was started by ", &format!("(pid {})", std::process::id())] {
        assert!(told.contains(part), "{part:?} in {told}");
    }
    held.signal(Signal::SIGTERM);
    held.ended();
}
