//! Measures what is looked at before a start: `launcher check` of many services with many files each, and what
//! requirements that are there add to a start. `benches/check/run` builds and runs it. It is no test.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SERVICES: usize = 20;
/// Of each service, of all forms.
const FILES: usize = 10;
/// How often each is measured.
const TIMES: usize = 100;

/// What a file is read as, and what is in it.
const FORMS: [(&str, &str); 5] = [
    ("yaml", "database:\n  host: ${HOME}\n  port: 5432\nfeatures: [a, b, c]\nlog: {level: info, file: /tmp/x}\n"),
    (
        "json",
        "{\"database\": {\"host\": \"db\", \"port\": 5432}, \"features\": [\"a\", \"b\"], \"log\": {\"level\": \"info\"}}\n",
    ),
    ("toml", "features = [\"a\"]\n[database]\nhost = \"db\"\nport = 5432\n[log]\nlevel = \"info\"\n"),
    ("properties", "database.host=db\ndatabase.port=5432\nlog.level=info\n"),
    ("ini", "[database]\nhost = db\nport = 5432\n[log]\nlevel = info\n"),
];

const SCHEMA: &str = r#"{"type": "object", "properties": {"database": {"type": "object", "required": ["host"],
  "properties": {"host": {"type": "string"}, "port": {"type": "integer", "minimum": 1}}}}}"#;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    println!("launcher check of {SERVICES} services with {FILES} files each, milliseconds (median, 95th percentile)");
    for (name, schema) in [("required keys", false), ("and a schema for each", true)] {
        let file = write_services(folder.path(), schema);
        let once = || {
            let status = Command::new(env!("CARGO_BIN_EXE_launcher"))
                .args(["check", "-c", &file])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(status.is_ok_and(|status| status.success()), "nothing is wrong with them");
        };
        let (median, most) = figures((0..TIMES).map(|_| timed(once)).collect());
        println!("{name:>24} {median:>8.1} {most:>8.1}");
    }
    requirements();
}

/// A launcher.toml with all its files, which are as they must be.
fn write_services(folder: &Path, schema: bool) -> String {
    std::fs::write(folder.join("schema.json"), SCHEMA).expect("a file");
    let mut text = String::new();
    for service in 0..SERVICES {
        let _ = writeln!(text, "[service.s{service}]\ncommand = [\"sleep\", \"1\"]");
        for number in 0..FILES {
            let (form, content) = FORMS[number % FORMS.len()];
            let name = format!("s{service}-{number}.{form}");
            std::fs::write(folder.join(&name), content).expect("a file");
            let _ = writeln!(text, "[[service.s{service}.file]]\npath = {name:?}");
            let _ = writeln!(text, "required = {{ \"database.host\" = \"string\", \"database.port\" = \"port\" }}");
            if schema && form != "properties" {
                text.push_str("schema = \"schema.json\"\n");
            }
        }
    }
    let file = folder.join("launcher.toml");
    std::fs::write(&file, text).expect("a file");
    file.display().to_string()
}

/// A start with nothing to wait for beside one with requirements that answer at once, by turns.
fn requirements() {
    let (tcp, http, redis) = (serve(""), serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), serve("+PONG\r\n"));
    let urls = [format!("tcp://{tcp}"), format!("http://{http}/"), format!("redis://{redis}")];
    println!("\na start of `true` with requirements that are there, milliseconds (median, 95th percentile)");
    let sets: [(&str, &[String]); 4] =
        [("none", &[]), ("tcp", &urls[..1]), ("tcp and http", &urls[..2]), ("tcp, http and redis", &urls)];
    let mut times = vec![Vec::new(); sets.len()];
    for _ in 0..TIMES {
        for ((_, urls), times) in sets.iter().zip(&mut times) {
            let mut command = Command::new(env!("CARGO_BIN_EXE_launcher"));
            command.args(["run", "--control", "off"]);
            for url in *urls {
                command.args(["--require", url]);
            }
            command.args(["--", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
            times.push(timed(|| assert!(command.status().is_ok_and(|status| status.success()), "it is started")));
        }
    }
    let mut without = None;
    for ((name, _), times) in sets.iter().zip(times) {
        let (median, most) = figures(times);
        let added = median - *without.get_or_insert(median);
        println!("{name:>24} {median:>8.2} {most:>8.2}   adds {added:.2}");
    }
}

/// A server that answers everything alike.
fn serve(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || converse(stream, answer));
        }
    });
    address
}

fn converse(mut stream: TcpStream, answer: &str) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).is_ok_and(|length| length > 0) {
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn timed(what: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    what();
    begun.elapsed()
}

/// Median and 95th percentile in milliseconds.
fn figures(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1000.0;
    (at(50), at(95))
}
