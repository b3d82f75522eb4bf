//! The parts that are played for `calls`: programs that bind in all kinds of ways.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};

use launcher::sys::seccomp::{Filter, ability};

use super::roles::tell;

fn variable() -> String {
    std::env::var("ADDRESS").unwrap()
}

/// Serves one connection, or says why not.
pub fn serve() {
    let listener = match TcpListener::bind(variable()) {
        Ok(listener) => listener,
        Err(error) => return tell!("failed {}", error.raw_os_error().unwrap_or(0)),
    };
    let (mut stream, _) = listener.accept().unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    stream.write_all(&byte).unwrap();
}

fn any() -> SockaddrIn {
    SockaddrIn::new(127, 0, 0, 1, 0)
}

/// Sockets that cannot be replaced without somebody's noticing, or are of another kind. The launcher answers each
/// bind itself.
pub fn odd_binds() {
    let make = |family, kind, flags| socket(family, kind, flags, None).unwrap();
    let polled = make(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_NONBLOCK);
    let set = Epoll::new(EpollCreateFlags::empty()).unwrap();
    set.add(&polled, EpollEvent::new(EpollFlags::EPOLLIN, 0)).unwrap();
    bind(polled.as_raw_fd(), &any()).unwrap();

    let shared = make(AddressFamily::Inet, SockType::Stream, SockFlag::empty());
    let _copy = shared.try_clone().unwrap();
    bind(shared.as_raw_fd(), &any()).unwrap();

    let v6 = make(AddressFamily::Inet6, SockType::Stream, SockFlag::empty());
    setsockopt(&v6, sockopt::Ipv6V6Only, &true).unwrap();
    setsockopt(&v6, sockopt::ReusePort, &true).unwrap();
    let address: SocketAddr = variable().parse().unwrap();
    bind(v6.as_raw_fd(), &nix::sys::socket::SockaddrStorage::from(address)).unwrap();

    let udp = make(AddressFamily::Inet, SockType::Datagram, SockFlag::empty());
    bind(udp.as_raw_fd(), &any()).unwrap();

    let _ = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET);
    let foreign = make(AddressFamily::Inet, SockType::Stream, SockFlag::empty());
    bind(foreign.as_raw_fd(), &any()).unwrap();
    tell!("done");
}

/// No memory there, of another family, and three that are too short.
pub fn bad_addresses() {
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    let unix = [1_u8, 0, b'x', 0];
    let short = [libc::AF_INET as u8, 0, 0, 80, 127, 0, 0, 1];
    for (pointer, length) in
        [(std::ptr::null(), 16), (unix.as_ptr(), 4), (short.as_ptr(), 8), (short.as_ptr(), 1), (short.as_ptr(), 0)]
    {
        // SAFETY: the kernel checks what it is given; what is there is as long as is said.
        assert_eq!(unsafe { libc::bind(socket.as_raw_fd(), pointer.cast(), length) }, -1);
    }
    tell!("done");
}

/// Binds with a handler for USR1 that asks for no restart of calls.
pub fn interrupted() {
    static CAME: AtomicBool = AtomicBool::new(false);
    extern "C" fn came(_: libc::c_int) {
        CAME.store(true, Ordering::Relaxed);
    }
    // SAFETY: the handler only sets a flag.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = came as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
    }
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    while let Err(error) = bind(socket.as_raw_fd(), &any()) {
        assert_eq!(error, nix::errno::Errno::EINTR);
    }
    tell!("bound {}", CAME.load(Ordering::Relaxed));
}

/// With a filter of its own that has the one descriptor there can be.
pub fn below_a_listener() {
    let filter = Filter::new(false);
    nix::sys::prctl::set_no_new_privs().unwrap();
    // SAFETY: the descriptor was just made.
    let _listener = unsafe { OwnedFd::from_raw_fd(filter.install().unwrap()) };
    tell!("{:?}", ability().filter);
}

/// With a filter that kills for seccomp(2) and pidfd_getfd(2), as systemd's does.
pub fn below_a_killer() {
    let instruction = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let equals = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let returns = libc::BPF_RET | libc::BPF_K;
    let mut filter = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(equals, libc::SYS_seccomp as u32, 1, 0),
        instruction(equals, libc::SYS_pidfd_getfd as u32, 0, 1),
        instruction(returns, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        instruction(returns, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs().unwrap();
    // SAFETY: the program lives through the call.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) }, 0);
    tells_ability();
}

pub fn tells_ability() {
    tell!("{:?} {}", ability().filter, ability().duplicate);
}
