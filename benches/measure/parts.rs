//! What single parts of the launcher cost, without a peer to compare with.

use std::ffi::{CString, OsStr};
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use launcher::core::settings::Listen;
use launcher::sys::keeper::{Keeper, Message, SpawnPlan};
use launcher::sys::{executable, sock_diag};

use super::{ms, percentile};

/// How often each part is done.
const TIMES: usize = 500;

/// Prints the median of each part.
pub fn all() {
    println!("\nparts of the launcher, median of {TIMES}");
    let path = std::env::var_os("PATH").unwrap_or_default();
    tell("posix_spawn of `true` until it is gone", || {
        let status = Command::new("/bin/true").status();
        assert!(status.is_ok_and(|status| status.success()));
    });
    tell("the same below a keeper", below_a_keeper);
    tell("preflight of an executable", || {
        assert!(executable::examine(OsStr::new("true"), &path, None, None).is_ok());
    });
    let Ok(free) = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()) else { return };
    let listens = [Listen::Tcp(free)];
    tell("asking who listens on a port", || {
        sock_diag::listening(&listens, || vec![std::process::id() as i32]);
    });
}

fn tell(what: &str, mut part: impl FnMut()) {
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let begun = Instant::now();
            part();
            begun.elapsed()
        })
        .collect();
    println!("  {what:<40} {:>9}", ms(percentile(&mut times, 50)));
}

fn below_a_keeper() {
    let plan = SpawnPlan::new(CString::from(c"/bin/true"), vec![CString::from(c"true")]);
    let keeper = Keeper::start(plan).expect("a keeper starts");
    loop {
        match keeper.receive() {
            Some(Message::Gone | Message::Lost) => return,
            Some(_) => {}
            None => wait_readable(keeper.fd()),
        }
    }
}

fn wait_readable(fd: BorrowedFd<'_>) {
    let mut fds = [libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
    // SAFETY: the one entry lives through the call.
    unsafe { libc::poll(fds.as_mut_ptr(), 1, -1) };
}
