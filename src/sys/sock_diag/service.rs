//! What the processes of a service listen on.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Filter, InetSocket, Protocol, State, UnixName, UnixSocket, inet_sockets, unix_sockets};
use crate::core::facts::ListeningFacts;
use crate::core::listen::reaches;
use crate::core::settings::Listen;
use crate::sys::dump::rights;
use crate::sys::procfs;

/// For each address: the inodes of the sockets that serve it, whoever holds them; with the uid they belong to.
///
/// A TCP or Unix socket serves when it listens, a datagram socket when it is bound. Costs a query of the kernel for
/// each TCP and UDP address (two with both families), none for a Unix path that does not exist.
pub fn listening_inodes(listens: &[Listen]) -> Vec<Vec<(u64, Option<u32>)>> {
    let mut unix: Option<Vec<UnixSocket>> = None;
    let mut serving = |listen: &Listen| match listen {
        Listen::Tcp(address) => inet_serving(Protocol::Tcp, *address),
        Listen::Udp(address) => inet_serving(Protocol::Udp, *address),
        Listen::Unix(path) => {
            let file = file_inode(path);
            if file.is_none() && !path.as_os_str().as_bytes().starts_with(b"@") {
                return Vec::new();
            }
            let all = unix.get_or_insert_with(|| unix_sockets(serving_states()).unwrap_or_default());
            let at = all.iter().filter(|socket| socket.serves() && socket.is_at(path, file));
            at.map(|socket| (socket.inode, socket.uid)).collect()
        }
    };
    listens.iter().map(&mut serving).collect()
}

fn serving_states() -> u32 {
    State::Listen.bit() | State::Closed.bit()
}

fn inet_serving(protocol: Protocol, address: std::net::SocketAddr) -> Vec<(u64, Option<u32>)> {
    let states = match protocol {
        Protocol::Tcp => State::Listen.bit(),
        Protocol::Udp => State::Closed.bit(),
    };
    let filter = Filter { protocol, port: Some(address.port()), states, details: false };
    let found = inet_sockets(&filter).unwrap_or_default();
    let serving = found.iter().filter(|socket| reaches(socket.local, socket.v6only, address));
    serving.map(|socket| (socket.inode, Some(socket.uid))).collect()
}

/// The inode of a Unix socket's file; `None` for an abstract name and for what is no socket.
pub(crate) fn file_inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::FileTypeExt;
    let metadata = std::fs::metadata(path).ok()?;
    metadata.file_type().is_socket().then(|| metadata.ino())
}

/// For each address: whether one of these processes serves it. `pids` is called only when anybody does.
///
/// A process whose descriptors may not be looked at (`PR_SET_DUMPABLE`, set-user-id) is taken to hold the socket when
/// its user owns it, unless this process has it: else such a service would never be seen ready.
pub fn listening(listens: &[Listen], pids: impl Fn() -> Vec<i32>) -> Vec<bool> {
    let candidates = listening_inodes(listens);
    if candidates.iter().all(Vec::is_empty) {
        return vec![false; listens.len()];
    }
    let Sockets { held, closed_users } = sockets_of(&pids());
    let own = if closed_users.is_empty() { None } else { procfs::socket_inodes(std::process::id() as i32).ok() };
    let own = own.unwrap_or_default();
    let ours = |(inode, uid): &(u64, Option<u32>)| {
        let by_user = || uid.is_some_and(|uid| closed_users.contains(&uid)) && !own.contains(inode);
        held.contains(inode) || by_user()
    };
    candidates.iter().map(|inodes| inodes.iter().any(ours)).collect()
}

/// The sockets of some processes.
#[derive(Debug, Default)]
pub struct Sockets {
    /// By inode.
    pub held: HashSet<u64>,
    /// The users (uids) of those processes that may not be looked into.
    pub closed_users: HashSet<u32>,
}

/// The sockets that these processes hold.
pub fn sockets_of(pids: &[i32]) -> Sockets {
    let mut sockets = Sockets::default();
    for pid in pids {
        if !look_into(*pid, &mut sockets.held) {
            sockets.closed_users.extend(procfs::effective_user(*pid));
        }
    }
    sockets
}

/// Adds the sockets of a process, if need be with the rights of its user; false when it may not be looked into.
fn look_into(pid: i32, held: &mut HashSet<u64>) -> bool {
    let mut look = || match procfs::for_each_socket(pid, |inode| held.extend([inode])) {
        Err(error) => error.kind() != std::io::ErrorKind::PermissionDenied,
        Ok(()) => true,
    };
    if look() {
        return true;
    }
    let _rights = rights::take(pid);
    look()
}

/// Everything these processes listen on, declared or not, in order of address. UDP sockets on a port that the kernel
/// picked by itself are left out: those are clients.
pub fn all_listening_of(pids: &[i32]) -> Vec<ListeningFacts> {
    let mut holder = HashMap::new();
    for pid in pids {
        // Who cannot be looked at adds nothing. The first of several holders is told: a parent before its children.
        let _ = procfs::for_each_socket(*pid, |inode| {
            holder.entry(inode).or_insert(*pid);
        });
    }
    if holder.is_empty() {
        return Vec::new();
    }
    let ask =
        |protocol, states| inet_sockets(&Filter { protocol, port: None, states, details: false }).unwrap_or_default();
    let chosen_by_kernel = ephemeral_ports();
    let mut found = Vec::new();
    let mut add = |listen: Listen, inode: u64| {
        if let Some(pid) = holder.get(&inode) {
            found.push(ListeningFacts { listen, pid: *pid });
        }
    };
    let canonical =
        |socket: &InetSocket| std::net::SocketAddr::new(socket.local.ip().to_canonical(), socket.local.port());
    for socket in ask(Protocol::Tcp, State::Listen.bit()) {
        add(Listen::Tcp(canonical(&socket)), socket.inode);
    }
    for socket in ask(Protocol::Udp, State::Closed.bit()) {
        if !chosen_by_kernel.contains(&socket.local.port()) {
            add(Listen::Udp(canonical(&socket)), socket.inode);
        }
    }
    for socket in unix_sockets(serving_states()).unwrap_or_default() {
        match &socket.name {
            Some(UnixName::Path(path)) if socket.serves() => add(Listen::Unix(path.clone()), socket.inode),
            Some(name) if socket.serves() => add(Listen::Unix(name.to_string().into()), socket.inode),
            _ => {}
        }
    }
    found.sort_by_key(|facts| facts.listen.to_string());
    found.dedup();
    found
}

/// `net.ipv4.ip_local_port_range` (`ip(7)`).
fn ephemeral_ports() -> std::ops::RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_ascii_whitespace().map(|number| number.parse().ok());
    match (ends.next().flatten(), ends.next().flatten()) {
        (Some(low), Some(high)) => low..=high,
        _ => 32768..=60999,
    }
}
