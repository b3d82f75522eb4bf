//! Goroutines: delve, and the program's own profile over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use launcher::core::diagnosis::diagnose;
use launcher::core::facts::{Facts, Occasion};
use launcher::sys::dump::{self, Options};

use super::table::{Way, compare};

/// Goroutines of the victim, and how often each way is run.
const COUNTS: [(usize, usize); 2] = [(10_000, 5), (100_000, 3)];

/// A victim with very many goroutines.
struct Victim {
    child: Child,
    profile: String,
    _folder: tempfile::TempDir,
}

impl Victim {
    /// Delve knows no stripped program, so this one is not; for the launcher that is the same.
    fn start(count: usize) -> Victim {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("many");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/dump/many.go");
        let mut go = Command::new("go");
        go.arg("build").arg("-o").arg(&program).arg(source).env("GO111MODULE", "off").env("CGO_ENABLED", "0");
        assert!(go.status().expect("Go").success());
        let mut command = Command::new(&program);
        let mut child = command.arg(count.to_string()).stdout(Stdio::piped()).spawn().expect("the victim");
        let mut profile = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut profile).expect("its line");
        Victim { child, profile: profile.trim().to_owned(), _folder: folder }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything about goroutines.
pub fn all() {
    if Command::new("go").arg("version").stdout(Stdio::null()).status().is_err() {
        println!("\n(Go is not installed)");
        return;
    }
    for (count, rounds) in COUNTS {
        let victim = Victim::start(count);
        let pid = victim.child.id() as i32;
        memory(pid, count);
        let goroutines = |pid: i32| {
            let processes = dump::dump(&[pid], &Options { second_sample_after: None, ..Options::default() });
            let told: usize = processes.iter().map(|process| process.tasks.len()).sum();
            assert!(told >= count && processes.iter().all(|process| process.dump_error.is_none()), "{told}");
        };
        let explained = |pid: i32| {
            let mut facts = Facts::new("many", Occasion::StartTimeout);
            facts.processes = dump::dump(&[pid], &Options { second_sample_after: None, ..Options::default() });
            assert!(!diagnose(&facts).verdict.summary.is_empty());
        };
        let launcher = [env!("CARGO_BIN_EXE_launcher"), "dump", "--json", "{}"];
        let text = [env!("CARGO_BIN_EXE_launcher"), "dump", "{}"];
        let script = victim._folder.path().join("script");
        std::fs::write(&script, "goroutines -t 20\nexit\n").expect("a script");
        let attach = format!(
            "yes n | dlv attach {{}} --allow-non-terminal-interactive=true --init {} >/dev/null 2>&1",
            script.display()
        );
        let delve = ["sh", "-c", &attach];
        let mut ways = vec![
            Way::call("goroutines alone, as at a deadline", goroutines),
            Way::call("the same with the verdict", explained),
        ];
        ways.extend(Way::command("launcher dump --json (two samples)", &launcher));
        ways.extend(Way::command("launcher dump (two samples)", &text));
        ways.push(Way::call("the program's own /debug/pprof", |_| fetch(&victim.profile)));
        // It needs more than a minute for a hundred thousand.
        if count <= 10_000 && Command::new("dlv").arg("version").stdout(Stdio::null()).status().is_ok() {
            ways.extend(Way::command("dlv attach, goroutines -t", &delve));
        }
        compare(&format!("\n{count} goroutines"), pid, rounds, &ways);
    }
}

/// The most memory that `launcher dump --json` had at any time.
#[allow(clippy::zombie_processes, reason = "wait4(2) waits for it")]
fn memory(pid: i32, count: usize) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_launcher"));
    command.args(["dump", "--json", &pid.to_string()]).stdout(Stdio::piped()).stderr(Stdio::null());
    let begun = Instant::now();
    #[allow(clippy::zombie_processes, reason = "it is waited for, together with what it used")]
    let mut child = command.spawn().expect("the launcher");
    let mut length = 0;
    let mut output = child.stdout.take().expect("its output");
    let mut part = vec![0; 1 << 20];
    while let Ok(count @ 1..) = output.read(&mut part) {
        length += count;
    }
    let mut status = 0;
    // SAFETY: a structure of numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both places are valid for the whole call, and the child is ours and was not waited for.
    let ended = unsafe { libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage) };
    assert!(ended > 0 && status == 0);
    let (peak, length) = (usage.ru_maxrss as f64 / 1024.0, length as f64 / f64::from(1 << 20));
    println!(
        "\n{count} goroutines: at most {peak:.0} MB of memory for {length:.0} MB of JSON, {:.2?}",
        begun.elapsed()
    );
}

fn fetch(address: &str) {
    let mut stream = TcpStream::connect(address).expect("the profile");
    stream.write_all(b"GET /debug/pprof/goroutine?debug=2 HTTP/1.0\r\n\r\n").expect("a request");
    std::io::copy(&mut stream, &mut std::io::sink()).expect("an answer");
}
