//! What a program may do with a port that is held for it, with the scriptable child.

use std::net::TcpStream;

use super::serving::{HTTP, Request, ask, flags};
use crate::support::*;

/// The child as a service with this port, which listens by these steps and serves.
fn started(setup: Setup, port: &str, steps: &[&str]) -> Running {
    setup.flags(flags("child", port)).child(steps.iter().chain(&["serve"]))
}

fn stops(run: &mut Running) -> Ended {
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(0);
    run.leaves_nothing();
    ended
}

/// A user without any privilege, who has no filter without no_new_privs.
#[test]
fn it_needs_no_privilege() {
    let address = Address::new();
    let mut run = started(launcher().being_nobody(), &format!("{address},adopt"), &[&format!("listen {address}")]);
    run.is_ready("child");
    ask(&mut run, address.0, HTTP);
    let ended = stops(&mut run);
    assert!(!ended.complains("falls back"), "{:#?}", ended.err);
}

/// The launcher may not look into the service by its capabilities, as in a container with Docker's defaults.
#[test]
fn a_service_of_another_user_gets_it_too() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    for port in ["127.0.0.1", "[::]"] {
        for mode in ["adopt", "capture"] {
            let free = own_port();
            let at = format!("{port}:{free}");
            let setup = launcher().with_copies().below(["setpriv", "--bounding-set", "-sys_ptrace"]);
            let setup = setup.flags(["--user", "nobody"]);
            let mut run = started(setup, &format!("{at},{mode}"), &[&format!("listen {at}")]);
            run.is_ready("child");
            let address = ([127, 0, 0, 1], free).into();
            ask(&mut run, address, HTTP);
            run.kill_service();
            run.is_ready("child");
            ask(&mut run, address, HTTP);
            let ended = stops(&mut run);
            assert!(!ended.complains("falls back"), "{at} {mode}: {:#?}", ended.err);
        }
    }
}

/// Datagrams are kept for it as connections are.
#[test]
fn a_udp_socket_is_given_too() {
    use launcher::sys::sock_diag::{Filter, Protocol, State, inet_sockets};

    let address = Address::new();
    let port = format!("udp://{address},adopt");
    let mut run = launcher().flags(flags("child", &port)).child([&format!("udp {address}"), "print up", "wait"]);
    let sockets = || {
        let port = Some(address.0.port());
        let wanted = Filter { protocol: Protocol::Udp, port, states: State::ALL, details: false };
        let all = inet_sockets(&wanted).unwrap().into_iter().filter(|socket| socket.local == address.0);
        all.map(|socket| (socket.inode, socket.receive_queue > 0)).collect::<Vec<_>>()
    };
    run.is_ready("child");
    run.out("up");
    let first = sockets();
    assert!(matches!(first[..], [(_, false)]), "one socket, whoever has it: {first:?}");
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", address.0).unwrap();
    run.kill_service();
    run.out("up");
    assert_eq!(sockets(), [(first[0].0, true)], "the next one has it with what was sent");
    let ended = stops(&mut run);
    assert!(!ended.complains("falls back"), "{:#?}", ended.err);
}

/// What a socket unit, or another launcher, passes on is given to a program that knows nothing of LISTEN_FDS.
#[test]
fn a_socket_from_above_is_adopted() {
    let address = Address::new();
    let inner = env!("CARGO_BIN_EXE_launcher");
    let (port, listen) = (format!("{address},adopt"), format!("listen {address}"));
    let program = child().display().to_string();
    let command =
        [inner, "run", "--name", "inner", "--ready", "listen", "--port", &port, "--", &program, &listen, "serve"];
    let flags = ["--name", "outer", "--port", &format!("{address},pass"), "--ready", "notify"];
    let mut run = launcher().flags(flags).command(command);
    run.is_ready("outer");
    ask(&mut run, address.0, HTTP);
    let ended = stops(&mut run);
    assert!(!ended.complains("falls back"), "{:#?}", ended.err);
}

#[test]
fn a_backlog_is_no_smaller_than_the_launchers() {
    for mode in ["adopt", "capture"] {
        let address = Address::new();
        let mut run = started(launcher(), &format!("{address},{mode}"), &[&format!("listen {address}")]);
        run.is_ready("child");
        let listeners = launcher::sys::sock_diag::listeners(address.0.port()).unwrap();
        let ours = listeners.iter().find(|socket| socket.local == address.0).unwrap();
        let most: u32 = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
        assert_eq!(ours.send_queue, most.min(4096), "{mode}");
        stops(&mut run);
    }
}

/// Closed and opened again, and asked for while it is closed.
#[test]
fn a_listener_may_be_closed_and_opened_again() {
    for mode in ["adopt", "capture"] {
        let (setup, address) = (launcher(), Address::new());
        let gate = setup.home().fifo("gate");
        let listen = format!("listen {address}");
        let steps =
            [&listen, "serve-one", "close-listeners", "say closed", &format!("gate {}", gate.display()), &listen];
        let mut run = started(setup, &format!("{address},{mode}"), &steps);
        run.is_ready("child");
        ask(&mut run, address.0, HTTP);
        run.said("closed");
        let waiting = Request::send(address.0, HTTP);
        std::fs::write(&gate, "go").unwrap();
        assert_eq!(waiting.answered(), Ok(()));
        ask(&mut run, address.0, HTTP);
        let ended = stops(&mut run);
        assert!(!ended.complains("falls back"), "{:#?}", ended.err);
    }
}

/// As it would be without a launcher.
#[test]
fn a_second_bind_fails_while_the_first_listens() {
    let address = Address::new();
    let listen = format!("listen {address}");
    let flags = ["--name", "child", "--port", &format!("{address},adopt")];
    let mut run = launcher().flags(flags).child([&listen, &listen]);
    assert!(run.ends_with(99).complains("os error 98"));
}

/// What would be noticed is not done: the program keeps its own socket, and the next one gets that.
#[test]
fn a_socket_that_cannot_be_replaced_is_left_to_the_program_and_captured() {
    for (steps, why) in [("listen-polled", "epoll"), ("listen-twice", "more than one descriptor")] {
        let address = Address::new();
        let second = format!("listen {address}");
        let first = format!("{steps} {address}");
        let steps = ["generation 1", &first, "end", "generation 2", &second, "end"];
        let mut run = started(launcher(), &format!("{address},adopt"), &steps);
        let line = run.err("falls back");
        assert!(line.contains("from adopt to capture") && line.contains(why), "{line}");
        run.is_ready("child");
        ask(&mut run, address.0, HTTP);
        run.kill_service();
        let request = Request::send(address.0, HTTP);
        assert_eq!(request.answered(), Ok(()), "it waited for the next generation");
        stops(&mut run);
    }
}

#[test]
fn another_address_than_the_declared_one_is_left_to_the_program() {
    let (one, two, three) = (own_port(), own_port(), own_port());
    let table = [
        (format!("127.0.0.1:{one}"), format!("listen 0.0.0.0:{one}"), format!("binds 0.0.0.0:{one}; declare")),
        (format!("0.0.0.0:{two}"), format!("listen [::]:{two}"), format!("declare \\\"[::]:{two}\\\"")),
        (format!("[::]:{three}"), format!("listen-v6only [::]:{three}"), "IPV6_V6ONLY".to_owned()),
    ];
    for (declared, listen, why) in table {
        let mut run = started(launcher(), &format!("{declared},adopt"), &[&listen]);
        let line = run.err("falls back");
        assert!(line.contains("from adopt to capture") && line.contains(&why), "{line}");
        run.is_ready("child");
        let port = declared.rsplit_once(':').unwrap().1;
        let host = if listen.contains("v6only") { "[::1]" } else { "127.0.0.1" };
        ask(&mut run, format!("{host}:{port}").parse().unwrap(), HTTP);
        stops(&mut run);
    }
}

#[test]
fn a_program_that_cannot_be_looked_at_is_left_alone() {
    let address = Address::new();
    let port = format!("{address},adopt");
    let steps = ["undumpable", &format!("listen {address}")];
    let mut run = started(launcher().being_nobody(), &port, &steps);
    let line = run.err("falls back");
    assert!(line.contains("from adopt to reserve") && line.contains("may not be read"), "{line}");
    run.is_ready("child");
    ask(&mut run, address.0, HTTP);
    stops(&mut run);
}

#[test]
fn another_network_namespace_is_none_of_the_launchers() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    for mode in ["adopt", "capture"] {
        let address = Address::new();
        // The notify socket is in the launcher's namespace.
        let flags = ["--name", "child", "--ready", "started", "--port", &format!("{address},{mode}")];
        let bind = format!("bind 0.0.0.0:{}", address.0.port());
        let mut run = launcher().flags(flags).child(["own-network", &bind, "wait"]);
        let line = run.err("falls back");
        assert!(
            line.contains(&format!("from {mode} to reserve")) && line.contains("another network namespace"),
            "{line}"
        );
        assert!(TcpStream::connect(address.0).is_err(), "nobody would ever answer here");
        stops(&mut run);
    }
}

/// Whatever becomes of the launcher.
#[test]
fn nothing_is_left_when_the_launcher_is_killed() {
    let address = Address::new();
    let mut run =
        started(launcher(), &format!("{address},adopt"), &["fork", "wait", "end", &format!("listen {address}")]);
    run.is_ready("child");
    run.signal(Signal::SIGKILL);
    run.ended();
    run.leaves_nothing();
    assert!(TcpStream::connect(address.0).is_err());
}
