//! Ports of mode `share`: who gets new connections while two generations run, and canaries.

use std::net::UdpSocket;

use crate::overlap::{Clients, ask, begin, done, end, loses_nobody, running, service, status};
use crate::support::http::Told;
use crate::support::*;

/// How many connections are counted.
const MANY: usize = 400;

/// The scriptable child, which shares its port and says when it is ready.
fn sharing(address: Address, steps: &[&str], more: &str) -> String {
    let listen = format!("listen-shared {address}");
    let command: Vec<&str> = steps.iter().map(|step| if *step == "LISTEN" { listen.as_str() } else { step }).collect();
    service(&[&["CHILD"], command.as_slice()].concat(), address, "share", &format!("ready = \"notify\"\n{more}"))
}

const SERVES: [&str; 3] = ["LISTEN", "notify READY=1", "serve"];

/// How many of many connections each of the first three generations has answered.
#[track_caller]
fn count(address: Address) -> [usize; 3] {
    let mut counts = [0; 3];
    for _ in 0..MANY {
        let answer = ask(address.0).unwrap();
        let generation: usize = answer.split(' ').nth(1).unwrap().parse().unwrap();
        counts[generation - 1] += 1;
    }
    counts
}

#[track_caller]
fn refused(told: &Told, why: &str) {
    assert!(told.code == Some(71) && told.err.contains(why), "{told:?}");
}

#[track_caller]
fn with_canary(address: Address, steps: &[&str], more: &str) -> Running {
    let run = running(&sharing(address, steps, more));
    let told = run.command(&["restart", "api", "--canary", "25%"]);
    done(&told);
    let line = "generation 2 of api is ready and gets 25% of new connections; launcher promote api, or launcher rollback api\n";
    assert_eq!(told.out, line);
    run
}

fn pid_of_canary(run: &Running) -> i32 {
    i32::try_from(status(run)["beside"]["pid"].as_i64().unwrap()).unwrap()
}

#[track_caller]
fn kill(pid: i32) {
    // SAFETY: kill(2) takes no pointers.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

/// A quarter: 100 of 400 with a standard deviation of 9.
#[track_caller]
fn is_a_quarter(counts: [usize; 3]) {
    assert!(counts[2] == 0 && (20..=200).contains(&counts[1]), "{counts:?}");
}

#[test]
fn what_comes_up_gets_nothing_until_it_is_ready_and_then_gets_all() {
    for host in ["127.0.0.1", "[::1]"] {
        let setup = launcher();
        let gate = setup.home().fifo("gate");
        let (listen, wait) = (format!("listen-shared {host}:{{port.http}}"), format!("gate {}", gate.display()));
        let steps = ["CHILD", &listen, "generation 2", "say here", &wait, "end", "notify READY=1", "serve"];
        let file = service(&steps, Address::new(), "share", "ready = \"notify\"");
        let (before, _) = file.split_once("listen = ").unwrap();
        let mut run = setup.file(&format!("{before}listen = \"tcp://{host}:auto\"\nmode = \"share\"\n"));
        run.control_socket();
        run.err_ever("api is ready");
        let listen = status(&run)["ports"][0]["listen"].as_str().unwrap().to_owned();
        let address = Address(listen.strip_prefix("tcp://").unwrap().parse().unwrap());
        assert_eq!(count(address), [MANY, 0, 0]);
        let restart = begin(&run, &["restart", "api"]);
        run.said("here");
        assert_eq!(count(address), [MANY, 0, 0], "both listen");
        std::fs::write(&gate, "").unwrap();
        done(&end(restart));
        assert_eq!(count(address), [0, MANY, 0]);
        run.err_ever("generation 1 of api has stopped");
        assert_eq!(count(address), [0, MANY, 0]);
        done(&run.command(&["restart", "api"]));
        assert_eq!(count(address), [0, 0, MANY]);
        run.signal(Signal::SIGTERM);
        assert!(!run.ends_with(0).complains("not-steered"));
        run.leaves_nothing();
    }
}

/// Two workers, each with a socket of its own, that end what they have begun when they are told to stop.
const WORKERS: &str = "
import os, select, signal, socket, sys
host, port = sys.argv[1].rsplit(':', 1)
body = 'generation %s\\n' % os.environ['LAUNCHER_GENERATION']
answer = ('HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s' % (len(body), body)).encode()
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
told, tell = os.pipe()
os.set_blocking(tell, False)
workers = [] if os.environ.get('WORKER') else [
    os.spawnve(os.P_NOWAIT, sys.executable, [sys.executable] + sys.orig_argv[1:], dict(os.environ, WORKER='1'))]
signal.set_wakeup_fd(tell)
signal.signal(signal.SIGTERM, lambda *_: None)
listener.bind((host, int(port)))
listener.listen(1024)
listener.setblocking(False)
over = False
while not over:
    over = told in select.select([listener, told], [], [])[0]
    while True:
        try: stream = listener.accept()[0]
        except BlockingIOError: break
        stream.setblocking(True)
        stream.recv(4096)
        stream.sendall(answer)
        stream.close()
for worker in workers:
    os.kill(worker, signal.SIGTERM)
    os.waitpid(worker, 0)
";

#[test]
fn workers_that_share_lose_nobody() {
    if needs(&["python3"]) {
        let address = Address::new();
        let command = ["python3", "-c", WORKERS, &address.to_string()];
        loses_nobody(&service(&command, address, "share", ""), address);
    }
}

#[test]
fn a_canary_gets_its_part_and_is_promoted() {
    let address = Address::new();
    let mut run = with_canary(address, &SERVES, "");
    let shown = status(&run);
    assert_eq!((&shown["generation"], &shown["state"]), (&1.into(), &"ready".into()));
    let beside = &shown["beside"];
    assert_eq!((&beside["generation"], &beside["part"], &beside["percent"]), (&2.into(), &"canary".into(), &25.into()));
    let text = run.command(&["status", "api"]).out;
    assert!(text.contains("generation 2 is its canary, with 25% of new connections, pid "), "{text}");
    is_a_quarter(count(address));
    let told = run.command(&["promote", "api"]);
    done(&told);
    assert_eq!(told.out, "generation 2 of api serves now\n");
    assert_eq!(count(address), [0, MANY, 0]);
    run.err_ever("generation 1 of api has stopped");
    refused(&run.command(&["promote", "api"]), "api has no canary");
    refused(&run.command(&["rollback", "api"]), "api has no canary");
    refused(&run.command(&["promote"]), "no service has a canary");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_canary_is_taken_back() {
    let address = Address::new();
    let mut run = with_canary(address, &SERVES, "");
    is_a_quarter(count(address));
    let told = run.command(&["rollback"]);
    done(&told);
    assert_eq!(told.out, "generation 2 of api was taken back, generation 1 serves on\n");
    assert_eq!(count(address), [MANY, 0, 0]);
    run.err_ever("generation 2 of api has stopped");
    assert_eq!(count(address), [MANY, 0, 0]);
    let shown = status(&run);
    assert_eq!((&shown["beside"], &shown["failures_in_a_row"]), (&serde_json::Value::Null, &0.into()));
    assert!(run.reports("api").is_empty());
    // And a restart that is under way.
    done(&run.command(&["restart", "api", "--no-wait", "--canary", "50"]));
    assert_eq!(status(&run)["beside"]["percent"], 50);
}

#[test]
fn a_canary_that_crashes_is_reported_and_removed() {
    let address = Address::new();
    let mut run = with_canary(address, &SERVES, "");
    kill(pid_of_canary(&run));
    run.err("the canary of api has failed: generation 2 is removed, generation 1 serves on");
    assert_eq!(count(address), [MANY, 0, 0]);
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    let report = &run.reports("api")[0];
    assert_eq!((report.kind(), &report.0["generation"]), ("crashed", &2.into()));
}

#[test]
fn when_the_old_one_crashes_the_canary_is_the_service() {
    let address = Address::new();
    let mut run = with_canary(address, &SERVES, "");
    kill(i32::try_from(status(&run)["pid"].as_i64().unwrap()).unwrap());
    run.err("generation 1 of api has ended: generation 2, that was to take its place, does so now");
    assert_eq!(count(address), [0, MANY, 0]);
    done(&run.command(&["restart", "api"]));
    assert_eq!(count(address), [0, 0, MANY]);
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_canary_that_is_not_ready_in_time_is_dumped_and_the_old_one_stays() {
    let address = Address::new();
    let steps = ["LISTEN", "generation 2", "wait", "end", "notify READY=1", "serve"];
    let mut run = running(&sharing(address, &steps, "start_timeout = \"3s\""));
    let told = run.command(&["restart", "api", "--canary", "10%"]);
    assert!(told.code == Some(124) && told.err.contains("; generation 1 serves on\n"), "{told:?}");
    run.err_ever("the restart of api has failed: generation 2 is removed, generation 1 serves on");
    assert_eq!(count(address), [MANY, 0, 0]);
    let report = &run.reports("api")[0];
    assert_eq!((report.kind(), &report.0["generation"]), ("start-timeout", &2.into()));
    assert!(!report.0["processes"].as_array().unwrap().is_empty(), "it was dumped");
}

#[test]
fn a_restart_takes_a_canary_back_first() {
    let address = Address::new();
    let mut run = with_canary(address, &SERVES, "");
    done(&run.command(&["restart", "api"]));
    run.err_ever("generation 2 of api is taken back, generation 1 serves on");
    assert_eq!(count(address), [0, 0, MANY]);
    assert_eq!(status(&run)["generation"], 3);
    run.err_ever("generation 1 of api has stopped");
    // One that is there when all is stopped.
    done(&run.command(&["restart", "--canary", "1%"]));
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

#[test]
fn a_restart_under_way_is_taken_back_and_whoever_asked_for_it_is_told() {
    let (setup, address) = (launcher(), Address::new());
    let gate = setup.home().fifo("gate");
    let wait = format!("gate {}", gate.display());
    let steps = ["LISTEN", "generation 2", "say here", &wait, "end", "notify READY=1", "serve"];
    let mut run = setup.file(&sharing(address, &steps, ""));
    run.control_socket();
    run.err_ever("api is ready");
    let restart = begin(&run, &["restart", "api"]);
    run.said("here");
    refused(&run.command(&["promote", "api"]), "generation 2 of api is no canary");
    done(&run.command(&["rollback", "api"]));
    refused(&end(restart), "generation 2 of api was taken back, generation 1 serves on");
    run.err_ever("generation 2 of api has stopped");
    // What is to be a canary, and promoted before it is one.
    done(&run.command(&["restart", "api", "--canary", "10%", "--no-wait"]));
    done(&run.command(&["promote", "api"]));
    assert_eq!(count(address), [0, 0, MANY]);
}

#[test]
fn what_can_have_no_canary_says_why() {
    let address = Address::new();
    let plain = ["CHILD", &format!("listen {address}"), "notify READY=1", "serve"];
    let mut run = running(&service(&plain, address, "share", "ready = \"notify\""));
    let why = "cannot be divided: its program binds it without SO_REUSEPORT, so only one process can listen";
    refused(&run.command(&["restart", "api", "--canary", "10%"]), why);
    assert_eq!(status(&run)["starts"], 1);
    // A restart is stop and start, and says so.
    done(&run.command(&["restart", "api"]));
    run.err_ever(
        "api is stopped before it is started again: its program binds its port \\\"http\\\" without SO_REUSEPORT",
    );
    assert_eq!(count(address)[0], 0);
    assert!(run.reports("api").is_empty());
    for wrong in ["0%", "100%", "ten"] {
        let told = run.command(&["restart", "api", "--canary", wrong]);
        assert!(told.code == Some(2) && told.err.contains(&format!("a canary cannot get {wrong:?}")), "{told:?}");
    }
    refused(&run.command(&["restart", "apy", "--canary", "10%"]), "did you mean \"api\"?");
    refused(&run.command(&["promote", "apy"]), "did you mean \"api\"?");

    let address = Address::new();
    let run =
        running(&service(&["CHILD", "listen-fds", "notify READY=1", "serve"], address, "pass", "ready = \"notify\""));
    let why = "api cannot have a canary: its port \"http\" has not mode \"share\"";
    refused(&run.command(&["restart", "api", "--canary", "10%"]), why);
}

/// As before Linux 4.5, in gVisor, or below a filter: the kernel divides as it likes, and a line says why.
#[test]
fn where_the_kernel_steers_nothing_a_restart_is_one_and_a_canary_is_refused() {
    for (number, name) in [(libc::ENOPROTOOPT, "ENOPROTOOPT"), (libc::EPERM, "EPERM")] {
        let (setup, address) = (launcher(), Address::new());
        let child = child().display().to_string();
        let setup = setup.below([&child, &format!("deny-steering {number}"), "exec"]);
        let gate = setup.home().fifo("gate");
        let steps = ["LISTEN", "generation 2", "say here", &format!("gate {}", gate.display()), "end"];
        let mut run = setup.file(&sharing(address, &[&steps[..], &SERVES[1..]].concat(), ""));
        run.control_socket();
        run.err_ever("api is ready");
        let why = format!("the kernel does not let launcher steer them (SO_ATTACH_REUSEPORT_CBPF: {name})");
        refused(&run.command(&["restart", "api", "--canary", "10%"]), &why);
        assert_eq!((status(&run)["starts"].as_u64(), count(address)), (Some(1), [MANY, 0, 0]));
        let restart = begin(&run, &["restart", "api"]);
        run.said("here");
        let line = run.err_ever("not-steered");
        assert!(line.contains(&why), "{line}");
        std::fs::write(&gate, "").unwrap();
        done(&end(restart));
        run.err_ever("generation 1 of api has stopped");
        assert_eq!(count(address), [0, MANY, 0]);
        run.signal(Signal::SIGTERM);
        let ended = run.ends_with(0);
        let told = ended.err.iter().filter(|line| line.contains("not-steered")).count();
        assert_eq!(told, 1, "{:#?}", ended.err);
        run.leaves_nothing();
    }
}

/// Which generation has answered each of many peers.
#[track_caller]
fn count_peers(address: Address) -> [usize; 3] {
    let mut counts = [0; 3];
    for _ in 0..MANY {
        let peer = UdpSocket::bind((address.0.ip(), 0)).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let ask = || {
            let mut answer = [0; 64];
            peer.send_to(b"?", address.0).unwrap();
            let length = peer.recv(&mut answer).unwrap();
            std::str::from_utf8(&answer[..length]).unwrap().rsplit(' ').next().unwrap().parse::<usize>().unwrap()
        };
        let first = ask();
        assert_eq!(ask(), first, "one peer, one generation");
        counts[first - 1] += 1;
    }
    counts
}

#[test]
fn datagrams_are_steered_as_connections_are() {
    let address = Address::new();
    let command = ["CHILD", &format!("serve-udp-shared {address}")];
    let file = service(&command, address, "share", "ready = \"notify\"").replace("tcp://", "udp://");
    let mut run = running(&file);
    done(&run.command(&["restart", "api", "--canary", "25%"]));
    is_a_quarter(count_peers(address));
    done(&run.command(&["promote", "api"]));
    assert_eq!(count_peers(address), [0, MANY, 0]);
    run.err_ever("generation 1 of api has stopped");
    done(&run.command(&["restart", "api"]));
    assert_eq!(count_peers(address), [0, 0, MANY]);
}

#[test]
fn a_service_of_another_user_shares_as_well() {
    if nix::unistd::geteuid().is_root() {
        let address = Address::new();
        let mut run = running(&sharing(address, &SERVES, "user = \"nobody\""));
        let clients = Clients::of(address.0);
        done(&run.command(&["restart", "api", "--canary", "25%"]));
        assert!(clients.answers(&mut run).len() > 1);
        is_a_quarter(count(address));
        done(&run.command(&["promote", "api"]));
        assert_eq!(count(address), [0, MANY, 0]);
    }
}
