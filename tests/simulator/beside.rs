//! The judge of one service: what it has from the generation beside it.

use launcher::core::service::State;

use crate::watch::Watch;

impl Watch {
    /// It comes up beside this one.
    pub fn succeed(&mut self, old: &Watch) {
        self.last = old.last;
        self.state = State::Waiting;
        self.stores = old.stores;
    }

    /// It takes the place of this one.
    pub fn replace(&mut self, old: &Watch) {
        self.last = self.last.max(old.last);
        self.stores |= old.stores;
        self.stops = old.stops;
    }

    /// It has `drain_timeout` to stop from now on.
    pub fn leave(&mut self) {
        self.leaves = self.state != State::Stopping;
    }

    pub fn inherit_store(&mut self, old: &Watch) {
        self.stores |= old.stores;
    }
}
