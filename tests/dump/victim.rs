//! Programs to be dumped: compiled when a test needs them, ended with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use launcher::core::facts::{Frame, ProcessFacts, ThreadFacts};
use launcher::sys::dump::{self, Options};

/// A running victim with its pipes.
pub struct Victim {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    _directory: tempfile::TempDir,
    pub program: PathBuf,
}

/// The source of a victim.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dump/victims").join(name)
}

/// The line of a victim's source that ends with this remark.
pub fn line_of(name: &str, remark: &str) -> u32 {
    let text = std::fs::read_to_string(source(name)).unwrap();
    let index = text.lines().position(|line| line.ends_with(&format!("// {remark}"))).expect(remark);
    index as u32 + 1
}

impl Victim {
    /// Compiles `name` with these flags and starts it.
    pub fn start(name: &str, flags: &[&str]) -> Victim {
        Victim::start_with(name, flags, |_| {})
    }

    /// The same, with a change to the command.
    pub fn start_with(name: &str, flags: &[&str], change: impl FnOnce(&mut Command)) -> Victim {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join(name.split('.').next().unwrap());
        let (compiler, always) = match name.rsplit('.').next() {
            Some("rs") => ("rustc", &["--edition", "2024"][..]),
            Some("cc") => ("c++", &["-pthread", "-Wall"][..]),
            _ => ("cc", &["-pthread", "-Wall"][..]),
        };
        let mut compile = Command::new(compiler);
        compile.args(always).args(flags).arg("-o").arg(&program).arg(source(name));
        assert!(compile.status().expect("a compiler is needed: apt-get install gcc").success());
        Victim::run(program, directory, change)
    }

    /// Starts a program in a folder that goes away with it.
    pub fn run(program: PathBuf, directory: tempfile::TempDir, change: impl FnOnce(&mut Command)) -> Victim {
        let mut command = Command::new(&program);
        change(&mut command);
        Victim::spawn(command, program, directory)
    }

    /// Starts a program that needs no compiler.
    pub fn by(command: Command) -> Victim {
        let program = PathBuf::from(command.get_program());
        Victim::spawn(command, program, tempfile::tempdir().unwrap())
    }

    /// Starts a program that is there, with a folder of its own to run in.
    pub fn of(command: Command, directory: tempfile::TempDir) -> Victim {
        let program = PathBuf::from(command.get_program());
        Victim::spawn(command, program, directory)
    }

    /// Starts a victim by this command, in a folder that goes with it.
    pub fn spawn(mut command: Command, program: PathBuf, directory: tempfile::TempDir) -> Victim {
        if command.get_current_dir().is_none() {
            command.current_dir(directory.path());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let input = child.stdin.take();
        Victim { child, input, output, _directory: directory, program }
    }

    /// What it writes to its standard error, up to its end.
    pub fn errors(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Its next line of output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the victim ended");
        line.trim_end().to_owned()
    }

    /// The same, when it may be empty.
    pub fn line_or_nothing(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the victim ended");
        line.trim_end().to_owned()
    }

    /// Waits until it says that it is ready and `count` of its threads are blocked.
    pub fn ready(mut self, count: usize) -> Victim {
        assert_eq!(self.line(), "ready");
        until(|| blocked_threads(self.pid()) >= count);
        self
    }

    /// Sends it a line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Ends its input.
    pub fn end_of_input(&mut self) {
        self.input = None;
    }

    /// What it still writes until it closes its output.
    pub fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        rest
    }

    /// Its end.
    pub fn end(&mut self) -> std::process::ExitStatus {
        self.input = None;
        self.child.wait().unwrap()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        for pid in dump::tree(self.pid()).into_iter().rev() {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// Whether this program is there. When it is not, that is said, and it is a fault where all tests are to run.
pub fn needs(program: &str, package: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !there {
        assert!(std::env::var("CI").is_err(), "needs {program} of {package}, which tests/setup installs");
        eprintln!("skipped: needs {program} of {package}");
    }
    there
}

/// Looks again and again until it is so.
pub fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "it did not come about");
        std::thread::yield_now();
    }
}

/// How many threads of a process are neither running nor about to.
pub fn blocked_threads(pid: i32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let blocked = |stat: String| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" R"));
    // One that has ended since it was listed is none.
    let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    stats.filter(|stat| blocked(stat.clone())).count()
}

/// Whether the main thread is in read(2), and on no CPU: it takes its state on before it leaves that.
pub fn is_reading(pid: i32) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    call.starts_with(&format!("{} ", nix::libc::SYS_read))
}

/// One sample, with names, and with time for a machine that has other things to do.
pub fn options() -> Options {
    Options { second_sample_after: None, deadline: Duration::from_secs(20), ..Options::default() }
}

/// The one process, dumped.
pub fn dumped(pid: i32) -> ProcessFacts {
    let mut processes = dump::dump(&[pid], &options());
    assert_eq!(processes.len(), 1);
    processes.remove(0)
}

/// The names of a thread's functions, innermost first.
pub fn functions(thread: &ThreadFacts) -> Vec<&str> {
    thread.frames.iter().map(|frame| frame.function.as_deref().unwrap_or("?")).collect()
}

/// The frame of this function.
#[track_caller]
pub fn frame<'a>(thread: &'a ThreadFacts, function: &str) -> &'a Frame {
    let found = thread.frames.iter().find(|frame| frame.function.as_deref() == Some(function));
    found.unwrap_or_else(|| panic!("no {function} in {:#?}", functions(thread)))
}

/// The thread in whose stack this function is.
#[track_caller]
pub fn thread_in<'a>(process: &'a ProcessFacts, function: &str) -> &'a ThreadFacts {
    let found = process.threads.iter().find(|thread| functions(thread).contains(&function));
    found.unwrap_or_else(|| panic!("no {function} in {:#?}", process.threads.iter().map(functions).collect::<Vec<_>>()))
}

/// Checks that gdb sees the same functions, where there is a gdb. It also shows tail calls, which left no frame, what
/// is inlined in the C library, and nothing beyond `main`.
#[track_caller]
pub fn agrees_with_gdb(process: &ProcessFacts) {
    for (tid, theirs) in by_gdb(process.pid).unwrap_or_default() {
        let thread = process.threads.iter().find(|thread| thread.tid == tid).unwrap();
        let ours = functions(thread);
        let ours = &ours[..ours.iter().position(|name| *name == "main").map_or(ours.len(), |main| main + 1)];
        let mut left = theirs.iter();
        let all = ours.iter().all(|name| left.any(|(other, _)| plain(other) == plain(name)));
        let frames = theirs.iter().filter(|(_, inlined)| !inlined).count();
        assert!(all && frames <= ours.len() + 2, "ours {ours:#?}, by gdb {theirs:#?}");
    }
}

fn plain(name: &str) -> &str {
    name.trim_start_matches('_').trim_start_matches("GI_").trim_start_matches('_')
}

/// Functions, innermost first, with whether they may be inlined.
type Functions = Vec<(String, bool)>;

/// The functions of each thread, by its tid, as gdb sees them. It stops the process.
fn by_gdb(pid: i32) -> Option<Vec<(i32, Functions)>> {
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-q", "-batch", "-p", &pid.to_string(), "-ex", "set width 0", "-ex", "thread apply all bt"]);
    let output = gdb.stderr(Stdio::null()).output().ok()?;
    let mut threads: Vec<(i32, Functions)> = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if line.starts_with("Thread ") {
            let tid = line.split("LWP ").nth(1)?.split(')').next()?.parse().ok()?;
            threads.push((tid, Vec::new()));
        } else if let Some(rest) = line.strip_prefix('#') {
            let rest = rest.split_once(' ')?.1.trim_start();
            // What is inlined has no address of its own.
            let inlined = !rest.starts_with("0x");
            let rest = rest
                .split_once(" in ")
                .map_or(rest, |(before, after)| if before.starts_with("0x") { after } else { rest });
            let name = rest.split(" (").next()?.to_owned();
            threads.last_mut()?.1.push((name, inlined));
        }
    }
    Some(threads)
}
