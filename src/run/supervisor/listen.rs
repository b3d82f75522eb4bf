//! From happenings to events: what is read from signals, keepers and notify sockets.

use std::rc::Rc;
use std::time::Duration;

use tracing::{debug, error, warn};

use crate::core::exit::Ending;
use crate::core::facts::Occasion;
use crate::core::fleet::{FleetEvent, ServiceId};
use crate::core::notify;
use crate::core::report::text::{self, Context};
use crate::core::service::{Event, Generation, Sender, StopCause};
use crate::core::signal::Signal;
use crate::run::{log, reports};
use crate::sys::keeper::{Keeper, Message, reap_orphans, sweep_orphans};
use crate::sys::notify_socket::{Credentials, Datagram};
use crate::sys::{clock, procfs, terminal};

use super::Supervisor;
use super::inbox::{Explained, Happening};
use super::slot::Live;

/// How long processes that a killed keeper left behind are hunted before the loop goes on.
const LEFTOVERS: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Routes one happening to its method.
    pub(super) fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::SignalPending => self.read_signals(),
            Happening::KeeperReadable(id, generation) => self.read_keeper(id, generation),
            Happening::NotifyReadable(id, generation) => self.read_notify(id, generation),
            Happening::ProbeSucceeded(id, generation) => self.tell(id, Event::ProbeSucceeded(generation)),
            Happening::HandlersSeen(id, generation, caught) => self.tell(id, Event::HandlersSeen(generation, caught)),
            Happening::Explained(id, generation, explained) => self.explained(id, generation, *explained),
        }
    }

    /// Feeds an event of one service.
    fn tell(&mut self, id: ServiceId, event: Event) {
        self.feed(FleetEvent::Service(id, event));
    }

    fn read_signals(&mut self) {
        loop {
            match self.signals.receive() {
                Ok(Some(received)) => self.signal_arrived(received.signal, received.by_kernel),
                Ok(None) => return,
                Err(problem) => {
                    error!("reading signals failed: {problem}");
                    return;
                }
            }
        }
    }

    fn signal_arrived(&mut self, signal: Signal, from_kernel: bool) {
        // The kernel sends SIGHUP when the terminal goes away: nobody is left to run for. From kill(2) it is a message.
        // A shell whose terminal goes away tells its jobs by kill(2), too.
        let hang_up = signal == Signal::HUP && (from_kernel || terminal::is_hung_up());
        if signal.is_stop_request() || hang_up {
            self.feed(FleetEvent::StopRequested(StopCause::Signal(signal)));
        } else if signal == Signal::CHLD {
            // SIGCHLD: keepers are waited for by their sockets; what else is there are orphans of a dead keeper.
            reap_orphans();
        } else if matches!(signal, Signal::TSTP | Signal::TTIN | Signal::TTOU) {
            self.suspend();
        } else {
            self.feed(FleetEvent::SignalReceived(signal));
        }
    }

    /// Ctrl-Z: a terminal stops a whole job, so the services stop, too, and go on with the launcher.
    fn suspend(&mut self) {
        self.signal_jobs(Signal::TSTP);
        // An interactive service tells by its own stop that it is the launcher's turn.
        if self.console.is_none() {
            terminal::stop_self();
            self.signal_jobs(Signal::CONT);
        }
    }

    /// Sends a signal of job control to every service.
    fn signal_jobs(&self, signal: Signal) {
        for live in self.slots.iter().filter_map(|slot| slot.live.as_ref()) {
            if let Err(problem) = live.keeper.signal_group(signal) {
                warn!("{signal} could not be sent: {problem}");
            }
        }
    }

    /// Reads what the keeper says.
    fn read_keeper(&mut self, id: ServiceId, generation: Generation) {
        while let Some(keeper) = self.keeper_of(id, generation) {
            match keeper.receive() {
                Some(message) => self.keeper_said(id, generation, message),
                None => return,
            }
        }
    }

    fn keeper_said(&mut self, id: ServiceId, generation: Generation, message: Message) {
        let now = clock::now();
        match message {
            Message::Spawned { pid } => {
                let slot = &mut self.slots[id.0];
                if let Some(live) = &mut slot.live {
                    live.main = Some(pid);
                }
                slot.history.note(now, format!("executed as pid {pid}"));
                slot.history.kills_before = crate::sys::memory::kills_in_own_cgroup();
                self.tell(id, Event::Spawned(generation, pid));
                // What it has said already was left until now.
                self.read_notify(id, generation);
            }
            Message::ExecFailed { stage, errno } => {
                let slot = &self.slots[id.0];
                let failure = super::spawn::exec_failure(&slot.settings, slot.program.as_deref(), stage, errno);
                self.slots[id.0].history.note(now, failure.summary.clone());
                self.tell(id, Event::SpawnFailed(generation, Box::new(failure)));
            }
            Message::Exited { pid, ending } => self.main_ended(id, generation, pid, ending),
            Message::Stopped { signal } => self.child_stopped(id, signal),
            Message::Continued => {}
            Message::Gone => self.keeper_gone(id, generation),
            Message::Lost => {
                let service = &self.slots[id.0].settings.name;
                warn!(service, "the keeper of {service} was killed by somebody: what it kept is ended");
                sweep_orphans(LEFTOVERS);
                self.keeper_gone(id, generation);
            }
        }
    }

    /// The main process, or the one followed in its place, has ended.
    fn main_ended(&mut self, id: ServiceId, generation: Generation, pid: i32, ending: Option<Ending>) {
        // What it said before its end is heard first: it may have been ready, or have named another main process.
        self.read_notify(id, generation);
        let live = self.slots[id.0].live.as_ref().filter(|live| live.generation == generation);
        if live.is_some_and(|live| live.main.is_some_and(|main| main != pid)) {
            return;
        }
        let now = clock::now();
        self.take_terminal_back(id, matches!(ending, Some(Ending::Code(_))));
        let ending = ending.unwrap_or_else(|| {
            // Before Linux 6.15 nobody but a process's parent is told how it ended.
            let service = &self.slots[id.0].settings.name;
            warn!(service, "how pid {pid} of {service} ended is not known on this kernel: taken for a success");
            Ending::Code(0)
        });
        self.slots[id.0].history.note(now, format!("ended: {ending}"));
        self.tell(id, Event::Exited(generation, ending));
    }

    /// No process of the generation is left.
    fn keeper_gone(&mut self, id: ServiceId, generation: Generation) {
        let live = self.slots[id.0].live.take_if(|live| live.generation == generation);
        if live.is_some() {
            drop(live);
            self.take_terminal_back(id, false);
            self.tell(id, Event::Emptied(generation));
        }
    }

    /// Reads what the service says. A program may speak before the keeper has told that it was executed: that is left
    /// in the socket until then, so that a barrier behind READY=1 opens after the service *is* ready.
    fn read_notify(&mut self, id: ServiceId, generation: Generation) {
        loop {
            let slot = &self.slots[id.0];
            let Some(live) = slot.live.as_ref().filter(|live| live.generation == generation) else { return };
            if live.main.is_none() {
                return;
            }
            match live.notify.receive() {
                Ok(Some(datagram)) => {
                    let sender = sender_of(live, slot.user, &datagram);
                    self.notified(id, generation, sender, datagram);
                }
                Ok(None) => return,
                Err(problem) => {
                    debug!("a datagram on the notify socket was lost: {problem}");
                    return;
                }
            }
        }
    }

    fn notified(&mut self, id: ServiceId, generation: Generation, sender: Sender, datagram: Datagram) {
        if datagram.truncated {
            let service = &self.slots[id.0].settings.name;
            warn!(service, "a notification for {service} was too long and is ignored");
            return;
        }
        let message = notify::Message::parse(&datagram.bytes);
        // The one descriptor of a barrier is closed with the datagram, after everything before it was handled.
        self.slots[id.0].history.heard(&message, sender, &datagram.bytes);
        self.tell(id, Event::Notified(generation, sender, message));
    }

    fn explained(&mut self, id: ServiceId, generation: Generation, explained: Explained) {
        self.explaining -= 1;
        self.show(id, &explained);
        if explained.awaited {
            self.tell(id, Event::Explained(generation));
        }
    }

    /// Says what was found: the block of DESIGN §8 on a terminal, one line elsewhere.
    fn show(&mut self, id: ServiceId, explained: &Explained) {
        let service = &self.slots[id.0].settings.name;
        let report = &explained.report;
        let path = match &explained.path {
            Ok(path) => path.display().to_string(),
            Err(problem) => {
                let folder = self.store.folder(service);
                warn!(service, "the report of {service} could not be written to {}: {problem}", folder.display());
                String::new()
            }
        };
        if report.kind == Occasion::StopTimeout {
            for line in text::survivors(report) {
                warn!(service, event = "survivor", "{service}: {line}");
            }
        }
        let block = self.block(id, explained, &path);
        reports::write_termination_message(&text::termination(report));
        let cause = report.verdict.cause.name();
        let summary = &report.verdict.summary;
        if log::at_terminal() || self.settings.launcher.log_format == crate::core::settings::LogFormat::Text {
            error!(service, block, "{summary}");
        } else {
            let confidence = report.verdict.confidence.name();
            let advice = report.verdict.advice.join("; ");
            let whose = if summary.starts_with(service.as_str()) { String::new() } else { format!("{service}: ") };
            error!(service, event = "report", cause, confidence, report = path, advice, block, "{whose}{summary}");
        }
    }

    /// The block of DESIGN §8 for a person.
    fn block(&self, id: ServiceId, explained: &Explained, path: &str) -> String {
        let settings = &self.slots[id.0].settings;
        let limit = match explained.report.kind {
            Occasion::StopTimeout => Some(settings.stop_timeout),
            Occasion::Watchdog => settings.watchdog,
            _ => Some(settings.start_timeout),
        };
        let context = Context {
            attempt: explained.report.attempt,
            of: explained.outlook.of,
            next: explained.outlook.next,
            report_path: (!path.is_empty()).then_some(path),
            report_dir: self.settings.launcher.report_dir.as_deref().and_then(|dir| dir.to_str()),
            limit,
            style: log::style(&std::io::stderr()),
        };
        text::missed_deadline(&explained.report, &context)
    }

    /// With `-i`, the terminal belongs to the child while it runs, and to the launcher after.
    fn take_terminal_back(&mut self, id: ServiceId, in_order: bool) {
        if self.slots[id.0].settings.interactive
            && let Some(console) = &mut self.console
        {
            console.take_back(in_order);
        }
    }

    /// The interactive child was stopped from its terminal (Ctrl-Z): so is the launcher, and both go on together. One
    /// that was stopped for using the terminal from the background only needs the foreground, once there is one to give.
    fn child_stopped(&mut self, id: ServiceId, signal: Signal) {
        let (Some(live), Some(console)) = (&self.slots[id.0].live, &mut self.console) else { return };
        let wants_foreground = matches!(signal, Signal::TTIN | Signal::TTOU);
        if !(wants_foreground && console.has_foreground()) {
            console.suspend();
            terminal::stop_self();
        }
        if let Some(main) = live.main {
            console.resume(main);
        }
        self.signal_jobs(Signal::CONT);
    }

    fn keeper_of(&self, id: ServiceId, generation: Generation) -> Option<Rc<Keeper>> {
        let live = self.slots[id.0].live.as_ref().filter(|live| live.generation == generation)?;
        Some(live.keeper.clone())
    }
}

/// Whether the sender belongs to the service. One that has ended and been reaped since cannot be asked any more: it is
/// believed when it was the service's own user, who could as well have spoken through the service itself.
fn sender_of(live: &Live, service_user: u32, datagram: &Datagram) -> Sender {
    let Credentials { pid, uid, .. } = datagram.credentials;
    if live.main == Some(pid) {
        Sender::Main(pid)
    } else if live.keeper.is_member(pid) || (uid == service_user && !procfs::exists(pid)) {
        Sender::Member(pid)
    } else {
        Sender::Stranger(pid)
    }
}
