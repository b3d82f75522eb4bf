//! Stopping: the ladder, and that nothing is ever left (DESIGN §7).

use std::time::{Duration, Instant};

use crate::support::*;

/// A server that is told to quit: what it was asked, once.
fn sidecar(answer: &'static [u8]) -> (Address, std::thread::JoinHandle<String>) {
    use std::io::{Read as _, Write as _};
    let address = Address::new();
    let listener = std::net::TcpListener::bind(address.0).unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = [0; 1024];
        let length = stream.read(&mut heard).unwrap();
        let _ = stream.write_all(answer);
        String::from_utf8_lossy(&heard[..length]).into_owned()
    });
    (address, asked)
}

#[test]
fn a_sidecar_is_told_to_quit_when_the_service_has_stopped() {
    let (address, asked) = sidecar(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut run = launcher().file(&format!(
        "[service.api]\ncommand = [\"CHILD\", \"on TERM both 0 api stops\", \"say up\", \"wait\"]\nready = \"started\"\n\
         on_stop = {{ http_post = \"http://{address}/quitquitquit\" }}\n"
    ));
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.said("api stops");
    let ended = run.ends_with(0);
    assert!(ended.complains("on_stop is done"), "{:?}", ended.err);
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("POST /quitquitquit HTTP/1.1\r\n") && asked.contains("Content-Length: 0"), "{asked}");
}

#[test]
fn a_sidecar_that_says_nothing_does_not_keep_the_launcher() {
    // It accepts and answers nothing: the launcher waits for it, but not beyond the stop budget.
    let address = Address::new();
    let _listener = std::net::TcpListener::bind(address.0).unwrap();
    let mut run = launcher().file(&format!(
        "stop_budget = \"1s\"\n[service.api]\ncommand = [\"CHILD\", \"say up\", \"wait\"]\nready = \"started\"\n\
         on_stop = {{ http_post = \"http://{address}/quit\", timeout = \"10m\" }}\n"
    ));
    run.said("up");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_command_is_run_when_a_job_has_ended_and_not_between_its_restarts() {
    let mut run = launcher().file(
        r#"[service.job]
        command = ["CHILD", "generation 1", "exit 3", "end", "say second", "exit 0"]
        ready = "exited"
        on_stop = { exec = ["CHILD", "say after"] }
        restart = { backoff = { initial = "1ms", max = "1ms" } }
        "#,
    );
    run.said("second");
    run.said("after");
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_child_that_ignores_the_stop_signal_is_killed_and_reported() {
    let mut run = launcher().flags(["--stop-timeout", "300ms"]).child(["on TERM ignore", "print up", "wait"]);
    run.out("up");
    let asked = Instant::now();
    run.signal(Signal::SIGTERM);
    // What it is doing is said at once, and not only in the report.
    run.err("\"event\":\"survivor\"");
    run.ends_with(137);
    assert!(asked.elapsed() >= Duration::from_millis(300), "{:?}", asked.elapsed());
    run.leaves_nothing();
    let report = run.report();
    assert_eq!(report.kind(), "stop-timeout");
    assert!(report.list("/processes")[0]["threads"].to_string().contains("wait_for_ever"), "{:#}", report.0);
}

#[test]
fn the_budget_bounds_it_all() {
    // Longer than this test has patience.
    let flags = ["--stop-timeout", "10m", "--stop-budget", "500ms"];
    let mut run = launcher().flags(flags).child(["on TERM ignore", "print up", "wait"]);
    run.out("up");
    run.signal(Signal::SIGTERM);
    let ended = run.ended();
    assert!(ended.complains("raise it, or shorten stop_timeout"), "{:?}", ended.err);
    run.leaves_nothing();
}

/// Daemons in sessions of their own that ignore TERM.
const DAEMONS: [&str; 8] =
    ["double-fork", "on TERM ignore", "say deep", "wait", "end", "orphans-wait 5", "fork-storm 5", "say up"];

#[test]
fn daemons_that_ignore_the_stop_signal_go_too() {
    leaves_no_daemons(launcher);
}

#[test]
fn what_the_child_leaves_behind_at_its_own_end_goes_too() {
    let steps = DAEMONS.iter().copied().chain(["gate gate", "exit 3"]);
    let setup = launcher().flags(["--stop-timeout", "300ms"]);
    let gate = setup.home().fifo("gate");
    let mut run = setup.child(steps);
    run.saids(&["deep", "up"]);
    std::fs::write(gate, "").unwrap();
    run.ends_with(3);
    run.leaves_nothing();
}

#[test]
fn a_leftover_that_honours_the_stop_signal_may_end_by_itself() {
    let steps = ["double-fork", "on TERM both 0 tidied up", "say deep", "wait", "end", "gate gate", "exit 0"];
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let mut run = setup.child(steps);
    run.said("deep");
    std::fs::write(gate, "").unwrap();
    run.out("tidied up");
    run.ends_with(0);
}

/// Waits until a process is stopped by a signal.
fn is_stopped(pid: i32) {
    until("it is stopped", || status_field(pid, "State").unwrap().starts_with('T'));
}

/// A stopped process takes no signal but KILL until it goes on: the stop lets it, so that it can end in its own way.
#[test]
fn a_stopped_child_can_be_stopped() {
    let mut run = launcher().child(["on TERM exit 6", "print up {pid}", "stop-self", "wait"]);
    let pid = run.out_number("up");
    is_stopped(pid);
    run.signal(Signal::SIGTERM);
    run.ends_with(6);
    run.leaves_nothing();
}

#[test]
fn a_stopped_daemon_can_be_stopped() {
    let steps = ["double-fork", "on TERM both 0 tidied up", "say deep {pid}", "stop-self", "wait", "end", "wait"];
    let mut run = launcher().child(steps);
    let pid = run.said_number("deep");
    is_stopped(pid);
    run.signal(Signal::SIGTERM);
    run.out("tidied up");
    run.ends_with(0);
}

#[test]
fn sigkill_of_the_keeper_is_told_and_leaves_nothing() {
    let mut run = launcher().child(DAEMONS.iter().copied().chain(["wait"]));
    run.saids(&["deep", "up"]);
    kill_keeper(&run);
    let ended = run.ends_with(125);
    assert!(ended.complains("keeper of child was killed"), "{:?}", ended.err);
    run.leaves_nothing();
    assert_eq!(run.report().kind(), "crashed");
}

/// It counts as a crash: what is to be restarted is.
#[test]
fn a_service_whose_keeper_was_killed_is_restarted() {
    let mut run =
        launcher().flags(["--restart", "on-failure", "--backoff", "0ms..0ms"]).child(["say up {generation}", "wait"]);
    run.said("up 1");
    kill_keeper(&run);
    run.said("up 2");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

/// Kills the process between the launcher and its service.
fn kill_keeper(run: &Running) {
    let keeper = nix::unistd::Pid::from_raw(run.below()[0]);
    nix::sys::signal::kill(keeper, Signal::SIGKILL).unwrap();
}

/// A keeper that neither dies nor answers: held by a tracer, as by a file system that does not answer.
#[test]
fn a_keeper_that_does_not_answer_does_not_keep_the_launcher_beyond_its_budget() {
    let mut run = launcher().flags(["--stop-timeout", "200ms", "--stop-budget", "1s"]).child(["say up", "wait"]);
    run.said("up");
    let keeper = run.below()[0];
    // SAFETY: these requests take no memory of ours.
    let traced = unsafe {
        libc::ptrace(libc::PTRACE_SEIZE, keeper, 0, 0) == 0 && libc::ptrace(libc::PTRACE_INTERRUPT, keeper, 0, 0) == 0
    };
    assert!(traced, "{}", std::io::Error::last_os_error());
    run.signal(Signal::SIGTERM);
    // The keeper would be waited for without an end.
    run.ended();
    // SAFETY: as above.
    unsafe {
        libc::waitpid(keeper, std::ptr::null_mut(), libc::__WALL);
        libc::ptrace(libc::PTRACE_DETACH, keeper, 0, 0);
    }
    run.leaves_nothing();
}

/// At 20 moments of a life full of events: starts, crashes, restarts, deadlines with dumps, and stops.
#[test]
fn sigkill_of_the_launcher_at_any_moment_leaves_nothing() {
    let flags = [
        "--restart",
        "always",
        "--max-failures",
        "0",
        "--backoff",
        "0ms..1ms",
        "--ready",
        "notify",
        "--start-timeout",
        "5ms",
        "--stop-timeout",
        "5ms",
    ];
    let steps = ["double-fork", "on TERM ignore", "wait", "end", "on TERM ignore", "fork-storm 4", "say up", "wait"];
    for moment in 0..20_u64 {
        let mut run = launcher().flags(flags).child(steps);
        let until = Instant::now() + Duration::from_micros(moment * moment * 300);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        run.signal(Signal::SIGKILL);
        run.ended();
        run.leaves_nothing();
    }
}

#[test]
fn sigkill_of_the_launcher_during_a_stop_leaves_nothing() {
    let mut run = launcher().child([
        "on TERM print got TERM",
        "print up",
        "double-fork",
        "on TERM ignore",
        "wait",
        "end",
        "wait",
    ]);
    run.out("up");
    run.signal(Signal::SIGTERM);
    run.out("got TERM");
    run.signal(Signal::SIGKILL);
    run.ended();
    run.leaves_nothing();
}

#[test]
fn sigkill_of_a_launcher_with_a_file_leaves_nothing_of_any_service() {
    let mut run = launcher().file(
        r#"[service.a]
        command = ["CHILD", "on TERM ignore", "say a up", "wait"]
        ready = "started"
        [service.b]
        command = ["CHILD", "on TERM ignore", "double-fork", "say b up", "wait", "end", "wait"]
        ready = "started"
        "#,
    );
    run.saids(&["a up", "b up"]);
    run.signal(Signal::SIGKILL);
    run.ended();
    run.leaves_nothing();
}

/// Starts daemons, ends them by TERM and by SIGKILL of the launcher, and looks for what is left.
fn leaves_no_daemons(setup: impl Fn() -> Setup) {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut run = setup().flags(["--stop-timeout", "300ms"]).child(DAEMONS.iter().copied().chain(["wait"]));
        run.saids(&["deep", "up"]);
        run.signal(signal);
        run.ended();
        run.leaves_nothing();
    }
}

/// As a user without privilege there is no cgroup to be killed, and nothing may be left all the same.
#[test]
fn nothing_is_left_without_privilege_either() {
    if nix::unistd::geteuid().is_root() {
        leaves_no_daemons(|| launcher().being_nobody());
    }
}

/// Neither is anything left of a service that runs as another user than the launcher.
#[test]
fn nothing_is_left_of_another_user() {
    if nix::unistd::geteuid().is_root() {
        leaves_no_daemons(|| launcher().with_copies().flags(["--user", "nobody"]));
    }
}

#[test]
fn sigkill_of_the_main_process_ends_the_rest() {
    let mut run = launcher().flags(["--stop-timeout", "200ms"]).child(DAEMONS.iter().copied().chain(["die KILL"]));
    run.ends_with(137);
    run.leaves_nothing();
}
