//! The kernel's own answer about sockets: `sock_diag(7)` over `netlink(7)`.
//!
//! Own code because a query is on the path of every readiness poll: one socket, one request, an answer read in place.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};

use super::{Filter, InetSocket, Protocol, State, TcpTimes, UnixKind, UnixName, UnixSocket};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
/// `NLM_F_ROOT | NLM_F_MATCH`.
const NLM_F_DUMP: u16 = 0x300;
const HEADER: usize = 16;
const INET_MESSAGE: usize = 72;
const UNIX_MESSAGE: usize = 16;

const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_CGROUP_ID: u16 = 21;

const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_UID: u16 = 7;
/// `UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID`.
const UDIAG_SHOW: u32 = 0x01 | 0x02 | 0x04 | 0x10 | 0x40;

/// A netlink socket for queries.
pub struct Client {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Client {
    /// Opens it.
    ///
    /// # Errors
    /// Of `socket(2)`: the family may be denied, as by systemd's `RestrictAddressFamilies=`.
    pub fn open() -> io::Result<Client> {
        let socket = socket::socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )?;
        // The kernel fills at most 32 KiB a message when it sees room for that.
        Ok(Client { socket, buffer: vec![0; 32 * 1024] })
    }

    /// All sockets of one family that pass the filter.
    ///
    /// # Errors
    /// What the kernel answers: `ENOENT` when it cannot tell about the family.
    pub fn inet(&mut self, filter: &Filter, v6: bool, into: &mut Vec<InetSocket>) -> io::Result<()> {
        let mut id = SocketId::any();
        id.local.1 = filter.port.unwrap_or(0);
        let request = inet_request(NLM_F_REQUEST | NLM_F_DUMP, filter, v6, &id);
        self.ask(&request, |body| into.extend(parse_inet(body, filter.protocol)))
    }

    /// The one socket that would get a packet from `remote` to `local`: a connection, or else the listener.
    ///
    /// # Errors
    /// What the kernel answers, except `ENOENT`, which is `None`.
    pub fn lookup(
        &mut self,
        protocol: Protocol,
        local: SocketAddr,
        remote: SocketAddr,
        details: bool,
    ) -> io::Result<Option<InetSocket>> {
        let filter = Filter { protocol, port: None, states: u32::MAX, details };
        let (near, far) = ((local.ip(), local.port()), (remote.ip(), remote.port()));
        // The kernel takes them in the other order for UDP, "for historical reasons" (net/ipv4/udp_diag.c).
        let id = match protocol {
            Protocol::Tcp => SocketId { local: near, remote: far },
            Protocol::Udp => SocketId { local: far, remote: near },
        };
        let request = inet_request(NLM_F_REQUEST, &filter, local.is_ipv6(), &id);
        let mut found = None;
        match self.ask(&request, |body| found = parse_inet(body, protocol)) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(found),
        }
    }

    /// All Unix sockets of this network namespace in one of these states (bits by [`State::bit`]).
    ///
    /// # Errors
    /// As [`Client::inet`].
    pub fn unix(&mut self, states: u32, into: &mut Vec<UnixSocket>) -> io::Result<()> {
        let mut request = header(NLM_F_REQUEST | NLM_F_DUMP, 24);
        request.extend([libc::AF_UNIX as u8, 0, 0, 0]);
        request.extend(states.to_ne_bytes());
        request.extend(0_u32.to_ne_bytes());
        request.extend(UDIAG_SHOW.to_ne_bytes());
        request.extend([0xff; 8]);
        self.ask(&request, |body| into.extend(parse_unix(body)))
    }

    /// Sends a request and gives each message of the answer to `each`.
    fn ask(&mut self, request: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let fd = self.socket.as_raw_fd();
        socket::send(fd, request, MsgFlags::empty())?;
        let is_dump = u16_at(request, 6) & NLM_F_DUMP == NLM_F_DUMP;
        loop {
            let length = match socket::recv(fd, &mut self.buffer, MsgFlags::empty()) {
                Err(nix::errno::Errno::EINTR) => continue,
                other => other?,
            };
            let mut rest = &self.buffer[..length];
            while rest.len() >= HEADER {
                let size = u32_at(rest, 0) as usize;
                if size < HEADER || size > rest.len() {
                    return Err(io::Error::from_raw_os_error(libc::EBADMSG));
                }
                let body = &rest[HEADER..size];
                match u16_at(rest, 4) {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return Err(io::Error::from_raw_os_error(-(u32_at(body, 0) as i32))),
                    SOCK_DIAG_BY_FAMILY => each(body),
                    _ => {}
                }
                if !is_dump {
                    return Ok(());
                }
                rest = rest.get(align(size)..).unwrap_or_default();
            }
        }
    }
}

/// `struct inet_diag_sockid` less what is never asked for.
struct SocketId {
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
}

impl SocketId {
    fn any() -> SocketId {
        let any = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        SocketId { local: any, remote: any }
    }
}

fn header(flags: u16, body: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + body as usize);
    message.extend((HEADER as u32 + body).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message
}

/// `struct inet_diag_req_v2`.
fn inet_request(flags: u16, filter: &Filter, v6: bool, id: &SocketId) -> Vec<u8> {
    let mut request = header(flags, 56);
    let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
    let protocol = match filter.protocol {
        Protocol::Tcp => libc::IPPROTO_TCP,
        Protocol::Udp => libc::IPPROTO_UDP,
    };
    let extensions: u8 = if filter.details { 1 << (INET_DIAG_INFO - 1) } else { 0 };
    request.extend([family as u8, protocol as u8, extensions, 0]);
    request.extend(filter.states.to_ne_bytes());
    request.extend(id.local.1.to_be_bytes());
    request.extend(id.remote.1.to_be_bytes());
    for address in [id.local.0, id.remote.0] {
        match address {
            IpAddr::V4(address) => {
                request.extend(address.octets());
                request.extend([0; 12]);
            }
            IpAddr::V6(address) => request.extend(address.octets()),
        }
    }
    request.extend(0_u32.to_ne_bytes());
    request.extend([0xff; 8]);
    request
}

/// `struct inet_diag_msg` and its attributes.
fn parse_inet(body: &[u8], protocol: Protocol) -> Option<InetSocket> {
    if body.len() < INET_MESSAGE {
        return None;
    }
    let v6 = i32::from(body[0]) == libc::AF_INET6;
    let address = |at: usize, port: usize| {
        let ip = if v6 {
            let octets: [u8; 16] = body[at..at + 16].try_into().unwrap_or_default();
            IpAddr::V6(Ipv6Addr::from(octets))
        } else {
            IpAddr::V4(Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]))
        };
        SocketAddr::new(ip, u16::from_be_bytes([body[port], body[port + 1]]))
    };
    let mut socket = InetSocket {
        protocol,
        state: match State::from_number(body[1]) {
            // A TCP socket that is found at all has a port: it is bound.
            State::Closed if protocol == Protocol::Tcp => State::Bound,
            state => state,
        },
        local: address(8, 4),
        remote: address(24, 6),
        inode: u64::from(u32_at(body, 68)),
        uid: u32_at(body, 64),
        cgroup: None,
        v6only: false,
        receive_queue: u32_at(body, 56),
        send_queue: u32_at(body, 60),
        retransmits: body[3],
        times: None,
    };
    for (kind, value) in attributes(&body[INET_MESSAGE..]) {
        match kind {
            INET_DIAG_SKV6ONLY => socket.v6only = value.first().is_some_and(|only| *only != 0),
            INET_DIAG_CGROUP_ID if value.len() >= 8 => {
                socket.cgroup = Some(u64::from(u32_at(value, 0)) | u64::from(u32_at(value, 4)) << 32);
            }
            INET_DIAG_INFO if value.len() >= 104 => socket.times = Some(parse_tcp_info(value)),
            _ => {}
        }
    }
    Some(socket)
}

/// The fields of `struct tcp_info` (`tcp(7)`) that say how long something has been going on.
fn parse_tcp_info(info: &[u8]) -> TcpTimes {
    let milliseconds = |at: usize| Duration::from_millis(u64::from(u32_at(info, at)));
    TcpTimes {
        last_sent: milliseconds(44),
        last_received: milliseconds(52),
        last_acknowledged: milliseconds(56),
        timeout: Duration::from_micros(u64::from(u32_at(info, 8))),
        retransmits: info[2],
        total_retransmits: u32_at(info, 100),
    }
}

/// `struct unix_diag_msg` and its attributes.
fn parse_unix(body: &[u8]) -> Option<UnixSocket> {
    if body.len() < UNIX_MESSAGE {
        return None;
    }
    let mut socket = UnixSocket {
        kind: match i32::from(body[1]) {
            libc::SOCK_DGRAM => UnixKind::Datagram,
            libc::SOCK_SEQPACKET => UnixKind::SequentialPacket,
            _ => UnixKind::Stream,
        },
        state: State::from_number(body[2]),
        inode: u64::from(u32_at(body, 4)),
        name: None,
        file: None,
        peer: None,
        uid: None,
        receive_queue: 0,
        send_queue: 0,
    };
    for (kind, value) in attributes(&body[UNIX_MESSAGE..]) {
        match kind {
            UNIX_DIAG_NAME => socket.name = UnixName::from_bytes(value),
            // The kernel's own dev_t here: 12 bits of major, 20 of minor.
            UNIX_DIAG_VFS if value.len() >= 8 => socket.file = Some((u32_at(value, 4), u32_at(value, 0))),
            UNIX_DIAG_PEER if value.len() >= 4 => socket.peer = Some(u64::from(u32_at(value, 0))),
            UNIX_DIAG_RQLEN if value.len() >= 8 => {
                socket.receive_queue = u32_at(value, 0);
                socket.send_queue = u32_at(value, 4);
            }
            UNIX_DIAG_UID if value.len() >= 4 => socket.uid = Some(u32_at(value, 0)),
            _ => {}
        }
    }
    Some(socket)
}

/// Walks netlink attributes: kind and value.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        if rest.len() < 4 {
            return None;
        }
        let size = usize::from(u16_at(rest, 0));
        let value = rest.get(4..size)?;
        // The two upper bits are flags.
        let kind = u16_at(rest, 2) & 0x3fff;
        rest = rest.get(align(size)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn align(size: usize) -> usize {
    (size + 3) & !3
}

/// A number in host order; 0 beyond the end, which only a message shorter than its own header can lead to.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_answer_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_inet(&body, Protocol::Tcp);
            let _ = parse_unix(&body);
            prop_assert!(attributes(&body).count() <= body.len());
        }
    }
}
