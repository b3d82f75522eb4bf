//! Services that come, go and change while others run, because launcher.toml has changed.

use std::sync::Arc;

use crate::core::service::{Event, Service, State, StopCause};
use crate::core::settings::{ServiceSettings, Settings};

use super::member::{Member, Stop};
use super::order::Order;
use super::{Fleet, OrderError, ServiceId, Turn};

/// What has become of one service.
#[derive(Debug, Clone, PartialEq)]
pub enum Renewal {
    /// It is new, or there again.
    Added(Arc<ServiceSettings>),
    /// It is there no more.
    Removed,
    /// It is set otherwise; what runs of it cannot take that over when it is to be started anew.
    Changed {
        /// How.
        settings: Arc<ServiceSettings>,
        /// Whether what runs has to be started anew.
        anew: bool,
    },
}

impl Member {
    /// It was removed, and nothing of it runs.
    pub(super) fn is_gone(&self) -> bool {
        self.removed && self.is_at_rest()
    }
}

impl Fleet {
    /// Takes in what launcher.toml says now: the services and their order. To be followed by [`FleetEvent::Renewed`], before
    /// which nothing happens to any of them. A service keeps its place, also while it is removed; new ones get the next
    /// places, in the order in which they are written. `seed` is for them.
    ///
    /// # Errors
    /// When `after` names services that there are not, or leads round in a circle: nothing has changed then.
    ///
    /// [`FleetEvent::Renewed`]: super::FleetEvent::Renewed
    pub fn take_in(&mut self, settings: &Settings, seed: u64) -> Result<(), OrderError> {
        Order::of(&settings.services)?;
        let written = |name: &str| settings.services.iter().find(|service| service.name == name);
        let known = |name: &str| self.members.iter().any(|member| member.service.settings().name == name);
        let all = self.members.iter().map(|member| {
            let before = member.service.settings();
            written(&before.name).cloned().unwrap_or_else(|| {
                let mut gone = before.clone();
                if member.is_gone() {
                    gone.after.clear();
                }
                gone
            })
        });
        let new: Vec<&ServiceSettings> = settings.services.iter().filter(|service| !known(&service.name)).collect();
        let all: Vec<ServiceSettings> = all.chain(new.iter().copied().cloned()).collect();
        self.order = Order::of(&all)?;
        let seeds = (1..).map(|index: u64| seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
        for (service, seed) in new.into_iter().zip(seeds) {
            self.members.push(Member::new(Service::new(Arc::new(service.clone()), seed)));
        }
        self.stop_budget = settings.launcher.stop_budget;
        self.exit_codes.clone_from(&settings.launcher.map_exit);
        Ok(())
    }

    /// The place of a service of this name, also of one that was removed.
    pub fn place(&self, name: &str) -> Option<ServiceId> {
        self.members.iter().position(|member| member.service.settings().name == name).map(ServiceId)
    }

    /// What launcher.toml is to be compared with: how the generation of this service is set that serves on, or the one that
    /// comes. They differ from what the file said last when a generation that was set so was not ready, and removed.
    pub fn set_as(&self, id: ServiceId) -> Option<&ServiceSettings> {
        let member = self.members.get(id.0)?;
        let follows = member.successor().is_some() || member.again.is_some();
        Some(if follows { member.service.next_settings() } else { member.service.standing_settings() })
    }

    /// Whether it was removed, and nothing of it runs.
    pub fn is_gone(&self, id: ServiceId) -> bool {
        self.members.get(id.0).is_none_or(Member::is_gone)
    }

    /// Those that are gone are stopped, those that have changed are restarted unless a person has stopped them, new ones are
    /// started.
    pub(super) fn on_renewed(&mut self, turn: &mut Turn, renewals: Vec<(ServiceId, Renewal)>) {
        let mut added = Vec::new();
        for (id, renewal) in renewals {
            if id.0 >= self.members.len() {
                continue;
            }
            match renewal {
                Renewal::Removed => self.remove(turn, id),
                Renewal::Changed { settings, anew } => self.change(turn, id, settings, anew),
                Renewal::Added(settings) => {
                    let member = &mut self.members[id.0];
                    (member.removed, member.selected, member.failure_seen) = (false, true, false);
                    self.renew(turn, id, settings, true);
                    added.push(id);
                }
            }
        }
        if self.going_down.is_none() {
            added.extend(self.ids().filter(|id| self.is_free_again(*id)));
            self.start(turn, &added);
        }
        turn.changed = true;
    }

    /// One that is gone is waited for by nobody but those that are gone as well.
    fn remove(&mut self, turn: &mut Turn, id: ServiceId) {
        let member = &mut self.members[id.0];
        (member.removed, member.selected, member.stopped_for) = (true, false, None);
        if self.failed_for_good == Some(id) {
            self.failed_for_good = None;
        }
        self.ended.retain(|(ended, _)| *ended != id);
        self.revived.retain(|revived| *revived != id);
        if !self.state(id).is_at_rest() {
            self.ask_to_stop(turn, id, StopCause::Request);
        }
    }

    /// Whether it was stopped because another one had failed that it does not need any more.
    fn is_free_again(&self, id: ServiceId) -> bool {
        let member = &self.members[id.0];
        let needs_not = |failed| !self.order.needing(failed)[id.0];
        !member.removed && member.stopped_for.is_some_and(needs_not)
    }

    fn change(&mut self, turn: &mut Turn, id: ServiceId, settings: Arc<ServiceSettings>, anew: bool) {
        let state = self.state(id);
        let completed = self.members[id.0].service.has_completed() && state.is_at_rest();
        self.renew(turn, id, settings, anew);
        let tried_again = matches!(state, State::Failed | State::BackingOff | State::Open);
        if (anew || tried_again)
            && self.going_down.is_none()
            && self.may_be_restarted(id)
            // Its stop was asked for, and is on its way.
            && self.members[id.0].stop == Stop::No
            && (anew || !completed)
        {
            self.on_service(turn, id, Event::RestartRequested);
        }
    }

    /// Lets a service take in its new settings, and notes what became of it.
    fn renew(&mut self, turn: &mut Turn, id: ServiceId, settings: Arc<ServiceSettings>, anew: bool) {
        let member = &mut self.members[id.0];
        if member.service.settings().ports != settings.ports {
            member.alone = None;
        }
        member.service.renew(turn.now, settings, anew, &mut turn.scratch);
        turn.hand_over(id);
        self.begin_anew(turn, id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::FleetEvent;
    use super::super::tests::{Bench, settings, term};
    use super::*;
    use crate::core::exit::Ending;
    use crate::core::reload::Difference;
    use crate::core::service::{Action, Generation};
    use crate::core::settings::{OnFailure, Ready};
    use crate::core::signal::Signal;

    const G1: Generation = Generation(1);
    const G2: Generation = Generation(2);

    struct Reloading {
        bench: Bench,
        settings: Settings,
    }

    impl Reloading {
        fn ready(services: &[(&str, &[&str])]) -> Reloading {
            Reloading { bench: Bench::ready(services), settings: settings(services) }
        }

        /// Changes the settings, and gives what is to be done then.
        fn change(&mut self, change: impl FnOnce(&mut Vec<ServiceSettings>)) -> Vec<(usize, Action)> {
            let old = self.settings.clone();
            change(&mut self.settings.services);
            let difference = Difference::between(&old, &self.settings);
            let fleet = &mut self.bench.fleet;
            fleet.take_in(&self.settings, 1).unwrap();
            let named =
                |name: &str| self.settings.services.iter().find(|service| service.name == name).unwrap().clone();
            let place = |name: &str| fleet.place(name).unwrap();
            let mut renewals: Vec<_> = difference.removed.iter().map(|name| (place(name), Renewal::Removed)).collect();
            renewals.extend(difference.changed.iter().map(|changed| {
                let settings = Arc::new(named(&changed.service));
                (place(&changed.service), Renewal::Changed { settings, anew: changed.anew })
            }));
            let added = difference.added.iter();
            renewals.extend(added.map(|name| (place(name), Renewal::Added(Arc::new(named(name))))));
            self.bench.send(FleetEvent::Renewed(renewals))
        }

        fn names(&self) -> Vec<&str> {
            self.bench.fleet.services().map(|(_, service)| service.settings().name.as_str()).collect()
        }

        fn start(&mut self, id: usize, generation: Generation) {
            self.bench.to(id, Event::PreflightPassed(generation));
            self.bench.to(id, Event::Spawned(generation, 10));
            assert_eq!(self.bench.state(id), State::Ready);
        }
    }

    fn one(name: &str, after: &[&str]) -> ServiceSettings {
        settings(&[(name, after)]).services.remove(0)
    }

    #[test]
    fn what_has_not_changed_goes_on() {
        let mut run = Reloading::ready(&[("db", &[]), ("api", &["db"])]);
        assert_eq!(run.change(|_| {}), []);
        let done = run.change(|all| all[0].stop_timeout *= 2);
        assert_eq!(done, [], "that holds from now on");
        assert_eq!(run.change(|all| all[0].stop_timeout *= 2), [], "and again");
        let stop_timeout = run.settings.services[0].stop_timeout;
        assert_eq!(run.bench.fleet.service(ServiceId(0)).unwrap().settings().stop_timeout, stop_timeout);
    }

    #[test]
    fn what_has_changed_is_restarted_and_stopped_as_it_was_started() {
        let mut run = Reloading::ready(&[("db", &[]), ("api", &["db"])]);
        let done = run.change(|all| {
            all[1].command = vec!["other".into()];
            all[1].stop_signal = Signal::QUIT;
        });
        assert_eq!(done, [term(1)]);
        let command = |run: &Reloading| run.bench.fleet.service(ServiceId(1)).unwrap().settings().command.clone();
        assert_eq!(command(&run), ["program"]);
        run.bench.end(1, Ending::Code(0));
        assert_eq!((run.bench.state(1), command(&run)), (State::Checking, vec!["other".into()]));
        run.start(1, G2);
        assert_eq!(run.bench.state(0), State::Ready, "what it needs goes on");
    }

    #[test]
    fn new_ones_come_in_their_order_and_old_ones_go_in_reverse() {
        let mut run = Reloading::ready(&[("db", &[]), ("api", &["db"]), ("mail", &[])]);
        let done = run.change(|all| {
            all.truncate(0);
            all.extend([one("web", &["cache"]), one("cache", &[]), one("mail", &["cache"])]);
        });
        // web is number 3, cache number 4.
        assert_eq!(done, [(4, Action::Check(G1)), term(1)], "db waits for api, web for cache, mail goes on");
        assert_eq!(run.names(), ["db", "api", "mail", "web", "cache"]);
        assert_eq!(run.bench.end(1, Ending::Code(0)), [term(0)]);
        assert_eq!(run.names(), ["db", "mail", "web", "cache"]);
        run.bench.end(0, Ending::Code(7));
        run.start(4, G1);
        run.start(3, G1);
        assert_eq!(run.names(), ["mail", "web", "cache"]);
        for id in [2, 3, 4] {
            run.bench.end(id, Ending::Code(0));
        }
        assert_eq!(run.bench.fleet.exit_code(), Some(0), "how removed ones ended is nobody's exit code");
    }

    #[test]
    fn one_that_comes_back_counts_on_even_while_it_stops() {
        let mut run = Reloading::ready(&[("db", &[]), ("api", &[])]);
        run.change(|all| drop(all.remove(0)));
        assert_eq!(run.bench.state(0), State::Stopping);
        run.change(|all| all.push(one("db", &[])));
        assert_eq!(run.bench.end(0, Ending::Code(0)).first(), Some(&(0, Action::Check(G2))));
        run.start(0, G2);
        run.change(|all| drop(all.remove(1)));
        run.bench.to(0, Event::Exited(G2, Ending::Code(0)));
        run.bench.to(0, Event::Emptied(G2));
        assert_eq!(run.names(), ["api"]);
        let done = run.change(|all| all.push(one("db", &["api"])));
        assert_eq!(done, [(0, Action::Check(Generation(3)))]);
        assert_eq!(run.names(), ["db", "api"]);
    }

    #[test]
    fn one_that_a_person_has_stopped_stays_so_and_takes_it_over_for_later() {
        let mut run = Reloading::ready(&[("db", &[]), ("api", &[])]);
        run.bench.to(1, Event::StopRequested(StopCause::Request));
        run.bench.end(1, Ending::Code(0));
        assert_eq!(run.change(|all| all[1].command = vec!["other".into()]), []);
        assert_eq!(run.bench.fleet.service(ServiceId(1)).unwrap().settings().command, ["other"]);
        assert_eq!(run.bench.to(1, Event::StartRequested), [(1, Action::Check(G2))]);
    }

    #[test]
    fn one_that_has_failed_is_tried_again() {
        let mut services = settings(&[("db", &[]), ("api", &["db"]), ("mail", &[])]);
        services.services[0].on_failure = OnFailure::StopDependents;
        let mut bench = Bench::new(&services);
        bench.send(FleetEvent::StartAll);
        bench.spawn_all(3);
        let mut run = Reloading { bench, settings: services };
        run.bench.end(0, Ending::Code(5));
        run.bench.end(1, Ending::Signal(Signal::TERM));
        assert_eq!([0, 1, 2].map(|id| run.bench.state(id)), [State::Failed, State::Stopped, State::Ready]);
        let done = run.change(|all| all[0].start_timeout *= 2);
        assert_eq!(done, [(0, Action::Check(G2))]);
        assert_eq!(run.bench.state(1), State::Waiting, "with those that were stopped for it");
    }

    #[test]
    fn one_that_does_not_need_what_has_failed_any_more_is_started() {
        let mut run = Reloading::ready(&[("db", &[]), ("api", &["db"]), ("mail", &[])]);
        run.bench.end(0, Ending::Code(5));
        run.bench.end(1, Ending::Signal(Signal::TERM));
        let done = run.change(|all| {
            all[1].after.clear();
            all.remove(0);
        });
        assert_eq!(done, [(1, Action::Check(G2))]);
        for id in [1, 2] {
            let generation = run.bench.fleet.service(ServiceId(id)).unwrap().generation().unwrap();
            if run.bench.state(id) == State::Checking {
                run.start(id, generation);
            }
            run.bench.to(id, Event::Exited(generation, Ending::Code(0)));
            run.bench.to(id, Event::Emptied(generation));
        }
        assert_eq!(run.bench.fleet.exit_code(), Some(0), "the failure of what was removed does not count");
    }

    #[test]
    fn a_check_begins_again_with_what_has_changed() {
        let mut run = Reloading::ready(&[("db", &[]), ("api", &[])]);
        run.bench.to(0, Event::RestartRequested);
        run.bench.end(0, Ending::Code(0));
        assert_eq!(run.bench.state(0), State::Checking);
        let done = run.change(|all| all[0].command = vec!["other".into()]);
        assert_eq!(done, [(0, Action::ReleasePorts(G2)), (0, Action::Check(Generation(3)))]);
        assert_eq!(run.bench.to(0, Event::PreflightPassed(G2)), [], "too late");
        run.start(0, Generation(3));
    }

    #[test]
    fn a_circle_changes_nothing() {
        let mut run = Reloading::ready(&[("db", &[]), ("api", &["db"])]);
        let mut wrong = run.settings.clone();
        wrong.services[0].after = vec!["api".into()];
        assert!(matches!(run.bench.fleet.take_in(&wrong, 1), Err(OrderError::Cycle(_))));
        assert_eq!(run.change(|all| all[0].ready = Ready::Notify), [term(0)], "as before");
    }

    #[test]
    fn nothing_is_started_while_all_go_down() {
        let mut run = Reloading::ready(&[("db", &[]), ("api", &["db"])]);
        run.bench.send(FleetEvent::StopRequested(StopCause::Request));
        let done = run.change(|all| {
            all[0].command = vec!["other".into()];
            all.push(one("mail", &[]));
        });
        assert_eq!(done, []);
        run.bench.end(1, Ending::Code(0));
        run.bench.end(0, Ending::Code(0));
        assert_eq!(run.bench.fleet.exit_code(), Some(0));
    }
}
