//! Ports that cannot be had, and what is wrong on the command line or in the file.

use super::serving::{HTTP, ask};
use crate::support::*;

#[test]
fn a_unix_socket_is_refused_with_what_to_write() {
    for mode in ["adopt", "capture"] {
        let mut run = launcher().flags(["--port", &format!("unix:/run/x.sock,{mode}")]).child(["exit 0"]);
        let ended = run.ends_with(2);
        assert!(ended.complains("Unix socket") && ended.complains("pass"), "{:#?}", ended.err);
    }
    let text = "[service.a]\ncommand = [\"CHILD\"]\n[[service.a.port]]\nlisten = \"unix:/run/x\"\nmode = \"adopt\"\n";
    let ended = launcher().file(text).ends_with(78);
    assert!(ended.complains("launcher.toml:7:8") && ended.complains("pass"), "{:#?}", ended.err);
}

#[test]
fn an_address_that_this_host_does_not_have() {
    for mode in ["pass", "adopt", "capture", "share"] {
        let mut run = launcher().flags(["--port", &format!("203.0.113.7:8080,{mode}")]).child(["exit 0"]);
        let ended = run.ends_with(71);
        assert!(ended.complains("203.0.113.7"), "{:#?}", ended.err);
    }
}

#[test]
fn a_privileged_port_without_the_capability() {
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if start.trim() != "1024" {
        return println!("skipped: every port is free for all here");
    }
    let address = Address::new().with_port(81);
    for mode in ["pass", "adopt", "capture", "share"] {
        let flags = ["--port", &format!("{address},{mode}")];
        let mut run = launcher().being_nobody().flags(flags).child(["exit 0"]);
        let ended = run.ends_with(71);
        assert!(ended.complains("privileged") || ended.complains("1024"), "{mode}: {:#?}", ended.err);
    }
}

#[test]
fn two_services_with_one_port() {
    let address = Address::new();
    let service = |name| {
        format!(
            "[service.{name}]\ncommand = [\"CHILD\"]\n[[service.{name}.port]]\nlisten = \"tcp://{address}\"\nmode = \"adopt\"\n"
        )
    };
    let ended = launcher().file(&(service("a") + &service("b"))).ends_with(78);
    assert!(ended.complains("already a port of service"), "{:#?}", ended.err);
}

/// The one that holds it serves on; the other one is told who has it.
#[test]
fn a_program_that_binds_what_another_service_holds() {
    let address = Address::new();
    let text = format!(
        "[service.a]\ncommand = [\"CHILD\", \"listen {address}\", \"serve\"]\nready = \"listen\"\n\
         [[service.a.port]]\nlisten = \"tcp://{address}\"\nmode = \"adopt\"\n\
         [service.b]\ncommand = [\"CHILD\", \"listen {address}\"]\nafter = [\"a\"]\nready = \"notify\"\n\
         [service.b.restart]\nbackoff = {{ initial = \"60s\", max = \"60s\" }}\n[[service.b.port]]\nlisten = \"tcp://127.0.0.1:auto\"\nmode = \"adopt\"\n"
    );
    let mut run = launcher().file(&text);
    let line = run.err("port-taken");
    assert!(line.contains("which the service a of this launcher (pid ") && line.contains("launcher stop a"), "{line}");
    assert!(!line.contains("kill"), "{line}");
    ask(&mut run, address.0, HTTP);
    let report = &run.reports("b")[0].0.to_string();
    assert!(report.contains("os error 98"), "{report}");
    run.signal(Signal::SIGTERM);
    run.ended();
}
