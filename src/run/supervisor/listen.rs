//! From happenings to events: what is read from signals, keepers and notify sockets.

use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

use tracing::{debug, error, warn};

use crate::core::exit::Ending;
use crate::core::fleet::{FleetEvent, ServiceId};
use crate::core::notify;
use crate::core::service::{Event, Generation, Sender, StopCause};
use crate::core::signal::Signal;
use crate::sys::keeper::{Keeper, Message, reap_orphans, sweep_orphans};
use crate::sys::notify_socket::{Credentials, Datagram};
use crate::sys::{clock, memory, procfs, terminal};

use super::Supervisor;
use super::descriptors;
use super::inbox::{Happening, Task, watch};
use super::keys::Keys;
use super::slot::{Live, Slot};

/// How long processes that a killed keeper left behind are hunted before the loop goes on.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// When the start of a process is over: soon enough that it cannot have used up a memory limit yet.
const SETTLED: Duration = Duration::from_millis(5);

impl Supervisor {
    /// Routes one happening to its method.
    pub(super) fn handle(&mut self, happening: Happening) {
        match happening {
            Happening::SignalPending => self.read_signals(),
            Happening::ParentEnded => self.parent_ended(),
            Happening::KeeperReadable(id, generation) => self.read_keeper(id, generation),
            Happening::MainEnded(id, generation) => self.await_keeper(id, generation),
            Happening::NotifyReadable(id, generation) => self.read_notify(id, generation),
            Happening::ProbeSucceeded(id, generation) => self.tell(id, Event::ProbeSucceeded(generation)),
            Happening::RequirementTried(id, generation, index, outcome) => {
                self.tell(id, Event::RequirementTried(generation, index, outcome));
            }
            Happening::Farewelled(id, outcome) => self.farewelled(id, outcome),
            Happening::LookDue(id, generation) => self.look_for_progress(id, generation),
            Happening::HandlersSeen(id, generation, caught) => self.tell(id, Event::HandlersSeen(generation, caught)),
            Happening::Settled(id, generation) => {
                if let Some(course) = self.slots[id.0].course_mut(generation).filter(|course| course.live.is_some()) {
                    course.history.kills_before = memory::kills_in_own_cgroup();
                }
            }
            Happening::Looked(id, generation, files) => {
                if let Some(event) = self.checked(id, generation, *files) {
                    self.feed(event);
                }
            }
            Happening::KeysPending => self.read_keys(),
            Happening::Asked(asked) => self.asked(*asked),
            Happening::Called(id, generation, asked) => self.called(id, generation, asked),
            Happening::HungUp(id) => self.hung_up(id),
            Happening::SharesDue(id) => self.shares_due(id),
            Happening::FileOfSettingsChanged => self.watching.settings_changed(),
            Happening::Reread(read) => self.reread(*read),
            Happening::FileChanged(id, path) => self.file_changed(id, &path),
            Happening::WatchTrouble(why) => super::watch::watch_trouble(&why),
            Happening::CommandEnded(id, outcome) => self.command_ended(id, outcome),
            Happening::Explained(id, generation, explained) => self.explained(id, generation, *explained),
            Happening::Stayed(id, generation, listening) => self.trial_stayed(id, generation, &listening),
            Happening::Expected(facts) => self.expected(&facts),
        }
    }

    /// Feeds an event of one service.
    pub(super) fn tell(&mut self, id: ServiceId, event: Event) {
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
            self.trial_interrupted(signal);
            self.feed(FleetEvent::StopRequested(StopCause::Signal(signal)));
        } else if signal == Signal::CHLD {
            // SIGCHLD: keepers are waited for by their sockets; what else is there are orphans of a dead keeper.
            reap_orphans();
        } else if matches!(signal, Signal::TSTP | Signal::TTIN | Signal::TTOU) {
            self.suspend();
        } else {
            if signal == Signal::HUP {
                self.manager.reload_asked(clock::now());
            }
            self.feed(FleetEvent::SignalReceived(signal));
        }
    }

    /// Ctrl-Z: a terminal stops a whole job, so the services stop, too, and go on with the launcher.
    fn suspend(&mut self) {
        self.signal_jobs(Signal::TSTP);
        // An interactive service tells by its own stop that it is the launcher's turn.
        if self.console.is_none() {
            self.start_up.wipe();
            super::keys::restore();
            terminal::stop_self();
            self.keys.iter().for_each(Keys::resume);
            self.signal_jobs(Signal::CONT);
        }
    }

    /// Sends a signal of job control to every service.
    fn signal_jobs(&self, signal: Signal) {
        for live in self.slots.iter().flat_map(Slot::lives) {
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

    /// The main process has ended. Its keeper, woken by the same end, tells of it within microseconds: that is waited
    /// for here, as being woken once more would take longer.
    fn await_keeper(&mut self, id: ServiceId, generation: Generation) {
        if let Some(keeper) = self.keeper_of(id, generation) {
            keeper.give_way();
        }
        self.read_keeper(id, generation);
    }

    fn keeper_said(&mut self, id: ServiceId, generation: Generation, message: Message) {
        let now = clock::now();
        match message {
            Message::Spawned { pid } => {
                let slot = &mut self.slots[id.0];
                if let Some(live) = slot.live_mut(generation) {
                    live.main = Some(pid);
                }
                slot.note(now, generation, format!("executed as pid {pid}"));
                self.take_calls(id, generation);
                self.trial_spawned(now, id);
                self.tell(id, Event::Spawned(generation, pid));
                // What it has said already was left until now.
                self.read_notify(id, generation);
                self.watch_main(id, generation);
                self.settle_soon(id, generation);
            }
            Message::ExecFailed { stage, errno } => {
                let slot = &mut self.slots[id.0];
                let program = slot.course(generation).map(|course| course.files.program.as_path());
                let failure = super::spawn::exec_failure(slot.settings_of(generation), program, stage, errno);
                slot.note(now, generation, failure.summary.clone());
                self.tell(id, Event::SpawnFailed(generation, Box::new(failure)));
            }
            Message::Exited { pid, ending } => self.main_ended(id, generation, pid, ending),
            Message::Stopped { signal } => self.child_stopped(id, generation, signal),
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

    /// Has the end of the main process wake the launcher together with the keeper.
    fn watch_main(&mut self, id: ServiceId, generation: Generation) {
        fn end(keeper: &Keeper) -> BorrowedFd<'_> {
            keeper.main_end().unwrap_or_else(|| keeper.fd())
        }
        let outbox = self.outbox.clone();
        let Some(live) = self.slots[id.0].live_mut(generation) else { return };
        if live.keeper.main_end().is_none() {
            return;
        }
        // Without it the keeper tells of the end all the same.
        live.tasks.extend(watch(live.keeper.clone(), end, outbox, move || Happening::MainEnded(id, generation)));
    }

    /// What is not needed for the start itself is asked for when that is over: the files of cgroups take their time.
    fn settle_soon(&mut self, id: ServiceId, generation: Generation) {
        let outbox = self.outbox.clone();
        if let Some(live) = self.slots[id.0].live_mut(generation) {
            live.tasks.push(Task::start(async move {
                tokio::time::sleep(SETTLED).await;
                let _ = outbox.send(Happening::Settled(id, generation));
            }));
        }
    }

    /// The main process, or the one followed in its place, has ended.
    fn main_ended(&mut self, id: ServiceId, generation: Generation, pid: i32, ending: Option<Ending>) {
        // What it said before its end is heard first: it may have been ready, or have named another main process.
        self.read_notify(id, generation);
        let live = self.slots[id.0].live(generation);
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
        self.slots[id.0].note(now, generation, format!("ended: {ending}"));
        self.tell(id, Event::Exited(generation, ending));
    }

    /// No process of the generation is left.
    fn keeper_gone(&mut self, id: ServiceId, generation: Generation) {
        let live = self.slots[id.0].course_mut(generation).and_then(|course| course.live.take());
        if live.is_some() {
            drop(live);
            self.slots[id.0].ports.mend();
            self.take_terminal_back(id, false);
            self.tell(id, Event::Emptied(generation));
        }
    }

    /// Reads what the service says. A program may speak before the keeper has told that it was executed: that is left
    /// in the socket until then, so that a barrier behind READY=1 opens after the service *is* ready.
    fn read_notify(&mut self, id: ServiceId, generation: Generation) {
        loop {
            let slot = &self.slots[id.0];
            let Some(live) = slot.live(generation) else { return };
            if live.main.is_none() {
                return;
            }
            let Some(socket) = &live.notify else { return };
            match socket.receive() {
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

    fn notified(&mut self, id: ServiceId, generation: Generation, sender: Sender, mut datagram: Datagram) {
        if datagram.truncated {
            let service = &self.slots[id.0].settings.name;
            warn!(service, "a notification for {service} was too long and is ignored");
            return;
        }
        let mut message = notify::Message::parse(&datagram.bytes);
        let slot = &mut self.slots[id.0];
        if let Some(live) = slot.live(generation) {
            message.attached = descriptors::attached(live, &message, &mut datagram.fds);
        }
        if let Some(course) = slot.course_mut(generation) {
            course.history.heard(clock::now(), &message, sender, &datagram.bytes);
        }
        slot.received = datagram.fds;
        self.tell(id, Event::Notified(generation, sender, Box::new(message)));
        // What is not kept is closed: the one descriptor of a barrier too, after everything before it was handled.
        self.slots[id.0].received.clear();
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
    fn child_stopped(&mut self, id: ServiceId, generation: Generation, signal: Signal) {
        let wants_foreground = matches!(signal, Signal::TTIN | Signal::TTOU);
        if wants_foreground && !self.slots[id.0].settings.interactive {
            let service = &self.slots[id.0].settings.name;
            warn!(service, "{service} is stopped by {signal}: it uses the terminal, which it is given with -i alone");
        }
        let (Some(live), Some(console)) = (self.slots[id.0].live(generation), &mut self.console) else { return };
        if !(wants_foreground && console.await_foreground().is_ok()) {
            console.suspend();
            terminal::stop_self();
        }
        if let Some(main) = live.main {
            console.resume(main);
        }
        self.signal_jobs(Signal::CONT);
    }

    fn keeper_of(&self, id: ServiceId, generation: Generation) -> Option<Rc<Keeper>> {
        self.slots[id.0].live(generation).map(|live| live.keeper.clone())
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
