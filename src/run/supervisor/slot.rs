//! What the loop holds for one service: its ports, its output and the generation that lives.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::core::facts::NotifyFacts;
use crate::core::notify::Message;
use crate::core::report::TimelineEntry;
use crate::core::service::{Generation, Sender};
use crate::core::settings::ServiceSettings;
use crate::core::time::Moment;
use crate::run::output::Output;
use crate::sys::keeper::Keeper;
use crate::sys::notify_socket::NotifySocket;

use super::inbox::Task;
use super::ports::Ports;

/// One service.
pub struct Slot {
    /// What it is told to do.
    pub settings: Arc<ServiceSettings>,
    /// Its ports.
    pub ports: Ports,
    /// What it writes.
    pub output: Output,
    /// Whether it is the one command of the command line, whose stdin and output are its own.
    pub single: bool,
    /// The uid it runs as.
    pub user: u32,
    /// The program as preflight resolved it.
    pub program: Option<std::path::PathBuf>,
    /// The generation that lives, or is about to.
    pub live: Option<Live>,
    /// What happened to the newest generation.
    pub history: History,
}

/// One generation and its processes.
pub struct Live {
    /// Which one.
    pub generation: Generation,
    /// The process above all of its processes.
    pub keeper: Rc<Keeper>,
    /// Where it says that it is ready.
    pub notify: Rc<NotifySocket>,
    /// Its main process, once executed.
    pub main: Option<i32>,
    /// The tasks that watch the keeper and the notify socket, for as long as it lives.
    pub tasks: Vec<Task>,
    /// The tasks that look for listening ports and handlers.
    pub probes: Vec<Task>,
}

/// What happened to a generation so far.
#[derive(Default)]
pub struct History {
    /// Whether it was ready.
    pub ready: bool,
    /// Whether a report tells that it failed.
    pub failed: bool,
    /// When its preflight began.
    pub began: Moment,
    /// When its main process was to be executed.
    pub spawned: Option<Moment>,
    /// The timeline of the report.
    pub timeline: Vec<TimelineEntry>,
    /// What it said on the notify socket.
    pub notified: NotifyFacts,
    /// How often the kernel had killed for want of memory when it started.
    pub kills_before: Option<u64>,
}

/// How many entries a timeline may have: a service that sends a STATUS= a millisecond must not fill the memory.
const LONGEST_TIMELINE: usize = 200;

/// How many messages of strangers are remembered for the report.
const MOST_STRANGERS: usize = 16;

impl History {
    /// A new generation begins.
    pub fn begin(&mut self, now: Moment) {
        *self = History { began: now, ..History::default() };
    }

    /// Something happened.
    pub fn note(&mut self, now: Moment, event: impl Into<String>) {
        if self.timeline.len() < LONGEST_TIMELINE {
            let at_ms = now.since(self.began).as_millis() as u64;
            self.timeline.push(TimelineEntry { at_ms, event: event.into() });
        }
    }

    /// Something was said on the notify socket.
    pub fn heard(&mut self, message: &Message, sender: Sender, bytes: &[u8]) {
        if let Sender::Stranger(pid) = sender {
            if self.notified.strangers.len() < MOST_STRANGERS {
                let said = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).into_owned();
                self.notified.strangers.push((pid, said));
            }
            return;
        }
        self.notified.ready |= message.ready;
        self.notified.errno = message.errno.or(self.notified.errno);
        if message.status.is_some() {
            self.notified.status.clone_from(&message.status);
        }
    }

    /// Since the generation's main process was to be executed.
    pub fn running(&self, now: Moment) -> Option<Duration> {
        self.spawned.map(|spawned| now.since(spawned))
    }
}
