//! Names, files and lines of Rust and C++.

use launcher::core::facts::{FutexKind, WaitingOn};

use crate::victim::{Victim, dumped, functions, line_of, thread_in};

#[test]
fn rust_locks_are_told_by_their_functions_and_have_no_owner() {
    for flags in [&["-g"][..], &["-g", "-O"], &["-O", "-Cdebuginfo=0"]] {
        let victim = Victim::start("parked.rs", flags).ready(5);
        let process = dumped(victim.pid());
        for (function, kind) in [
            ("parked::wait_for_mutex", FutexKind::Lock),
            ("parked::wait_for_rwlock", FutexKind::RwLock),
            ("parked::wait_for_condition", FutexKind::Condition),
            ("parked::wait_for_channel", FutexKind::Unknown),
        ] {
            let thread = thread_in(&process, function);
            let Some(WaitingOn::Futex(futex)) = &thread.waiting_on else { panic!("{thread:#?}") };
            assert_eq!((futex.kind, futex.owner), (kind, None), "{function}: {:?}", functions(thread));
            let here = thread.frames.iter().find(|frame| frame.function.as_deref() == Some(function)).unwrap();
            assert_eq!(here.language.as_deref(), Some("rust"), "{here:?}");
            if function.ends_with("mutex") && flags[0] == "-g" {
                assert_eq!(here.line, Some(line_of("parked.rs", "in wait_for_mutex")));
            }
        }
    }
}

#[test]
fn cpp_names_are_demangled_with_what_was_inlined() {
    if std::process::Command::new("c++").arg("--version").output().is_err() {
        assert!(std::env::var("CI").is_err(), "needs a C++ compiler, which tests/setup installs");
        eprintln!("skipped: needs a C++ compiler");
        return;
    }
    let victim = Victim::start("shop.cc", &["-g", "-O1"]).ready(1);
    let process = dumped(victim.pid());
    let frames = &process.threads[0].frames;
    let at = |part: &str| {
        let found = frames.iter().find(|frame| frame.function.as_ref().is_some_and(|name| name.contains(part)));
        found.unwrap_or_else(|| panic!("no {part} in {:?}", functions(&process.threads[0])))
    };
    assert!(at("take").inlined);
    assert_eq!(at("take").line, Some(line_of("shop.cc", "in take")));
    assert_eq!(at("shop::Worker::serve").line, Some(line_of("shop.cc", "in serve")));
    assert_eq!(at("shop::Worker::serve").language.as_deref(), Some("c++"));
}
