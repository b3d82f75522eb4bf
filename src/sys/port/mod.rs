//! Ports: looked at, kept for a program, or listened on for it (DESIGN §5).
//!
//! Every address is first bound for this process alone, without SO_REUSEPORT: with it the bind would succeed beside a
//! listener of the same user and hide the conflict (DESIGN §11). Only then the socket is opened to others.

mod lend;
mod owner;
pub mod share;
pub(in crate::sys) mod unix;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use socket2::{Domain, Socket, Type};

pub use lend::{HangUps, listen_on};
pub use owner::owner;
use unix::OwnFile;

use crate::core::facts::PortProblem;
use crate::core::listen::{collides, port_of};
pub use crate::core::port_words::RawPortFailure;
use crate::core::settings::Listen;
use crate::sys::sock_diag::{Filter, Protocol, State, inet_sockets};

/// How many connections may wait in a passed socket; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// An address that is kept. Dropped, it is free again, and the file of a Unix socket that was made for it is removed.
#[derive(Debug)]
pub struct Held {
    listen: Listen,
    socket: Option<OwnedFd>,
    _file: Option<OwnFile>,
}

impl Held {
    /// A socket that was passed from above. The file of a Unix socket is whoever's made it.
    pub fn inherited(listen: Listen, socket: OwnedFd) -> Held {
        Held { listen, socket: Some(socket), _file: None }
    }

    /// The address, with the port that was chosen where `auto` (0) was asked for.
    pub fn address(&self) -> &Listen {
        &self.listen
    }

    /// The socket, close-on-exec and blocking. A reserved Unix path has none: nothing can keep one for another process.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }
}

/// Whether the address can be bound now. Nothing is kept and nothing is changed; port 0 always can.
///
/// Connections in TIME_WAIT are no hindrance: servers set SO_REUSEADDR. The stale file of a Unix socket is none either.
///
/// # Errors
/// What is in the way. Who it is tells [`owner()`].
pub fn examine(listen: &Listen) -> Result<(), RawPortFailure> {
    match listen {
        Listen::Tcp(address) => bind(listen, *address, Type::STREAM).map(drop),
        Listen::Udp(address) => bind(listen, *address, Type::DGRAM).map(drop),
        Listen::Unix(path) => unix::examine(path).map_err(|error| raw(listen, &error)),
    }
}

/// Keeps the address for a program that binds it itself: bound with SO_REUSEADDR and SO_REUSEPORT, not listening, so
/// that the program's own bind succeeds beside it when it sets either, and no stranger's is given the port. Of a Unix
/// path only a stale file is cleared away. Port 0 picks a free one: [`Held::address`] tells it, to be asked for again
/// by the next generation.
///
/// A UDP port that is kept while the program runs takes part in the delivery of datagrams if the program sets
/// SO_REUSEPORT: release it before exec.
///
/// # Errors
/// What is in the way.
pub fn reserve(listen: &Listen) -> Result<Held, RawPortFailure> {
    let socket = match listen {
        Listen::Tcp(address) => bind(listen, *address, Type::STREAM)?,
        Listen::Udp(address) => bind(listen, *address, Type::DGRAM)?,
        Listen::Unix(path) => {
            unix::clear(path).map_err(|error| raw(listen, &error))?;
            return Ok(Held { listen: listen.clone(), socket: None, _file: None });
        }
    };
    // After the bind: it holds for those who bind later, and the bind itself has shown that nobody was there.
    let opened = socket.set_reuse_address(true).and_then(|()| socket.set_reuse_port(true));
    opened.and_then(|()| held(listen, socket)).map_err(|error| raw(listen, &error))
}

/// Listens on the address, for a socket that is passed on: connections queue from now on. UDP is bound. The stale file
/// of a Unix socket is replaced; the new one has the mode that the umask leaves. Port 0 as in [`reserve`].
///
/// # Errors
/// What is in the way.
pub fn listen(listen: &Listen) -> Result<Held, RawPortFailure> {
    match listen {
        Listen::Tcp(address) => {
            let socket = bind(listen, *address, Type::STREAM)?;
            // For the next launcher's sake, too: what is in TIME_WAIT with this mark is not in its way.
            let opened = socket.set_reuse_address(true).and_then(|()| socket.listen(BACKLOG));
            opened.and_then(|()| held(listen, socket)).map_err(|error| raw(listen, &error))
        }
        Listen::Udp(address) => {
            let socket = bind(listen, *address, Type::DGRAM)?;
            held(listen, socket).map_err(|error| raw(listen, &error))
        }
        Listen::Unix(path) => {
            let (socket, file) = unix::listen(path, BACKLOG).map_err(|error| raw(listen, &error))?;
            Ok(Held { listen: listen.clone(), socket: Some(socket.into()), _file: file })
        }
    }
}

/// The same as [`listen`] for a socket that programs may shut down: where a free port is picked, the socket is bound to it
/// by its number, which it keeps then.
///
/// # Errors
/// As [`listen`].
pub fn listen_for_good(listen: &Listen) -> Result<Held, RawPortFailure> {
    /// Somebody else may take what was picked, but not each time.
    const TRIES: usize = 16;
    for _ in 1..TRIES {
        match self::listen(&pick(listen)?) {
            Err(failure) if failure.problem == PortProblem::Taken && port_of(listen) == Some(0) => {}
            held => return held,
        }
    }
    self::listen(listen)
}

/// The same address with a free port in the place of `auto` (0); as it is when it names one. The port is free again on
/// return: this is for `check`, which keeps nothing.
///
/// # Errors
/// As [`reserve`].
pub fn pick(listen: &Listen) -> Result<Listen, RawPortFailure> {
    match port_of(listen) {
        Some(0) => reserve(listen).map(|held| held.address().clone()),
        _ => Ok(listen.clone()),
    }
}

fn held(listen: &Listen, socket: Socket) -> io::Result<Held> {
    let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    let listen = match listen {
        Listen::Tcp(_) => Listen::Tcp(address),
        _ => Listen::Udp(address),
    };
    Ok(Held { listen, socket: Some(socket.into()), _file: None })
}

/// Binds for this process alone, if nobody else is there.
fn bind(listen: &Listen, address: SocketAddr, kind: Type) -> Result<Socket, RawPortFailure> {
    let attempt = || {
        let socket = Socket::new(Domain::for_address(address), kind, None)?;
        if address.is_ipv6() {
            // Whatever net.ipv6.bindv6only says: an IPv6 wildcard is dual stack.
            socket.set_only_v6(false)?;
        }
        match socket.bind(&address.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) && kind == Type::STREAM => {
                past_time_wait(&socket, address)?;
            }
            other => other?,
        }
        Ok(socket)
    };
    attempt().map_err(|error| raw(listen, &error))
}

/// With SO_REUSEADDR a bind passes over connections in TIME_WAIT, and over those accepted earlier; but also over
/// sockets that are bound and about to listen, such as another launcher's reservation. Those are looked for.
fn past_time_wait(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    let own = nix::sys::stat::fstat(socket)?.st_ino;
    let states = State::Bound.bit();
    let filter = Filter { protocol: Protocol::Tcp, port: Some(address.port()), states, details: false };
    let bound = inet_sockets(&filter).unwrap_or_default();
    let stranger = bound.iter().any(|other| other.inode != own && collides(other.local, other.v6only, address));
    if stranger { Err(io::Error::from_raw_os_error(libc::EADDRINUSE)) } else { Ok(()) }
}

/// The failure of a bind with what explains it.
fn raw(listen: &Listen, error: &io::Error) -> RawPortFailure {
    let errno = match (error.raw_os_error(), error.kind()) {
        (None, io::ErrorKind::InvalidInput) => Some(libc::ENAMETOOLONG),
        (errno, _) => errno,
    };
    let mut failure =
        RawPortFailure { problem: PortProblem::Other, errno, unprivileged_from: None, addresses: Vec::new() };
    match (listen, errno) {
        (_, Some(libc::EADDRINUSE)) => failure.problem = PortProblem::Taken,
        (Listen::Tcp(address) | Listen::Udp(address), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)) => {
            failure.problem = PortProblem::NoSuchAddress;
            failure.addresses = host_addresses(address.is_ipv6());
        }
        (Listen::Tcp(address) | Listen::Udp(address), Some(libc::EACCES)) => {
            failure.unprivileged_from = unprivileged_from().filter(|start| address.port() < *start);
            if failure.unprivileged_from.is_some() {
                failure.problem = PortProblem::Privileged;
            }
        }
        _ => {}
    }
    failure
}

/// `net.ipv4.ip_unprivileged_port_start` (`ip(7)`), which holds for IPv6 too.
fn unprivileged_from() -> Option<u16> {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").ok()?.trim().parse().ok()
}

/// The addresses of this host's interfaces that are of this family (`getifaddrs(3)`).
fn host_addresses(v6: bool) -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut found: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
        })
        .filter(|address| address.is_ipv6() == v6)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests;
