//! The sockets of this network namespace: who listens, who waits, how full a queue is. From `sock_diag(7)`, and where
//! netlink is denied from `/proc/net`, which says less and costs more.

mod netlink;
mod proc_net;
mod service;

use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use service::{Sockets, all_listening_of, listening, listening_inodes, sockets_of};

/// Which sockets are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// With this local port only.
    pub port: Option<u16>,
    /// In one of these states: bits by [`State::bit`].
    pub states: u32,
    /// Whether [`InetSocket::times`] is wanted.
    pub details: bool,
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// The state of a socket: TCP's, which other families borrow. A UDP or Unix datagram socket is `Closed` when it has no
/// peer and `Established` when it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum State {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    NewSynReceived,
    /// Bound, neither listening nor connected; the kernel tells of these since Linux 6.8.
    Bound,
    Unknown,
}

const STATES: [(State, &str); 13] = [
    (State::Established, "established"),
    (State::SynSent, "syn-sent"),
    (State::SynReceived, "syn-received"),
    (State::FinWait1, "fin-wait-1"),
    (State::FinWait2, "fin-wait-2"),
    (State::TimeWait, "time-wait"),
    (State::Closed, "unconnected"),
    (State::CloseWait, "close-wait"),
    (State::LastAck, "last-ack"),
    (State::Listen, "listen"),
    (State::Closing, "closing"),
    (State::NewSynReceived, "syn-received"),
    (State::Bound, "bound"),
];

impl State {
    /// All states.
    pub const ALL: u32 = u32::MAX;

    /// From the kernel's number.
    pub fn from_number(number: u8) -> State {
        let index = usize::from(number).wrapping_sub(1);
        STATES.get(index).map_or(State::Unknown, |(state, _)| *state)
    }

    /// Its bit in a set of states.
    pub fn bit(self) -> u32 {
        STATES.iter().position(|(state, _)| *state == self).map_or(0, |index| 2 << index)
    }

    /// Its name, as facts and the report write it.
    pub fn name(self) -> &'static str {
        STATES.iter().find(|(state, _)| *state == self).map_or("unknown", |(_, name)| name)
    }
}

/// A TCP or UDP socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InetSocket {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Its state.
    pub state: State,
    /// Its own address. A dual-stack socket writes IPv4 as `::ffff:1.2.3.4`.
    pub local: SocketAddr,
    /// Its peer's; unspecified when it has none.
    pub remote: SocketAddr,
    /// Its inode; 0 when no process holds it: TIME_WAIT, or not accepted yet.
    pub inode: u64,
    /// Its owner's uid.
    pub uid: u32,
    /// The id (inode) of its cgroup in the version 2 hierarchy.
    pub cgroup: Option<u64>,
    /// For an IPv6 socket without a peer: whether it keeps to IPv6.
    pub v6only: bool,
    /// Bytes received that nobody read; for a listener: connections not yet accepted.
    pub receive_queue: u32,
    /// Bytes not yet acknowledged; for a listener: its backlog limit (0 when not known).
    pub send_queue: u32,
    /// How often the SYN or the data was sent again, in a row.
    pub retransmits: u8,
    /// When things last happened, for a TCP connection, when asked for.
    pub times: Option<TcpTimes>,
}

impl InetSocket {
    /// `tcp`, `tcp6`, `udp` or `udp6`.
    pub fn protocol_name(&self) -> &'static str {
        match (self.protocol, self.local.is_ipv6()) {
            (Protocol::Tcp, false) => "tcp",
            (Protocol::Tcp, true) => "tcp6",
            (Protocol::Udp, false) => "udp",
            (Protocol::Udp, true) => "udp6",
        }
    }

    /// Whether it has a peer.
    pub fn is_connected(&self) -> bool {
        self.remote.port() != 0
    }
}

/// What `tcp_info` (`tcp(7)`) tells of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpTimes {
    /// How long ago data was last sent.
    pub last_sent: Duration,
    /// How long ago data last arrived.
    pub last_received: Duration,
    /// How long ago an acknowledgement last arrived.
    pub last_acknowledged: Duration,
    /// The retransmission timeout now in force.
    pub timeout: Duration,
    /// Retransmissions of what is outstanding.
    pub retransmits: u8,
    /// All retransmissions of this connection.
    pub total_retransmits: u32,
}

/// A Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocket {
    /// Stream, datagram, sequential packets.
    pub kind: UnixKind,
    /// `Listen`, `Established`, or `Closed` when it is neither.
    pub state: State,
    /// Its inode.
    pub inode: u64,
    /// The name it is bound to.
    pub name: Option<UnixName>,
    /// The file of a bound socket: the kernel's device number and the lower 32 bits of the inode.
    pub file: Option<(u32, u32)>,
    /// The peer's inode.
    pub peer: Option<u64>,
    /// Its owner's uid.
    pub uid: Option<u32>,
    /// Bytes received that nobody read; for a listener: connections not yet accepted.
    pub receive_queue: u32,
    /// Bytes the peer has not read; for a listener: its backlog limit.
    pub send_queue: u32,
}

impl UnixSocket {
    /// Whether it takes connections or datagrams under its name.
    pub fn serves(&self) -> bool {
        self.name.is_some()
            && (self.state == State::Listen || self.kind == UnixKind::Datagram && self.state == State::Closed)
    }

    /// Whether it is bound to this path (`@…` is abstract), whose file has this inode. The name is as its program wrote
    /// it, perhaps relative to another directory: then the file decides.
    pub fn is_at(&self, path: &Path, file_inode: Option<u64>) -> bool {
        match &self.name {
            Some(UnixName::Abstract(name)) => path.as_os_str().as_bytes().strip_prefix(b"@") == Some(name),
            Some(UnixName::Path(name)) if name == path => true,
            Some(UnixName::Path(name)) => {
                // Overlay file systems show other device numbers to stat(2): the inode and the name must do.
                name.file_name() == path.file_name()
                    && matches!((self.file, file_inode), (Some((_, own)), Some(file)) if own == file as u32)
            }
            None => false,
        }
    }
}

/// The type of a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UnixKind {
    Stream,
    Datagram,
    SequentialPacket,
}

/// What a Unix socket is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UnixName {
    /// A path, as it was given to `bind(2)`.
    Path(PathBuf),
    /// A name in the abstract namespace, without the leading NUL.
    Abstract(Vec<u8>),
}

impl UnixName {
    /// From `sun_path`.
    fn from_bytes(bytes: &[u8]) -> Option<UnixName> {
        match bytes {
            [] => None,
            [0, name @ ..] => Some(UnixName::Abstract(name.to_vec())),
            _ => {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                Some(UnixName::Path(PathBuf::from(std::ffi::OsStr::from_bytes(&bytes[..end]))))
            }
        }
    }
}

impl std::fmt::Display for UnixName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UnixName::Path(path) => write!(f, "{}", path.display()),
            UnixName::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
        }
    }
}

/// The sockets that pass the filter, IPv4 first.
///
/// # Errors
/// When neither netlink nor `/proc/net` answers.
pub fn inet_sockets(filter: &Filter) -> io::Result<Vec<InetSocket>> {
    by_netlink(filter).or_else(|_| proc_net::inet_sockets(filter))
}

fn by_netlink(filter: &Filter) -> io::Result<Vec<InetSocket>> {
    let mut client = netlink::Client::open()?;
    let mut found = Vec::new();
    client.inet(filter, false, &mut found)?;
    match client.inet(filter, true, &mut found) {
        // A kernel without IPv6 has no such sockets.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) && !Path::new("/proc/net/if_inet6").exists() => {}
        other => other?,
    }
    Ok(found)
}

/// TCP sockets that listen on this port, whatever the address.
///
/// # Errors
/// As [`inet_sockets`].
pub fn listeners(port: u16) -> io::Result<Vec<InetSocket>> {
    inet_sockets(&Filter { protocol: Protocol::Tcp, port: Some(port), states: State::Listen.bit(), details: false })
}

/// The one socket that would get a packet from `remote` to `local`: the connection, or else the listener or, for UDP,
/// the bound socket. With an unspecified remote it answers who listens at `local`. Without netlink: `Unsupported`.
///
/// # Errors
/// As the kernel answers; no such socket is `None`.
pub fn lookup(protocol: Protocol, local: SocketAddr, remote: SocketAddr) -> io::Result<Option<InetSocket>> {
    netlink::Client::open()?.lookup(protocol, local, remote, true)
}

/// The Unix sockets in one of these states (bits by [`State::bit`], or [`State::ALL`]).
///
/// # Errors
/// When neither netlink nor `/proc/net` answers.
pub fn unix_sockets(states: u32) -> io::Result<Vec<UnixSocket>> {
    let by_netlink = || {
        let mut found = Vec::new();
        netlink::Client::open()?.unix(states, &mut found)?;
        Ok::<_, io::Error>(found)
    };
    by_netlink().or_else(|_| proc_net::unix_sockets(states))
}

#[cfg(test)]
mod tests;
