//! Stacks and processes of many shapes.

use std::time::{Duration, Instant};

use launcher::core::facts::{FoundBy, WaitingOn};
use launcher::sys::dump::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::victim::{
    Victim, agrees_with_gdb, blocked_threads, dumped, frame, functions, is_reading, line_of, options, thread_in, until,
};

const ALL_WAYS: [&str; 4] = ["-O0", "-O2", "-Og", "-O1"];

fn start(flags: &[&str], arguments: &[&str]) -> Victim {
    let flags = [&["-g"], flags].concat();
    Victim::start_with("shapes.c", &flags, |command| {
        command.args(arguments);
    })
}

/// The functions of the main thread up to `main`.
fn up_to_main(victim: &Victim) -> Vec<String> {
    let process = dumped(victim.pid());
    let mut names: Vec<String> = functions(&process.threads[0]).into_iter().map(str::to_owned).collect();
    let main = names.iter().position(|name| name == "main").unwrap_or_else(|| panic!("no main in {names:?}"));
    names.truncate(main + 1);
    names
}

#[test]
fn frames_of_every_kind_are_walked_without_the_frame_pointer_being_known() {
    let shapes: [(&[&str], &[&str]); 6] = [
        (&["wait"], &["wait_for_input", "main"]),
        (&["alloca", "3000"], &["wait_for_input", "with_alloca", "main"]),
        (&["large"], &["wait_for_input", "large_frame", "main"]),
        (&["arguments"], &["wait_for_input", "many_arguments", "main"]),
        (&["aligned"], &["wait_for_input", "aligned", "main"]),
        (&["signal"], &["wait_for_input", "handler", "interrupted", "main"]),
    ];
    for optimisation in ALL_WAYS {
        for (arguments, expected) in shapes {
            let victim = start(&[optimisation], arguments).ready(1);
            let names = up_to_main(&victim);
            let mut left = names.iter();
            let in_order = expected.iter().all(|name| left.any(|other| other == name));
            // With optimisation a wrapper may be a jump, and then it has no frame.
            let jumps = optimisation != "-O0" && names.last().is_some_and(|name| name == "main");
            assert!(in_order || jumps, "{optimisation} {arguments:?}: {names:?}");
            assert!(names.len() <= expected.len() + 6, "{optimisation} {arguments:?}: {names:?}");
            agrees_with_gdb(&dumped(victim.pid()));
        }
    }
}

#[test]
fn a_signal_on_another_stack_leads_back_to_what_it_interrupted() {
    let victim = start(&["-O0"], &["fault"]).ready(1);
    let process = dumped(victim.pid());
    let thread = &process.threads[0];
    assert_eq!(frame(thread, "handler").line, Some(line_of("shapes.c", "in handler")));
    assert_eq!(frame(thread, "fault").line, Some(line_of("shapes.c", "in fault")));
    assert!(functions(thread).contains(&"main"));
    agrees_with_gdb(&process);
}

#[test]
fn a_thread_on_a_cpu_is_held_for_a_moment_and_runs_on() {
    let mut victim = start(&["-O1"], &["busy"]).ready(1);
    for _ in 0..5 {
        let process = dumped(victim.pid());
        let thread = thread_in(&process, "spin");
        assert_eq!(thread.state, 'R');
        assert_eq!(frame(thread, "spin").line, Some(line_of("shapes.c", "in spin")));
        assert!(functions(thread).contains(&"busy"), "{:?}", functions(thread));
        assert!(process.paused_ms > 0.0, "{}", process.paused_ms);
        println!("held for {} ms", process.paused_ms);
    }
    victim.tell("how many");
    let before: u64 = victim.line().parse().unwrap();
    until(|| {
        victim.tell("how many");
        victim.line().parse::<u64>().unwrap() > before + 1000
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", victim.pid())).unwrap();
    assert!(status.contains("TracerPid:\t0"), "{status}");
}

#[test]
fn two_samples_tell_who_works() {
    let victim = start(&["-O1"], &["busy"]).ready(1);
    until(|| is_reading(victim.pid()));
    let options = Options { second_sample_after: Options::default().second_sample_after, ..options() };
    let mut processes = dump::dump(&[victim.pid()], &options);
    // On a machine that has much else to do it may hardly have been given a CPU between the two.
    until(|| {
        let worked = thread_in(&processes[0], "spin").cpu.growth().is_some_and(|growth| growth > 10);
        if !worked {
            processes = dump::dump(&[victim.pid()], &options);
        }
        worked
    });
    let process = &processes[0];
    let thread = thread_in(process, "spin");
    assert!(thread.cpu.apart >= Duration::from_millis(99), "{:?}", thread.cpu);
    let main = &process.threads[0];
    assert!(main.cpu.growth().unwrap() < 50, "{:?}", main.cpu);
    assert_eq!(main.switches.growth(), Some(0));
    assert!(process.cpu.second.is_some() && process.io.growth() == Some(0));
}

#[test]
fn code_made_at_run_time_is_crossed_by_its_frame_pointers() {
    for (shape, inner) in [("jit", "wait_for_input"), ("jit-busy", "spin")] {
        for optimisation in ["-O0", "-O2"] {
            let mut victim = start(&[optimisation], &[shape]);
            assert_eq!(victim.line(), "ready");
            until(|| shape == "jit-busy" || blocked_threads(victim.pid()) == 1);
            let mut process = dumped(victim.pid());
            // One that works may not have come back yet from having said so.
            until(|| {
                let there = functions(&process.threads[0]).contains(&inner);
                if shape == "jit-busy" && !there {
                    process = dumped(victim.pid());
                }
                shape != "jit-busy" || there
            });
            let thread = &process.threads[0];
            let names = functions(thread);
            let at = |name: &str| names.iter().position(|other| *other == name);
            let inside = at(inner).unwrap_or_else(|| panic!("{shape} {optimisation}: {names:?}"));
            let outside = at("into_jit").or(at("main")).unwrap_or_else(|| panic!("{shape} {optimisation}: {names:?}"));
            let between = &thread.frames[inside + 1..outside];
            let jitted = between.iter().filter(|frame| frame.module.is_none()).count();
            assert_eq!(jitted, 2, "{shape} {optimisation}: {:#?}", thread.frames);
        }
    }
}

#[test]
fn a_smashed_stack_still_shows_where_it_stands() {
    for optimisation in ["-O0", "-O2"] {
        let victim = start(&[optimisation, "-fno-omit-frame-pointer"], &["smash"]).ready(1);
        let process = dumped(victim.pid());
        let names = functions(&process.threads[0]);
        assert!(names.iter().any(|name| name.contains("read")), "{names:?}");
        assert!(names.contains(&"smash") && names.len() < 40, "{names:?}");
        // Beyond the damage frames can only be guessed, and they say so.
        let after = names.iter().position(|name| *name == "smash").unwrap() + 1;
        assert!(process.threads[0].frames[after..].first().is_none_or(|frame| frame.found == FoundBy::Guess));
    }
}

#[test]
fn a_deep_recursion_ends_somewhere() {
    let victim = start(&["-O0"], &["deep", "100000"]).ready(1);
    let process = dumped(victim.pid());
    let frames = &process.threads[0].frames;
    assert!(frames.len() >= 200 && frames.len() <= 300, "{}", frames.len());
    assert!(frames[3..].iter().all(|frame| frame.function.as_deref() == Some("recurse")));
}

#[test]
fn a_stripped_program_without_call_frames_is_not_lost() {
    // No symbols and no call frame information in the program itself, but frame pointers.
    let flags = ["-O1", "-s", "-fno-omit-frame-pointer", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];
    let victim = start(&flags, &["alloca", "3000"]).ready(1);
    let process = dumped(victim.pid());
    let frames = &process.threads[0].frames;
    let own = frames.iter().filter(|frame| frame.module.as_deref().is_some_and(|module| module.ends_with("/shapes")));
    assert!(own.count() >= 3, "{frames:#?}");
    assert!(frames.iter().any(|frame| frame.function.as_deref().is_some_and(|name| name.contains("libc_start"))));
}

#[test]
fn a_vfork_parent_in_the_kernel_is_read_and_points_at_its_child() {
    let mut victim = start(&["-O0"], &["vfork"]);
    assert_eq!(victim.line(), "ready");
    let tree = dump::tree(victim.pid());
    assert_eq!(tree.len(), 2);
    until(|| blocked_threads(tree[1]) == 1);
    let processes = dump::dump(&tree, &options());
    let thread = &processes[0].threads[0];
    assert_eq!(thread.state, 'D');
    assert!(functions(thread).contains(&"main"), "{:?}", functions(thread));
    let Some(WaitingOn::Child { children }) = &thread.waiting_on else { panic!("{thread:#?}") };
    assert_eq!(children.iter().map(|child| child.pid).collect::<Vec<_>>(), [tree[1]]);
    assert!(functions(&processes[1].threads[0]).contains(&"wait_for_input"));
}

#[test]
fn a_deleted_executable_is_still_named() {
    let victim = start(&["-O0"], &["wait"]).ready(1);
    std::fs::remove_file(&victim.program).unwrap();
    let process = dumped(victim.pid());
    let here = frame(&process.threads[0], "wait_for_input");
    assert_eq!(here.line, Some(line_of("shapes.c", "in wait_for_input")));
    assert_eq!(here.module.as_deref(), victim.program.to_str());
    assert_eq!(process.executable.as_ref(), Some(&victim.program));
}

#[test]
fn a_stopped_process_stays_stopped_and_is_read() {
    let victim = start(&["-O0"], &["busy"]).ready(1);
    kill(Pid::from_raw(victim.pid()), Signal::SIGSTOP).unwrap();
    until(|| blocked_threads(victim.pid()) == 2);
    let process = dumped(victim.pid());
    assert!(process.threads.iter().all(|thread| thread.state == 'T'));
    assert_eq!((process.paused_ms, &process.dump_error), (0.0, &None));
    let spinning = process.threads.iter().find(|thread| thread.tid != victim.pid()).unwrap();
    assert!(functions(spinning).contains(&"spin"), "{:?}", functions(spinning));
    assert!(dumped(victim.pid()).threads.iter().all(|thread| thread.state == 'T'));
}

#[test]
fn the_dead_are_told_from_the_living() {
    let victim = start(&["-O0"], &["zombie"]).ready(1);
    let processes = dump::dump(&dump::tree(victim.pid()), &Options::default());
    assert_eq!(processes.iter().map(|process| process.zombie).collect::<Vec<_>>(), [false, true]);
    assert!(processes[1].threads.is_empty() && processes[1].dump_error.is_none());
    assert!(dump::dump(&[0x3fff_fff0], &options()).is_empty());
    // A main thread that has ended does not make its process a zombie.
    let victim = start(&["-O0"], &["main-ends"]).ready(2);
    let process = dumped(victim.pid());
    assert!(!process.zombie);
    assert!(process.threads.iter().any(|thread| functions(thread).contains(&"park")));
}

#[test]
fn a_process_may_die_half_way() {
    for round in 0..10u64 {
        let mut victim = start_many(60);
        let pid = victim.pid();
        let start = Instant::now();
        let dump = std::thread::spawn(move || dump::dump(&[pid], &options()));
        while start.elapsed() < Duration::from_micros(300 * round) {
            std::hint::spin_loop();
        }
        victim.kill();
        let processes = dump.join().unwrap();
        // Not by its own deadline.
        assert!(processes.len() <= 1 && start.elapsed() < options().deadline);
    }
}

fn start_many(count: usize) -> Victim {
    start(&["-O1"], &["threads", &count.to_string()]).ready(count + 1)
}

#[test]
fn many_threads_take_little_time() {
    for count in [200, 1000] {
        let victim = start_many(count);
        let start = Instant::now();
        let process = dumped(victim.pid());
        println!("{count} threads: {:?}", start.elapsed());
        assert_eq!(process.threads.len(), count + 1);
        assert_eq!((process.paused_ms, &process.dump_error), (0.0, &None));
        let whole = process.threads[1..].iter().filter(|thread| functions(thread).contains(&"park")).count();
        assert_eq!(whole, count);
    }
}

#[test]
fn a_deadline_is_kept_with_what_is_there() {
    let victim = start_many(1000);
    let options = Options { deadline: Duration::from_millis(5), ..Options::default() };
    let start = Instant::now();
    let processes = dump::dump(&[victim.pid()], &options);
    println!("{:?}", start.elapsed());
    assert_eq!(processes.len(), 1);
    assert!(processes[0].dump_error.is_some());
}

/// Dumps as another user, which takes a thread of its own: credentials are a thread's.
fn dumped_as_nobody(pid: i32) -> Vec<launcher::core::facts::ProcessFacts> {
    let dump = move || {
        // SAFETY: setresuid(2) takes three numbers; only this thread, which ends soon, is changed.
        let result = unsafe { nix::libc::syscall(nix::libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!(result, 0);
        // The kernel makes the whole process undumpable for that, and its other threads with it.
        nix::sys::prctl::set_dumpable(true).unwrap();
        dump::dump(&[pid], &options())
    };
    std::thread::spawn(dump).join().unwrap()
}

#[test]
fn what_is_denied_is_said_with_its_remedy() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root to become another user");
        return;
    }
    let victim = start(&["-O0"], &["wait"]).ready(1);
    let processes = dumped_as_nobody(victim.pid());
    let error = processes[0].dump_error.as_deref().unwrap();
    assert!(error.contains("uid 0") && error.contains("CAP_SYS_PTRACE"), "{error}");
    assert_eq!(processes[0].threads.len(), 1);
    assert_eq!(processes[0].threads[0].state, 'S');
    let victim = Victim::start_with("shapes.c", &["-O0"], |command| {
        use std::os::unix::process::CommandExt;
        command.arg("undumpable").uid(65534);
        // The folder of the program is closed to others.
        command.current_dir("/");
    });
    let victim = victim.ready(1);
    let processes = dumped_as_nobody(victim.pid());
    let error = processes[0].dump_error.as_deref().unwrap();
    assert!(error.contains("PR_SET_DUMPABLE"), "{error}");
}
