//! Restarts of a server under load: what is lost, and how long clients wait.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::load::{self, Outcome};

/// New connections a second.
const RATE: u32 = 2_000;
const TIME: Duration = Duration::from_secs(12);
/// When a restart is asked for.
const RESTARTS: [u64; 5] = [1, 3, 5, 7, 9];

/// Who starts the server, and starts it again.
#[derive(Clone, Copy)]
enum Way {
    /// Once, and never again.
    Once,
    /// SIGTERM, its end, and a new one.
    StopStart,
    /// The launcher, with this mode of its port.
    Launcher(&'static str),
    /// `start_server`.
    ServerStarter,
}

const WAYS: [(&str, Way); 8] = [
    ("no restart", Way::Once),
    ("stop, then start", Way::StopStart),
    ("launcher, reserve", Way::Launcher("reserve")),
    ("launcher, pass", Way::Launcher("pass")),
    ("launcher, adopt", Way::Launcher("adopt")),
    ("launcher, capture", Way::Launcher("capture")),
    ("launcher, share", Way::Launcher("share")),
    ("Server::Starter", Way::ServerStarter),
];

/// Measures all ways that are installed and have this in their name.
pub fn measure(name_has: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(server) = built(folder.path()) else { return println!("(restarts under load: Go is not installed)") };
    println!(
        "{RATE} new connections a second for {} s, {} restarts of a server that takes 200 ms to start;\n\
         latency in milliseconds from when a connection was due until its answer was whole",
        TIME.as_secs(),
        RESTARTS.len()
    );
    println!(
        "{:>18} {:>9} {:>6} {:>8} {:>6} {:>9} {:>8} {:>7} {:>7} {:>7}",
        "", "answered", "lost", "refused", "reset", "timed out", "servers", "median", "p99", "longest"
    );
    let wanted = WAYS.into_iter().enumerate().filter(|(_, (name, _))| name.contains(name_has));
    for (number, (name, way)) in wanted {
        if matches!(way, Way::ServerStarter) && Command::new("start_server").arg("--version").output().is_err() {
            println!("{name:>18} is not installed (Debian: libserver-starter-perl)");
            continue;
        }
        let host = [127, 77, (std::process::id() % 250) as u8, number as u8 + 1];
        let place = folder.path().join(number.to_string());
        std::fs::create_dir(&place).expect("a folder");
        show(name, &under_load(Server { way, address: (host, 8080).into(), program: server.clone(), place }));
    }
}

fn show(name: &str, outcome: &Outcome) {
    let milliseconds = |part| outcome.percentile(part).as_secs_f64() * 1e3;
    println!(
        "{name:>18} {:>9} {:>6} {:>8} {:>6} {:>9} {:>8} {:>7.1} {:>7.1} {:>7.1}",
        outcome.answered.len(),
        outcome.lost(),
        outcome.refused,
        outcome.reset,
        outcome.timed_out,
        outcome.servers.len(),
        milliseconds(0.5),
        milliseconds(0.99),
        milliseconds(1.0)
    );
    if let Some(first) = outcome.failed.first() {
        println!("{:>18} {} could not be made, the first: {first}", "", outcome.failed.len());
    }
}

fn built(folder: &Path) -> Option<PathBuf> {
    let program = folder.join("server");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/ports/server.go");
    let mut build = Command::new("go");
    build
        .args(["build", "-o"])
        .arg(&program)
        .arg(source)
        .env("GOCACHE", folder.join("cache"))
        .env("GOFLAGS", "-mod=mod");
    let status = build.env("GO111MODULE", "off").status().ok()?;
    assert!(status.success(), "{source} is built");
    Some(program)
}

/// The server, and what looks after it.
struct Server {
    way: Way,
    address: SocketAddr,
    program: PathBuf,
    /// A folder of its own.
    place: PathBuf,
}

fn under_load(server: Server) -> Outcome {
    let mut process = server.start();
    while load::load(server.address, 1, Duration::from_secs(1)).answered.is_empty() {
        assert!(process.try_wait().expect("its state").is_none(), "the server has ended");
    }
    let began = Instant::now();
    let address = server.address;
    let clients = std::thread::spawn(move || load::load(address, RATE, TIME));
    if !matches!(server.way, Way::Once) {
        for second in RESTARTS {
            std::thread::sleep((began + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
            server.restart(&mut process);
        }
    }
    let outcome = clients.join().expect("no panic");
    signal(&process, Signal::SIGTERM);
    process.wait().expect("its end");
    outcome
}

impl Server {
    fn start(&self) -> Child {
        let address = self.address.to_string();
        let mut command = match self.way {
            Way::Once | Way::StopStart => Command::new(&self.program),
            Way::Launcher(mode) => {
                let file = self.place.join("launcher.toml");
                // A program that takes passed sockets says when it is ready; the others know nothing of the launcher.
                let ready = if mode == "pass" { "notify" } else { "listen" };
                let text = format!(
                    "[launcher]\nreport_dir = {:?}\n[service.api]\ncommand = [{:?}, {address:?}, {mode:?}]\n\
                     ready = {ready:?}\n[[service.api.port]]\nlisten = \"tcp://{address}\"\nmode = {mode:?}\n",
                    self.place.join("reports"),
                    self.program
                );
                std::fs::write(&file, text).expect("a file");
                let mut command = self.launcher();
                command.arg("run").arg("-c").arg(file);
                return command.spawn().expect("the launcher");
            }
            Way::ServerStarter => {
                let mut command = Command::new("start_server");
                command.args(["--port", &address, "--"]).arg(&self.program);
                command
            }
        };
        command.arg(address).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server")
    }

    fn launcher(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_launcher"));
        command.current_dir(&self.place).env("XDG_RUNTIME_DIR", &self.place);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn restart(&self, process: &mut Child) {
        match self.way {
            Way::Once => {}
            Way::StopStart => {
                signal(process, Signal::SIGTERM);
                process.wait().expect("its end");
                *process = self.start();
            }
            Way::Launcher(_) => {
                let status = self.launcher().args(["restart", "api"]).status().expect("the launcher");
                assert!(status.success(), "the restart has succeeded");
            }
            Way::ServerStarter => signal(process, Signal::SIGHUP),
        }
    }
}

fn signal(process: &Child, signal: Signal) {
    kill(Pid::from_raw(process.id() as i32), signal).expect("it is there");
}
