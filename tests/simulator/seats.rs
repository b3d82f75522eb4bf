//! The judges of one service: of the generation that serves, and of the one beside it while there is one. Which action is
//! whose is told by the generation it carries.

use std::sync::Arc;

use launcher::core::service::{Action, Event, Generation, Service, Transition};
use launcher::core::settings::ServiceSettings;
use launcher::core::time::Moment;

use crate::coverage::Coverage;
use crate::watch::Watch;
use crate::world::{Subject, World};

/// A judge, and the number of the generation it was made for; one that serves may have had others since.
struct Seat {
    /// Moved about much.
    watch: Box<Watch>,
    number: Generation,
}

/// The judges of one service.
pub struct Seats {
    settings: Arc<ServiceSettings>,
    main: Seat,
    beside: Option<Seat>,
}

/// What a step does, for one of them.
struct Share<'a> {
    seat: Seat,
    actions: Vec<&'a Action>,
    event: Option<&'a Event>,
}

impl Seats {
    pub fn new(settings: Arc<ServiceSettings>) -> Seats {
        let main = Seat { watch: Box::new(Watch::new(Arc::clone(&settings))), number: Generation(0) };
        Seats { settings, main, beside: None }
    }

    /// launcher.toml sets the service otherwise.
    pub fn renew(&mut self, now: Moment, settings: &Arc<ServiceSettings>, anew: bool) {
        self.settings = Arc::clone(settings);
        self.main.watch.renew(now, settings, anew);
    }

    /// Something happened, but not to this service: what time alone can make wrong is judged. False where that is not all.
    pub fn pass_time(&mut self, now: Moment, after: (&Service, Option<&Service>)) -> Result<bool, String> {
        let alone = self.beside.is_none() && after.1.is_none();
        if alone { self.main.watch.pass_time(now, after.0) } else { Ok(false) }
    }

    /// Judges one step. `main` and `beside` are how it stands after it.
    #[allow(clippy::too_many_arguments)]
    pub fn observe(
        mut self,
        now: Moment,
        event: Option<&Event>,
        genuine: bool,
        actions: &[&Action],
        after: (&Service, Option<&Service>),
        coverage: &mut Coverage,
    ) -> Result<Seats, String> {
        // What one of the two has said can have the fleet do something to the other.
        let number = self.beside.as_ref().map(|seat| seat.number);
        let of = event.and_then(Event::generation);
        let for_main = event.filter(|_| of.is_none() || of != number);
        let for_beside = event.filter(|event| is_for_both(event) && (of.is_none() || of == number));
        let mut main = Share { seat: self.main, actions: vec![], event: for_main };
        let mut beside = self.beside.map(|seat| Share { seat, actions: vec![], event: for_beside });
        let mut gone = vec![];
        for action in actions {
            match action {
                Action::Tell(number, Transition::Restarting { .. }) => {
                    gone.extend(beside.take());
                    let mut watch = Box::new(Watch::new(Arc::clone(&self.settings)));
                    watch.succeed(&main.seat.watch);
                    beside = Some(Share { seat: Seat { watch, number: *number }, actions: vec![], event: None });
                }
                Action::Tell(number, Transition::Superseded { .. }) => {
                    let other = beside.as_mut().ok_or("nobody is there to supersede it")?;
                    std::mem::swap(&mut main, other);
                    main.seat.watch.replace(&other.seat.watch);
                    other.seat.number = *number;
                    other.seat.watch.leave();
                }
                Action::Tell(_, Transition::RolledBack { .. }) => {
                    beside.as_mut().ok_or("nobody is there to be taken back")?.seat.watch.leave();
                }
                Action::Tell(_, Transition::LeftAlone { .. }) => {
                    let new = beside.take().ok_or("nobody is there to be left alone")?;
                    let old = std::mem::replace(&mut main, new);
                    main.seat.watch.replace(&old.seat.watch);
                    gone.push(old);
                }
                _ => {}
            }
            if is_of_the_fleet(action) {
                continue;
            }
            let of = generation(action);
            match &mut beside {
                Some(beside) if of == Some(beside.seat.number) => beside.actions.push(action),
                _ => main.actions.push(action),
            }
        }
        if after.1.is_none() {
            gone.extend(beside.take());
        }
        for share in &mut gone {
            share.judge(now, genuine, None, false, coverage)?;
            main.seat.watch.inherit_store(&share.seat.watch);
            if !share.seat.watch.is_at_rest() {
                return Err("what is removed is not at rest".to_owned());
            }
        }
        let sole = beside.is_none();
        main.judge(now, genuine, Some(after.0), sole, coverage)?;
        if let Some(beside) = &mut beside {
            beside.judge(now, genuine, after.1, false, coverage).map_err(|why| format!("beside: {why}"))?;
        }
        (self.main, self.beside) = (main.seat, beside.map(|share| share.seat));
        Ok(self)
    }
}

impl Share<'_> {
    fn judge(
        &mut self,
        now: Moment,
        genuine: bool,
        after: Option<&Service>,
        sole: bool,
        coverage: &mut Coverage,
    ) -> Result<(), String> {
        self.seat.watch.observe(now, self.event, genuine, &self.actions, after, sole, coverage)
    }
}

impl<S: Subject> World<S> {
    /// Has each service's judges judge a step: by the event that reached it, and by what is to be done for it.
    pub fn judge(
        &mut self,
        events: &[Option<Event>],
        genuine: bool,
        actions: &[(usize, Action)],
    ) -> Result<(), String> {
        for (index, (seats, event)) in self.seats.iter_mut().zip(events).enumerate() {
            let of_it = |(of, _): &&(usize, Action)| *of == index;
            let after = (self.subject.service(index), self.subject.beside(index));
            let concerned = event.is_some() || actions.iter().any(|action| of_it(&action));
            if !concerned && seats.as_mut().ok_or("nobody watches")?.pass_time(self.now, after)? {
                continue;
            }
            let mine: Vec<&Action> = actions.iter().filter(of_it).map(|(_, action)| action).collect();
            let observed = seats.take().ok_or("nobody watches")?;
            let observed = observed.observe(self.now, event.as_ref(), genuine, &mine, after, &mut self.coverage);
            *seats = Some(observed.map_err(|why| format!("service {index}: {why}"))?);
        }
        Ok(())
    }
}

/// What is wanted of a service is wanted of the generation that serves.
fn is_for_both(event: &Event) -> bool {
    !matches!(
        event,
        Event::StartRequested | Event::DependenciesReady | Event::RestartRequested | Event::StopRequested(_)
    )
}

/// What is said and done of both: not by one of them.
fn is_of_the_fleet(action: &Action) -> bool {
    use Transition::*;
    match action {
        Action::Steer { .. } => true,
        Action::Tell(_, told) => matches!(
            told,
            Restarting { .. }
                | RestartsAlone(_)
                | RestartFollows
                | CanaryServes { .. }
                | Superseded { .. }
                | Removed { .. }
                | RolledBack { .. }
                | LeftAlone { .. }
        ),
        _ => false,
    }
}

/// Of which generation an action is.
fn generation(action: &Action) -> Option<Generation> {
    match action {
        Action::Check(of)
        | Action::StopTrying(of)
        | Action::Probe(of)
        | Action::WatchHandlers(of)
        | Action::WatchProgress(of)
        | Action::StopProbing(of)
        | Action::ReleasePorts(of)
        | Action::Signal(of, _)
        | Action::Stop(of, _)
        | Action::HangUp(of, _)
        | Action::FollowMain(of, _)
        | Action::ForgetDescriptors(of, _)
        | Action::SignalRest(of, _)
        | Action::Kill(of)
        | Action::Tell(of, _)
        | Action::Try { generation: of, .. }
        | Action::Spawn { generation: of, .. }
        | Action::StoreDescriptors { generation: of, .. }
        | Action::Explain { generation: of, .. } => Some(*of),
        Action::CloseDescriptors | Action::Farewell | Action::Steer { .. } => None,
    }
}
