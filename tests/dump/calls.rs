//! Every kind of blocking call is told for what it is, and none is disturbed.

use std::time::Duration;

use launcher::core::facts::{FdFacts, FileKind, FutexKind, ProcessFacts, ThreadFacts, WaitingOn};
use launcher::sys::dump;

use crate::victim::{Victim, dumped, options, until};

/// Threads of the victim, its main thread among them.
const THREADS: usize = 34;

struct Blocking {
    victim: Victim,
    child: i32,
    port: u16,
    process: ProcessFacts,
}

fn blocking() -> Blocking {
    let mut victim = Victim::start("blocking.c", &["-g", "-O1"]).ready(THREADS);
    let line = victim.line();
    let (child, port) = line.split_once(' ').unwrap();
    let (child, port) = (child.parse().unwrap(), port.parse().unwrap());
    // A thread may rest on its way to its call, too.
    let mut process = dumped(victim.pid());
    until(|| {
        let told = |name: &str| matches!(&waiting(&process, name), Some(WaitingOn::Other { .. }) | None);
        let early = process.threads.iter().any(|thread| thread.name != "blocking" && told(&thread.name));
        if early {
            process = dumped(victim.pid());
        }
        !early
    });
    Blocking { victim, child, port, process }
}

fn thread<'a>(process: &'a ProcessFacts, name: &str) -> &'a ThreadFacts {
    process.threads.iter().find(|thread| thread.name == name).unwrap()
}

fn waiting<'a>(process: &'a ProcessFacts, name: &str) -> Option<&'a WaitingOn> {
    thread(process, name).waiting_on.as_ref()
}

impl Blocking {
    #[track_caller]
    fn waiting(&self, name: &str) -> &WaitingOn {
        waiting(&self.process, name).unwrap_or_else(|| panic!("{name}: {:#?}", thread(&self.process, name)))
    }
}

#[test]
fn no_blocking_call_is_disturbed_by_many_dumps() {
    let mut blocking = blocking();
    for _ in 0..20 {
        let process = dumped(blocking.victim.pid());
        assert_eq!(process.threads.len(), THREADS);
        assert_eq!((process.paused_ms, process.dump_error), (0.0, None));
    }
    blocking.victim.tell("check");
    assert_eq!(blocking.victim.line(), "returned:");
    assert!(blocking.victim.end().success());
}

#[test]
fn each_call_is_decoded() {
    let b = blocking();
    for thread in &b.process.threads {
        println!("{:14} {:?} {:?}", thread.name, thread.syscall.as_deref().unwrap_or("-"), thread.waited);
        assert!(thread.waited.is_none_or(|waited| waited < Duration::from_secs(60)), "{thread:#?}");
    }
    for (name, kind) in [
        ("mutex", FutexKind::Mutex),
        ("rwlock", FutexKind::RwLock),
        ("condition", FutexKind::Condition),
        ("semaphore", FutexKind::Semaphore),
    ] {
        let WaitingOn::Futex(futex) = b.waiting(name) else { panic!("{name}") };
        let owner = matches!(kind, FutexKind::Mutex | FutexKind::RwLock).then_some(b.victim.pid());
        assert_eq!((futex.kind, futex.owner), (kind, owner), "{name}");
    }
    assert!(matches!(b.waiting("nanosleep"), WaitingOn::Sleep { duration: Some(time) } if time.as_secs() == 1000));
    assert!(
        matches!(b.waiting("sleep_until"), WaitingOn::Sleep { duration: Some(time) } if (900..=1000).contains(&time.as_secs()))
    );
    for name in ["sigwaitinfo", "sigtimedwait", "pause", "sigsuspend"] {
        assert_eq!(*b.waiting(name), WaitingOn::Signal, "{name}");
    }
    assert!(matches!(b.waiting("semop"), WaitingOn::Ipc { call } if call.starts_with("sem")));
    assert_eq!(*b.waiting("msgrcv"), WaitingOn::Ipc { call: "msgrcv".into() });
    for (name, call) in [("poll", "poll"), ("ppoll", "poll"), ("select", "select")] {
        let WaitingOn::Poll { call: found, timeout, watched } = b.waiting(name) else { panic!("{name}") };
        assert_eq!((found.as_str(), *timeout), (call, Some(Duration::from_secs(1000))));
        assert!(matches!(&watched[..], [one] if one.read && !one.write), "{name}: {watched:?}");
        assert!(matches!(&watched[0].what, FdFacts::File(file) if file.kind == FileKind::Pipe));
    }
    assert!(matches!(b.waiting("accept"), WaitingOn::Accept { socket, .. } if socket.state == "listen"));
    assert!(matches!(b.waiting("recvfrom"), WaitingOn::Receive { socket, .. } if socket.protocol == "udp"));
    for name in ["eventfd", "timerfd", "inotify"] {
        let WaitingOn::Input { file, .. } = b.waiting(name) else { panic!("{name}") };
        assert_eq!((file.kind, file.path.contains(name)), (FileKind::Anonymous, true));
    }
}

#[test]
fn who_is_at_the_other_end_is_named() {
    let b = blocking();
    let pid = b.victim.pid();
    for name in ["flock", "fcntl"] {
        let WaitingOn::FileLock { path, holders } = b.waiting(name) else { panic!("{name}") };
        assert!(path.as_ref().unwrap().ends_with("/lock"));
        assert_eq!(holders.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [b.child], "{name}");
    }
    for name in ["waitpid", "waitid"] {
        let WaitingOn::Child { children } = b.waiting(name) else { panic!("{name}") };
        assert_eq!(children.iter().map(|child| child.pid).collect::<Vec<_>>(), [b.child], "{name}");
    }
    assert!(matches!(b.waiting("open_fifo"), WaitingOn::Open { path } if path.ends_with("/fifo")));
    let WaitingOn::Input { file, .. } = b.waiting("read_pipe") else { panic!() };
    assert_eq!(file.kind, FileKind::Pipe);
    assert_eq!(file.peers.iter().map(|peer| peer.pid).collect::<Vec<_>>(), [pid]);
    let WaitingOn::Output { file, .. } = b.waiting("write_pipe") else { panic!() };
    assert_eq!(file.peers.iter().map(|peer| peer.pid).collect::<Vec<_>>(), [pid]);
    let WaitingOn::Receive { socket, .. } = b.waiting("recv") else { panic!() };
    assert_eq!(socket.peer_processes.iter().map(|peer| peer.pid).collect::<Vec<_>>(), [pid]);
    assert!(matches!(b.waiting("send"), WaitingOn::Send { .. }));
}

#[test]
fn a_connect_to_a_full_backlog_names_the_listener() {
    let b = blocking();
    let WaitingOn::Connect { socket, .. } = b.waiting("connect") else { panic!() };
    assert_eq!((socket.protocol.as_str(), socket.state.as_str()), ("tcp", "syn-sent"));
    assert_eq!(socket.peer, Some(format!("127.0.0.1:{}", b.port)));
    let listener = socket.peer_listener.as_ref().unwrap();
    assert!(listener.listens && listener.queued > listener.backlog, "{listener:?}");
    assert!(listener.processes.iter().any(|process| process.pid == b.victim.pid()));
    let text = thread(&b.process, "connect").syscall.clone().unwrap();
    assert!(
        text.starts_with("connect(fd ") && text.contains(&format!(") to 127.0.0.1:{}, SYN sent ", b.port)),
        "{text}"
    );
    let WaitingOn::Connect { socket, .. } = b.waiting("connect_unix") else { panic!() };
    assert_eq!(socket.peer.as_deref(), Some("full.sock"));
    let listener = socket.peer_listener.as_ref().unwrap();
    assert!(listener.listens && listener.queued > listener.backlog, "{listener:?}");
    // The same pending connection, seen through the epoll set that watches it.
    let WaitingOn::Poll { call, timeout: None, watched } = b.waiting("epoll_wait") else { panic!() };
    assert_eq!(call, "epoll_wait");
    let [one] = &watched[..] else { panic!("{watched:?}") };
    assert!(one.write && !one.read);
    let FdFacts::Socket(socket) = &one.what else { panic!() };
    assert_eq!((socket.state.as_str(), socket.peer.as_ref()), ("syn-sent", Some(&format!("127.0.0.1:{}", b.port))));
    assert!(thread(&b.process, "epoll_wait").syscall.as_ref().unwrap().contains("connecting to 127.0.0.1"));
}

#[test]
fn the_tree_has_parents_first_and_the_dump_its_order() {
    let b = blocking();
    let tree = dump::tree(b.victim.pid());
    assert_eq!(tree, [b.victim.pid(), b.child]);
    let processes = dump::dump(&tree, &options());
    assert_eq!(processes.iter().map(|process| process.pid).collect::<Vec<_>>(), tree);
    assert_eq!(processes[1].parent, b.victim.pid());
    assert_eq!(processes[1].threads[0].waiting_on, Some(WaitingOn::Signal));
}
