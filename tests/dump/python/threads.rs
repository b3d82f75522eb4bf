//! Threads: their frames, names and states.

use std::collections::BTreeMap;

use launcher::core::facts::{ProcessFacts, ThreadFacts};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Running, plain, pythons, told};
use crate::victim::{dumped, until};

/// Asks the interpreter for the stacks of its threads: by `ident` functions, files and lines, innermost first.
fn by_faulthandler(running: &Running, threads: usize) -> BTreeMap<u64, Vec<(String, String, u32)>> {
    kill(Pid::from_raw(running.pid()), Signal::SIGUSR1).unwrap();
    let path = running.folder.path().join("told");
    let mut text = String::new();
    // The main thread comes last, and its outermost frame is the module.
    until(|| {
        text = std::fs::read_to_string(&path).unwrap_or_default();
        text.matches("hread 0x").count() == threads && text.ends_with("in <module>\n")
    });
    let mut threads: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    let mut ident = 0;
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("hread 0x") {
            ident = u64::from_str_radix(rest.split(' ').next().unwrap(), 16).unwrap();
            threads.entry(ident).or_default();
        } else if let Some((file, rest)) = line.trim().strip_prefix("File \"").and_then(|r| r.split_once("\", line ")) {
            let (line, function) = rest.split_once(" in ").unwrap();
            let frame = (function.to_owned(), file.to_owned(), line.parse().unwrap_or(0));
            threads.get_mut(&ident).unwrap().push(frame);
        }
    }
    threads
}

/// The frames that the runtime told, as faulthandler writes them: names without their classes, ASCII only.
fn as_faulthandler(thread: &ThreadFacts) -> Vec<(String, String, u32)> {
    told(thread)
        .map(|frame| {
            let function = frame.function.as_deref().unwrap();
            let plain = function.rsplit('.').next().unwrap();
            (escaped(plain), escaped(frame.file.as_deref().unwrap_or("???")), frame.line.unwrap_or(0))
        })
        .collect()
}

fn escaped(text: &str) -> String {
    let one = |c: char| match u32::from(c) {
        0x20..=0x7e => c.to_string(),
        code @ ..=0xff => format!("\\x{code:02x}"),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    };
    text.chars().map(one).collect()
}

fn thread(process: &ProcessFacts, tid: i32) -> &ThreadFacts {
    process.threads.iter().find(|thread| thread.tid == tid).unwrap_or_else(|| panic!("no {tid} in {process:#?}"))
}

#[test]
fn all_threads_are_where_the_interpreter_says_they_are() {
    for python in pythons() {
        let mut running = Running::start(&python, "threads.py");
        let names: Vec<(u64, i32, String)> = serde_json::from_str(&running.victim.line()).unwrap();
        let running = running.ready(names.len());
        let process = dumped(running.pid());
        assert_eq!((process.runtime.as_str(), process.dump_error.as_deref()), ("cpython", None));
        let version = process.runtime_version.as_deref().unwrap_or_default();
        assert!(version.starts_with(&format!("{}.", python.version)), "{version} of {}", python.version);
        let theirs = by_faulthandler(&running, names.len());
        let mut frames = 0;
        for (ident, tid, name) in &names {
            let ours = thread(&process, *tid);
            assert_eq!(as_faulthandler(ours), theirs[ident], "{name} of {}", python.version);
            assert_eq!(ours.runtime_name.as_deref(), Some(name.as_str()), "{}", python.version);
            assert_eq!(ours.runtime_state, None, "{name} of {}", python.version);
            frames += theirs[ident].len();
        }
        println!("{version}: {} threads and {frames} frames as faulthandler has them", names.len());
    }
}

#[test]
fn frames_stand_between_what_they_call_and_what_called_them() {
    for python in pythons() {
        let running = Running::start(&python, "threads.py");
        let mut running = running;
        let count = serde_json::from_str::<Vec<(u64, i32, String)>>(&running.victim.line()).unwrap().len();
        let process = dumped(running.ready(count).pid());
        let named = |name: &str| process.threads.iter().find(|thread| thread.runtime_name.as_deref() == Some(name));
        let thread = named("at in_two_callbacks").unwrap();
        let names: Vec<&str> = thread.frames.iter().map(|frame| frame.function.as_deref().unwrap_or("?")).collect();
        // What C code was called from Python, and called Python, is between the two; each piece stands right before the
        // loop of the interpreter that runs it.
        let at = |name: &str| {
            let found = names.iter().position(|found| plain(found) == name);
            found.unwrap_or_else(|| panic!("{}: no {name} in {names:#?}", python.version))
        };
        let places = [at("called_back"), at("<lambda>"), at("in_two_callbacks"), at("_bootstrap")];
        assert!(places.is_sorted() && places[0] > 2, "{}: {names:#?}", python.version);
        // Since 3.11 one call of the loop runs Python functions that call each other.
        let entered =
            |place: usize| names[place + 1] == "?" || names[place + 1].starts_with("_PyEval_EvalFrameDefault");
        assert!([0, 1, 3].into_iter().all(|index| entered(places[index])), "{}: {names:#?}", python.version);
        assert!(places[1] - places[0] > 2 && places[2] - places[1] > 2, "{}: {names:#?}", python.version);
    }
}
