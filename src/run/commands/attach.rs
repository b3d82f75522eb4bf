//! `launcher attach`: this terminal becomes that of a service of a running launcher, until a person leaves, or it is over.

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::core::attach::{DetachKeys, End, Frame, Frames, Linger, PROTOCOL, Size, linger};
use crate::core::config::value;
use crate::core::exit::code;
use crate::core::report::text;
use crate::core::signal::Signal;
use crate::run::args::{AttachArgs, UsageError};
use crate::run::control::client::{self, Answered};
use crate::run::control::find;
use crate::run::print;
use crate::sys::clock;
use crate::sys::signals::Signals;
use crate::sys::terminal::{self, Modes};

/// Of what is typed and not taken so much is kept, in bytes. Then a file waits, and what a person types is lost, as on any
/// terminal: the keys to leave have to be seen.
const MOST_TYPED: usize = 64 * 1024;

/// Attaches, and returns the exit code.
pub fn attach(args: &AttachArgs, signals: &Signals) -> i32 {
    let keys = args.detach_keys.as_deref().map_or(Ok(DetachKeys::default()), DetachKeys::parse);
    let quiet = args.linger.as_deref().map_or(Ok(linger::QUIET), |text| {
        value::duration(text).map_err(|error| error.about(&format!("--linger {text}")))
    });
    let (keys, quiet) = match keys.and_then(|keys| Ok((keys, quiet?))) {
        Ok(both) => both,
        Err(error) => {
            eprint!("{}", UsageError::from(error).of("attach"));
            return code::USAGE;
        }
    };
    let end = connect(args).and_then(|stream| Attached::begin(args, keys, quiet, stream, signals)?.stay());
    match end {
        Ok(End { code, text }) => {
            eprintln!("launcher: {text}");
            code
        }
        Err(problem) => {
            eprintln!("launcher: {problem}");
            code::PREFLIGHT
        }
    }
}

/// The connection to the service's terminal, and what of it has come already.
fn connect(args: &AttachArgs) -> Result<(UnixStream, Vec<u8>), String> {
    let found = find::find(&args.which)?;
    let service = &args.service;
    if found.status.service(service).is_none() {
        return Err(find::no_service(&found.status, service));
    }
    let asked = client::upgrade(&found.socket, &format!("/services/{service}/attach"), PROTOCOL);
    let answered = asked.map_err(|problem| find::unreachable(&found.socket, &problem))?;
    match answered.code {
        101 => Ok(answered.into_connection()),
        _ => Err(refusal(answered)),
    }
}

fn refusal(answered: Answered) -> String {
    answered.text().map_or_else(|problem| problem.to_string(), |said| text::clean(said.trim_end()))
}

/// Somebody who is attached.
struct Attached<'a> {
    service: &'a str,
    keys: DetachKeys,
    stream: UnixStream,
    signals: &'a Signals,
    frames: Frames,
    /// Frames that are to be sent.
    out: Vec<u8>,
    input: Input,
    /// How long it has to be quiet behind the input.
    quiet: Duration,
    /// How the terminal was.
    terminal: Option<Restored>,
    /// Whether what was shown last has not ended its line.
    unended: bool,
}

/// How far stdin is.
enum Input {
    /// It is read.
    Open,
    /// It has ended, and not all of it was sent.
    Ended,
    /// All of it was sent: what comes of it is waited for.
    Sent(Linger),
    /// The launcher knows that nothing more comes.
    Told,
}

/// How the terminal was, for whoever restores it.
static BEFORE: Mutex<Option<Modes>> = Mutex::new(None);

/// The terminal is as it was, if its keys were passed on as they are.
pub fn restore() {
    // After a panic in the one thread that there is, nobody holds it.
    if let Some(before) = BEFORE.try_lock().ok().and_then(|mut before| before.take()) {
        // Nobody is left to tell when the terminal is gone.
        let _ = terminal::set_modes_now(io::stdin().as_fd(), &before);
    }
}

/// A terminal that is as it was when this is dropped.
struct Restored;

impl Restored {
    /// Passes each key on as it is. In the background the kernel stops this process until it has the terminal.
    fn make_raw() -> Option<Restored> {
        let stdin = io::stdin();
        let modes = terminal::modes(stdin.as_fd()).ok()?;
        // Nobody's terminal, or nobody is there who could give it: it is used as it is.
        let _ = terminal::await_foreground(stdin.as_fd());
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(modes);
        let restored = Restored;
        terminal::set_modes_now(stdin.as_fd(), &modes.raw()).ok().map(|()| restored)
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        restore();
    }
}

impl<'a> Attached<'a> {
    fn begin(
        args: &'a AttachArgs,
        keys: DetachKeys,
        quiet: Duration,
        (stream, begin): (UnixStream, Vec<u8>),
        signals: &'a Signals,
    ) -> Result<Attached<'a>, String> {
        stream.set_nonblocking(true).map_err(|problem| problem.to_string())?;
        let service = &args.service;
        let typed = terminal::is_terminal(io::stdin().as_fd());
        let leave =
            if typed { format!("{keys} leaves it, Ctrl-C is for {service}") } else { "Ctrl-C leaves it".into() };
        eprintln!("launcher: attached to {service}; {leave}");
        let terminal = Restored::make_raw();
        let (frames, out, input, unended) = (Frames::default(), Vec::new(), Input::Open, false);
        let mut attached = Attached { service, keys, stream, signals, frames, out, input, quiet, terminal, unended };
        attached.frames.push(&begin);
        attached.send_size();
        Ok(attached)
    }

    /// Stays until somebody leaves or it is over.
    fn stay(mut self) -> Result<End, String> {
        let end = loop {
            match self.turn() {
                Ok(None) => {}
                Ok(Some(end)) => break end,
                Err(problem) => {
                    let text = format!("the connection to launcher has broken off: {problem}");
                    break End { code: code::INTERNAL, text };
                }
            }
        };
        self.end_line();
        drop(self.terminal.take());
        Ok(end)
    }

    fn turn(&mut self) -> io::Result<Option<End>> {
        while let Some(frame) =
            self.frames.next_frame().map_err(|_| io::Error::other("what it says is not understood"))?
        {
            if let Some(end) = self.come(frame)? {
                return Ok(Some(end));
            }
        }
        let (signalled, typed, come) = self.wait()?;
        if signalled && let Some(end) = self.read_signals()? {
            return Ok(Some(end));
        }
        if typed && let Some(end) = self.read_input()? {
            return Ok(Some(end));
        }
        if come && !self.read_stream()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if matches!(&self.input, Input::Sent(linger) if linger.end() <= clock::now()) {
            self.input = Input::Told;
            Frame::InputEnded.write(&mut self.out);
        }
        self.send()?;
        // Not before all was sent: a service that reads slowly has it still to come.
        if matches!(self.input, Input::Ended) && self.out.is_empty() {
            self.input = Input::Sent(Linger::begin(clock::now(), self.quiet));
        }
        Ok(None)
    }

    /// How long is waited at most.
    fn patience(&self) -> PollTimeout {
        let Input::Sent(linger) = &self.input else { return PollTimeout::NONE };
        // Rounded up: it would ask again and again within the last millisecond.
        let millis = linger.end().since(clock::now()).as_millis() + 1;
        i32::try_from(millis).ok().and_then(|millis| PollTimeout::try_from(millis).ok()).unwrap_or(PollTimeout::MAX)
    }

    /// Waits for a signal, input, and what the launcher says.
    fn wait(&self) -> io::Result<(bool, bool, bool)> {
        let stdin = io::stdin();
        let reads = matches!(self.input, Input::Open) && (self.terminal.is_some() || self.out.len() < MOST_TYPED);
        let to_send = if self.out.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        let mut polled = vec![
            PollFd::new(self.signals.fd(), PollFlags::POLLIN),
            PollFd::new(self.stream.as_fd(), PollFlags::POLLIN | to_send),
        ];
        if reads {
            polled.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut polled, self.patience()) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let any = |index: usize, flags| {
            polled.get(index).and_then(PollFd::revents).is_some_and(|events: PollFlags| events.intersects(flags))
        };
        let read = PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        Ok((any(0, read), any(2, read), any(1, read)))
    }

    /// Something was said by the launcher.
    fn come(&mut self, frame: Frame) -> io::Result<Option<End>> {
        match frame {
            Frame::Bytes(bytes) => {
                self.unended = bytes.last().is_some_and(|last| *last != b'\n');
                if let Input::Sent(linger) = &mut self.input {
                    linger.heard(clock::now());
                }
                // A reader that is gone ends it, as it would end any program.
                let mut out = io::stdout().lock();
                match out.write_all(&bytes).and_then(|()| out.flush()) {
                    Ok(()) => {}
                    Err(problem) if problem.kind() == io::ErrorKind::BrokenPipe => return Ok(Some(self.left(0))),
                    Err(problem) => {
                        return Ok(Some(End { code: code::INTERNAL, text: print::not_written(&problem) }));
                    }
                }
            }
            Frame::Note(note) => {
                self.end_line();
                let end = if self.terminal.is_some() { "\r\n" } else { "\n" };
                eprint!("launcher: {}{end}", text::clean(&note));
            }
            Frame::End(End { code, text }) => return Ok(Some(End { code, text: text::clean(&text) })),
            Frame::Size(_) | Frame::InputEnded => {}
        }
        Ok(None)
    }

    /// What the launcher itself says begins a line.
    fn end_line(&mut self) {
        if std::mem::take(&mut self.unended) {
            eprint!("{}", if self.terminal.is_some() { "\r\n" } else { "\n" });
        }
    }

    fn read_stream(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.frames.push(&piece[..length]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Something was typed, or comes from a file.
    fn read_input(&mut self) -> io::Result<Option<End>> {
        let mut piece = [0; 4096];
        let read = nix::unistd::read(io::stdin(), &mut piece);
        match (read, self.terminal.is_some()) {
            (Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN), _) => {}
            (Ok(length), true) if length > 0 => {
                let typed = self.keys.typed(&piece[..length]);
                if self.out.len() < MOST_TYPED && !typed.passed.is_empty() {
                    Frame::Bytes(typed.passed).write(&mut self.out);
                }
                if typed.detached {
                    // What was typed before, as far as it is taken at once.
                    let _ = self.send();
                    return Ok(Some(self.left(0)));
                }
            }
            (Ok(length), false) if length > 0 => Frame::Bytes(piece[..length].to_vec()).write(&mut self.out),
            // The terminal is gone.
            (_, true) => return Ok(Some(self.left(128 + Signal::HUP.number()))),
            (_, false) => self.input = Input::Ended,
        }
        Ok(None)
    }

    fn read_signals(&mut self) -> io::Result<Option<End>> {
        while let Some(received) = self.signals.receive()? {
            match received.signal {
                Signal::WINCH => self.send_size(),
                Signal::TSTP => self.suspend(),
                Signal::INT | Signal::TERM | Signal::QUIT | Signal::HUP => {
                    return Ok(Some(self.left(128 + received.signal.number())));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Is stopped as Ctrl-Z would, with the terminal as it was meanwhile.
    fn suspend(&mut self) {
        let was_raw = self.terminal.take().is_some();
        terminal::stop_self();
        if was_raw {
            self.terminal = Restored::make_raw();
            self.send_size();
        }
    }

    fn send_size(&mut self) {
        if self.terminal.is_none() {
            return;
        }
        let number = |size: usize| u16::try_from(size).unwrap_or(u16::MAX);
        if let Some((columns, rows)) = terminal::size(io::stdin().as_fd()) {
            Frame::Size(Size { columns: number(columns), rows: number(rows) }).write(&mut self.out);
        }
    }

    /// Sends as much as goes.
    fn send(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(length) => drop(self.out.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // What the launcher has said last is still to be read.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.out.clear(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn left(&self, code: i32) -> End {
        End { code, text: format!("left {}, which goes on", self.service) }
    }
}
