//! The JVM: jstack.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use launcher::sys::dump::{self, Options};

use super::table::{Way, compare};

/// How often each is run.
const ROUNDS: usize = 7;

/// A JVM whose threads are all blocked.
struct Victim {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Victim {
    fn start() -> Victim {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dump/victims/Shop.java");
        let mut compile = Command::new("javac");
        compile.args(["--release", "8", "-nowarn", "-Xlint:-options", "-d"]).arg(folder.path()).arg(source);
        assert!(compile.status().expect("a JDK").success());
        let mut command = Command::new("java");
        command.arg("-cp").arg(folder.path()).arg("Shop").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the victim");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("its line");
        Victim { child, _folder: folder }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It ends with its input, and takes its socket with it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Everything about the JVM.
pub fn all() {
    let stacks = |symbolise: bool| {
        move |pid: i32| {
            let options = Options { second_sample_after: None, symbolise, ..Options::default() };
            let process = dump::dump(&[pid], &options).remove(0);
            assert!(
                process.dump_error.is_none() && process.threads.iter().any(|thread| thread.runtime_state.is_some())
            );
        }
    };
    let launcher = [env!("CARGO_BIN_EXE_launcher"), "dump", "--json", "{}"];
    let victim = Victim::start();
    let mut ways = vec![
        Way::call("Java and native stacks", stacks(true)),
        Way::call("without names of native functions", stacks(false)),
    ];
    ways.extend(Way::command("launcher dump (two samples)", &launcher));
    ways.extend(Way::command("jstack", &["jstack", "{}"]));
    ways.extend(Way::command("jstack -l", &["jstack", "-l", "{}"]));
    compare("\na JVM with some thirty threads", victim.child.id() as i32, ROUNDS, &ways);
}
