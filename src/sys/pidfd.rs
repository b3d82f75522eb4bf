//! Processes held by descriptors, whose place no other process can take (`pidfd_open(2)`).

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::core::signal::Signal;

/// A process, as long as this lives no other one; it may have ended.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    fd: OwnedFd,
}

impl Process {
    /// The process that has this pid now.
    ///
    /// # Errors
    /// Those of `pidfd_open(2)`: ESRCH when there is none.
    pub fn open(pid: i32) -> io::Result<Process> {
        // SAFETY: makes a descriptor, or fails; no memory is involved.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as RawFd;
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else knows of it.
        Ok(Process { pid, fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Readable when it has ended.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sends it a signal; one that has ended takes none, which is no error.
    ///
    /// # Errors
    /// Those of `pidfd_send_signal(2)`: EPERM when it may not be sent one.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let nothing = std::ptr::null::<libc::siginfo_t>();
        let (fd, number) = (self.fd.as_raw_fd(), signal.number());
        // SAFETY: the descriptor lives through the call, and no information goes with the signal.
        match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, nothing, 0) } {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                error => Err(error),
            },
        }
    }
}

/// The process that started this one.
#[derive(Debug)]
pub enum Parent {
    /// It is there.
    There(Process),
    /// It had this pid, and ended while it was looked at.
    Ended(i32),
    /// There is none that could be seen: this is the first process of its pid namespace, or was started from outside of it.
    Unseen,
}

impl Parent {
    /// Looks for it. One that had ended before that is not known any more: its place is taken by whoever adopts orphans.
    ///
    /// # Errors
    /// Those of `pidfd_open(2)`, but not that there is no such process.
    pub fn of_this_process() -> io::Result<Parent> {
        let pid = nix::unistd::getppid().as_raw();
        if pid == 0 {
            return Ok(Parent::Unseen);
        }
        match Process::open(pid) {
            // What was opened may be another process by now, and is not when this one still has the same parent.
            Ok(parent) if nix::unistd::getppid().as_raw() == pid => Ok(Parent::There(parent)),
            Ok(_) => Ok(Parent::Ended(pid)),
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(Parent::Ended(pid)),
            Err(error) => Err(error),
        }
    }
}

/// Waits until all of them have ended, for so long at most. The pids of those that have not.
pub fn wait_all(processes: &[Process], patience: Duration) -> Vec<i32> {
    let end = Instant::now() + patience;
    let mut left: Vec<&Process> = processes.iter().collect();
    while !left.is_empty() {
        let time = end.saturating_duration_since(Instant::now());
        let mut entries: Vec<PollFd<'_>> =
            left.iter().map(|process| PollFd::new(process.fd.as_fd(), PollFlags::POLLIN)).collect();
        // Rounded up: it would ask again and again within the last millisecond.
        let millis = i32::try_from(time.as_millis() + 1).unwrap_or(i32::MAX);
        let _ = poll(&mut entries, PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX));
        let ended: Vec<bool> = entries.iter().map(|entry| entry.any() == Some(true)).collect();
        let mut ended = ended.into_iter();
        left.retain(|_| ended.next() != Some(true));
        if time.is_zero() {
            break;
        }
    }
    left.iter().map(|process| process.pid).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_parent_of_this_process_is_there() {
        let Parent::There(parent) = Parent::of_this_process().unwrap() else { panic!("it waits for this test") };
        assert_eq!(parent.pid(), nix::unistd::getppid().as_raw());
        assert_eq!(wait_all(std::slice::from_ref(&parent), Duration::ZERO), [parent.pid()]);
    }

    #[test]
    fn a_process_is_ended_and_waited_for() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let process = Process::open(child.id() as i32).unwrap();
        assert_eq!(wait_all(std::slice::from_ref(&process), Duration::ZERO), [process.pid()]);
        process.signal(Signal::TERM).unwrap();
        assert_eq!(wait_all(std::slice::from_ref(&process), Duration::from_secs(60)), [0; 0]);
        child.wait().unwrap();
        // Whoever has its pid by now gets no signal.
        process.signal(Signal::KILL).unwrap();
        assert_eq!(Process::open(0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
