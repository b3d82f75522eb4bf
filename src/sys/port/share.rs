//! Sockets that share an address with those of a service by SO_REUSEPORT, and the program by which the kernel chooses
//! among all of them (`socket(7)`, SO_ATTACH_REUSEPORT_CBPF).

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Socket, Type};

use crate::core::share::Aim;
use crate::sys::sock_diag::{Filter, InetSocket, Protocol, State, inet_sockets};

/// Network header of a packet, for classic BPF (`linux/filter.h`).
const NETWORK: u32 = -0x10_0000_i32 as u32;

/// A socket of the launcher's own in such a group, which takes nothing: what comes to it is dropped, as if it had been
/// lost on its way, so that a TCP client tries again. Dropped, it leaves the group.
#[derive(Debug)]
pub struct Inert {
    socket: Socket,
    inode: u64,
}

impl Inert {
    /// Joins the group of sockets that are bound to exactly this address, by a user (a uid).
    ///
    /// # Errors
    /// Of `socket(2)`, `setsockopt(2)`, `bind(2)` and `listen(2)`; EADDRINUSE when what is bound there does not share.
    pub fn join(protocol: Protocol, address: SocketAddr, v6only: bool, uid: u32) -> io::Result<Inert> {
        Inert::join_by(protocol, address, v6only, uid, take_nothing)
    }

    fn join_by(
        protocol: Protocol,
        address: SocketAddr,
        v6only: bool,
        uid: u32,
        take_nothing: impl Fn(&Socket, SocketAddr) -> io::Result<()>,
    ) -> io::Result<Inert> {
        let kind = if protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
        let socket = Socket::new(Domain::for_address(address), kind, None)?;
        // Only sockets of one user share, by the owner that each has when it is bound.
        nix::unistd::fchown(&socket, Some(uid.into()), None)?;
        if address.is_ipv6() {
            socket.set_only_v6(v6only)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        take_nothing(&socket, address)?;
        let inode = nix::sys::stat::fstat(&socket)?.st_ino;
        socket.bind(&address.into())?;
        if protocol == Protocol::Tcp {
            socket.listen(1)?;
        }
        Ok(Inert { socket, inode })
    }

    /// Its inode.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// From now on the kernel chooses so, in the whole group, and does so when this socket has left, too.
    ///
    /// # Errors
    /// Of `setsockopt(2)`: ENOPROTOOPT where the kernel has no such option, ENOMEM when `net.core.optmem_max` is too
    /// small for so many sockets.
    pub fn aim(&self, aim: &Aim) -> io::Result<()> {
        attach(&self.socket, libc::SO_ATTACH_REUSEPORT_CBPF, &program(aim))
    }
}

/// Has a socket drop all that comes to it.
fn take_nothing(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match attach(socket, libc::SO_ATTACH_FILTER, &[ret(0)]) {
        // Some kernels leave filters to CAP_NET_ADMIN, though not the program by which they choose.
        Err(problem) if problem.raw_os_error() == Some(libc::EPERM) => demand_hops(socket, address),
        done => done,
    }
}

/// Has a TCP socket drop what has fewer than 255 hops left, as all that did not ask for more has from the beginning
/// (`ip(7)`, IP_MINTTL; RFC 5082). A datagram is lost at such a socket in any case.
fn demand_hops(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    let v6 = address.is_ipv6().then_some((libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT));
    for (level, name) in [(libc::IPPROTO_IP, libc::IP_MINTTL)].into_iter().chain(v6) {
        let hops: libc::c_int = 255;
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the kernel reads the number during the call, and it lives through it.
        if unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const hops).cast(), size) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The sockets that take what is sent to this port, each group in the order in which its sockets joined it.
///
/// # Errors
/// As [`inet_sockets`].
pub fn members(protocol: Protocol, port: u16) -> io::Result<Vec<InetSocket>> {
    let states = if protocol == Protocol::Tcp { State::Listen.bit() } else { State::Closed.bit() };
    let mut found = inet_sockets(&Filter { protocol, port: Some(port), states, details: false })?;
    // As the kernel puts them into its lists: each in front of the others, but for listeners of IPv6 that share
    // (`__inet_hash` of net/ipv4/inet_hashtables.c, `udp_lib_get_port` of net/ipv4/udp.c).
    found.reverse();
    let in_order = |socket: &InetSocket| protocol == Protocol::Tcp && socket.local.is_ipv6();
    let mut listeners: Vec<InetSocket> = found.extract_if(.., |socket| in_order(socket)).collect();
    listeners.reverse();
    found.extend(listeners);
    Ok(found)
}

fn attach(socket: &Socket, option: i32, program: &[libc::sock_filter]) -> io::Result<()> {
    let length = libc::c_ushort::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    // SAFETY: the kernel reads the program and its instructions during the call, and both live through it.
    let done =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const program).cast(), size) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const fn op(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

const fn ret(value: u32) -> libc::sock_filter {
    op(libc::BPF_RET | libc::BPF_K, 0, 0, value)
}

const fn calculate(what: u32, value: u32) -> libc::sock_filter {
    op(libc::BPF_ALU | what | libc::BPF_K, 0, 0, value)
}

const fn load(size: u32, offset: u32) -> libc::sock_filter {
    op(libc::BPF_LD | size | libc::BPF_ABS, 0, 0, NETWORK.wrapping_add(offset))
}

/// Where the hash of a flow is kept.
const HASH: u32 = 1;

/// The program: an index into the group. One that is out of range lets the kernel choose among all.
fn program(aim: &Aim) -> Vec<libc::sock_filter> {
    let all = ret(u32::MAX);
    match (aim.main.as_slice(), &aim.part) {
        ([], _) => return vec![all],
        ([one], None) => return vec![ret(*one)],
        _ => {}
    }
    let mut program = hash();
    if let Some((places, percent)) = &aim.part {
        let part = one_of(places);
        program.push(calculate(libc::BPF_MOD, 100));
        program.push(op(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, u32::from(*percent)));
        program.push(op(libc::BPF_JMP | libc::BPF_JA, 0, 0, part.len() as u32));
        program.extend(part);
    }
    program.extend(one_of(&aim.main));
    program
}

/// Hashes both ports and the sender's address: what belongs together goes the same way, a SYN that is sent again, the end
/// of a handshake with SYN cookies, and datagrams of one peer. (The kernel's own hash is not there for each packet.)
fn hash() -> Vec<libc::sock_filter> {
    const LD_IND: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_IND;
    let (to_x, store) = (op(libc::BPF_MISC | libc::BPF_TAX, 0, 0, 0), |at| op(libc::BPF_ST, 0, 0, at));
    let to_x_from = |at| op(libc::BPF_LDX | libc::BPF_MEM, 0, 0, at);
    let mixed = op(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0, 0, 0);
    let mut program = vec![
        load(libc::BPF_B, 0),
        calculate(libc::BPF_RSH, 4),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 4, 0, 6),
        // IPv4: its header has options at times.
        load(libc::BPF_B, 0),
        calculate(libc::BPF_AND, 0xf),
        calculate(libc::BPF_LSH, 2),
        op(libc::BPF_JMP | libc::BPF_JA, 0, 0, 1),
        // IPv6.
        op(libc::BPF_LD | libc::BPF_IMM, 0, 0, 40),
        to_x,
        op(LD_IND, 0, 0, NETWORK),
        calculate(libc::BPF_MUL, 0x9E37_79B1),
        store(0),
        // The last four bytes of the sender's address.
        load(libc::BPF_B, 0),
        calculate(libc::BPF_RSH, 4),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 2, 0, 6),
        load(libc::BPF_W, 12),
        op(libc::BPF_JMP | libc::BPF_JA, 0, 0, 1),
        load(libc::BPF_W, 20),
        to_x_from(0),
        mixed,
    ];
    // As MurmurHash3 ends.
    for (shift, factor) in [(16, 0x85EB_CA6B), (13, 0xC2B2_AE35), (16, 1)] {
        let shifted = [store(0), calculate(libc::BPF_RSH, shift), to_x_from(0), mixed];
        program.extend(shifted.into_iter().chain([calculate(libc::BPF_MUL, factor)]));
    }
    program.push(store(HASH));
    program
}

/// One of these places, each as often as any other.
fn one_of(places: &[u32]) -> Vec<libc::sock_filter> {
    let count = places.len().max(1) as u32;
    let mut program = vec![
        op(libc::BPF_LD | libc::BPF_MEM, 0, 0, HASH),
        // What the part was chosen by says nothing of what is left.
        calculate(libc::BPF_DIV, 100),
        calculate(libc::BPF_MOD, count),
    ];
    match places {
        [first, ..] if (*first..).zip(places).all(|(expected, place)| expected == *place) => {
            program.push(calculate(libc::BPF_ADD, *first));
            program.push(op(libc::BPF_RET | libc::BPF_A, 0, 0, 0));
        }
        _ => {
            for (number, place) in (0..).zip(places) {
                program.push(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number));
                program.push(ret(*place));
            }
            program.push(ret(u32::MAX));
        }
    }
    program
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd as _;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use proptest::prelude::*;

    use super::*;
    use crate::core::service::Generation;
    use crate::core::share::{Group, Holder, Plan};

    const CONNECTIONS: usize = 400;

    fn socket(kind: Type, address: SocketAddr) -> Socket {
        let socket = Socket::new(Domain::for_address(address), kind, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        if kind == Type::STREAM {
            socket.listen(1024).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn address_of(socket: &Socket) -> SocketAddr {
        socket.local_addr().unwrap().as_socket().unwrap()
    }

    fn inode(socket: &Socket) -> u64 {
        nix::sys::stat::fstat(socket).unwrap().st_ino
    }

    fn uid() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn join(address: SocketAddr) -> Inert {
        Inert::join(Protocol::Tcp, address, false, uid()).unwrap()
    }

    /// Which of these a connection comes to.
    fn comes_to(listeners: &[Socket], address: SocketAddr) -> usize {
        let stream = TcpStream::connect(address).unwrap();
        let place = comes(listeners);
        // Reset: ports in TIME_WAIT would run out.
        socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        place
    }

    /// Which of these a connection comes to that is on its way.
    fn comes(listeners: &[Socket]) -> usize {
        let mut waiting: Vec<PollFd<'_>> =
            listeners.iter().map(|one| PollFd::new(one.as_fd(), PollFlags::POLLIN)).collect();
        poll(&mut waiting, PollTimeout::NONE).unwrap();
        let place = waiting.iter().position(|one| one.any() == Some(true)).unwrap();
        listeners[place].accept().unwrap();
        place
    }

    fn count(listeners: &[Socket], address: SocketAddr) -> Vec<usize> {
        let mut counts = vec![0; listeners.len()];
        (0..CONNECTIONS).for_each(|_| counts[comes_to(listeners, address)] += 1);
        counts
    }

    fn aim(main: &[u32], part: Option<(&[u32], u8)>) -> Aim {
        Aim { main: main.to_vec(), part: part.map(|(places, percent)| (places.to_vec(), percent)) }
    }

    #[test]
    fn connections_go_where_they_are_aimed() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            let first = socket(Type::STREAM, address.parse().unwrap());
            let address = address_of(&first);
            let all = [first, socket(Type::STREAM, address), socket(Type::STREAM, address)];
            let inert = join(address);
            for one in 0..3 {
                inert.aim(&aim(&[one as u32], None)).unwrap();
                assert_eq!(count(&all, address)[one], CONNECTIONS, "{address}");
            }
            // Each about as often as the other; 40 of 400 are ten standard deviations away.
            for places in [[0, 1], [0, 2], [1, 2]] {
                inert.aim(&aim(&places, None)).unwrap();
                let counts = count(&all, address);
                let used = places.map(|place| counts[place as usize]);
                assert!(used.iter().all(|count| (100..=300).contains(count)), "{address} {places:?}: {counts:?}");
                assert_eq!(used.iter().sum::<usize>(), CONNECTIONS);
            }
            // A tenth: 40 of 400, and 0 or 120 are many standard deviations away.
            inert.aim(&aim(&[0, 2], Some((&[1], 10)))).unwrap();
            let counts = count(&all, address);
            assert!((5..=100).contains(&counts[1]) && counts[0] > 50 && counts[2] > 50, "{address}: {counts:?}");
            // It stays so without the launcher's socket, and then all get some.
            inert.aim(&aim(&[2], None)).unwrap();
            drop(inert);
            assert_eq!(count(&all, address)[2], CONNECTIONS);
            join(address).aim(&Aim::default()).unwrap();
            assert!(count(&all, address).iter().all(|count| *count > 50));
        }
    }

    #[test]
    fn datagrams_of_one_peer_go_one_way() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let first = socket(Type::DGRAM, address.parse().unwrap());
            let address = address_of(&first);
            let all = [first, socket(Type::DGRAM, address)];
            let inert = Inert::join(Protocol::Udp, address, false, uid()).unwrap();
            inert.aim(&aim(&[0], Some((&[1], 30)))).unwrap();
            let mut peers = [0, 0];
            for _ in 0..CONNECTIONS {
                let peer = UdpSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
                for _ in 0..3 {
                    peer.send_to(b"x", address).unwrap();
                }
                let got = all.each_ref().map(|one| {
                    let mut count = 0;
                    while one.recv(&mut [std::mem::MaybeUninit::uninit(); 8]).is_ok() {
                        count += 1;
                    }
                    count
                });
                assert!(got == [3, 0] || got == [0, 3], "{got:?}");
                peers[usize::from(got[1] == 3)] += 1;
            }
            assert!((40..=250).contains(&peers[1]), "{address}: {peers:?}");
        }
    }

    #[test]
    fn what_does_not_share_is_told_by_its_errno() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = Inert::join(Protocol::Tcp, listener.local_addr().unwrap(), false, uid()).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EADDRINUSE));
    }

    /// A filter may not be for everybody; then hops do it.
    #[test]
    fn a_socket_that_takes_nothing_costs_nobody_a_connection() {
        type Way = fn(&Socket, SocketAddr) -> io::Result<()>;
        for (address, way) in [
            ("127.0.0.1:0", take_nothing as Way),
            ("127.0.0.1:0", demand_hops),
            ("[::1]:0", take_nothing),
            ("[::1]:0", demand_hops),
            ("[::ffff:127.0.0.1]:0", demand_hops),
        ] {
            let first = socket(Type::STREAM, address.parse().unwrap());
            let address = address_of(&first);
            let inert = Inert::join_by(Protocol::Tcp, address, false, uid(), way).unwrap();
            inert.aim(&aim(&[1], None)).unwrap();
            let client = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            let begun = client.connect(&address.into()).unwrap_err();
            assert_eq!(begun.raw_os_error(), Some(libc::EINPROGRESS));
            let mut waiting = [PollFd::new(client.as_fd(), PollFlags::POLLOUT)];
            assert_eq!(poll(&mut waiting, PollTimeout::ZERO), Ok(0), "nobody has answered");
            // Its SYN was lost, and is sent again when it is aimed at the other one.
            inert.aim(&aim(&[0], None)).unwrap();
            drop(inert);
            assert_eq!(comes(&[first]), 0);
            poll(&mut waiting, PollTimeout::NONE).unwrap();
            assert!(client.take_error().unwrap().is_none());
        }
    }

    /// Whether the place of each socket is what it is taken to be, whatever comes and goes: the kernel itself is asked.
    fn is_as_the_kernel_has_it(kind: &str, steps: Vec<(bool, usize)>) {
        let plan = |of: u64| Plan { to: Generation(of), canary: None };
        let mut all = vec![socket(Type::STREAM, kind.parse().unwrap())];
        let address = address_of(&all[0]);
        let mut group = Group::default();
        // Each socket is a generation of its own.
        let mut look = |all: &[Socket], own: Option<&Inert>| {
            let is_there = |inode| all.iter().any(|one| self::inode(one) == inode);
            let holder = |inode| if is_there(inode) { Holder::Of(Generation(inode)) } else { Holder::Own };
            let listed = || {
                let found = members(Protocol::Tcp, address.port()).unwrap();
                let here = found.iter().filter(|one| one.local == address);
                here.map(|one| (one.inode, holder(one.inode))).collect::<Vec<_>>()
            };
            // What a neighbour is just starting holds what was closed, too, until it executes.
            while listed().len() > all.len() + usize::from(own.is_some()) {
                std::thread::yield_now();
            }
            let listed = listed();
            assert_eq!(listed.len(), all.len() + usize::from(own.is_some()));
            group.see(&listed);
            group.clone()
        };
        look(&all, None);
        for (opens, which) in steps {
            if opens || all.len() == 1 {
                all.push(socket(Type::STREAM, address));
            } else {
                all.swap_remove(which % all.len());
            }
            look(&all, None);
            let own = join(address);
            let mut seen = look(&all, Some(&own));
            for (place, one) in all.iter().enumerate() {
                assert!(seen.is_sure(plan(inode(one))));
                own.aim(&seen.aim(plan(inode(one)))).unwrap();
                assert_eq!(comes_to(&all, address), place);
            }
            let left = own.inode();
            drop(own);
            seen.left(left);
            assert_eq!(look(&all, None), seen);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn places_are_as_the_kernel_has_them(
            steps in proptest::collection::vec((any::<bool>(), any::<usize>()), 1..12), v6 in any::<bool>()
        ) {
            is_as_the_kernel_has_it(if v6 { "[::1]:0" } else { "127.0.0.1:0" }, steps);
        }
    }
}
