//! Commands to a running launcher: each waits for its effect, and says what came of it.

use crate::support::http;
use crate::support::*;

/// A launcher with these services, whose control socket is open.
fn running(services: &str) -> Running {
    let mut running = launcher().file(&format!("log_level = \"debug\"\n{services}"));
    running.control_socket();
    running
}

/// A service that becomes ready at once.
const API: &str = "[service.api]\ncommand = [\"CHILD\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n";

#[track_caller]
fn done(told: &http::Told, text: &str) {
    assert!(told.code == Some(0) && told.out.starts_with(text) && told.err.is_empty(), "{told:?}");
}

#[test]
fn a_service_is_stopped_and_started_and_the_launcher_stays() {
    let mut running = running(API);
    running.err_ever("api is ready");
    done(&running.command(&["stop", "api"]), "api has stopped\n");
    done(&running.command(&["stop", "api"]), "api was not running\n");
    assert!(running.command(&["status"]).out.contains("api      stopped"));
    done(&running.command(&["start", "api"]), "api is ready after ");
    done(&running.command(&["start"]), "api is ready already\n");
    done(&running.command(&["restart", "api"]), "api is ready after ");
    let status: serde_json::Value = serde_json::from_str(&running.command(&["status", "api", "--json"]).out).unwrap();
    assert_eq!(
        (&status["generation"], &status["readies"], &status["failures_in_a_row"]),
        (&3.into(), &3.into(), &0.into())
    );
    done(&running.command(&["stop"]), "launcher-test-");
    running.ends_with(0);
    running.leaves_nothing();
}

#[test]
fn one_command_ends_with_its_service() {
    let mut running = launcher().flags(["--log-level", "debug"]).child(["on TERM exit 0", "print up", "wait"]);
    running.out("up");
    running.control_socket();
    done(&running.command(&["stop", "child"]), "child has stopped\n");
    running.ends_with(0);
}

#[test]
fn a_restart_that_fails_says_why_and_gives_its_code() {
    let mut running = running(
        "[service.api]\ncommand = [\"CHILD\", \"first started\", \"notify READY=1\", \"wait\", \"end\", \"exit 42\"]\nready = \"notify\"\n",
    );
    running.err_ever("api is ready");
    let told = running.command(&["restart", "api"]);
    assert_eq!(told.code, Some(42), "{told:?}");
    assert!(told.err.starts_with("launcher: api did not become ready: api exited with code 42"), "{told:?}");
    assert!(told.err.ends_with("  report  launcher report api\n"), "{told:?}");
}

#[test]
fn what_needs_a_service_is_stopped_before_it() {
    let mut running = running(
        "[service.db]\ncommand = [\"CHILD\", \"wait\"]\nready = \"started\"\n\
         [service.web]\ncommand = [\"CHILD\", \"wait\"]\nready = \"started\"\nafter = [\"db\"]\n",
    );
    running.err_ever("web is ready");
    done(&running.command(&["stop", "db"]), "db has stopped\n");
    let status = running.command(&["status"]).out;
    assert!(status.contains("db       stopped") && status.contains("web      stopped"), "{status}");
    done(&running.command(&["start", "web"]), "web is ready after ");
    assert!(running.command(&["status"]).out.contains("db       ready"), "what it needs comes with it");
    assert!(running.err_ever("web waits for").contains("\"web waits for db\""), "of the one that is to come");
}

#[test]
fn what_is_started_while_all_that_it_needs_is_ready_waits_for_nothing() {
    let mut running = running(
        "[service.db]\ncommand = [\"CHILD\", \"wait\"]\nready = \"started\"\n\
         [service.web]\ncommand = [\"CHILD\", \"generation 2\", \"say up again\", \"end\", \"wait\"]\nready = \"started\"\n\
         after = [\"db\"]\n",
    );
    running.err_ever("web is ready");
    done(&running.command(&["stop", "web"]), "web has stopped\n");
    done(&running.command(&["start", "web"]), "web is ready after ");
    running.said("up again");
    running.signal(Signal::SIGTERM);
    let told = running.ends_with(0).err;
    let since = told.iter().rposition(|line| line.contains("web has stopped")).unwrap();
    let since = told[..since].iter().rposition(|line| line.contains("web has stopped")).unwrap();
    assert!(!told[since..].iter().any(|line| line.contains("web waits for db")), "{told:#?}");
}

#[test]
fn a_reload_is_waited_for_where_it_is_told_of() {
    let mut running = running(
        "[service.api]\ncommand = [\"CHILD\", \"on HUP print reloaded\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n\
         [service.deaf]\ncommand = [\"CHILD\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n",
    );
    running.err_ever("api is ready");
    done(&running.command(&["reload", "api"]), "api was sent SIGHUP; it does not say when it has reloaded\n");
    running.out("reloaded");
    running.err_ever("deaf is ready");
    let told = running.command(&["reload", "deaf"]);
    assert!(
        told.code == Some(71)
            && told.err.contains("deaf has no handler for SIGHUP")
            && told.err.contains("(two at once cannot be: it has no port)"),
        "{told:?}"
    );
    assert!(running.command(&["status", "deaf"]).out.starts_with("deaf: ready"), "it was sent nothing");
}

/// A command goes by what is sent in the end, and does not say that something was sent which was dropped.
#[test]
fn a_signal_that_is_rewritten_is_told_as_it_is_sent() {
    let service = |name: &str, rewrite: &str| {
        format!(
            "[service.{name}]\nready = \"notify\"\nsignals.rewrite = {{ {rewrite} }}\n\
             command = [\"CHILD\", \"on USR1 print {name} got USR1\", \"notify READY=1\", \"wait\"]\n"
        )
    };
    let text = [service("api", "HUP = \"USR1\""), service("deaf", "HUP = \"none\"")].concat();
    let mut running = running(&text);
    running.err_ever("api is ready");
    running.err_ever("deaf is ready");
    done(&running.command(&["signal", "HUP", "api"]), "api was sent SIGUSR1\n");
    running.out("api got USR1");
    done(&running.command(&["reload", "api"]), "api was sent SIGUSR1; it does not say when it has reloaded\n");
    running.out("api got USR1");
    for words in [&["signal", "HUP", "deaf"][..], &["reload", "deaf"]] {
        let told = running.command(words);
        assert!(told.code == Some(71) && told.err.contains("deaf is sent nothing for SIGHUP"), "{told:?}");
    }
    done(&running.command(&["signal", "USR1", "deaf"]), "deaf was sent SIGUSR1\n");
}

#[test]
fn a_signal_reaches_one_service_alone() {
    let mut running = running(
        "[service.api]\ncommand = [\"CHILD\", \"on USR1 print api-heard\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n\
         [service.mail]\ncommand = [\"CHILD\", \"on USR1 print mail-heard\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n",
    );
    running.err_ever("api is ready");
    running.err_ever("mail is ready");
    done(&running.command(&["signal", "USR1", "mail"]), "mail was sent SIGUSR1\n");
    running.out("mail-heard");
    done(&running.command(&["signal", "usr1", "api"]), "api was sent SIGUSR1\n");
    running.out("api-heard");
    let told = running.command(&["signal", "USER1", "api"]);
    assert!(told.code == Some(2) && told.err.contains("did you mean"), "{told:?}");
}

#[test]
fn logs_are_shown_and_followed() {
    let mut running = running(
        "[service.api]\ncommand = [\"CHILD\", \"print one\", \"print two\", \"on USR1 print three\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n\
         [service.web]\ncommand = [\"CHILD\", \"print three\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n",
    );
    running.outs(&["one", "two", "three"]);
    running.err_ever("api is ready");
    running.err_ever("web is ready");
    assert_eq!(running.command(&["logs", "api"]).out, "one\ntwo\n");
    assert_eq!(running.command(&["logs", "-n", "1", "api"]).out, "two\n");
    let mut all: Vec<String> = running.command(&["logs"]).out.lines().map(str::to_owned).collect();
    all.sort();
    assert_eq!(all, ["api | one", "api | two", "web | three"]);
    let mut follower = running.command_as(env!("CARGO_BIN_EXE_launcher"), &["logs", "-f", "-n", "1", "api"]);
    let mut follower = follower.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(follower.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "two\n");
    done(&running.command(&["signal", "USR1", "api"]), "api was sent");
    line.clear();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "three\n");
    running.signal(Signal::SIGTERM);
    running.ends_with(0);
    assert!(follower.wait().unwrap().success(), "it ends with the launcher");
}

#[test]
fn a_service_is_dumped_by_its_name() {
    let mut running = running(API);
    running.err_ever("api is ready");
    let told = running.command(&["dump", "api", "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let report: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(
        (&report["kind"], &report["service"], &report["generation"]),
        (&"requested".into(), &"api".into(), &1.into())
    );
    let status: serde_json::Value = serde_json::from_str(&running.command(&["status", "api", "--json"]).out).unwrap();
    assert_eq!(report["processes"][0]["pid"], status["pid"]);
    assert!(report["processes"][0]["threads"][0]["frames"].is_array(), "{report}");
    assert!(running.command(&["dump", "api"]).out.contains("child"));
    done(&running.command(&["stop", "api"]), "api has stopped");
    let told = running.command(&["dump", "api"]);
    assert!(told.code == Some(71) && told.err.contains("no process of api runs (stopped)"), "{told:?}");
    assert_eq!(running.command(&["dump", "aip"]).code, Some(71));
}

#[test]
fn the_same_by_http_on_the_socket_and_not_on_an_address() {
    let address = Address::new();
    let mut running = running(&format!("http = \"{address}\"\n{API}"));
    let socket = running.control_socket();
    running.err_ever("api is ready");
    let answer = http::unix(&socket, "POST", "/services/api/restart");
    assert_eq!(answer.code, 200, "{answer:?}");
    assert_eq!((&answer.json()["done"], &answer.json()["state"]), (&true.into(), &"ready".into()));
    assert_eq!(http::unix(&socket, "POST", "/services/api/stop?wait=0").code, 202);
    for (target, code) in [("/services/none/stop", 404), ("/services/api/explode", 404), ("/services/api/signal", 400)]
    {
        assert_eq!(http::unix(&socket, "POST", target).code, code, "{target}");
    }
    assert_eq!(http::unix(&socket, "GET", "/services/api/stop").code, 405);
    for target in ["/services/api/stop", "/stop"] {
        assert_eq!(http::tcp(address.0, "POST", target).code, 403, "{target}");
    }
}

/// Whoever waits for a start that takes long may go away, and others are not kept by it.
#[test]
fn a_command_that_waits_holds_up_nobody() {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let text = format!(
        "log_level = \"debug\"\n[service.api]\ncommand = [\"CHILD\", \"generation 2\", \"gate {}\", \"end\", \"notify READY=1\", \"wait\"]\nready = \"notify\"\n",
        gate.display()
    );
    let mut running = setup.file(&text);
    running.is_ready("api");
    running.control_socket();
    let mut restart = running.command_as(env!("CARGO_BIN_EXE_launcher"), &["restart", "api"]).spawn().unwrap();
    running.err("restart of api was asked for");
    restart.kill().unwrap();
    restart.wait().unwrap();
    assert_eq!(running.command(&["status", "api"]).code, Some(0));
    std::fs::write(&gate, "").unwrap();
    running.is_ready("api");
}
