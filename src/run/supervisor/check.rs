//! What is checked before a generation: its files, then its ports.
//!
//! A file system that does not answer (NFS, FUSE) would hold up the loop, and with it every signal. Where that could be,
//! a thread looks at the files; where all is in memory and local, which is known without waiting, the loop itself does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::core::facts::{ExecFailure, Refusal};
use crate::core::fleet::{FleetEvent, ServiceId};
use crate::core::service::{Event, Generation};
use crate::core::time::Moment;
use crate::run::preflight::{self, Files};

use super::Supervisor;
use super::inbox::{Happening, Task};

/// A check that is under way.
pub struct Check {
    /// Ends the wait for an answer.
    _limit: Option<Task>,
    /// How often processes were ended for its ports.
    rounds: usize,
    /// Whoever ends them sees by this whether that is still wanted.
    _wanted: Option<Arc<()>>,
}

/// So many generations are checked, and so started, in one turn of the loop: what the first of many say is heard, and a
/// signal, before the last of them starts.
const IN_ONE_TURN: usize = 8;

/// What is put off has a turn when so much has happened before it, as services that talk all the time would keep others from
/// starting.
const PASSED_BY: usize = 16;

/// The checks that the loop itself makes.
#[derive(Default)]
pub struct Checks {
    /// How many were begun in this turn.
    begun: usize,
    /// How many things have happened since these had a turn.
    passed_by: usize,
    /// Those for which the next turns are.
    put_off: VecDeque<(ServiceId, Generation)>,
}

impl Checks {
    /// Another turn of the loop begins.
    pub(super) fn begin_turn(&mut self) {
        self.begun = 0;
    }

    /// Something has happened before they had their turn: whether they have one now all the same.
    pub(super) fn are_overdue(&mut self) -> bool {
        self.passed_by = if self.are_put_off() { self.passed_by + 1 } else { 0 };
        self.passed_by >= PASSED_BY
    }

    /// Whether there are some for which another turn is.
    pub(super) fn are_put_off(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// Whether one more is for this turn.
    fn may_begin(&mut self) -> bool {
        self.begun += 1;
        self.begun <= IN_ONE_TURN
    }
}

impl Check {
    fn new(limit: Option<Task>) -> Check {
        Check { _limit: limit, rounds: 0, _wanted: None }
    }

    /// One that waits until processes have ended.
    pub(super) fn taking_over(rounds: usize, wanted: Arc<()>) -> Check {
        Check { _limit: None, rounds, _wanted: Some(wanted) }
    }
}

impl Supervisor {
    pub(super) fn check(&mut self, now: Moment, id: ServiceId, generation: Generation) {
        let slot = &mut self.slots[id.0];
        slot.begin(now, generation, Check::new(None));
        let at_once = preflight::answer_at_once(slot.settings_of(generation));
        if at_once && !self.checks.may_begin() {
            self.checks.put_off.push_back((id, generation));
        } else {
            self.look(id, generation, at_once);
        }
    }

    /// The command line that tells all that is in the way of a start.
    fn check_command(&self) -> String {
        let file = self.settings.launcher.file.as_ref();
        file.map_or_else(|| "launcher check".to_owned(), |file| format!("launcher check -c {}", file.display()))
    }

    /// Looks at the files, itself where nobody is to be waited for, and says what came of it.
    fn look(&mut self, id: ServiceId, generation: Generation, at_once: bool) {
        let files = match at_once {
            true => preflight::files(self.slots[id.0].settings_of(generation), &self.check_command()),
            false => match self.look_on_a_thread(id, generation) {
                Ok(()) => return,
                Err(failure) => Err(Box::new(Refusal::Exec(failure))),
            },
        };
        let event = self.checked(id, generation, files);
        self.pending.extend(event);
    }

    /// Those come now that were put off, as many as one turn takes.
    pub(super) fn check_those_put_off(&mut self) {
        self.checks.begin_turn();
        self.checks.passed_by = 0;
        while self.checks.may_begin()
            && let Some((id, generation)) = self.checks.put_off.pop_front()
        {
            // One that was stopped meanwhile is not waited for any more.
            let slot = &mut self.slots[id.0];
            if slot.course_mut(generation).is_some_and(|course| course.check.is_some()) {
                // A file system may have stopped answering since it was put off.
                let at_once = preflight::answer_at_once(slot.settings_of(generation));
                self.look(id, generation, at_once);
            }
        }
        self.feed_pending();
    }

    /// Has a thread look at the files: answered by [`Happening::Looked`], for which no longer is waited than the service
    /// has time to start.
    fn look_on_a_thread(&mut self, id: ServiceId, generation: Generation) -> Result<(), ExecFailure> {
        let command = self.check_command();
        let slot = &mut self.slots[id.0];
        // One that does not come back is enough.
        if slot.looking.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Err(preflight::no_answer(slot.settings_of(generation)));
        }
        let (settings, outbox) = (slot.settings_of(generation).clone(), self.outbox.clone());
        let look = move || {
            let files = preflight::files(&settings, &command);
            let _ = outbox.send(Happening::Looked(id, generation, Box::new(files)));
        };
        let started = std::thread::Builder::new().name("preflight".into()).spawn(look);
        slot.looking = Some(started.map_err(|problem| preflight::no_thread(&problem))?);
        let (settings, outbox) = (slot.settings_of(generation).clone(), self.outbox.clone());
        let limit = Task::start(async move {
            tokio::time::sleep(settings.start_timeout).await;
            let _ = outbox.send(Happening::Looked(
                id,
                generation,
                Box::new(Err(Box::new(Refusal::Exec(preflight::no_answer(&settings))))),
            ));
        });
        if let Some(course) = slot.course_mut(generation) {
            course.check = Some(Check::new(Some(limit)));
        }
        Ok(())
    }

    /// The files were looked at: takes the ports, and says what came of the check. `None` when it is not waited for any
    /// more.
    pub(super) fn checked(
        &mut self,
        id: ServiceId,
        generation: Generation,
        files: Result<Files, Box<Refusal>>,
    ) -> Option<FleetEvent> {
        let slot = &mut self.slots[id.0];
        let overlaps = slot.lives().next().is_some();
        let check = slot.course_mut(generation)?.check.take()?;
        if overlaps {
            self.share_first(id);
            let slot = &mut self.slots[id.0];
            slot.ports.look_at_kept();
            let not_kept = slot.port_not_kept(id);
            if not_kept.is_some() {
                // No fault of its own: it goes, and another one comes when the first has gone.
                return not_kept;
            }
        }
        let slot = &mut self.slots[id.0];
        let refusal = match files {
            Ok(files) => {
                slot.course_mut(generation)?.files = files;
                match slot.ports.take(overlaps) {
                    Ok(()) => None,
                    Err(mut failure) => {
                        if self.takes_over(id, generation, check.rounds, &mut failure) {
                            return None;
                        }
                        Some(Box::new(Refusal::Port(*failure)))
                    }
                }
            }
            Err(refusal) => Some(refusal),
        };
        self.pending.extend(self.slots[id.0].port_not_kept(id));
        let event = match refusal {
            None => Event::PreflightPassed(generation),
            Some(refusal) => Event::PreflightFailed(generation, refusal),
        };
        Some(FleetEvent::Service(id, event))
    }

    /// The generation is over before its check was answered, or after: an answer comes too late.
    pub(super) fn forget_check(&mut self, id: ServiceId, generation: Generation) {
        if let Some(course) = self.slots[id.0].course_mut(generation) {
            course.check = None;
        }
    }
}

/// A thread that looks at files, which may not come back.
pub type Looking = JoinHandle<()>;
