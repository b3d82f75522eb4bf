//! Launcher below a service manager: what it says to it, and what it is passed by it. The manager here is the test itself;
//! with the real one it is tested in `tests/systemd`.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::support::{http, *};

/// What a manager hears.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn at(setup: &Setup) -> Manager {
        Manager::on(UnixDatagram::bind(setup.home().join("above")).unwrap())
    }

    fn on(socket: UnixDatagram) -> Manager {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager { socket, heard: Vec::new() }
    }

    /// Waits for a message with this line; each message is heard once.
    #[track_caller]
    fn hears(&mut self, line: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let length =
                self.socket.recv(&mut buffer).unwrap_or_else(|_| panic!("no {line:?} after {:#?}", self.heard));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.heard.push(text.clone());
            if text.lines().any(|other| other == line || line.ends_with('=') && other.starts_with(line)) {
                return text;
            }
        }
    }

    fn never_heard(&self, line: &str) -> bool {
        !self.heard.iter().any(|text| text.lines().any(|other| other == line))
    }
}

fn below_manager(setup: Setup) -> Setup {
    let path = setup.home().join("above");
    setup.variable("NOTIFY_SOCKET", path)
}

#[test]
fn who_is_told_that_all_is_ready_finds_the_control_socket() {
    let setup = below_manager(launcher());
    let mut manager = Manager::at(&setup);
    let run = setup.child(["wait"]);
    manager.hears("READY=1");
    let sockets = run.home().runtime().join("launcher");
    let socket = std::fs::read_dir(sockets).unwrap().next().unwrap().unwrap().path();
    assert_eq!(http::unix(&socket, "GET", "/readyz").code, 200);

    let service = "[service.NAME]\ncommand = [\"CHILD\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n";
    let services = ["api", "db"].map(|name| service.replace("NAME", name)).concat();
    let mut run = launcher().file(&format!("log_level = \"debug\"\n{services}"));
    run.err("launcher is controlled at ");
    run.err("ready in ");
}

#[test]
fn a_start_a_reload_and_a_stop_are_told() {
    let setup = below_manager(launcher().flags(["--ready", "notify", "--start-timeout", "77s"]));
    let gate = setup.home().fifo("gate");
    let mut manager = Manager::at(&setup);
    let mut run = setup.child([
        "on HUP print got HUP",
        "notify STATUS=warming up\\nEXTEND_TIMEOUT_USEC=100000000",
        "gate gate",
        "notify READY=1\\nSTATUS=serving",
        "wait",
    ]);
    manager.hears("STATUS=starting: warming up");
    assert!(manager.never_heard("READY=1"));
    // What the service asks for, and a margin.
    let asked: Vec<u64> = manager.heard.iter().flat_map(|text| text.lines()).filter_map(microseconds).collect();
    assert!(asked.iter().any(|us| (77_000_000..=87_000_000).contains(us)), "{asked:?}");
    assert!(asked.iter().any(|us| (100_000_000..=110_000_000).contains(us)), "{asked:?}");
    std::fs::write(gate, "").unwrap();
    manager.hears("READY=1");
    run.signal(Signal::SIGHUP);
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    run.signal(Signal::SIGTERM);
    let stop = manager.hears("STOPPING=1");
    assert!(stop.contains("EXTEND_TIMEOUT_USEC="), "{stop}");
    run.ends_with(0);
}

fn microseconds(line: &str) -> Option<u64> {
    line.strip_prefix("EXTEND_TIMEOUT_USEC=")?.parse().ok()
}

#[test]
fn a_reload_lasts_as_long_as_the_service_says() {
    let setup = below_manager(launcher().flags(["--ready", "notify"]));
    let gate = setup.home().fifo("gate");
    let mut manager = Manager::at(&setup);
    let mut run = setup.child([
        "notify READY=1",
        "notify RELOADING=1\\nMONOTONIC_USEC=4711\\nSTATUS=reading",
        "gate gate",
        "notify READY=1\\nSTATUS=read",
        "wait",
    ]);
    manager.hears("READY=1");
    let reload = manager.hears("RELOADING=1");
    assert!(reload.contains("MONOTONIC_USEC=4711"), "{reload}");
    std::fs::write(gate, "").unwrap();
    manager.hears("READY=1");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn what_a_start_hangs_on_is_in_the_status() {
    let flags = ["--ready", "notify", "--start-timeout", "1s", "--stop-timeout", "0ms"];
    let setup = below_manager(launcher().flags(flags));
    setup.home().fifo("gate");
    let mut manager = Manager::at(&setup);
    let mut run = setup.child(["gate gate"]);
    run.ends_with(124);
    manager.hears("STOPPING=1");
    let told = manager.heard.iter().any(|text| text.contains("gate") && text.contains("STATUS="));
    assert!(told && manager.never_heard("READY=1"), "{:#?}", manager.heard);
}

#[test]
fn the_watchdog_is_fed_and_an_abstract_address_is_reached() {
    let name = format!("launcher-test-above-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let mut manager = Manager::on(socket);
    let setup = launcher().variable("NOTIFY_SOCKET", format!("@{name}")).variable("WATCHDOG_USEC", "200000");
    let mut run = setup.child(["wait"]);
    manager.hears("READY=1");
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn a_launcher_below_a_launcher_is_ready_when_its_service_is() {
    let inner = env!("CARGO_BIN_EXE_launcher");
    let setup = launcher().flags(["--ready", "notify", "--name", "outer"]);
    let gate = setup.home().fifo("gate");
    let reports = setup.home().join("inner").display().to_string();
    let child = child().display().to_string();
    let words = [inner, "run", "--ready", "notify", "--report-dir", &reports, "--", &child, "say up", "gate gate"];
    let mut run =
        setup.command(words.into_iter().chain(["notify READY=1", "on TERM both 6 got TERM", "say on", "wait"]));
    run.said("up");
    run.err("outer says: starting");
    assert!(!run.show().contains("outer is ready"));
    std::fs::write(gate, "").unwrap();
    run.err("outer is ready");
    run.said("on");
    run.signal(Signal::SIGTERM);
    run.ends_with(6);
    run.leaves_nothing();
}

/// What is answered over a connection to the address.
fn ask(address: &Address) -> TcpStream {
    let mut connection = TcpStream::connect(address.0).unwrap();
    connection.write_all(b"ask\n").unwrap();
    connection
}

#[test]
fn a_socket_from_above_is_for_the_port_of_its_name() {
    if !needs(&["systemd-socket-activate"]) {
        return;
    }
    let (given, other) = (Address::new(), Address::new());
    let text = r#"[service.child]
        command = ["CHILD", "dump-listen", "wait"]
        [[service.child.port]]
        name = "http"
        listen = "tcp://127.0.0.1:1"
        mode = "pass""#;
    let words = ["systemd-socket-activate", "--fdname=http:spare"].map(str::to_owned);
    let listen = [&given, &other].map(|address| format!("--listen={address}"));
    let setup = launcher().below(words.into_iter().chain(listen).chain(passed_on()));
    let mut run = setup.file(text);
    run.err("Listening on");
    let connection = ask(&given);
    run.err("\\\"spare\\\"");
    run.outs(&["LISTEN_PID is right", &format!("socket 3 http stream listens=true {given}")]);
    drop(connection);
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn a_single_command_is_given_all_sockets_from_above() {
    if !needs(&["systemd-socket-activate"]) {
        return;
    }
    let address = Address::new();
    let words = ["systemd-socket-activate".to_owned(), format!("--listen={address}")];
    let mut run = launcher().below(words.into_iter().chain(passed_on())).child(["dump-listen", "wait"]);
    run.err("Listening on");
    let connection = ask(&address);
    run.out(&format!("stream listens=true {address}"));
    drop(connection);
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

/// `systemd-socket-activate` gives its command no variables of its own but these.
fn passed_on() -> impl Iterator<Item = String> {
    ["PATH", "LAUNCHER_TEST_TOKEN", "LAUNCHER_TEST_SOCKET", "XDG_STATE_HOME"]
        .into_iter()
        .map(|name| format!("--setenv={name}"))
}
