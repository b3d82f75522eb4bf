//! Node: JavaScript frames of blocked and of busy threads, compared with the stack of an exception at the same place.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use launcher::core::facts::{FdFacts, FoundBy, Frame, ProcessFacts, ThreadFacts, WaitingOn, WatchedFacts};
use launcher::sys::dump::{self, Options};

use crate::victim::{Victim, source, until};

/// A frame of the user's: function, file and line.
type Place = (String, String, u32);

/// All Nodes there are: the system's, and those that tests/setup has fetched.
fn nodes() -> Vec<PathBuf> {
    let cache = std::env::var_os("LAUNCHER_TEST_CACHE")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache/launcher-tests")));
    let fetched = cache.and_then(|cache| std::fs::read_dir(cache.join("node")).ok());
    let mut found: Vec<PathBuf> =
        fetched.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path().join("bin/node"))).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path).map(|folder| folder.join("node")).find(|node| node.is_file()));
    found.retain(|node| Command::new(node).arg("--version").output().is_ok_and(|output| output.status.success()));
    found.sort();
    if found.is_empty() {
        assert!(std::env::var("CI").is_err(), "needs Node, which tests/setup installs");
        eprintln!("skipped: needs Node");
    }
    found
}

fn version(node: &Path) -> String {
    let output = Command::new(node).arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().trim_start_matches('v').to_owned()
}

fn start(node: &Path, flags: &[&str], script: &str, what: &str, place: &str) -> Victim {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command = Command::new(node);
    command.args(flags).arg("--stack-trace-limit=1000").arg(source(script)).args([what, place]).arg(fifo);
    Victim::of(command, directory)
}

/// The stack that an exception at this place has, without Node's own frames.
fn told(node: &Path, flags: &[&str], script: &str, place: &str) -> Vec<Place> {
    let mut victim = start(node, flags, script, "tell", place);
    let mut places = Vec::new();
    loop {
        let line = victim.line();
        let Some(line) = line.trim_start().strip_prefix("at ") else {
            match line.as_str() {
                "end" => return places,
                _ => continue,
            }
        };
        // Those that wait for this one are not on the stack, and what was made of a text has no file.
        if !line.starts_with("async ") && !line.starts_with("eval ") {
            places.extend(parse(line));
        }
    }
}

/// `Class.method [as name] (file:line:column)`.
fn parse(line: &str) -> Option<Place> {
    let (name, place) = match line.strip_suffix(')').and_then(|line| line.rsplit_once(" (")) {
        Some((name, place)) => (name, place),
        None => ("<anonymous>", line),
    };
    let (place, _) = place.rsplit_once(':')?;
    let (file, number) = place.rsplit_once(':')?;
    let file = file.strip_prefix("file://").unwrap_or(file).replace("%20", " ").replace("%C3%A9", "é");
    let name = name.split(" [as").next()?.trim_start_matches("new ");
    file.starts_with('/').then(|| (last_word(name), file, number.parse().unwrap()))
}

fn last_word(name: &str) -> String {
    name.rsplit('.').next().unwrap_or(name).to_owned()
}

fn is_users(frame: &&Frame) -> bool {
    frame.file.as_ref().is_some_and(|file| file.starts_with('/')) && frame.language.as_deref() == Some("javascript")
}

fn places(thread: &ThreadFacts) -> Vec<Place> {
    let users = thread.frames.iter().filter(is_users);
    let place = |frame: &Frame| {
        assert_eq!(frame.found, FoundBy::Runtime);
        (last_word(frame.function.as_ref().unwrap()), frame.file.clone().unwrap(), frame.line.unwrap_or(0))
    };
    users.map(place).collect()
}

/// Without the names of native code, which take long to look up in a binary as large as Node.
fn dumped(pid: i32) -> ProcessFacts {
    let options = Options {
        second_sample_after: None,
        symbolise: false,
        deadline: Duration::from_secs(10),
        ..Options::default()
    };
    dump::dump(&[pid], &options).remove(0)
}

/// The thread that runs the script, once it stands where it will stay: in the way of stopping, or for good.
fn standing(victim: &mut Victim, innermost: &str) -> (ProcessFacts, ThreadFacts) {
    assert_eq!(victim.line(), "ready");
    let mut found = None;
    until(|| {
        let process = dumped(victim.pid());
        let stands = |thread: &&ThreadFacts| {
            let users: Vec<&Frame> = thread.frames.iter().filter(is_users).collect();
            // What it calls last is Node's own, or it is busy.
            let settled = thread.state == 'R' || thread.syscall.is_some();
            settled && users.first().is_some_and(|frame| frame.function.as_deref() == Some(innermost))
        };
        found = process.threads.iter().find(stands).cloned().map(|thread| (process.clone(), thread));
        found.is_some()
    });
    found.unwrap()
}

#[track_caller]
fn is_told(node: &Path, flags: &[&str], place: &str, way: &str) -> ThreadFacts {
    let expected = told(node, flags, "places.js", place);
    assert!(expected.len() > 1, "{expected:?}");
    let mut victim = start(node, flags, "places.js", "stop", place);
    let (process, thread) = standing(&mut victim, way);
    assert_eq!(process.runtime, "node");
    assert_eq!(process.runtime_version.as_deref(), Some(version(node).as_str()));
    assert_eq!(process.dump_error, None);
    let found = places(&thread);
    // What stops it comes on top of where an exception was made.
    assert_eq!(found[0].0, way);
    let innermost = found.iter().position(|found| found.0 == expected[0].0).unwrap_or(0);
    assert_eq!(found[innermost..], expected, "{} {flags:?} {place}", node.display());
    assert!(!thread.frames.iter().filter(is_users).skip(1).any(|frame| frame.near), "{:#?}", thread.frames);
    thread
}

#[test]
fn interpreted_and_baseline_frames_are_those_of_an_exception() {
    for node in nodes() {
        for flags in [&[][..], &["--always-sparkplug"]] {
            is_told(&node, flags, "closure", "read");
            is_told(&node, flags, "later", "exec");
        }
        for (place, way) in [("constructor", "read"), ("getter", "wait"), ("down", "read"), ("callback", "wait")] {
            is_told(&node, &[], place, way);
        }
        is_told(&node, &[], "generated", "read");
    }
}

#[test]
fn optimised_frames_are_those_of_an_exception_with_what_was_inlined() {
    for node in nodes() {
        let thread = is_told(&node, &["--allow-natives-syntax"], "hot", "read");
        let inlined = thread.frames.iter().filter(|frame| frame.inlined && is_users(frame)).count();
        assert!(inlined > 0, "{}: {:#?}", node.display(), places(&thread));
        // Without that flag V8 gives the code up and writes the frames of what was inlined anew.
        is_told(&node, &[], "hot", "read");
    }
}

#[test]
fn a_busy_thread_is_read_after_it_was_let_go() {
    for node in nodes() {
        is_told(&node, &[], "spin", "spin");
        let expected = told(&node, &[], "places.js", "busy");
        let mut victim = start(&node, &[], "places.js", "stop", "busy");
        // It may just be in the function that it calls.
        assert_eq!(victim.line(), "ready");
        let mut found = Vec::new();
        until(|| {
            found = dumped(victim.pid()).threads[0].frames.clone();
            found.iter().any(|frame| frame.function.as_deref() == Some("busy"))
        });
        let mut users = found.iter().filter(is_users).skip_while(|frame| frame.function.as_deref() == Some("mix"));
        let busy = users.next().unwrap();
        let line = busy.line.unwrap();
        assert!((expected[0].2 - 3..expected[0].2 + 7).contains(&line), "{busy:?} {expected:?}");
        let callers: Vec<u32> = users.filter_map(|frame| frame.line).collect();
        assert_eq!(callers, expected[1..].iter().map(|(.., line)| *line).collect::<Vec<_>>());
    }
}

#[test]
fn modules_and_workers_are_read_too() {
    for node in nodes() {
        let script = "module é.mjs";
        let expected = told(&node, &[], script, "-");
        let mut victim = start(&node, &[], script, "stop", "-");
        let (_, thread) = standing(&mut victim, "shut");
        let mut found = places(&thread);
        // It says and stops on different lines.
        let text = std::fs::read_to_string(source(script)).unwrap();
        let line = |part: &str| text.lines().position(|line| line.contains(part)).unwrap() as u32 + 1;
        assert_eq!((found[0].2, expected[0].2), (line("readSync"), line("new Error")));
        found[0].2 = expected[0].2;
        assert_eq!(found, expected);

        let mut victim = start(&node, &[], "places.js", "stop", "worker");
        let (process, thread) = standing(&mut victim, "read");
        assert_ne!(thread.tid, process.pid);
        let expected = told(&node, &[], "places.js", "closure");
        let innermost = places(&thread).iter().position(|found| found.0 == "stop").unwrap();
        let found = places(&thread)[innermost..].to_vec();
        assert_eq!(found, expected);
        // Its main thread is idle and has no frames of its own there.
        let main = &process.threads[0];
        assert!(places(main).is_empty() && matches!(main.waiting_on, Some(WaitingOn::Poll { .. })), "{main:#?}");
    }
}

#[test]
fn native_frames_stand_around_those_of_the_script() {
    let Some(node) = nodes().into_iter().find(|node| node.starts_with("/usr")) else { return };
    let mut victim = start(&node, &[], "places.js", "stop", "closure");
    standing(&mut victim, "read");
    let options = Options { second_sample_after: None, deadline: Duration::from_secs(20), ..Options::default() };
    let process = dump::dump(&[victim.pid()], &options).remove(0);
    let frames = &process.threads[0].frames;
    let at = |part: &str| {
        let function = |frame: &Frame| frame.function.as_deref().is_some_and(|name| name.contains(part));
        frames.iter().position(function).unwrap_or_else(|| panic!("no {part} in {frames:#?}"))
    };
    let order = ["read", "uv_fs_read", "node::fs::Read", "Builtins_", "readSync", "retry", "connect", "node::Start"];
    let order: Vec<usize> = order.into_iter().map(at).collect();
    assert!(order.is_sorted(), "{order:?} {frames:#?}");
    let trampoline =
        frames.iter().filter(|frame| frame.function.as_deref() == Some("Builtins_InterpreterEntryTrampoline"));
    assert_eq!(trampoline.count(), 0, "{frames:#?}");
}

#[test]
fn an_idle_program_is_told_by_what_its_event_loop_watches() {
    for node in nodes() {
        // A listener whose queue is full does not answer.
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let _first = std::net::TcpStream::connect(address).unwrap();
        let mut command = Command::new(&node);
        command.arg(source("idle.js")).arg(address.port().to_string());
        let mut victim = Victim::of(command, tempfile::tempdir().unwrap());
        let own = format!("127.0.0.1:{}", victim.line());
        let mut seen = (Vec::new(), None, None);
        until(|| {
            let main = dumped(victim.pid()).threads.remove(0);
            let Some(WaitingOn::Poll { watched, timeout, .. }) = main.waiting_on else { return false };
            seen = (watched, timeout, main.syscall);
            seen.0.iter().any(|one| matches!(&one.what, FdFacts::Socket(socket) if socket.state == "syn-sent"))
        });
        let (watched, timeout, call) = seen;
        // When the first timer is due.
        assert!(timeout.is_some_and(|left| (400..=500).contains(&left.as_secs())), "{timeout:?}");
        let sockets = |state: &str| -> Vec<_> {
            let socket = |one: &WatchedFacts| match &one.what {
                FdFacts::Socket(socket) if socket.state == state => Some((socket.local.clone(), socket.peer.clone())),
                _ => None,
            };
            watched.iter().filter_map(socket).collect()
        };
        assert_eq!(sockets("listen"), [(Some(own), None)], "{watched:#?}");
        assert_eq!(sockets("syn-sent")[0].1, Some(address.to_string()));
        assert!(watched.iter().any(|one| one.fd == 0 && one.read), "{watched:#?}");
        let connecting = format!("connecting to {address}, at most ");
        assert!(call.as_ref().is_some_and(|call| call.contains(&connecting)), "{call:?}");
    }
}
