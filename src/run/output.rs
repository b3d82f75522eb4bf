//! What services write: passed on as it is or line by line with the service's name before it, and the last of it
//! remembered for the report.
//!
//! In single-command mode the child's stdout and stderr are the launcher's own descriptors where anything in between
//! would be felt: a terminal, a socket of the journal, a device. Where the launcher writes into a pipe or a file the
//! child gets a pipe, and a thread carries the bytes over untouched: so the report has the last words, and a reader that
//! is slow or gone is felt by the child as it would be without launcher.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{FileStat, SFlag, fstat};

/// How much of the last output is remembered, in bytes.
const TAIL: usize = 16 * 1024;

/// How long a line may be before it is passed on in parts, in bytes.
const LONGEST_LINE: usize = 64 * 1024;

/// How long the launcher waits for a reader to take what a dead child has left in the pipe.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The output of one service.
pub struct Output {
    stdout: Way,
    stderr: Way,
    tail: Arc<Mutex<Tail>>,
}

/// How one descriptor of the child is served.
enum Way {
    /// It is the launcher's own, and nothing can be seen of it.
    Own,
    /// A pipe that a relay reads; the end for the child.
    Pipe(OwnedFd),
}

/// The last bytes written, and when.
#[derive(Default)]
struct Tail {
    bytes: VecDeque<u8>,
    last: Option<Instant>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        let surplus = self.bytes.len().saturating_sub(TAIL);
        self.bytes.drain(..surplus);
        self.last = Some(Instant::now());
    }
}

/// Where a relay takes bytes from and in which form it passes them on.
struct Source {
    from: File,
    to: Target,
    tail: Arc<Mutex<Tail>>,
    /// The service's name to put before each line; `None` passes bytes on as they come.
    prefix: Option<String>,
    /// The part of a line that has no end yet.
    partial: Vec<u8>,
}

/// One of the launcher's own descriptors.
#[derive(Clone, Copy)]
enum Target {
    Stdout,
    Stderr,
}

impl Target {
    fn status(self) -> Option<FileStat> {
        match self {
            Target::Stdout => fstat(io::stdout()),
            Target::Stderr => fstat(io::stderr()),
        }
        .ok()
    }

    /// Writes past the buffers of `std`, so that nothing is kept back.
    fn write_all(self, bytes: &[u8]) -> io::Result<()> {
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
        }
        Ok(())
    }
}

/// The threads that carry output over. Dropping it without [`Relays::finish`] leaves what is under way behind.
#[derive(Default)]
pub struct Relays {
    ended: Vec<Receiver<()>>,
    shared: Vec<Source>,
}

impl Relays {
    /// The output of the one service of single-command mode.
    ///
    /// # Errors
    /// Of making a pipe or a thread.
    pub fn single(&mut self, owner: Option<(u32, u32)>) -> io::Result<Output> {
        let tail = Arc::new(Mutex::new(Tail::default()));
        let (out, err) = (Target::Stdout.status(), Target::Stderr.status());
        let same = matches!((&out, &err), (Some(a), Some(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino));
        let stdout = self.way(Target::Stdout, out.as_ref(), &tail, owner)?;
        let stderr = match &stdout {
            // One pipe for both keeps the order in which the child writes to them.
            Way::Pipe(end) if same => Way::Pipe(end.try_clone()?),
            _ => self.way(Target::Stderr, err.as_ref(), &tail, owner)?,
        };
        Ok(Output { stdout, stderr, tail })
    }

    fn way(
        &mut self,
        to: Target,
        status: Option<&FileStat>,
        tail: &Arc<Mutex<Tail>>,
        owner: Option<(u32, u32)>,
    ) -> io::Result<Way> {
        match status.map(|status| SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT) {
            Some(SFlag::S_IFREG | SFlag::S_IFIFO) => {
                let (from, end) = pipe_for(owner)?;
                let source = Source { from, to, tail: tail.clone(), prefix: None, partial: Vec::new() };
                self.start(vec![source])?;
                Ok(Way::Pipe(end))
            }
            _ => Ok(Way::Own),
        }
    }

    /// The output of one of several services, each line with its name before it. Nothing is carried before
    /// [`Relays::start_shared`].
    ///
    /// # Errors
    /// Of making a pipe.
    pub fn prefixed(&mut self, prefix: String, owner: Option<(u32, u32)>) -> io::Result<Output> {
        let tail = Arc::new(Mutex::new(Tail::default()));
        let mut way = |to| -> io::Result<Way> {
            let (from, end) = pipe_for(owner)?;
            let prefix = Some(prefix.clone());
            self.shared.push(Source { from, to, tail: tail.clone(), prefix, partial: Vec::new() });
            Ok(Way::Pipe(end))
        };
        Ok(Output { stdout: way(Target::Stdout)?, stderr: way(Target::Stderr)?, tail })
    }

    /// Starts the one thread that serves all prefixed outputs.
    ///
    /// # Errors
    /// Of making the thread.
    pub fn start_shared(&mut self) -> io::Result<()> {
        let sources = std::mem::take(&mut self.shared);
        if sources.is_empty() { Ok(()) } else { self.start(sources) }
    }

    fn start(&mut self, sources: Vec<Source>) -> io::Result<()> {
        let (end, ended) = channel();
        std::thread::Builder::new().name("output".into()).stack_size(64 * 1024).spawn(move || {
            relay(sources);
            let _ = end.send(());
        })?;
        self.ended.push(ended);
        Ok(())
    }

    /// Waits until everything written has been passed on, for at most two seconds: a reader that takes nothing does
    /// not keep the launcher. The [`Output`]s must have been dropped, and their services have ended.
    pub fn finish(self) {
        let deadline = Instant::now() + LAST_WORDS;
        for ended in self.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }
}

impl Output {
    /// The descriptors for a child's stdout and stderr; `None` where it gets the launcher's own.
    ///
    /// # Errors
    /// Of duplicating a descriptor.
    pub fn ends(&self) -> io::Result<[Option<OwnedFd>; 2]> {
        let end = |way: &Way| match way {
            Way::Pipe(end) => end.try_clone().map(Some),
            Way::Own => Ok(None),
        };
        Ok([end(&self.stdout)?, end(&self.stderr)?])
    }

    /// What was written last, as far as it can be seen, lossy UTF-8, and how long ago.
    pub fn tail(&self) -> (String, Option<Duration>) {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = tail.bytes.iter().copied().collect();
        (whole_lines(&bytes), tail.last.map(|at| at.elapsed()))
    }

    /// Waits, for at most 50 ms, until what a child has written is taken from the pipes: its last words are in the
    /// tail then.
    pub fn settle(&self) {
        let deadline = Instant::now() + Duration::from_millis(50);
        for way in [&self.stdout, &self.stderr] {
            while let Way::Pipe(end) = way
                && crate::sys::fd::unread(end.as_fd()).is_ok_and(|bytes| bytes > 0)
                && Instant::now() < deadline
            {
                std::thread::yield_now();
            }
        }
    }
}

/// A pipe whose child's end belongs to the child's user: opening `/dev/stdout` asks for that.
fn pipe_for(owner: Option<(u32, u32)>) -> io::Result<(File, OwnedFd)> {
    let (from, end) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    if let Some((uid, gid)) = owner {
        // Who may not give it away may not become that user either, and the start will say so; a process that is that
        // user already owns it.
        let _ = nix::unistd::fchown(&end, Some(uid.into()), Some(gid.into()));
    }
    Ok((File::from(from), end))
}

fn wait_writable(fd: i32) -> io::Result<()> {
    let borrowed =
        if fd == 1 { io::stdout().as_fd().try_clone_to_owned() } else { io::stderr().as_fd().try_clone_to_owned() }?;
    poll(&mut [PollFd::new(borrowed.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
    Ok(())
}

/// Carries bytes from all sources until each has ended or its target takes no more.
fn relay(mut sources: Vec<Source>) {
    let mut buffer = vec![0; LONGEST_LINE];
    while !sources.is_empty() {
        let ready: Vec<bool> = {
            let mut polled: Vec<PollFd<'_>> = sources.iter().map(|s| readable(s.from.as_fd())).collect();
            match poll(&mut polled, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return,
            }
            polled.iter().map(|p| p.revents().is_some_and(|events| !events.is_empty())).collect()
        };
        let mut ready = ready.into_iter();
        sources.retain_mut(|source| !ready.next().unwrap_or(false) || source.carry(&mut buffer));
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

impl Source {
    /// Carries what is there; `false` when there will be no more, or nobody takes it.
    fn carry(&mut self, buffer: &mut [u8]) -> bool {
        match self.from.read(buffer) {
            Ok(0) => {
                let _ = self.pass_partial();
                false
            }
            Ok(length) => {
                let bytes = &buffer[..length];
                self.tail.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
                self.pass(bytes).is_ok()
            }
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
        }
    }

    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(prefix) = &self.prefix else { return self.to.write_all(bytes) };
        let mut out = Vec::with_capacity(bytes.len() + 256);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= LONGEST_LINE {
                out.extend_from_slice(prefix.as_bytes());
                out.append(&mut self.partial);
                if !out.ends_with(b"\n") {
                    out.push(b'\n');
                }
            }
        }
        self.to.write_all(&out)
    }

    fn pass_partial(&mut self) -> io::Result<()> {
        if self.partial.is_empty() { Ok(()) } else { self.pass(b"\n") }
    }
}

/// The bytes as text; when they are the end of more, from the first whole line on.
fn whole_lines(bytes: &[u8]) -> String {
    let from = if bytes.len() < TAIL { 0 } else { bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1) };
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}
