//! Native stacks: gdb and eu-stack.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use launcher::sys::dump::{self, Options};

use super::table::{Way, compare};

/// Threads of the victim.
const THREADS: [usize; 3] = [4, 200, 1000];
/// How often each is run.
const ROUNDS: usize = 7;

/// A victim whose threads are all blocked.
struct Victim {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Victim {
    fn start(threads: usize) -> Victim {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("shapes");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dump/victims/shapes.c");
        let mut compile = Command::new("cc");
        compile.args(["-g", "-O1", "-pthread", "-o"]).arg(&program).arg(source);
        assert!(compile.status().expect("a C compiler").success());
        let mut command = Command::new(&program);
        command.args(["threads", &threads.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the victim");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("its line");
        Victim { child, _folder: folder }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything about native stacks.
pub fn all() {
    let stacks = |pid: i32| {
        let processes = dump::dump(&[pid], &Options { second_sample_after: None, ..Options::default() });
        assert!(processes.iter().all(|process| process.dump_error.is_none() && process.paused_ms == 0.0));
    };
    let launcher = [env!("CARGO_BIN_EXE_launcher"), "dump", "--json", "{}"];
    let eu_stack = ["eu-stack", "-i", "-s", "-p", "{}"];
    let gdb = ["gdb", "-nx", "-q", "-batch", "-p", "{}", "-ex", "thread apply all bt"];
    for threads in THREADS {
        let victim = Victim::start(threads);
        let mut ways = vec![Way::call("stacks alone, as at a deadline", stacks)];
        ways.extend(Way::command("launcher dump (two samples)", &launcher));
        ways.extend(Way::command("eu-stack -i -s", &eu_stack));
        ways.extend(Way::command("gdb -batch", &gdb));
        compare(&format!("\n{threads} blocked threads"), victim.child.id() as i32, ROUNDS, &ways);
    }
}
