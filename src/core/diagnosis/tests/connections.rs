//! Connections that do not come, and peers that say nothing.

use super::*;

#[test]
fn a_remote_that_is_silent() {
    let found = expect(&single(connecting("10.0.0.5:6379")), Cause::ConnectWait, Confidence::Certain);
    assert_eq!(
        found.summary,
        "api (pid 4711) has waited 29.8 s in connect() to 10.0.0.5:6379 (tcp): SYN sent, no answer"
    );
    assert_eq!(found.target.as_deref(), Some("10.0.0.5:6379"));
    assert_eq!((found.process, found.thread), (Some(4711), Some(4711)));
    let frame = found.frame.unwrap();
    assert_eq!((frame.function.as_str(), frame.line), ("init_redis", Some(42)));
    says(&found.evidence.join("\n"), &["sent again 4 times", "usually Redis"]);
    says(&found.advice.join("\n"), &["start what should listen on 10.0.0.5:6379 (usually Redis)", "firewall"]);
}

#[test]
fn a_full_backlog_is_told_from_a_missing_listener() {
    let to = |listener| {
        let mut facts = single(connecting("127.0.0.1:6379"));
        if let Some(WaitingOn::Connect { socket, .. }) = &mut facts.processes[0].threads[0].waiting_on {
            socket.peer_listener = Some(Box::new(listener));
        }
        expect(&facts, Cause::ConnectWait, Confidence::Certain)
    };
    let full = to(listener(129, 128, 900));
    says(&full.summary, &["the backlog of redis-server (pid 900) is full, it does not accept"]);
    says(&full.advice.join("\n"), &["launcher dump 900"]);
    let missing = to(Default::default());
    says(&missing.summary, &["SYN sent, no answer, and nothing listens there"]);
    let room = to(listener(0, 128, 900));
    says(&room.summary, &["though redis-server (pid 900) listens there"]);
}

#[test]
fn a_unix_connect_waits_only_for_a_full_backlog() {
    let unix = SocketFacts { protocol: "unix".to_owned(), ..socket("connecting", "/run/db.sock") };
    let found = expect(&single(WaitingOn::Connect { fd: 3, socket: unix }), Cause::ConnectWait, Confidence::Certain);
    says(&found.summary, &["connect() to /run/db.sock (unix): its listener's backlog is full"]);
}

#[test]
fn a_pending_connection_behind_an_event_loop() {
    let pending = watched(9, true, FdFacts::Socket(socket("syn-sent", "10.0.0.5:5432")));
    let alone = expect(
        &single(polling("epoll_wait", vec![eventfd(), pending.clone()])),
        Cause::ConnectWait,
        Confidence::Certain,
    );
    assert_eq!(alone.target.as_deref(), Some("10.0.0.5:5432"));
    let other = watched(10, false, FdFacts::Socket(socket("established", "10.0.0.6:5672")));
    expect(&single(polling("epoll_wait", vec![other, pending])), Cause::ConnectWait, Confidence::Likely);
}

#[test]
fn a_pending_connection_that_no_thread_was_seen_to_watch() {
    let mut facts = single(sleeping(1));
    facts.processes[0].sockets = vec![socket("syn-sent", "10.0.0.5:5432")];
    let found = expect(&facts, Cause::ConnectWait, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("10.0.0.5:5432"));
}

#[test]
fn connect_retry_needs_the_outputs_word() {
    let mut facts = single(sleeping(1));
    expect(&facts, Cause::Unknown, Confidence::Possible);
    facts.output_tail = "connecting\ndial tcp 127.0.0.1:5432: connect: connection refused\nretrying in 1s\n".to_owned();
    let found = expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    says(&found.summary, &["api keeps trying to reach 127.0.0.1:5432, which refuses the connection"]);
    assert_eq!(found.target.as_deref(), Some("127.0.0.1:5432"));
    says(&found.advice[0], &["start what should listen on 127.0.0.1:5432 (usually PostgreSQL)"]);
    // The same words of a service that now waits for something else are not the cause.
    let mut later = single(connecting("10.0.0.5:6379"));
    later.output_tail = facts.output_tail.clone();
    expect(&later, Cause::ConnectWait, Confidence::Certain);
}

#[test]
fn a_shell_that_sleeps_between_two_tries_retries() {
    let shell = process(4711, 4700, "sh wait.sh", vec![thread(4711, "sh", Some(child(4712, "sleep")))]);
    let sleep = process(4712, 4711, "sleep 1", vec![thread(4712, "sleep", Some(sleeping(1)))]);
    let mut facts = facts(vec![shell, sleep]);
    facts.output_tail = "nc: connect to db port 5432 (tcp) failed: Connection refused\n".repeat(5);
    let found = expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    says(&found.evidence.join("\n"), &["5 times", "sh (pid 4711) waits in wait4() for the end of sleep (pid 4712)"]);
}

#[test]
fn a_peer_that_says_nothing() {
    let silent = SocketFacts {
        last_received_ms: Some(29_900),
        last_sent_ms: Some(29_700),
        ..socket("established", "10.0.0.5:5432")
    };
    let found =
        expect(&single(WaitingOn::Receive { fd: 5, socket: silent.clone() }), Cause::ReplyWait, Confidence::Certain);
    says(
        &found.summary,
        &["for a reply from 10.0.0.5:5432 (tcp, usually PostgreSQL): connected, asked 29.7 s ago, nothing came back"],
    );
    let poll = polling("poll", vec![watched(5, false, FdFacts::Socket(silent.clone()))]);
    expect(&single(poll), Cause::ReplyWait, Confidence::Certain);
    let other = watched(6, false, FdFacts::Socket(socket("established", "10.0.0.6:5672")));
    let epoll = polling("epoll_wait", vec![eventfd(), other, watched(5, false, FdFacts::Socket(silent))]);
    assert_eq!(expect(&single(epoll), Cause::ReplyWait, Confidence::Likely).target.as_deref(), Some("10.0.0.5:5432"));
}

#[test]
fn an_idle_connection_of_a_pool_is_no_reply_that_is_missing() {
    let idle = SocketFacts {
        last_received_ms: Some(20_000),
        last_sent_ms: Some(20_010),
        ..socket("established", "10.0.0.5:5432")
    };
    let other = watched(6, false, FdFacts::Socket(SocketFacts { inode: 78, ..idle.clone() }));
    let epoll = polling("epoll_wait", vec![eventfd(), other, watched(5, false, FdFacts::Socket(idle))]);
    expect(&single(epoll), Cause::EventLoopIdle, Confidence::Likely);
}

#[test]
fn a_name_that_does_not_resolve() {
    let udp = SocketFacts { protocol: "udp".to_owned(), ..socket("established", "10.0.0.2:53") };
    let mut facts = single(polling("poll", vec![watched(5, false, FdFacts::Socket(udp))]));
    let found = expect(&facts, Cause::DnsWait, Confidence::Certain);
    assert_eq!(found.target.as_deref(), Some("10.0.0.2:53"));
    // Which name, and by which rules.
    let asks = Some("db.shop".to_owned());
    let udp = SocketFacts { protocol: "udp".to_owned(), asks, ..socket("established", "10.0.0.2:53") };
    facts.processes[0].threads[0].waiting_on = Some(polling("poll", vec![watched(5, false, FdFacts::Socket(udp))]));
    let resolv = "nameserver 10.0.0.2\nnameserver 10.0.0.3";
    facts.processes[0].resolver = Some(ResolverFacts::parse(resolv, "hosts: files dns"));
    let found = expect(&facts, Cause::DnsWait, Confidence::Certain);
    says(&found.summary, &["for the name db.shop to resolve: no answer from 10.0.0.2:53"]);
    let evidence = found.evidence.join("\n");
    says(&evidence, &["nameserver 10.0.0.2, 10.0.0.3; each is asked up to 2 times, 5 s each", "takes 20 s"]);
    says(&evidence, &["hosts: files dns"]);
    says(&found.advice.join("\n"), &["getent hosts db.shop"]);
    // By a service of this host.
    let avahi = SocketFacts { protocol: "unix".to_owned(), ..socket("connected", "/run/avahi-daemon/socket") };
    facts.processes[0].threads[0].waiting_on = Some(WaitingOn::Receive { fd: 3, socket: avahi });
    facts.processes[0].threads[0].frames.insert(1, frame("getaddrinfo", "x.c", 1));
    let found = expect(&facts, Cause::DnsWait, Confidence::Likely);
    says(&found.summary, &["no answer from Avahi (mDNS)"]);
    assert_eq!(found.target.as_deref(), Some("/run/avahi-daemon/socket"));
    facts.processes[0].threads[0].frames.remove(1);
    // By its frames alone, for example over nscd's socket.
    let nscd = SocketFacts { protocol: "unix".to_owned(), ..socket("connected", "/run/nscd/socket") };
    facts.processes[0].threads[0].waiting_on = Some(WaitingOn::Receive { fd: 3, socket: nscd });
    facts.processes[0].threads[0].frames.insert(1, frame("getaddrinfo", "x.c", 1));
    expect(&facts, Cause::DnsWait, Confidence::Likely);
}

/// A connection on which 64 KiB have come in 8 pieces.
fn transfer(last_received_ms: u64, last_sent_ms: u64) -> SocketFacts {
    SocketFacts {
        last_received_ms: Some(last_received_ms),
        last_sent_ms: Some(last_sent_ms),
        received: Some(65_536),
        arrivals: Some(8),
        ..socket("established", "10.0.0.5:5432")
    }
}

#[test]
fn a_transfer_that_runs_is_no_reply_that_is_missing() {
    let receives = |socket| WaitingOn::Receive { fd: 5, socket };
    let polls = |socket| polling("poll", vec![watched(5, false, FdFacts::Socket(socket))]);
    for wait in [receives(transfer(28, 1_900)), polls(transfer(28, 1_900))] {
        let found = expect(&single(wait), Cause::SlowProgress, Confidence::Likely);
        says(&found.summary, &["is receiving from 10.0.0.5:5432 (tcp) in init_redis()", "64.0 KiB came so far"]);
        says(&found.summary, &["the last of it 28 ms ago"]);
        assert_eq!(found.target.as_deref(), Some("10.0.0.5:5432"));
        says(&found.advice.join("\n"), &["raise start_timeout", "look why 10.0.0.5:5432 sends no faster"]);
    }
    // It asked again, and has waited for that but for a moment.
    let asked = expect(&single(receives(transfer(900, 20))), Cause::ReplyWait, Confidence::Likely);
    says(&asked.summary, &["asked 20 ms ago, nothing came back"]);
    expect(&single(polls(transfer(900, 20))), Cause::ReplyWait, Confidence::Likely);
    // It has stopped.
    expect(&single(receives(transfer(4_000, 29_000))), Cause::ReplyWait, Confidence::Certain);
    // Of a short start a second is no moment.
    let mut short = single(receives(transfer(900, 1_900)));
    short.elapsed = Duration::from_secs(2);
    expect(&short, Cause::ReplyWait, Confidence::Certain);
    // A connection that has just come about shows the same time, but nothing came.
    let new = SocketFacts { received: Some(0), arrivals: Some(0), ..transfer(28, 28) };
    expect(&single(receives(new)), Cause::ReplyWait, Confidence::Certain);
    // Of a Unix socket no times are told, but since when this wait is.
    let unix = SocketFacts { protocol: "unix".to_owned(), ..socket("established", "/run/db.sock") };
    let mut facts = single(receives(unix));
    expect(&facts, Cause::ReplyWait, Confidence::Certain);
    facts.processes[0].threads[0].waited = Some(Duration::from_millis(300));
    expect(&facts, Cause::ReplyWait, Confidence::Likely);
}

#[test]
fn its_own_port_that_it_does_not_serve_yet() {
    let asks = |holders| {
        let peer_processes = holders;
        let socket = SocketFacts { unaccepted: true, peer_processes, ..socket("established", "127.0.0.1:8080") };
        single(WaitingOn::Receive { fd: 5, socket })
    };
    let mut passed = asks(vec![named(4700, "launcher"), named(4711, "api")]);
    passed.ports = vec![port("127.0.0.1:8080", true)];
    passed.ports[0].mode = crate::core::settings::PortMode::Pass;
    let found = expect(&passed, Cause::ReplyWait, Confidence::Certain);
    says(
        &found.summary,
        &["for an answer from its own port 127.0.0.1:8080 (tcp), on which it has not begun to accept"],
    );
    says(&found.evidence.join("\n"), &["launcher keeps that port open for it (mode pass)"]);
    assert!(!found.advice.join("\n").contains("4700"), "{:?}", found.advice);
    // Its own listener, with or without a time limit.
    let mut own = asks(vec![named(4711, "api")]);
    own.listening = vec![listening("127.0.0.1:8080", 4711)];
    own.ready = Ready::Notify;
    let found = expect(&own, Cause::ReplyWait, Confidence::Certain);
    says(&found.summary, &["its own port 127.0.0.1:8080"]);
    let Some(WaitingOn::Receive { socket, .. }) = own.processes[0].threads[0].waiting_on.clone() else { return };
    let polls = polling("poll", vec![watched(5, false, FdFacts::Socket(socket))]);
    own.processes[0].threads[0].waiting_on = Some(polls);
    expect(&own, Cause::ReplyWait, Confidence::Certain);
    // One of a process that it started.
    let mut childs = asks(vec![named(4712, "python3")]);
    childs.listening = vec![listening("127.0.0.1:8080", 4712)];
    childs.ready = Ready::Notify;
    childs.processes.push(process(4712, 4711, "python3 side.py", vec![thread(4712, "python3", Some(sleeping(500)))]));
    let found = expect(&childs, Cause::ReplyWait, Confidence::Certain);
    says(&found.summary, &["from python3 (pid 4712), of this service, on 127.0.0.1:8080"]);
    says(&found.summary, &["does not accept the connection, and sleeps for 8 min 20 s"]);
    // Somebody else's that is slow to accept is any other peer.
    let found = expect(&asks(vec![named(900, "redis-server")]), Cause::ReplyWait, Confidence::Certain);
    says(&found.summary, &["for a reply from 127.0.0.1:8080"]);
}

#[test]
fn a_quiet_subscriber_is_at_most_a_possible_reply() {
    let beside = |socket| {
        let mut facts = single(futex(FutexKind::Condition, 9, None));
        facts.processes[0].threads.push(thread(4712, "pubsub", Some(WaitingOn::Receive { fd: 5, socket })));
        let Diagnosis { verdict, alternatives } = diagnose(&facts);
        let all = std::iter::once(verdict).chain(alternatives);
        all.into_iter().find(|found| found.cause == Cause::ReplyWait).unwrap().confidence
    };
    let subscribed = |received, acknowledged| SocketFacts {
        received: Some(received),
        acknowledged: Some(acknowledged),
        ..transfer(20_000, 20_010)
    };
    assert_eq!(beside(subscribed(40, true)), Confidence::Possible);
    assert_eq!(beside(subscribed(0, false)), Confidence::Possible);
    // What it asked has no answer.
    assert_eq!(beside(subscribed(0, true)), Confidence::Likely);
    assert_eq!(beside(SocketFacts { last_sent_ms: Some(19_000), ..subscribed(40, true) }), Confidence::Likely);
}
