//! What people do in the world: to a service, to all of them, and to launcher.toml.

use std::sync::Arc;

use launcher::core::service::{Event, StopCause};
use launcher::core::settings::ServiceSettings;
use launcher::core::signal::Signal;

use crate::script::{SIGNALS, changed};
use crate::world::{Stimulus, Subject, World};

impl<S: Subject> World<S> {
    /// What somebody does, or wants.
    pub fn somebodys_wish(&mut self) -> Stimulus {
        let index = self.random.below(self.subject.count() as u64) as usize;
        let signal = self.random.pick(&SIGNALS);
        let event = match self.random.below(33) {
            27..=30 => return Stimulus::Changed(index, self.other_settings(index)),
            31 => return Stimulus::Removed(index),
            32 => return Stimulus::Added(index, self.other_settings(index)),
            26 => return Stimulus::NotKept(index),
            10 | 14 => return Stimulus::Canary(index, 1 + self.random.below(99) as u8),
            11 | 15 => return Stimulus::Promote(index),
            12 | 16 => return Stimulus::RollBack(index),
            0 | 13 => Event::StartRequested,
            1 | 2 | 17 | 18 => Event::RestartRequested,
            3 | 19 => Event::StopRequested(self.stop_cause()),
            4 | 20 => Event::KillRequested,
            5 | 6 | 21 | 22 => Event::SignalReceived(signal),
            7 | 23 => return Stimulus::Stop(self.stop_cause()),
            8 | 24 => return Stimulus::TimePassed,
            _ => return Stimulus::Signal(signal),
        };
        Stimulus::Service(index, event)
    }

    fn other_settings(&mut self, index: usize) -> Arc<ServiceSettings> {
        Arc::new(changed(&mut self.random, self.subject.service(index).settings()))
    }

    /// Why all are stopped.
    pub fn stop_cause(&mut self) -> StopCause {
        let signal = self.random.pick(&[Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP]);
        self.random.pick(&[StopCause::Signal(signal), StopCause::Signal(Signal::TERM), StopCause::Request])
    }
}
