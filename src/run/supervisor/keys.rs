//! Keys at the launcher's terminal: read without a line's end, and not shown. The terminal is as it was whenever the
//! launcher is stopped, ends, or does not have the foreground.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use crate::core::control::{Answer, Outcome, Request, Verb};
use crate::core::diagnosis::Diagnosis;
use crate::core::fleet::FleetEvent;
use crate::core::keys::{Command, HELP, Keys as Typed, Which};
use crate::core::report::{Report, text};
use crate::core::service::StopCause;
use crate::run::control::{Asked, Reply};
use crate::run::{log, output, screen};
use crate::sys::terminal::{self, Modes};

use super::Supervisor;
use super::inbox::{Happening, Task, watch};

/// So many of a service's last lines are shown with the first that come.
const LAST_LINES: usize = 10;

/// How the terminal was before keys were read from it, for whoever restores it.
static BEFORE: Mutex<Option<Modes>> = Mutex::new(None);

/// The terminal that keys come from.
pub struct Keys {
    terminal: Rc<OwnedFd>,
    typed: Typed,
    /// What keys have asked for that goes on.
    tasks: Vec<Task>,
    _watch: Task,
}

impl Keys {
    /// Begins to read keys, if a person can type them and see what comes of it. Not when stdout is something else: a pager
    /// that reads it has the keys of the same terminal.
    fn open(outbox: &UnboundedSender<Happening>) -> Option<Keys> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal() && screen::is_for_a_person()) {
            return None;
        }
        let terminal = Rc::new(io::stdin().as_fd().try_clone_to_owned().ok()?);
        let fd: fn(&OwnedFd) -> BorrowedFd<'_> = |terminal| terminal.as_fd();
        let watch = watch(terminal.clone(), fd, outbox.clone(), || Happening::KeysPending).ok()?;
        let keys = Keys { terminal, typed: Typed::default(), tasks: Vec::new(), _watch: watch };
        keys.resume();
        Some(keys)
    }

    /// Reads by keys from here on, if the launcher has the foreground.
    pub fn resume(&self) {
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        if before.is_some() || !self.has_foreground() {
            return;
        }
        let Ok(modes) = terminal::modes(self.terminal.as_fd()) else { return };
        match terminal::set_modes_now(self.terminal.as_fd(), &modes.by_key()) {
            Ok(()) => *before = Some(modes),
            Err(problem) => debug!("keys cannot be read one by one: {problem}"),
        }
    }

    fn has_foreground(&self) -> bool {
        terminal::foreground_group(self.terminal.as_fd()).is_ok_and(|group| group == terminal::own_group())
    }

    /// What was typed. Read only while there is something, for a terminal that others share is not made non-blocking; and not
    /// in the background, where it is for somebody else.
    fn read(&self) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), [0; 256]);
        while self.has_foreground() && is_readable(self.terminal.as_fd()) {
            match nix::unistd::read(&self.terminal, &mut buffer) {
                Ok(length) if length > 0 => all.extend_from_slice(&buffer[..length]),
                _ => break,
            }
        }
        all
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// The terminal is as it was, if keys were read from it.
pub fn restore() {
    // After a panic in another thread that holds it there is nobody to wait for.
    let before = match BEFORE.try_lock() {
        Ok(mut before) => before.take(),
        Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
        Err(std::sync::TryLockError::WouldBlock) => None,
    };
    if let Some(before) = before {
        // Nobody is left to tell when the terminal is gone.
        let _ = terminal::set_modes_now(io::stdin().as_fd(), &before);
    }
}

fn is_readable(terminal: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::new(terminal, PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0)
        && polled[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
}

impl Supervisor {
    /// Takes keys, where there is a person who could type them: the services are those of a file, and none of them has the
    /// terminal itself.
    pub(super) fn open_keys(&mut self) {
        if self.settings.single_command || self.console.is_some() || self.trial.is_some() {
            return;
        }
        self.keys = Keys::open(&self.outbox);
        if self.keys.is_some() {
            info!(event = "keys", "{HELP}");
        }
    }

    /// Takes in what was typed, and does it.
    pub(super) fn read_keys(&mut self) {
        let Some(keys) = &mut self.keys else { return };
        let bytes = keys.read();
        // A launcher that was started in the background has come to the foreground since.
        keys.resume();
        let names: Vec<String> = self.fleet.wanted().map(|(_, service)| service.settings().name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let commands = keys.typed.typed(&bytes, &names);
        screen::question(keys.typed.question(&names));
        for command in commands {
            self.do_as_typed(command, &names);
        }
    }

    fn do_as_typed(&mut self, command: Command, names: &[&str]) {
        match command {
            Command::Help => info!(event = "keys", "{HELP}"),
            Command::Unclear(answer) => info!(event = "keys", "{answer:?} is no service, or the beginning of several"),
            Command::Stop => {
                info!(event = "asked", command = "stop", "all services are stopped: q was typed");
                self.feed(FleetEvent::StopRequested(StopCause::Request));
            }
            Command::Restart(which) => self.restart_as_typed(which, names),
            Command::Lines(which) => self.show_lines(which),
            Command::Dump(service) => self.dump_as_typed(service),
        }
    }

    /// Asks as somebody by the control socket would, one service after the other.
    fn restart_as_typed(&mut self, which: Which, names: &[&str]) {
        let services = match which {
            Which::One(service) => vec![service],
            Which::All => names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let outbox = self.outbox.clone();
        self.keep_task(async move {
            for service in services {
                let request = Request::Command { service, verb: Verb::Restart, wait: true };
                let Some(answer) = asked(&outbox, request).await.and_then(at_once) else { return };
                tell_failure(&answer);
            }
        });
    }

    fn dump_as_typed(&mut self, service: String) {
        let outbox = self.outbox.clone();
        self.keep_task(async move {
            let request = Request::Command { service: service.clone(), verb: Verb::Dump, wait: true };
            match asked(&outbox, request).await {
                Some(Reply::OnThread(dump)) => {
                    let show = move || show_dump(&service, &dump());
                    if let Err(problem) = std::thread::Builder::new().name("dump".into()).spawn(show) {
                        warn!("there is no thread for a dump: {problem}");
                    }
                }
                Some(Reply::Whole(answer)) => tell_failure(&answer),
                _ => {}
            }
        });
    }

    /// From here on the lines of one service alone are shown, with the last that it wrote.
    fn show_lines(&mut self, which: Which) {
        let Which::One(name) = which else {
            output::show_all();
            return info!(event = "lines", "the lines of all services are shown");
        };
        let Some(slot) = self.fleet.find(&name).map(|id| &self.slots[id.0]) else { return };
        let last = slot.output.memory().last(LAST_LINES);
        let line = |text: &[u8]| format!("  {}\n", text::clean(&String::from_utf8_lossy(text)));
        let lines: String = last.lines.iter().map(|kept| line(&kept.text)).collect();
        slot.output.show_alone();
        let block =
            format!("launcher: only the lines of {name} are shown, until l and Enter are typed; its last are\n{lines}");
        info!(service = name, event = "lines", block, "only the lines of {name} are shown");
    }

    fn keep_task(&mut self, task: impl Future<Output = ()> + 'static) {
        if let Some(keys) = &mut self.keys {
            keys.tasks.retain(|task| !task.is_over());
            keys.tasks.push(Task::start(task));
        }
    }
}

/// Asks the loop, and waits for what it answers.
async fn asked(outbox: &UnboundedSender<Happening>, request: Request) -> Option<Reply> {
    let (reply, answer) = oneshot::channel();
    outbox.send(Happening::Asked(Box::new(Asked { request, reply }))).ok()?;
    answer.await.ok()
}

fn at_once(reply: Reply) -> Option<Answer> {
    match reply {
        Reply::Whole(answer) => Some(answer),
        Reply::OnThread(_) | Reply::Follow { .. } | Reply::Attach(_) => None,
    }
}

/// What came well can be seen; why something was not done has to be said.
fn tell_failure(answer: &Answer) {
    let told = serde_json::from_str::<Outcome>(&answer.body).map(|outcome| outcome.message);
    if answer.code >= 400 {
        warn!(event = "refused", "{}", told.unwrap_or_else(|_| answer.body.trim_end().to_owned()));
    }
}

fn show_dump(name: &str, answer: &Answer) {
    let Ok(Report { verdict, alternatives, processes, .. }) = Report::from_json(&answer.body) else {
        return tell_failure(answer);
    };
    let style = log::style(&io::stderr());
    let block = text::dump(&processes, &Diagnosis { verdict, alternatives }, false, style);
    info!(service = name, event = "dump", block, "what {name} is doing");
}
