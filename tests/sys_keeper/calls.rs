//! Calls that a service's filter hands to the launcher, with real sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;

use launcher::core::adopt::{Kind, SocketFacts};
use launcher::core::exit::Ending;
use launcher::sys::keeper::Keeper;
use launcher::sys::seccomp::look::{self, OnlyV6};
use launcher::sys::seccomp::{Call, Filter, Listener, Trapped, ability};

use super::roles::plan_for;
use super::support::*;

/// A program in this role, below a filter.
fn trapped(role: &str, variable: &str, v6only: bool) -> (Keeper, Listener, Output) {
    let mut plan = plan_for(role);
    plan.envp.push(c(variable).into());
    let installation = ability().filter.expect("no filter can be installed");
    let mut filter = Filter::new(v6only);
    (filter.no_new_privs, filter.wait_killable) = (installation.no_new_privs, installation.wait_killable);
    plan.filter = Some(filter);
    let output = with_output(&mut plan);
    let keeper = start(plan);
    spawned(&keeper);
    let listener = keeper.take_listener().expect("the filter's descriptor comes before the program is executed");
    assert!(keeper.take_listener().is_none());
    (keeper, listener, output)
}

/// The next call, which is to be a bind: where to.
fn bind_of(listener: &Listener) -> (Trapped, i32, SocketAddr) {
    let call = listener.wait().unwrap();
    let Call::Bind { fd, address, length } = call.call else { panic!("{call:?}") };
    (call, fd, look::address(call.thread, address, length).unwrap().unwrap())
}

#[test]
fn a_bind_and_a_listen_are_answered_with_the_launchers_own_socket() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    // Before there is a program at all.
    let mut early = TcpStream::connect(address).unwrap();
    let (keeper, listener, output) = trapped("serve", &format!("ADDRESS={address}"), false);
    let (call, fd, asked) = bind_of(&listener);
    assert_eq!(asked, address);
    let seen = look::bind(keeper.pid().unwrap(), call.thread, fd, asked, &OnlyV6::new(false));
    assert!(seen.copy.is_some() && seen.flags.on_exec && !seen.flags.nonblocking);
    let SocketFacts { kind, v6, v6only, .. } = seen.facts.socket.unwrap();
    assert_eq!((kind, v6, v6only), (Some(Kind::Tcp), false, None));
    assert!(seen.facts.own_network && !seen.facts.polled && !seen.facts.shared);
    assert!(listener.still_waits(&call));
    listener.replace(&call, fd, held.as_fd(), true).unwrap();
    listener.answer_with(&call, 0);
    assert!(!listener.still_waits(&call), "it was answered");
    let call = listener.wait().unwrap();
    assert_eq!(call.call, Call::Listen { fd, backlog: 128 });
    let seen = look::listen(call.thread, fd).unwrap();
    let inode = nix::sys::stat::fstat(&held).unwrap().st_ino;
    assert_eq!((seen.facts.inode, seen.facts.bound), (inode, Some((address, false))));
    listener.answer_with(&call, 0);
    early.write_all(b"x").unwrap();
    let mut answer = [0];
    early.read_exact(&mut answer).unwrap();
    assert_eq!(exited(&keeper), Ending::Code(0), "{}", output.rest());
    assert_eq!(listener.wait(), None, "nobody is left to call");
}

#[test]
fn a_call_that_goes_on_is_made_as_ever() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (keeper, listener, output) = trapped("serve", &format!("ADDRESS={address}"), false);
    let (call, ..) = bind_of(&listener);
    listener.let_go_on(&call);
    let text = output.rest();
    assert!(text.contains("@failed 98"), "{text}");
    drop(keeper);
}

#[test]
fn what_a_replacement_would_break_is_seen() {
    let (keeper, listener, output) = trapped("odd-binds", "ADDRESS=[::1]:0", true);
    let mut only_v6 = OnlyV6::new(true);
    let mut next = || loop {
        let call = listener.wait().unwrap();
        match call.call {
            Call::Bind { fd, address, length } => {
                let asked = look::address(call.thread, address, length).unwrap().unwrap();
                let seen = look::bind(keeper.pid().unwrap(), call.thread, fd, asked, &only_v6);
                listener.answer_with(&call, 0);
                return seen;
            }
            Call::OnlyV6 { fd, value } => only_v6.note(call.thread, fd, value),
            _ => panic!("{call:?}"),
        }
        listener.let_go_on(&call);
    };
    let polled = next();
    assert!(polled.facts.polled && !polled.facts.shared && polled.flags.nonblocking);
    let shared = next();
    assert!(shared.facts.shared && !shared.facts.polled);
    let v6 = next().facts.socket.unwrap();
    assert_eq!((v6.kind, v6.v6, v6.v6only, v6.reuse_port), (Some(Kind::Tcp), true, Some(true), true));
    assert_eq!(next().facts.socket.unwrap().kind, Some(Kind::Udp));
    let foreign = next();
    assert!(!is_root() || !foreign.facts.own_network);
    let text = output.rest();
    assert!(text.contains("@done"), "{text}");
}

#[test]
fn an_address_that_cannot_be_read_or_is_of_another_family_is_none() {
    let (keeper, listener, output) = trapped("bad-addresses", "ADDRESS=x", false);
    let mut addresses = Vec::new();
    for _ in 0..5 {
        let call = listener.wait().unwrap();
        let Call::Bind { address, length, .. } = call.call else { panic!("{call:?}") };
        addresses.push(look::address(call.thread, address, length).map_err(|error| error.kind()));
        listener.let_go_on(&call);
    }
    let unreadable = Err(std::io::ErrorKind::PermissionDenied);
    assert_eq!(addresses, [unreadable, Ok(None), Ok(None), Ok(None), Ok(None)]);
    let text = output.rest();
    assert!(text.contains("@done"), "{text}");
    drop(keeper);
}

#[test]
fn a_signal_leaves_a_call_alone_that_is_in_hand() {
    let (keeper, listener, output) = trapped("interrupted", "ADDRESS=127.0.0.1:0", false);
    let (call, ..) = bind_of(&listener);
    // SAFETY: kill(2) takes no pointers.
    assert_eq!(unsafe { libc::kill(call.thread, libc::SIGUSR1) }, 0);
    let killable = ability().filter.unwrap().wait_killable;
    assert!(!killable || listener.still_waits(&call));
    listener.let_go_on(&call);
    if !killable {
        let (again, ..) = bind_of(&listener);
        listener.let_go_on(&again);
    }
    let text = output.rest();
    assert!(text.contains("@bound"), "{text}");
    drop(keeper);
}

/// The service is given up in the middle of a call.
#[test]
fn a_killed_process_does_not_hold_anyone_up() {
    let (keeper, listener, _output) = trapped("interrupted", "ADDRESS=127.0.0.1:0", false);
    let (call, fd, _) = bind_of(&listener);
    keeper.kill().unwrap();
    exited(&keeper);
    gone(&keeper);
    assert!(!listener.still_waits(&call));
    listener.let_go_on(&call);
    let stdin = std::io::stdin();
    assert!(listener.replace(&call, fd, stdin.as_fd(), true).is_err());
    assert_eq!(listener.wait(), None);
}

/// A filter above has the one descriptor that there can be, or ends whoever asks: both are found out beforehand.
#[test]
fn where_no_filter_can_be_installed_that_is_known_before() {
    for (role, expected) in [("below-a-listener", "Err(Seccomp(16))"), ("below-a-killer", "Err(Killed(31)) false")] {
        let told = play_through(&[], role);
        assert!(told[0].starts_with(expected), "{role}: {told:?}");
    }
    if is_root() {
        let told = play_through(&["setpriv", "--reuid", "65534", "--clear-groups"], "tells-ability");
        assert!(told[0].contains("no_new_privs: true") && told[0].ends_with("true"), "{told:?}");
    }
}
