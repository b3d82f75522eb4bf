//! What the JDK's own tool says of the same threads.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use launcher::core::facts::{ProcessFacts, ThreadFacts};

/// A thread as `jstack -l` shows it.
#[derive(Debug, Default, PartialEq)]
pub struct Shown {
    name: String,
    state: Option<String>,
    /// Function, and file and line as they are written.
    frames: Vec<(String, String)>,
    /// Addresses of what it waits for.
    waits: BTreeSet<u64>,
    /// Addresses of what it holds.
    holds: BTreeSet<u64>,
}

/// What the JDK's own tool says, by the tid in the JVM's pid namespace.
pub fn by_jstack(jstack: &str, pid: i32) -> BTreeMap<i32, Shown> {
    let output = Command::new("sh").arg("-c").arg(format!("exec {jstack} -l {pid}")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Full thread dump"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let mut threads = BTreeMap::new();
    let mut current = 0;
    for line in text.lines().take_while(|line| !line.starts_with("Found one")) {
        if let Some(head) = line.strip_prefix('"') {
            let name = head.rsplit_once("\" #").or_else(|| head.rsplit_once("\" os_prio")).unwrap().0.to_owned();
            let nid = head.rsplit_once("nid=").unwrap().1.split(' ').next().unwrap();
            current = nid.strip_prefix("0x").map_or_else(|| nid.parse(), |hex| i32::from_str_radix(hex, 16)).unwrap();
            threads.insert(current, Shown { name, ..Shown::default() });
        }
        let Some(thread) = threads.get_mut(&current) else { continue };
        let line = line.trim();
        let address = || u64::from_str_radix(line.split_once("<0x")?.1.split('>').next()?, 16).ok();
        if let Some(state) = line.strip_prefix("java.lang.Thread.State: ") {
            thread.state = Some(state.to_owned());
        } else if let Some(frame) = line.strip_prefix("at ") {
            let (function, place) = frame.trim_end_matches(')').split_once('(').unwrap();
            let place = place.split_once('/').map_or(place, |(_, place)| place);
            let none = ["Native Method", "Unknown Source"].contains(&place);
            thread.frames.push((function.to_owned(), if none { String::new() } else { place.to_owned() }));
        } else if line.starts_with("- locked") || line.starts_with("- <") {
            thread.holds.extend(address());
        } else if line.starts_with("- waiting") || line.starts_with("- parking") {
            thread.waits.extend(address());
        }
    }
    // A monitor that is waited on was given up.
    for thread in threads.values_mut() {
        thread.holds = thread.holds.difference(&thread.waits).copied().collect();
    }
    threads
}

/// A thread of ours in the same form.
pub fn shown(thread: &ThreadFacts) -> Shown {
    let place = |file: &Option<String>, line: Option<u32>| {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        file.as_ref().map(|file| format!("{file}{line}")).unwrap_or_default()
    };
    let java = thread.frames.iter().filter(|frame| frame.language.as_deref() == Some("java"));
    let locks = |held: bool| {
        thread.locks.iter().filter(|lock| lock.held == held && lock.address != 0).map(|lock| lock.address).collect()
    };
    Shown {
        name: thread.runtime_name.clone().unwrap_or_else(|| thread.name.clone()),
        state: thread.runtime_state.clone(),
        frames: java.map(|frame| (frame.function.clone().unwrap(), place(&frame.file, frame.line))).collect(),
        waits: locks(false),
        holds: locks(true),
    }
}

/// Checks every thread against what `jstack` says of it.
#[track_caller]
pub fn agrees_with_jstack(process: &ProcessFacts, jstack: &str) -> usize {
    let theirs = by_jstack(jstack, process.pid);
    let inner = |tid: i32| {
        let status = std::fs::read_to_string(format!("/proc/{}/task/{tid}/status", process.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        line.split_whitespace().last().unwrap().parse::<i32>().unwrap()
    };
    let ours: BTreeMap<i32, Shown> =
        process.threads.iter().filter(|thread| thread.tid != process.pid).map(|t| (inner(t.tid), shown(t))).collect();
    let mut compared = 0;
    for (tid, theirs) in &theirs {
        // Threads that come and go as the JVM has use for them, that of the very request among them.
        if ["Attach Listener", "CompilerThread", "GC Thread#", "G1 Conc#", "G1 Refine#"]
            .iter()
            .any(|name| theirs.name.contains(name))
        {
            continue;
        }
        assert_eq!(ours.get(tid), Some(theirs));
        compared += 1;
    }
    assert!(theirs.len() >= 18, "{theirs:#?}");
    compared
}
