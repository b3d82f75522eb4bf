//! Threads that wait for locks.

use launcher::core::facts::{FoundBy, FutexKind, ThreadFacts, WaitingOn};

use crate::victim::{Victim, agrees_with_gdb, dumped, frame, line_of, source, thread_in};

#[track_caller]
fn futex(thread: &ThreadFacts) -> &launcher::core::facts::FutexFacts {
    match &thread.waiting_on {
        Some(WaitingOn::Futex(futex)) => futex,
        other => panic!("it waits on {other:?}"),
    }
}

#[test]
fn a_deadlock_of_two_mutexes_shows_both_sides() {
    for optimisation in ["-O0", "-O2"] {
        let victim = Victim::start("deadlock.c", &["-g", optimisation]).ready(3);
        let process = dumped(victim.pid());
        assert_eq!(process.dump_error, None);
        assert_eq!((process.runtime.as_str(), process.paused_ms), ("native", 0.0));
        let (forwards, backwards) = (thread_in(&process, "forwards"), thread_in(&process, "backwards"));
        for (thread, other) in [(forwards, backwards), (backwards, forwards)] {
            assert_eq!((futex(thread).kind, futex(thread).owner), (FutexKind::Mutex, Some(other.tid)));
            assert!(thread.syscall.as_ref().unwrap().contains(&format!("held by thread {}", other.tid)));
        }
        let here = frame(forwards, "forwards");
        assert_eq!(here.line, Some(line_of("deadlock.c", "in forwards")));
        assert_eq!(here.file.as_deref(), source("deadlock.c").to_str());
        assert_eq!(here.language.as_deref(), Some("c"));
        assert_eq!(frame(backwards, "take").line, Some(line_of("deadlock.c", "in take")));
        assert!(frame(backwards, "take").inlined);
        assert_eq!(frame(backwards, "backwards").line, Some(line_of("deadlock.c", "in backwards")));
        let main = &process.threads[0];
        assert_eq!(frame(main, "main").line, Some(line_of("deadlock.c", "in main")));
        assert_eq!((futex(main).kind, futex(main).owner), (FutexKind::Join, Some(forwards.tid)));
        assert!(process.threads.iter().flat_map(|thread| &thread.frames).all(|frame| frame.found != FoundBy::Guess));
        agrees_with_gdb(&process);
    }
}
