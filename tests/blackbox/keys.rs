//! Keys on the launcher's terminal.

use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::support::*;

const SERVICES: &str = r#"
[service.db]
command = ["CHILD", "on USR1 print db-line", "say db {generation}", "notify READY=1", "wait"]
ready = "notify"
[service.api]
command = ["CHILD", "on USR1 print api-line", "print api-first", "say api {generation}", "notify READY=1", "wait"]
ready = "notify"
after = ["db"]
"#;

/// Two services on a terminal, both ready.
fn running() -> Running {
    let mut run = launcher().on_terminal().variable("TERM", "xterm").variable("NO_COLOR", "1").file(SERVICES);
    run.said("db 1");
    run.said("api 1");
    // Its line may come before that one, or after.
    run.outs(&["ready in ", "api-first"]);
    run
}

/// Whether keys are read one by one and not shown.
fn by_key(run: &Running) -> bool {
    let modes = tcgetattr(run.terminal()).unwrap();
    !modes.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO)
}

/// Sends a signal to the main process of a service.
fn usr1(run: &Running, service: &str) {
    let status: serde_json::Value = serde_json::from_str(&run.command(&["status", service, "--json"]).out).unwrap();
    let pid = i32::try_from(status["pid"].as_i64().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGUSR1).unwrap();
}

#[test]
fn r_restarts_one_or_all_and_q_stops() {
    let mut run = running();
    assert!(by_key(&run));
    run.input("rap\x7fpi\r");
    run.said("api 2");
    run.out("api is ready after");
    run.input("r2\n");
    run.said("api 3");
    run.out("api is ready after");
    run.input("r\n");
    run.said("db 2");
    run.said("api 4");
    run.input("rnobody\n");
    run.out("\"nobody\" is no service");
    run.input("q");
    run.ends_with(0);
    assert!(!by_key(&run), "the terminal is as it was");
    run.leaves_nothing();
}

#[test]
fn l_shows_the_lines_of_one_alone_and_of_all_again() {
    let mut run = running();
    run.input("lapi\n");
    run.out("only the lines of api are shown");
    run.out("  api-first");
    usr1(&run, "db");
    until("the line is kept", || run.command(&["logs", "db"]).out == "db-line\n");
    usr1(&run, "api");
    run.out("api-line");
    run.input("l\n");
    run.out("the lines of all services are shown");
    usr1(&run, "db");
    run.out("db-line");
    let shown = run.show();
    assert_eq!(shown.matches("Out: db  | db-line").count(), 1, "the first was not shown:\n{shown}");
}

#[test]
fn d_shows_what_a_service_is_doing() {
    let mut run = running();
    run.input("?");
    run.out("keys: r restart, l lines of one or all, d dump, q stop, ? this");
    run.input("ddb\n");
    run.out(&child().display().to_string());
    run.input("\x03");
    run.ends_with(0);
    assert!(!by_key(&run), "Ctrl-C is as before, and leaves the terminal as it was");
}

/// A shell with job control, and in its folder a file with one service.
fn in_a_shell(script: &str) -> Running {
    let setup = Subject::Bare.run().on_terminal().variable("TERM", "xterm");
    let child = child().display().to_string();
    let service = format!("[service.api]\ncommand = [{child:?}, \"say up\", \"wait\"]\nready = \"started\"\n");
    setup.home().write("launcher.toml", &format!("[launcher]\nreport_dir = \"reports\"\n{service}"));
    setup.variable("LAUNCHER", env!("CARGO_BIN_EXE_launcher")).command(["bash", "--norc", "-i", "-c", script])
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_fg_takes_it_again() {
    let mut run = in_a_shell("$LAUNCHER run; echo in the shell; read -r line; fg; echo code $?");
    run.said("up");
    until("keys are read", || by_key(&run));
    run.input("\x1a");
    run.out("in the shell");
    assert!(!by_key(&run));
    run.input("go on\n");
    until("keys are read again", || by_key(&run));
    run.input("q");
    run.out("code 0");
    run.ended();
    assert!(!by_key(&run));
    run.leaves_nothing();
}

#[test]
fn in_the_background_the_keys_are_the_shells() {
    let mut run = in_a_shell("$LAUNCHER run & read -r line; echo shell read $line; kill %1; wait %1; echo code $?");
    run.said("up");
    run.out("api is ready");
    assert!(!by_key(&run));
    run.input("q\n");
    run.out("shell read q");
    run.out("code 0");
    run.ended();
    run.leaves_nothing();
}

#[test]
fn a_pager_has_the_keys() {
    let mut run = in_a_shell("$LAUNCHER run | cat");
    run.said("up");
    run.out("api is ready");
    assert!(!by_key(&run));
    run.input("\x03");
    run.ended();
    run.leaves_nothing();
    assert!(!run.show().contains("keys: "));
}
