//! A decoded system call in one line for a person.

use std::time::Duration;

use super::decode::Decoded;
use crate::core::facts::{
    FdFacts, FileFacts, FutexFacts, FutexKind, ProcessName, SocketFacts, WaitingOn, WatchedFacts,
};

/// `connect(fd 7) to 10.0.0.5:6379, SYN sent 28.1 s ago`. `waited` is how long the thread has been in it.
pub fn describe(decoded: &Decoded, waiting_on: Option<&WaitingOn>, waited: Option<Duration>) -> String {
    let call = match decoded.fd {
        Some(fd) => format!("{}(fd {fd})", decoded.name),
        None => format!("{}()", decoded.name),
    };
    let detail = waiting_on.map(|waiting_on| detail(waiting_on, waited)).unwrap_or_default();
    format!("{}{detail}", call.strip_prefix("syscall ").map_or(call.clone(), |_| decoded.name.clone()))
}

fn detail(waiting_on: &WaitingOn, waited: Option<Duration>) -> String {
    match waiting_on {
        WaitingOn::Connect { socket, .. } => connect(socket, waited),
        WaitingOn::Accept { socket, .. } => at(" on ", socket.local.as_deref()),
        WaitingOn::Receive { socket, .. } => received(socket),
        WaitingOn::Send { socket, .. } => {
            format!("{}, {} bytes not taken", at(" to ", socket.peer.as_deref()), socket.send_queue)
        }
        WaitingOn::Input { file, .. } => {
            format!(" from {}{}", file.path, others(file, "nobody has it open for writing"))
        }
        WaitingOn::Output { file, .. } => {
            format!(" to {}{}", file.path, others(file, "nobody has it open for reading"))
        }
        WaitingOn::Open { path } => format!(" of {path}"),
        WaitingOn::Futex(futex) => self::futex(futex),
        WaitingOn::FileLock { path, holders } => {
            format!("{}{}", at(" on ", path.as_deref()), list(", held by ", holders))
        }
        WaitingOn::Child { children } => list(" for ", children),
        WaitingOn::Poll { timeout, watched, .. } => poll(*timeout, watched),
        WaitingOn::Sleep { duration } => duration.map(|time| format!(" for {}", seconds(time))).unwrap_or_default(),
        WaitingOn::Signal => " for a signal".into(),
        WaitingOn::Entropy => " for the random number generator".into(),
        // The last three are a runtime's, not a system call's.
        WaitingOn::Ipc { .. }
        | WaitingOn::Other { .. }
        | WaitingOn::Channels { .. }
        | WaitingOn::RuntimeLock { .. }
        | WaitingOn::Tasks { .. } => String::new(),
    }
}

fn at(word: &str, what: Option<&str>) -> String {
    what.map(|what| format!("{word}{what}")).unwrap_or_default()
}

fn connect(socket: &SocketFacts, waited: Option<Duration>) -> String {
    let mut text = at(" to ", socket.peer.as_deref());
    match (socket.state.as_str(), waited) {
        ("syn-sent", Some(waited)) => text += &format!(", SYN sent {} ago", seconds(waited)),
        ("syn-sent", None) => text += ", SYN sent",
        _ => {}
    }
    if let Some(retransmits) = socket.retransmits {
        text += &format!(", sent again {} without an answer", times(retransmits));
    }
    if let Some(listener) = &socket.peer_listener {
        text += &match (listener.listens, listener.queued > listener.backlog) {
            (true, true) => format!(", whose listener's queue is full ({} of {})", listener.queued, listener.backlog),
            (true, false) => String::new(),
            (false, _) => ", where nothing listens".into(),
        };
    }
    text
}

fn received(socket: &SocketFacts) -> String {
    let last = socket.last_received_ms.map(|ago| format!(", last heard {} ago", seconds(Duration::from_millis(ago))));
    let asks = at(" about the name ", socket.asks.as_deref());
    format!("{}{asks}{}", at(" from ", socket.peer.as_deref()), last.unwrap_or_default())
}

fn others(file: &FileFacts, nobody: &str) -> String {
    match file.peers.is_empty() {
        false => list(", other end ", &file.peers),
        true if file.peers_complete => format!(", {nobody}"),
        true => String::new(),
    }
}

fn futex(futex: &FutexFacts) -> String {
    let what = match futex.kind {
        FutexKind::Mutex => "a mutex",
        FutexKind::RwLock => "a read-write lock",
        FutexKind::Condition => "a condition",
        FutexKind::Join => "the end of a thread",
        FutexKind::Semaphore => "a semaphore",
        FutexKind::Lock => "a lock that records no owner",
        FutexKind::Unknown => "a futex",
    };
    let owner = match (futex.kind, futex.owner) {
        (_, None) => String::new(),
        (FutexKind::Join, Some(thread)) => format!(", thread {thread}"),
        (_, Some(thread)) => format!(", held by thread {thread}"),
    };
    let timeout = futex.timeout_ms.map(|left| format!(", at most {} more", seconds(Duration::from_millis(left))));
    format!(" on {what} at {:#x}{owner}{}", futex.address, timeout.unwrap_or_default())
}

fn poll(timeout: Option<Duration>, watched: &[WatchedFacts]) -> String {
    let pending = watched.iter().find_map(|watched| match &watched.what {
        FdFacts::Socket(socket) if socket.state == "syn-sent" => {
            Some(format!(", among them fd {} connecting{}", watched.fd, at(" to ", socket.peer.as_deref())))
        }
        _ => None,
    });
    let count = match watched {
        [] => String::new(),
        [only] => format!(" on fd {}", only.fd),
        many => format!(" on {} descriptors", many.len()),
    };
    let timeout = timeout.map(|time| format!(", at most {}", seconds(time))).unwrap_or_default();
    format!("{count}{}{timeout}", pending.unwrap_or_default())
}

fn list(before: &str, names: &[ProcessName]) -> String {
    let shown: Vec<String> = names.iter().take(4).map(ToString::to_string).collect();
    let more = names.len().saturating_sub(4);
    match (shown.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!("{before}{}", shown.join(", ")),
        (false, more) => format!("{before}{} and {more} more", shown.join(", ")),
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return format!("{} ms", time.as_millis());
    }
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(name: &str, fd: Option<i32>) -> Decoded {
        Decoded { name: name.into(), fd, ..Decoded::default() }
    }

    #[test]
    fn a_pending_connect_reads_as_the_design_has_it() {
        let socket = SocketFacts {
            peer: Some("10.0.0.5:6379".into()),
            state: "syn-sent".into(),
            protocol: "tcp".into(),
            ..SocketFacts::default()
        };
        let waiting_on = WaitingOn::Connect { fd: 7, socket };
        let text = describe(&decoded("connect", Some(7)), Some(&waiting_on), Some(Duration::from_millis(28_100)));
        assert_eq!(text, "connect(fd 7) to 10.0.0.5:6379, SYN sent 28.1 s ago");
    }

    #[test]
    fn others_read_well() {
        let child = ProcessName { pid: 7, name: "sh".into() };
        let wait = WaitingOn::Child { children: vec![child] };
        assert_eq!(describe(&decoded("wait4", None), Some(&wait), None), "wait4() for sh (pid 7)");
        let other = WaitingOn::Other { call: "syscall 999".into() };
        assert_eq!(describe(&decoded("syscall 999", None), Some(&other), None), "syscall 999");
        let mutex = FutexFacts { address: 16, kind: FutexKind::Mutex, owner: Some(5), timeout_ms: None };
        let text = describe(&decoded("futex", None), Some(&WaitingOn::Futex(mutex)), None);
        assert_eq!(text, "futex() on a mutex at 0x10, held by thread 5");
    }
}
