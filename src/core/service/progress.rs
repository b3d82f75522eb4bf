//! A start deadline that moves on while the service visibly gets on (`extend_while_progressing`): each look that shows it
//! gives it `start_timeout` from then on, and its start as a whole no more than the key says.

use crate::core::progress::Sign;
use crate::core::settings::ServiceSettings;
use crate::core::time::Moment;

use super::deadlines::Deadline;
use super::{Action, Extension, Service, Transition, Turn};

/// What was seen of a generation that is looked at for progress.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// It is still looked at.
    pub(super) watched: bool,
    /// When its main process was to be executed.
    began: Moment,
    /// When it was last seen to get on, and by what.
    last: Option<(Moment, Vec<Sign>)>,
    /// How often its deadline has moved.
    extended: u32,
}

impl Progress {
    /// Of a generation that begins now, where its progress may move its deadline.
    pub(super) fn of(settings: &ServiceSettings, now: Moment) -> Option<Progress> {
        settings.extend_while_progressing?;
        Some(Progress { watched: false, began: now, last: None, extended: 0 })
    }
}

impl Service {
    /// Has it looked at for progress, where that may move its deadline. Nobody looks at one that has no such key.
    pub(super) fn watch_progress(&mut self, turn: &mut Turn) {
        if let Some(live) = self.live.as_mut()
            && let Some(progress) = &mut live.progress
        {
            progress.watched = true;
            turn.act(Action::WatchProgress(live.generation));
        }
    }

    /// It was seen to get on. Nothing is done about it before its deadline comes.
    pub(super) fn on_progressed(&mut self, turn: &mut Turn, signs: Vec<Sign>) {
        let progress = self.live.as_mut().and_then(|live| live.progress.as_mut());
        if let Some(progress) = progress.filter(|progress| progress.watched) {
            progress.last = Some((turn.now, signs));
        }
    }

    /// By when it must be ready, after it was last seen to get on.
    pub(super) fn patience(&self) -> Option<Moment> {
        let progress = self.live.as_ref()?.progress.as_ref()?;
        let (seen, _) = progress.last.as_ref()?;
        let most = progress.began + self.settings.extend_while_progressing?;
        Some(most.min(*seen + self.settings.start_timeout))
    }

    /// How often its deadline has moved on because it visibly got on.
    pub fn extensions(&self) -> u32 {
        self.live.as_ref().and_then(|live| live.progress.as_ref()).map_or(0, |progress| progress.extended)
    }

    /// Its start deadline has come: whether it moves on.
    pub(super) fn extend(&mut self, turn: &mut Turn) -> bool {
        let Some(until) = self.patience().filter(|until| *until > turn.now) else { return false };
        let most = self.settings.extend_while_progressing.unwrap_or_default();
        let Some(progress) = self.live.as_mut().and_then(|live| live.progress.as_mut()) else { return false };
        progress.extended = progress.extended.saturating_add(1);
        let signs = progress.last.as_ref().map(|(_, signs)| signs.clone()).unwrap_or_default();
        let extension = Extension { times: progress.extended, to: until.since(progress.began), most, signs };
        self.deadlines.set(Deadline::Start, until);
        turn.tell(Transition::Extended(extension));
        true
    }
}
