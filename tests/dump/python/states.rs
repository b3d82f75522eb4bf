//! Processes in many states: on a CPU, forked, with several interpreters, at their start and end.

use launcher::core::facts::FoundBy;
use launcher::sys::dump;

use super::{Python, Running, plain, python_functions, pythons, read, told};
use crate::victim::{blocked_threads, options, source, until};

#[test]
fn a_thread_that_runs_never_shows_frames_that_cannot_be() {
    const CALLS: [(&str, &[&str]); 8] = [
        ("order", &["price"]),
        ("price", &["sell", "items"]),
        ("items", &["sell"]),
        ("sell", &["work", "price"]),
        ("<listcomp>", &["work"]),
        ("work", &["run"]),
        ("run", &["_bootstrap_inner"]),
        ("_bootstrap_inner", &["_bootstrap"]),
    ];
    let source = std::fs::read_to_string(source("states.py")).unwrap();
    for python in pythons() {
        let running = Running::start_with(&python, "states.py", &["busy"]).ready(1);
        let (mut stacks, mut guesses, mut deepest) = (0, 0, 0);
        // The second and third thread are the busy ones.
        for _ in 0..if python.minor() == 11 { 100 } else { 30 } {
            let process = read(running.pid());
            // On a machine that is busy, too, a thread may not come to be held in time; it is read nevertheless.
            let error = process.dump_error.as_deref();
            assert!(error.is_none_or(|error| error.contains("held in time")), "{}: {error:?}", python.version);
            for thread in &process.threads[1..] {
                let names: Vec<&str> = python_functions(thread).into_iter().map(plain).collect();
                for frame in told(thread).filter(|frame| frame.file.as_ref().unwrap().ends_with("states.py")) {
                    // Some instructions belong to no line of the source.
                    let Some(number) = frame.line else { continue };
                    let line = source.lines().nth(number as usize - 1).unwrap();
                    assert!(belongs(plain(frame.function.as_deref().unwrap()), line), "{}: {frame:?}", python.version);
                }
                stacks += 1;
                deepest = deepest.max(names.len());
                if told(thread).any(|frame| frame.found == FoundBy::Guess) {
                    guesses += 1;
                    continue;
                }
                // Where no frame is said to be a guess, they were there together.
                let called = |pair: &[&str]| CALLS.iter().any(|(name, by)| *name == pair[0] && by.contains(&pair[1]));
                let whole = names.windows(2).all(called) && names.last() == Some(&"_bootstrap");
                assert!(whole, "{}: {names:?}, {error:?}: {:#?}", python.version, thread.frames);
            }
        }
        println!("{}: {stacks} stacks of running threads, {guesses} guesses, up to {deepest} deep", python.version);
        // Where nothing fails, all are held, or blocked for want of the interpreter's lock.
        assert!(guesses * 2 <= stacks, "{}: {guesses} of {stacks} stacks are guesses", python.version);
        assert!(deepest > 8, "{}", python.version);
    }
}

/// A frame that has ended is kept for the next call, and leads to others of that kind.
#[test]
fn frames_that_have_ended_are_not_told() {
    for python in pythons().into_iter().filter(|python| python.minor() <= 10) {
        let running = Running::start_with(&python, "states.py", &["ended"]).ready(1);
        let process = read(running.pid());
        assert_eq!(python_functions(&process.threads[0]), [""; 0], "{}: {process:#?}", python.version);
    }
}

/// Whether a line of states.py is one of this function of `busy`.
fn belongs(function: &str, line: &str) -> bool {
    let lines: &[&str] = match function {
        "sell" => &["def sell", "return self.price(depth) if"],
        "price" => &["def price", "if depth > 0", "return self.sell", "return max"],
        "items" => &["def items", "for item in", "yield self"],
        "order" => &["def order", "return -item"],
        "work" => &["def work", "shop = Shop()", "while True", "for depth in", "shop.sell(depth)", "[depth * 2 for"],
        "<listcomp>" => &["[depth * 2 for"],
        _ => &[],
    };
    lines.iter().any(|start| line.trim_start().starts_with(start))
}

#[test]
fn who_holds_the_lock_of_the_interpreter_and_who_waits_for_it_is_told() {
    for python in pythons() {
        let running = Running::start_with(&python, "states.py", &["lock"]).ready(0);
        let mut process = read(running.pid());
        until(|| {
            process = read(running.pid());
            process.threads[0].runtime_state.as_deref() == Some("waits for the GIL")
        });
        let holder = process.threads.iter().find(|thread| thread.runtime_name.as_deref() == Some("computes")).unwrap();
        assert_eq!(holder.runtime_state.as_deref(), Some("holds the GIL"), "{}", python.version);
        assert!(python_functions(holder).iter().any(|name| plain(name) == "compute"), "{}", python.version);
        assert_eq!(process.threads[0].runtime_name.as_deref(), Some("MainThread"));
    }
}

#[test]
fn code_of_other_interpreters_is_read() {
    for python in pythons() {
        let running = Running::start_with(&python, "states.py", &["interpreter"]).ready(0);
        let mut names: Vec<String> = Vec::new();
        until(|| {
            let process = read(running.pid());
            let found = process.threads.iter().find(|thread| python_functions(thread).contains(&"inner"));
            let found = found.map(python_functions).unwrap_or_default();
            names = found.into_iter().map(|name| plain(name).to_owned()).collect();
            !names.is_empty()
        });
        let expected = ["inner", "<module>", "in_interpreter", "run", "_bootstrap_inner", "_bootstrap"];
        assert_eq!(names, expected, "{}", python.version);
    }
}

#[test]
fn a_forked_child_is_read_although_it_remembers_its_parents_threads() {
    for python in pythons() {
        let mut running = Running::start_with(&python, "states.py", &["fork"]).ready(0);
        let child: i32 = running.victim.line().parse().unwrap();
        until(|| blocked_threads(child) == 1);
        let process = read(child);
        let names: Vec<&str> = python_functions(&process.threads[0]).into_iter().map(plain).collect();
        let expected = ["in_child", "forked", "run", "_bootstrap_inner", "_bootstrap"];
        assert_eq!(names, expected, "{}: {process:#?}", python.version);
    }
}

#[test]
fn relative_files_are_made_absolute_where_they_are() {
    for python in pythons() {
        let running = Running::start_with(&python, "states.py", &["relative"]).ready(1);
        let process = read(running.pid());
        let files: Vec<&str> = told(&process.threads[0]).filter_map(|frame| frame.file.as_deref()).take(3).collect();
        let victim = python.inside(&running.folder.path().join("states.py"));
        let victim = victim.to_str().unwrap();
        assert_eq!(files, [victim, "no such file.py", victim], "{}", python.version);
    }
}

#[test]
fn a_process_is_read_at_any_moment_of_its_start_and_end() {
    for python in pythons() {
        for _ in 0..3 {
            let mut running = Running::start_with(&python, "states.py", &["relative"]);
            let mut seen = 0;
            // From its first instruction until it waits, and through its end.
            while seen == 0 {
                let process = read(running.pid());
                seen = process
                    .threads
                    .iter()
                    .flat_map(told)
                    .filter(|frame| frame.function.as_deref() == Some("read"))
                    .count();
            }
            running.victim.tell("go on");
            let until_gone = dump::dump(&[running.pid()], &options());
            assert!(until_gone.len() <= 1);
            running.victim.end();
        }
    }
}

#[test]
fn threads_are_found_in_another_namespace_of_processes() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for a namespace of processes");
        return;
    }
    for python in pythons() {
        let below = ["unshare", "--pid", "--fork", "--kill-child", "--"];
        let mut running = Running::start_below(&below, &python, "threads.py", &[]);
        let told: Vec<(u64, i32, String)> = serde_json::from_str(&running.victim.line()).unwrap();
        let running = running.ready(1);
        assert_eq!(told[0].1, 1, "{}", python.version);
        let process = read(*dump::tree(running.pid()).last().unwrap());
        assert_eq!(process.threads.len(), told.len(), "{}", python.version);
        for thread in &process.threads[1..] {
            let place = thread.runtime_name.as_deref().unwrap().strip_prefix("at ").unwrap();
            let functions: Vec<&str> = python_functions(thread).into_iter().map(plain).collect();
            // The decorated one has the name of what it is around.
            assert!(functions.contains(&place), "{}: no {place} in {functions:?}", python.version);
        }
    }
}

#[test]
fn an_interpreter_whose_file_is_deleted_is_read() {
    for python in pythons().into_iter().filter(|python| python.root.is_none()) {
        // pyenv's are programs of a few lines, with a library.
        if python.program.metadata().unwrap().len() < 1 << 20 {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(python.program.file_name().unwrap());
        std::fs::copy(&python.program, &program).unwrap();
        let prefix = python.program.parent().unwrap().parent().unwrap().to_str().unwrap().to_owned();
        let home = format!("PYTHONHOME={prefix}");
        let copied = Python { program, root: None, version: python.version.clone() };
        let running = Running::start_below(&["env", &home], &copied, "states.py", &["relative"]).ready(1);
        drop(folder);
        let process = read(running.pid());
        assert_eq!(process.dump_error, None);
        assert!(python_functions(&process.threads[0]).contains(&"read"), "{}: {process:#?}", python.version);
        println!("{}: read without its file", python.version);
    }
}
