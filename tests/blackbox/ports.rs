//! Ports: found taken, held, passed, and their queue kept over restarts (DESIGN §5).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::*;

/// Asks a server one thing; fails rather than wait for ever.
#[track_caller]
fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// Sends a request without waiting for its answer.
fn ask_later(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// Binds as a stranger would: without any option.
fn bind_plainly(address: SocketAddr) -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[test]
fn a_taken_port_stops_the_start_and_names_its_owner() {
    for mode in ["check", "reserve", "pass"] {
        let address = Address::new();
        let _holder = TcpListener::bind(address.0).unwrap();
        let flags = ["--port", &format!("{address},{mode}")];
        let mut run = launcher().flags(flags).child(["say started", "exit 0"]);
        let ended = run.ends_with(71);
        let own_pid = std::process::id().to_string();
        assert!(ended.complains(&address.to_string()), "{mode}: {:?}", ended.err);
        assert!(ended.complains(&own_pid), "{mode}: the owner's pid {own_pid}: {:?}", ended.err);
        assert!(ended.complains("blackbox"), "{mode}: the owner's command: {:?}", ended.err);
        assert!(!run.says_within("started", Duration::ZERO), "{mode}");
        let report = run.report();
        assert_eq!((report.kind(), report.cause()), ("preflight", "port-taken"), "{mode}");
    }
}

#[test]
fn a_listener_on_the_wildcard_is_in_the_way_and_named() {
    let holder = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let address = Address::new().with_port(port);
    let ended = launcher().flags(["--port", &format!("{address},check")]).child(["exit 0"]).ends_with(71);
    assert!(ended.complains(&std::process::id().to_string()), "{:?}", ended.err);
    assert!(ended.complains("0.0.0.0"), "{:?}", ended.err);
}

#[test]
fn an_address_that_is_not_here_is_named() {
    let ended = launcher().flags(["--port", "192.0.2.7:8080"]).child(["exit 0"]).ends_with(71);
    assert!(ended.complains("192.0.2.7"), "{:?}", ended.err);
}

#[test]
fn a_privileged_port_is_named() {
    if nix::unistd::geteuid().is_root() {
        let limit = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
        if limit.trim().parse::<u16>().unwrap() > 80 {
            let address = Address::new().with_port(80);
            let flags = ["--port", &format!("{address}")];
            let ended = launcher().being_nobody().flags(flags).child(["exit 0"]).ends_with(71);
            assert!(ended.complains(&address.to_string()), "{:?}", ended.err);
            assert!(ended.complains("privilege"), "{:?}", ended.err);
        }
    }
}

#[test]
fn a_reserved_port_can_be_bound_by_the_child_whatever_options_it_sets() {
    for step in ["listen", "bind"] {
        let address = Address::new();
        let mut run = launcher().flags(["--port", &address.to_string()]).child([format!("{step} {address}")]);
        run.ends_with(0);
    }
}

#[test]
fn a_port_reserved_until_ready_is_kept_from_others_till_then() {
    let address = Address::new();
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let text = r#"[service.child]
        command = ["CHILD", "say up", "gate gate", "notify READY=1", "barrier", "say ready", "wait"]
        ready = "notify"
        [[service.child.port]]
        name = "http"
        listen = "tcp://ADDRESS"
        mode = "reserve"
        until = "ready"
        "#;
    let mut run = setup.file(&text.replace("ADDRESS", &address.to_string()));
    run.said("up");
    assert!(bind_plainly(address.0).is_err(), "it is held");
    std::fs::write(gate, "").unwrap();
    run.said("ready");
    bind_plainly(address.0).unwrap();
}

#[test]
fn passed_sockets_listen_and_are_named() {
    let (tcp, udp) = (Address::new(), Address::new());
    let setup = launcher();
    let path = setup.home().join("passed.sock");
    let flags = [
        "--port".to_owned(),
        format!("web=tcp://{tcp},pass"),
        "--port".into(),
        format!("dns=udp://{udp},pass"),
        "--port".into(),
        format!("local=unix:{},pass", path.display()),
        "--port".into(),
        "six=[::1]:auto,pass".into(),
    ];
    let lines = setup.flags(flags).child(["dump-listen"]).ends_with(0).out;
    assert_eq!(lines[0], "LISTEN_PID is right");
    assert_eq!(lines[1], format!("socket 3 web stream listens=true {tcp}"));
    assert_eq!(lines[2], format!("socket 4 dns datagram listens=false {udp}"));
    assert!(lines[3].starts_with("socket 5 local stream listens=true ") && lines[3].contains("passed.sock"));
    assert!(lines[4].starts_with("socket 6 six stream listens=true [::1]:"), "{lines:?}");
}

#[test]
fn a_wildcard_of_ipv6_takes_ipv4_too() {
    let flags = ["--port", "web=[::]:auto,pass", "--ready", "started"];
    let mut run = launcher().flags(flags).child(["listen-fds", "print port {env:PORT_WEB}", "serve-one"]);
    let port = run.out_number("port");
    let address = SocketAddr::from(([127, 0, 0, 1], port as u16));
    assert!(ask(address).contains("generation 1"));
    run.ends_with(0);
}

#[test]
fn an_automatic_port_is_picked_once_and_kept() {
    let host = Address::new().0.ip();
    let flags = [
        "--port",
        &format!("web={host}:auto,pass"),
        "--restart",
        "on-failure",
        "--backoff",
        "1ms..1ms",
        "--ready",
        "started",
    ];
    let steps = ["listen-fds", "print port {env:PORT}", "generation 1", "exit 1", "end", "serve-one"];
    let mut run = launcher().flags(flags).child(steps);
    let first = run.out_number("port");
    let second = run.out_number("port");
    assert_eq!(first, second);
    assert!(first > 0);
    assert!(ask(SocketAddr::new(host, second as u16)).contains("generation 2"));
    run.ends_with(0);
}

#[test]
fn the_command_line_can_name_a_port() {
    let address = Address::new();
    let text = r#"[service.child]
        command = ["CHILD", "say port {port.http}", "exit 0"]
        ready = "started"
        [[service.child.port]]
        name = "http"
        listen = "tcp://ADDRESS"
        [service.child.restart]
        policy = "never"
        "#;
    let mut run = launcher().file(&text.replace("ADDRESS", &address.to_string()));
    assert_eq!(run.said_number("port"), 8080);
}

#[test]
fn a_connection_made_while_the_child_restarts_is_answered_by_the_next_generation() {
    let address = Address::new();
    let flags =
        ["--port", &format!("{address},pass"), "--ready", "notify", "--restart", "on-failure", "--backoff", "1ms..1ms"];
    let setup = launcher().flags(flags);
    let gate = setup.home().fifo("gate");
    let mut run = setup.child([
        "listen-fds",
        "say up {generation}",
        "generation 2",
        "gate gate",
        "end",
        "notify READY=1",
        "serve-one",
        "exit 1",
    ]);
    run.said("up 1");
    assert!(ask(address.0).contains("generation 1"));
    // The first generation is gone or about to go, and the second one waits at the gate: nobody accepts.
    run.said("up 2");
    let waiting: Vec<TcpStream> = (0..1).map(|_| ask_later(address.0)).collect();
    std::fs::write(gate, "").unwrap();
    for stream in waiting {
        assert!(answer(stream).contains("generation 2"));
    }
    run.said("up 3");
}

#[test]
fn no_connection_is_refused_while_the_child_crashes_in_a_loop() {
    let address = Address::new();
    let flags = [
        "--port",
        &format!("{address},pass"),
        "--ready",
        "started",
        "--restart",
        "always",
        "--backoff",
        "0ms..0ms",
        "--max-failures",
        "0",
    ];
    let mut run = launcher().flags(flags).child(["listen-fds", "generation 1", "say up", "end", "serve-one", "exit 1"]);
    // Before the launcher holds the port, nothing can be promised.
    run.said("up");
    let answers: Vec<String> = (0..30).map(|_| ask(address.0)).collect();
    for answer in &answers {
        assert!(answer.contains("200 OK"), "{answers:?}");
    }
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

#[test]
fn a_stale_unix_socket_is_taken_over() {
    let setup = launcher();
    let path = setup.home().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    // What another test is just starting holds it, too, until it executes.
    until("nobody listens", || std::os::unix::net::UnixStream::connect(&path).is_err());
    let flags = ["--port".to_owned(), format!("unix:{},pass", path.display())];
    let mut run = setup.flags(flags).child(["listen-fds", "print up", "wait"]);
    run.out("up");
    std::os::unix::net::UnixStream::connect(path).unwrap();
}

#[test]
fn a_unix_socket_that_is_in_use_is_left_alone() {
    let setup = launcher();
    let path = setup.home().join("used.sock");
    let _holder = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let flags = ["--port".to_owned(), format!("unix:{},pass", path.display())];
    let ended = setup.flags(flags).child(["exit 0"]).ends_with(71);
    assert!(ended.complains("used.sock") && ended.complains(&std::process::id().to_string()), "{:?}", ended.err);
}

#[test]
fn a_plain_file_in_the_place_of_a_unix_socket_is_not_deleted() {
    let setup = launcher();
    let path = setup.home().write("precious", "text");
    let flags = ["--port".to_owned(), format!("unix:{},pass", path.display())];
    let mut run = setup.flags(flags).child(["exit 0"]);
    let ended = run.ends_with(71);
    assert!(ended.complains("precious"), "{:?}", ended.err);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "text");
}

#[test]
fn a_leftover_in_time_wait_is_not_in_the_way() {
    let address = Address::new();
    let first = ["listen ".to_owned() + &address.to_string(), "say up".into(), "serve-one".into()];
    for _ in 0..2 {
        let mut run = launcher().flags(["--port", &address.to_string()]).child(&first);
        run.said("up");
        assert!(ask(address.0).contains("200 OK"));
        run.ends_with(0);
    }
}

#[test]
fn launcher_port_tells_who_holds_it() {
    let address = Address::new();
    let holder = TcpListener::bind(address.0).unwrap();
    let own_pid = std::process::id().to_string();
    let ended = launcher().verb(["port", &address.to_string()]).ended();
    let shown = ended.out.join("\n");
    assert!(shown.contains(&own_pid) && shown.contains("blackbox"), "{shown}\n{:?}", ended.err);
    let ended = launcher().verb(["port", &address.to_string(), "--json"]).ended();
    let json: serde_json::Value = serde_json::from_str(&ended.out.join("\n")).unwrap();
    assert!(json.to_string().contains(&own_pid), "{json}");
    drop(holder);
    address.gets_free();
    let ended = launcher().verb(["port", &address.to_string()]).ends_with(0);
    assert!(!ended.out.join("\n").contains(&own_pid));
}
