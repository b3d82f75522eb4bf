//! One pipe, or the terminal, of one generation: what is read from it and where that goes.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tracing::debug;

use crate::core::output::{self, Batch, Cutter, Entry, Head, LONGEST_LINE, Pace, Prefix, Returns, Stream, filter};
use crate::core::settings::{FileLogFormat, LogLevel, LogSettings, OnSlow};
use crate::core::units::utc_text;
use crate::run::log;
use crate::sys::clock;

use super::file::LogFile;
use super::memory::Memory;
use super::pump::READ;
use super::target::{self, Target};
use super::terminal::Terminal;
use super::{is_hidden, journal, later};

/// So much that is laid out is written at once, or more.
const FULL: usize = 64 * 1024;

/// What is the same for all generations of a service.
pub struct Plan {
    /// Its name.
    pub service: String,
    /// Its number among the services, from 1.
    pub number: u64,
    /// What is set about its lines.
    pub log: LogSettings,
    /// Its file.
    pub file: Option<Mutex<LogFile>>,
    /// How lines of its stdout and stderr are laid out.
    pub forms: [Form; 2],
    /// Where the last of it is kept.
    pub memory: Arc<Memory>,
}

/// How lines are laid out.
pub enum Form {
    /// For a person.
    Text {
        /// What stands before each line.
        prefix: Prefix,
        /// Whether lines have the colours of their levels.
        tinted: bool,
        /// Whether the time of day stands before them.
        timed: bool,
    },
    /// For a machine: one object each.
    Json,
    /// For the journal of systemd: one entry each.
    Journal,
}

/// What is used for all sources, one after the other.
#[derive(Default)]
pub struct Buffers {
    /// Where bytes are read to, with room for the beginning of a line before them.
    read: Vec<u8>,
    /// Lines that are laid out and not written yet, and where they go.
    out: Vec<u8>,
    to: Option<Target>,
    /// An entry of the journal.
    datagram: Vec<u8>,
    /// Lines for something else than the launcher's output.
    aside: Vec<u8>,
}

impl Buffers {
    /// Where lines for this target are laid out; those for another one are written first.
    fn out(&mut self, to: Target) -> &mut Vec<u8> {
        if self.to != Some(to) || self.out.len() >= FULL {
            self.flush();
            self.to = Some(to);
        }
        &mut self.out
    }

    /// Writes what is laid out.
    pub fn flush(&mut self) {
        if let Some(to) = self.to.take() {
            to.pass(&self.out);
            self.out.clear();
        }
    }

    /// Leaves what is laid out to be written when the reader takes it.
    fn leave(&mut self, writer: u64, name: &str) {
        if let Some(to) = self.to.take()
            && !self.out.is_empty()
        {
            later::push(writer, name, to, &self.out);
        }
        self.out.clear();
    }

    /// Whether they take memory.
    pub fn are_there(&self) -> bool {
        self.read.capacity() > 0
    }

    /// They are not needed for a while.
    pub fn give_back(&mut self) {
        (self.read, self.out, self.aside) = (Vec::new(), Vec::new(), Vec::new());
    }
}

/// What stands before lines that came at this time.
fn prefix_at(prefix: &Prefix, timed: bool, time: Duration) -> Cow<'_, Prefix> {
    if timed { Cow::Owned(prefix.at(&clock::time_of_day(time))) } else { Cow::Borrowed(prefix) }
}

/// One pipe of one generation, or its terminal.
pub struct Source {
    /// Which one it is, for who reads them all.
    pub number: u64,
    from: Arc<OwnedFd>,
    plan: Arc<Plan>,
    generation: u64,
    stream: Stream,
    /// Those who are attached, when it is a terminal.
    terminal: Option<Arc<Terminal>>,
    returns: Returns,
    head: Head,
    entry: Option<Entry>,
    cutter: Cutter,
    /// When reading on is worth its while.
    pub pace: Pace,
    /// The level of the last line that was passed on, and of the last one at all.
    level: Option<LogLevel>,
    level_of_all: Option<LogLevel>,
    level_in_file: Option<LogLevel>,
    /// How much of the line without an end was shown already.
    shown: usize,
}

impl Source {
    /// The reading end of a generation's pipe.
    pub fn new(from: Arc<OwnedFd>, plan: Arc<Plan>, generation: u64, stream: Stream) -> Source {
        let head = Head::new(&plan.service, generation, stream);
        let journal = matches!(plan.forms[stream as usize], Form::Journal);
        let entry = journal.then(|| Entry::new(&plan.service, generation, stream));
        let cutter = Cutter::default();
        let pace = Pace::new(crate::sys::fd::capacity(from.as_fd()));
        let (level, level_of_all, level_in_file) = (None, None, None);
        Source {
            number: 0,
            from,
            plan,
            generation,
            stream,
            terminal: None,
            returns: Returns::default(),
            head,
            entry,
            cutter,
            pace,
            level,
            level_of_all,
            level_in_file,
            shown: 0,
        }
    }

    /// The same of a terminal.
    pub fn on_terminal(self, terminal: Arc<Terminal>) -> Source {
        Source { terminal: Some(terminal), ..self }
    }

    /// The pipe, for whoever keeps it open.
    pub fn from(&self) -> Arc<OwnedFd> {
        self.from.clone()
    }

    /// The pipe.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    /// Carries over what is there, a bufferful at most: how much that was; `None` when there will be no more.
    pub fn carry(&mut self, buffers: &mut Buffers) -> Option<usize> {
        if buffers.read.is_empty() {
            buffers.read = vec![0; LONGEST_LINE + READ];
        }
        let mut read = std::mem::take(&mut buffers.read);
        let carried = self.carry_through(&mut read, buffers);
        buffers.read = read;
        carried
    }

    fn carry_through(&mut self, read: &mut [u8], buffers: &mut Buffers) -> Option<usize> {
        let plan = self.plan.clone();
        // Held before reading, so that whoever sees an empty pipe and opens it finds all in it.
        let mut held = plan.memory.hold();
        let start = LONGEST_LINE + self.returns.put_back(&mut read[LONGEST_LINE..]);
        let mut length = match nix::unistd::read(&self.from, &mut read[start..]) {
            // A terminal that nothing has open any more gives EIO.
            Ok(0) | Err(Errno::EIO) => {
                drop(held);
                self.end(buffers);
                return None;
            }
            Ok(length) => length,
            Err(errno) => {
                let kind = io::Error::from(errno).kind();
                return matches!(kind, io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock).then_some(0);
            }
        };
        if let Some(terminal) = &self.terminal {
            terminal.show(&read[start..start + length]);
            length = self.returns.take_out(&mut read[LONGEST_LINE..start + length]);
        }
        let time = log::now();
        let lines = self.cutter.cut(read, length);
        if !lines.is_empty() {
            held.push(Batch { time, generation: self.generation, stream: self.stream }, lines);
        }
        held.kept.set_partial(self.number, self.cutter.partial());
        held.last = Some(Instant::now());
        drop(held);
        if !lines.is_empty() {
            plan.memory.tell();
            self.give_out(lines, time, buffers);
        }
        Some(length)
    }

    /// Writes whole lines to all places where they go.
    fn give_out(&mut self, lines: &[u8], time: Duration, buffers: &mut Buffers) {
        let plan = self.plan.clone();
        let text = utc_text(time);
        self.write_file(lines, time, &text, buffers);
        if !plan.log.forward || is_hidden(plan.number) {
            self.shown = 0;
        } else if plan.log.level == LogLevel::Trace {
            self.pass(lines, time, &text, buffers);
        } else {
            let mut passed = std::mem::take(&mut buffers.aside);
            passed.clear();
            filter::filter(lines, plan.log.level, &mut self.level_of_all, &mut passed);
            if !passed.is_empty() {
                self.pass(&passed, time, &text, buffers);
            }
            buffers.aside = passed;
        }
        // In the order of the writer, and counted for it.
        if plan.log.on_slow == OnSlow::DropOldest {
            buffers.leave(plan.number, &plan.service);
        }
    }

    fn write_file(&mut self, lines: &[u8], time: Duration, text: &str, buffers: &mut Buffers) {
        let (Some(file), Some(settings)) = (&self.plan.file, &self.plan.log.file) else { return };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        match settings.format {
            FileLogFormat::Plain => file.write(lines, time),
            FileLogFormat::Json => {
                buffers.aside.clear();
                self.head.lay_out(text, lines, &mut self.level_in_file, &mut buffers.aside);
                file.write(&buffers.aside, time);
            }
        }
    }

    fn send_to_journal(&mut self, lines: &[u8], buffers: &mut Buffers) {
        let Some(entry) = &self.entry else { return };
        for (line, _) in output::lines(lines) {
            entry.lay_out(line, &mut self.level, &mut buffers.datagram);
            if let Err(problem) = journal::send(&buffers.datagram) {
                // The stream that the service manager has connected is there in any case.
                let out = buffers.out(Target::from(self.stream));
                out.extend_from_slice(line);
                out.push(b'\n');
                debug!("a line could not be sent to the journal: {problem}");
            }
        }
    }

    /// Lays out whole lines. `text` says when they came as JSON has it.
    fn pass(&mut self, lines: &[u8], time: Duration, text: &str, buffers: &mut Buffers) {
        let plan = self.plan.clone();
        let target = Target::from(self.stream);
        match &plan.forms[self.stream as usize] {
            Form::Text { prefix, tinted, timed } => {
                let prefix = prefix_at(prefix, *timed, time);
                let begun = self.goes_on(buffers);
                let shown = std::mem::take(&mut self.shown);
                let lines = match lines[shown..].strip_prefix(b"\n") {
                    // All of the first line was shown, and ended when something else was written.
                    Some(rest) if shown > 0 && !begun => rest,
                    _ => &lines[shown..],
                };
                if lines.is_empty() {
                    return;
                }
                let out = buffers.out(target);
                if *tinted {
                    prefix.lay_out_tinted(lines, begun, &mut self.level, out);
                } else {
                    prefix.lay_out(lines, begun, out);
                }
            }
            Form::Json => self.head.lay_out(text, lines, &mut self.level, buffers.out(target)),
            Form::Journal => self.send_to_journal(lines, buffers),
        }
    }

    /// Whether the line that stands without its end is this one's; another one is ended.
    fn goes_on(&self, buffers: &mut Buffers) -> bool {
        match target::take_unended() {
            Some((number, _)) if number == self.number => true,
            Some((_, target)) => {
                buffers.out(target).push(b'\n');
                false
            }
            None => false,
        }
    }

    /// Whether there is a line without an end that is to be shown when nothing more comes: for people alone, an object
    /// has to be whole.
    pub fn shows_partial(&self) -> bool {
        self.cutter.partial().len() > self.shown
            && !is_hidden(self.plan.number)
            && matches!(self.plan.forms[self.stream as usize], Form::Text { .. })
            // Of others it is not known yet whether the line is passed on, or where it will stand.
            && self.plan.log == LogSettings { file: self.plan.log.file.clone(), ..LogSettings::default() }
    }

    /// Shows a line that has no end yet.
    pub fn show_partial(&mut self, buffers: &mut Buffers) {
        let plan = self.plan.clone();
        let Form::Text { prefix, timed, .. } = &plan.forms[self.stream as usize] else { return };
        let begun = self.goes_on(buffers);
        let target = Target::from(self.stream);
        let out = buffers.out(target);
        if !begun {
            out.extend_from_slice(prefix_at(prefix, *timed, log::now()).bytes());
        }
        let partial = self.cutter.partial();
        out.extend_from_slice(&partial[self.shown..]);
        self.shown = partial.len();
        buffers.flush();
        target::set_unended(self.number, target);
    }

    /// There is no more: a line without an end gets one.
    pub fn end(&mut self, buffers: &mut Buffers) {
        if let Some(terminal) = self.terminal.take() {
            terminal.closed(self.generation);
        }
        let mut rest = self.cutter.take_partial();
        if rest.is_empty() {
            return;
        }
        rest.push(b'\n');
        let time = log::now();
        let mut held = self.plan.memory.hold();
        held.kept.set_partial(self.number, &[]);
        held.push(Batch { time, generation: self.generation, stream: self.stream }, &rest);
        drop(held);
        self.plan.memory.tell();
        self.give_out(&rest, time, buffers);
    }
}
