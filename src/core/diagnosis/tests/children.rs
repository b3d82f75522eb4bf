//! Waits for other processes, followed into them.

use super::*;

#[test]
fn the_verdict_is_on_the_last_link_and_the_chain_is_told() {
    let found = expect(&tree(Some(connecting("10.0.0.5:5432"))), Cause::ConnectWait, Confidence::Certain);
    assert_eq!((found.process, found.thread), (Some(4712), Some(4712)));
    assert_eq!(found.frame.unwrap().function, "migrate");
    says(&found.evidence.join("\n"), &["sh (pid 4711) waits in wait4() for the end of python3 (pid 4712)"]);
}

#[test]
fn a_child_of_which_no_more_can_be_said() {
    let found = expect(&tree(Some(sleeping(1000))), Cause::ChildWait, Confidence::Likely);
    says(&found.summary, &["sh (pid 4711) has waited 29.8 s for python3 (pid 4712)", "sleeps for 16 min 40 s"]);
    assert_eq!(found.process, Some(4711));
    assert_eq!(found.target.as_deref(), Some("python3 (pid 4712)"));
    expect(&tree(None), Cause::ChildWait, Confidence::Likely);
}

#[test]
fn a_pipe_written_by_a_child_is_followed_too() {
    let mut facts = tree(Some(connecting("10.0.0.5:5432")));
    let pipe = FileFacts { peers: vec![named(4712, "python3")], ..file(FileKind::Pipe, "pipe:[5]") };
    facts.processes[0].threads[0].waiting_on = Some(WaitingOn::Input { fd: 3, file: pipe });
    let found = expect(&facts, Cause::ConnectWait, Confidence::Certain);
    says(&found.evidence.join("\n"), &["reads a pipe that is written by python3"]);
}

#[test]
fn a_child_whose_pipes_are_polled_is_followed_too() {
    let mut facts = tree(Some(connecting("10.0.0.5:5432")));
    let pipe = FileFacts { peers: vec![named(4712, "python3")], ..file(FileKind::Pipe, "pipe:[5]") };
    let out = watched(3, false, FdFacts::File(pipe));
    facts.processes[0].threads[0].waiting_on = Some(polling("poll", vec![out.clone()]));
    let found = expect(&facts, Cause::ConnectWait, Confidence::Certain);
    says(&found.evidence.join("\n"), &["polls a pipe that is written by python3"]);
    // In an event loop it may be one thing among others.
    facts.processes[0].threads[0].waiting_on = Some(polling("epoll_wait", vec![eventfd(), out]));
    expect(&facts, Cause::ConnectWait, Confidence::Likely);
}

#[test]
fn an_event_loop_that_is_idle_but_for_a_child_waits_for_that() {
    let mut facts = tree(Some(sleeping(1000)));
    let out = SocketFacts {
        protocol: "unix".to_owned(),
        peer_processes: vec![named(4712, "python3")],
        ..socket("connected", "")
    };
    facts.processes[0].threads[0].waiting_on =
        Some(polling("epoll_wait", vec![eventfd(), watched(20, false, FdFacts::Socket(out))]));
    let found = expect(&facts, Cause::ChildWait, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("python3 (pid 4712)"));
    // One that serves has helpers.
    facts.listening = vec![listening("127.0.0.1:8080", 4711)];
    assert_ne!(verdict(&facts).cause, Cause::ChildWait);
}

#[test]
fn a_worker_beside_an_idle_parent_is_likely_at_most() {
    let mut facts = tree(Some(connecting("10.0.0.5:5432")));
    facts.processes[0].threads[0].waiting_on = Some(polling("epoll_wait", vec![eventfd()]));
    let found = expect(&facts, Cause::ConnectWait, Confidence::Likely);
    assert_eq!(found.process, Some(4712));
}

#[test]
fn parents_in_a_circle_do_no_harm() {
    let mut facts = tree(Some(child(4711, "sh")));
    facts.processes[0].parent = 4712;
    assert_eq!(verdict(&facts).cause, Cause::ChildWait);
}

#[test]
fn a_child_in_vfork_is_not_waited_for_in_wait4() {
    let mut facts = tree(Some(sleeping(1000)));
    facts.processes[0].threads[0].syscall = Some("vfork() for python3 (pid 4712)".to_owned());
    let found = verdict(&facts);
    says(&found.evidence.join("\n"), &["sh (pid 4711) waits in vfork() for the exec or the end of python3 (pid 4712)"]);
}
