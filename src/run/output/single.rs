//! The output of the one command of single-command mode.
//!
//! The child's stdout and stderr are the launcher's own descriptors where anything in between would be felt: a terminal,
//! a socket of the journal, a device. Where the launcher writes into a pipe or a file the child gets a pipe, and a thread
//! carries the bytes over untouched: so the report has the last words, and a reader that is slow or gone is felt by the
//! child as it would be without launcher. So it does where a line of it is waited for.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{FileStat, SFlag};

use crate::core::output::{Batch, Cutter, LONGEST_LINE, Pace, Stream};
use crate::sys::clock;

use crate::run::log;

use super::memory::Memory;
use super::target::{Target, is_same};

/// How one descriptor of the child is served.
pub enum Way {
    /// It is the launcher's own, and nothing can be seen of it.
    Own,
    /// A pipe that a relay reads; the end for the child.
    Pipe(OwnedFd),
}

impl Way {
    /// The descriptor for a generation.
    ///
    /// # Errors
    /// Of duplicating it.
    pub fn end(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Way::Pipe(end) => end.try_clone().map(Some),
            Way::Own => Ok(None),
        }
    }

    /// Whether what goes this way can be seen.
    pub fn is_seen(&self) -> bool {
        matches!(self, Way::Pipe(_))
    }

    /// Whether there is something in its pipe that the relay has not read.
    pub fn has_unread(&self) -> bool {
        self.unread() > 0
    }

    /// How much is in its pipe that the relay has not read, in bytes.
    pub fn unread(&self) -> usize {
        match self {
            Way::Pipe(end) => crate::sys::fd::unread(end.as_fd()).unwrap_or(0),
            Way::Own => 0,
        }
    }
}

/// Whether there is something in a pipe or a terminal that nobody has read. By `poll(2)`, which of a terminal also sees what
/// is still on its way.
pub fn has_unread(end: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0)
        && polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
}

/// How the two descriptors are served; the relays tell by `ended` that nothing more comes. `read` tells that all of it must
/// pass through here.
///
/// # Errors
/// Of making a pipe or a thread.
pub fn ways(
    memory: &Arc<Memory>,
    owner: Option<(u32, u32)>,
    read: bool,
    ended: &mut Vec<Receiver<()>>,
) -> io::Result<[Way; 2]> {
    let (out, err) = (Target::Stdout.status(), Target::Stderr.status());
    let same = is_same(out.as_ref(), err.as_ref());
    let mut way = |stream, status: Option<&FileStat>| match kind(status) {
        Some(SFlag::S_IFREG | SFlag::S_IFIFO) => way(stream, memory, owner, ended),
        _ if read => way(stream, memory, owner, ended),
        _ => Ok(Way::Own),
    };
    let stdout = way(Stream::Stdout, out.as_ref())?;
    let stderr = match &stdout {
        // One pipe for both keeps the order in which the child writes to them.
        Way::Pipe(end) if same => Way::Pipe(end.try_clone()?),
        _ => way(Stream::Stderr, err.as_ref())?,
    };
    Ok([stdout, stderr])
}

/// What a file is.
fn kind(status: Option<&FileStat>) -> Option<SFlag> {
    status.map(|status| SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT)
}

fn way(
    stream: Stream,
    memory: &Arc<Memory>,
    owner: Option<(u32, u32)>,
    ended: &mut Vec<Receiver<()>>,
) -> io::Result<Way> {
    let (from, end) = pipe_for(owner)?;
    let memory = memory.clone();
    let (over, receiver) = channel();
    std::thread::Builder::new().name("output".into()).stack_size(64 * 1024).spawn(move || {
        relay(File::from(from), stream, &memory);
        let _ = over.send(());
    })?;
    ended.push(receiver);
    Ok(Way::Pipe(end))
}

/// A pipe whose child's end belongs to the child's user: opening `/dev/stdout` asks for that.
///
/// # Errors
/// Of `pipe2(2)`.
pub fn pipe_for(owner: Option<(u32, u32)>) -> io::Result<(OwnedFd, OwnedFd)> {
    let (from, end) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    if let Some((uid, gid)) = owner {
        // Who may not give it away may not become that user either, and the start will say so; a process that is that
        // user already owns it.
        let _ = nix::unistd::fchown(&end, Some(uid.into()), Some(gid.into()));
    }
    Ok((from, end))
}

/// Carries bytes over until there are no more, or nobody takes them.
fn relay(mut from: File, stream: Stream, memory: &Memory) {
    let target = Target::from(stream);
    let mut cutter = Cutter::default();
    let mut pace = Pace::new(crate::sys::fd::capacity(from.as_fd()));
    let mut buffer = vec![0; 2 * LONGEST_LINE];
    loop {
        let length = match from.read(&mut buffer[LONGEST_LINE..]) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let came = clock::now();
        let mut held = memory.hold();
        let batch = Batch { time: log::now(), generation: held.generation, stream };
        let lines = cutter.cut(&mut buffer, length);
        if !lines.is_empty() {
            held.push(batch, lines);
        }
        held.kept.set_partial(stream as u64, cutter.partial());
        held.last = Some(Instant::now());
        drop(held);
        memory.tell();
        // Cutting has put something before these bytes and left them as they were.
        if target.write_all(&buffer[LONGEST_LINE..LONGEST_LINE + length]).is_err() {
            return;
        }
        let wait = pace.read(came, clock::now(), length);
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }
}
