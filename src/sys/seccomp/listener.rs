//! Calls of a service that wait for the launcher's answer (`seccomp_unotify(2)`).

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use super::program::NARROW;

/// Where calls come in: of every process of one generation.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

/// A call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trapped {
    /// The kernel's number for it, until it is answered.
    pub id: u64,
    /// The thread that makes it, in the launcher's pid namespace; 0 when it cannot be seen from there.
    pub thread: i32,
    /// Which call it is.
    pub call: Call,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `bind(2)`: the descriptor, where the address lies, and how long it is.
    #[allow(missing_docs)]
    Bind { fd: RawFd, address: u64, length: u32 },
    /// `listen(2)`.
    #[allow(missing_docs)]
    Listen { fd: RawFd, backlog: i32 },
    /// `setsockopt(2)` of IPV6_V6ONLY: where the value lies.
    #[allow(missing_docs)]
    OnlyV6 { fd: RawFd, value: u64 },
    /// A 32-bit program binds something.
    NarrowBind,
    /// Another call, which was not asked for.
    Other,
}

impl Trapped {
    fn new(raw: &libc::seccomp_notif) -> Trapped {
        let [first, second, third, fourth, ..] = raw.data.args;
        let number = libc::c_long::from(raw.data.nr);
        // The kernel itself looks at the lower half of what it takes for an int.
        let fd = first as RawFd;
        let call = match number {
            _ if raw.data.arch == NARROW => Call::NarrowBind,
            libc::SYS_bind => Call::Bind { fd, address: second, length: third as u32 },
            libc::SYS_listen => Call::Listen { fd, backlog: second as i32 },
            libc::SYS_setsockopt => Call::OnlyV6 { fd, value: fourth },
            _ => Call::Other,
        };
        Trapped { id: raw.id, thread: raw.pid as i32, call }
    }
}

impl Listener {
    /// From the descriptor that the filter's installation gave.
    pub fn new(fd: OwnedFd) -> Listener {
        Listener { fd }
    }

    /// Waits for the next call. `None` when no process is left that could make one.
    pub fn wait(&self) -> Option<Trapped> {
        loop {
            let ready = self.poll(-1)?;
            if ready & libc::POLLIN != 0 {
                if let Some(trapped) = self.receive() {
                    return Some(trapped);
                }
            } else if ready & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0 {
                return None;
            }
        }
    }

    /// What is there to be had within this many milliseconds, for ever with -1; `None` when it cannot be asked.
    fn poll(&self, milliseconds: i32) -> Option<i16> {
        let mut entry = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        loop {
            // SAFETY: the one entry lives through the call.
            match unsafe { libc::poll(&raw mut entry, 1, milliseconds) } {
                0.. => return Some(entry.revents),
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => return None,
            }
        }
    }

    /// Takes a call that is there; `None` when its process was killed meanwhile.
    fn receive(&self) -> Option<Trapped> {
        // SAFETY: all zero is what the kernel asks for, and valid.
        let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the request carries the structure's size, and the structure lives through the call.
        let got = unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut raw) };
        (got == 0).then(|| Trapped::new(&raw))
    }

    /// Whether the call still waits: until then the thread is the one that made it, and what was read of it is its own.
    pub fn still_waits(&self, trapped: &Trapped) -> bool {
        // SAFETY: the kernel reads eight bytes, which live through the call.
        unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const trapped.id) == 0 }
    }

    /// Lets the kernel make the call as if there was no filter. One that does not wait any more is none to care for.
    pub fn let_go_on(&self, trapped: &Trapped) {
        self.answer(libc::seccomp_notif_resp {
            id: trapped.id,
            val: 0,
            error: 0,
            flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        });
    }

    /// Has the call return this errno, 0 for success, without being made.
    pub fn answer_with(&self, trapped: &Trapped, errno: i32) {
        self.answer(libc::seccomp_notif_resp { id: trapped.id, val: 0, error: -errno, flags: 0 });
    }

    fn answer(&self, response: libc::seccomp_notif_resp) {
        // SAFETY: the request carries the structure's size, and the structure lives through the call.
        unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) };
    }

    /// Puts the launcher's `source` in the place of the process's descriptor `target` (`SECCOMP_IOCTL_NOTIF_ADDFD`).
    ///
    /// # Errors
    /// ENOENT when the call does not wait any more; EBADF and EMFILE of the process's table.
    pub fn replace(&self, trapped: &Trapped, target: RawFd, source: BorrowedFd<'_>, on_exec: bool) -> io::Result<()> {
        let request = libc::seccomp_notif_addfd {
            id: trapped.id,
            flags: libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
            srcfd: source.as_raw_fd() as u32,
            newfd: target as u32,
            newfd_flags: if on_exec { libc::O_CLOEXEC as u32 } else { 0 },
        };
        // SAFETY: the request carries the structure's size, and the structure lives through the call.
        let done = unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ADDFD, &raw const request) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
