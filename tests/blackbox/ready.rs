//! How a service is known to be ready (DESIGN §6).

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::support::*;

/// `api` starts when `child` is ready and says so: that shows to the outside when `child` is ready.
fn with_follower(service: &str) -> String {
    format!(
        r#"[service.child]
        {service}
        [service.api]
        command = ["CHILD", "say api starts", "wait"]
        ready = "started"
        after = ["child"]
        "#
    )
}

/// So long nothing happens that must not happen.
const QUIET: Duration = Duration::from_millis(300);

#[test]
fn ready_is_what_the_child_notifies() {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let mut run = setup.file(&with_follower(
        r#"command = ["CHILD", "notify STATUS=warming up", "say up", "gate gate", "notify READY=1", "wait"]
        ready = "notify""#,
    ));
    run.said("up");
    run.err("warming up");
    assert!(!run.says_within("api starts", QUIET));
    std::fs::write(gate, "").unwrap();
    run.said("api starts");
}

#[test]
fn ready_by_listening_means_every_port_and_by_itself() {
    let (first, second) = (Address::new(), Address::new());
    let setup = launcher();
    let gates = [setup.home().fifo("one"), setup.home().fifo("two")];
    let text = r#"command = ["CHILD", "say up", "gate one", "listen FIRST", "say one", "gate two", "listen SECOND", "wait"]
        ready = "listen"
        [[service.child.port]]
        name = "first"
        listen = "tcp://FIRST"
        [[service.child.port]]
        name = "second"
        listen = "tcp://SECOND""#;
    let text = text.replace("FIRST", &first.to_string()).replace("SECOND", &second.to_string());
    let mut run = setup.file(&with_follower(&text));
    run.said("up");
    std::fs::write(&gates[0], "").unwrap();
    run.said("one");
    // A stranger that listens on the other port does not make the service ready.
    let stranger = std::net::TcpListener::bind(second.0).unwrap();
    assert!(!run.says_within("api starts", QUIET));
    drop(stranger);
    second.gets_free();
    std::fs::write(&gates[1], "").unwrap();
    run.said("api starts");
}

#[test]
fn ready_by_listening_counts_what_a_child_of_the_child_does() {
    let address = Address::new();
    let text = r#"command = ["CHILD", "double-fork", "listen FIRST", "wait", "end", "wait"]
        ready = "listen"
        [[service.child.port]]
        name = "first"
        listen = "tcp://FIRST""#;
    let mut run = launcher().file(&with_follower(&text.replace("FIRST", &address.to_string())));
    run.said("api starts");
}

#[test]
fn ready_by_tcp_means_a_connection() {
    let address = Address::new();
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let text = r#"command = ["CHILD", "say up", "gate gate", "listen FIRST", "wait"]
        ready.tcp = "FIRST""#;
    let mut run = setup.file(&with_follower(&text.replace("FIRST", &address.to_string())));
    run.said("up");
    assert!(!run.says_within("api starts", QUIET));
    std::fs::write(gate, "").unwrap();
    run.said("api starts");
}

/// Answers each request with the status that is set, 503 at first. Whoever asks is told of.
struct Endpoint {
    address: Address,
    status: Arc<AtomicU16>,
    asked: std::sync::mpsc::Receiver<String>,
}

impl Endpoint {
    fn start() -> Endpoint {
        let address = Address::new();
        let status = Arc::new(AtomicU16::new(503));
        let (tell, asked) = std::sync::mpsc::channel();
        let listener = std::net::TcpListener::bind(address.0).unwrap();
        let answer = status.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut heard = [0; 1024];
                let length = stream.read(&mut heard).unwrap_or(0);
                let status = answer.load(Ordering::SeqCst);
                let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                if tell.send(String::from_utf8_lossy(&heard[..length]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Endpoint { address, status, asked }
    }
}

#[test]
fn ready_by_http_means_the_status_that_is_wanted() {
    let endpoint = Endpoint::start();
    let text = format!(
        "command = [\"CHILD\", \"say up\", \"wait\"]\n\
         ready.http = {{ url = \"http://{}/readyz\", status = 204 }}",
        endpoint.address
    );
    let mut run = launcher().file(&with_follower(&text));
    run.said("up");
    assert!(endpoint.asked.recv().unwrap().starts_with("GET /readyz HTTP/1.1"));
    endpoint.status.store(200, Ordering::SeqCst);
    endpoint.asked.recv().unwrap();
    assert!(!run.says_within("api starts", QUIET), "200 is not 204");
    endpoint.status.store(204, Ordering::SeqCst);
    run.said("api starts");
}

#[test]
fn the_number_of_a_port_is_put_into_what_is_asked() {
    let setup = launcher();
    let flags = ["--port", "web=127.0.0.1:auto", "--ready", "http://127.0.0.1:{port.web}/"];
    let mut run = setup.flags(flags).child(["listen 127.0.0.1:{env:PORT}", "serve"]);
    run.is_ready("child");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn a_service_that_answers_otherwise_than_is_wanted_is_told_so() {
    let endpoint = Endpoint::start();
    let own = Address::new();
    let url = format!("http://{}/readyz", endpoint.address);
    let flags = ["--ready", &url, "--start-timeout", "2s", "--port", &own.to_string()];
    let mut run = launcher().flags(flags).child([format!("listen {own}"), "wait".into()]);
    run.ends_with(124);
    let report = run.report();
    assert_eq!(report.cause(), "listening-not-ready");
    let other = format!("no process of child listens on {}: another one answers", endpoint.address);
    assert!(report.verdict().contains(&other), "{}", report.verdict());
    assert_eq!(report.text("/probe/wanted"), format!("{url} is answered"));
    assert!(report.text("/probe/last_error").contains("it answers with status 503"), "{}", report.0["probe"]);
}

#[test]
fn ready_by_a_line_on_a_descriptor() {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let text = r#"command = ["bash", "-c", "CHILD 'say up'; read -r line < gate; printf x >&3; CHILD 'say half'; printf '\n' >&3; exec CHILD wait"]
        ready = "fd""#;
    let mut run = setup.file(&with_follower(text));
    run.said("up");
    assert!(!run.says_within("api starts", QUIET));
    std::fs::write(gate, "\n").unwrap();
    run.said("half");
    run.said("api starts");
}

/// A server of s6's own, which says on the descriptor for it when it listens, below s6 and below launcher.
#[test]
fn a_server_of_s6_is_ready_below_launcher_as_below_s6() {
    if !needs(&["s6-supervise", "s6-svstat", "s6-svwait", "s6-ipcserver"]) {
        return;
    }
    let script = "echo up; read -r line < gate; exec s6-ipcserver -1 socket cat 1>&3 3>&-";
    let setup = Subject::Bare.run();
    let folder = setup.home().join("server");
    std::fs::create_dir(&folder).unwrap();
    let gate = setup.home().fifo("server/gate");
    setup.home().write("server/notification-fd", "3\n");
    setup.home().write_program("server/run", &format!("#!/bin/sh\n{script}\n"));
    let mut run = setup.command(["s6-supervise".as_ref(), folder.as_os_str()]);
    run.out("up");
    let tells = |words: &[&str]| {
        let told = std::process::Command::new(words[0]).args(&words[1..]).arg(&folder).output().unwrap();
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    };
    // The supervisor may tell of it later than the service itself.
    tells(&["s6-svwait", "-u", "-t", "30000"]);
    assert_eq!(tells(&["s6-svstat", "-o", "up,ready"]), "true false");
    std::fs::write(gate, "\n").unwrap();
    tells(&["s6-svwait", "-U", "-t", "30000"]);
    assert_eq!(tells(&["s6-svstat", "-o", "up,ready"]), "true true");

    let setup = launcher().flags(["--ready", "fd"]);
    let gate = setup.home().fifo("gate");
    let mut run = setup.command(["sh", "-c", script]);
    run.out("up");
    assert!(!run.errs_within("is ready", QUIET));
    std::fs::write(gate, "\n").unwrap();
    run.is_ready("sh");
}

#[test]
fn a_descriptor_may_have_any_number_and_is_the_only_one_more() {
    let mut run =
        launcher().flags(["--ready", "fd:9"]).child(["dump-fds", "exec", "sh", "-c", "echo >&9; exec sleep 1000"]);
    let fds: Vec<i32> = (0..4).map(|_| run.out("fd ").split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(fds, [0, 1, 2, 9]);
    run.is_ready("child");
}

#[test]
fn a_descriptor_that_is_closed_without_a_line_is_told_in_the_report() {
    let flags = ["--ready", "fd", "--start-timeout", "1500ms"];
    run_sh(flags, "exec 3>&-; exec sleep 1000").ends_with_probe("it has closed that without a line");
}

#[test]
fn ready_by_a_line_of_output() {
    for stream in ["print", "eprint"] {
        let setup = launcher();
        let gate = setup.home().fifo("gate");
        let text = r#"command = ["CHILD", "PRINT not listening on port 80 yet", "say up", "gate gate", "PRINT listening on port 8080", "wait"]
            ready.log = '^listening on port \d+$'"#;
        let mut run = setup.file(&with_follower(&text.replace("PRINT", stream)));
        run.said("up");
        assert!(!run.says_within("api starts", QUIET));
        std::fs::write(gate, "").unwrap();
        run.said("api starts");
    }
}

#[test]
fn a_line_of_a_generation_before_makes_no_other_ready() {
    let mut run = launcher().file(&with_follower(
        r#"command = ["CHILD", "generation 1", "print up", "exit 1", "end", "generation 2", "say second", "end", "wait"]
        ready.log = "up"
        start_timeout = "60s"
        restart = { backoff = { initial = "1ms", max = "1ms" } }"#,
    ));
    run.said("second");
    run.err("child is starting (attempt 1)");
    run.err_ever("\"event\":\"report\"");
    assert!(!run.says_within("api starts again", QUIET));
    assert_eq!(run.reports("child").len(), 1, "{}", run.show());
}

#[test]
fn a_line_is_seen_on_a_terminal_too() {
    let mut run = launcher().on_terminal().flags(["--ready", "log:^up"]).child(["print up", "wait"]);
    run.out("child is ready");
    run.input("\x03");
    run.ends_with(0);
}

#[test]
fn ready_by_a_command_runs_as_the_service_does() {
    let setup = launcher();
    let text = r#"command = ["CHILD", "say up", "wait"]
        environment = { FLAG = "flag" }
        ready.exec = ["sh", "-c", 'test -e "$FLAG" || { echo not yet; exit 3; }']"#;
    let flag = setup.home().join("flag");
    let mut run = setup.file(&with_follower(text));
    run.said("up");
    assert!(!run.says_within("api starts", QUIET));
    std::fs::write(flag, "").unwrap();
    run.said("api starts");
}

#[test]
fn what_a_command_said_last_is_in_the_report() {
    let flags = ["--ready", "exec:sh -c 'echo no database; exit 3'", "--start-timeout", "1500ms"];
    run_sh(flags, "exec sleep 1000").ends_with_probe("sh ended with exit code 3: no database");
}

/// A shell script that never becomes ready.
fn run_sh(flags: [&str; 4], script: &str) -> NeverReady {
    NeverReady(launcher().flags(["--name", "child", "--log-format", "text"]).flags(flags).command(["sh", "-c", script]))
}

struct NeverReady(Running);

impl NeverReady {
    #[track_caller]
    fn ends_with_probe(mut self, error: &str) {
        self.0.ends_with(124);
        let report = self.0.report();
        assert!(report.text("/probe/last_error").contains(error), "{}", report.0["probe"]);
        assert!(self.0.show().contains("it is ready when"), "{}", self.0.show());
    }
}

#[test]
fn ready_by_starting_and_by_ending() {
    let mut run = launcher().file(&with_follower("command = [\"CHILD\", \"wait\"]\nready = \"started\""));
    run.said("api starts");

    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let text = "command = [\"CHILD\", \"say up\", \"gate gate\", \"exit 0\"]\nready = \"exited\"";
    let mut run = setup.file(&with_follower(text));
    run.said("up");
    assert!(!run.says_within("api starts", QUIET));
    std::fs::write(gate, "").unwrap();
    run.said("api starts");
}

#[test]
fn a_job_that_is_to_end_and_fails_is_not_ready() {
    let ended = launcher().flags(["--ready", "exited"]).child(["exit 3"]).ends_with(3);
    assert!(!ended.err.is_empty());
    launcher().flags(["--ready", "exited"]).child(["exit 0"]).ends_with(0);
}

#[test]
fn auto_is_notified_or_listening_or_started() {
    let mut run = launcher().file(&with_follower("command = [\"CHILD\", \"wait\"]"));
    run.said("api starts");
    let address = Address::new();
    let port = format!("[[service.child.port]]\nname = \"web\"\nlisten = \"tcp://{address}\"");
    for step in [format!("listen {address}"), "notify READY=1".into()] {
        let setup = launcher();
        let gate = setup.home().fifo("gate");
        let text = format!("command = [\"CHILD\", \"say up\", \"gate gate\", \"{step}\", \"wait\"]\n{port}");
        let mut run = setup.file(&with_follower(&text));
        run.said("up");
        assert!(!run.says_within("api starts", QUIET), "{step}");
        std::fs::write(gate, "").unwrap();
        run.said("api starts");
    }
}

#[test]
fn a_stranger_cannot_say_that_a_service_is_ready() {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let mut run = setup.file(&with_follower(
        r#"command = ["CHILD", "say socket {env:NOTIFY_SOCKET}", "gate gate", "double-fork", "notify READY=1", "end", "wait"]
        ready = "notify""#,
    ));
    let line = run.said("socket ");
    let path = line.strip_prefix("socket ").unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    let sent = match path.strip_prefix('@') {
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
            socket.send_to_addr(b"READY=1", &address)
        }
        None => socket.send_to(b"READY=1", path),
    };
    assert!(sent.is_ok() || !nix::unistd::geteuid().is_root(), "{sent:?}");
    assert!(!run.says_within("api starts", QUIET));
    // A daemon of the service is no stranger.
    std::fs::write(gate, "").unwrap();
    run.said("api starts");
}

#[test]
fn the_main_process_can_be_another_one() {
    let setup = launcher().flags(["--ready", "notify"]);
    let gate = setup.home().fifo("gate");
    let mut run = setup.child([
        "fork",
        "notify MAINPID={pid}\\nREADY=1",
        "barrier",
        "on TERM both 6 main got TERM",
        "say main {pid}",
        "wait",
        "end",
        "gate gate",
        "exit 0",
    ]);
    run.said("main ");
    // The first process ends with 0, the service goes on.
    std::fs::write(gate, "").unwrap();
    assert!(!run.says_within("nothing", QUIET));
    assert!(!run.has_ended(), "{}", run.show());
    run.signal(Signal::SIGTERM);
    run.out("main got TERM");
    run.ends_with(6);
}

/// As daemons do it: the first process names the one that it has started, and ends at once.
#[test]
fn the_last_word_of_a_main_process_may_be_who_follows_it() {
    let script = r#""$0" "on TERM both 6 daemon got TERM" "say daemon" wait & exec "$0" "notify MAINPID=$!\nREADY=1""#;
    for _ in 0..20 {
        let child = child().display().to_string();
        let mut run = launcher().flags(["--ready", "notify"]).command(["sh", "-c", script, &child]);
        run.said("daemon");
        run.is_ready("sh");
        run.signal(Signal::SIGTERM);
        run.out("daemon got TERM");
        run.ends_with(6);
    }
}

#[test]
fn a_child_can_extend_its_start_deadline() {
    let flags = ["--ready", "notify", "--start-timeout", "1500ms"];
    let steps =
        ["notify EXTEND_TIMEOUT_USEC=20000000", "barrier", "nap 2000", "notify READY=1", "barrier", "print made it"];
    let mut run = launcher().flags(flags).child(steps);
    run.out("made it");
    run.ends_with(0);
}

#[test]
fn a_service_that_gets_on_is_given_more_time() {
    let mut run = launcher().file(
        r#"[service.child]
        command = ["sh", "-c", "while [ ! -e gate ]; do n=$((n+1)); echo step $n; sleep 0.1; done; exec CHILD 'notify READY=1' wait"]
        ready = "notify"
        start_timeout = "3s"
        extend_while_progressing = "1h"
        "#,
    );
    run.err("it gets on (it printed something new");
    assert!(run.command(&["status", "--json", "child"]).out.contains("extended once"), "{}", run.show());
    std::fs::write(run.home().join("gate"), "").unwrap();
    run.err("child is ready");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn a_service_that_gets_on_is_given_no_more_than_is_set() {
    let mut run = launcher().file(
        r#"[service.child]
        command = ["sh", "-c", "while :; do n=$((n+1)); echo step $n; sleep 0.1; done"]
        ready = "notify"
        start_timeout = "3s"
        extend_while_progressing = "4s"
        restart.policy = "never"
        "#,
    );
    run.err("has until 4.0 s after its start, the last time");
    run.ends_with(124);
    let report = &run.reports("child")[0];
    assert_eq!((report.kind(), &report.0["limits"]["extensions"]), ("start-timeout", &1.into()));
    assert_eq!(report.0["limits"]["extend_while_progressing_ms"], 4000);
}

#[test]
fn a_service_that_stands_still_is_given_no_more_time() {
    let mut run = launcher().file(
        r#"[service.child]
        command = ["CHILD", "say up", "wait"]
        ready = "notify"
        start_timeout = "2s"
        extend_while_progressing = "1h"
        restart.policy = "never"
        "#,
    );
    run.ends_with(124);
    let report = &run.reports("child")[0];
    assert_eq!(report.kind(), "start-timeout");
}

#[test]
fn a_missed_watchdog_is_reported_and_the_service_is_started_again() {
    let mut run = launcher().file(
        r#"[service.child]
        command = ["CHILD", "say up {generation}", "notify READY=1\\nWATCHDOG=1", "wait"]
        ready = "notify"
        watchdog = "300ms"
        [service.child.restart]
        backoff = { initial = "1ms", max = "1ms" }
        "#,
    );
    run.said("up 1");
    run.said("up 2");
    let reports = run.reports("child");
    assert_eq!(reports[0].kind(), "watchdog");
    let line: serde_json::Value = serde_json::from_str(&run.err_ever("\"event\":\"report\"")).unwrap();
    let of = |key: &str| line[key].clone();
    assert_eq!((of("kind"), of("generation"), of("attempt")), ("watchdog".into(), 1.into(), 1.into()), "{line}");
    let [message, advice] = ["message", "advice"].map(|key| line[key].as_str().unwrap());
    assert!(message.starts_with("child did not send WATCHDOG=1 within 300ms: child (pid "), "{line}");
    assert!(message.ends_with(" waits for a signal") && advice.starts_with("let it send WATCHDOG=1"), "{line}");
    assert!(!advice.contains("listen()") && !advice.contains("READY=1"), "{line}");
    run.signal(Signal::SIGTERM);
    run.ended();
    run.leaves_nothing();
}

#[test]
fn a_child_can_ask_to_be_treated_as_if_it_had_missed_its_watchdog() {
    let mut run = launcher().file(
        r#"[service.child]
        command = ["CHILD", "notify READY=1", "say up {generation}", "generation 1", "notify WATCHDOG=trigger", "end", "wait"]
        ready = "notify"
        watchdog = "60s"
        [service.child.restart]
        backoff = { initial = "1ms", max = "1ms" }
        "#,
    );
    run.said("up 2");
    assert_eq!(run.reports("child")[0].kind(), "watchdog");
}

#[test]
fn services_start_in_order_and_stop_in_the_opposite_one() {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let mut run = setup.file(
        r#"[service.api]
        command = ["CHILD", "on TERM both 0 api stops", "say api up", "wait"]
        ready = "started"
        after = ["cache"]
        [service.db]
        command = ["CHILD", "on TERM both 0 db stops", "say db up", "gate gate", "notify READY=1", "wait"]
        ready = "notify"
        [service.cache]
        command = ["CHILD", "on TERM both 0 cache stops", "say cache up", "notify READY=1", "wait"]
        ready = "notify"
        after = ["db"]
        "#,
    );
    run.said("db up");
    std::fs::write(gate, "").unwrap();
    run.said("cache up");
    run.said("api up");
    run.signal(Signal::SIGTERM);
    for name in ["api", "cache", "db"] {
        run.said(&format!("{name} stops"));
    }
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn the_lines_of_several_services_have_their_names_before_them() {
    let mut run = launcher().file(
        r#"log_format = "text"
        [service.db]
        command = ["CHILD", "print one", "eprint two", "notify READY=1", "wait"]
        ready = "notify"
        [service.api]
        command = ["CHILD", "print three", "print four", "wait"]
        after = ["db"]
        "#,
    );
    let lines = run.out_until("four");
    assert_eq!(lines, ["db | one", "api | three"]);
    run.err("db | two");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn only_the_named_services_and_what_they_need_are_started() {
    let text = r#"[service.a]
        command = ["CHILD", "say a up", "wait"]
        ready = "started"
        [service.b]
        command = ["CHILD", "say b up", "wait"]
        ready = "started"
        after = ["a"]
        [service.c]
        command = ["CHILD", "say c up", "wait"]
        ready = "started"
        "#;
    let mut run = launcher().services_of(text, &["b"]);
    // Each is ready as it is started, whichever has its say first.
    run.saids(&["a up", "b up"]);
    assert!(!run.says_within("c up", QUIET));
}
