//! PHP: frames compared with debug_backtrace(); and runtimes whose frames are not read, which must say so.

use std::process::Command;

use launcher::core::diagnosis::diagnose;
use launcher::core::facts::{Facts, Frame, Occasion, ProcessFacts};
use launcher::core::report::text::{self, Style};

use crate::victim::{Victim, blocked_threads, dumped, functions, source, until};

fn is_there(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    assert!(there || std::env::var("CI").is_err(), "needs {program}, which tests/setup installs");
    if !there {
        eprintln!("skipped: needs {program}");
    }
    there
}

/// Starts a program that opens a FIFO, which no one else will.
fn opens(program: &str, arguments: &[&str]) -> Victim {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).arg(fifo);
    Victim::of(command, directory)
}

#[test]
fn php_frames_are_those_of_debug_backtrace() {
    if !is_there("php") {
        return;
    }
    for flags in [&[][..], &["-dopcache.enable_cli=1", "-dopcache.jit_buffer_size=16M", "-dopcache.jit=function"]] {
        let script = source("places.php");
        let mut victim = opens("php", &[flags, &[script.to_str().unwrap()]].concat());
        let mut told = Vec::new();
        loop {
            let line = victim.line();
            if line == "ready" {
                break;
            }
            let words: Vec<String> = line.split('|').map(str::to_owned).collect();
            told.push((words[0].clone(), words[1].clone(), words[2].parse::<u32>().unwrap()));
        }
        until(|| blocked_threads(victim.pid()) == 1);
        let process = dumped(victim.pid());
        assert_eq!((process.runtime.as_str(), process.dump_error.as_deref()), ("php", None));
        let output = Command::new("php").args(["-r", "echo PHP_VERSION;"]).output().unwrap();
        assert_eq!(process.runtime_version, Some(String::from_utf8(output.stdout).unwrap()));

        let php = |frame: &&Frame| frame.language.as_deref() == Some("php");
        let frames: Vec<&Frame> = process.threads[0].frames.iter().filter(php).collect();
        let names: Vec<&str> = frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
        // In place of the function that told it is in the one that blocks.
        assert_eq!(names[0], "fopen");
        let mut expected: Vec<&str> = told[1..].iter().map(|(name, ..)| name.as_str()).collect();
        expected.push("{main}");
        assert_eq!(names[1..], expected, "{flags:?}");
        // What was called from a line of a file is in the next frame that has one.
        let lines: Vec<(String, u32)> =
            frames.iter().filter_map(|frame| Some((frame.file.clone()?, frame.line?))).collect();
        let called = told.iter().filter(|(_, file, _)| !file.is_empty());
        assert_eq!(lines, called.map(|(_, file, line)| (file.clone(), *line)).collect::<Vec<_>>(), "{flags:?}");
        let all = functions(&process.threads[0]);
        let at = |name: &str| all.iter().position(|other| *other == name);
        // Code of PHP's own compiler keeps no frame pointers, so that what is below it is not found.
        let below = at("execute_ex").filter(|_| flags.is_empty());
        assert!(at("fopen") < at("{main}") && (below.is_none() || at("{main}") < below), "{all:?}");
    }
}

#[test]
fn what_is_not_read_of_perl_is_said() {
    if !is_there("perl") {
        return;
    }
    let victim = opens("perl", &["-e", "$| = 1; print \"ready\\n\"; open(my $file, '<', $ARGV[0]);"]).ready(1);
    let process = dumped(victim.pid());
    assert_eq!(process.runtime, "perl");
    let error = process.dump_error.clone().unwrap();
    assert!(error.starts_with("frames of Perl are not read: "), "{error}");
    assert!(functions(&process.threads[0]).iter().any(|name| name.contains("open")), "{:#?}", process.threads);
    // It is in the text and in the JSON.
    let json = serde_json::to_string(&process).unwrap();
    assert_eq!(serde_json::from_str::<ProcessFacts>(&json).unwrap().dump_error, Some(error.clone()));
    let mut facts = Facts::new("perl", Occasion::Requested);
    facts.processes.push(process.clone());
    let diagnosis = diagnose(&facts);
    let text = text::dump(&[process], &diagnosis, true, Style { width: 400, ..Style::default() });
    assert!(text.contains(&error), "{text}");
}
