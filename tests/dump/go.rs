//! Goroutines, compared with what Go itself says of the same process: with `runtime.Stack`, which shows what a person
//! is to see, for every goroutine exactly; and with what SIGQUIT makes it write, which shows everything.

mod printed;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use launcher::core::facts::{ChannelFacts, FoundBy, ProcessFacts, TaskFacts, WaitingOn};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::victim::{Victim, dumped, functions, line_of, until};
use printed::Printed;

/// Goroutines that the victim starts itself, without those that the network needs.
const OWN: usize = 27;

/// The folder of a toolchain; `None` when it is not there.
fn toolchain(version: &str) -> Option<PathBuf> {
    let root = match version {
        "1.19" => PathBuf::from("/usr/lib/go-1.19"),
        other => cache().join(format!("go-{other}")),
    };
    if root.join("bin/go").exists() {
        return Some(root);
    }
    assert!(std::env::var("CI").is_err(), "needs Go {version}, which tests/setup fetches");
    eprintln!("skipped: needs Go {version}, which tests/setup fetches");
    None
}

fn cache() -> PathBuf {
    let given = std::env::var_os("LAUNCHER_TEST_CACHE").map(PathBuf::from);
    given.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/launcher-tests"))
}

/// Builds the victim with these flags.
fn build(root: &Path, into: &Path, flags: &[&str], cgo: bool) -> PathBuf {
    let program = into.join("waits");
    let mut go = Command::new(root.join("bin/go"));
    go.arg("build").args(flags).arg("-o").arg(&program).arg("waits.go");
    go.arg(if cgo { "foreign.go" } else { "plain.go" });
    go.current_dir(crate::victim::source("")).env("GOROOT", root).env("GOCACHE", cache().join("go-build"));
    go.env("CGO_ENABLED", if cgo { "1" } else { "0" }).env("GO111MODULE", "off");
    go.envs([("GOFLAGS", "-mod=mod"), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off")]);
    assert!(go.status().unwrap().success(), "Go {root:?} builds its victim");
    program
}

/// Starts a victim and waits until all that it starts is where it stays.
fn start(root: &Path, flags: &[&str], cgo: bool, arguments: &[&str]) -> Victim {
    let directory = tempfile::tempdir().unwrap();
    let program = build(root, directory.path(), flags, cgo);
    let mut victim = Victim::run(program, directory, |command| {
        command.args(arguments).stderr(Stdio::piped()).env_remove("GOTRACEBACK").env_remove("GODEBUG");
    });
    assert_eq!(victim.line(), "ready");
    let pid = victim.pid();
    let settled = |task: &TaskFacts| !matches!(task.state.as_str(), "running" | "runnable") || has(task, "main.spin");
    until(|| {
        let tasks = dumped(pid).tasks;
        tasks.iter().filter(|task| !task.system).count() >= OWN && tasks.iter().all(settled)
    });
    victim
}

fn has(task: &TaskFacts, function: &str) -> bool {
    let at = |frame: &launcher::core::facts::Frame| frame.function.as_deref() == Some(function);
    task.frames.iter().any(at) || task.created_by.as_ref().is_some_and(|by| at(&by.frame))
}

/// The goroutine that stands in, or was made in, the victim's line with this remark.
#[track_caller]
fn at<'a>(process: &'a ProcessFacts, remark: &str) -> &'a TaskFacts {
    let line = line_of("waits.go", remark);
    let here = |frame: &launcher::core::facts::Frame| {
        frame.line == Some(line) && frame.file.as_ref().is_some_and(|file| file.ends_with("/waits.go"))
    };
    let stands = process.tasks.iter().find(|task| task.frames.iter().any(here));
    let made = || process.tasks.iter().find(|task| task.created_by.as_ref().is_some_and(|by| here(&by.frame)));
    stands.or_else(made).unwrap_or_else(|| panic!("nothing at {remark:?} in {:#?}", process.tasks))
}

/// Compares the dump of a victim with its own words, and checks what each goroutine waits on.
fn agrees(root: &Path, version: &str, flags: &[&str], cgo: bool) {
    let mut victim = start(root, flags, cgo, &[]);
    let process = dumped(victim.pid());
    assert_eq!(process.dump_error, None, "Go {version} {flags:?}");
    assert_eq!((process.runtime.as_str(), process.runtime_version.is_some()), ("go", true));
    assert!(process.runtime_version.as_ref().unwrap().starts_with(version), "{:?}", process.runtime_version);
    waits_are_told(&process);
    threads_have_names(&process);

    victim.tell("x");
    let mut text = String::new();
    loop {
        match victim.line_or_nothing() {
            line if line == "end" => break,
            line => text += &format!("{line}\n"),
        }
    }
    let shown = Printed::all(&text);
    assert!(shown.len() >= OWN, "{text}");
    for theirs in &shown {
        let ours = process.tasks.iter().find(|task| task.id == theirs.id).unwrap_or_else(|| panic!("no {theirs:?}"));
        assert!(!ours.system, "{ours:?}");
        // The one that writes this stands elsewhere meanwhile.
        if theirs.state != "running" {
            assert_eq!(&Printed::of(ours), theirs, "Go {version} {flags:?}");
        }
    }
    let own = process.tasks.iter().filter(|task| !task.system).count();
    assert_eq!(own, shown.len(), "no goroutine is told that Go does not tell");

    let answers = at(&process, "answers").id;
    kill(Pid::from_raw(victim.pid()), Signal::SIGQUIT).unwrap();
    let everything = Printed::all(&victim.errors());
    assert_eq!(everything.len(), process.tasks.len(), "Go {version} {flags:?}");
    for theirs in everything.iter().filter(|theirs| theirs.id != answers) {
        let ours = process.tasks.iter().find(|task| task.id == theirs.id).unwrap_or_else(|| panic!("no {theirs:?}"));
        theirs.shows(&Printed::of(ours));
    }
}

#[track_caller]
fn channels(task: &TaskFacts) -> &[ChannelFacts] {
    let Some(WaitingOn::Channels { channels }) = &task.waiting_on else { panic!("{task:#?}") };
    channels
}

#[track_caller]
fn lock(task: &TaskFacts) -> (&str, u64) {
    let Some(WaitingOn::RuntimeLock { address, class, .. }) = &task.waiting_on else { panic!("{task:#?}") };
    (class, *address)
}

fn waits_are_told(process: &ProcessFacts) {
    let task = |remark| at(process, remark);
    let [taken] = channels(task("in take")) else { panic!() };
    assert_eq!((taken.sending, taken.length, taken.capacity), (false, 0, 0));
    let [main] = channels(task("main waits")) else { panic!() };
    assert_eq!(main, taken, "both wait on one channel");
    let [given] = channels(task("in give")) else { panic!() };
    assert_eq!((given.sending, given.length, given.capacity), (true, 1, 1));
    let mut chosen: Vec<_> =
        channels(task("chooses")).iter().map(|channel| (channel.sending, channel.address)).collect();
    chosen.sort_unstable();
    let [popped] = channels(task("in pop")) else { panic!() };
    assert_eq!(chosen, [(false, popped.address), (true, given.address)]);
    assert!(channels(task("for ever")).is_empty());
    assert_eq!(channels(task("of nil")), [ChannelFacts::default()]);
    assert_eq!(channels(task("to nil")), [ChannelFacts { sending: true, ..ChannelFacts::default() }]);

    let (mutex, address) = lock(task("wants the mutex"));
    assert!(mutex == "sync.Mutex" && address != 0);
    let (group, address) = lock(task("wants the group"));
    assert!(group == "sync.WaitGroup" && address != 0);
    let (reads, writes) = (lock(task("wants to read")), lock(task("wants to write")));
    assert!(reads == writes && reads.0 == "sync.RWMutex" && reads.1 != 0, "{reads:?} {writes:?}");
    assert_eq!(lock(task("in a condition")).0, "sync.Cond");
    assert!(matches!(task("sleeps").waiting_on, Some(WaitingOn::Sleep { .. })));

    let Some(WaitingOn::Accept { socket: listening, .. }) = &task("accepts").waiting_on else { panic!() };
    assert_eq!(listening.state, "listen");
    let Some(WaitingOn::Receive { socket, .. }) = &task("reads").waiting_on else { panic!() };
    assert_eq!((socket.state.as_str(), &socket.peer), ("established", &listening.local));
    assert!(socket.peer_processes.iter().any(|process_name| process_name.pid == process.pid));
    let Some(WaitingOn::Input { file, .. }) = &task("reads the pipe").waiting_on else { panic!() };
    assert!(file.path.starts_with("pipe:"));
    for frame in process.tasks.iter().flat_map(|task| task.frames.iter()) {
        assert_eq!((frame.found, frame.language.as_deref()), (FoundBy::Runtime, Some("go")));
    }
}

/// A thread in a system call is known by its goroutine, and shows where that stands.
fn threads_have_names(process: &ProcessFacts) {
    let task = at(process, "in a system call");
    assert_eq!(task.state, "syscall");
    let thread = process.threads.iter().find(|thread| Some(thread.tid) == task.thread).unwrap();
    assert!(matches!(thread.waiting_on, Some(WaitingOn::Receive { .. })), "{thread:#?}");
    let names = functions(thread);
    assert!(names.contains(&"syscall.Read") && names.last() == Some(&"runtime.goexit"), "{names:?}");
    let watcher = process.threads.iter().find(|thread| functions(thread).contains(&"runtime.sysmon"));
    assert!(watcher.is_some(), "{:?}", process.threads.iter().map(functions).collect::<Vec<_>>());
    for thread in &process.threads {
        assert!(!functions(thread).contains(&"?"), "{:?}", functions(thread));
    }
}

fn all_kinds(version: &str) {
    let Some(root) = toolchain(version) else { return };
    for flags in [&[][..], &["-ldflags", "-s -w"], &["-buildmode=pie", "-ldflags", "-s -w"]] {
        agrees(&root, version, flags, false);
    }
}

#[test]
fn go_1_19() {
    all_kinds("1.19");
}

#[test]
fn go_1_21() {
    all_kinds("1.21.13");
}

#[test]
fn go_1_24() {
    all_kinds("1.24.11");
}

#[test]
fn go_1_27() {
    all_kinds("1.27.3");
}

/// The one that the tests that need no particular version use.
fn newest() -> Option<PathBuf> {
    static NEWEST: OnceLock<Option<PathBuf>> = OnceLock::new();
    NEWEST.get_or_init(|| toolchain("1.27.3")).clone()
}

#[test]
fn go_with_c() {
    let Some(root) = toolchain("1.24.11") else { return };
    agrees(&root, "1.24.11", &["-ldflags", "-s -w"], true);
    let victim = start(&root, &[], true, &[]);
    let process = dumped(victim.pid());
    let asleep = process.tasks.iter().find(|task| has(task, "main._Cfunc_sleep_in_c")).unwrap();
    let thread = process.threads.iter().find(|thread| Some(thread.tid) == asleep.thread).unwrap();
    let names = functions(thread);
    let place = |name: &str| names.iter().position(|other| *other == name).unwrap_or_else(|| panic!("{names:?}"));
    let first = names.iter().position(|name| name.ends_with("pause")).unwrap();
    assert!(first < place("runtime.asmcgocall"), "C first, then the Go code that called it: {names:?}");
    assert!(place("runtime.asmcgocall") < place("main._Cfunc_sleep_in_c"), "{names:?}");
    assert!(has(process.tasks.iter().find(|task| has(task, "main.called")).unwrap(), "main._Cfunc_call_back"));
}

#[test]
fn a_goroutine_that_connects_names_the_address() {
    let Some(root) = newest() else { return };
    let (address, _full) = full_backlog();
    let victim = start(&root, &["-ldflags", "-s -w"], false, &[&address]);
    let mut process = dumped(victim.pid());
    until(|| {
        process = dumped(victim.pid());
        process.tasks.iter().any(|task| task.state == "IO wait" && has(task, "net.(*sysDialer).dialTCP"))
    });
    let task = at(&process, "connects");
    let Some(WaitingOn::Connect { socket, .. }) = &task.waiting_on else { panic!("{task:#?}") };
    assert_eq!((socket.peer.as_deref(), socket.state.as_str()), (Some(address.as_str()), "syn-sent"));
    assert!(socket.peer_listener.as_ref().is_some_and(|listener| listener.listens), "{socket:?}");
    assert_eq!(task.frames.last().unwrap().function.as_deref(), Some("main.main.func12"));
}

/// An address where a connection stays without an answer, and what keeps it so.
fn full_backlog() -> (String, Vec<socket2::Socket>) {
    let tcp = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = tcp();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut kept = vec![listener];
    for _ in 0..2 {
        let socket = tcp();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        kept.push(socket);
    }
    (address.as_socket().unwrap().to_string(), kept)
}

#[test]
fn one_that_runs_and_one_that_is_deep() {
    let Some(root) = newest() else { return };
    let victim = start(&root, &[], false, &["", "more"]);
    let process = dumped(victim.pid());
    let spins = process.tasks.iter().find(|task| has(task, "main.spin")).unwrap();
    assert!(matches!(spins.state.as_str(), "running" | "runnable"), "{spins:?}");
    assert_eq!(spins.frames.last().unwrap().function.as_deref(), Some("main.spin"));
    let deep = process.tasks.iter().find(|task| task.frames.len() > 100 && has(task, "main.deep")).unwrap();
    let left_out =
        deep.frames.iter().filter_map(|frame| frame.function.as_deref()).find(|name| name.starts_with("..."));
    assert_eq!(left_out, Some("...4814 frames left out..."), "both ends are told, and how much is between");
    assert_eq!(deep.frames.first().unwrap().line, Some(line_of("waits.go", "at the bottom")));
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

#[test]
fn a_broken_program_neither_hurts_nor_holds_up_the_reader() {
    use std::os::unix::fs::FileExt;
    let Some(root) = newest() else { return };
    let victim = start(&root, &["-ldflags", "-s -w"], false, &[]);
    let pid = victim.pid();
    // It must not come across what is broken in it.
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let writable = maps.lines().filter(|line| line.contains(" rw-p ")).filter_map(|line| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    });
    let writable: Vec<(u64, u64)> = writable.filter(|(start, end)| end - start <= 8 << 20).collect();
    let memory = std::fs::OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem")).unwrap();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut told = 0;
    for round in 0..48u32 {
        // More and more of it, here any number, there a pointer that belongs elsewhere.
        for _ in 0..1u64 << (round / 4) {
            let (start, end) = writable[dice.below(writable.len() as u64) as usize];
            let place = |dice: &mut Dice| start + dice.below((end - start) / 8) * 8;
            let mut word = dice.below(u64::MAX).to_le_bytes();
            if dice.below(2) == 0 {
                let _ = memory.read_exact_at(&mut word, place(&mut dice));
            }
            let _ = memory.write_all_at(&word, place(&mut dice));
        }
        let begun = std::time::Instant::now();
        let process = dumped(pid);
        assert!(begun.elapsed() < crate::victim::options().deadline, "round {round}: {:?}", begun.elapsed());
        let error = process.dump_error.as_deref().unwrap_or_default();
        assert!(!error.contains("fault in the launcher"), "round {round}: {error}");
        assert!(!process.threads.is_empty(), "round {round}");
        told += usize::from(!process.tasks.is_empty());
    }
    assert!(told > 0, "it was not broken from the start");
}
