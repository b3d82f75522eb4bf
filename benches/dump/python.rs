//! CPython: py-spy.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use launcher::sys::dump::{self, Options};

use super::table::{Way, compare};

/// Threads of the victim, each 20 functions deep.
const THREADS: [usize; 3] = [1, 50, 500];
/// How often each is run.
const ROUNDS: usize = 7;

const VICTIM: &str = "
import sys, threading
held = threading.Lock()
held.acquire()
def deep(depth):
    if depth:
        deep(depth - 1)
    else:
        started.release()
        held.acquire()
started = threading.Semaphore(0)
for _ in range(int(sys.argv[1])):
    threading.Thread(target=deep, args=(20,), daemon=True).start()
    started.acquire()
print('ready', flush=True)
sys.stdin.readline()
";

/// A victim whose threads are all blocked.
struct Victim(Child);

impl Victim {
    fn start(threads: usize) -> Option<Victim> {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", VICTIM, &threads.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take()?).read_line(&mut line).ok()?;
        Some(Victim(child))
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Everything about CPython.
pub fn all() {
    let read = |pid: i32, symbolise: bool| {
        let options = Options { second_sample_after: None, symbolise, ..Options::default() };
        let processes = dump::dump(&[pid], &options);
        let process = &processes[0];
        assert!(process.dump_error.is_none() && process.paused_ms == 0.0, "{:?}", process.dump_error);
        let of_python = |frame: &&launcher::core::facts::Frame| frame.language.as_deref() == Some("python");
        assert!(process.threads.iter().all(|thread| thread.frames.iter().filter(of_python).count() > 0));
    };
    let launcher = [env!("CARGO_BIN_EXE_launcher"), "dump", "--json", "{}"];
    let py_spy = ["py-spy", "dump", "--pid", "{}"];
    let nonblocking = ["py-spy", "dump", "--nonblocking", "--pid", "{}"];
    let native = ["py-spy", "dump", "--native", "--pid", "{}"];
    for threads in THREADS {
        let Some(victim) = Victim::start(threads) else {
            println!("  (/usr/bin/python3 is not installed)");
            return;
        };
        let mut ways = vec![
            Way::call("stacks alone, as at a deadline", |pid| read(pid, true)),
            Way::call("the same without native names", |pid| read(pid, false)),
        ];
        ways.extend(Way::command("launcher dump (two samples)", &launcher));
        ways.extend(Way::command("py-spy dump", &py_spy));
        ways.extend(Way::command("py-spy dump --nonblocking", &nonblocking));
        ways.extend(Way::command("py-spy dump --native", &native));
        compare(&format!("\nCPython, {threads} blocked threads"), victim.0.id() as i32, ROUNDS, &ways);
    }
}
