//! Sockets that are held for a program that binds itself, and put in the place of its own (modes `adopt`, `capture`).

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, SockRef, Socket, Type};

use super::{BACKLOG, Held};
use crate::core::adopt::{HeldFacts, Kind, backlog};
use crate::core::settings::Listen;

/// Options that a program may have set before it binds, and that hold for the connections it will accept: level and
/// name (`socket(7)`, `tcp(7)`, `ip(7)`, `ipv6(7)`), all of them whole numbers.
const OPTIONS: [(i32, i32); 14] = [
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_PRIORITY),
    (libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT),
    (libc::IPPROTO_TCP, libc::TCP_SYNCNT),
    (libc::IPPROTO_TCP, libc::TCP_FASTOPEN),
    (libc::IPPROTO_IP, libc::IP_TOS),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
];

impl Held {
    /// A program's own socket, kept for the next one that binds this port.
    pub fn captured(listen: Listen, socket: OwnedFd) -> Held {
        Held { listen, socket: Some(socket), _file: None }
    }

    /// A socket as a program is about to bind one, listening if it is TCP.
    ///
    /// # Errors
    /// Of `socket(2)`, `bind(2)` and `listen(2)`: what the program itself would have got.
    pub fn made(listen: Listen, address: SocketAddr, kind: Kind, v6only: bool) -> io::Result<Held> {
        let style = if kind == Kind::Tcp { Type::STREAM } else { Type::DGRAM };
        let socket = Socket::new(Domain::for_address(address), style, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(v6only)?;
        }
        if kind == Kind::Tcp {
            // As every server does, for the sake of connections in TIME_WAIT.
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())?;
        if kind == Kind::Tcp {
            socket.listen(BACKLOG)?;
        }
        Ok(Held { listen, socket: Some(socket.into()), _file: None })
    }

    /// What an answer to a bind has to know of it; `None` of a Unix socket.
    pub fn facts(&self) -> Option<HeldFacts> {
        let fd = self.socket.as_ref()?;
        let socket = SockRef::from(fd);
        let address = socket.local_addr().ok()?.as_socket()?;
        let v6only = address.is_ipv6() && socket.only_v6().unwrap_or(false);
        Some(HeldFacts { inode: nix::sys::stat::fstat(fd).ok()?.st_ino, address, v6only })
    }

    /// Whether a call that would have to wait fails at once, for all who have it.
    pub fn is_nonblocking(&self) -> bool {
        self.socket.as_ref().is_some_and(|fd| SockRef::from(fd).nonblocking().unwrap_or(false))
    }

    /// Makes it what the program's own socket is: blocking or not, and with the options of `own`, where that can be
    /// asked. An option that the kernel does not take is left as it is.
    pub fn fit(&self, nonblocking: bool, own: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let Some(fd) = &self.socket else { return Ok(()) };
        SockRef::from(fd).set_nonblocking(nonblocking)?;
        for (level, name) in own.iter().flat_map(|_| OPTIONS) {
            if let Some(value) = own.and_then(|own| option(own, level, name)) {
                set_option(fd.as_fd(), level, name, value);
            }
        }
        Ok(())
    }

    /// Lets sockets of the same user (a uid) be bound beside it with SO_REUSEPORT.
    pub fn share(&self, uid: u32) -> io::Result<()> {
        let Some(fd) = &self.socket else { return Ok(()) };
        nix::unistd::fchown(fd, Some(uid.into()), None)?;
        SockRef::from(fd).set_reuse_port(true)
    }

    /// Listens, or goes on to, with the backlog that was asked for and no smaller one than the launcher keeps.
    pub fn listen_for(&self, asked: i32) -> io::Result<()> {
        let Some(fd) = &self.socket else { return Ok(()) };
        SockRef::from(fd).listen(backlog(asked, BACKLOG))
    }

    /// Listens again if somebody has shut it down (`shutdown(2)` ends a listener for all who have it); whether that was
    /// so. UDP has nothing to be mended.
    pub fn mend(&self) -> bool {
        let Some(fd) = &self.socket else { return false };
        let socket = SockRef::from(fd);
        let down = socket.r#type().is_ok_and(|kind| kind == Type::STREAM) && !socket.is_listener().unwrap_or(true);
        down && socket.listen(BACKLOG).is_ok()
    }
}

/// Listens on a program's own socket in its place.
///
/// # Errors
/// Of `listen(2)`.
pub fn listen_on(socket: BorrowedFd<'_>, asked: i32) -> io::Result<()> {
    SockRef::from(&socket).listen(backlog(asked, BACKLOG))
}

fn option(socket: BorrowedFd<'_>, level: i32, name: i32) -> Option<i32> {
    let mut value = 0_i32;
    let mut length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel writes no more than the length that is passed, which is the number's.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
    (done == 0 && length as usize == size_of::<i32>()).then_some(value)
}

fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: i32) {
    if option(socket, level, name) == Some(value) {
        return;
    }
    // SAFETY: the kernel reads the number, whose length is passed.
    unsafe {
        let length = size_of::<i32>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length);
    }
}

/// Tells when a held socket was shut down. Nothing wakes it up for a connection: it asks for no event but the hang-up,
/// which is always told.
#[derive(Debug)]
pub struct HangUps {
    set: Epoll,
}

impl HangUps {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Of `epoll_create1(2)`.
    pub fn new() -> io::Result<HangUps> {
        Ok(HangUps { set: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Watches this one too, for as long as anybody has it. One that is watched already, or has no socket, is left.
    pub fn watch(&self, held: &Held) {
        if let Some(fd) = &held.socket {
            // Once for each time: what is down stays so until it is mended.
            let _ = self.set.add(fd, EpollEvent::new(EpollFlags::EPOLLET, 0));
        }
    }

    /// Forgets what was told.
    pub fn clear(&self) {
        let mut events = [EpollEvent::empty(); 16];
        while self.set.wait(&mut events, EpollTimeout::ZERO).is_ok_and(|count| count == events.len()) {}
    }

    /// Readable when something was shut down.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.set.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::super::{listen, reserve};
    use super::*;

    fn held(address: &str) -> Held {
        listen(&Listen::Tcp(address.parse().unwrap())).unwrap()
    }

    fn readable(hang_ups: &HangUps) -> bool {
        let mut entry = libc::pollfd { fd: hang_ups.fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the one entry lives through the call, which does not wait.
        unsafe { libc::poll(&raw mut entry, 1, 0) == 1 }
    }

    #[test]
    fn a_held_socket_is_known_by_its_address_and_its_inode() {
        let socket = held("127.0.0.1:0");
        let Listen::Tcp(address) = socket.address().clone() else { panic!() };
        let facts = socket.facts().unwrap();
        assert_eq!((facts.address, facts.v6only), (address, false));
        let other = held("127.0.0.1:0");
        assert_ne!(other.facts().unwrap().inode, facts.inode);
    }

    #[test]
    fn what_a_program_has_set_on_its_own_socket_holds_for_the_one_it_gets() {
        let own = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        own.set_tcp_nodelay(true).unwrap();
        own.set_keepalive(true).unwrap();
        let socket = held("127.0.0.1:0");
        socket.fit(true, Some(own.as_fd())).unwrap();
        let fd = socket.descriptor().unwrap();
        let given = SockRef::from(&fd);
        assert!(given.tcp_nodelay().unwrap() && given.keepalive().unwrap() && socket.is_nonblocking());
        socket.fit(false, None).unwrap();
        assert!(given.tcp_nodelay().unwrap() && !socket.is_nonblocking());
    }

    #[test]
    fn a_connection_tells_nothing_and_a_shutdown_is_told_and_mended() {
        // By number: a socket whose port the kernel picked gives it up when it is shut down.
        let picked = Listen::Tcp(([127, 0, 0, 1], crate::sys::testing::own_port()).into());
        let socket = listen(&picked).unwrap();
        let hang_ups = HangUps::new().unwrap();
        hang_ups.watch(&socket);
        hang_ups.watch(&socket);
        let address = socket.facts().unwrap().address;
        let _waiting = TcpStream::connect(address).unwrap();
        assert!(!readable(&hang_ups) && !socket.mend());
        let copy: TcpListener = socket.descriptor().unwrap().try_clone_to_owned().unwrap().into();
        SockRef::from(&copy).shutdown(Shutdown::Both).unwrap();
        assert!(readable(&hang_ups));
        assert!(TcpStream::connect(address).is_err());
        hang_ups.clear();
        assert!(!readable(&hang_ups) && socket.mend() && !socket.mend());
        let _again = TcpStream::connect(address).unwrap();
        assert!(copy.accept().is_ok());
    }

    #[test]
    fn another_socket_of_the_user_may_be_bound_beside_it_once_it_shares() {
        let socket = held("127.0.0.1:0");
        let address = socket.facts().unwrap().address;
        let beside = || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind(&address.into()).map(|()| socket)
        };
        assert!(beside().is_err());
        socket.share(nix::unistd::geteuid().as_raw()).unwrap();
        beside().unwrap().listen(1).unwrap();
    }

    #[test]
    fn one_is_made_as_the_program_would_have_it() {
        let listen = Listen::Tcp("127.0.0.1:80".parse().unwrap());
        let made = Held::made(listen.clone(), "[::1]:0".parse().unwrap(), Kind::Tcp, true).unwrap();
        let facts = made.facts().unwrap();
        assert!(facts.address.is_ipv6() && facts.v6only);
        TcpStream::connect(facts.address).unwrap();
        let again = Held::made(listen, facts.address, Kind::Tcp, true);
        assert_eq!(again.unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
        let reserved = reserve(&Listen::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        reserved.listen_for(5).unwrap();
        TcpStream::connect(reserved.facts().unwrap().address).unwrap();
    }
}
