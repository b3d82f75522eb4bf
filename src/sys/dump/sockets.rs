//! Sockets by inode, of the network namespaces of the processes that are looked at; read when first asked for, once
//! for each namespace and dump.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{diag, files};
use crate::core::facts::{ListenerFacts, SocketFacts};

/// Numbers of states as the kernel has them.
const ESTABLISHED: u8 = 1;
/// A connection that was asked for.
pub const SYN_SENT: u8 = 2;
/// A connection that is over, of no process any more.
pub const TIME_WAIT: u8 = 6;
/// A listening socket.
pub const LISTEN: u8 = 10;

/// One socket.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// What the facts say of it.
    pub facts: SocketFacts,
    /// Local and remote address of an Internet socket.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// The inode of a Unix socket's peer.
    pub unix_peer: Option<u64>,
    /// Of a Unix listener: the inodes of the sockets whose connections it has not accepted yet.
    pub queued: Vec<u64>,
    /// The state's number.
    pub state: u8,
}

impl Entry {
    /// A TCP or UDP socket.
    pub fn inet(tcp: bool, state: u8, local: SocketAddr, remote: SocketAddr, inode: u64) -> Entry {
        let protocol = match (tcp, local.is_ipv6()) {
            (true, false) => "tcp",
            (true, true) => "tcp6",
            (false, false) => "udp",
            (false, true) => "udp6",
        };
        let text = |address: SocketAddr| {
            (address.port() != 0 || !address.ip().is_unspecified()).then(|| plain(address).to_string())
        };
        let facts = SocketFacts {
            protocol: protocol.into(),
            inode,
            state: state_name(state).into(),
            local: text(local),
            peer: text(remote),
            ..SocketFacts::default()
        };
        Entry { facts, addresses: Some((local, remote)), unix_peer: None, queued: Vec::new(), state }
    }
}

/// An IPv4 address in its own form where it is written as IPv6 (`::ffff:1.2.3.4`).
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The name of a state.
pub fn state_name(state: u8) -> &'static str {
    match state {
        1 => "established",
        SYN_SENT => "syn-sent",
        3 | 12 => "syn-received",
        4 => "fin-wait-1",
        5 => "fin-wait-2",
        TIME_WAIT => "time-wait",
        7 => "unconnected",
        8 => "close-wait",
        9 => "last-ack",
        LISTEN => "listen",
        11 => "closing",
        13 => "bound",
        _ => "unknown",
    }
}

/// The sockets known so far.
#[derive(Debug, Default)]
pub struct Sockets {
    entries: Vec<Entry>,
    by_inode: HashMap<u64, usize>,
    /// By local and remote address, in their own form.
    by_addresses: HashMap<(SocketAddr, SocketAddr), Vec<usize>>,
    namespaces: HashSet<String>,
}

impl Sockets {
    /// The socket with this inode, which the process `pid` holds.
    pub fn get(&mut self, pid: i32, inode: u64) -> SocketFacts {
        if !self.by_inode.contains_key(&inode) {
            self.load(pid);
        }
        match self.entry(inode) {
            Some(entry) => entry.facts.clone(),
            None => other_family(pid, inode),
        }
    }

    /// The socket with this inode, if it was read already.
    pub fn entry(&self, inode: u64) -> Option<&Entry> {
        self.by_inode.get(&inode).and_then(|index| self.entries.get(*index))
    }

    fn load(&mut self, pid: i32) {
        let name = |path: String| std::fs::read_link(path).map(|link| link.to_string_lossy().into_owned());
        let Ok(namespace) = name(format!("/proc/{pid}/ns/net")) else { return };
        let foreign = name("/proc/self/ns/net".into()).ok().as_ref() != Some(&namespace);
        if !self.namespaces.insert(namespace) {
            return;
        }
        for entry in diag::all(pid, foreign).unwrap_or_else(|| from_proc(pid)) {
            if entry.facts.inode != 0 {
                self.by_inode.insert(entry.facts.inode, self.entries.len());
            }
            if let Some((local, remote)) = entry.addresses {
                self.by_addresses.entry((plain(local), plain(remote))).or_default().push(self.entries.len());
            }
            self.entries.push(entry);
        }
        self.name_listeners();
        self.name_unix_peers();
        self.mark_unaccepted();
    }

    /// Of a TCP connection that is not accepted the other end stands, but is no process's.
    fn mark_unaccepted(&mut self) {
        let waits = |entry: &Entry| {
            let (local, remote) = entry.addresses.filter(|_| entry.state == ESTABLISHED && entry.facts.inode != 0)?;
            let others = self.by_addresses.get(&(plain(remote), plain(local)))?;
            let mut others = others.iter().filter_map(|index| self.entries.get(*index));
            others.all(|other| other.facts.inode == 0 && other.state == ESTABLISHED).then_some(())
        };
        let waiting: Vec<usize> =
            (0..self.entries.len()).filter(|index| waits(&self.entries[*index]).is_some()).collect();
        for index in waiting {
            self.entries[index].facts.unaccepted = true;
        }
    }

    /// The other end of a Unix connection is bound to the path that was connected to.
    fn name_unix_peers(&mut self) {
        for index in 0..self.entries.len() {
            let peer = self.entries[index].unix_peer.filter(|_| self.entries[index].facts.peer.is_none());
            let Some(name) = peer.and_then(|peer| self.entry(peer)).and_then(|peer| peer.facts.local.clone()) else {
                continue;
            };
            self.entries[index].facts.peer = Some(name);
        }
    }

    /// A connection that is not accepted yet has no socket of its own at the other end: the listener stands for it.
    fn name_listeners(&mut self) {
        for index in 0..self.entries.len() {
            let (inode, name) = (self.entries[index].facts.inode, self.entries[index].facts.local.clone());
            for queued in std::mem::take(&mut self.entries[index].queued) {
                let Some(waits) = self.by_inode.get(&queued).and_then(|waits| self.entries.get_mut(*waits)) else {
                    continue;
                };
                waits.unix_peer = Some(inode);
                waits.facts.peer = name.clone();
                waits.facts.unaccepted = true;
            }
        }
    }

    /// Inodes of the sockets at the other end of a socket, on this host.
    pub fn peers(&self, inode: u64) -> Vec<u64> {
        let Some(entry) = self.entry(inode) else { return Vec::new() };
        if let Some(peer) = entry.unix_peer {
            return vec![peer];
        }
        let Some((local, remote)) = entry.addresses.filter(|(_, remote)| remote.port() != 0) else {
            return Vec::new();
        };
        let reversed = (plain(remote), plain(local));
        let same_protocol =
            |other: &&Entry| other.facts.protocol.as_bytes().first() == entry.facts.protocol.as_bytes().first();
        let others = self.by_addresses.get(&reversed).into_iter().flatten();
        let others: Vec<&Entry> = others.filter_map(|index| self.entries.get(*index)).filter(same_protocol).collect();
        if !others.is_empty() && others.iter().all(|other| other.facts.inode == 0) {
            return self.listeners(|other| listens_on(other, plain(remote))).1;
        }
        others.iter().map(|other| other.facts.inode).filter(|inode| *inode != 0).collect()
    }

    /// What listens at the other end of a pending TCP connection, when that is on this host, with the listeners'
    /// inodes.
    pub fn listener_for(&self, inode: u64) -> Option<(ListenerFacts, Vec<u64>)> {
        let entry = self.entry(inode).filter(|entry| entry.state == SYN_SENT)?;
        let (local, remote) = entry.addresses.map(|(local, remote)| (plain(local), plain(remote)))?;
        // For an address of its own the kernel takes that address as the source, too.
        if !remote.ip().is_loopback() && remote.ip() != local.ip() {
            return None;
        }
        Some(self.listeners(|other| listens_on(other, remote)))
    }

    /// What listens on a Unix path (`@` before an abstract one).
    pub fn unix_listener(&self, path: &str) -> (ListenerFacts, Vec<u64>) {
        let at = |other: &&Entry| {
            other.state == LISTEN && other.addresses.is_none() && other.facts.local.as_deref() == Some(path)
        };
        self.listeners(at)
    }

    fn listeners(&self, of: impl Fn(&&Entry) -> bool) -> (ListenerFacts, Vec<u64>) {
        let found: Vec<&SocketFacts> = self.entries.iter().filter(of).map(|entry| &entry.facts).collect();
        let listener = ListenerFacts {
            listens: !found.is_empty(),
            queued: found.iter().map(|socket| socket.receive_queue).sum(),
            backlog: found.iter().map(|socket| socket.send_queue).sum(),
            processes: Vec::new(),
        };
        (listener, found.iter().map(|socket| socket.inode).collect())
    }
}

/// Whether a TCP connection to `remote` reaches this listener.
fn listens_on(entry: &Entry, remote: SocketAddr) -> bool {
    let Some((address, _)) = entry.addresses.filter(|_| entry.state == LISTEN) else { return false };
    let address = plain(address);
    let any = match address.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() && remote.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    address.port() == remote.port() && (any || address.ip() == remote.ip())
}

/// A socket of a family that has no addresses to tell.
fn other_family(pid: i32, inode: u64) -> SocketFacts {
    let wanted = inode.to_string();
    let has = |file: &str| {
        let text = files::text(&format!("/proc/{pid}/net/{file}")).unwrap_or_default();
        text.lines().any(|line| line.split_whitespace().any(|word| word == wanted))
    };
    let protocol = ["netlink", "packet", "raw", "raw6"].into_iter().find(|file| has(file)).unwrap_or("socket");
    SocketFacts { protocol: protocol.into(), inode, state: "unconnected".into(), ..SocketFacts::default() }
}

/// The same by `/proc/PID/net`, which tells neither backlogs nor the peers of Unix sockets.
fn from_proc(pid: i32) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (file, tcp) in [("tcp", true), ("tcp6", true), ("udp", false), ("udp6", false)] {
        let text = files::text(&format!("/proc/{pid}/net/{file}")).unwrap_or_default();
        entries.extend(text.lines().skip(1).filter_map(|line| inet_line(line, tcp)));
    }
    let text = files::text(&format!("/proc/{pid}/net/unix")).unwrap_or_default();
    entries.extend(text.lines().skip(1).filter_map(unix_line));
    entries
}

fn inet_line(line: &str, tcp: bool) -> Option<Entry> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let state = u8::from_str_radix(fields.get(3)?, 16).ok().filter(|state| *state != TIME_WAIT)?;
    let inode = fields.get(9)?.parse().ok()?;
    let mut entry = Entry::inet(tcp, state, address(fields.get(1)?)?, address(fields.get(2)?)?, inode);
    let (send_queue, receive_queue) = fields.get(4)?.split_once(':')?;
    entry.facts.send_queue = u32::from_str_radix(send_queue, 16).ok()?;
    entry.facts.receive_queue = u32::from_str_radix(receive_queue, 16).ok()?;
    let retransmits = u32::from_str_radix(fields.get(6)?, 16).ok()?;
    entry.facts.retransmits = (tcp && retransmits > 0).then_some(retransmits);
    Some(entry)
}

/// `0100007F:1F90`: words of 32 bits in the machine's own byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(ip.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = if ip.len() == 8 {
        Ipv4Addr::from(word(0)?).into()
    } else {
        let mut bytes = [0u8; 16];
        for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&word(index * 8)?);
        }
        Ipv6Addr::from(bytes).into()
    };
    Some(SocketAddr::new(ip, port))
}

fn unix_line(line: &str) -> Option<Entry> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    // Flags bit 16: listening. States: 1 unconnected, 2 connecting, 3 connected.
    let flags = u64::from_str_radix(fields.get(3)?, 16).ok()?;
    let state = match *fields.get(5)? {
        _ if flags & 0x10000 != 0 => LISTEN,
        "03" => 1,
        "02" => SYN_SENT,
        _ => 7,
    };
    let facts = SocketFacts {
        protocol: "unix".into(),
        inode: fields.get(6)?.parse().ok()?,
        state: state_name(state).into(),
        local: fields.get(7).map(|path| (*path).to_owned()),
        ..SocketFacts::default()
    };
    Some(Entry { facts, addresses: None, unix_peer: None, queued: Vec::new(), state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_net() {
        let line = "   0: 0100007F:1F90 0200007F:D431 02 00000001:00000003 01:00000014 00000005  1000  0 4242 2 0 20 4";
        let entry = inet_line(line, true).unwrap();
        assert_eq!(entry.facts.local.as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(entry.facts.peer.as_deref(), Some("127.0.0.2:54321"));
        assert_eq!((entry.facts.state.as_str(), entry.facts.retransmits), ("syn-sent", Some(5)));
        assert_eq!((entry.facts.send_queue, entry.facts.receive_queue, entry.facts.inode), (1, 3, 4242));
        let v6 = address("0000000000000000FFFF00000100007F:0050").unwrap();
        assert_eq!(plain(v6).to_string(), "127.0.0.1:80");
        assert_eq!(inet_line("noise", true).map(|entry| entry.state), None);
        let unix = unix_line("0000000000000000: 00000002 00000000 00010000 0001 01 777 /run/x.sock").unwrap();
        assert_eq!((unix.facts.state.as_str(), unix.facts.local.as_deref()), ("listen", Some("/run/x.sock")));
    }

    #[test]
    fn both_ends_of_a_connection_find_each_other() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let inode_of = |link: std::path::PathBuf| -> u64 {
            link.to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
        };
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&client));
        let queued = Sockets::default().get(std::process::id() as i32, inode_of(std::fs::read_link(link).unwrap()));
        assert!(queued.unaccepted, "{queued:?}");
        let (server, _) = listener.accept().unwrap();
        let inode = |fd: &dyn std::os::fd::AsRawFd| -> u64 {
            let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
            link.to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
        };
        let mut sockets = Sockets::default();
        let facts = sockets.get(std::process::id() as i32, inode(&client));
        assert_eq!(facts.peer, Some(listener.local_addr().unwrap().to_string()));
        assert!(!facts.unaccepted, "{facts:?}");
        assert_eq!(sockets.peers(inode(&client)), [inode(&server)]);
        assert_eq!(sockets.peers(inode(&server)), [inode(&client)]);
        assert!(sockets.listener_for(inode(&client)).is_none(), "it is no longer pending");
    }
}
