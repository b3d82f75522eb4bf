//! What must answer before a service is started: `--require`, `[[service.NAME.require]]`, `launcher wait`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use crate::support::*;

/// `launcher wait` with these words.
fn wait(words: &[&str]) -> Running {
    launcher().verb(["wait"].iter().chain(words))
}

/// Waits until `launcher wait` says of the URL what is in the way.
#[track_caller]
fn tells(url: &str, text: &str) {
    wait(&[url]).err(text);
}

/// Answers the requests that come, one after the other, with these bytes each.
fn answers(listener: TcpListener, all: &'static [&'static [u8]]) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for answer in all {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = [0; 1024];
            let _ = stream.read(&mut heard);
            let _ = stream.write_all(answer);
        }
    })
}

const READY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"up\"}";
const UNREADY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

#[test]
fn the_service_is_started_when_a_server_answers_503_no_more() {
    let address = Address::new();
    let server = answers(TcpListener::bind(address.0).unwrap(), &[UNREADY, UNREADY, READY]);
    let url = format!("http://{address}/readyz");
    let mut run = launcher().flags(["--require", &url]).child(["print started", "exit 7"]);
    run.err("it answers with status 503 (Service Unavailable)");
    run.err("answers, after");
    run.ends_with(7);
    server.join().unwrap();
}

#[test]
fn a_requirement_that_is_there_costs_no_word_and_hardly_time() {
    let address = Address::new();
    let _server = TcpListener::bind(address.0).unwrap();
    let ended = launcher().flags(["--require", &format!("tcp://{address}")]).child(["exit 7"]).ends_with(7);
    assert!(!ended.complains("waits for"), "{:?}", ended.err);
}

#[test]
fn one_that_never_answers_ends_with_69_and_a_report_that_tells_each() {
    let (there, gone) = (Address::new(), Address::new());
    let _server = TcpListener::bind(there.0).unwrap();
    let urls = [format!("tcp://{there}"), format!("postgres://app:secret@{gone}/shop")];
    let flags = ["--require-timeout", "3s", "--require", &urls[0], "--require", &urls[1]];
    let mut run = launcher().flags(flags).child(["print started"]);
    let ended = run.ends_with(69);
    assert!(ended.out.is_empty(), "it must not be started: {:?}", ended.out);
    assert!(!ended.complains("secret"), "{:?}", ended.err);
    let report = run.report();
    assert_eq!(report.text("/kind"), "requirement");
    assert_eq!(report.0["verdict"]["cause"], "connect-retry");
    let missing = &report.0["requirements"][1];
    assert_eq!(missing["url"], format!("postgres://app@{gone}/shop"));
    assert_eq!((&missing["met"], &missing["problem"]), (&false.into(), &"refused".into()));
    assert!(missing["tries"].as_u64().unwrap() >= 3, "{missing}");
    assert!(missing["last_error"].as_str().unwrap().contains(&format!("connection refused by {gone}")), "{missing}");
    assert_eq!(report.0["requirements"][0]["met"], true);
}

#[test]
fn ports_are_kept_while_requirements_are_awaited() {
    let (own, other) = (Address::new(), Address::new());
    let flags = ["--port", &own.to_string(), "--require", &format!("tcp://{other}"), "--ready", "listen"];
    let mut run = launcher().flags(flags).child([format!("listen {own}"), "wait".to_owned()]);
    run.err("connection refused");
    // Without SO_REUSEADDR, which the standard library sets: that is how others are kept out.
    let other_program = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    assert_eq!(other_program.bind(&own.0.into()).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let _server = TcpListener::bind(other.0).unwrap();
    run.is_ready("child");
}

#[test]
fn a_stop_while_it_waits_is_obeyed_at_once() {
    let gone = Address::new();
    let mut run = launcher().flags(["--require", &format!("tcp://{gone}")]).child(["print started"]);
    run.err("connection refused");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
    assert!(run.reports("child").is_empty());
}

#[test]
fn several_services_wait_each_for_its_own() {
    let gone = Address::new();
    let mut run = launcher().file(&format!(
        "[service.a]\ncommand = [\"CHILD\", \"say a-up\", \"wait\"]\nready = \"started\"\n\
         [service.b]\ncommand = [\"CHILD\", \"say b-up\", \"wait\"]\nready = \"started\"\n\
         [[service.b.require]]\nurl = \"tcp://{gone}\"\n"
    ));
    run.said("a-up");
    run.err("b waits for tcp://");
    let _server = TcpListener::bind(gone.0).unwrap();
    run.said("b-up");
}

#[test]
fn what_is_in_the_way_is_told_apart() {
    let address = Address::new();
    let silent = TcpListener::bind(address.0).unwrap();
    let ended = wait(&[&format!("tcp://{}", Address::new()), "--timeout", "500ms"]).ends_with(69);
    assert!(ended.complains("connection refused by"), "{:?}", ended.err);
    tells(&format!("redis://{address}"), "is connected, but says nothing");
    tells(&format!("https://{address}"), "does not answer the TLS handshake");
    tells("file:/no/such/file", "/no/such/file does not exist");
    tells("unix:/no/such.sock", "/no/such.sock does not exist");
    tells("exec:sh -c 'echo not yet; exit 3'", "sh ended with exit code 3: not yet");
    tells("exec:no-such-command-anywhere", "no-such-command-anywhere");
    // A queue that is full drops what comes.
    let full = Address::new();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&full.0.into()).unwrap();
    socket.listen(0).unwrap();
    let _first = TcpStream::connect(full.0).unwrap();
    tells(&format!("tcp://{full}"), &format!("{full} does not answer the connection (within"));
    drop(silent);
    // Not the address from above: a neighbour's fork may hold that a moment longer.
    let other = Address::new();
    let server = answers(TcpListener::bind(other.0).unwrap(), &[b"SSH-2.0-OpenSSH_9.2p1\r\n"]);
    tells(&format!("postgres://{other}"), "what answers is not PostgreSQL: it says \"SSH-2.0-OpenSSH_9.2p1\"");
    server.join().unwrap();
}

#[test]
fn no_route_is_told_as_such() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: a network namespace is root's");
        return;
    }
    let setup = launcher().below(["unshare", "--net"]);
    let ended = setup.verb(["wait", "tcp://203.0.113.1:9", "--timeout", "2s"]).ends_with(69);
    assert!(ended.complains("no route to 203.0.113.1:9"), "{:?}", ended.err);
}

#[test]
fn wait_tells_a_wrong_url_and_what_is_right() {
    let ended = wait(&["postgre://db"]).ends_with(2);
    assert!(ended.complains("did you mean \"postgres\"?"), "{:?}", ended.err);
    wait(&[]).ends_with(2);
    let ended = wait(&["tcp://db:1", "--timeout", "5"]).ends_with(2);
    assert!(ended.complains("write 5s"), "{:?}", ended.err);
    let ended = wait(&["tcp://db:1", "--timeout", "0s"]).ends_with(2);
    assert!(ended.complains("--timeout 0s: this must be longer than zero"), "{:?}", ended.err);
}

#[test]
fn wait_comes_back_as_soon_as_all_answer() {
    let setup = launcher();
    let (file, socket) = (setup.home().join("ready"), setup.home().join("socket"));
    let _server = UnixListener::bind(&socket).unwrap();
    let urls = [format!("file:{}", file.display()), format!("unix:{}", socket.display())];
    let mut run = setup.verb(["wait", &urls[0], &urls[1], "dns:localhost", "exec:true"]);
    run.err("does not exist");
    std::fs::write(&file, "").unwrap();
    run.ends_with(0);
}

#[test]
fn a_command_runs_as_the_service_does_and_leaves_nothing() {
    let mut run = launcher().file(
        "[service.a]\ncommand = [\"CHILD\", \"exit 5\"]\nenvironment = { COLOUR = \"blue\" }\n\
         [service.a.restart]\npolicy = \"never\"\n\
         [[service.a.require]]\nurl = \"exec:sh -c 'test $COLOUR = blue && { sleep 1000 & }'\"\n",
    );
    run.ends_with(5);
    run.leaves_nothing();
}

#[test]
fn on_a_terminal_one_line_is_drawn_again_and_wiped_away() {
    let address = Address::new();
    let server = answers(TcpListener::bind(address.0).unwrap(), &[UNREADY, UNREADY, UNREADY, READY]);
    let setup = launcher().on_terminal().flags(["--require", &format!("http://{address}")]);
    let mut run = setup.child(["print started"]);
    run.out("started");
    run.ends_with(0);
    server.join().unwrap();
    let shown = run.show();
    let drawn = "child waits for http://";
    assert!(
        shown.matches(drawn).count() >= 3 && shown.matches("\\u{1b}[K").count() + shown.matches("\x1b[K").count() >= 3,
        "{shown}"
    );
}

/// A nameserver that hears everything and says nothing, in a mount namespace of its own, where `/etc/resolv.conf` names
/// it; the port of nameservers is only root's.
fn below_nameserver(setup: Setup, server: std::net::IpAddr) -> Option<Setup> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root has port 53 and mounts");
        return None;
    }
    let conf = setup.home().write("resolv.conf", &format!("nameserver {server}\noptions timeout:1 attempts:1\n"));
    let script = format!("mount --bind {} /etc/resolv.conf && exec \"$@\"", conf.display());
    Some(setup.below(["unshare", "--mount", "sh", "-c", &script, "sh"]))
}

#[test]
fn a_resolver_that_does_not_answer_is_told_from_a_name_that_does_not_exist() {
    let address = Address::new().with_port(53);
    let Some(setup) = below_nameserver(launcher(), address.0.ip()) else { return };
    let server = UdpSocket::bind(address.0).unwrap();
    let ended = setup.verb(["wait", "postgres://db.example:5432", "--timeout", "3s"]).ends_with(69);
    let text = format!("the nameserver {} does not answer, asked for db.example", address.0.ip());
    assert!(ended.complains(&text), "{:?}", ended.err);
    assert!(ended.complains("nameservers in /etc/resolv.conf"), "{:?}", ended.err);

    // From here on it says that there is no such name.
    let thread = std::thread::spawn(move || {
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut heard) {
            if heard[..length].ends_with(b"\x03end\0\0\x01\0\x01") {
                return;
            }
            heard[2..4].copy_from_slice(&[0x81, 0x83]);
            server.send_to(&heard[..length], from).unwrap();
        }
    });
    let setup = below_nameserver(launcher(), address.0.ip()).unwrap();
    setup.verb(["wait", "dns:db.example"]).err("the name db.example does not exist");
    let end = UdpSocket::bind(Address::new().with_port(0).0).unwrap();
    end.send_to(b"\x03end\0\0\x01\0\x01", address.0).unwrap();
    thread.join().unwrap();
    let setup = below_nameserver(launcher(), address.0.ip()).unwrap();
    setup.verb(["wait", "dns:db.example"]).err("nothing answers as a nameserver at");
}

/// A program that is ended when the test is.
struct Server(Child);

impl Server {
    fn start(command: &mut Command) -> Server {
        Server(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Has a PostgreSQL end at once, with all its processes: another one does not start beside any of them.
    fn quit(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        nix::sys::signal::kill(pid, Signal::SIGQUIT).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn redis_that_starts_late_with_and_without_a_password() {
    if !needs(&["redis-server"]) {
        return;
    }
    let address = Address::new().with_port(6379);
    let url = format!("redis://{address}");
    let mut run = wait(&[&url]);
    run.err("connection refused");
    let host = address.0.ip().to_string();
    let start = |more: &[&str]| {
        let options = ["--bind", &host, "--port", "6379", "--save", "", "--appendonly", "no", "--dir", "/tmp"];
        Server::start(Command::new("redis-server").args(options).args(more))
    };
    let server = start(&[]);
    run.ends_with(0);
    drop(server);
    let _server = start(&["--requirepass", "open"]);
    wait(&[&url]).ends_with(0);
    wait(&[&format!("redis://:open@{address}")]).ends_with(0);
    let mut run = wait(&[&format!("redis://:wrong@{address}")]);
    run.err("Redis says: WRONGPASS");
    assert!(!run.show().contains(":wrong"), "{}", run.show());
}

/// A PostgreSQL of its own, in a folder of its own, run by a user that is not root.
struct Postgres {
    folder: std::path::PathBuf,
    address: Address,
}

impl Postgres {
    /// Where Debian puts its programs, which are not on PATH.
    fn programs() -> Option<std::path::PathBuf> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
        let mut found: Vec<_> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
        found.sort();
        let found = found.into_iter().rev().find(|bin| bin.join("initdb").is_file());
        assert!(found.is_some() || std::env::var("CI").is_err(), "PostgreSQL is missing, which tests/setup installs");
        found
    }

    fn command(&self, program: &str) -> Command {
        let path = Postgres::programs().unwrap().join(program);
        if !nix::unistd::geteuid().is_root() {
            return Command::new(path);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(path);
        command
    }

    fn new(home: &std::path::Path, address: Address) -> Postgres {
        let postgres = Postgres { folder: home.join("data"), address };
        let mut initdb = postgres.command("initdb");
        let done =
            initdb.args(["--auth=trust", "--no-sync", "--username=postgres", "-D"]).arg(&postgres.folder).output();
        assert!(done.as_ref().unwrap().status.success(), "{done:?}");
        postgres
    }

    fn start(&self, more: &[&str]) -> Server {
        let host = format!("listen_addresses={}", self.address.0.ip());
        let options = ["-c", &host, "-c", "unix_socket_directories=", "-c", "fsync=off", "-p", "8080", "-D"];
        Server::start(self.command("postgres").args(options).arg(&self.folder).args(more))
    }
}

#[test]
fn postgresql_that_starts_late_recovers_and_is_restarted() {
    if Postgres::programs().is_none() {
        println!("skipped: PostgreSQL is not installed, which tests/setup does");
        return;
    }
    let setup = launcher();
    let address = Address::new();
    let postgres = Postgres::new(setup.home().path(), address);
    let url = format!("postgres://{address}");
    let mut run = setup.verb(["wait", &url]);
    run.err("connection refused");
    let server = postgres.start(&[]);
    run.ends_with(0);
    wait(&[&format!("postgres://postgres@{address}/postgres")]).ends_with(0);
    tells(&format!("postgres://postgres@{address}/shop"), "database \"shop\" does not exist");
    tells(&format!("postgres://app@{address}/postgres"), "role \"app\" does not exist");
    server.quit();

    // A standby that has nobody to follow takes TCP connections and never a session: it is in recovery.
    std::fs::write(postgres.folder.join("standby.signal"), "").unwrap();
    let standby = postgres.start(&["-c", "hot_standby=off", "-c", "restore_command=false"]);
    let mut run = wait(&[&url]);
    run.err("PostgreSQL says: the database system is");
    standby.quit();
    std::fs::remove_file(postgres.folder.join("standby.signal")).unwrap();
    let _server = postgres.start(&[]);
    run.ends_with(0);
}

/// Makes an authority and a certificate for `localhost`, and serves HTTPS with it.
#[test]
fn https_needs_a_certificate_that_is_trusted() {
    if !needs(&["openssl"]) {
        return;
    }
    let setup = launcher();
    let (key, certificate) = (setup.home().join("key.pem"), setup.home().join("certificate.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], own_port()));
    let _server = Server::start(
        Command::new("openssl")
            .args(["s_server", "-www", "-quiet", "-accept", &address.to_string(), "-cert"])
            .arg(&certificate)
            .arg("-key")
            .arg(&key),
    );
    wait(&[&format!("tcp://{address}")]).ends_with(0);
    let url = format!("https://localhost:{}/", address.port());
    let ended = wait(&[&url, "--timeout", "3s"]).ends_with(69);
    assert!(ended.complains("is refused") || ended.complains("no authority"), "{:?}", ended.err);
    launcher().variable("SSL_CERT_FILE", &certificate).verb(["wait", &url]).ends_with(0);
    let mut run = setup.file(&format!(
        "[service.a]\ncommand = [\"CHILD\", \"exit 5\"]\nrestart.policy = \"never\"\n\
         [[service.a.require]]\nurl = {url:?}\nca = {:?}\n",
        certificate.display().to_string()
    ));
    run.ends_with(5);
}

#[test]
fn a_connection_that_is_accepted_is_closed_again() {
    let address = Address::new();
    let server = TcpListener::bind(address.0).unwrap();
    wait(&[&format!("tcp://{address}")]).ends_with(0);
    let (mut stream, _): (TcpStream, _) = server.accept().unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}
