//! Servers that listen elsewhere, or never said that they are ready.

use super::*;
use crate::core::facts::ProbeFacts;
use crate::core::settings::HttpProbe;

fn server(ready: Ready) -> Facts {
    let mut facts = single(polling("epoll_wait", vec![eventfd()]));
    facts.ready = ready;
    facts
}

#[test]
fn listens_on_another_address_or_port_than_declared() {
    let mut facts = server(Ready::Listen);
    facts.ports = vec![port("0.0.0.0:8080", false)];
    facts.listening = vec![listening("127.0.0.1:8080", 4711)];
    let found = expect(&facts, Cause::ListeningElsewhere, Confidence::Certain);
    says(&found.summary, &["listens on tcp://127.0.0.1:8080, but tcp://0.0.0.0:8080 is declared"]);
    facts.listening = vec![listening("0.0.0.0:3000", 4711)];
    let found = expect(&facts, Cause::ListeningElsewhere, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("tcp://0.0.0.0:3000"));
    facts.ready = Ready::Tcp("127.0.0.1:8080".parse().unwrap());
    expect(&facts, Cause::ListeningElsewhere, Confidence::Likely);
    // Where it is asked is no declaration of a port.
    facts.ports.clear();
    let found = expect(&facts, Cause::ListeningNotReady, Confidence::Likely);
    says(
        &found.summary,
        &["listens on 0.0.0.0:3000, but is asked at tcp://127.0.0.1:8080: the probe looks in the wrong"],
    );
    says(&found.advice[0], &["correct --ready", "--ready tcp://127.0.0.1:3000"]);
    // A port for metrics is open while the database does not answer.
    facts.processes[0].threads[0].waiting_on = Some(connecting("10.0.0.5:5432"));
    expect(&facts, Cause::ConnectWait, Confidence::Certain);
}

#[test]
fn listens_but_never_said_so() {
    let mut facts = server(Ready::Notify);
    facts.ports = vec![port("0.0.0.0:8080", true)];
    facts.listening = vec![listening("0.0.0.0:8080", 4711)];
    let plain = expect(&facts, Cause::ListeningNotReady, Confidence::Likely);
    says(&plain.summary, &["api listens, but never said READY=1"]);
    facts.processes[0].has_notify_socket = Some(false);
    let lost = expect(&facts, Cause::ListeningNotReady, Confidence::Certain);
    says(&lost.summary, &["NOTIFY_SOCKET is not in the environment of api (pid 4711)"]);
    facts.notified.strangers = vec![(900, "READY=1".to_owned())];
    let stranger = expect(&facts, Cause::ListeningNotReady, Confidence::Certain);
    says(&stranger.summary, &["READY=1 came from pid 900"]);
    facts.ports.clear();
    expect(&facts, Cause::ListeningNotReady, Confidence::Certain);
}

#[test]
fn listens_but_is_not_seen_to_be_ready() {
    let mut facts = server(Ready::Http(Box::new(HttpProbe::new("http://127.0.0.1:8080/readyz".into()))));
    facts.ports = vec![port("0.0.0.0:8080", true)];
    facts.listening = vec![listening("0.0.0.0:8080", 4711)];
    let wanted = "http://127.0.0.1:8080/readyz is answered".to_owned();
    let address = Some("127.0.0.1:8080".parse().unwrap());
    let error = Some("it answers with status 503 (127.0.0.1:8080)".to_owned());
    let probe = ProbeFacts { wanted, address, tries: 12, answered: true, last_error: error };
    facts.probe = Some(probe.clone());
    let found = expect(&facts, Cause::ListeningNotReady, Confidence::Certain);
    says(&found.summary, &["api listens, but is ready when http://127.0.0.1:8080/readyz is answered: it answers with"]);
    assert!(found.evidence.contains(&"it was tried 12 times".to_owned()), "{:?}", found.evidence);
    // It listens elsewhere than it is asked.
    facts.ports.clear();
    facts.listening = vec![listening("127.0.0.1:3000", 4711)];
    facts.probe = Some(ProbeFacts { answered: false, ..probe.clone() });
    let found = expect(&facts, Cause::ListeningNotReady, Confidence::Likely);
    says(&found.summary, &["is asked at http://127.0.0.1:8080/readyz: the probe looks in the wrong place"]);
    says(&found.advice[0], &["--ready http://127.0.0.1:3000/readyz"]);
    facts.ports = vec![port("0.0.0.0:8080", false)];
    let found = expect(&facts, Cause::ListeningElsewhere, Confidence::Likely);
    says(&found.summary, &["listens on tcp://127.0.0.1:3000, but tcp://127.0.0.1:8080 is declared"]);
    facts.ports.clear();
    // What is waited for in its output has not come.
    facts.ready = Ready::Log("up".to_owned());
    facts.probe = Some(ProbeFacts { wanted: "a line matches".to_owned(), ..ProbeFacts::default() });
    let found = expect(&facts, Cause::ListeningNotReady, Confidence::Likely);
    says(&found.summary, &["api listens, but is ready when a line matches: that has not happened"]);
}

#[test]
fn a_passed_socket_that_nobody_accepts_on_is_not_served() {
    let mut facts = server(Ready::Notify);
    facts.ports = vec![port("0.0.0.0:8080", true)];
    facts.ports[0].mode = crate::core::settings::PortMode::Pass;
    facts.listening = vec![listening("0.0.0.0:8080", 4711)];
    expect(&facts, Cause::EventLoopIdle, Confidence::Likely);
    let passed = SocketFacts { local: Some("0.0.0.0:8080".to_owned()), ..socket("listen", "") };
    facts.processes[0].threads[0].waiting_on = Some(WaitingOn::Accept { fd: 3, socket: passed });
    expect(&facts, Cause::ListeningNotReady, Confidence::Likely);
}

#[test]
fn idle_in_its_event_loop() {
    let mut facts = server(Ready::Listen);
    facts.ports = vec![port("0.0.0.0:8080", false)];
    let found = expect(&facts, Cause::EventLoopIdle, Confidence::Likely);
    says(&found.evidence.join("\n"), &["epoll_wait() watches fd 4 (anon_inode:[eventfd])"]);
    // Somebody dumps a healthy server: nothing is wrong with it.
    facts.occasion = Occasion::Requested;
    facts.ports.clear();
    facts.listening = vec![listening("0.0.0.0:8080", 4711)];
    let healthy = expect(&facts, Cause::Unknown, Confidence::Possible);
    says(&healthy.summary, &["is idle in epoll_wait() and listens on tcp://0.0.0.0:8080"]);
}

#[test]
fn a_port_for_metrics_does_not_hide_what_main_waits_for() {
    let mut facts = single(child(4712, "sleep"));
    facts.processes[0].threads.push(thread(4713, "metrics", Some(polling("poll", vec![eventfd()]))));
    facts.processes.push(process(4712, 4711, "sleep 500", vec![thread(4712, "sleep", Some(sleeping(500)))]));
    facts.listening = vec![listening("127.0.0.1:9100", 4711)];
    facts.ready = Ready::Listen;
    facts.ports = vec![port("127.0.0.1:8080", false)];
    let found = expect(&facts, Cause::ChildWait, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("sleep (pid 4712)"));
    facts.processes.truncate(1);
    facts.processes[0].threads[0].waiting_on = Some(futex(FutexKind::Condition, 9, None));
    expect(&facts, Cause::ChannelWait, Confidence::Possible);
    facts.ready = Ready::Notify;
    facts.ports.clear();
    expect(&facts, Cause::ChannelWait, Confidence::Possible);
    // Behind a shell that waits for the server itself nothing is hidden.
    let shell = process(4711, 4700, "sh run.sh", vec![thread(4711, "sh", Some(child(4712, "api")))]);
    let server = process(4712, 4711, "./api", vec![thread(4712, "api", Some(polling("poll", vec![eventfd()])))]);
    facts.processes = vec![shell, server];
    facts.listening = vec![listening("127.0.0.1:9100", 4712)];
    facts.ready = Ready::Listen;
    facts.ports = vec![port("127.0.0.1:8080", false)];
    expect(&facts, Cause::ListeningElsewhere, Confidence::Likely);
}
