//! Other settings for a service that is there already, because launcher.toml has changed.

use std::sync::Arc;

use crate::core::reload;
use crate::core::requirement::Vigil;
use crate::core::settings::ServiceSettings;
use crate::core::time::Moment;

use super::breaker::Breaker;
use super::live::{Criteria, Main};
use super::{Action, Service, State, Turn, Wish};

impl Service {
    /// Is set otherwise from now on. `anew` tells that what runs cannot take that over: then the next generation does, and
    /// until that begins, the one that runs is looked after as it was started. One that has not got beyond its check or its
    /// requirements begins again with it. Whether what runs is restarted is for others to say.
    pub fn renew(&mut self, now: Moment, settings: Arc<ServiceSettings>, anew: bool, actions: &mut Vec<Action>) {
        let Some(live) = &self.live else { return self.adopt(settings) };
        let begins = live.main == Main::Absent && !live.over;
        // What it was to be set to next does not matter: it may have been given up, with the generation that had it.
        if !anew && !begins && !reload::is_anew(&self.settings, &settings) {
            self.settings = settings.clone();
        }
        self.next = Some(settings);
        if begins {
            self.forget_failures();
            self.attempt = 0;
            self.wish = Wish::Restart;
            self.finish(&mut Turn { now, generation: self.generation, actions });
        }
    }

    /// The next generation begins: with what its file says by now.
    pub(super) fn take_next(&mut self) {
        if let Some(next) = self.next.take() {
            self.adopt(next);
        }
    }

    /// What it is set to when it is started next.
    pub fn next_settings(&self) -> &ServiceSettings {
        self.next.as_ref().unwrap_or(&self.settings)
    }

    /// What it is set to for as long as nobody does anything: what its generation was started with, if that goes on.
    pub fn standing_settings(&self) -> &ServiceSettings {
        let goes_on = self.is_wanted() && matches!(self.state, State::Starting | State::Ready);
        if goes_on { &self.settings } else { self.next_settings() }
    }

    fn adopt(&mut self, settings: Arc<ServiceSettings>) {
        self.next = None;
        self.criteria = Criteria::of(&settings);
        if self.breaker.as_ref().map(Breaker::settings) != settings.restart.breaker.as_ref() {
            self.breaker = settings.restart.breaker.map(Breaker::new);
        }
        if !self.vigil.is_of(&settings.requirements, settings.require_timeout) {
            self.vigil = Vigil::new(&settings.requirements, settings.require_timeout, self.waits.seed());
        }
        self.settings = settings;
    }
}
