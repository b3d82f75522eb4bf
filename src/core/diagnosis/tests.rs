//! The rules on facts as a dump records them.

use std::time::Duration;

use crate::core::exit::Ending;
use crate::core::facts::{
    AttemptFacts, ExecFailure, ExecProblem, Facts, FdFacts, FileFacts, FileKind, FutexKind, HolderFacts, MemoryFacts,
    Occasion, OwnerFacts, PortFailure, PortProblem, ProcessFacts, Refusal, SocketFacts, WaitingOn,
};
use crate::core::settings::{Listen, Ready};
use crate::core::signal::Signal;

use super::testing::*;
use super::{Cause, Confidence, Diagnosis, Verdict, diagnose};

fn verdict(facts: &Facts) -> Verdict {
    diagnose(facts).verdict
}

fn expect(facts: &Facts, cause: Cause, confidence: Confidence) -> Verdict {
    let Diagnosis { verdict, alternatives } = diagnose(facts);
    assert_eq!((verdict.cause, verdict.confidence), (cause, confidence), "{verdict:#?}\n{alternatives:#?}");
    assert!(!verdict.summary.is_empty() && !verdict.summary.ends_with('.'), "{}", verdict.summary);
    assert!(!verdict.evidence.is_empty(), "{verdict:#?}");
    assert!(!verdict.advice.is_empty(), "{verdict:#?}");
    verdict
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

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
            socket.peer_listener = Some(listener);
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
    says(&found.summary, &["for a reply from 10.0.0.5:5432 (tcp): connected, asked 29.7 s ago, nothing came back"]);
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
    // By its frames alone, for example over nscd's socket.
    let nscd = SocketFacts { protocol: "unix".to_owned(), ..socket("connected", "/run/nscd/socket") };
    facts.processes[0].threads[0].waiting_on = Some(WaitingOn::Receive { fd: 3, socket: nscd });
    facts.processes[0].threads[0].frames.insert(1, frame("getaddrinfo", "x.c", 1));
    expect(&facts, Cause::DnsWait, Confidence::Likely);
}

#[test]
fn two_mutexes_taken_in_opposite_order() {
    let found = expect(&deadlock(), Cause::LockCycle, Confidence::Certain);
    assert_eq!(
        found.summary,
        "deadlock: thread 4712 `worker_a` in lock_b() at deadlock.c:23 waits for the lock held by thread 4713 \
         `worker_b`, and thread 4713 `worker_b` in lock_a() at deadlock.c:31 waits for the lock held by thread 4712 \
         `worker_a`"
    );
    assert_eq!(found.thread, Some(4712));
    assert_eq!(diagnose(&deadlock()).alternatives, [], "the same circle must not be told twice");
    // Also when the main thread is not known to wait for them.
    let mut facts = deadlock();
    facts.processes[0].threads[0].waiting_on = Some(polling("epoll_wait", vec![eventfd()]));
    expect(&facts, Cause::LockCycle, Confidence::Certain);
}

#[test]
fn a_number_in_a_futex_of_unknown_kind_proves_nothing() {
    let of = |kind| {
        let mut facts = deadlock();
        facts.processes[0].threads[1].waiting_on = Some(futex(kind, 0x6020, Some(4713)));
        facts
    };
    expect(&of(FutexKind::Unknown), Cause::LockCycle, Confidence::Likely);
    assert_ne!(verdict(&of(FutexKind::Condition)).cause, Cause::LockCycle);
}

#[test]
fn circles_of_any_length_are_named() {
    let own = expect(&single(futex(FutexKind::Mutex, 0x6000, Some(4711))), Cause::LockCycle, Confidence::Certain);
    says(&own.summary, &["waits for the lock held by itself"]);
    let mut facts = deadlock();
    let last = 5000;
    for tid in 4713..last {
        let mut more = thread(tid, "more", Some(futex(FutexKind::Mutex, tid as u64, Some(tid + 1))));
        more.frames = stack("lock", "more.c", tid as u32);
        facts.processes[0].threads.retain(|thread| thread.tid != tid);
        facts.processes[0].threads.push(more);
    }
    // Too long to be told: but it is not told wrongly either.
    assert_ne!(verdict(&facts).cause, Cause::Unknown);
    facts.processes[0].threads.retain(|thread| thread.tid <= 4720);
    let closing = &mut facts.processes[0].threads.last_mut().unwrap().waiting_on;
    *closing = Some(futex(FutexKind::RwLock, 1, Some(4712)));
    let circle = expect(&facts, Cause::LockCycle, Confidence::Certain);
    says(&circle.summary, &["4712", "4720", "more.c:4719"]);
}

#[test]
fn a_thread_that_holds_a_lock_and_joins_one_that_wants_it() {
    let mut facts = deadlock();
    facts.processes[0].threads.truncate(2);
    let worker = &mut facts.processes[0].threads[1];
    worker.waiting_on = Some(futex(FutexKind::Mutex, 0x6000, Some(4711)));
    let found = expect(&facts, Cause::LockCycle, Confidence::Certain);
    says(&found.summary, &["waits for the lock held by thread 4711", "waits for the end of thread 4712"]);
}

#[test]
fn a_lock_whose_holder_does_something_else() {
    let mut facts = deadlock();
    let mut holder = thread(4713, "worker_b", Some(connecting("10.0.0.5:6379")));
    holder.frames = stack("refill", "pool.c", 9);
    facts.processes[0].threads[2] = holder;
    let found = expect(&facts, Cause::LockWait, Confidence::Certain);
    says(
        &found.summary,
        &["held by thread 4713 `worker_b` in refill() at pool.c:9, which is in connect() to 10.0.0.5"],
    );
    let alternatives = diagnose(&facts).alternatives;
    assert_eq!(alternatives[0].cause, Cause::ConnectWait);
    assert_eq!(alternatives[0].confidence, Confidence::Likely);
}

#[test]
fn locks_without_an_owner_are_not_guessed() {
    let mut facts = deadlock();
    for thread in &mut facts.processes[0].threads[1..] {
        let address = u64::try_from(thread.tid).unwrap();
        thread.waiting_on = Some(futex(FutexKind::Lock, address, None));
    }
    facts.processes[0].threads[0].waiting_on = Some(futex(FutexKind::Lock, 9, None));
    expect(&facts, Cause::LockCycle, Confidence::Possible);
    facts.processes[0].threads[2].waiting_on = Some(sleeping(9));
    expect(&facts, Cause::LockWait, Confidence::Possible);
    expect(&single(futex(FutexKind::Lock, 9, None)), Cause::LockCycle, Confidence::Likely);
    // The owner is no thread any more.
    let gone = expect(&single(futex(FutexKind::Mutex, 9, Some(99))), Cause::LockWait, Confidence::Likely);
    says(&gone.summary, &["held by thread 99, which has ended"]);
}

#[test]
fn a_condition_that_nobody_signals() {
    let alone = expect(&single(futex(FutexKind::Condition, 9, None)), Cause::ChannelWait, Confidence::Likely);
    says(&alone.summary, &["no other thread that could signal it"]);
    let mut facts = deadlock();
    facts.processes[0].threads[0].waiting_on = Some(futex(FutexKind::Condition, 9, None));
    facts.processes[0].threads.truncate(2);
    facts.processes[0].threads[1].waiting_on = Some(sleeping(3));
    expect(&facts, Cause::ChannelWait, Confidence::Possible);
}

#[test]
fn a_file_lock_names_its_holder() {
    let lock = |pid| WaitingOn::FileLock { path: Some("/var/lib/db/lock".to_owned()), holders: vec![named(pid, "db")] };
    let found = expect(&single(lock(900)), Cause::FileLockWait, Confidence::Certain);
    says(&found.summary, &["for the lock on /var/lib/db/lock, held by db (pid 900)"]);
    assert_eq!(found.target.as_deref(), Some("/var/lib/db/lock"));
    let own = expect(&single(lock(4711)), Cause::FileLockWait, Confidence::Certain);
    says(&own.summary, &["which it holds itself"]);
}

fn tree(last: Option<WaitingOn>) -> Facts {
    let shell = process(4711, 4700, "sh start.sh", vec![thread(4711, "sh", Some(child(4712, "python3")))]);
    let mut worker = thread(4712, "python3", last);
    worker.frames = stack("migrate", "migrate.py", 7);
    facts(vec![shell, process(4712, 4711, "python3 migrate.py", vec![worker])])
}

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
fn input_from_a_terminal_a_pipe_or_a_fifo() {
    let input = |fd, file| single(WaitingOn::Input { fd, file });
    let typed = expect(&input(0, file(FileKind::Terminal, "/dev/pts/3")), Cause::InputWait, Confidence::Certain);
    says(&typed.summary, &["for input from standard input, the terminal /dev/pts/3: nobody has typed anything"]);
    assert_eq!(typed.target.as_deref(), Some("stdin"));
    let fifo = expect(&input(5, file(FileKind::Fifo, "/run/ctl")), Cause::InputWait, Confidence::Certain);
    says(&fifo.summary, &["the FIFO /run/ctl (fd 5): nothing has it open for writing"]);
    let pipe = FileFacts { peers: vec![named(900, "feeder")], ..file(FileKind::Pipe, "pipe:[5]") };
    let pipe = expect(&input(5, pipe), Cause::InputWait, Confidence::Certain);
    says(&pipe.summary, &["feeder (pid 900) could write to it, but does not"]);
    let open = WaitingOn::Open { path: "/run/ctl".to_owned() };
    assert_eq!(expect(&single(open), Cause::InputWait, Confidence::Certain).target.as_deref(), Some("/run/ctl"));
    let select = polling("select", vec![watched(0, false, FdFacts::File(file(FileKind::Terminal, "/dev/pts/3")))]);
    expect(&single(select), Cause::InputWait, Confidence::Likely);
}

#[test]
fn its_own_wake_up_pipe_is_no_input() {
    let own = FileFacts { peers: vec![named(4711, "api")], ..file(FileKind::Pipe, "pipe:[5]") };
    expect(&single(WaitingOn::Input { fd: 5, file: own }), Cause::Unknown, Confidence::Possible);
}

#[test]
fn a_loop_that_burns_cpu_is_told_from_work() {
    let busy = |io| {
        let mut facts = single(sleeping(1));
        let process = &mut facts.processes[0];
        process.io = grew(io);
        process.cpu = grew(99);
        let thread = &mut process.threads[0];
        thread.cpu = grew(99);
        thread.state = 'R';
        thread.waiting_on = None;
        facts
    };
    let spins = expect(&busy(0), Cause::BusyLoop, Confidence::Likely);
    says(&spins.summary, &["api (pid 4711) burns CPU in init_redis() at main.c:42"]);
    says(&spins.evidence.join("\n"), &["99 % of a CPU", "hottest frame: __GI___syscall"]);
    expect(&busy(10 << 20), Cause::SlowProgress, Confidence::Likely);
    let mut prints = busy(0);
    prints.output_tail = "loaded 10 of 100\n".to_owned();
    prints.output_age = Some(Duration::from_millis(40));
    expect(&prints, Cause::SlowProgress, Confidence::Likely);
}

#[test]
fn a_loop_that_has_to_share_its_cpu_is_one() {
    let shared = |used, queued| {
        let mut facts = single(sleeping(1));
        facts.processes[0].cpu = grew(used);
        let thread = &mut facts.processes[0].threads[0];
        (thread.cpu, thread.queued, thread.state, thread.waiting_on) = (grew(used), grew(queued), 'R', None);
        facts
    };
    let spins = expect(&shared(35, 60), Cause::BusyLoop, Confidence::Likely);
    says(&spins.evidence.join("\n"), &["35 % of a CPU", "waited for a free one the rest of the time"]);
    assert!(diagnose(&shared(35, 60)).alternatives.is_empty(), "what a busy thread uses is no progress beside it");
    expect(&shared(35, 10), Cause::SlowProgress, Confidence::Possible);
}

#[test]
fn a_connection_that_was_seen_to_be_refused_between_two_sleeps() {
    let mut facts = single(sleeping(1));
    expect(&facts, Cause::Unknown, Confidence::Possible);
    let refused = |address: &str| AttemptFacts { address: address.to_owned(), errno: 111, times: 2 };
    facts.processes[0].threads[0].attempts = vec![refused("[::1]:6379"), refused("127.0.0.1:6379")];
    let found = expect(&facts, Cause::ConnectRetry, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("127.0.0.1:6379"));
    says(&found.summary, &["api (pid 4711) keeps trying to reach 127.0.0.1:6379, which refuses", "it sleeps 1.0 s"]);
    says(&found.evidence.join("\n"), &["connect() to [::1]:6379 failed (errno 111), 2 times", "init_redis"]);
    says(&found.advice.join("\n"), &["start what should listen on 127.0.0.1:6379 (usually Redis)"]);
}

#[test]
fn what_somebody_asks_for_is_not_advised_like_a_start() {
    let mut facts = single(polling("epoll_wait", vec![eventfd()]));
    facts.occasion = Occasion::Requested;
    facts.listening = vec![listening("127.0.0.1:8080", 4711)];
    let found = verdict(&facts);
    assert_eq!(found.cause, Cause::Unknown);
    says(&found.summary, &["listens on tcp://127.0.0.1:8080", "it seems to wait for requests"]);
    assert_eq!(found.advice, ["look again in a while: what has not moved by then is stuck"]);
}

#[test]
fn steps_with_sleep_between_are_progress_when_text_comes() {
    let mut facts = single(sleeping(1));
    facts.output_tail = "step 3 of 100\n".to_owned();
    facts.output_age = Some(Duration::from_millis(400));
    expect(&facts, Cause::SlowProgress, Confidence::Possible);
}

#[test]
fn stopped_by_a_signal_or_a_tracer() {
    let mut facts = single(connecting("10.0.0.5:6379"));
    facts.processes[0].threads[0].state = 'T';
    let stopped = expect(&facts, Cause::Stopped, Confidence::Certain);
    says(&stopped.advice[0], &["kill -CONT 4711"]);
    facts.processes[0].threads[0].state = 't';
    says(&expect(&facts, Cause::Stopped, Confidence::Certain).summary, &["held by a tracer"]);
    let mut child = tree(Some(sleeping(5)));
    child.processes[1].threads[0].state = 'T';
    assert_eq!(expect(&child, Cause::Stopped, Confidence::Certain).process, Some(4712));
}

#[test]
fn disk_and_entropy() {
    let mut facts = single(WaitingOn::Input { fd: 3, file: file(FileKind::Regular, "/mnt/data") });
    facts.processes[0].threads[0].state = 'D';
    facts.processes[0].threads[0].wchan = Some("rpc_wait_bit_killable".to_owned());
    let found = expect(&facts, Cause::DiskWait, Confidence::Certain);
    assert_eq!(found.target.as_deref(), Some("/mnt/data"));
    facts.processes[0].threads[0].waiting_on = None;
    facts.processes[0].threads[0].wchan = None;
    expect(&facts, Cause::DiskWait, Confidence::Likely);
    expect(&single(WaitingOn::Entropy), Cause::EntropyWait, Confidence::Certain);
    // The parent of a vfork is in state D as well.
    let mut vfork = tree(Some(connecting("10.0.0.5:5432")));
    vfork.processes[0].threads[0].state = 'D';
    vfork.processes[0].threads[0].waiting_on = Some(WaitingOn::Other { call: "vfork".to_owned() });
    expect(&vfork, Cause::ConnectWait, Confidence::Certain);
}

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
    facts.ports.clear();
    expect(&facts, Cause::ListeningElsewhere, Confidence::Likely);
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
fn a_program_that_cannot_be_executed() {
    let mut facts = Facts::new("api", Occasion::ExecFailed);
    facts.command = vec!["./api".to_owned()];
    facts.refusal = Some(Refusal::Exec(ExecFailure {
        problem: ExecProblem::LoaderMissing,
        summary: "./api needs the loader /lib/ld-musl-x86_64.so.1, which is missing".to_owned(),
        advice: vec!["install musl".to_owned()],
        errno: Some(2),
    }));
    let found = expect(&facts, Cause::ExecFailed, Confidence::Certain);
    assert_eq!(found.target.as_deref(), Some("./api"));
    says(&found.evidence[0], &["loader is missing (errno 2)"]);
}

fn owner() -> OwnerFacts {
    let command = vec!["nginx".to_owned(), "-g".to_owned()];
    let holder =
        HolderFacts { pid: 812, command, running: Some(Duration::from_secs(7500)), leftover: true, launcher: None };
    OwnerFacts { holders: vec![holder], uid: Some(0), ..OwnerFacts::default() }
}

#[test]
fn a_port_that_is_taken() {
    let mut facts = Facts::new("api", Occasion::Preflight);
    facts.refusal = Some(Refusal::Port(PortFailure {
        name: "http".to_owned(),
        listen: Listen::Tcp("0.0.0.0:8080".parse().unwrap()),
        problem: PortProblem::Taken,
        owner: Some(owner()),
        errno: Some(98),
        summary: "port http (tcp://0.0.0.0:8080) is taken by nginx (pid 812)".to_owned(),
        advice: vec!["stop it: kill 812".to_owned()],
    }));
    let found = expect(&facts, Cause::PortTaken, Confidence::Certain);
    assert_eq!(found.target.as_deref(), Some("tcp://0.0.0.0:8080"));
    says(&found.evidence.join("\n"), &["held by pid 812: nginx -g, running for 2 h 5 min, a leftover of this service"]);
}

#[test]
fn a_bind_that_failed_in_the_program_itself() {
    let mut facts = Facts::new("api", Occasion::Exited);
    facts.ending = Some(Ending::Code(1));
    facts.output_tail = "Error: listen EADDRINUSE: address already in use 0.0.0.0:8080\n".to_owned();
    let found = expect(&facts, Cause::PortTaken, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("0.0.0.0:8080"));
    facts.ports = vec![port("0.0.0.0:8080", false)];
    facts.ports[0].owner = Some(owner());
    says(&expect(&facts, Cause::PortTaken, Confidence::Likely).summary, &["which pid 812 (nginx -g) holds"]);
}

fn ended(ending: Ending, tail: &str) -> Facts {
    let mut facts = Facts::new("api", Occasion::Exited);
    facts.elapsed = Duration::from_millis(1200);
    facts.ending = Some(ending);
    facts.output_tail = tail.to_owned();
    facts.processes = vec![ProcessFacts { pid: 4711, zombie: true, ..ProcessFacts::default() }];
    facts
}

#[test]
fn exits_with_its_last_words() {
    let found = expect(&ended(Ending::Code(3), "loading\nFATAL: no license\n"), Cause::Exited, Confidence::Certain);
    assert_eq!(found.summary, "api exited with code 3 before it was ready, after 1.2 s: FATAL: no license");
    let shell = expect(&ended(Ending::Code(139), ""), Cause::Exited, Confidence::Certain);
    says(&shell.evidence.join("\n"), &["ended by SIGSEGV"]);
    let python =
        "Traceback (most recent call last):\n  File \"/srv/app.py\", line 5, in main\n    x\nKeyError: 'URL'\n";
    let found = expect(&ended(Ending::Code(1), python), Cause::Exited, Confidence::Certain);
    assert_eq!(found.frame.unwrap().file.as_deref(), Some("/srv/app.py"));
}

#[test]
fn crashes_name_the_signal_and_memory_kills_need_the_counter() {
    let found = expect(&ended(Ending::Signal(Signal::SEGV), ""), Cause::Crashed, Confidence::Certain);
    assert_eq!(found.summary, "api was ended by SIGSEGV before it was ready, after 1.2 s (segmentation fault)");
    let mut facts = ended(Ending::Signal(Signal::KILL), "");
    says(&expect(&facts, Cause::Crashed, Confidence::Certain).evidence.join("\n"), &["who sent it is not known"]);
    facts.memory = Some(MemoryFacts { limit: Some(64 << 20), peak: Some(64 << 20), kills: 1 });
    let killed = expect(&facts, Cause::OutOfMemory, Confidence::Certain);
    assert_eq!(killed.summary, "api was killed by the memory limit: limit 64.0 MiB, peak 64.0 MiB");
}

#[test]
fn memory_at_its_limit_is_no_proof() {
    let mut facts = ended(Ending::Signal(Signal::KILL), "");
    facts.memory = Some(MemoryFacts { limit: Some(64 << 20), peak: Some(64 << 20), kills: 0 });
    let Diagnosis { verdict, alternatives } = diagnose(&facts);
    let found = std::iter::once(&verdict).chain(&alternatives).find(|v| v.cause == Cause::OutOfMemory).unwrap();
    assert_eq!(found.confidence, Confidence::Likely);
}

#[test]
fn nothing_known_is_unknown() {
    let found = verdict(&Facts::new("api", Occasion::StartTimeout));
    assert_eq!((found.cause, found.confidence), (Cause::Unknown, Confidence::Possible));
    let mut blind = facts(vec![process(4711, 4700, "./api", vec![])]);
    blind.processes[0].dump_error = Some("not permitted".to_owned());
    says(&verdict(&blind).evidence.join("\n"), &["the dump of api (pid 4711) is not whole: not permitted"]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_the_facts_are_there_is_a_verdict(seed: u64) {
        let found = diagnose(&random(seed, true));
        proptest::prop_assert!(!found.verdict.summary.is_empty());
        proptest::prop_assert!(found.alternatives.len() <= super::ALTERNATIVES);
    }

    #[test]
    fn nothing_is_certain_without_the_kernels_word(seed: u64) {
        let Diagnosis { verdict, alternatives } = diagnose(&random(seed, false));
        for found in std::iter::once(&verdict).chain(&alternatives) {
            proptest::prop_assert!(found.confidence < Confidence::Certain, "{found:#?}");
        }
    }
}

#[test]
fn ten_thousand_threads_are_looked_at_in_time() {
    let threads = (0..10_000).map(|n| thread(4711 + n, "worker", Some(futex(FutexKind::Lock, 9, None)))).collect();
    let facts = facts(vec![process(4711, 4700, "./api", threads)]);
    assert_eq!(verdict(&facts).cause, Cause::LockWait);
}
