//! Launcher in real containers (`runc`): as PID 1 of a root file system with nothing in it but two static programs, under
//! Docker's default seccomp profile and capabilities. Needs root, runc and that profile, which tests/setup installs.
#![allow(clippy::disallowed_methods, reason = "tests start processes and look at the clock")]

mod bundle;
mod image;
mod running;

use std::time::{Duration, Instant};

use bundle::{Bundle, can_run};

/// So long a container runtime waits before it kills.
const GRACE: Duration = Duration::from_secs(10);

fn contained(words: &[&str]) -> Option<Bundle> {
    can_run().then(|| Bundle::new(words))
}

#[test]
fn pid_1_needs_nothing_but_itself() {
    let Some(bundle) = contained(&["/launcher", "run", "--", "/child", "print up", "dump-ids", "wait"]) else {
        return;
    };
    let mut run = bundle.user(65534).capabilities(&[]).read_only().start();
    run.line("up");
    run.line("CapEff: 0000000000000000");
    run.kill(libc::SIGTERM);
    assert_eq!(run.ended(GRACE), 0);
}

#[test]
fn exit_codes_and_orphans_are_as_with_any_init() {
    for code in [0, 7, 255] {
        let exit = format!("exit {code}");
        let Some(bundle) = contained(&["/launcher", "run", "--", "/child", "orphans 20", &exit]) else { return };
        assert_eq!(bundle.start().ended(GRACE), code);
    }
}

/// A stop begins when launcher takes signals, which is the first thing it does.
#[test]
fn a_stop_at_any_moment_of_the_start_is_answered_within_the_budget() {
    for moment in 0..20_u32 {
        let words = [
            "/launcher",
            "run",
            "--ready",
            "notify",
            "--stop-budget",
            "600ms",
            "--",
            "/child",
            "on TERM ignore",
            "wait",
        ];
        let Some(bundle) = contained(&words) else { return };
        let mut run = bundle.start();
        run.takes_signals();
        let until = Instant::now() + Duration::from_micros(u64::from(moment * moment) * 60);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        run.kill(libc::SIGTERM);
        run.ended(Duration::from_millis(600) + running::SLACK);
    }
}

#[test]
fn a_stop_in_every_state_is_answered_within_the_budget() {
    type State = (&'static str, &'static [&'static str], &'static [&'static str], &'static str);
    let states: [State; 6] = [
        ("ready", &["--stop-timeout", "60s"], &["on TERM ignore", "print up", "wait"], "up"),
        ("starting", &["--ready", "notify"], &["on TERM ignore", "print up", "wait"], "up"),
        ("waiting", &["--require", "tcp://127.0.0.1:1"], &["wait"], "127.0.0.1:1"),
        ("backing off", &["--restart", "always", "--backoff", "60s..60s"], &["exit 1"], "started again"),
        (
            "late",
            &["--ready", "notify", "--start-timeout", "300ms", "--stop-timeout", "60s"],
            &["on TERM ignore", "wait"],
            "\"event\":\"report\"",
        ),
        ("forking", &["--stop-timeout", "60s"], &["on TERM ignore", "fork-storm 20", "print up", "wait"], "up"),
    ];
    for (state, flags, steps, line) in states {
        let words = [&["/launcher", "run", "--stop-budget", "2s"], flags, &["--", "/child"], steps].concat();
        let Some(bundle) = contained(&words) else { return };
        let mut run = bundle.start();
        run.line(line);
        run.kill(libc::SIGTERM);
        println!("{state}: {:?}", run.ended(Duration::from_secs(2) + running::SLACK));
    }
}

#[test]
fn a_hang_is_explained_under_dockers_profile() {
    let words = [
        "/launcher",
        "run",
        "--ready",
        "notify",
        "--start-timeout",
        "2s",
        "--report-dir",
        "/reports",
        "--",
        "/child",
        "wait",
    ];
    let Some(bundle) = contained(&words) else { return };
    let mut run = bundle.bind("reports", "/reports").bind_file("said", "/dev/termination-log").start();
    assert_eq!(run.ended(GRACE), 124);
    let report = std::fs::read_to_string(run.folder().join("reports/child/latest.json")).unwrap();
    assert!(report.contains("wait_for_ever"), "{report}");
    let said = std::fs::read_to_string(run.folder().join("said")).unwrap();
    assert!(said.contains("child: not ready after"), "{said}");
}

#[test]
fn the_memory_limit_is_told_from_an_operator_who_kills() {
    let words = |steps: &[&'static str]| [&["/launcher", "run", "--", "/child"], steps].concat();
    let Some(bundle) = contained(&words(&["print up", "hog-memory 500"])) else { return };
    let mut run = bundle.memory(64 << 20).start();
    run.line("\"cause\":\"out-of-memory\"");
    assert_eq!(run.ended(GRACE), 137);
    let Some(bundle) = contained(&words(&["print up {pid}", "die KILL"])) else { return };
    let mut run = bundle.memory(64 << 20).start();
    run.line("\"cause\":\"crashed\"");
    assert_eq!(run.ended(GRACE), 137);
}

/// How a container differs from `docker run`'s own, and flags for launcher.
type Kind = (&'static str, &'static [&'static str], fn(Bundle) -> Bundle);

const KINDS: [Kind; 4] = [
    ("root", &[], |bundle| bundle),
    ("another user", &[], |bundle| bundle.user(1000).capabilities(&[])),
    ("no new privileges", &[], Bundle::no_new_privileges),
    ("a service with a user", &["--user", "1000:1000"], |bundle| bundle),
];

/// Both generations run, and new connections go to the new one.
#[test]
fn ports_are_kept_over_a_restart_under_dockers_profile() {
    let modes = [
        ("pass", "listen-fds", false),
        ("adopt", "listen 127.0.0.1:8080", false),
        ("capture", "listen 127.0.0.1:8080", false),
        ("share", "listen-shared 127.0.0.1:8080", true),
    ];
    for (kind, flags, change) in KINDS {
        for (mode, listen, canary) in modes {
            let port = format!("127.0.0.1:8080,{mode}");
            let run = ["/launcher", "run", "--ready", "notify", "--control", "/run/control", "--port", &port];
            let words = [&run, flags, &["--", "/child", listen, "notify READY=1", "serve"]].concat();
            let Some(bundle) = contained(&words) else { return };
            let mut run = change(bundle.bind_open("run", "/run")).start();
            run.line("child is ready");
            assert!(run.ask("127.0.0.1:8080").contains("generation 1"), "{kind} {mode}");
            // It may be there only after the service.
            run.has("run/control");
            let commands: [&[&str]; 3] = [&["restart", "--canary", "50%"], &["promote"], &["restart"]];
            for words in if canary { &commands[..2] } else { &commands[2..] } {
                let words = [&["/launcher"], *words, &["--control", "/run/control"]].concat();
                assert_eq!(run.executes(&words), Ok(()), "{kind} {mode}: {:#?}", run.written());
            }
            run.line("generation 1 of child has stopped");
            let answer = run.ask("127.0.0.1:8080");
            assert!(answer.contains("generation 2"), "{kind} {mode}: {answer}");
            let poor = ["falls back", "not-steered", "is stopped before"];
            let line = run.written().iter().find(|line| poor.iter().any(|poor| line.contains(poor)));
            assert_eq!(line, None, "{kind} {mode}");
            run.kill(libc::SIGTERM);
            assert_eq!(run.ended(GRACE), 0, "{kind} {mode}");
        }
    }
}

/// Docker's profile denies pidfd_getfd(2), and nobody has CAP_SYS_ADMIN or CAP_SYS_PTRACE.
#[test]
fn ports_of_unmodified_programs_are_held_under_dockers_profile() {
    for (kind, flags, change) in KINDS {
        for port in ["127.0.0.1:8080,adopt", "127.0.0.1:8080,capture", "[::]:8080,adopt"] {
            let (address, _) = port.split_once(',').unwrap();
            let listen = format!("listen {address}");
            let run = [
                "/launcher",
                "run",
                "--ready",
                "listen",
                "--restart",
                "always",
                "--backoff",
                "1ms..1ms",
                "--port",
                port,
            ];
            let words = [&run, flags, &["--", "/child", &listen, "print up {generation}", "serve"]].concat();
            let Some(bundle) = contained(&words) else { return };
            let mut run = change(bundle).start();
            run.line("child is ready");
            assert!(run.ask("127.0.0.1:8080").contains("generation 1"), "{kind} {port}");
            run.kill_service();
            let answer = run.ask("127.0.0.1:8080");
            assert!(answer.contains("generation 2"), "{kind} {port}: {answer}");
            assert!(
                !run.written().iter().any(|line| line.contains("falls back")),
                "{kind} {port}: {:#?}",
                run.written()
            );
            run.kill(libc::SIGTERM);
            assert_eq!(run.ended(GRACE), 0, "{kind} {port}");
        }
    }
}

#[test]
fn below_another_init_and_in_a_shared_pid_namespace_it_works_as_well() {
    let words = [
        "/tini",
        "-s",
        "--",
        "/launcher",
        "run",
        "--",
        "/child",
        "double-fork",
        "wait",
        "end",
        "print up {pid}",
        "wait",
    ];
    let Some(bundle) = contained(&words) else { return };
    let mut run = bundle.add("/usr/bin/tini-static", "tini").start();
    run.line("up ");
    run.kill(libc::SIGTERM);
    assert_eq!(run.ended(GRACE), 0);

    let Some(bundle) = contained(&words[3..]) else { return };
    let mut run = bundle.shared_pid_namespace().start();
    run.line("up ");
    let below = run.processes();
    assert!(below.len() >= 3, "{below:?}");
    run.kill(libc::SIGTERM);
    assert_eq!(run.ended(GRACE), 0);
    let left: Vec<_> = below.into_iter().filter(|pid| std::fs::exists(format!("/proc/{pid}")).unwrap()).collect();
    assert!(left.is_empty(), "{left:?}");
}
