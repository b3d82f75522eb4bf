//! What the loop holds for one service: its ports, its output and the generations that live.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::core::facts::{NotifyFacts, ProbeFacts, SentFacts, SentFor, StopLimit};
use crate::core::fd_store::FdStore;
use crate::core::fleet::{FleetEvent, ServiceId};
use crate::core::notify::Message;
use crate::core::report::TimelineEntry;
use crate::core::service::{Generation, Sender};
use crate::core::settings::ServiceSettings;
use crate::core::signal::{Signal, SignalSet};
use crate::core::time::Moment;
use crate::core::units::human_duration;
use crate::run::output::{Output, Terminal};
use crate::run::preflight::Files;
use crate::sys::keeper::Keeper;
use crate::sys::notify_socket::NotifySocket;

use super::calls::Calls;
use super::check::{Check, Looking};
use super::inbox::Task;
use super::ports::Ports;
use super::probe::Sign;
use super::progress::Looked;
use super::share::Sharing;

/// One service.
pub struct Slot {
    /// What it is told to do.
    pub settings: Arc<ServiceSettings>,
    /// What its next generation is told, once that begins.
    pub coming: Option<Arc<ServiceSettings>>,
    /// Its ports.
    pub ports: Ports,
    /// What is done about shared ports, while two generations are there.
    pub sharing: Option<Sharing>,
    /// Whether the core knows that two generations cannot have the ports.
    pub alone: bool,
    /// What it writes.
    pub output: Output,
    /// Its terminal, when it has one of its own.
    pub terminal: Arc<Terminal>,
    /// Whether it is the one command of the command line, whose stdin and output are its own.
    pub single: bool,
    /// The uid it runs as.
    pub user: u32,
    /// Descriptors that it gave away for its next generation.
    pub store: FdStore<OwnedFd>,
    /// The descriptors of the notification that is being handled.
    pub received: Vec<OwnedFd>,
    /// A thread that looks at its files.
    pub looking: Option<Looking>,
    /// What is done since it has come to rest.
    pub farewell: Option<Task>,
    /// Its reports that are being made, or are to be begun.
    pub explaining: usize,
    /// Its newest generation, and the one beside it while two overlap.
    pub courses: Vec<Course>,
}

/// One generation, from its check on until a newer one is checked and it lives no more.
pub struct Course {
    /// Which one.
    pub generation: Generation,
    /// What it is told to do.
    pub settings: Arc<ServiceSettings>,
    /// What its check found in its files.
    pub files: Files,
    /// Its check, while that is under way.
    pub check: Option<Check>,
    /// The requirements that are being tried, by their place.
    pub tries: BTreeMap<usize, Task>,
    /// Its processes.
    pub live: Option<Live>,
    /// What happened to it.
    pub history: History,
}

impl Slot {
    /// A generation begins with its check.
    pub fn begin(&mut self, now: Moment, generation: Generation, check: Check) {
        self.courses.retain(|course| course.live.is_some());
        let mut history = History { began: now, ..History::default() };
        history.note(now, "checking");
        let (files, tries) = (Files::default(), BTreeMap::new());
        let settings = self.coming.as_ref().unwrap_or(&self.settings).clone();
        self.courses.push(Course { generation, settings, files, check: Some(check), tries, live: None, history });
    }

    /// What is known of a generation, if it is known yet or still.
    pub fn course(&self, generation: Generation) -> Option<&Course> {
        self.courses.iter().find(|course| course.generation == generation)
    }

    /// The same, to be changed.
    pub fn course_mut(&mut self, generation: Generation) -> Option<&mut Course> {
        self.courses.iter_mut().find(|course| course.generation == generation)
    }

    /// What a generation is told to do: one beside another may be set otherwise.
    pub fn settings_of(&self, generation: Generation) -> &Arc<ServiceSettings> {
        self.course(generation).map_or(&self.settings, |course| &course.settings)
    }

    /// The processes of a generation, while it lives.
    pub fn live(&self, generation: Generation) -> Option<&Live> {
        self.course(generation)?.live.as_ref()
    }

    /// The same, to be changed.
    pub fn live_mut(&mut self, generation: Generation) -> Option<&mut Live> {
        self.course_mut(generation)?.live.as_mut()
    }

    /// The processes of all generations that live.
    pub fn lives(&self) -> impl Iterator<Item = &Live> {
        self.courses.iter().filter_map(|course| course.live.as_ref())
    }

    /// What the core is to be told, once, when a port cannot be kept open for two generations.
    pub fn port_not_kept(&mut self, id: ServiceId) -> Option<FleetEvent> {
        let port = self.ports.not_kept().filter(|_| !self.alone)?.to_owned();
        self.alone = true;
        Some(FleetEvent::PortNotKept(id, port))
    }

    /// Something happened to a generation.
    pub fn note(&mut self, now: Moment, generation: Generation, event: impl Into<String>) {
        if let Some(course) = self.course_mut(generation) {
            course.history.note(now, event);
        }
    }

    /// A generation is sent a signal.
    pub fn sends(&mut self, now: Moment, generation: Generation, signal: Signal, why: SentFor) {
        if let Some(course) = self.course_mut(generation) {
            course.history.sends(now, signal, why);
        }
    }
}

/// The processes of a generation.
pub struct Live {
    /// The process above all of its processes.
    pub keeper: Rc<Keeper>,
    /// Where it says that it is ready, unless nobody is to hear it.
    pub notify: Option<Rc<NotifySocket>>,
    /// Its side of its own terminal: what is written there can be read for as long as it lives, whatever it closes.
    pub _terminal: Option<OwnedFd>,
    /// Its main process, once executed.
    pub main: Option<i32>,
    /// The tasks that watch the keeper and the notify socket, for as long as it lives.
    pub tasks: Vec<Task>,
    /// The thread that takes its calls, if it has ports that are answered for it.
    pub calls: Option<Calls>,
    /// What it is to be ready by, until that is waited for.
    pub sign: Option<Sign>,
    /// What came of it so far.
    pub probed: Option<Rc<RefCell<ProbeFacts>>>,
    /// The last look whether it gets on, while somebody cares.
    pub looked: Option<Looked>,
    /// The tasks that look for listening ports and handlers.
    pub probes: Vec<Task>,
}

impl Drop for Live {
    /// The tasks that watch the socket and the keeper let go of them a little later, or not at all when launcher ends.
    fn drop(&mut self) {
        if let Some(cgroup) = self.keeper.cgroup() {
            cgroup.remove();
        }
        if let Some(notify) = &self.notify {
            notify.unlink();
        }
    }
}

/// What happened to a generation so far.
#[derive(Default)]
pub struct History {
    /// Whether it was ready.
    pub ready: bool,
    /// Whether a report tells that it failed.
    pub failed: bool,
    /// The limit within which it has not stopped.
    pub stop_limit: Option<StopLimit>,
    /// Whether it was killed.
    pub killed: bool,
    /// When its preflight began.
    pub began: Moment,
    /// When its main process was to be executed.
    pub spawned: Option<Moment>,
    /// The timeline of the report.
    pub timeline: Vec<TimelineEntry>,
    /// The signals that commands have asked for and that are not sent yet.
    pub asked: SignalSet,
    /// The signals that were sent to it: when last, and why.
    pub sent: BTreeMap<i32, (Moment, SentFacts)>,
    /// What it said on the notify socket.
    pub notified: NotifyFacts,
    /// Whether anything has come on the notify socket, whoever sent it.
    pub spoken_to: bool,
    /// How often its start deadline has moved on because it got on.
    pub extensions: u32,
    /// How often the kernel had killed for want of memory when its main process had run for a moment.
    pub kills_before: Option<u64>,
}

/// How many entries a timeline may have: a service that sends a STATUS= a millisecond must not fill the memory.
const LONGEST_TIMELINE: usize = 200;

/// How many messages of strangers are remembered for the report.
const MOST_STRANGERS: usize = 16;

impl History {
    /// Something happened.
    pub fn note(&mut self, now: Moment, event: impl Into<String>) {
        if self.timeline.len() < LONGEST_TIMELINE {
            let at_ms = now.since(self.began).as_millis() as u64;
            self.timeline.push(TimelineEntry { at_ms, event: event.into() });
        }
    }

    /// It is sent a signal.
    pub fn sends(&mut self, now: Moment, signal: Signal, why: SentFor) {
        self.note(now, format!("sent {signal}"));
        let why = if why == SentFor::PassedOn && self.asked.contains(signal) { SentFor::Asked } else { why };
        self.asked = self.asked.without(signal);
        self.sent.insert(signal.number(), (now, SentFacts { signal, ago: Duration::ZERO, why }));
    }

    /// The signals that were sent to it, as they are seen now.
    pub fn sent(&self, now: Moment) -> Vec<SentFacts> {
        self.sent.values().map(|(at, sent)| SentFacts { ago: now.since(*at), ..*sent }).collect()
    }

    /// Something was said on the notify socket.
    pub fn heard(&mut self, now: Moment, message: &Message, sender: Sender, bytes: &[u8]) {
        self.spoken_to = true;
        if let Sender::Stranger(pid) = sender {
            if self.notified.strangers.len() < MOST_STRANGERS {
                let said = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).into_owned();
                self.notified.strangers.push((pid, said));
            }
            return;
        }
        if let Some(more) = message.extend_timeout.filter(|_| !self.ready) {
            self.extended(now, more);
        }
        self.notified.ready |= message.ready;
        self.notified.errno = message.errno.or(self.notified.errno);
        self.notified.exit_status = message.exit_status.or(self.notified.exit_status);
        if message.bus_error.is_some() {
            self.notified.bus_error.clone_from(&message.bus_error);
        }
        if message.status.is_some() {
            self.notified.status.clone_from(&message.status);
        }
    }

    /// It asked for more time. Many do so every second, of which the last is told.
    fn extended(&mut self, now: Moment, more: Duration) {
        const ASKED: &str = "it asks for more time: ";
        if self.timeline.last().is_some_and(|last| last.event.starts_with(ASKED)) {
            self.timeline.pop();
        }
        self.notified.extended = true;
        self.note(now, format!("{ASKED}{} from here on (EXTEND_TIMEOUT_USEC)", human_duration(more)));
    }

    /// Since the generation's main process was to be executed.
    pub fn running(&self, now: Moment) -> Option<Duration> {
        self.spawned.map(|spawned| now.since(spawned))
    }
}
