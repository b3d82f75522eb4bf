//! What is simulated: a service by itself.

use std::sync::Arc;

use launcher::core::reload::Difference;
use launcher::core::service::{Action, Event, Service};
use launcher::core::settings::ServiceSettings;
use launcher::core::time::Moment;

use crate::random::Random;
use crate::script::settings;
use crate::subjects::file;
use crate::world::{Stimulus, Subject};

/// A service by itself.
pub struct Single(pub Service);

impl Single {
    pub fn new(random: &mut Random) -> Single {
        let settings = settings(random, "api".to_owned(), vec![]);
        Single(Service::new(Arc::new(settings), random.next()))
    }
}

impl Subject for Single {
    fn step(&mut self, now: Moment, stimulus: Stimulus, actions: &mut Vec<(usize, Action)>) {
        let mut of_service = Vec::new();
        if let Stimulus::Changed(_, settings) = &stimulus
            && let Some(anew) = self.takes_in(&stimulus)
        {
            self.0.renew(now, Arc::clone(settings), anew, &mut of_service);
        }
        if let Some(event) = self.event_for(0, &stimulus) {
            self.0.step(now, event, &mut of_service);
        }
        actions.extend(of_service.into_iter().map(|action| (0, action)));
    }

    fn next_deadline(&self) -> Option<Moment> {
        self.0.next_deadline()
    }

    fn service(&self, _: usize) -> &Service {
        &self.0
    }

    fn count(&self) -> usize {
        1
    }

    fn needs_dependencies(&self) -> bool {
        true
    }

    fn check(&mut self, _: Moment, _: &Stimulus, _: &[(usize, Action)]) -> Result<(), String> {
        Ok(())
    }

    fn event_for(&self, _: usize, stimulus: &Stimulus) -> Option<Event> {
        Some(match stimulus {
            Stimulus::Service(_, event) => event.clone(),
            Stimulus::StartAll => Event::StartRequested,
            Stimulus::Stop(cause) => Event::StopRequested(*cause),
            Stimulus::Signal(signal) => Event::SignalReceived(*signal),
            Stimulus::TimePassed => Event::TimePassed,
            Stimulus::Canary(..) | Stimulus::Promote(_) | Stimulus::RollBack(_) | Stimulus::NotKept(_) => return None,
            Stimulus::Changed(..) | Stimulus::Removed(_) | Stimulus::Added(..) => return None,
        })
    }

    fn takes_in(&self, stimulus: &Stimulus) -> Option<bool> {
        let Stimulus::Changed(_, settings) = stimulus else { return None };
        let file = |service: &ServiceSettings| file(vec![service.clone()]);
        let difference = Difference::between(&file(self.0.next_settings()), &file(settings));
        difference.of(&settings.name).map(|changed| changed.anew)
    }

    fn is_over(&self) -> bool {
        self.0.state().is_at_rest()
    }

    fn has_expired(&self) -> bool {
        false
    }
}
