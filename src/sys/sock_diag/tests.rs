use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use socket2::{Domain, Socket, Type};

use super::*;
use crate::core::settings::Listen;
use crate::sys::testing::own_port;

fn inode_of(fd: &impl AsRawFd) -> u64 {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
    link.to_str().unwrap().trim_start_matches("socket:[").trim_end_matches(']').parse().unwrap()
}

fn me() -> Vec<i32> {
    vec![std::process::id() as i32]
}

/// Both ways of asking must tell of the same socket.
fn by_both(filter: &Filter, inode: u64) -> [Option<InetSocket>; 2] {
    [by_netlink(filter).unwrap(), proc_net::inet_sockets(filter).unwrap()]
        .map(|all| all.into_iter().find(|socket| socket.inode == inode))
}

#[test]
fn state_bits_are_the_kernels() {
    assert_eq!(State::Established.bit(), 1 << 1);
    assert_eq!(State::Listen.bit(), 1 << 10);
    assert_eq!(State::Bound.bit(), 1 << 13);
    assert_eq!(State::Unknown.bit(), 0);
    for number in 0..=255 {
        let state = State::from_number(number);
        assert!(state == State::Unknown || state.bit() == 1 << number);
    }
}

#[test]
fn a_listener_is_found_with_its_owner_and_queue() {
    for host in ["127.0.0.1", "[::1]", "0.0.0.0", "[::]"] {
        let address = format!("{host}:{}", own_port());
        let listener = TcpListener::bind(&address).unwrap();
        let local = listener.local_addr().unwrap();
        let target = std::net::SocketAddr::new(
            match local.ip() {
                ip if !ip.is_unspecified() => ip,
                ip if ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
                _ => std::net::Ipv6Addr::LOCALHOST.into(),
            },
            local.port(),
        );
        let _waiting = TcpStream::connect(target).unwrap();
        let filter =
            Filter { protocol: Protocol::Tcp, port: Some(local.port()), states: State::Listen.bit(), details: false };
        for (index, found) in by_both(&filter, inode_of(&listener)).into_iter().enumerate() {
            let found = found.unwrap_or_else(|| panic!("{address} by way {index}"));
            assert_eq!((found.local, found.state), (local, State::Listen));
            assert!(!(found.v6only && local.ip().is_unspecified()), "dual stack");
            assert_eq!(found.uid, nix::unistd::geteuid().as_raw());
            assert_eq!(found.receive_queue, 1, "one connection waits");
        }
        let by_netlink = listeners(local.port()).unwrap().remove(0);
        assert!(by_netlink.send_queue >= 128, "backlog {}", by_netlink.send_queue);
        assert!(by_netlink.cgroup.is_some_and(|id| id > 0));
        let exact = lookup(Protocol::Tcp, target, "0.0.0.0:0".parse().unwrap()).unwrap().unwrap();
        assert_eq!(exact.inode, by_netlink.inode);
    }
}

#[test]
fn a_socket_that_keeps_to_ipv6_says_so() {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
    socket.set_only_v6(true).unwrap();
    let port = own_port();
    socket.bind(&std::net::SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)).into()).unwrap();
    socket.listen(1).unwrap();
    assert!(listeners(port).unwrap()[0].v6only);
}

#[test]
fn a_bound_socket_is_found_by_its_own_state_only() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let port = own_port();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    let ask =
        |states| inet_sockets(&Filter { protocol: Protocol::Tcp, port: Some(port), states, details: false }).unwrap();
    assert_eq!(ask(State::ALL & !State::Bound.bit()), []);
    let found = ask(State::Bound.bit());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].inode, found[0].state), (inode_of(&socket), State::Bound));
}

#[test]
fn a_connection_tells_its_times_and_both_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (there, _) = listener.accept().unwrap();
    let (near, far) = (here.local_addr().unwrap(), listener.local_addr().unwrap());
    let found = lookup(Protocol::Tcp, near, far).unwrap().unwrap();
    assert_eq!((found.inode, found.state, found.remote), (inode_of(&here), State::Established, far));
    assert!(found.times.unwrap().last_sent < Duration::from_secs(3600 * 24 * 365));
    let found = lookup(Protocol::Tcp, far, near).unwrap().unwrap();
    assert_eq!(found.inode, inode_of(&there));
    drop((here, there, listener));
    // One end is in TIME_WAIT now, without an inode.
    let ask = Filter { protocol: Protocol::Tcp, port: None, states: State::TimeWait.bit(), details: false };
    let ours = crate::sys::testing::succeeds(|| {
        let mut waiting = inet_sockets(&ask).unwrap().into_iter();
        waiting.find(|socket| [near, far].contains(&socket.local)).ok_or("not yet")
    });
    assert_eq!((ours.inode, ours.state), (0, State::TimeWait));
}

#[test]
fn udp_is_found_with_and_without_a_peer() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let filter = Filter { protocol: Protocol::Udp, port: Some(port), states: State::ALL, details: false };
    for found in by_both(&filter, inode_of(&socket)) {
        assert_eq!(found.unwrap().state, State::Closed);
    }
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(peer.local_addr().unwrap()).unwrap();
    for found in by_both(&filter, inode_of(&socket)) {
        let found = found.unwrap();
        assert_eq!((found.state, found.remote), (State::Established, peer.local_addr().unwrap()));
    }
    let local = peer.local_addr().unwrap();
    let exact = lookup(Protocol::Udp, local, "0.0.0.0:0".parse().unwrap()).unwrap();
    assert_eq!(exact.map(|socket| socket.inode), Some(inode_of(&peer)));
}

#[test]
fn unix_sockets_tell_name_peer_and_queue() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a b.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let near = UnixStream::connect(&path).unwrap();
    for (index, all) in
        [unix_sockets(State::ALL).unwrap(), proc_net::unix_sockets(State::ALL).unwrap()].into_iter().enumerate()
    {
        let found = all.iter().find(|socket| socket.inode == inode_of(&listener)).unwrap();
        assert_eq!((found.state, &found.name), (State::Listen, &Some(UnixName::Path(path.clone()))));
        assert!(found.serves() && found.is_at(&path, None));
        assert!(index == 1 || found.receive_queue == 1, "one connection waits: {found:?}");
    }
    let (there, _) = listener.accept().unwrap();
    let all = unix_sockets(State::ALL).unwrap();
    let found = all.iter().find(|socket| socket.inode == inode_of(&near)).unwrap();
    assert_eq!((found.state, found.peer), (State::Established, Some(inode_of(&there))));
    assert_eq!(found.uid, Some(nix::unistd::geteuid().as_raw()));
}

#[test]
fn readiness_is_by_a_process_of_the_service() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = Listen::Tcp(listener.local_addr().unwrap());
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = Listen::Udp(datagrams.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let stream = directory.path().join("s");
    let _stream = UnixListener::bind(&stream).unwrap();
    let packets = directory.path().join("d");
    let _packets = UnixDatagram::bind(&packets).unwrap();
    let name = format!("launcher-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _abstract = UnixListener::bind_addr(&address).unwrap();
    let listens = [tcp, udp, Listen::Unix(stream), Listen::Unix(packets), Listen::Unix(format!("@{name}").into())];
    assert_eq!(listening(&listens, me), [true; 5]);
    assert_eq!(listening(&listens, || vec![1]), [false; 5], "held by another process");
    let found = all_listening_of(&me());
    for (index, listen) in listens.iter().enumerate() {
        // The UDP port was picked by the kernel, so it passes for a client's.
        assert_eq!(found.iter().any(|facts| facts.listen == *listen), index != 1, "{listen}");
    }
    drop(listener);
    assert_eq!(listening(&listens, me), [false, true, true, true, true]);
}

#[test]
fn nothing_listens_costs_no_look_at_processes() {
    let free = std::net::SocketAddr::from(([127, 0, 0, 1], own_port()));
    let absent = Listen::Unix("/nonexistent/launcher.sock".into());
    assert_eq!(listening(&[Listen::Tcp(free), absent], || panic!("no pids needed")), [false, false]);
    assert_eq!(listening(&[], || panic!("no pids needed")), [false; 0]);
}

#[test]
fn a_dual_stack_listener_serves_both_families() {
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let listens =
        ["0.0.0.0", "127.0.0.1", "[::1]", "[::]"].map(|ip| Listen::Tcp(format!("{ip}:{port}").parse().unwrap()));
    assert_eq!(listening(&listens, me), [true; 4]);
}
