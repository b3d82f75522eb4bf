//! Ruby: its threads against what they say of themselves.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use launcher::core::facts::{ProcessFacts, ThreadFacts};
use launcher::sys::dump::{self, Options};

use crate::victim::{Victim, functions, options, source};

/// A thread as Ruby tells it.
#[derive(Debug)]
struct Told {
    /// Its number in Ruby's pid namespace; 0 where Ruby does not know it.
    tid: i32,
    name: String,
    status: String,
    /// File, line and label, innermost frame first.
    frames: Vec<(String, u32, String)>,
}

/// Functions in C that the victim's threads are in.
const IN_C: [&str; 13] = [
    "each",
    "gets",
    "initialize",
    "lock",
    "new",
    "open",
    "pop",
    "read",
    "sleep",
    "synchronize",
    "times",
    "wait",
    "loop",
];

/// Starts the victim by this shell command, in which `@` stands for its script.
fn start(command: &str) -> (Victim, Vec<Told>) {
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command.replace('@', source("shop.rb").to_str().unwrap()));
    let mut victim = Victim::spawn(shell, "ruby".into(), folder);
    let mut told = Vec::new();
    loop {
        let line = victim.line();
        let fields: Vec<&str> = line.split('\u{c}').collect();
        let [_, tid, name, status, frames] = fields.as_slice() else {
            assert_eq!(line, "ready");
            return (victim, told);
        };
        let frame = |frame: &str| {
            let [file, line, label] = frame.split('\t').collect::<Vec<_>>()[..] else { panic!("{frame}") };
            (file.to_owned(), line.parse().unwrap(), label.to_owned())
        };
        let frames = frames.split('\u{b}').map(frame).collect();
        told.push(Told { tid: tid.parse().unwrap(), name: (*name).into(), status: (*status).into(), frames });
    }
}

fn ruby_of(victim: &Victim) -> i32 {
    let maps = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    dump::tree(victim.pid()).into_iter().find(|pid| maps(pid).contains("/libruby")).expect("there is no Ruby")
}

fn dumped(pid: i32) -> ProcessFacts {
    dump::dump(&[pid], &Options { deadline: Duration::from_secs(10), ..options() }).remove(0)
}

/// Checks every thread against what Ruby told of it.
#[track_caller]
fn agrees(process: &ProcessFacts, told: &[Told]) {
    assert_eq!((process.runtime.as_str(), &process.dump_error), ("ruby", &None));
    let inner = |tid: i32| {
        let status = std::fs::read_to_string(format!("/proc/{}/task/{tid}/status", process.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        line.split_whitespace().last().unwrap().parse::<i32>().unwrap()
    };
    assert_eq!(told.len(), 10);
    for told in told {
        let by_name = |thread: &&ThreadFacts| thread.runtime_name.as_deref().unwrap_or_default() == told.name;
        let is_it = |thread: &&ThreadFacts| if told.tid == 0 { by_name(thread) } else { inner(thread.tid) == told.tid };
        let ours = process.threads.iter().find(is_it).unwrap_or_else(|| panic!("no {told:?} in {process:#?}"));
        assert_eq!(ours.runtime_name.clone().unwrap_or_default(), told.name);
        assert!(ours.runtime_state.as_ref().is_some_and(|state| state.starts_with(&told.status)), "{ours:?}");
        let ruby: Vec<_> = ours.frames.iter().filter(|frame| frame.language.as_deref() == Some("ruby")).collect();
        let names: Vec<_> = ruby.iter().map(|frame| frame.function.clone().unwrap()).collect();
        // The main thread has written its stack with a function of its own before it waits with another one.
        let (names, ruby) = if told.name.is_empty() { (&names[1..], &ruby[1..]) } else { (&names[..], &ruby[..]) };
        let labels: Vec<_> = told.frames.iter().map(|(_, _, label)| label.clone()).collect();
        assert_eq!(names, labels, "{told:?}");
        for (ours, (file, line, _)) in ruby.iter().zip(&told.frames) {
            // Functions in C have none; Ruby gives them that of who calls them.
            match ours.file.as_deref() {
                Some(ours_file) => assert_eq!((ours_file, ours.line), (file.as_str(), Some(*line)), "{told:?}"),
                None => assert!(IN_C.contains(&ours.function.as_deref().unwrap()), "{ours:?}"),
            }
        }
    }
}

#[track_caller]
fn waits_for(process: &ProcessFacts, waiting: &str, holder: &str) {
    let named =
        |name: &str| process.threads.iter().find(|thread| thread.runtime_name.as_deref() == Some(name)).unwrap();
    let wanted = named(waiting).locks.iter().find(|lock| !lock.held).map(|lock| lock.address);
    let held = named(holder).locks.iter().filter(|lock| lock.held).map(|lock| lock.address);
    assert!(held.map(Some).any(|held| held == wanted), "{:?} {:?}", named(waiting).locks, named(holder).locks);
}

fn tells_the_deadlock(process: &ProcessFacts) {
    waits_for(process, "counter", "taker");
    waits_for(process, "taker", "counter");
}

#[test]
fn all_threads_of_the_machines_ruby() {
    if Command::new("ruby").arg("-v").output().is_err() {
        assert!(std::env::var("CI").is_err(), "needs Ruby, which tests/setup installs");
        eprintln!("skipped: needs Ruby");
        return;
    }
    let (_victim, told) = start("exec ruby @");
    let process = dumped(ruby_of(&_victim));
    agrees(&process, &told);
    tells_the_deadlock(&process);
    // Native functions that Ruby's call stand inside of them, what runs them outside.
    let names = functions(&process.threads[0]);
    let at = |name: &str| names.iter().position(|one| *one == name).unwrap_or_else(|| panic!("{names:?}"));
    assert!(at("gets") < at("main_waits") && at("main_waits") < at("ruby_run_node"), "{names:?}");
    assert!(names[0].contains("read"), "{names:?}");
}

#[test]
fn ruby_2_7_and_3_3_in_a_chroot_and_another_pid_namespace() {
    let home = || PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache/launcher-tests");
    let cache = std::env::var("LAUNCHER_TEST_CACHE").map_or_else(|_| home(), PathBuf::from);
    let root = cache.join("debian");
    if !root.join("usr/bin/ruby2.7").exists() || !nix::unistd::geteuid().is_root() {
        assert!(std::env::var("CI").is_err(), "needs root and what tests/setup fetches");
        eprintln!("skipped: needs root and {}", root.display());
        return;
    }
    let root = root.display();
    for version in ["2.7", "3.3"] {
        let inside = format!(
            "mount -t proc proc {root}/proc && mount -t tmpfs tmp {root}/tmp && cp @ {root}/tmp \
             && exec chroot {root} /usr/bin/ruby{version} --disable-gems /tmp/shop.rb"
        );
        let (victim, told) = start(&format!("exec unshare -mpf sh -c '{inside}'"));
        let process = dumped(ruby_of(&victim));
        assert!(process.runtime_version.as_ref().is_some_and(|told| told.starts_with(version)), "{process:#?}");
        agrees(&process, &told);
        tells_the_deadlock(&process);
    }
}
