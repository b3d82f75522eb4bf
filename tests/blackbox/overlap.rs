//! Two generations at once: a restart that refuses no one, and what becomes of one that does not succeed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::support::http::Told;
use crate::support::*;

/// Clients that connect one after the other, without a pause, until they are told to stop.
pub struct Clients {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Result<String, String>>>>,
}

impl Clients {
    pub fn of(address: SocketAddr) -> Clients {
        Clients::asking(move || ask(address).map_err(|problem| problem.to_string()))
    }

    pub fn asking(ask: impl Fn() -> Result<String, String> + Clone + Send + 'static) -> Clients {
        let over = Arc::new(AtomicBool::new(false));
        let client = || {
            let (over, ask) = (over.clone(), ask.clone());
            std::thread::spawn(move || {
                let mut answers = vec![];
                while !over.load(Ordering::SeqCst) {
                    answers.push(ask());
                }
                answers
            })
        };
        let threads = vec![client(), client()];
        Clients { over, threads }
    }

    /// What they were answered, each by which generation; nobody was refused.
    #[track_caller]
    pub fn answers(self, run: &mut Running) -> Vec<String> {
        self.over.store(true, Ordering::SeqCst);
        let all: Vec<_> = self.threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        for answers in &all {
            let lost: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
            let count = answers.len();
            assert!(lost.is_empty(), "{} of {count} are lost: {lost:?}; there was\n{}", lost.len(), run.show());
        }
        all.into_iter().flatten().flatten().collect()
    }
}

/// The body of an answer: `generation N`.
pub fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: here\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").filter(|(head, body)| head.contains("200 OK") && !body.is_empty());
    let (_, body) = body.ok_or_else(|| std::io::Error::other(format!("answered {answer:?}")))?;
    Ok(body.lines().next().unwrap_or_default().to_owned())
}

/// A service on a port of this mode.
pub fn service(command: &[&str], address: Address, mode: &str, more: &str) -> String {
    format!(
        "log_level = \"debug\"\n[service.api]\ncommand = {command:?}\n{more}\n[[service.api.port]]\nname = \"http\"\n\
         listen = \"tcp://{address}\"\nmode = \"{mode}\"\n"
    )
}

/// The scriptable child, ready by notification, with its port passed to it.
fn child_of(address: Address, steps: &[&str], more: &str) -> String {
    let command: Vec<&str> = ["CHILD", "listen-fds"].into_iter().chain(steps.iter().copied()).collect();
    service(&command, address, "pass", &format!("ready = \"notify\"\n{more}"))
}

const SERVES: [&str; 2] = ["notify READY=1", "serve"];

#[track_caller]
pub fn running(file: &str) -> Running {
    let mut run = launcher().file(file);
    run.control_socket();
    run.err_ever("api is ready");
    run
}

#[track_caller]
pub fn done(told: &Told) {
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "{told:?}");
}

/// A command that goes on beside the test.
pub fn begin(run: &Running, words: &[&str]) -> Child {
    let mut command = run.command_as(env!("CARGO_BIN_EXE_launcher"), words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub fn end(command: Child) -> Told {
    let output = command.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Told { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn status(run: &Running) -> serde_json::Value {
    serde_json::from_str(&run.command(&["status", "api", "--json"]).out).unwrap()
}

/// Three restarts while clients connect all the time.
#[track_caller]
pub fn loses_nobody(file: &str, address: Address) {
    let mut run = running(file);
    // What is stopped before it has set itself up for that would lose what it was asked.
    assert_eq!(ask(address.0).map_err(|problem| problem.to_string()), Ok("generation 1".to_owned()));
    let clients = Clients::of(address.0);
    for generation in 2..=4 {
        done(&run.command(&["restart", "api"]));
        // Until then the old one may take what the new one could.
        run.err(&format!("generation {} of api has stopped", generation - 1));
        assert_eq!(ask(address.0).map_err(|problem| problem.to_string()), Ok(format!("generation {generation}")));
    }
    assert!(!clients.answers(&mut run).is_empty());
    assert_eq!(status(&run)["generation"], 4);
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(0);
    assert!(!ended.complains("falls back") && ended.complains("ends what it has begun"), "{:#?}", ended.err);
    run.leaves_nothing();
}

/// Ends what it has begun when it is told to stop.
const NODE: &str = "const server = require('http').createServer((q, r) => \
                    r.end('generation ' + process.env.LAUNCHER_GENERATION + '\\n'));\
                    process.on('SIGTERM', () => server.close());";

#[test]
fn node_on_a_passed_port_loses_nobody() {
    if needs(&["node"]) {
        let (address, program) = (Address::new(), format!("{NODE} server.listen({{ fd: 3 }})"));
        loses_nobody(&service(&["node", "-e", &program], address, "pass", ""), address);
    }
}

#[test]
fn node_that_knows_nothing_of_it_loses_nobody() {
    if needs(&["node"]) {
        for mode in ["adopt", "capture"] {
            let address = Address::new();
            let program = format!("{NODE} server.listen(8080, '{}')", address.0.ip());
            loses_nobody(&service(&["node", "-e", &program], address, mode, ""), address);
        }
    }
}

const WSGI: &str = "import os
body = b'generation ' + os.environb[b'LAUNCHER_GENERATION'] + b'\\n'
def app(environ, start):
    start('200 OK', [('Content-Length', str(len(body)))])
    return [body]
";

#[test]
fn gunicorn_with_workers_loses_nobody() {
    if needs(&["gunicorn"]) {
        for mode in ["pass", "adopt"] {
            let (setup, address) = (launcher(), Address::new());
            setup.home().write("wsgi.py", WSGI);
            let (home, at) = (setup.home().path().display().to_string(), address.to_string());
            let words = ["gunicorn", "--workers", "2", "--bind", &at, "--chdir", &home, "wsgi:app"];
            let mut run = setup.file(&service(&words, address, mode, ""));
            run.control_socket();
            run.err_ever("api is ready");
            assert_eq!(ask(address.0).unwrap(), "generation 1");
            let clients = Clients::of(address.0);
            done(&run.command(&["restart", "api"]));
            run.err_ever("generation 1 of api has stopped");
            assert_eq!(ask(address.0).unwrap(), "generation 2");
            assert!(!clients.answers(&mut run).is_empty());
            run.signal(Signal::SIGTERM);
            assert!(!run.ends_with(0).complains("falls back"));
            run.leaves_nothing();
        }
    }
}

#[test]
fn one_that_is_not_ready_in_time_is_reported_and_removed_and_the_old_one_stays() {
    let address = Address::new();
    let steps = ["generation 2", "wait", "end", SERVES[0], SERVES[1]];
    let mut run = running(&child_of(address, &steps, "start_timeout = \"3s\""));
    let told = run.command(&["restart", "api"]);
    assert_eq!(told.code, Some(124), "{told:?}");
    assert!(told.err.starts_with("launcher: api did not become ready: "), "{told:?}");
    assert!(told.err.contains("; generation 1 serves on\n"), "{told:?}");
    // What has failed is said before what that means.
    run.err("\"event\":\"report\"");
    run.err("the restart of api has failed: generation 2 is removed, generation 1 serves on");
    assert!(ask(address.0).unwrap().starts_with("generation 1 "));
    let status = status(&run);
    assert_eq!((&status["state"], &status["generation"], &status["starts"]), (&"ready".into(), &1.into(), &2.into()));
    assert_eq!((&status["beside"], &status["failures_in_a_row"]), (&serde_json::Value::Null, &0.into()));
    let report = &run.reports("api")[0];
    assert_eq!((report.kind(), &report.0["generation"]), ("start-timeout", &2.into()));
    assert!(!report.0["processes"].as_array().unwrap().is_empty(), "it was dumped");
    // The next wish is as good as the first.
    done(&run.command(&["restart", "api"]));
    assert!(ask(address.0).unwrap().starts_with("generation 3 "));
}

#[test]
fn one_that_ends_at_once_gives_its_code_and_the_old_one_stays() {
    let address = Address::new();
    let steps = ["generation 2", "exit 42", "end", SERVES[0], SERVES[1]];
    let mut run = running(&child_of(address, &steps, ""));
    let told = run.command(&["restart", "api"]);
    assert_eq!(told.code, Some(42), "{told:?}");
    assert!(ask(address.0).unwrap().starts_with("generation 1 "));
    run.err_ever("generation 2 is removed, generation 1 serves on");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

/// A service whose second generation waits at a gate, and a restart that waits for it.
fn at_the_gate(address: Address, more: &str) -> (Running, std::path::PathBuf, Child) {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let wait = format!("gate {}", gate.display());
    let steps = ["generation 2", "say here", &wait, "end", SERVES[0], SERVES[1]];
    let mut run = setup.file(&child_of(address, &steps, more));
    run.control_socket();
    run.err_ever("api is ready");
    let restart = begin(&run, &["restart", "api"]);
    run.said("here");
    (run, gate, restart)
}

#[test]
fn both_generations_are_shown_and_restarts_meanwhile_are_one_more() {
    let address = Address::new();
    let (mut run, gate, first) = at_the_gate(address, "");
    let text = run.command(&["status"]).out;
    assert!(text.contains("generation 2 is starting beside it"), "{text}");
    let shown = status(&run);
    assert_eq!((&shown["generation"], &shown["state"]), (&1.into(), &"ready".into()));
    assert_eq!((&shown["beside"]["generation"], &shown["beside"]["part"]), (&2.into(), &"successor".into()));
    assert!(shown["beside"]["pid"].is_number(), "{shown}");
    // What it executes may be older than these wishes.
    let more: Vec<Child> = (0..3).map(|_| begin(&run, &["restart", "api"])).collect();
    run.err("api is restarted once more after this restart");
    for _ in 0..2 {
        run.err("restart of api was asked for");
    }
    std::fs::write(&gate, "").unwrap();
    for restart in more.into_iter().chain([first]) {
        done(&end(restart));
    }
    let shown = status(&run);
    assert_eq!((&shown["generation"], &shown["starts"]), (&3.into(), &3.into()));
    assert!(ask(address.0).unwrap().starts_with("generation 3 "));
}

/// As long as nothing was executed, whoever asks wishes for the same.
#[test]
fn restarts_at_the_same_time_are_one() {
    let (setup, address) = (launcher(), Address::new());
    let there = setup.home().write("there", "");
    let require = format!("[[service.api.require]]\nurl = \"file://{}\"\ntimeout = \"60s\"\n", there.display());
    let mut run = setup.file(&(child_of(address, &SERVES, "") + &require));
    run.control_socket();
    run.err_ever("api is ready");
    std::fs::remove_file(&there).unwrap();
    let restarts: Vec<Child> = (0..3).map(|_| begin(&run, &["restart", "api"])).collect();
    for _ in 0..3 {
        run.err("restart of api was asked for");
    }
    std::fs::write(&there, "").unwrap();
    for restart in restarts {
        done(&end(restart));
    }
    let shown = status(&run);
    assert_eq!((&shown["generation"], &shown["starts"]), (&2.into(), &2.into()));
}

#[test]
fn when_the_old_one_crashes_meanwhile_the_new_one_is_the_service() {
    let address = Address::new();
    let (mut run, gate, restart) = at_the_gate(address, "");
    let old = i32::try_from(status(&run)["pid"].as_i64().unwrap()).unwrap();
    // SAFETY: kill(2) takes no pointers.
    assert_eq!(unsafe { libc::kill(old, libc::SIGKILL) }, 0);
    run.err("generation 1 of api has ended: generation 2, that was to take its place, does so now");
    let shown = status(&run);
    assert_eq!((&shown["generation"], &shown["state"]), (&2.into(), &"starting".into()));
    // It is asked before the new one serves: the queue is the launcher's.
    let asked = std::thread::spawn(move || ask(address.0));
    std::fs::write(&gate, "").unwrap();
    done(&end(restart));
    assert!(asked.join().unwrap().unwrap().starts_with("generation 2 "));
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    assert_eq!(run.reports("api").iter().map(|report| report.kind().to_owned()).collect::<Vec<_>>(), ["crashed"]);
    run.leaves_nothing();
}

#[test]
fn a_stop_meanwhile_stops_both() {
    let (run, _gate, restart) = at_the_gate(Address::new(), "");
    done(&run.command(&["stop", "api"]));
    let told = end(restart);
    assert!(told.code == Some(71) && told.err.contains("api was stopped before it was ready"), "{told:?}");
    let shown = status(&run);
    assert_eq!((&shown["state"], &shown["processes"]), (&"stopped".into(), &0.into()));
    done(&run.command(&["start", "api"]));
    assert_eq!(status(&run)["generation"], 3);
    let (mut run, _gate, _restart) = at_the_gate(Address::new(), "");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

/// Both write, and the old one is shown until its time is over.
#[test]
fn one_that_does_not_drain_is_reported_and_killed() {
    let address = Address::new();
    let steps =
        ["generation 1", "on TERM ignore", "end", "print up {generation}", "on USR1 print heard", SERVES[0], SERVES[1]];
    let mut run = running(&child_of(address, &steps, "drain_timeout = \"1s\"\nstop_timeout = \"60s\""));
    done(&run.command(&["restart", "api"]));
    run.outs(&["up 1", "up 2"]);
    run.err_ever("generation 2 of api serves; generation 1 ends what it has begun, within 1.0 s");
    let said = run.err_ever("api did not stop within");
    assert!(
        said.contains("\"generation 1 of api did not stop within 1.0 s, its drain_timeout: it is killed"),
        "{said}"
    );
    let said = run.err_ever("\"event\":\"report\"");
    assert!(said.contains("\"generation 1 of api did not stop within 1s (drain_timeout): "), "{said}");
    assert!(said.contains("raise drain_timeout") && !said.contains("stop_timeout"), "{said}");
    run.err_ever("generation 1 of api has stopped");
    let report = &run.reports("api")[0];
    assert_eq!((report.kind(), &report.0["generation"]), ("stop-timeout", &1.into()));
    assert_eq!(report.0["limits"]["drain_timeout_ms"], 1000);
    let shown = status(&run);
    assert_eq!((&shown["beside"], &shown["processes"]), (&serde_json::Value::Null, &1.into()));
    assert!(ask(address.0).unwrap().starts_with("generation 2 "));
}

#[test]
fn what_both_write_is_told_and_a_stop_cuts_a_drain_short() {
    let address = Address::new();
    let steps = ["generation 1", "on TERM ignore", "end", "print up {generation}", SERVES[0], SERVES[1]];
    let more = "drain_timeout = \"120s\"\nstop_timeout = \"500ms\"";
    let mut run = running(&child_of(address, &steps, more));
    done(&run.command(&["restart", "api"]));
    run.outs(&["up 1", "up 2"]);
    let text = run.command(&["status", "api"]).out;
    assert!(text.contains("generation 1 ends what it has begun, pid "), "{text}");
    assert_eq!(run.command(&["logs", "api"]).out, "up 1\nup 2\n");
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

/// A guard keeps the held socket from it: that is known before the restart, or found out in it.
#[test]
fn what_cannot_be_given_twice_is_stopped_first_and_told_why() {
    for step in ["listen-polled", "listen-twice"] {
        let address = Address::new();
        let listen = format!("{step} {address}");
        let mut run = running(&service(&["CHILD", &listen, "serve"], address, "adopt", "ready = \"listen\""));
        done(&run.command(&["restart", "api"]));
        let told = run.err_ever("api is stopped before it is started again");
        assert!(told.contains("launcher could not keep its port"), "{told}");
        assert!(ask(address.0).unwrap().starts_with("generation 2 "));
        let shown = status(&run);
        assert_eq!((&shown["generation"], &shown["beside"]), (&2.into(), &serde_json::Value::Null));
        assert!(run.reports("api").is_empty());
    }
}

/// Found out in the restart: the second generation binds otherwise than the first.
#[test]
fn what_is_found_out_in_a_restart_costs_one_generation_more() {
    let address = Address::new();
    let (plain, polled) = (format!("listen {address}"), format!("listen-polled {address}"));
    let steps = ["CHILD", "generation 1", &plain, "serve", "end", &polled, "serve"];
    let mut run = running(&service(&steps, address, "adopt", "ready = \"listen\""));
    done(&run.command(&["restart", "api"]));
    run.err_ever("api is stopped before it is started again: launcher could not keep its port");
    assert!(ask(address.0).unwrap().starts_with("generation 3 "));
    assert!(run.reports("api").is_empty());
}

#[test]
fn a_reserved_port_is_for_one_and_that_is_said() {
    let address = Address::new();
    let steps = ["CHILD", &format!("listen {address}"), "serve"];
    let mut run = running(&service(&steps, address, "reserve", "ready = \"listen\""));
    done(&run.command(&["restart", "api"]));
    run.err_ever("api is stopped before it is started again: its port \\\"http\\\" has mode \\\"reserve\\\"");
    assert!(ask(address.0).unwrap().starts_with("generation 2 "));
}

/// Whether the listener here that this process has does not block.
fn is_nonblocking(pid: i64, address: Address) -> bool {
    let listeners = launcher::sys::sock_diag::listeners(address.0.port()).unwrap();
    let inode = listeners.iter().find(|socket| socket.local == address.0).unwrap().inode;
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|file| file.unwrap());
    let is_listener = |path: &std::path::Path| {
        std::fs::read_link(path).is_ok_and(|file| file.to_string_lossy() == format!("socket:[{inode}]"))
    };
    let fd = files.into_iter().find(|file| is_listener(&file.path())).unwrap().file_name();
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", fd.to_string_lossy())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    i32::from_str_radix(flags.trim(), 8).unwrap() & libc::O_NONBLOCK != 0
}

/// Both have one socket, and the old one accepts until nothing is there: it must not wait for more in that.
#[test]
fn a_new_generation_does_not_make_the_old_ones_socket_block() {
    for mode in ["adopt", "capture"] {
        let (setup, address) = (launcher(), Address::new());
        let gate = setup.home().fifo("gate");
        let (listen, wait) = (format!("listen {address}"), format!("gate {}", gate.display()));
        let steps = ["CHILD", &listen, "generation 2", "say here", &wait, "end", "nonblocking", SERVES[0], SERVES[1]];
        let mut run = setup.file(&service(&steps, address, mode, "ready = \"notify\""));
        run.control_socket();
        run.err_ever("api is ready");
        let old = status(&run)["pid"].as_i64().unwrap();
        assert!(is_nonblocking(old, address));
        let restart = begin(&run, &["restart", "api"]);
        run.said("here");
        assert!(is_nonblocking(old, address), "{mode}");
        std::fs::write(&gate, "").unwrap();
        done(&end(restart));
        assert!(ask(address.0).unwrap().starts_with("generation 2 "));
        run.signal(Signal::SIGTERM);
        run.ends_with(0);
    }
}

/// The same service of the file, set otherwise.
fn write(run: &Running, text: &str) {
    run.home().write("launcher.toml", &run.home().settings(text));
}

/// The scriptable child of this generation answers.
#[track_caller]
fn serves(address: Address, generation: u64) {
    let answer = ask(address.0).unwrap();
    assert!(answer.starts_with(&format!("generation {generation} ")), "{answer}");
}

#[test]
fn a_reload_of_launcher_toml_refuses_nobody() {
    if !needs(&["node"]) {
        return;
    }
    let (address, program) = (Address::new(), format!("{NODE} server.listen({{ fd: 3 }})"));
    let set = |level: &str| {
        service(&["node", "-e", &program], address, "pass", &format!("environment = {{ LEVEL = \"{level}\" }}"))
    };
    let mut run = running(&set("one"));
    assert_eq!(ask(address.0).map_err(|problem| problem.to_string()), Ok("generation 1".to_owned()));
    let clients = Clients::of(address.0);
    write(&run, &set("two"));
    let told = run.command(&["reload"]);
    done(&told);
    assert!(told.out.contains("~ api: environment.LEVEL\n") && told.out.contains("api is ready after"), "{told:?}");
    run.err_ever("api is restarted: generation 2 starts while generation 1 serves on");
    run.err_ever("generation 1 of api has stopped");
    assert_eq!(ask(address.0).map_err(|problem| problem.to_string()), Ok("generation 2".to_owned()));
    assert!(!clients.answers(&mut run).is_empty());
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_reload_to_what_is_not_ready_leaves_the_old_one_as_it_was() {
    let address = Address::new();
    let mut run = running(&child_of(address, &SERVES, ""));
    write(&run, &child_of(address, &["exit 42"], "start_timeout = \"20s\""));
    let told = run.command(&["reload"]);
    assert_eq!(told.code, Some(42), "{told:?}");
    let why = "api did not become ready: api exited with code 42";
    assert!(told.err.contains(why), "{told:?}");
    assert!(told.err.contains("; generation 1 serves on, as it was set before"), "{told:?}");
    let reports = run.reports("api");
    assert_eq!((reports.len(), &reports[0].0["generation"]), (1, &serde_json::json!(2)));
    serves(address, 1);
    // The file is what counts for whatever starts it next.
    let told = run.command(&["restart", "api"]);
    assert!(told.code == Some(42) && told.err.contains("generation 1 serves on"), "{told:?}");
    write(&run, &child_of(address, &SERVES, "environment = { LEVEL = \"right\" }"));
    done(&run.command(&["reload"]));
    run.err_ever("generation 1 of api has stopped");
    serves(address, 4);
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn a_reload_goes_by_what_the_one_that_serves_was_started_with() {
    let address = Address::new();
    let fails = ["generation 2", "exit 42", "end", "generation 4", "exit 42", "end"];
    let set = |x: &str| child_of(address, &[&fails[..], &SERVES].concat(), &format!("environment = {{ X = \"{x}\" }}"));
    let mut run = running(&set("1"));
    write(&run, &set("2"));
    assert_eq!(run.command(&["reload"]).code, Some(42));
    // As it was: what serves has it, and what is started next.
    write(&run, &set("1"));
    let told = run.command(&["reload"]);
    done(&told);
    assert!(told.out.contains("nothing has changed") && status(&run)["generation"] == 1, "{told:?}");
    done(&run.command(&["restart", "api"]));
    run.err_ever("generation 1 of api has stopped");
    serves(address, 3);
    write(&run, &set("2"));
    assert_eq!(run.command(&["reload"]).code, Some(42));
    // What the file says has not come about: it is tried again.
    let told = run.command(&["reload"]);
    done(&told);
    assert!(told.out.contains("1 service changed") && told.out.contains("~ api: environment.X\n"), "{told:?}");
    serves(address, 5);
    let told = run.command(&["reload"]);
    assert!(told.code == Some(0) && told.out.contains("nothing has changed"), "{told:?}");
}

#[test]
fn a_service_without_a_handler_is_reloaded_by_a_restart_that_refuses_nobody() {
    let address = Address::new();
    let mut run = running(&child_of(address, &SERVES, ""));
    let told = run.command(&["reload", "api"]);
    done(&told);
    let said = "api has no handler for SIGHUP: it was restarted, and is ready after ";
    assert!(told.out.starts_with(said), "{told:?}");
    run.err_ever("generation 1 of api has stopped");
    serves(address, 2);
}
