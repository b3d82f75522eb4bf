use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

mod unix;

use super::*;
use crate::core::facts::HoldState;
use crate::core::listen::with_port;
use crate::sys::testing::{comes_to_be, own_port, succeeds};

fn tcp(address: impl ToString) -> Listen {
    Listen::Tcp(address.to_string().parse().unwrap())
}

fn udp(address: impl ToString) -> Listen {
    Listen::Udp(address.to_string().parse().unwrap())
}

fn problem(result: Result<impl Sized, RawPortFailure>) -> Option<PortProblem> {
    result.err().map(|failure| failure.problem)
}

/// Whether the descriptor is closed on exec: what every socket made here must be.
fn is_close_on_exec(fd: impl AsRawFd) -> bool {
    let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap_or_default();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim).unwrap_or_default();
    i32::from_str_radix(flags, 8).is_ok_and(|flags| flags & libc::O_CLOEXEC != 0)
}

/// Runs this in a thread of its own that has taken on an ordinary user; the others stay what they are.
fn as_nobody<T: Send>(test: impl FnOnce() -> T + Send) -> Option<T> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let run = || {
        // SAFETY: the raw call changes the credentials of this thread alone, and takes no pointers.
        let result = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
        assert_eq!(result, 0);
        // The kernel makes the whole process undumpable for that, and its other threads with it.
        nix::sys::prctl::set_dumpable(true).unwrap();
        test()
    };
    std::thread::scope(|scope| Some(scope.spawn(run).join().unwrap()))
}

/// A holder's program, which says its port when it holds it and ends with its input.
struct Holder {
    child: Child,
    port: u16,
}

impl Holder {
    fn start(script: &str, environment: &[(&str, &str)]) -> Holder {
        let script = format!("import os, socket, sys\n{script}\nprint(port, flush=True)\nsys.stdin.read()");
        let mut command = Command::new("python3");
        command.args(["-c", &script]).envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 is needed");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Holder { port: line.trim().parse().expect(&line), child }
    }

    /// A listener on this address with this socket option, on a port that is its own on all addresses.
    fn listener(address: &str, options: &str) -> Holder {
        let (family, port) = (if address.contains(':') { "AF_INET6" } else { "AF_INET" }, own_port());
        let script = format!(
            "s = socket.socket(socket.{family}); {options}\ns.bind(('{address}', {port})); s.listen()\nport = {port}"
        );
        Holder::start(&script, &[])
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

const REUSE_ADDRESS: &str = "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)";
const REUSE_PORT: &str = "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)";
const V6_ONLY: &str = "s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)";
const DUAL: &str = "s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)";

/// Every kind of holder against every address asked for: found by the look, by the reservation and by the question.
#[test]
fn conflict_matrix() {
    let asked = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "[::1]", "[::]"];
    let matrix = [
        ("127.0.0.1", "", [true, false, true, false, true]),
        ("0.0.0.0", "", [true, true, true, false, true]),
        ("::1", "", [false, false, false, true, true]),
        ("::", DUAL, [true, true, true, true, true]),
        ("::", V6_ONLY, [false, false, false, true, true]),
        ("::ffff:127.0.0.1", DUAL, [true, false, true, false, true]),
    ];
    for (address, family_option, expected) in matrix {
        for reuse in ["", REUSE_ADDRESS, REUSE_PORT] {
            let holder = Holder::listener(address, &format!("{family_option}\n{reuse}"));
            for (asked, expected) in asked.into_iter().zip(expected) {
                let listen = tcp(format!("{asked}:{}", holder.port));
                let what = format!("{address} {family_option} {reuse} against {asked}");
                let expected = expected.then_some(PortProblem::Taken);
                assert_eq!(problem(examine(&listen)), expected, "examine {what}");
                assert_eq!(problem(reserve(&listen)), expected, "reserve {what}");
                assert_eq!(problem(super::listen(&listen)), expected, "listen {what}");
                let owner = owner(&listen, None);
                let pids: Vec<i32> = owner.iter().flat_map(|owner| &owner.holders).map(|holder| holder.pid).collect();
                assert_eq!(pids, expected.map_or(vec![], |_| vec![holder.pid()]), "owner {what}");
            }
        }
    }
}

#[test]
fn the_owner_is_told_whole() {
    let holder = Holder::listener("0.0.0.0", "");
    let owner = owner(&tcp(format!("127.0.0.1:{}", holder.port)), None).unwrap();
    assert_eq!(owner.state, HoldState::Listening);
    assert_eq!(owner.address.as_deref(), Some(&*format!("0.0.0.0:{}", holder.port)));
    assert_eq!(owner.uid, Some(nix::unistd::geteuid().as_raw()));
    if owner.uid == Some(0) {
        assert_eq!(owner.user.as_deref(), Some("root"));
    }
    let [found] = &owner.holders[..] else { panic!("{owner:?}") };
    assert!(found.command[0].ends_with("python3") && found.command[1] == "-c", "{:?}", found.command);
    assert!(found.running.unwrap() < std::time::Duration::from_secs(600));
    assert!(!found.leftover && found.launcher.is_none());
}

#[test]
fn children_that_hold_it_too_are_told_after_their_parent() {
    let script = "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\nport = s.getsockname()[1]\n\
                  r, w = os.pipe()\nif os.fork() == 0 or os.fork() == 0:\n  os.close(w); os.read(r, 1); os._exit(0)";
    let holder = Holder::start(script, &[]);
    let owner = owner(&tcp(format!("127.0.0.1:{}", holder.port)), None).unwrap();
    assert_eq!(owner.holders.len(), 3, "{owner:?}");
    assert_eq!(owner.holders[0].pid, holder.pid());
}

#[test]
fn a_multipath_listener_is_found_like_any_other() {
    // Go listens so by default since 1.24; IPPROTO_MPTCP is 262.
    let script = "try:\n  s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\nexcept OSError:\n  \
                  print(0, flush=True); sys.exit()\ns.bind(('127.0.0.1', 0)); s.listen()\nport = s.getsockname()[1]";
    let holder = Holder::start(script, &[]);
    if holder.port == 0 {
        eprintln!("skipped: this kernel has no MPTCP");
        return;
    }
    let listen = tcp(format!("127.0.0.1:{}", holder.port));
    assert_eq!(owner(&listen, None).unwrap().holders[0].pid, holder.pid());
    assert_eq!(crate::sys::sock_diag::listening(&[listen], || vec![holder.pid()]), [true]);
}

#[test]
fn a_leftover_is_known_by_its_environment() {
    let script = "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\nport = s.getsockname()[1]";
    let holder = Holder::start(script, &[("LAUNCHER_SERVICE", "api")]);
    let listen = tcp(format!("127.0.0.1:{}", holder.port));
    let leftover = |service| owner(&listen, service).unwrap().holders[0].leftover;
    assert!(leftover(Some("api")));
    assert!(!leftover(Some("other")) && !leftover(None));
}

#[test]
fn another_launchers_reservation_is_found() {
    for options in ["", REUSE_ADDRESS, &format!("{REUSE_ADDRESS}\n{REUSE_PORT}")] {
        let script = format!("s = socket.socket(); {options}\ns.bind(('127.0.0.1', 0)); port = s.getsockname()[1]");
        let holder = Holder::start(&script, &[]);
        let listen = tcp(format!("127.0.0.1:{}", holder.port));
        assert_eq!(problem(reserve(&listen)), Some(PortProblem::Taken), "{options}");
        let owner = owner(&listen, None).unwrap();
        assert_eq!((owner.state, owner.holders[0].pid), (HoldState::Bound, holder.pid()));
    }
    // And the real thing.
    let held = reserve(&tcp("127.0.0.1:0")).unwrap();
    assert_eq!(problem(reserve(held.address())), Some(PortProblem::Taken));
    assert_eq!(owner(held.address(), None).unwrap().state, HoldState::Bound);
}

#[test]
fn a_connections_local_end_is_found() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let listen = tcp(client.local_addr().unwrap());
    assert_eq!(problem(examine(&listen)), Some(PortProblem::Taken));
    let owner = owner(&listen, None).unwrap();
    assert_eq!((owner.state, owner.holders[0].pid), (HoldState::Connected, std::process::id() as i32));
}

#[test]
fn time_wait_is_told_but_in_nobodys_way() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = tcp(server.local_addr().unwrap());
    let mut client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let (accepted, _) = server.accept().unwrap();
    // Who closes first waits: the server's side.
    drop(accepted);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
    drop((client, server));
    let told = || owner(&listen, None).map(|owner| (owner.state, owner.holders.len(), owner.uid));
    comes_to_be(&Some((HoldState::TimeWait, 0, None)), told);
    assert_eq!(problem(examine(&listen)), None);
    let held = super::listen(&listen).unwrap();
    assert_eq!(*held.address(), listen);
}

#[test]
fn accepted_connections_of_an_old_server_are_in_nobodys_way() {
    let server = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    server.set_reuse_address(true).unwrap();
    server.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    server.listen(1).unwrap();
    let address = server.local_addr().unwrap().as_socket().unwrap();
    let _client = TcpStream::connect(address).unwrap();
    let (_accepted, _) = server.accept().unwrap();
    drop(server);
    comes_to_be(&None, || problem(reserve(&tcp(address))));
}

#[test]
fn a_reserved_port_is_the_programs_to_bind() {
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
        let held = reserve(&tcp(address)).unwrap();
        let Listen::Tcp(chosen) = *held.address() else { panic!() };
        assert_ne!(chosen.port(), 0);
        assert!(is_close_on_exec(held.descriptor().unwrap()));
        assert!(TcpStream::connect(chosen).is_err(), "it does not listen");
        let try_with = |set: fn(&Socket) -> io::Result<()>| {
            let socket = Socket::new(Domain::for_address(chosen), Type::STREAM, None)?;
            set(&socket)?;
            socket.bind(&chosen.into())?;
            socket.listen(1)
        };
        assert!(try_with(|socket| socket.set_reuse_address(true)).is_ok(), "{address} SO_REUSEADDR");
        assert!(try_with(|socket| socket.set_reuse_port(true)).is_ok(), "{address} SO_REUSEPORT");
        assert!(try_with(|_| Ok(())).is_err(), "{address}: who sets neither must wait for the release");
        drop(held);
        // Released.
        succeeds(|| try_with(|_| Ok(())));
        // The number stays for the next generation.
        assert_eq!(*succeeds(|| reserve(&tcp(chosen))).address(), tcp(chosen));
    }
}

#[test]
fn a_passed_socket_queues_connections() {
    for host in ["127.0.0.1", "[::1]"] {
        let held = super::listen(&tcp(format!("{host}:{}", own_port()))).unwrap();
        let Listen::Tcp(chosen) = *held.address() else { panic!() };
        assert!(is_close_on_exec(held.descriptor().unwrap()));
        let mut client = TcpStream::connect(chosen).unwrap();
        client.write_all(b"x").unwrap();
        let server = TcpListener::from(held.descriptor().unwrap().try_clone_to_owned().unwrap());
        let mut byte = [0];
        server.accept().unwrap().0.read_exact(&mut byte).unwrap();
        let backlog = crate::sys::sock_diag::listeners(chosen.port()).unwrap()[0].send_queue;
        let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse::<u32>().unwrap();
        assert_eq!(backlog, most.min(4096));
    }
}

#[test]
fn a_passed_ipv6_wildcard_takes_both_families() {
    let held = super::listen(&tcp("[::]:0")).unwrap();
    let port = port_of(held.address()).unwrap();
    TcpStream::connect(("127.0.0.1", port)).unwrap();
    TcpStream::connect(("::1", port)).unwrap();
}

#[test]
fn udp_is_found_reserved_and_passed() {
    let taken = UdpSocket::bind(("127.0.0.1", own_port())).unwrap();
    let listen = udp(taken.local_addr().unwrap());
    assert_eq!(problem(examine(&listen)), Some(PortProblem::Taken));
    assert_eq!(owner(&listen, None).unwrap().holders[0].pid, std::process::id() as i32);
    assert_eq!(problem(examine(&tcp(taken.local_addr().unwrap()))), None, "tcp is another matter");
    drop(taken);
    let held = succeeds(|| reserve(&listen));
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    let Listen::Udp(address) = listen else { panic!() };
    socket.bind(&address.into()).unwrap();
    drop((held, socket));
    let held = super::listen(&udp("127.0.0.1:0")).unwrap();
    let Listen::Udp(address) = *held.address() else { panic!() };
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", address).unwrap();
    let server = UdpSocket::from(held.descriptor().unwrap().try_clone_to_owned().unwrap());
    assert_eq!(server.recv(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn auto_is_picked_once_and_kept() {
    let picked = pick(&tcp("127.0.0.1:0")).unwrap();
    assert_ne!(port_of(&picked), Some(0));
    assert_eq!(pick(&picked), Ok(picked.clone()));
    comes_to_be(&None, || problem(examine(&picked)));
    assert_eq!(owner(&tcp("127.0.0.1:0"), None), None);
    // Many at once are all different: `auto` never lands on one that may be shared.
    let many: Vec<Held> = (0..64).map(|_| reserve(&udp("127.0.0.1:0")).unwrap()).collect();
    let ports: std::collections::HashSet<_> = many.iter().map(|held| port_of(held.address())).collect();
    assert_eq!(ports.len(), 64);
}

#[test]
fn an_address_elsewhere_names_those_here() {
    let failure = examine(&tcp("203.0.113.77:8080")).unwrap_err();
    assert_eq!((failure.problem, failure.errno), (PortProblem::NoSuchAddress, Some(libc::EADDRNOTAVAIL)));
    assert!(failure.addresses.contains(&"127.0.0.1".parse().unwrap()));
    let failure = examine(&tcp("[2001:db8::77]:8080")).unwrap_err();
    assert_eq!(failure.problem, PortProblem::NoSuchAddress);
    assert!(failure.addresses.iter().all(IpAddr::is_ipv6));
}

#[test]
fn a_privileged_port_is_told_to_ordinary_users() {
    let Some(failure) = as_nobody(|| examine(&tcp("127.0.0.1:79"))) else {
        eprintln!("skipped: only root can become an ordinary user");
        return;
    };
    let failure = failure.unwrap_err();
    assert_eq!((failure.problem, failure.errno), (PortProblem::Privileged, Some(libc::EACCES)));
    assert!(failure.unprivileged_from.unwrap() > 79);
}

#[test]
fn who_may_not_be_looked_into_is_told_by_uid() {
    let holder = Holder::listener("127.0.0.1", "");
    let listen = tcp(format!("127.0.0.1:{}", holder.port));
    let Some(owner) = as_nobody(|| owner(&listen, None)) else {
        eprintln!("skipped: only root can become an ordinary user");
        return;
    };
    let owner = owner.unwrap();
    assert_eq!((owner.uid, owner.user.as_deref(), owner.holders.len()), (Some(0), Some("root"), 0));
}

#[test]
fn a_change_of_port_leaves_the_rest() {
    assert_eq!(with_port(&udp("[::1]:1"), 7), udp("[::1]:7"));
}
