//! Work done in another user's name, by a thread that ends with it.
//!
//! The JVM serves its own user only (root, too, in later versions) and looks at the effective ids of whoever connects.
//! Linux keeps ids per thread; the C library's `seteuid` would change them for the whole process, so the system calls
//! are made directly. Only the effective ids are taken: as the real and the saved ones stay, the other user may neither
//! signal nor trace the thread meanwhile (`kill(2)`, `ptrace(2)`).

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::sys::dump::rights::was_dumpable;

/// How much longer than its own limits the work may take before it is left behind.
const GRACE: Duration = Duration::from_millis(20);

/// A user and a group, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The effective user.
    pub user: u32,
    /// The effective group.
    pub group: u32,
}

impl Identity {
    /// That of the calling thread.
    pub fn own() -> Identity {
        Identity { user: nix::unistd::geteuid().as_raw(), group: nix::unistd::getegid().as_raw() }
    }
}

/// Does `work` as `identity` in a thread of its own. Errors: `PermissionDenied` when the identity may not be taken, else
/// what the work gives, and `TimedOut` when that was not done by `until`: the thread is then left to end by itself.
pub fn act_as<T: Send + 'static>(
    identity: Identity,
    until: Instant,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (send, receive) = mpsc::channel();
    std::thread::Builder::new().name("dump-jvm".into()).spawn(move || {
        let _ = send.send(take(identity).and_then(|()| work()));
    })?;
    let left = until.saturating_duration_since(Instant::now()) + GRACE;
    receive.recv_timeout(left).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Makes these the effective ids of the calling thread alone.
fn take(wanted: Identity) -> io::Result<()> {
    let own = Identity::own();
    if own == wanted {
        return Ok(());
    }
    let dumpable = was_dumpable();
    let keep = libc::c_long::from(-1);
    // The group first: without root's user id it could not be taken any more.
    if own.group != wanted.group {
        // SAFETY: the call takes three numbers and changes the ids of this thread; no memory is involved.
        done(unsafe { libc::syscall(libc::SYS_setresgid, keep, libc::c_long::from(wanted.group), keep) })?;
    }
    if own.user != wanted.user {
        // SAFETY: as above.
        done(unsafe { libc::syscall(libc::SYS_setresuid, keep, libc::c_long::from(wanted.user), keep) })?;
    }
    // A change of the effective ids makes the whole process undumpable; nothing secret has come in with these.
    if dumpable {
        let _ = nix::sys::prctl::set_dumpable(true);
    }
    Ok(())
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_identity_is_that_of_the_one_thread_only() {
        let before = Identity::own();
        let until = Instant::now() + Duration::from_secs(5);
        let wanted = if before.user == 0 { Identity { user: 65534, group: 65533 } } else { before };
        // Another thread is just becoming somebody else.
        if was_dumpable() && wanted != before {
            nix::sys::prctl::set_dumpable(false).unwrap();
        }
        let inside = act_as(wanted, until, || Ok(Identity::own())).unwrap();
        assert_eq!((inside, Identity::own()), (wanted, before));
        assert!(nix::sys::prctl::get_dumpable().unwrap());
        if before.user != 0 {
            let refused = act_as(Identity { user: 0, group: 0 }, until, || Ok(())).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        }
    }

    #[test]
    fn work_that_hangs_is_left_behind() {
        let (_keep, never) = mpsc::channel::<()>();
        let result = act_as(Identity::own(), Instant::now(), move || never.recv().map_err(io::Error::other));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
