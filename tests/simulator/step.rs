//! One step, as the judge of a service sees it.

use launcher::core::notify::Message;
use launcher::core::service::{Action, Event, State};
use launcher::core::time::Moment;

/// One step.
pub struct Step<'a> {
    pub now: Moment,
    pub event: Option<&'a Event>,
    pub before: State,
    pub actions: &'a [&'a Action],
}

impl Step<'_> {
    pub fn has(&self, matches: impl Fn(&Action) -> bool) -> bool {
        self.actions.iter().any(|action| matches(action))
    }

    fn said(&self) -> Option<&Message> {
        if let Some(Event::Notified(_, _, said)) = self.event { Some(said) } else { None }
    }

    /// Whether the process is one of the service, as far as a message named it.
    pub fn names_main(&self, pid: i32) -> bool {
        pid > 0 && self.said().is_none_or(|said| said.attached.main == Some((pid, true)))
    }

    pub fn sends_descriptors(&self) -> bool {
        self.said().is_some_and(|said| said.store && said.attached.descriptors > 0)
    }
}
