//! The attach protocol of HotSpot: a socket in the JVM's own `/tmp`, one request per connection.
//!
//! A request is the protocol's version, a command and three arguments, each ended by NUL; the answer is a line with a
//! number, 0 for success, and then the text until the connection is closed
//! (`src/hotspot/os/posix/attachListener_posix.cpp` of the JDK).

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag};
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::UnlinkatFlags;
use socket2::{Domain, SockAddr, Socket, Type};

use super::super::namespace;
use super::identity::{Identity, act_as};
use crate::sys::dump::files;

/// No answer is read beyond this, in bytes.
const ANSWER: u64 = 32 << 20;
/// How long to wait for the JVM to make its socket before it is looked for again; the time doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest such time.
const LAST_PAUSE: Duration = Duration::from_millis(16);

/// Why a request was not answered.
#[derive(Debug)]
pub enum Failure {
    /// Nothing listens there (yet).
    NotListening,
    /// The JVM has closed the connection without a word: it does not serve this user.
    Refused,
    /// The socket is not the JVM's own.
    Foreign,
    /// It answered with an error.
    Answered(String),
    /// A system call failed.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

/// A JVM, as it is reached.
#[derive(Debug, Clone)]
pub struct Jvm {
    /// Its pid.
    pub pid: i32,
    /// Its pid in its own pid namespace.
    pub inner: i32,
    /// Whom it serves.
    pub identity: Identity,
    /// Its `/tmp`.
    temporary: Arc<OwnedFd>,
}

impl Jvm {
    /// Finds out how the process `pid` is reached; `via` is it, or a thread of it that lives. Errors: those of
    /// `/proc`, and `NotFound` where it has no `/tmp`.
    pub fn of(pid: i32, via: i32) -> io::Result<Jvm> {
        let status = files::record(&format!("/proc/{via}/status"))?;
        let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let effective = |key: &str| field(key)?.split_whitespace().nth(1)?.parse::<u32>().ok();
        let inner = namespace::innermost(&status, "NStgid").unwrap_or(pid);
        let (Some(user), Some(group)) = (effective("Uid"), effective("Gid")) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let temporary = Arc::new(temporary(via)?);
        Ok(Jvm { pid, inner, identity: Identity { user, group }, temporary })
    }

    /// Sends a command and gives its answer.
    pub fn ask(&self, command: &str, argument: &str, until: Instant) -> Result<String, Failure> {
        let request = format!("1\0{command}\0{argument}\0\0\0");
        let jvm = self.clone();
        act_as(self.identity, until, move || Ok(jvm.exchange(request.as_bytes(), until)))?
    }

    /// Waits until the JVM listens. Errors: `TimedOut`.
    pub fn wait_for_socket(&self, until: Instant) -> io::Result<()> {
        let jvm = self.clone();
        act_as(self.identity, until, move || {
            let mut pause = FIRST_PAUSE;
            while let Err(failure) = jvm.connect(until) {
                let left = until.saturating_duration_since(Instant::now());
                match failure {
                    Failure::NotListening if !left.is_zero() => std::thread::sleep(pause.min(left)),
                    Failure::Io(error) => return Err(error),
                    _ => return Err(io::ErrorKind::TimedOut.into()),
                }
                pause = (pause * 2).min(LAST_PAUSE);
            }
            Ok(())
        })
    }

    /// Makes the file that tells the JVM that SIGQUIT asks for its socket. Dropping what is returned removes it.
    /// Errors: `PermissionDenied` too where another user has put one there, of which the JVM would think nothing.
    pub fn announce(&self, until: Instant) -> io::Result<Announcement> {
        let (jvm, name) = (self.clone(), format!(".attach_pid{}", self.inner));
        let ours = act_as(self.identity, until, move || {
            let path = format!("/proc/self/fd/{}/{name}", jvm.temporary.as_raw_fd());
            match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let there = nix::sys::stat::fstatat(&*jvm.temporary, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
                    // Somebody else attaches at the same time.
                    let trusted = there.st_uid == jvm.identity.user || there.st_uid == 0;
                    if trusted { Ok(false) } else { Err(io::ErrorKind::PermissionDenied.into()) }
                }
                Err(error) => Err(error),
            }
        })?;
        Ok(Announcement { jvm: ours.then(|| self.clone()) })
    }

    fn exchange(&self, request: &[u8], until: Instant) -> Result<String, Failure> {
        let mut socket = self.connect(until)?;
        socket.write_all(request)?;
        let mut answer = Vec::new();
        let mut piece = [0u8; 1 << 16];
        while (answer.len() as u64) < ANSWER {
            socket.set_read_timeout(Some(left(until)?))?;
            match socket.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => answer.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The JVM closes with our request unread when it does not serve us.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset && answer.is_empty() => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Failure::Io(io::ErrorKind::TimedOut.into()));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let text = String::from_utf8_lossy(&answer);
        match text.split_once('\n') {
            Some(("0", text)) => Ok(text.to_owned()),
            None if text.is_empty() => Err(Failure::Refused),
            _ => Err(Failure::Answered(text.trim().replace('\n', " ").chars().take(200).collect())),
        }
    }

    fn connect(&self, until: Instant) -> Result<Socket, Failure> {
        let name = format!(".java_pid{}", self.inner);
        match nix::sys::stat::fstatat(&*self.temporary, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(there) if SFlag::from_bits_truncate(there.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFSOCK => {}
            Ok(_) => return Err(Failure::Foreign),
            Err(_) => return Err(Failure::NotListening),
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // It bounds the connecting, too: a JVM that is stuck may have its queue full.
        socket.set_write_timeout(Some(left(until)?))?;
        // By the descriptor: the folder's own path may lie in another mount namespace, and be too long for an address.
        let address = SockAddr::unix(format!("/proc/self/fd/{}/{name}", self.temporary.as_raw_fd()))?;
        if let Err(error) = socket.connect(&address) {
            return Err(match error.kind() {
                // Left behind by an earlier one with the same pid, as the first process of a container always has.
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Failure::NotListening,
                io::ErrorKind::WouldBlock => Failure::Io(io::ErrorKind::TimedOut.into()),
                _ => Failure::Io(error),
            });
        }
        // Who listens there, as the kernel knows; 0 when it lies outside our pid namespace.
        match getsockopt(&socket.as_fd(), sockopt::PeerCredentials) {
            Ok(peer) if peer.pid() != self.pid && peer.pid() != 0 => Err(Failure::Foreign),
            _ => Ok(socket),
        }
    }
}

/// The file that announces an attach.
#[derive(Debug)]
pub struct Announcement {
    jvm: Option<Jvm>,
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let Some(jvm) = self.jvm.take() else { return };
        let _ = act_as(jvm.identity, Instant::now() + LAST_PAUSE, move || {
            let name = format!(".attach_pid{}", jvm.inner);
            Ok(nix::unistd::unlinkat(&*jvm.temporary, name.as_str(), UnlinkatFlags::NoRemoveDir)?)
        });
    }
}

/// The `/tmp` of a process, whatever links its own file system has there.
fn temporary(via: i32) -> io::Result<OwnedFd> {
    let path = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = nix::fcntl::open(format!("/proc/{via}/root").as_str(), path, Mode::empty())?;
    let inside = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(path).resolve(inside);
    let opened = nix::fcntl::openat2(&root, "tmp", how);
    // Where a seccomp filter knows only older calls, a plain folder will do.
    Ok(match opened {
        Err(nix::errno::Errno::ENOSYS | nix::errno::Errno::EPERM) => {
            nix::fcntl::openat(&root, "tmp", path | OFlag::O_NOFOLLOW, Mode::empty())?
        }
        opened => opened?,
    })
}

/// The time left. Errors: `TimedOut` when there is none.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Sends SIGQUIT to the process if it has a handler for it. Errors: those of `pidfd_open(2)` and
/// `pidfd_send_signal(2)`; `Unsupported` when it has no handler: the signal would end it.
pub fn send_quit(pid: i32) -> io::Result<()> {
    // SAFETY: both arguments are numbers.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if opened < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just returned this descriptor, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(opened as i32) };
    // Read while the pidfd is held: it cannot be a later process with the same number that gets the signal.
    let status = files::record(&format!("/proc/{pid}/status"))?;
    if !catches_quit(&status) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null pointer for the information is allowed: the kernel fills it as for kill(2).
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGQUIT, nothing, 0) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a process with this `/proc/PID/status` has a handler for SIGQUIT.
fn catches_quit(status: &str) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught & (1 << (libc::SIGQUIT - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_only_for_who_catches_it() {
        assert!(catches_quit("SigIgn:\t0000000000000004\nSigCgt:\t2000000181005ccf\n"));
        assert!(!catches_quit("SigIgn:\t0000000000000004\nSigCgt:\t0000000000000002\n"));
        assert!(!catches_quit("SigCgt:\tnoise\n"));
        assert!(!catches_quit(""));
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert_eq!(send_quit(child.id() as i32).unwrap_err().kind(), io::ErrorKind::Unsupported);
        child.stdin = None;
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn a_process_without_a_jvm_does_not_listen() {
        let pid = std::process::id() as i32;
        let jvm = Jvm::of(pid, pid).unwrap();
        assert_eq!((jvm.inner, jvm.identity), (pid, Identity::own()));
        let until = Instant::now() + Duration::from_millis(20);
        assert!(matches!(jvm.ask("threaddump", "", until), Err(Failure::NotListening)));
        assert_eq!(jvm.wait_for_socket(until).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
