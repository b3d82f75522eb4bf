//! The start of several services as a person sees it: a table that is drawn again and again on a terminal, plain lines
//! at growing distances elsewhere, and at the end what the start had to wait for.

use std::time::Duration;

use tracing::info;

use crate::core::fleet::{Fleet, ServiceId};
use crate::core::report::text::Style;
use crate::core::service::Transition;
use crate::core::settings::Settings;
use crate::core::start_up::{Progress, StartUp, path_text};
use crate::core::time::Moment;
use crate::core::units::human_duration;
use crate::run::{log, screen};

/// A start that takes less is told of by its end alone.
const FIRST_TABLE: Duration = Duration::from_millis(200);

/// How often the table is drawn: its times have tenths of a second.
const SOON: Duration = Duration::from_millis(100);

/// How often it is drawn once nobody looks at tenths any more.
const LATE: Duration = Duration::from_secs(1);

/// From when on that is so.
const LONG: Duration = Duration::from_secs(60);

/// When the first plain lines come; each time after it three times as late.
const FIRST_LINES: Duration = Duration::from_secs(10);

/// What is shown of a start.
pub struct Display {
    start: Option<StartUp>,
    drawable: bool,
    next: Option<Moment>,
}

impl Display {
    /// The start of these services, which begins now. One command has nothing to be shown in a table.
    pub fn new(now: Moment, settings: &Settings, fleet: &Fleet) -> Display {
        let start = (!settings.single_command).then(|| StartUp::new(now, fleet));
        // An interactive service has the terminal for itself.
        let drawable = !settings.services.iter().any(|service| service.interactive) && log::at_terminal();
        let first = if drawable { FIRST_TABLE } else { FIRST_LINES };
        Display { next: start.as_ref().map(|_| now + first), start, drawable }
    }

    /// When [`Display::show`] is to be called.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.next
    }

    /// Takes in what is told of one service.
    pub fn note(&mut self, now: Moment, id: ServiceId, transition: &Transition) {
        if let Some(start) = &mut self.start {
            start.note(now, id, transition);
        }
    }

    /// Looks whether the start has come to its end, and says so.
    pub fn look(&mut self, now: Moment, fleet: &Fleet) {
        let Some(start) = &mut self.start else { return };
        match start.look(now, fleet) {
            Progress::Going => {}
            Progress::Broken => self.end(),
            Progress::Done => {
                let (took, path) = (start.took(), start.critical_path(fleet));
                let several = fleet.wanted().nth(1).is_some();
                self.end();
                if several {
                    let path = path_text(&path);
                    let took_ms = took.as_millis() as u64;
                    let text = human_duration(took);
                    info!(event = "all-ready", took_ms, critical_path = path, "ready in {text}: {path}");
                }
            }
        }
    }

    /// Draws the table as it is now, or writes a line for each service that is not ready yet.
    pub fn show(&mut self, now: Moment, fleet: &Fleet) {
        let Some(start) = &self.start else { return };
        let since = now.since(start.began());
        if !self.drawable || !screen::is_drawable() {
            self.wipe();
            if since >= FIRST_LINES {
                for (service, waits) in start.sentences(now, fleet) {
                    let waited = human_duration(since);
                    info!(service, event = "still-starting", waits, "{service}: {waits} (after {waited})");
                }
            }
            self.next = Some(start.began() + (since * 3).max(FIRST_LINES));
            return;
        }
        let (columns, rows) = screen::size();
        let style = Style { width: columns, colour: log::colour_wanted() };
        screen::block(start.lines(now, fleet, style, rows.saturating_sub(2)));
        self.next = Some(now + if since < LONG { SOON } else { LATE });
    }

    /// Takes the table away, until it is shown again.
    pub fn wipe(&self) {
        if self.drawable && self.start.is_some() {
            screen::block(Vec::new());
        }
    }

    fn end(&mut self) {
        self.wipe();
        self.start = None;
        self.next = None;
    }
}
