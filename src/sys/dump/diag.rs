//! Sockets of a network namespace by `sock_diag(7)`: what `/proc/net` does not tell, such as backlogs, the peers of
//! Unix sockets and the times of `tcp_info`.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sched::CloneFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::sockets::{Entry, TIME_WAIT};
use crate::core::facts::SocketFacts;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const MESSAGE_ERROR: u16 = 2;
const MESSAGE_DONE: u16 = 3;
/// Sizes of `nlmsghdr`, `inet_diag_msg` and `unix_diag_msg`.
const HEADER: usize = 16;
const INET_MESSAGE: usize = 72;
const UNIX_MESSAGE: usize = 16;
/// Attributes: INET_DIAG_INFO; UNIX_DIAG_NAME, _PEER, _ICONS, _RQLEN.
const INET_INFO: u16 = 2;
const UNIX_NAME: u16 = 0;
const UNIX_PEER: u16 = 2;
const UNIX_QUEUED: u16 = 3;
const UNIX_QUEUES: u16 = 4;
/// UDIAG_SHOW_NAME, _PEER, _ICONS and _RQLEN.
const UNIX_SHOW: u32 = 0x01 | 0x04 | 0x08 | 0x10;
/// Sockets taken at most.
const LIMIT: usize = 200_000;

/// All TCP, UDP and Unix sockets of the network namespace of the process `pid`, or nothing when netlink is denied or
/// the namespace may not be entered. `foreign` says that it is not our own.
pub fn all(pid: i32, foreign: bool) -> Option<Vec<Entry>> {
    let query = move || -> Option<Vec<Entry>> {
        if foreign {
            let namespace = File::open(format!("/proc/{pid}/ns/net")).ok()?;
            nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET).ok()?;
        }
        let mut entries = Vec::new();
        for protocol in [libc::IPPROTO_TCP, libc::IPPROTO_UDP] {
            let mut add = |message: &[u8]| entries.extend(inet_entry(message, protocol == libc::IPPROTO_TCP));
            dump(&inet_request(libc::AF_INET, protocol), &mut add)?;
            // A kernel may have no IPv6.
            let _ = dump(&inet_request(libc::AF_INET6, protocol), &mut add);
        }
        // Unix sockets may be a module that is not there.
        let _ = dump(&unix_request(), &mut |message| entries.extend(unix_entry(message)));
        Some(entries)
    };
    if !foreign {
        return query();
    }
    // The namespace is entered by a thread of its own, which ends with the query.
    std::thread::Builder::new().name("dump-netns".into()).spawn(query).ok()?.join().ok()?
}

fn header(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend((HEADER as u32 + body.len() as u32).to_ne_bytes());
    out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend(REQUEST_DUMP.to_ne_bytes());
    out.extend([0; 8]);
    out.extend(body);
    out
}

fn inet_request(family: i32, protocol: i32) -> Vec<u8> {
    let mut body = vec![family as u8, protocol as u8, 1 << (INET_INFO - 1), 0];
    // Connections that are over are nobody's, and there may be tens of thousands of them.
    body.extend((!(1u32 << TIME_WAIT)).to_ne_bytes());
    body.extend([0; 48]);
    header(&body)
}

fn unix_request() -> Vec<u8> {
    let mut body = vec![libc::AF_UNIX as u8, 0, 0, 0];
    for word in [u32::MAX, 0, UNIX_SHOW, 0, 0] {
        body.extend(word.to_ne_bytes());
    }
    header(&body)
}

/// Sends one request and hands each message of the answer, without its header, to `each`.
fn dump(request: &[u8], each: &mut dyn FnMut(&[u8])) -> Option<()> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd: OwnedFd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag).ok()?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(1, 0)).ok()?;
    send(fd.as_raw_fd(), request, MsgFlags::empty()).ok()?;
    let mut buffer = vec![0u8; 64 << 10];
    let mut count = 0;
    loop {
        let length = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).ok().filter(|length| *length > 0)?;
        let mut rest = &buffer[..length];
        while let (Some(size), Some(kind)) = (u32_at(rest, 0), u16_at(rest, 4)) {
            let size = size as usize;
            if size < HEADER || size > rest.len() || count > LIMIT {
                return None;
            }
            match kind {
                MESSAGE_DONE => return Some(()),
                MESSAGE_ERROR => return None,
                _ => each(&rest[HEADER..size]),
            }
            count += 1;
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The attribute of this type behind the fixed part of a message.
fn attribute(message: &[u8], fixed: usize, wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(fixed..)?;
    while let (Some(length), Some(kind)) = (u16_at(rest, 0), u16_at(rest, 2)) {
        let length = usize::from(length);
        if kind == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
    None
}

fn inet_entry(message: &[u8], tcp: bool) -> Option<Entry> {
    let [family, state, _, retransmits] = *message.first_chunk::<4>()?;
    let v6 = i32::from(family) == libc::AF_INET6;
    let port = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
    let address = |at: usize| -> Option<IpAddr> {
        let bytes: [u8; 16] = message.get(at..at + 16)?.try_into().ok()?;
        let v4 = Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]);
        Some(if v6 { Ipv6Addr::from(bytes).into() } else { v4.into() })
    };
    let local = SocketAddr::new(address(8)?, port(4)?);
    let remote = SocketAddr::new(address(24)?, port(6)?);
    let (receive_queue, send_queue, inode) = (u32_at(message, 56)?, u32_at(message, 60)?, u32_at(message, 68)?);
    let mut entry = Entry::inet(tcp, state, local, remote, u64::from(inode));
    entry.facts.receive_queue = receive_queue;
    entry.facts.send_queue = send_queue;
    entry.facts.retransmits = (tcp && retransmits > 0).then_some(u32::from(retransmits));
    // Times of a connection that never stood are from before the machine's start.
    if tcp
        && !matches!(state, super::sockets::SYN_SENT | super::sockets::LISTEN)
        && let Some(info) = attribute(message, INET_MESSAGE, INET_INFO)
    {
        entry.facts.last_sent_ms = u32_at(info, 44).map(u64::from);
        entry.facts.last_received_ms = u32_at(info, 52).map(u64::from);
        let u64_at = |at: usize| Some(u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?));
        // The SYN of who connected counts as one.
        entry.facts.acknowledged = u64_at(120).map(|bytes| bytes > 1);
        entry.facts.received = u64_at(128);
        entry.facts.arrivals = u32_at(info, 152);
    }
    Some(entry)
}

fn unix_entry(message: &[u8]) -> Option<Entry> {
    let [_, _, state, _] = *message.first_chunk::<4>()?;
    let queues = attribute(message, UNIX_MESSAGE, UNIX_QUEUES);
    let name = attribute(message, UNIX_MESSAGE, UNIX_NAME).filter(|name| !name.is_empty()).map(|name| match name {
        [0, rest @ ..] => format!("@{}", String::from_utf8_lossy(rest)),
        path => String::from_utf8_lossy(path).trim_end_matches('\0').to_owned(),
    });
    let facts = SocketFacts {
        protocol: "unix".into(),
        inode: u64::from(u32_at(message, 4)?),
        state: super::sockets::state_name(state).into(),
        local: name,
        receive_queue: queues.and_then(|queues| u32_at(queues, 0)).unwrap_or(0),
        send_queue: queues.and_then(|queues| u32_at(queues, 4)).unwrap_or(0),
        ..SocketFacts::default()
    };
    let peer = attribute(message, UNIX_MESSAGE, UNIX_PEER).and_then(|peer| u32_at(peer, 0)).map(u64::from);
    // Of a listener: the inodes of those whose connections it has not accepted yet.
    let queued = attribute(message, UNIX_MESSAGE, UNIX_QUEUED).unwrap_or_default();
    let queued = queued.chunks_exact(4).filter_map(|inode| u32_at(inode, 0)).map(u64::from).collect();
    Some(Entry { facts, addresses: None, unix_peer: peer.filter(|peer| *peer != 0), queued, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_listener_with_its_backlog() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let entries = all(std::process::id() as i32, false).unwrap();
        let found = entries.iter().find(|entry| entry.facts.local.as_deref() == Some(&local.to_string())).unwrap();
        assert_eq!(found.facts.state, "listen");
        assert!(found.facts.send_queue > 0, "the backlog is told: {found:?}");
        assert_eq!(attribute(&[0; 8], 4, 7), None);
        assert!(inet_entry(&[1, 2, 3], true).is_none());
    }

    /// A client that connects again and again leaves tens of thousands behind.
    #[test]
    fn connections_that_are_over_are_not_asked_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        for _ in 0..10 {
            let mut client = std::net::TcpStream::connect(local).unwrap();
            // Who closes first waits.
            drop(listener.accept().unwrap());
            assert_eq!(std::io::Read::read(&mut client, &mut [0]).unwrap(), 0);
        }
        let waiting = || {
            let state = crate::sys::sock_diag::State::TimeWait.bit();
            let protocol = crate::sys::sock_diag::Protocol::Tcp;
            let filter =
                crate::sys::sock_diag::Filter { protocol, port: Some(local.port()), states: state, details: false };
            crate::sys::sock_diag::inet_sockets(&filter).unwrap().len()
        };
        crate::sys::testing::comes_to_be(&10, waiting);
        let ours = |entry: &Entry| entry.addresses.is_some_and(|(here, _)| here == local);
        let entries = all(std::process::id() as i32, false).unwrap();
        let states: Vec<u8> = entries.iter().filter(|entry| ours(entry)).map(|entry| entry.state).collect();
        assert_eq!(states, [super::super::sockets::LISTEN]);
    }

    #[test]
    fn finds_the_listener_that_has_not_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", client.as_raw_fd())).unwrap();
        let inode: u64 = link.to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let mut sockets = crate::sys::dump::sockets::Sockets::default();
        let socket = sockets.get(std::process::id() as i32, inode);
        assert_eq!(socket.peer.as_deref(), path.to_str(), "{socket:?}");
        assert_eq!(sockets.peers(inode).len(), 1);
        assert!(socket.unaccepted);
        // One that was accepted has the listener's name.
        let _server = listener.accept().unwrap();
        let socket = super::super::sockets::Sockets::default().get(std::process::id() as i32, inode);
        assert_eq!((socket.peer.as_deref(), socket.unaccepted), (path.to_str(), false));
    }

    #[test]
    fn finds_both_ends_of_a_unix_pair() {
        let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", a.as_raw_fd())).unwrap();
        let inode: u64 = link.to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        let entries = all(std::process::id() as i32, false).unwrap();
        let own = entries.iter().find(|entry| entry.facts.inode == inode).unwrap();
        let peer = entries.iter().find(|entry| Some(entry.facts.inode) == own.unix_peer).unwrap();
        assert_eq!(peer.unix_peer, Some(inode));
    }
}
