//! A running launcher as those see it who ask: probes, browsers, `launcher status`, and those who mean no good.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::http::{self, Told};
use crate::support::*;

/// What every launcher.toml here begins with.
const DEBUG: &str = "log_level = \"debug\"\n";

/// A launcher with one service that is ready.
fn serving(more: &str) -> Running {
    let text = format!(
        "{DEBUG}{more}[service.api]\ncommand = [\"CHILD\", \"print up\", \"notify STATUS=well\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n"
    );
    let mut running = launcher().file(&text);
    running.is_ready("api");
    running
}

#[test]
fn every_question_is_answered_at_both_doors() {
    let address = Address::new();
    let mut running = serving(&format!("http = \"{address}\"\n"));
    running.out("up");
    let socket = running.control_socket();
    for (target, kind, part) in [
        ("/livez", "text/plain", "ok\n"),
        ("/healthz", "text/plain", "ok\n"),
        ("/readyz", "text/plain", "ok\n"),
        (
            "/metrics",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "launcher_service_ready{service=\"api\"} 1\n",
        ),
        ("/status", "application/json", "\"state\": \"ready\""),
        ("/reports", "application/json", "\"reports\": []"),
        ("/logs/api", "text/plain", "up\n"),
        ("/logs/api?n=0", "text/plain", ""),
        ("/", "text/html; charset=utf-8", "all ready"),
    ] {
        for answer in [http::unix(&socket, "GET", target), http::tcp(address.0, "GET", target)] {
            assert_eq!(answer.code, 200, "{target}: {answer:?}");
            assert!(answer.head.contains(&format!("\r\ncontent-type: {kind}")), "{target}: {answer:?}");
            assert!(answer.head.contains("\r\ncache-control: no-store"), "{target}: {answer:?}");
            assert!(answer.body.contains(part), "{target}: {answer:?}");
        }
        let head = http::tcp(address.0, "HEAD", target);
        assert_eq!((head.code, head.body.as_str()), (200, ""), "{target}");
        let posted = http::tcp(address.0, "POST", target);
        assert!(posted.code == 405 && posted.head.contains("\r\nallow: get, head"), "{posted:?}");
    }
    for target in
        ["/x", "/reports/api/latest", "/reports/none/latest", "/logs/none", "/logs/../../etc/passwd", "/status/"]
    {
        assert_eq!(http::tcp(address.0, "GET", target).code, 404, "{target}");
    }
    assert_eq!(http::tcp(address.0, "GET", "/logs/api?n=many").code, 400);
    running.signal(Signal::SIGTERM);
    running.ends_with(0);
    assert!(!socket.exists(), "its file goes with the launcher");
}

#[test]
fn a_start_that_waits_says_what_for_until_it_is_ready() {
    let address = Address::new();
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let text = format!(
        "{DEBUG}http = \"{address}\"\n\
         [service.db]\ncommand = [\"CHILD\", \"notify STATUS=recovering\", \"gate {}\", \"notify READY=1\", \"wait\"]\n\
         ready = \"notify\"\n[service.api]\ncommand = [\"CHILD\", \"wait\"]\nafter = [\"db\"]\nready = \"started\"\n",
        gate.display()
    );
    let mut running = setup.file(&text);
    running.err("db says: recovering");
    let answer = http::tcp(address.0, "GET", "/readyz");
    assert_eq!(answer.code, 503);
    let lines: Vec<&str> = answer.body.lines().collect();
    assert!(lines[0].starts_with("db: starting, waits for READY=1 from its processes, for "), "{lines:?}");
    assert!(lines[0].ends_with("; it says: recovering"), "{lines:?}");
    assert_eq!(lines[1..], ["api: waiting, waits for db, which is starting"]);
    assert_eq!(http::tcp(address.0, "GET", "/healthz").code, 200, "it has not failed");
    running.control_socket();
    let told = running.command(&["status"]);
    assert!(told.out.contains("waits for db, which is starting"), "{told:?}");
    let told = running.command(&["status", "db"]);
    assert!(told.out.contains("  says      recovering\n"), "{told:?}");
    std::fs::write(&gate, "").unwrap();
    running.is_ready("api");
    assert_eq!(http::tcp(address.0, "GET", "/readyz").code, 200);
}

#[test]
fn a_failure_makes_it_unhealthy_and_has_its_report() {
    let address = Address::new();
    let text = format!(
        "{DEBUG}http = \"{address}\"\n[service.api]\ncommand = [\"CHILD\", \"exit 3\"]\nready = \"notify\"\n\
         restart.breaker = {{ failures = 1, within = \"1m\", cooldown = \"1h\" }}\n"
    );
    let mut running = launcher().file(&text);
    running.err("\"breaker-opened\"");
    let answer = http::tcp(address.0, "GET", "/healthz");
    assert!(answer.code == 503 && answer.body.starts_with("api: its breaker is open: "), "{answer:?}");
    assert!(answer.body.contains("exited with code 3"), "{answer:?}");
    let report = http::tcp(address.0, "GET", "/reports/api/latest").json();
    assert_eq!((&report["schema"], &report["exit"]["code"]), (&"launcher-report/1".into(), &3.into()));
    assert_eq!(http::tcp(address.0, "GET", "/reports").json()["reports"][0]["latest"], "/reports/api/latest");
    let status = http::tcp(address.0, "GET", "/status").json();
    let api = &status["services"][0];
    assert_eq!(
        (&api["state"], &api["breaker_open"], &api["reports"]["exited"]),
        (&"open".into(), &true.into(), &1.into())
    );
    assert_eq!(status["launcher"]["healthy"], false);
}

/// A Python that has Prometheus' own client library: the one on PATH, or the distribution's.
fn python_with_prometheus() -> Option<&'static str> {
    let has = |python: &&str| {
        let import = "import prometheus_client.openmetrics.parser";
        std::process::Command::new(python).args(["-c", import]).output().is_ok_and(|output| output.status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has);
    let why = "needs python3-prometheus-client, which tests/setup installs";
    assert!(found.is_some() || std::env::var("CI").is_err(), "{why}");
    if found.is_none() {
        println!("skipped: {why}");
    }
    found
}

#[test]
fn prometheus_reads_the_metrics() {
    let Some(python) = python_with_prometheus() else { return };
    let port = Address::new();
    let running = serving(&format!("http = \"{}\"\n", port.with_port(8081)));
    let metrics = http::tcp(port.with_port(8081).0, "GET", "/metrics").body;
    let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families\n\
                  for family in text_string_to_metric_families(sys.stdin.read()):\n\
                  \x20 for sample in family.samples: print(family.type, sample.name, sorted(sample.labels.items()), sample.value)\n";
    let mut parser = running.command_as(python, &["-c", script]);
    let mut parser = parser.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    parser.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    let read = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{metrics}");
    for line in [
        "counter launcher_service_starts_total [('service', 'api')] 1",
        "gauge launcher_ready [] 1",
        "stateset launcher_service_state [('launcher_service_state', 'ready'), ('service', 'api')] 1",
        "gauge launcher_service_processes [('service', 'api')] 1",
    ] {
        assert!(read.lines().any(|found| found == line), "{line} in\n{read}");
    }
}

#[test]
fn a_command_finds_the_launcher_of_its_folder_or_name_or_socket() {
    let mut running = serving("name = \"shop\"\n");
    let socket = running.control_socket();
    let socket = socket.to_str().unwrap();
    for words in [&["status"][..], &["status", "--name", "shop"], &["status", "--control", socket]] {
        let told = running.command(words);
        assert_eq!(told.code, Some(0), "{told:?}");
        assert!(told.out.starts_with("shop: ready, up ") && told.out.contains("\napi      ready"), "{told:?}");
        assert!(told.out.contains("  well\n"), "{told:?}");
    }
    let json: serde_json::Value = serde_json::from_str(&running.command(&["status", "--json", "api"]).out).unwrap();
    assert_eq!((&json["state"], &json["generation"]), (&"ready".into(), &1.into()));
    let refused = |words: &[&str], part: &str| {
        let told = running.command(words);
        assert!(told.code == Some(71) && told.err.contains(part), "{words:?}: {told:?}");
    };
    refused(&["status", "ap"], "unknown service \"ap\", did you mean \"api\"?; there is api");
    refused(&["status", "--name", "blog"], "no launcher of the name \"blog\" runs; there are\n  shop, pid ");
    refused(&["status", "--control", "/no/such/socket"], "there is no such file");
    refused(&["status", "--control", "/etc/passwd"], "launcher: /etc/passwd is no socket");
    let told = Told::of(running.command_as(env!("CARGO_BIN_EXE_launcher"), &["status"]).current_dir("/"));
    assert!(told.err.starts_with("launcher: no launcher runs in this folder, /; there are\n"), "{told:?}");
    assert_eq!(running.command(&["status", "--name", "x", "--control", "y"]).code, Some(2));
}

/// Where its socket is may be chosen: it is found by its name and its folder as well.
#[test]
fn a_launcher_whose_socket_was_chosen_is_found_by_name_and_folder_too() {
    let mut running = serving("name = \"shop\"\ncontrol = \"ctl.sock\"\n");
    let chosen = running.control_socket();
    assert_eq!(chosen, running.home().join("ctl.sock"));
    for words in [&["status"][..], &["status", "--name", "shop"], &["status", "--control", "ctl.sock"]] {
        let told = running.command(words);
        assert!(told.code == Some(0) && told.out.starts_with("shop: ready, up "), "{words:?}: {told:?}");
    }
    let usual = running.home().runtime().join("launcher");
    let files = || std::fs::read_dir(&usual).unwrap().count();
    assert_eq!(files(), 1);
    running.signal(Signal::SIGTERM);
    running.ends_with(0);
    assert_eq!((files(), chosen.exists()), (0, false), "both files go with it");
}

/// As does one whose socket was chosen to be where commands look: it is one launcher, not two.
#[test]
fn a_socket_that_was_chosen_among_the_usual_ones_is_of_one_launcher() {
    let setup = launcher();
    let folder = setup.home().runtime().join("launcher");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
    let chosen = folder.join("mine.sock");
    let flags = ["--log-level", "debug", "--ready", "notify", "--control", chosen.to_str().unwrap()];
    let mut running = setup.flags(flags).child(["notify READY=1", "wait"]);
    running.is_ready("child");
    assert_eq!(running.control_socket(), chosen);
    for words in [&["status"][..], &["status", "--name", "child"]] {
        let told = running.command(words);
        assert_eq!(told.code, Some(0), "{words:?}: {told:?}");
    }
}

#[test]
fn two_launchers_of_one_name_are_told_apart() {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let start = || {
        let setup =
            launcher().variable("XDG_RUNTIME_DIR", home.path()).flags(["--name", "twin", "--log-level", "debug"]);
        let mut running = setup.child(["wait"]);
        let socket = running.control_socket();
        (running, socket)
    };
    let ((one, first), (_two, second)) = (start(), start());
    let ask = |words: &[&str]| {
        let mut command = one.command_as(env!("CARGO_BIN_EXE_launcher"), words);
        Told::of(command.env("XDG_RUNTIME_DIR", home.path()))
    };
    let told = ask(&["status", "--name", "twin"]);
    assert_eq!(told.code, Some(71), "{told:?}");
    assert!(told.err.starts_with("launcher: 2 launchers of the name \"twin\" run\n"), "{told:?}");
    for socket in [&first, &second] {
        assert!(told.err.contains(socket.to_str().unwrap()), "{told:?}");
        assert_eq!(ask(&["status", "--control", socket.to_str().unwrap()]).code, Some(0));
    }
    assert_eq!(ask(&["status"]).code, Some(0), "its folder tells them apart");
}

#[test]
fn the_socket_of_a_killed_launcher_is_replaced_and_that_of_a_living_one_never() {
    let setup = launcher();
    let path = setup.home().join("control.sock");
    let flags = ["--log-level", "debug", "--control", path.to_str().unwrap()];
    let mut first = setup.flags(flags).child(["wait"]);
    assert_eq!(first.control_socket(), path);
    let mode = std::fs::symlink_metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let mut second = launcher().flags(flags).child(["print up", "wait"]);
    let line = second.err("the control socket could not be opened");
    assert!(line.contains("is in use by another launcher"), "{line}");
    assert_eq!(http::unix(&path, "GET", "/status").json()["launcher"]["pid"], first.pid());
    second.out("up");
    drop(second);

    first.signal(Signal::SIGKILL);
    assert_eq!(first.ended().signal, Some(9));
    assert!(path.exists(), "nobody was left to remove it");
    let told = first.command(&["status", "--control", path.to_str().unwrap()]);
    assert!(told.code == Some(71) && told.err.contains("runs no more"), "{told:?}");
    let mut third = launcher().flags(flags).child(["wait"]);
    assert_eq!(third.control_socket(), path);
    assert_eq!(http::unix(&path, "GET", "/status").json()["launcher"]["pid"], third.pid());
}

#[test]
fn what_killed_launchers_leave_in_the_usual_place_is_cleared_away() {
    let mut first = serving("");
    let socket = first.control_socket();
    first.signal(Signal::SIGKILL);
    first.ended();
    let told = first.command(&["status"]);
    assert!(told.code == Some(71) && told.err.contains("no launcher runs in this folder"), "{told:?}");
    let second = launcher().variable("XDG_RUNTIME_DIR", first.home().runtime()).flags(["--log-level", "debug"]);
    let mut second = second.child(["wait"]);
    assert_eq!(second.control_socket().parent(), socket.parent());
    assert!(!socket.exists());
}

#[test]
fn another_user_may_not_ask() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root can be another user");
    }
    let setup = launcher().with_copies();
    let path = setup.home().join("control.sock");
    let flags = ["--log-level", "debug", "--control", path.to_str().unwrap()];
    let mut running = setup.flags(flags).child(["wait"]);
    running.control_socket();
    let program = running.home().join("launcher");
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", program.to_str().unwrap()];
    let words = [&nobody[..], &["status", "--control", path.to_str().unwrap()]].concat();
    let told = Told::of(&mut running.command_as("setpriv", &words));
    assert!(told.code == Some(71) && told.err.contains("another user's launcher"), "{told:?}");
}

#[test]
fn a_place_that_cannot_be_written_costs_one_line() {
    let mut running = launcher().flags(["--control", "/proc/none/control.sock"]).child([
        "print up",
        "on TERM exit 0",
        "print armed",
        "wait",
    ]);
    running.out("armed");
    running.err("the control socket could not be opened: /proc/none/control.sock: No such file");
    running.signal(Signal::SIGTERM);
    let ended = running.ends_with(0);
    assert_eq!(ended.err.iter().filter(|line| line.contains("control")).count(), 1, "{:?}", ended.err);
}

#[test]
fn without_a_control_socket_there_is_none() {
    let mut running =
        launcher().flags(["--log-level", "debug", "--control", "off"]).child(["notify READY=1", "print up", "nap 50"]);
    running.out("up");
    let ended = running.ends_with(0);
    assert!(!ended.complains("launcher is controlled at"), "{:?}", ended.err);
}

/// As the help has it: the default may be written, over what the file says too.
#[test]
fn http_may_be_off() {
    launcher().flags(["--http", "off"]).command(["true"]).ends_with(0);
    let text = "[launcher]\nhttp = \"127.0.0.1:9\"\n[service.a]\ncommand = [\"true\"]\nready = \"exited\"\n";
    for (text, words) in [(text, &["run", "--http", "off"][..]), (&text.replace("127.0.0.1:9", "off"), &["run"])] {
        let setup = launcher();
        setup.home().write("launcher.toml", text);
        let ended = setup.verb(words).ends_with(0);
        assert!(!ended.complains("status is served"), "{:?}", ended.err);
    }
}

#[test]
fn a_taken_address_is_told_with_its_owner_before_anything_starts() {
    let address = Address::new();
    let _holder = std::net::TcpListener::bind(address.0).unwrap();
    let mut running = launcher().flags(["--http", &address.to_string()]).child(["print up", "wait"]);
    let ended = running.ends_with(71);
    assert!(ended.complains("is taken") && ended.complains(&format!("pid {}", std::process::id())), "{:?}", ended.err);
    assert!(ended.out.is_empty(), "{:?}", ended.out);
}

#[test]
fn pages_from_elsewhere_and_rebound_names_are_refused() {
    let address = Address::new();
    let _running = serving(&format!("http = \"{address}\"\n"));
    let ask = |headers: &str| http::raw_tcp(address.0, &format!("GET /status HTTP/1.1\r\n{headers}\r\n")).code;
    assert_eq!(ask("Host: localhost:8080\r\n"), 200);
    assert_eq!(ask("Host: evil.example:8080\r\n"), 421);
    assert_eq!(ask(&format!("Host: {address}\r\nOrigin: http://evil.example\r\n")), 403);
    assert_eq!(ask(&format!("Host: {address}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n")), 403);
    assert_eq!(ask(&format!("Host: {address}\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n")), 200);
}

#[test]
fn what_is_no_request_harms_nobody() {
    let address = Address::new();
    let mut running = serving(&format!("http = \"{address}\"\n"));
    let long = "x".repeat(100_000);
    let many: String = (0..500).map(|number| format!("h{number}: v\r\n")).collect();
    for text in [
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "\u{0}\u{1}\u{2}\u{3}\r\n\r\n",
        &format!("GET /{long} HTTP/1.1\r\n\r\n"),
        &format!("GET / HTTP/1.1\r\nHost: {address}\r\nA: {long}\r\n\r\n"),
        &format!("GET / HTTP/1.1\r\n{many}\r\n"),
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST /status HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET http://evil.example/status HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(address.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may be refused, and the connection reset, before all of it is sent.
        let _ = stream.write_all(text.as_bytes());
        let answer = String::from_utf8_lossy(&http::until_end(&mut stream)).into_owned();
        let shown: String = text.chars().take(40).collect();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{shown:?} was answered {answer:?}");
    }
    assert_eq!(http::tcp(address.0, "GET", "/livez").code, 200);
    running.signal(Signal::SIGTERM);
    let ended = running.ends_with(0);
    assert!(!ended.complains("fault"), "{:?}", ended.err);
}

/// One who connects and says nothing keeps nobody else out for long, at either door.
#[test]
fn the_silent_lose_their_place() {
    let address = Address::new();
    let mut running = serving(&format!("http = \"{address}\"\n"));
    let socket = running.control_socket();
    let mut silent: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(address.0).unwrap()).collect();
    for stream in &mut silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /livez HT").unwrap();
    }
    let turned_away = http::tcp(address.0, "GET", "/livez");
    assert_eq!(turned_away.code, 503, "{turned_away:?}");
    assert_eq!(http::unix(&socket, "GET", "/livez").code, 200, "the other door is open");
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0; 16]).unwrap_or(0), 0, "given up");
    }
    assert_eq!(http::tcp(address.0, "GET", "/livez").code, 200);
}

/// A process that sends and goes away at any point.
#[test]
fn those_who_go_away_leave_no_trace() {
    let mut running = serving("");
    let socket = running.control_socket();
    let request = "GET /logs/api?follow HTTP/1.1\r\nHost: x\r\n\r\n";
    // Fewer than are let in at a time: none of them is turned away, whenever their going is noticed.
    for length in 0..=request.len() {
        http::connect(&socket).write_all(&request.as_bytes()[..length]).unwrap();
    }
    assert_eq!(http::unix(&socket, "GET", "/readyz").code, 200);
    assert!(Path::new(&socket).exists());
}

#[test]
fn what_a_service_writes_is_followed_to_the_end() {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let text = format!(
        "{DEBUG}[service.api]\ncommand = [\"CHILD\", \"print one\", \"print two\", \"notify READY=1\", \"gate {}\", \"print three\", \"on TERM both 0 bye\", \"print armed\", \"wait\"]\nready = \"notify\"\n",
        gate.display()
    );
    let mut running = setup.file(&text);
    running.is_ready("api");
    running.out("two");
    let socket = running.control_socket();
    assert_eq!(http::unix(&socket, "GET", "/logs/api?n=1").body, "two\n");
    let mut stream = http::connect(&socket);
    stream.write_all(b"GET /logs/api?n=1&follow HTTP/1.0\r\n\r\n").unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    std::fs::write(&gate, "").unwrap();
    running.out("armed");
    running.signal(Signal::SIGTERM);
    running.ended();
    let all = String::from_utf8(http::until_end(&mut stream)).unwrap();
    assert!(all.ends_with("\r\n\r\ntwo\nthree\narmed\nbye\n"), "{all:?}");
}
