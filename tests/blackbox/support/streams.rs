//! Reads several streams at once, line by line, with a deadline.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Which stream a line came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Standard output, or the terminal.
    Out,
    /// Standard error.
    Err,
    /// The test's own datagram socket: `say` of the child.
    Said,
}

struct Stream {
    source: Source,
    fd: Option<OwnedFd>,
    partial: Vec<u8>,
    lines: Vec<String>,
    taken: usize,
}

/// Several streams.
#[derive(Default)]
pub struct Streams {
    streams: Vec<Stream>,
}

impl Streams {
    /// Adds a stream to be read.
    pub fn add(&mut self, source: Source, fd: OwnedFd) {
        let flags = OFlag::from_bits_truncate(fcntl(&fd, FcntlArg::F_GETFL).unwrap());
        fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).unwrap();
        self.streams.push(Stream { source, fd: Some(fd), partial: Vec::new(), lines: Vec::new(), taken: 0 });
    }

    /// The next line of the stream that satisfies the condition, of those already read; others are passed over.
    pub fn take(&mut self, source: Source, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let stream = self.streams.iter_mut().find(|stream| stream.source == source)?;
        while stream.taken < stream.lines.len() {
            stream.taken += 1;
            if wanted(&stream.lines[stream.taken - 1]) {
                return Some(stream.lines[stream.taken - 1].clone());
            }
        }
        None
    }

    /// Waits until something was read, or `other` is readable. False when the deadline came before.
    pub fn wait(&mut self, other: Option<&OwnedFd>, deadline: Instant) -> bool {
        let mut waiting: Vec<PollFd> = self
            .streams
            .iter()
            .filter_map(|stream| stream.fd.as_ref())
            .chain(other)
            .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN))
            .collect();
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left.min(Duration::from_secs(600)) + Duration::from_millis(1)).unwrap();
        if poll(&mut waiting, left).unwrap_or(0) == 0 {
            return Instant::now() < deadline;
        }
        drop(waiting);
        self.drain();
        true
    }

    /// Reads what there is, without waiting.
    pub fn drain(&mut self) {
        for stream in &mut self.streams {
            while stream.read_once() {}
        }
    }

    /// Reads no more from this stream.
    pub fn close(&mut self, source: Source) {
        for stream in self.streams.iter_mut().filter(|stream| stream.source == source) {
            stream.fd = None;
        }
    }

    /// All lines of a stream so far, and what of a last line there is.
    pub fn all(&self, source: Source) -> Vec<String> {
        let streams = self.streams.iter().filter(|stream| stream.source == source);
        streams
            .flat_map(|stream| {
                let rest = String::from_utf8_lossy(&stream.partial).into_owned();
                stream.lines.iter().cloned().chain(Some(rest).filter(|rest| !rest.is_empty()))
            })
            .collect()
    }

    /// The last line of a stream, as far as it has come without its end.
    pub fn unended(&self, source: Source) -> String {
        let stream = self.streams.iter().find(|stream| stream.source == source);
        stream.map(|stream| String::from_utf8_lossy(&stream.partial).into_owned()).unwrap_or_default()
    }

    /// Everything, for the message of a failed test.
    pub fn show(&mut self) -> String {
        self.drain();
        let mut shown = String::new();
        for source in [Source::Out, Source::Err, Source::Said] {
            for line in self.all(source) {
                shown.push_str(&format!("  {source:?}: {line}\n"));
            }
        }
        shown
    }
}

impl Stream {
    /// Reads once; false when there is nothing more for now.
    fn read_once(&mut self) -> bool {
        let Some(fd) = &self.fd else { return false };
        let mut buffer = [0; 65536];
        match nix::unistd::read(fd, &mut buffer) {
            Ok(length) if length > 0 => {
                self.partial.extend_from_slice(&buffer[..length]);
                if self.source == Source::Said {
                    self.partial.push(b'\n');
                }
                self.cut_lines();
                true
            }
            Err(errno) if io::Error::from(errno).kind() == io::ErrorKind::WouldBlock => false,
            Err(nix::errno::Errno::EINTR) => true,
            // The end; a terminal whose last user is gone gives EIO.
            Ok(_) | Err(_) => {
                self.fd = None;
                false
            }
        }
    }

    fn cut_lines(&mut self) {
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
            self.lines.push(line);
        }
    }
}

/// A descriptor that becomes readable when the process ends (`pidfd_open(2)`).
pub fn pidfd(pid: i32) -> Option<OwnedFd> {
    // SAFETY: pidfd_open takes no pointers; on success the descriptor is new and ours.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        (fd >= 0).then(|| std::os::fd::FromRawFd::from_raw_fd(fd))
    }
}

/// Waits until the descriptor is readable. False when the deadline came before.
pub fn readable(fd: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut waiting = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        debug_assert!(fd.as_raw_fd() >= 0);
        match poll(&mut waiting, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(_) => {}
        }
    }
}
