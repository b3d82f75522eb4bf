//! The waiting for all requirements of a service: when each is tried, until when, and what is said meanwhile.
//!
//! All are waited for at the same time. Each is tried again after a wait that grows (`backoff`), until it answers or its
//! deadline comes; one that is missed is enough for the whole to have failed. One that has failed too often in a row is
//! tried once each `cooldown` only (its breaker is open); that is remembered over generations, so that a service that is
//! started again and again does not press on what is already down.

use std::time::Duration;

use crate::core::backoff::Waits;
use crate::core::facts::{RequirementFacts, Trouble};
use crate::core::settings::RequirementSettings;
use crate::core::time::Moment;

/// The second line about a requirement comes so long after the first; each later one twice as long after the one before.
const FIRST_DISTANCE: Duration = Duration::from_secs(2);
/// But never longer than this.
const LONGEST_DISTANCE: Duration = Duration::from_secs(60);
/// A try that the deadline would cut off ends so long before it at most: on a machine that is busy what it has to say
/// comes late.
const LAST_WORD: Duration = Duration::from_millis(250);

/// Something to do: try this requirement, for so long at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Which one, by its place.
    pub index: usize,
    /// How long the try may take.
    pub limit: Duration,
}

/// How it stands with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Some have not answered yet.
    Waiting,
    /// All have answered.
    Met,
    /// One of them did not answer in time.
    Failed,
}

/// What is worth telling after a try.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// It answered, after this long and so many tries.
    Met {
        /// Its URL.
        url: String,
        /// Since the waiting began.
        after: Duration,
        /// How often it was tried.
        tries: u32,
    },
    /// It did not answer.
    Missing {
        /// Its URL.
        url: String,
        /// Since the waiting began.
        after: Duration,
        /// How often it was tried.
        tries: u32,
        /// Why not, in words.
        error: String,
        /// Whether a line is due: they come at growing distances.
        due: bool,
        /// Its breaker has opened just now: it is tried once in this time from here on.
        slower: Option<Duration>,
    },
}

/// The waiting for all of them.
#[derive(Debug, Clone)]
pub struct Vigil {
    settings: Vec<RequirementSettings>,
    /// The deadline for all.
    all: Option<Duration>,
    began: Moment,
    items: Vec<Item>,
}

/// One of them.
#[derive(Debug, Clone)]
struct Item {
    waits: Waits,
    step: Step,
    deadline: Moment,
    tries: u32,
    last: Option<Trouble>,
    /// Failures in a row, over generations.
    in_a_row: u32,
    open: bool,
    /// When the next line about it is due, and how long after that one the next.
    line: (Moment, Duration),
    after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Trying,
    /// The next try comes then.
    Pausing(Moment),
    Met,
}

impl Vigil {
    /// Nothing is waited for yet. `all` is the deadline for all of them; `seed` decides what is left to chance.
    pub fn new(settings: &[RequirementSettings], all: Option<Duration>, seed: u64) -> Vigil {
        let item = |index: usize| Item {
            waits: Waits::new(seed.wrapping_add(index as u64).rotate_left(17)),
            step: Step::Met,
            deadline: Moment::ZERO,
            tries: 0,
            last: None,
            in_a_row: 0,
            open: false,
            line: (Moment::ZERO, FIRST_DISTANCE),
            after: Duration::ZERO,
        };
        Vigil { settings: settings.to_vec(), all, began: Moment::ZERO, items: (0..settings.len()).map(item).collect() }
    }

    /// Whether it is about these.
    pub fn is_of(&self, settings: &[RequirementSettings], all: Option<Duration>) -> bool {
        self.settings == settings && self.all == all
    }

    /// Begins to wait: all are to be tried now. One whose breaker is open has this as its trial.
    pub fn begin(&mut self, now: Moment) -> Vec<Order> {
        self.began = now;
        for (item, settings) in self.items.iter_mut().zip(&self.settings) {
            let limit = self.all.map_or(settings.timeout, |all| all.min(settings.timeout));
            item.waits.reset();
            item.step = Step::Pausing(now);
            item.deadline = now + limit;
            item.tries = 0;
            item.last = None;
            item.line = (now, FIRST_DISTANCE);
            item.after = Duration::ZERO;
        }
        self.due(now)
    }

    /// All breakers are closed: the service is begun anew.
    pub fn forget(&mut self) {
        for item in &mut self.items {
            item.in_a_row = 0;
            item.open = false;
        }
    }

    /// A try has ended. One that was not asked for, or whose end was told already, changes nothing.
    pub fn tried(&mut self, now: Moment, index: usize, outcome: Result<(), Trouble>) -> Option<News> {
        let settings = self.settings.get(index)?;
        let item = self.items.get_mut(index).filter(|item| item.step == Step::Trying)?;
        let after = now.since(self.began);
        let url = settings.target.shown.clone();
        item.after = after;
        let trouble = match outcome {
            Ok(()) => {
                item.step = Step::Met;
                item.in_a_row = 0;
                item.open = false;
                return Some(News::Met { url, after, tries: item.tries });
            }
            Err(trouble) => trouble,
        };
        item.in_a_row = item.in_a_row.saturating_add(1);
        let breaker = settings.breaker.filter(|breaker| item.in_a_row >= breaker.failures);
        let slower = breaker.filter(|_| !item.open).map(|breaker| breaker.cooldown);
        item.open = breaker.is_some();
        let pause = breaker.map_or_else(|| item.waits.next(&settings.backoff), |breaker| breaker.cooldown);
        item.step = Step::Pausing(now + pause);
        let due = now >= item.line.0;
        if due {
            let distance = item.line.1;
            item.line = (now + distance, (distance * 2).min(LONGEST_DISTANCE));
        }
        let error = trouble.message.clone();
        item.last = Some(trouble);
        Some(News::Missing { url, after, tries: item.tries, error, due, slower })
    }

    /// What is to be tried now.
    pub fn due(&mut self, now: Moment) -> Vec<Order> {
        let mut orders = Vec::new();
        for (index, (item, settings)) in self.items.iter_mut().zip(&self.settings).enumerate() {
            if !matches!(item.step, Step::Pausing(at) if at <= now) || now >= item.deadline {
                continue;
            }
            let left = item.deadline.since(now);
            if item.tries > 0 && left < item.deadline.since(self.began) / 20 {
                // What a hurried try would say at the very end is less than what the one before it said.
                item.step = Step::Pausing(item.deadline);
            } else {
                item.step = Step::Trying;
                item.tries = item.tries.saturating_add(1);
                // It ends a little before the deadline: then what it has to say still counts.
                let limit = settings.try_timeout.min(left - (left / 6).min(LAST_WORD));
                orders.push(Order { index, limit });
            }
        }
        orders
    }

    /// When [`Vigil::due`] and [`Vigil::standing`] are to be asked again, as long as nothing is told.
    pub fn next_deadline(&self) -> Option<Moment> {
        let next = |item: &Item| match item.step {
            Step::Trying => Some(item.deadline),
            Step::Pausing(at) => Some(at.min(item.deadline)),
            Step::Met => None,
        };
        self.items.iter().filter_map(next).min()
    }

    /// How it stands.
    pub fn standing(&self, now: Moment) -> Standing {
        let mut missing = self.items.iter().filter(|item| item.step != Step::Met);
        match missing.clone().next() {
            None => Standing::Met,
            Some(_) if missing.any(|item| item.deadline <= now) => Standing::Failed,
            Some(_) => Standing::Waiting,
        }
    }

    /// All of them, for a report.
    pub fn facts(&self, now: Moment) -> Vec<RequirementFacts> {
        let fact = |(item, settings): (&Item, &RequirementSettings)| {
            let met = item.step == Step::Met;
            let waited = if met { item.after } else { now.since(self.began) };
            RequirementFacts {
                url: settings.target.shown.clone(),
                tried: settings.target.tried(),
                met,
                tries: item.tries,
                waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
                problem: item.last.as_ref().filter(|_| !met).map(|trouble| trouble.problem),
                last_error: item.last.as_ref().map(|trouble| trouble.message.clone()),
                breaker_open: item.open,
            }
        };
        self.items.iter().zip(&self.settings).map(fact).collect()
    }

    /// How long one of them, or all, may take: the first deadline that is missed.
    pub fn missed(&self, now: Moment) -> Option<Duration> {
        let missed = self.items.iter().find(|item| item.step != Step::Met && item.deadline <= now)?;
        Some(missed.deadline.since(self.began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::RequirementProblem;
    use crate::core::requirement::target::Target;
    use crate::core::settings::{Backoff, Jitter, RequirementBreaker};

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(millis: u64) -> Moment {
        Moment::from_start(ms(millis))
    }

    fn requirement(url: &str, timeout: u64) -> RequirementSettings {
        let backoff = Backoff { initial: ms(100), max: ms(400), factor: 2.0, jitter: Jitter::None };
        RequirementSettings {
            timeout: ms(timeout),
            try_timeout: ms(300),
            backoff,
            breaker: None,
            ..RequirementSettings::new(Target::parse(url).unwrap())
        }
    }

    fn no() -> Result<(), Trouble> {
        Err(Trouble::new(RequirementProblem::Refused, "connection refused"))
    }

    fn indexes(orders: &[Order]) -> Vec<usize> {
        orders.iter().map(|order| order.index).collect()
    }

    /// Every try fails at once, until the time: the moments of the tries.
    fn tries(vigil: &mut Vigil, until: u64) -> Vec<u128> {
        let mut moments = Vec::new();
        let mut orders = vigil.begin(at(0));
        let mut now = at(0);
        while now < at(until) {
            for order in orders {
                moments.push(now.since_start().as_millis());
                vigil.tried(now, order.index, no());
            }
            let Some(next) = vigil.next_deadline() else { break };
            now = next;
            orders = vigil.due(now);
            if vigil.standing(now) != Standing::Waiting {
                break;
            }
        }
        moments
    }

    #[test]
    fn all_at_once_and_each_again_after_a_growing_wait() {
        let mut vigil = Vigil::new(&[requirement("tcp://a:1", 2000), requirement("tcp://b:1", 5000)], None, 1);
        assert_eq!(vigil.standing(at(0)), Standing::Met, "nothing is waited for yet");
        assert_eq!(indexes(&vigil.begin(at(0))), [0, 1]);
        assert!(matches!(vigil.tried(at(5), 1, Ok(())), Some(News::Met { tries: 1, .. })));
        assert_eq!(vigil.tried(at(6), 1, no()), None, "an end that was told already");
        assert!(matches!(vigil.tried(at(10), 0, no()), Some(News::Missing { due: true, .. })));
        assert_eq!(vigil.next_deadline(), Some(at(110)));
        assert_eq!(indexes(&vigil.due(at(110))), [0]);
        assert_eq!(vigil.tried(at(110), 7, no()), None, "there is no such requirement");
        vigil.tried(at(120), 0, Ok(()));
        assert_eq!((vigil.standing(at(120)), vigil.next_deadline()), (Standing::Met, None));
    }

    #[test]
    fn the_waits_grow_up_to_the_longest_and_end_at_the_deadline() {
        let mut vigil = Vigil::new(&[requirement("tcp://a:1", 2000)], None, 1);
        assert_eq!(tries(&mut vigil, 10_000), [0, 100, 300, 700, 1100, 1500, 1900]);
        assert_eq!((vigil.standing(at(1999)), vigil.standing(at(2000))), (Standing::Waiting, Standing::Failed));
        let facts = &vigil.facts(at(2000))[0];
        assert_eq!((facts.tries, facts.met, facts.waited_ms), (7, false, 2000));
        assert_eq!(facts.last_error.as_deref(), Some("connection refused"));
        assert_eq!(vigil.missed(at(2000)), Some(ms(2000)));
    }

    #[test]
    fn no_try_goes_beyond_a_deadline_and_the_one_for_all_counts_too() {
        let mut vigil = Vigil::new(&[requirement("tcp://a:1", 2000)], Some(ms(150)), 1);
        assert_eq!(vigil.begin(at(0)), [Order { index: 0, limit: ms(125) }]);
        vigil.tried(at(0), 0, no());
        assert_eq!(vigil.due(at(100)), [Order { index: 0, limit: ms(50) - ms(50) / 6 }]);
        assert_eq!((vigil.next_deadline(), vigil.standing(at(150))), (Some(at(150)), Standing::Failed));
        assert_eq!(vigil.due(at(150)), []);
    }

    #[test]
    fn an_open_breaker_slows_down_and_is_remembered() {
        let breaker = Some(RequirementBreaker { failures: 3, cooldown: ms(1000) });
        let mut vigil = Vigil::new(&[RequirementSettings { breaker, ..requirement("tcp://a:1", 3000) }], None, 1);
        assert_eq!(tries(&mut vigil, 10_000), [0, 100, 300, 1300, 2300]);
        assert!(vigil.facts(at(3000))[0].breaker_open);
        assert_eq!(tries(&mut vigil, 10_000), [0, 1000, 2000], "the next generation has one trial at once");
        vigil.begin(at(0));
        vigil.tried(at(0), 0, Ok(()));
        assert_eq!(tries(&mut vigil, 10_000), [0, 100, 300, 1300, 2300], "an answer closes it");
        vigil.forget();
        assert_eq!(tries(&mut vigil, 200), [0, 100], "so does somebody who begins anew");
    }

    #[test]
    fn lines_come_at_growing_distances() {
        let mut vigil = Vigil::new(&[requirement("tcp://a:1", 60_000)], None, 1);
        let mut lines = Vec::new();
        let mut orders = vigil.begin(at(0));
        let mut now = at(0);
        while now < at(40_000) {
            for order in orders {
                if let Some(News::Missing { due: true, .. }) = vigil.tried(now, order.index, no()) {
                    lines.push(now.since_start().as_secs());
                }
            }
            now = vigil.next_deadline().unwrap();
            orders = vigil.due(now);
        }
        assert_eq!(lines, [0, 2, 6, 14, 30]);
    }
}
