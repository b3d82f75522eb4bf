//! What a service says of itself, and what launcher keeps for it (`sd_notify(3)`, DESIGN §6).

use crate::servers;
use crate::support::*;

const AGAIN: [&str; 6] = ["--restart", "on-failure", "--backoff", "0ms..0ms", "--ready", "notify"];

/// The lines of standard output that tell what was passed.
fn stored(run: &mut Running) -> Vec<String> {
    let lines = run.out_until("end of dump-stored");
    lines.into_iter().filter(|line| line.starts_with("stored ")).collect()
}

#[test]
fn descriptors_are_kept_for_the_next_generation_with_their_names() {
    let mut run = launcher().flags(AGAIN).child([
        "generation 1",
        "store state one two",
        "store state three",
        "store other x",
        "notify FDSTOREREMOVE=1\\nFDNAME=other",
        "store-socket gone",
        "store-socket kept FDPOLL=0",
        "barrier",
        "exit 1",
        "end",
        "dump-stored",
    ]);
    let lines = stored(&mut run);
    assert_eq!(lines, ["stored 3 state one two", "stored 4 state three", "stored 5 kept "], "{}", run.show());
}

#[test]
fn stored_descriptors_come_after_the_passed_sockets_and_within_the_limit() {
    let address = Address::new();
    let text = r#"[service.child]
        command = ["CHILD", "generation 1", "store a 1", "store b 2", "store c 3", "barrier", "exit 1", "end",
                   "dump-stored", "dump-env", "notify READY=1", "wait"]
        ready = "notify"
        fd_store = 2
        [[service.child.port]]
        name = "http"
        listen = "tcp://ADDRESS"
        mode = "pass"
        [service.child.restart]
        backoff = { initial = "0ms", max = "0ms" }"#;
    let mut run = launcher().file(&text.replace("ADDRESS", &address.to_string()));
    run.out("LISTEN_FDNAMES=http:a:b");
    run.err("fd_store = 2");
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(0);
    // Each is the end of a message in a line of JSON.
    let stored = ended.out.iter().filter_map(|line| Some(line.split_once("stored ")?.1.trim_end_matches("\"}")));
    let stored: Vec<_> = stored.collect();
    assert_eq!(stored, ["3 http ", "4 a 1", "5 b 2"]);
}

#[test]
fn a_forked_process_may_become_the_main_one_by_its_pidfd() {
    let mut run = launcher().flags(["--ready", "notify"]).child([
        "double-fork",
        "notify-pidfd",
        "barrier",
        "notify READY=1",
        "on TERM both 5 the daemon got TERM",
        "say daemon",
        "wait",
        "end",
        "read-line",
        "exit 0",
    ]);
    run.said("daemon");
    run.close_input();
    // The first process has ended, and the service goes on.
    assert!(!run.has_ended());
    run.signal(Signal::SIGTERM);
    run.out("the daemon got TERM");
    run.ends_with(5);
}

#[test]
fn no_stranger_becomes_the_main_process() {
    let mut run =
        launcher().child([format!("notify MAINPID={}", std::process::id()).as_str(), "barrier", "say up", "wait"]);
    run.said("up");
    run.err("which is no process of it");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn who_is_heard_can_be_narrowed() {
    let text = r#"[service.child]
        command = ["CHILD", "fork", "notify READY=1", "barrier", "say told", "end", "wait-child", "notify READY=1", "wait"]
        ready = "notify"
        notify_access = "ACCESS""#;
    // No process that the service itself has started is heard by either.
    for access in ["main", "exec"] {
        let mut run = launcher().file(&text.replace("ACCESS", access));
        run.said("told");
        run.err("notify_access is");
        run.is_ready("child");
    }
    let text = "[service.child]\ncommand = [\"CHILD\", \"dump-env\", \"wait\"]\nnotify_access = \"none\"";
    let mut run = launcher().file(text);
    let env = run.out_until("end of dump-env");
    assert!(!env.iter().any(|line| line.contains("NOTIFY_SOCKET=")), "{env:?}");
}

/// As systemd has it (its TEST-80): the service says itself, and may say again, whose messages count from then on.
#[test]
fn a_service_says_itself_who_is_heard() {
    let member = |status: &str| {
        ["fork".to_owned(), format!("notify STATUS={status}"), "barrier".into(), "exit 0".into(), "end".into()]
            .into_iter()
            .chain(["wait-child".to_owned()])
    };
    let access = |access: &str| [format!("notify NOTIFYACCESS={access}"), "barrier".to_owned()];
    let steps = access("main").into_iter().chain(member("unheard"));
    let steps = steps.chain(access("all")).chain(member("heard")).chain(access("none"));
    let late = ["notify NOTIFYACCESS=all\\nSTATUS=late", "barrier", "exit 0"].map(str::to_owned);
    let flags = ["--ready", "notify", "--start-timeout", "60s"];
    let ended = launcher().flags(flags).child(steps.chain(late)).ends_with(0);
    assert!(ended.complains("says: heard"), "{:#?}", ended.err);
    assert!(!ended.complains("says: unheard") && !ended.complains("says: late"), "{:#?}", ended.err);
}

#[test]
fn a_socket_at_a_path_is_reached_from_another_network_namespace() {
    if !nix::unistd::geteuid().is_root() || !needs(&["unshare"]) {
        return;
    }
    let text = r#"[service.child]
        command = ["unshare", "--net", "CHILD", "notify READY=1", "barrier", "say told", "wait"]
        ready = "notify"
        notify_socket = "notify.sock""#;
    let mut run = launcher().file(text);
    run.said("told");
    run.is_ready("child");
    let path = run.home().join("notify.sock");
    assert!(path.exists());
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    assert!(!path.exists());
}

/// One that stops to answer after it was ready is looked at, reported, and ended by a signal that leaves a core.
#[test]
fn a_missed_watchdog_is_dumped_and_reported() {
    let text = r#"[service.child]
        command = ["CHILD", "generation 2", "say again", "wait", "end", "on ABRT both 4 got ABRT",
                   "notify READY=1\\nWATCHDOG=1", "say up", "gate gate", "wait"]
        ready = "notify"
        watchdog = "1s"
        [service.child.restart]
        backoff = { initial = "0ms", max = "0ms" }"#;
    let setup = launcher();
    setup.home().fifo("gate");
    let mut run = setup.file(text);
    run.said("up");
    run.said("got ABRT");
    run.said("again");
    let reports = run.reports("child");
    let report = reports.iter().find(|report| report.kind() == "watchdog").expect("a report on the watchdog");
    assert!(report.0["verdict"]["summary"].to_string().contains("gate"), "{:#}", report.0["verdict"]);
}

/// The end of a process may be seen before what it said is read.
#[test]
fn what_was_said_just_before_the_end_counts() {
    for round in 0..30 {
        let steps = ["notify READY=1\\nSTATUS=last words", "exit 0"];
        let mut run = launcher().flags(["--ready", "notify"]).child(steps);
        let ended = run.ends_with(0);
        assert!(ended.complains("is ready") && ended.complains("last words"), "round {round}: {:#?}", ended.err);
        assert!(run.reports("child").is_empty(), "round {round}: {:#?}", ended.err);
    }
}

#[test]
fn what_it_says_of_its_trouble_is_told_and_in_the_report() {
    let mut run = launcher().child(["notify ERRNO=2\\nBUSERROR=org.example.Gone\\nEXIT_STATUS=7", "barrier", "exit 7"]);
    run.err("ERRNO=2: ENOENT");
    run.ends_with(7);
    let timeline = run.report().0["timeline"].to_string();
    for word in ["ERRNO=2", "BUSERROR=org.example.Gone", "EXIT_STATUS=7"] {
        assert!(timeline.contains(word), "{timeline}");
    }
}

/// Clients as people have them, each telling that it is ready and how it is.
#[test]
fn clients_of_all_kinds_are_heard() {
    let go = launcher();
    let built = needs(&["go"]).then(|| servers::go_program(&go, "client", GO).display().to_string());
    let clients: [(&str, &[&str]); 6] = [
        ("systemd-notify", &["sh", "-c", "systemd-notify --ready --status='client speaks'; exec sleep 60"]),
        ("python3", &["python3", "-c", PYTHON]),
        ("/usr/bin/python3", &["/usr/bin/python3", "-c", PYTHON_SYSTEMD]),
        ("/usr/bin/python3", &["/usr/bin/python3", "-c", PYTHON_SDNOTIFY]),
        ("go", &[built.as_deref().unwrap_or_default()]),
        ("sh", &["sh", "-c", "\"$LAUNCHER\" notify READY=1 STATUS='client speaks'; exec sleep 60"]),
    ];
    for (tool, command) in clients {
        if needs(&[tool]) {
            let setup = launcher().flags(["--ready", "notify", "--start-timeout", "60s"]);
            let mut run = setup.variable("LAUNCHER", env!("CARGO_BIN_EXE_launcher")).command(command);
            run.err("client speaks");
            run.err("is ready");
        }
    }
}

/// The crate sd-notify (0.5) takes the address for a path, whatever it begins with.
#[test]
fn a_client_that_knows_no_abstract_names_has_a_path() {
    let flags = ["--ready", "notify", "--start-timeout", "60s"];
    let mut run = launcher().flags(flags).child(["notify-by-crate client speaks", "dump-env", "wait"]);
    let socket = address(&mut run);
    run.err("client speaks");
    run.err("is ready");
    assert!(socket.starts_with(run.home().runtime()) && socket.exists(), "{}", socket.display());
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    let folder = socket.parent().unwrap();
    assert!(!folder.exists(), "nothing of it is left");

    // What one leaves behind that is killed, the next clears away.
    let mut run = launcher().flags(flags).child(["dump-env", "wait"]);
    let socket = address(&mut run);
    run.signal(Signal::SIGKILL);
    run.ended();
    run.leaves_nothing();
    assert!(socket.exists(), "it was killed");
    let mut next =
        launcher().flags(flags).variable("XDG_RUNTIME_DIR", run.home().runtime()).child(["dump-env", "wait"]);
    let other = address(&mut next);
    assert_eq!(other.parent(), socket.parent());
    assert!(other.exists() && !socket.exists());
}

/// A server as people write it with go-systemd: it serves on the sockets that it is given, says that it is ready, and
/// feeds the watchdog that it is told of; once it is told to hang, it does not.
#[test]
fn a_go_server_has_its_sockets_and_its_watchdog() {
    if !needs(&["go"]) {
        return;
    }
    let (setup, address) = (launcher(), Address::new());
    let program = servers::go_program(&setup, "server", GO_SERVER);
    let text = format!(
        "[service.server]\ncommand = [{program:?}]\nready = \"notify\"\nstart_timeout = \"60s\"\nwatchdog = \"3s\"\n\
         [[service.server.port]]\nname = \"http\"\nlisten = \"tcp://{address}\"\nmode = \"pass\"\n\
         [service.server.restart]\nbackoff = {{ initial = \"0ms\", max = \"0ms\" }}\n"
    );
    let mut run = setup.file(&text);
    run.out("watchdog 3s, 1 listener, http 1");
    run.is_ready("server");
    let get = |path: &str| http::raw_tcp(address.0, &format!("GET {path} HTTP/1.0\r\n\r\n")).body;
    assert_eq!(get("/"), "generation 1");
    // It has fed it for longer than its period when it says so.
    run.out("fed 11 times");
    assert!(run.reports("server").is_empty(), "{}", run.show());
    get("/hang");
    run.out("generation 2");
    let report = &run.reports("server")[0];
    assert_eq!(report.kind(), "watchdog", "{}", report.verdict());
    assert_eq!(get("/"), "generation 2");
}

/// Another user passes through a folder that it cannot look into.
#[test]
fn a_client_of_another_user_reaches_its_path() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let flags = ["--user", "nobody", "--ready", "notify", "--start-timeout", "60s"];
    let mut run = launcher().with_copies().flags(flags).child(["notify-by-crate client speaks", "dump-env", "wait"]);
    let socket = address(&mut run);
    run.err("client speaks");
    run.err("is ready");
    let list = format!("ls {}", socket.parent().unwrap().display());
    let mut setpriv = std::process::Command::new("setpriv");
    let seen =
        setpriv.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c", &list]).output().unwrap();
    assert!(!seen.status.success() && seen.stdout.is_empty(), "{seen:?}");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    assert!(!socket.exists());
}

/// Where no folder can be made, and where the service is only looked at, it is in the abstract namespace.
#[test]
fn the_address_is_abstract_where_nobody_needs_a_path() {
    for flags in [&["--ready", "auto"][..], &["--ready", "started"]] {
        let mut run = launcher().flags(flags).child(["dump-env", "wait"]);
        assert!(address(&mut run).to_str().is_some_and(|address| address.starts_with('@')), "{}", run.show());
    }
    if nix::unistd::geteuid().is_root() && needs(&["setpriv"]) {
        // A user without a runtime directory, whose folder somebody else has made.
        let user = (40_000 + std::process::id() % 20_000).to_string();
        let folder = std::path::PathBuf::from(format!("/tmp/launcher-notify-{user}"));
        std::fs::write(&folder, "").unwrap();
        let setup = launcher().with_copies().below(["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"]);
        let setup = setup.variable("XDG_RUNTIME_DIR", "/no/such/folder").flags(["--ready", "notify"]);
        let mut run = setup.child(["dump-env", "notify READY=1", "wait"]);
        assert!(address(&mut run).to_str().is_some_and(|address| address.starts_with('@')), "{}", run.show());
        run.err("is ready");
        let told = run.show();
        std::fs::remove_file(&folder).unwrap();
        assert!(!told.contains(&format!("launcher-notify-{user}")), "nobody is told: {told}");
    }
}

/// The value of NOTIFY_SOCKET in what the child says of its environment.
fn address(run: &mut Running) -> std::path::PathBuf {
    let line = run.out("NOTIFY_SOCKET=");
    line.split_once("NOTIFY_SOCKET=").unwrap().1.trim_end_matches("\"}").into()
}

/// python-systemd, which is libsystemd itself.
const PYTHON_SYSTEMD: &str = r#"
import time
from systemd import daemon
assert daemon.notify("READY=1\nSTATUS=client speaks")
time.sleep(60)
"#;

/// The module sdnotify.
const PYTHON_SDNOTIFY: &str = r#"
import time
from sdnotify import SystemdNotifier
client = SystemdNotifier(debug=True)
client.notify("STATUS=client speaks")
client.notify("READY=1")
time.sleep(60)
"#;

/// go-systemd.
const GO: &str = r#"
package main

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/daemon"
)

func main() {
	sent, err := daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS=client speaks")
	if err != nil || !sent {
		fmt.Println(sent, err)
		return
	}
	time.Sleep(time.Minute)
}
"#;

/// The whole of go-systemd that a server has use for.
const GO_SERVER: &str = r#"
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/coreos/go-systemd/activation"
	"github.com/coreos/go-systemd/daemon"
)

func main() {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil || period == 0 {
		fmt.Println("no watchdog", period, err)
		os.Exit(3)
	}
	named, err := activation.ListenersWithNames()
	if err != nil || len(named["http"]) != 1 {
		fmt.Println("no listeners", named, err)
		os.Exit(4)
	}
	fmt.Printf("watchdog %v, %d listener, http %d\n", period, len(named), len(named["http"]))
	generation := os.Getenv("LAUNCHER_GENERATION")
	hang := make(chan bool)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "generation "+generation) })
	http.HandleFunc("/hang", func(w http.ResponseWriter, r *http.Request) { hang <- true })
	go http.Serve(named["http"][0], nil)
	daemon.SdNotify(false, daemon.SdNotifyReady)
	fmt.Println("generation " + generation + " serves")
	for times := 1; ; times++ {
		select {
		case <-hang:
			select {}
		case <-time.After(period / 10):
			daemon.SdNotify(false, daemon.SdNotifyWatchdog)
			fmt.Println("fed", times, "times")
		}
	}
}
"#;

/// `sd_notify(3)` with nothing but Python's own library.
const PYTHON: &str = r#"
import os, socket, time
address = os.environ["NOTIFY_SOCKET"]
if address[0] == "@":
    address = "\0" + address[1:]
client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
client.connect(address)
client.sendall(b"READY=1\nSTATUS=client speaks")
time.sleep(60)
"#;
