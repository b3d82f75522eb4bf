//! The launcher's own stdout and stderr, as services write to them.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{FileStat, fstat};
use tracing::warn;

use crate::core::output::Stream;

use super::later;

/// Held while lines of services are written to stdout or stderr, so that none comes in between: there are two threads
/// that do.
static WRITING: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];

/// So much a pipe takes at once when it takes anything (`PIPE_BUF`, `pipe(7)`).
const ATOM: usize = 4096;

/// One of the launcher's own descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// The line that was shown without its end: whose it is, and where it stands.
static UNENDED: Mutex<Option<(u64, Target)>> = Mutex::new(None);

/// How often something was written: whether a reader takes anything.
static PROGRESS: AtomicU64 = AtomicU64::new(0);

/// Whether nobody reads stdout or stderr any more.
static GONE: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

/// A number that grows as long as readers take something.
pub fn progress() -> u64 {
    PROGRESS.load(Ordering::Relaxed)
}

/// Takes the line that stands without its end.
pub fn take_unended() -> Option<(u64, Target)> {
    UNENDED.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A line of this writer stands without its end now.
pub fn set_unended(writer: u64, target: Target) {
    *UNENDED.lock().unwrap_or_else(PoisonError::into_inner) = Some((writer, target));
}

/// Whether a line that a service has not ended yet stands where something of the launcher's own would be drawn.
pub fn is_line_open() -> bool {
    let unended = *UNENDED.lock().unwrap_or_else(PoisonError::into_inner);
    unended.is_some_and(|(_, target)| target.is_stderr())
}

/// Writes the launcher's own lines to stderr. Where its reader takes nothing they are left for later: signals and
/// deadlines do not wait for a reader.
///
/// # Errors
/// Those of `write(2)`.
pub fn write_own(lines: &[u8]) -> io::Result<()> {
    let mut rest = lines;
    if !later::is_busy(Target::Stderr)
        && let Some(_alone) = Target::Stderr.alone()
    {
        while !rest.is_empty() && Target::Stderr.takes_something() {
            let (now, after) = rest.split_at(rest.len().min(ATOM));
            Target::Stderr.write_all(now)?;
            rest = after;
        }
    }
    if !rest.is_empty() {
        later::push(later::OWN, "launcher", Target::Stderr, rest);
    }
    Ok(())
}

/// Ends a line that a service has not ended yet, where something of the launcher's own is about to be written.
pub fn end_line() {
    let mut unended = UNENDED.lock().unwrap_or_else(PoisonError::into_inner);
    if unended.take_if(|(_, target)| target.is_stderr()).is_some() {
        drop(unended);
        let _ = write_own(b"\n");
    }
}

impl From<Stream> for Target {
    fn from(stream: Stream) -> Target {
        match stream {
            Stream::Stdout => Target::Stdout,
            Stream::Stderr => Target::Stderr,
        }
    }
}

impl Target {
    /// What is known of it.
    pub fn status(self) -> Option<FileStat> {
        match self {
            Target::Stdout => fstat(io::stdout()),
            Target::Stderr => fstat(io::stderr()),
        }
        .ok()
    }

    /// Whether a person reads it.
    pub fn is_terminal(self) -> bool {
        match self {
            Target::Stdout => io::stdout().is_terminal(),
            Target::Stderr => io::stderr().is_terminal(),
        }
    }

    /// Whether what is written to it comes out where stderr does.
    fn is_stderr(self) -> bool {
        matches!(self, Target::Stderr) || is_same(self.status().as_ref(), Target::Stderr.status().as_ref())
    }

    /// Writes past the buffers of `std`, so that nothing is kept back.
    ///
    /// # Errors
    /// Those of `write(2)`.
    pub fn write_all(self, bytes: &[u8]) -> io::Result<()> {
        // Nothing is drawn below until this is written.
        let _drawn = crate::run::screen::clear();
        let fd = match self {
            Target::Stdout => io::stdout().as_fd().as_raw_fd(),
            Target::Stderr => io::stderr().as_fd().as_raw_fd(),
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            match crate::sys::fd::write(fd, rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_writable(fd)?,
                Err(error) => return Err(error),
            }
            PROGRESS.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Which place it leads to: stdout and stderr are often one.
    pub fn place(self) -> usize {
        static IS_ONE: OnceLock<bool> = OnceLock::new();
        match self {
            Target::Stdout if !*IS_ONE.get_or_init(|| Target::Stdout.is_stderr()) => 0,
            _ => 1,
        }
    }

    /// The lock of that place.
    fn lock(self) -> &'static Mutex<()> {
        &WRITING[self.place()]
    }

    /// The right to write alone, if nobody writes now.
    fn alone(self) -> Option<MutexGuard<'static, ()>> {
        match self.lock().try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether a little can be written without waiting for a reader, or an error would come of it.
    fn takes_something(self) -> bool {
        let (out, err) = (io::stdout(), io::stderr());
        let fd = if self == Target::Stdout { out.as_fd() } else { err.as_fd() };
        !matches!(poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PollTimeout::ZERO), Ok(0))
    }

    /// Writes what one of several services has said. When nobody reads it any more that is told once: the services go
    /// on, and their last lines are kept.
    pub fn pass(self, bytes: &[u8]) {
        let gone = &GONE[self as usize];
        if bytes.is_empty() || gone.load(Ordering::Relaxed) {
            return;
        }
        let written = {
            let _alone = self.lock().lock().unwrap_or_else(PoisonError::into_inner);
            self.write_all(bytes)
        };
        if let Err(problem) = written {
            gone.store(true, Ordering::Relaxed);
            let name = if self == Target::Stdout { "stdout" } else { "stderr" };
            warn!(
                event = "output-gone",
                stream = name,
                "what services write cannot be passed on to launcher's {name} any more ({problem}): only the last of it is kept"
            );
        }
    }
}

/// Whether two descriptors lead to the same place.
pub fn is_same(one: Option<&FileStat>, other: Option<&FileStat>) -> bool {
    matches!((one, other), (Some(a), Some(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

fn wait_writable(fd: i32) -> io::Result<()> {
    let borrowed =
        if fd == 1 { io::stdout().as_fd().try_clone_to_owned() } else { io::stderr().as_fd().try_clone_to_owned() }?;
    poll(&mut [PollFd::new(borrowed.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
    Ok(())
}
