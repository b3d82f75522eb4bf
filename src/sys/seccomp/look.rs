//! What can be seen of a process that waits in `bind(2)` or `listen(2)`. It waits, but nothing here trusts it: it may
//! have given an address in a file that never answers, so whoever looks must be able to hang.

use std::collections::{BTreeSet, HashMap};
use std::ffi::CString;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;

use socket2::{Domain, SockRef, Type};

use super::probe;
use crate::core::adopt::{BindFacts, Kind, ListenFacts, SocketFacts};
use crate::sys::dump::memory::Memory;
use crate::sys::dump::rights;
use crate::sys::{keeper, procfs};

/// What was seen beside the facts.
#[derive(Debug)]
pub struct Seen<T> {
    /// The facts.
    pub facts: T,
    /// A duplicate of the program's socket, where one can be had.
    pub copy: Option<OwnedFd>,
    /// The descriptor's own flag and its open file's.
    pub flags: Flags,
}

/// Flags of a descriptor (`/proc/PID/fdinfo`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// `O_CLOEXEC`.
    pub on_exec: bool,
    /// `O_NONBLOCK`.
    pub nonblocking: bool,
}

/// What was asked for by `setsockopt(2)` of IPV6_V6ONLY, by socket inode: for where sockets cannot be duplicated.
#[derive(Debug)]
pub struct OnlyV6 {
    watched: bool,
    known: HashMap<u64, bool>,
}

impl OnlyV6 {
    /// How many sockets are remembered: those that were never bound are forgotten in between.
    const MOST: usize = 1024;

    /// Nothing is known yet. `watched` says whether the filter hands these calls over.
    pub fn new(watched: bool) -> OnlyV6 {
        OnlyV6 { watched, known: HashMap::new() }
    }

    /// A process sets it.
    pub fn note(&mut self, thread: i32, fd: RawFd, value: u64) {
        let _rights = rights::take(thread);
        let bytes = Memory::of(thread).read_fresh(value, size_of::<i32>());
        if let (Some(inode), Ok(value)) = (inode_of(thread, fd), bytes.try_into()) {
            if self.known.len() >= OnlyV6::MOST {
                self.known.clear();
            }
            self.known.insert(inode, i32::from_ne_bytes(value) != 0);
        }
    }

    fn of(&self, inode: u64) -> Option<bool> {
        self.watched.then(|| self.known.get(&inode).copied().unwrap_or_else(bind_v6_only))
    }
}

/// `net.ipv6.bindv6only` (`ipv6(7)`): what a new socket has.
fn bind_v6_only() -> bool {
    fs::read_to_string("/proc/sys/net/ipv6/bindv6only").is_ok_and(|text| text.trim() != "0")
}

/// The address that a thread passes to `bind(2)`: `None` when it is of another family than IPv4 and IPv6, or none that
/// the kernel would take.
///
/// # Errors
/// When the memory may not be read.
pub fn address(thread: i32, at: u64, length: u32) -> io::Result<Option<SocketAddr>> {
    /// The longest that counts: `struct sockaddr_in6`.
    const MOST: usize = size_of::<libc::sockaddr_in6>();
    let wanted = (length as usize).min(MOST);
    if wanted < size_of::<libc::sa_family_t>() {
        return Ok(None);
    }
    let _rights = rights::take(thread);
    let bytes = Memory::of(thread).read_fresh(at, wanted);
    if bytes.is_empty() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(parse(&bytes))
}

/// `sockaddr(3type)`: family in the host's order, the rest in the network's.
fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    match i32::from(family) {
        libc::AF_INET => {
            let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            (bytes.len() >= size_of::<libc::sockaddr_in>()).then(|| (IpAddr::V4(Ipv4Addr::from(ip)), port).into())
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let scope = bytes.get(24..28).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
            Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope)))
        }
        _ => None,
    }
}

/// Looks at a bind. `keeper` is the pid above all processes of the generation.
pub fn bind(keeper: i32, thread: i32, fd: RawFd, address: SocketAddr, only_v6: &OnlyV6) -> Seen<BindFacts> {
    let process = process_of(thread);
    let rights = rights::take(process);
    let inode = inode_of(process, fd);
    let copy = inode.and_then(|_| duplicate(process, fd));
    let socket = inode.and_then(|inode| socket_facts(process, fd, inode, copy.as_ref(), only_v6));
    let flags = flags(process, fd);
    let own_network = in_own_network(thread);
    let polled = inode.is_some_and(|inode| is_polled(process, inode));
    drop(rights);
    let mut others = BTreeSet::new();
    let mut same = 0;
    each_socket_below(keeper, |found| {
        if Some(found) == inode {
            same += 1;
        } else {
            others.insert(found);
        }
    });
    let facts = BindFacts { address, socket, own_network, polled, shared: same > 1, others };
    Seen { facts, copy, flags }
}

/// The inodes of all sockets that the processes below `keeper` have.
pub fn sockets_below(keeper: i32) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    each_socket_below(keeper, |inode| {
        found.insert(inode);
    });
    found
}

fn each_socket_below(keeper: i32, mut each: impl FnMut(u64)) {
    for member in keeper::members_below(keeper) {
        let _rights = rights::take(member);
        // One that may not be looked at adds nothing.
        let _ = procfs::for_each_socket(member, &mut each);
    }
}

/// Looks at a listen; `None` when the process may not be looked into, or it is no socket.
pub fn listen(thread: i32, fd: RawFd) -> Option<Seen<ListenFacts>> {
    let process = process_of(thread);
    let _rights = rights::take(process);
    let inode = inode_of(process, fd)?;
    let copy = duplicate(process, fd);
    let bound = copy.as_ref().and_then(|copy| {
        let socket = SockRef::from(copy);
        let address = socket.local_addr().ok()?.as_socket()?;
        (socket.r#type().ok()? == Type::STREAM).then(|| (address, socket.only_v6().unwrap_or(false)))
    });
    let facts = ListenFacts { inode, bound, own_network: in_own_network(thread) };
    Some(Seen { facts, copy, flags: flags(process, fd) })
}

/// The process that a thread belongs to. Descriptors are a process's.
fn process_of(thread: i32) -> i32 {
    procfs::status_field(thread, "Tgid").and_then(|text| text.parse().ok()).unwrap_or(thread)
}

fn inode_of(process: i32, fd: RawFd) -> Option<u64> {
    procfs::socket_inode(fs::read_link(format!("/proc/{process}/fd/{fd}")).ok()?.as_os_str())
}

/// The namespace of a thread, compared by what `namespaces(7)` shows. One that may not be looked at is taken for the
/// launcher's own: another guard refuses it.
fn in_own_network(thread: i32) -> bool {
    let of = |path: String| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (of(format!("/proc/{thread}/ns/net")), of("/proc/thread-self/ns/net".to_owned())) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        _ => true,
    }
}

/// Whether an epoll set of the process has the socket (`tfd:` in `/proc/PID/fdinfo`, `proc_pid_fdinfo(5)`).
fn is_polled(process: i32, inode: u64) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    let wanted = format!(" ino:{inode:x} ");
    entries.flatten().any(|entry| {
        let is_set = fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == "anon_inode:[eventpoll]");
        let path = format!("/proc/{process}/fdinfo/{}", entry.file_name().display());
        is_set && fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line.contains(&wanted)))
    })
}

fn flags(process: i32, fd: RawFd) -> Flags {
    let text = fs::read_to_string(format!("/proc/{process}/fdinfo/{fd}")).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|digits| i32::from_str_radix(digits.trim(), 8).ok()).unwrap_or(0);
    Flags { on_exec: flags & libc::O_CLOEXEC != 0, nonblocking: flags & libc::O_NONBLOCK != 0 }
}

/// `pidfd_getfd(2)`: asks for the rights of ptrace(2) by the real ids.
fn duplicate(process: i32, fd: RawFd) -> Option<OwnedFd> {
    if !probe::ability().duplicate {
        return None;
    }
    // SAFETY: makes a descriptor, or fails; no memory is involved.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) } as RawFd;
    if pidfd < 0 {
        return None;
    }
    // SAFETY: it was just made, and nobody else knows of it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: as above.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) } as RawFd;
    // SAFETY: the kernel just gave it to this process.
    (copy >= 0).then(|| unsafe { OwnedFd::from_raw_fd(copy) })
}

/// From the duplicate; without one, from the name of its protocol, which the kernel shows as an extended attribute.
fn socket_facts(process: i32, fd: RawFd, inode: u64, copy: Option<&OwnedFd>, only_v6: &OnlyV6) -> Option<SocketFacts> {
    let Some(copy) = copy else {
        let name = protocol_name(process, fd)?;
        let v6 = name.ends_with("v6");
        let kind = match name.trim_end_matches("v6") {
            "TCP" | "MPTCP" => Some(Kind::Tcp),
            "UDP" => Some(Kind::Udp),
            _ => None,
        };
        let v6only = if v6 { only_v6.of(inode) } else { None };
        return Some(SocketFacts { inode, kind, v6, v6only, reuse_port: false });
    };
    let socket = SockRef::from(copy);
    let v6 = socket.domain().ok()? == Domain::IPV6;
    let kind = match (socket.r#type().ok()?, socket.protocol().ok()?.map(i32::from)) {
        (Type::STREAM, Some(libc::IPPROTO_TCP | libc::IPPROTO_MPTCP)) => Some(Kind::Tcp),
        (Type::DGRAM, Some(libc::IPPROTO_UDP)) => Some(Kind::Udp),
        _ => None,
    };
    let v6only = if v6 { socket.only_v6().ok() } else { None };
    Some(SocketFacts { inode, kind, v6, v6only, reuse_port: socket.reuse_port().unwrap_or(false) })
}

/// `system.sockprotoname`: `TCP`, `TCPv6`, `UDP`, `MPTCP`, `UNIX` and so on.
fn protocol_name(process: i32, fd: RawFd) -> Option<String> {
    let path = CString::new(format!("/proc/{process}/fd/{fd}")).ok()?;
    let mut name = [0_u8; 32];
    // SAFETY: both texts end with a NUL; the kernel writes no more than the buffer's length.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), c"system.sockprotoname".as_ptr(), name.as_mut_ptr().cast(), name.len())
    };
    let name = name.get(..usize::try_from(length).ok()?)?;
    Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
}
