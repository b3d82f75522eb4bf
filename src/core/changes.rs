//! Changed files: when what is done about them is done. Editors and compilers write many files in a moment, and a
//! service that writes into its own sources would restart itself for ever.

use std::time::Duration;

use super::time::Moment;

/// When nothing has changed for so long, all that belongs together has.
const SETTLE: Duration = Duration::from_millis(100);

/// No change waits longer than this for others, however many come.
const LONGEST: Duration = Duration::from_secs(1);

/// So often in a row is nothing unusual.
const USUAL: u32 = 4;

/// What comes so long after the last time is no longer in a row with it.
const CALM: Duration = Duration::from_secs(3);

/// After more than that the next one waits so long, and then twice as long each time…
const STORM: Duration = Duration::from_secs(2);

/// …up to this.
const LONGEST_STORM: Duration = Duration::from_secs(30);

/// Changed files of one service, and when something is done about them.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The first one that nothing was done about yet, and when it and the last one came.
    open: Option<Open>,
    /// When something was done last, and how often in a row.
    last: Option<Moment>,
    row: u32,
    /// Something is being done: what changes meanwhile waits for its end.
    busy: bool,
}

#[derive(Debug, Clone)]
struct Open {
    path: String,
    more: usize,
    first: Moment,
    last: Moment,
}

/// Something is to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// A file that has changed.
    pub path: String,
    /// How many other changes there were.
    pub more: usize,
}

/// That files change all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// How often something was done about it lately.
    pub times: u32,
    /// How long the next one waits.
    pub wait: Duration,
}

impl Changes {
    /// A file has changed. Tells when that happens too often, once for each wait.
    pub fn changed(&mut self, now: Moment, path: &str) -> Option<Storm> {
        match &mut self.open {
            Some(open) => {
                open.last = now;
                // The same file is written in pieces.
                open.more += usize::from(open.path != path);
                None
            }
            None => {
                self.open = Some(Open { path: path.to_owned(), more: 0, first: now, last: now });
                self.forget(now);
                self.storm_wait().map(|wait| Storm { times: self.row, wait })
            }
        }
    }

    /// When [`Changes::take_due`] is to be asked.
    pub fn next_deadline(&self) -> Option<Moment> {
        let open = self.open.as_ref().filter(|_| !self.busy)?;
        let settled = (open.last + SETTLE).min(open.first + LONGEST);
        let calm = self.storm_wait().zip(self.last).map(|(wait, last)| last + wait);
        Some(calm.map_or(settled, |calm| calm.max(settled)))
    }

    /// What is to be done now. Until [`Changes::finished`] nothing else is.
    pub fn take_due(&mut self, now: Moment) -> Option<Due> {
        self.next_deadline().filter(|at| *at <= now)?;
        let open = self.open.take()?;
        self.busy = true;
        self.forget(now);
        self.last = Some(now);
        self.row = self.row.saturating_add(1);
        Some(Due { path: open.path, more: open.more })
    }

    /// What was to be done is done.
    pub fn finished(&mut self) {
        self.busy = false;
    }

    fn forget(&mut self, now: Moment) {
        // What is waited for between two of a row must not make it forgotten.
        let calm = CALM + self.storm_wait().unwrap_or_default();
        if self.last.is_some_and(|last| now.since(last) > calm) {
            self.row = 0;
        }
    }

    fn storm_wait(&self) -> Option<Duration> {
        let over = self.row.checked_sub(USUAL)?;
        Some(STORM.saturating_mul(1_u32.checked_shl(over.min(16)).unwrap_or(u32::MAX)).min(LONGEST_STORM))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn what_is_written_together_is_one_change() {
        let mut changes = Changes::default();
        for (millis, path) in [(0, "a"), (50, "b"), (50, "b"), (90, "c")] {
            assert_eq!(changes.changed(at(millis), path), None);
        }
        assert_eq!((changes.next_deadline(), changes.take_due(at(189))), (Some(at(190)), None));
        assert_eq!(changes.take_due(at(190)), Some(Due { path: "a".into(), more: 3 }));
        assert_eq!(changes.next_deadline(), None);
    }

    #[test]
    fn a_stream_of_changes_does_not_put_it_off_for_ever() {
        let mut changes = Changes::default();
        for turn in 0..20 {
            changes.changed(at(turn * 60), "a");
        }
        assert_eq!(changes.next_deadline(), Some(at(1_000)));
    }

    #[test]
    fn what_changes_while_something_is_done_waits_for_its_end() {
        let mut changes = Changes::default();
        changes.changed(at(0), "a");
        changes.take_due(at(100)).unwrap();
        changes.changed(at(200), "b");
        assert_eq!((changes.next_deadline(), changes.take_due(at(5_000))), (None, None));
        changes.finished();
        assert_eq!(changes.take_due(at(5_000)), Some(Due { path: "b".into(), more: 0 }));
    }

    #[test]
    fn a_service_that_changes_its_own_files_is_restarted_less_and_less() {
        let mut changes = Changes::default();
        let (mut now, mut dones, mut storms) = (0, Vec::new(), Vec::new());
        while dones.len() < 10 {
            storms.extend(changes.changed(at(now), "made.rs").map(|storm| storm.wait.as_secs()));
            now = changes.next_deadline().unwrap().since_start().as_millis() as u64;
            changes.take_due(at(now)).unwrap();
            changes.finished();
            dones.push(now);
            now += 10;
        }
        assert_eq!(dones[..4], [100, 210, 320, 430]);
        assert_eq!(storms, [2, 4, 8, 16, 30, 30]);
        assert_eq!(dones[9] - dones[8], 30_000);
        // Left in peace for a while it is as before.
        assert_eq!(changes.changed(at(now + 60_000), "a"), None);
        assert_eq!(changes.next_deadline(), Some(at(now + 60_100)));
    }
}
