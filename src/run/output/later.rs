//! Lines that nobody waits for: those of services that rather lose some than wait, and the launcher's own when stderr
//! takes nothing. A thread writes them as the reader takes them; it is made when it is needed first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tracing::warn;

use crate::core::output::Backlog;

use super::target::Target;

/// The launcher itself, among the writers.
pub const OWN: u64 = 0;

/// What waits to be written to one place.
struct Later {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Whether something waits, or is being written: what comes then waits as well, to keep the order.
    busy: AtomicBool,
}

struct Waiting {
    backlog: Option<Backlog<Target>>,
    /// The thread's end, once it runs.
    ended: Option<Receiver<()>>,
    closing: bool,
    /// Who writes, by number, for what is said of dropped lines.
    names: Vec<(u64, String)>,
}

/// One for stdout and one for stderr: neither waits for the other's reader.
static LATER: [Later; 2] = [const { Later::new() }; 2];

/// Whether lines wait for this target.
pub fn is_busy(to: Target) -> bool {
    LATER[to.place()].busy.load(Ordering::Acquire)
}

/// Leaves lines to be written when the reader takes them. `name` is the writer's, for what is said of dropped lines.
pub fn push(writer: u64, name: &str, to: Target, bytes: &[u8]) {
    LATER[to.place()].push(writer, name, to, bytes);
}

/// Nothing more comes: the threads end when they have written what waits, and tell so.
pub fn close() -> impl Iterator<Item = Receiver<()>> {
    LATER.iter().filter_map(Later::close)
}

impl Later {
    const fn new() -> Later {
        let waiting = Waiting { backlog: None, ended: None, closing: false, names: Vec::new() };
        Later { waiting: Mutex::new(waiting), changed: Condvar::new(), busy: AtomicBool::new(false) }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&'static self, writer: u64, name: &str, to: Target, bytes: &[u8]) {
        let mut waiting = self.waiting();
        if !waiting.names.iter().any(|(number, _)| *number == writer) {
            waiting.names.push((writer, name.to_owned()));
        }
        waiting.backlog.get_or_insert_default().push(writer, to, bytes);
        self.busy.store(true, Ordering::Release);
        if waiting.ended.is_none() && !waiting.closing {
            let (over, ended) = channel();
            let writing = move || {
                self.write_all();
                let _ = over.send(());
            };
            if std::thread::Builder::new().name("output".into()).stack_size(64 * 1024).spawn(writing).is_err() {
                // Without a thread the lines are lost, as they would be with their reader.
                waiting.backlog = None;
                return;
            }
            waiting.ended = Some(ended);
        }
        drop(waiting);
        self.changed.notify_one();
    }

    fn close(&self) -> Option<Receiver<()>> {
        let mut waiting = self.waiting();
        waiting.closing = true;
        self.changed.notify_one();
        waiting.ended.take()
    }

    fn write_all(&self) {
        loop {
            let mut waiting = self.waiting();
            let (piece, dropped) = loop {
                if let Some(next) = waiting.backlog.as_mut().and_then(Backlog::pop) {
                    break next;
                }
                self.busy.store(false, Ordering::Release);
                if waiting.closing {
                    return;
                }
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            };
            let name = waiting.names.iter().find(|(number, _)| *number == piece.writer).map(|(_, name)| name.clone());
            drop(waiting);
            piece.to.pass(&piece.bytes);
            // After the piece that waited: the reader takes something again.
            if dropped > 0 {
                let service = name.unwrap_or_default();
                warn!(
                    service,
                    event = "lines-dropped",
                    dropped,
                    "{dropped} lines of {service} were dropped: they came faster than launcher's output was read"
                );
            }
        }
    }
}
