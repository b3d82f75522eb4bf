//! Looking whether a service that starts gets on, where its deadline moves on for that. A service without such a key is
//! not looked at.

use std::fmt::Write as _;

use tokio::time::sleep;

use crate::core::fleet::ServiceId;
use crate::core::progress::{Look, apart, signs};
use crate::core::service::{Event, Generation};
use crate::core::time::Moment;
use crate::sys::{clock, progress};

use super::Supervisor;
use super::inbox::{Happening, Task};
use super::slot::Slot;

/// The last look at a generation.
#[derive(Default)]
pub struct Looked {
    look: Look,
    /// Up to where its output had been read.
    position: u64,
}

impl Supervisor {
    /// Looks now, and from now on again and again.
    pub(super) fn watch_progress(&mut self, now: Moment, id: ServiceId, generation: Generation) {
        let outbox = self.outbox.clone();
        let slot = &mut self.slots[id.0];
        let apart = apart(slot.settings_of(generation).start_timeout);
        let looked = look(slot, now, generation, None);
        let Some(live) = slot.live_mut(generation) else { return };
        live.looked = looked;
        live.probes.push(Task::start(async move {
            loop {
                sleep(apart).await;
                if outbox.send(Happening::LookDue(id, generation)).is_err() {
                    return;
                }
            }
        }));
    }

    /// Looks again, and tells the core if there is a sign that it gets on.
    pub(super) fn look_for_progress(&mut self, id: ServiceId, generation: Generation) {
        let slot = &mut self.slots[id.0];
        let before = slot.live_mut(generation).and_then(|live| live.looked.take());
        let Some(before) = before else { return };
        let Some(after) = look(slot, clock::now(), generation, Some(&before)) else { return };
        let signs = signs(&before.look, &after.look);
        if let Some(live) = slot.live_mut(generation) {
            live.looked = Some(after);
        }
        if !signs.is_empty() {
            self.tell(id, Event::Progressed(generation, signs));
        }
    }
}

/// What can be counted of a generation now. Of one that was silent since, its last lines are kept to be compared with.
fn look(slot: &Slot, now: Moment, generation: Generation, before: Option<&Looked>) -> Option<Looked> {
    let processes = progress::counters(&slot.live(generation)?.keeper.members());
    let memory = slot.output.memory();
    let held = memory.hold();
    let position = held.kept.end();
    let mut look = Look { at: now, processes, ..Look::default() };
    if let Some(before) = before {
        let lines = held.kept.since(before.position).lines;
        for line in lines.iter().filter(|line| line.batch.generation == generation.0) {
            let _ = writeln!(look.lines, "{}", String::from_utf8_lossy(&line.text));
        }
        let age = held.last.map(|at| at.elapsed()).filter(|_| slot.courses.len() == 1);
        look.wrote = !look.lines.is_empty() || age.is_some_and(|age| age < now.since(before.look.at));
        if look.lines.is_empty() {
            look.lines.clone_from(&before.look.lines);
        }
    }
    Some(Looked { look, position })
}
