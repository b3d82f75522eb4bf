//! Runtimes whose own frames are not read: their native stacks are, one line says what is missing, and their own helpers
//! are taken for nothing that holds them up.

use std::process::Command;

use launcher::core::diagnosis::{Cause, Diagnosis, diagnose};
use launcher::core::facts::{Facts, Frame, Occasion, ProcessFacts, WaitingOn};

use crate::jvm::cache;
use crate::victim::{Victim, blocked_threads, dumped, until};

fn explained(process: &ProcessFacts) -> Diagnosis {
    let mut facts = Facts::new("shop", Occasion::StartTimeout);
    facts.processes.push(process.clone());
    diagnose(&facts)
}

fn frames(process: &ProcessFacts) -> impl Iterator<Item = &Frame> {
    process.threads.iter().flat_map(|thread| &thread.frames)
}

#[test]
fn the_erlang_vm() {
    if Command::new("erl").args(["-noshell", "-s", "erlang", "halt"]).output().is_err() {
        assert!(std::env::var("CI").is_err(), "needs Erlang, which tests/setup installs");
        eprintln!("skipped: needs Erlang");
        return;
    }
    let mut command = Command::new("erl");
    command.args(["-noshell", "-eval", "io:format(\"ready~n\"), receive never -> ok end."]);
    let victim = Victim::by(command).ready(1);
    // It goes on settling: what its schedulers wait for, they do when all of them sleep.
    until(|| {
        let threads = std::fs::read_dir(format!("/proc/{}/task", victim.pid())).unwrap().count();
        blocked_threads(victim.pid()) == threads
    });
    let process = dumped(victim.pid());
    assert_eq!(process.runtime, "erlang");
    let error = process.dump_error.as_deref().unwrap();
    assert!(error.starts_with("processes of the Erlang VM are not read: "), "{error}");
    assert!(frames(&process).any(|frame| frame.function.as_deref() == Some("erts_sys_main_thread")), "{process:#?}");
    let found = explained(&process);
    assert_ne!(found.verdict.cause, Cause::ReplyWait, "its helper owes no reply: {found:#?}");
}

/// The runtime alone, by its own interface for hosts: there is no compiler for it here.
#[test]
fn dotnet() {
    let runtime = cache().join("dotnet/shared/Microsoft.NETCore.App/3.1.23");
    if !runtime.exists() {
        assert!(std::env::var("CI").is_err(), "needs .NET, which tests/setup fetches");
        eprintln!("skipped: needs .NET");
        return;
    }
    let map = |pid: i32| format!("/tmp/perf-{pid}.map");
    for named in [false, true] {
        let start = |command: &mut Command| {
            command.arg(&runtime);
            if named {
                command.env("COMPlus_PerfMapEnabled", "1");
            }
        };
        let victim = Victim::start_with("host.c", &["-g", "-ldl"], start).ready(1);
        // It compiles what reads the line before it does.
        let mut process = dumped(victim.pid());
        until(|| {
            let reads = matches!(process.threads[0].waiting_on, Some(WaitingOn::Input { .. }));
            if !reads {
                process = dumped(victim.pid());
            }
            reads
        });
        let _ = std::fs::remove_file(map(victim.pid()));
        assert_eq!(process.runtime, "dotnet");
        let error = process.dump_error.as_deref().unwrap();
        assert!(error.starts_with("managed frames of .NET are not read: "), "{error}");
        let names: Vec<&str> = process.threads[0].frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
        // The stack is walked through what it compiled, which has a name only when it wrote its map.
        assert!(names.contains(&"main") && names.iter().any(|name| name.ends_with("read")), "{names:#?}");
        assert_eq!(names.iter().any(|name| name.contains("[System.Console]")), named, "{names:#?}");
        let found = explained(&process);
        assert_eq!((found.verdict.cause, found.verdict.thread), (Cause::InputWait, Some(victim.pid())), "{found:#?}");
        assert!(found.alternatives.iter().all(|other| other.cause != Cause::InputWait), "{found:#?}");
        assert_eq!(found.verdict.frame.unwrap().function, "main");
    }
}
