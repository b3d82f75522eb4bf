//! What services write: passed on as it is, or line by line with what is known of each; the last of it is kept.
//!
//! In single-command mode the child's stdout and stderr are the launcher's own descriptors, or pipes that are carried
//! over untouched (`single.rs`). Of several services each generation has two pipes of its own, so that it is known whose
//! a line is, and one thread reads all of them (`pump.rs`).

mod file;
mod journal;
mod later;
mod memory;
mod pump;
mod single;
mod source;
mod target;
mod terminal;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::core::awaited_line::AwaitedLine;
use crate::core::output::{Prefix, Stream};
use crate::core::settings::{LogFormat, OnSlow, ServiceSettings, Settings};

pub use memory::Memory;
pub use target::{end_line, is_line_open, write_own};
pub use terminal::{Seat, Terminal};

use file::LogFile;
use memory::Awaited;
use pump::Pump;
use single::Way;
use source::{Form, Plan, Source};
use target::Target;

use crate::sys::pty::Pty;

/// How much of the last output is put into a report, in bytes.
const TAIL: usize = 16 * 1024;

/// When nothing is taken for so long, what a dead child has left is given up.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// No longer than this is waited for a reader that is slow but takes something now and then.
const LAST_WORDS_OF_ALL: Duration = Duration::from_secs(5);

/// The number of the one service whose lines are shown alone; 0 when those of all are.
static ALONE: AtomicU64 = AtomicU64::new(0);

/// The lines of all services are shown.
pub fn show_all() {
    ALONE.store(0, Ordering::Relaxed);
}

/// Whether a service of this number is not shown now. What it writes is kept, and in its file.
fn is_hidden(number: u64) -> bool {
    let alone = ALONE.load(Ordering::Relaxed);
    alone != 0 && alone != number
}

/// The output of one service.
pub struct Output {
    ways: Ways,
    memory: Arc<Memory>,
    owner: Option<(u32, u32)>,
}

/// How the descriptors of a service are served.
enum Ways {
    /// The one command: two descriptors for all of its generations.
    Single([Way; 2]),
    /// One of several: pipes for each generation.
    Several { pump: Arc<Pump>, plan: Arc<Plan>, pipes: Mutex<Vec<Arc<OwnedFd>>> },
}

/// The output of all services. Dropping it without [`Outputs::finish`] leaves what is under way behind.
pub struct Outputs {
    format: LogFormat,
    /// Whether text begins with the time of day.
    timed: bool,
    /// The length of the longest name.
    width: usize,
    /// How many services there are so far.
    count: usize,
    pump: Arc<Pump>,
    /// Another one for services that do not wait for the reader: this one waits for those that do.
    unwaiting: Arc<Pump>,
    relays: Vec<Receiver<()>>,
}

impl Outputs {
    /// For services of these settings.
    pub fn new(settings: &Settings) -> Outputs {
        let width = settings.services.iter().map(|service| service.name.len()).max().unwrap_or(0);
        let (format, timed) = (settings.launcher.log_format, settings.launcher.log_times);
        let (pump, unwaiting) = (Arc::default(), Arc::default());
        Outputs { format, timed, width, count: 0, pump, unwaiting, relays: Vec::new() }
    }

    /// The output of the one service of single-command mode, whose pipes belong to this user and group. `read` tells that
    /// all of it must pass through here.
    ///
    /// # Errors
    /// Of making a pipe or a thread.
    pub fn single(&mut self, owner: Option<(u32, u32)>, read: bool) -> io::Result<Output> {
        let memory = Arc::new(Memory::default());
        let ways = single::ways(&memory, owner, read, &mut self.relays)?;
        Ok(Output { ways: Ways::Single(ways), memory, owner })
    }

    /// The output of one of several services. Nothing is made for it before its first generation.
    pub fn of(&mut self, service: &ServiceSettings, owner: Option<(u32, u32)>) -> Output {
        self.count += 1;
        self.build(service, owner, Arc::default(), self.count)
    }

    /// The output of the same service set otherwise: what was kept of it stays.
    pub fn again(&self, old: &Output, service: &ServiceSettings, owner: Option<(u32, u32)>) -> Output {
        let number = match &old.ways {
            Ways::Several { plan, .. } => plan.number as usize,
            Ways::Single(_) => self.count,
        };
        self.build(service, owner, old.memory.clone(), number)
    }

    /// `number` counts services from 1 on: a colour goes with it.
    fn build(
        &self,
        service: &ServiceSettings,
        owner: Option<(u32, u32)>,
        memory: Arc<Memory>,
        number: usize,
    ) -> Output {
        let forms = [Target::Stdout, Target::Stderr].map(|target| self.form(&service.name, number - 1, target));
        let file = service.log.file.clone().map(|file| Mutex::new(LogFile::new(&service.name, file)));
        let pump = match service.log.on_slow {
            OnSlow::Block => self.pump.clone(),
            OnSlow::DropOldest => self.unwaiting.clone(),
        };
        let plan = Arc::new(Plan {
            service: service.name.clone(),
            number: number as u64,
            log: service.log.clone(),
            file,
            forms,
            memory: memory.clone(),
        });
        Output { ways: Ways::Several { pump, plan, pipes: Mutex::default() }, memory, owner }
    }

    fn form(&self, service: &str, place: usize, target: Target) -> Form {
        let (terminal, timed) = (target.is_terminal(), self.timed);
        match self.format {
            LogFormat::Json => Form::Json,
            LogFormat::Auto if !terminal && journal::reads(target.status().as_ref()) => Form::Journal,
            LogFormat::Auto if !terminal => Form::Json,
            // Aligned for eyes; for a program the name is followed by the bar.
            _ if !terminal => Form::Text { prefix: Prefix::new(service, 0, None), tinted: false, timed },
            _ if crate::run::log::no_colour() => {
                Form::Text { prefix: Prefix::new(service, self.width, None), tinted: false, timed }
            }
            _ => Form::Text { prefix: Prefix::new(service, self.width, Some(place)), tinted: true, timed },
        }
    }

    /// Waits until everything written has been passed on, for as long as readers take something: one that takes
    /// nothing for two seconds, or not all within five, does not keep the launcher. The [`Output`]s must have been
    /// dropped, and their services have ended.
    pub fn finish(self) {
        let deadline = Instant::now() + LAST_WORDS_OF_ALL;
        let pumping = [self.pump.close(), self.unwaiting.close()];
        let ended = self.relays.into_iter().chain(pumping.into_iter().flatten());
        let all = ended.into_iter().all(|ended| has_ended(&ended, deadline));
        // What was left to be written later comes last.
        if all {
            later::close().for_each(|ended| {
                has_ended(&ended, deadline);
            });
        }
    }
}

/// Waits for the end of a thread as long as readers take something.
fn has_ended(ended: &Receiver<()>, deadline: Instant) -> bool {
    loop {
        let seen = target::progress();
        let left = deadline.saturating_duration_since(Instant::now()).min(LAST_WORDS);
        match ended.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) if target::progress() == seen || left < LAST_WORDS => return false,
            Err(RecvTimeoutError::Timeout) => {}
            _ => return true,
        }
    }
}

impl Output {
    /// Opens the file that lines are written to, if there is one and it is not open.
    ///
    /// # Errors
    /// Why it cannot be opened, with its path.
    pub fn open_file(&self) -> io::Result<()> {
        match &self.ways {
            Ways::Several { plan, .. } => {
                plan.file.as_ref().map_or(Ok(()), |file| file.lock().unwrap_or_else(PoisonError::into_inner).open())
            }
            Ways::Single(_) => Ok(()),
        }
    }

    /// The descriptors for a generation's stdout and stderr; `None` where it gets the launcher's own.
    ///
    /// # Errors
    /// Of making or duplicating a descriptor, and the thread that reads.
    pub fn ends(&self, generation: u64) -> io::Result<[Option<OwnedFd>; 2]> {
        match &self.ways {
            Ways::Single([stdout, stderr]) => {
                self.memory.hold().generation = generation;
                Ok([stdout.end()?, stderr.end()?])
            }
            Ways::Several { pump, plan, pipes } => {
                let [stdout, stderr] = [Stream::Stdout, Stream::Stderr].map(|stream| {
                    let (from, end) = single::pipe_for(self.owner)?;
                    let from = Arc::new(from);
                    pump.add(Source::new(from.clone(), plan.clone(), generation, stream))?;
                    Ok::<_, io::Error>((from, end))
                });
                let ((out, out_end), (err, err_end)) = (stdout?, stderr?);
                *pipes.lock().unwrap_or_else(PoisonError::into_inner) = vec![out, err];
                Ok([Some(out_end), Some(err_end)])
            }
        }
    }

    /// A terminal of its own for a generation, and the side of it that is for its descriptors 0 to 2. What it shows goes
    /// where its lines go, too.
    ///
    /// # Errors
    /// Of making it, and the thread that reads.
    pub fn terminal(&self, generation: u64, terminal: &Arc<Terminal>) -> io::Result<OwnedFd> {
        let Ways::Several { pump, plan, pipes } = &self.ways else { return Err(io::ErrorKind::Unsupported.into()) };
        let Pty { master, slave } = terminal.open(self.owner.map(|(uid, _)| uid))?;
        let master = Arc::new(master);
        let source = Source::new(master.clone(), plan.clone(), generation, Stream::Stdout);
        terminal.opened(generation, master.clone());
        if let Err(problem) = pump.add(source.on_terminal(terminal.clone())) {
            terminal.closed(generation);
            return Err(problem);
        }
        *pipes.lock().unwrap_or_else(PoisonError::into_inner) = vec![master];
        Ok(slave)
    }

    /// Whether anything can be seen of it, and so is kept.
    pub fn is_seen(&self) -> bool {
        match &self.ways {
            Ways::Single(ways) => ways.iter().any(Way::is_seen),
            Ways::Several { .. } => true,
        }
    }

    /// Its lines alone are shown, until those of all are again.
    pub fn show_alone(&self) {
        if let Ways::Several { plan, .. } = &self.ways {
            ALONE.store(plan.number, Ordering::Relaxed);
        }
    }

    /// The last lines, for whoever asks for them or follows.
    pub fn memory(&self) -> Arc<Memory> {
        self.memory.clone()
    }

    /// Waits for a line of this generation, which has not started yet: who it returns is told when it has come. Where
    /// output cannot be seen no line ever comes.
    pub fn await_line(&self, line: AwaitedLine, generation: u64) -> Arc<Notify> {
        let come = Arc::new(Notify::new());
        let before = match &self.ways {
            Ways::Single(ways) => ways.each_ref().map(Way::unread),
            Ways::Several { .. } => [0; 2],
        };
        self.memory.hold().awaited = Some(Awaited { line, generation, before, come: come.clone() });
        come
    }

    /// What was written last, as far as it can be seen, lossy UTF-8, and how long ago.
    pub fn tail(&self) -> (String, Option<Duration>) {
        self.memory.tail(TAIL)
    }

    /// Waits, for at most 50 ms, until what a child has written is taken from the pipes: its last words are kept then.
    pub fn settle(&self) {
        let deadline = Instant::now() + Duration::from_millis(50);
        let unread = || match &self.ways {
            Ways::Single(ways) => ways.iter().any(Way::has_unread),
            Ways::Several { pipes, .. } => {
                let pipes = pipes.lock().unwrap_or_else(PoisonError::into_inner);
                pipes.iter().any(|pipe| single::has_unread(pipe))
            }
        };
        while unread() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        // What was taken last is in the memory when nobody holds it.
        self.memory.settle();
    }
}
