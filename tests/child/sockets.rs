//! Sockets: listening, taking over, serving, connecting.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::accept;
use std::os::fd::{AsFd, AsRawFd};

use super::steps::{Failure, State, Step};
use super::text;

/// Steps about sockets.
pub fn perform(step: &Step, rest: &str, state: &mut State) -> Result<(), Failure> {
    match step.verb.as_str() {
        "listen" => state.listeners.push(listen(rest)?),
        "bind" => state.held.push(bind(rest)?),
        "udp" => state.held.push(std::net::UdpSocket::bind(rest)?.into()),
        "listen-fds" => take_over(state)?,
        "listen-polled" => state.listeners.push(listen_polled(rest)?),
        "listen-twice" => state.listeners.extend(listen_twice(rest)?),
        "listen-v6only" => state.listeners.push(listen_v6only(rest)?),
        "listen-shared" => state.listeners.push(listen_shared(rest)?),
        "serve-udp-shared" => serve_datagrams(rest)?,
        "nonblocking" => {
            state.listeners.iter().try_for_each(|one| socket2::SockRef::from(one).set_nonblocking(true))?
        }
        "close-listeners" => state.listeners.clear(),
        "own-network" => nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?,
        "deny-steering" => deny_steering(rest.parse()?)?,
        "undumpable" => nix::sys::prctl::set_dumpable(false)?,
        "serve" => loop {
            serve_one(state)?;
        },
        "serve-one" => serve_one(state)?,
        "connect" => connect(rest)?,
        "retry" => retry(rest)?,
        "ask" => drop(BufReader::new(TcpStream::connect(rest)?).read_line(&mut String::new())?),
        other => return Err(Failure(format!("{other} is no step about sockets"))),
    }
    Ok(())
}

/// Listens as most programs do: with SO_REUSEADDR on TCP.
fn listen(address: &str) -> Result<OwnedFd, Failure> {
    Ok(match address.strip_prefix("unix:") {
        Some(path) => UnixListener::bind(path)?.into(),
        None => TcpListener::bind(address)?.into(),
    })
}

/// Binds without listening.
fn bind(address: &str) -> Result<OwnedFd, Failure> {
    let address: SocketAddr = address.parse()?;
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn stream(address: &str) -> Result<(socket2::Socket, socket2::SockAddr), Failure> {
    let address: SocketAddr = address.parse()?;
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    Ok((socket, address.into()))
}

/// Listens with a socket that is in an epoll set before it is bound. The set is never closed.
fn listen_polled(address: &str) -> Result<OwnedFd, Failure> {
    use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
    let (socket, address) = stream(address)?;
    let set = Epoll::new(EpollCreateFlags::empty())?;
    set.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    std::mem::forget(set);
    socket.bind(&address)?;
    socket.listen(5)?;
    Ok(socket.into())
}

/// Listens with a socket that has two descriptors before it is bound.
fn listen_twice(address: &str) -> Result<[OwnedFd; 2], Failure> {
    let (socket, address) = stream(address)?;
    let copy = socket.try_clone()?;
    socket.bind(&address)?;
    socket.listen(5)?;
    Ok([copy.into(), socket.into()])
}

/// Listens on IPv6 alone.
fn listen_v6only(address: &str) -> Result<OwnedFd, Failure> {
    let (socket, address) = stream(address)?;
    socket.set_only_v6(true)?;
    socket.bind(&address)?;
    socket.listen(5)?;
    Ok(socket.into())
}

fn shared(address: &str, kind: socket2::Type) -> Result<socket2::Socket, Failure> {
    let address: SocketAddr = address.parse()?;
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), kind, None)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Listens on an address that others may listen on, too.
fn listen_shared(address: &str) -> Result<OwnedFd, Failure> {
    let socket = shared(address, socket2::Type::STREAM)?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Answers each datagram with its generation, and says READY=1 before.
fn serve_datagrams(address: &str) -> Result<(), Failure> {
    let socket: std::net::UdpSocket = shared(address, socket2::Type::DGRAM)?.into();
    super::notify::say("READY=1")?;
    loop {
        let (_, peer) = socket.recv_from(&mut [0; 64])?;
        socket.send_to(text::expand("generation {generation}").as_bytes(), peer)?;
    }
}

/// From now on SO_ATTACH_REUSEPORT_CBPF fails with this errno, for all that this process starts, too: as with a kernel that
/// knows nothing of it.
fn deny_steering(errno: u32) -> Result<(), Failure> {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let (load, is) = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    let returns = libc::BPF_RET | libc::BPF_K;
    // struct seccomp_data: the number lies at 0, the low halves of the second and third argument at 24 and 32.
    let mut filter = [
        op(load, 0, 0, 0),
        op(is, 0, 5, libc::SYS_setsockopt as u32),
        op(load, 0, 0, 24),
        op(is, 0, 3, libc::SOL_SOCKET as u32),
        op(load, 0, 0, 32),
        op(is, 0, 1, libc::SO_ATTACH_REUSEPORT_CBPF as u32),
        op(returns, 0, 0, libc::SECCOMP_RET_ERRNO | errno),
        op(returns, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs()?;
    // SAFETY: the kernel reads the program, which lives through the call.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    Ok(nix::errno::Errno::result(done).map(drop)?)
}

/// Takes over the sockets passed by LISTEN_FDS, as `sd_listen_fds(3)` does.
fn take_over(state: &mut State) -> Result<(), Failure> {
    if text::variable("LISTEN_PID") != std::process::id().to_string() {
        return Err(Failure(format!("LISTEN_PID is {:?}", text::variable("LISTEN_PID"))));
    }
    let count: i32 = text::variable("LISTEN_FDS").parse()?;
    for fd in 3..3 + count {
        // SAFETY: the launcher passed these descriptors to this process, and nobody else here owns them.
        state.listeners.push(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    Ok(())
}

/// Answers one HTTP request on whichever listener has one, and says from which generation.
fn serve_one(state: &State) -> Result<(), Failure> {
    let mut waiting: Vec<PollFd> =
        state.listeners.iter().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)).collect();
    while poll(&mut waiting, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {}
    let Some(ready) = waiting.iter().position(|one| one.revents().is_some_and(|events| !events.is_empty())) else {
        return Err(Failure("nothing listens".into()));
    };
    // SAFETY: accept(2) just made this descriptor, and nobody else owns it.
    let mut stream = unsafe { TcpStream::from_raw_fd(accept(state.listeners[ready].as_raw_fd())?) };
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let body = text::expand("generation {generation} pid {pid}\n");
    stream.write_all(format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
    Ok(())
}

fn connect(address: &str) -> Result<(), Failure> {
    let line = match TcpStream::connect(address) {
        Ok(_) => "connected".to_owned(),
        Err(error) => format!("not connected: {error}"),
    };
    text::write_line(1, &line);
    Ok(())
}

/// `ADDRESS MILLISECONDS`: connects again and again, sleeping between.
fn retry(rest: &str) -> Result<(), Failure> {
    let (address, pause) = rest.split_once(' ').ok_or_else(|| Failure("ADDRESS MILLISECONDS".into()))?;
    let pause = std::time::Duration::from_millis(pause.parse()?);
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(pause);
    }
    Ok(())
}
