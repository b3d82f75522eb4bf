//! What a thread tries in vain between two sleeps.

use std::net::Ipv4Addr;
use std::time::Duration;

use launcher::core::facts::{AttemptFacts, Tried};
use launcher::sys::dump::{self, Options};

use crate::victim::{Victim, dumped, options};

/// A port that stays bound, so that nobody else listens on it, and refuses until the test listens.
fn refusing() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

#[track_caller]
fn is_seen_to_retry(more: &[&str]) {
    let (socket, port) = refusing();
    let mut victim = Victim::start_with("retries.c", &["-g"], |command| {
        command.arg(port.to_string()).args(more);
    })
    .ready(1);
    assert_eq!(dumped(victim.pid()).threads[0].attempts, [], "a dump that is asked for leaves it alone");
    let follow = Options { follow_sleepers: Some(Duration::from_secs(1)), ..options() };
    let address = format!("127.0.0.1:{port}");
    // It may be on its way just then: that is no sleep.
    let attempts = loop {
        let process = dump::dump(&[victim.pid()], &follow).remove(0);
        if !process.threads[0].attempts.is_empty() {
            break process.threads[0].attempts.clone();
        }
    };
    assert_eq!(attempts, [AttemptFacts { address, errno: libc::ECONNREFUSED, times: 1, ..AttemptFacts::default() }]);
    // It goes on as if nothing had been, and no sleep was cut short.
    socket.listen(1).unwrap();
    assert_eq!(victim.line(), "connected");
    assert!(victim.end().success());
}

#[test]
fn a_refused_connection() {
    is_seen_to_retry(&[]);
}

#[test]
fn a_refused_connection_of_a_program_that_does_not_block() {
    is_seen_to_retry(&["nonblocking"]);
}

#[test]
fn a_refused_connection_of_a_program_that_would_notice_an_interruption() {
    is_seen_to_retry(&["epoll"]);
}

#[test]
fn a_lock_that_another_process_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lock");
    let file = std::fs::File::create(&path).unwrap();
    file.lock().unwrap();
    let mut victim = Victim::start_with("tries_lock.c", &["-g"], |command| {
        command.arg(&path);
    })
    .ready(1);
    let follow = Options { follow_sleepers: Some(Duration::from_secs(1)), ..options() };
    // It may be on its way just then: that is no sleep.
    let seen = loop {
        let process = dump::dump(&[victim.pid()], &follow).remove(0);
        if let Some(seen) = process.threads[0].attempts.first() {
            break seen.clone();
        }
    };
    assert_eq!((seen.what, seen.errno, seen.address), (Tried::FileLock, libc::EWOULDBLOCK, path.display().to_string()));
    assert_eq!(seen.holders.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [std::process::id() as i32]);
    drop(file);
    assert_eq!(victim.line(), "locked");
    assert!(victim.end().success());
}
