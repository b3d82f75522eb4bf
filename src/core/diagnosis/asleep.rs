//! What the threads and tasks of one process are blocked in, worked out once: a process may have a hundred thousand.

use std::collections::BTreeSet;

use crate::core::facts::WaitingOn;

use super::blocked::{self, Blocked, Kind};
use super::frames;
use super::place::Place;

/// One of them, with what it is blocked in.
pub type One<'a> = (Place<'a>, Option<Blocked>);

/// The threads and tasks of a process that run code of the program, with what each is blocked in.
pub struct Asleep<'a> {
    /// Each with what it is blocked in.
    pub all: Vec<One<'a>>,
    /// How many are of the program, not of its runtime.
    pub programs: usize,
    /// How many of the program's wait for others without a limit.
    pub programs_asleep: usize,
    /// How many of all wait for others without a limit.
    pub asleep: usize,
    /// How many wait for a lock.
    pub in_locks: usize,
    /// The locks that are waited for without a limit; `None` stands for one that is not known.
    pub locks: BTreeSet<Option<u64>>,
    /// How many wait for a lock without a limit.
    pub in_untimed_locks: usize,
    /// Whether one waits for the end of another without a limit.
    pub joins: bool,
    /// How many poll.
    pub poll: usize,
}

impl<'a> Asleep<'a> {
    /// Looks at all of them.
    pub fn of(places: impl Iterator<Item = Place<'a>>) -> Asleep<'a> {
        let all: Vec<One<'a>> = places.map(|place| (place, blocked::of(&place))).collect();
        let untimed = || all.iter().filter_map(|(_, blocked)| blocked.as_ref()).filter(|blocked| !blocked.timed);
        let count = |wanted: &dyn Fn(&One<'a>) -> bool| all.iter().filter(|one| wanted(one)).count();
        let is_asleep = |one: &One<'a>| one.1.as_ref().is_some_and(|blocked| !blocked.timed);
        Asleep {
            programs: count(&|(place, _)| is_programs(place)),
            programs_asleep: count(&|one| is_programs(&one.0) && is_asleep(one)),
            asleep: count(&is_asleep),
            in_locks: count(&|(_, blocked)| blocked.as_ref().is_some_and(|blocked| blocked.kind == Kind::Lock)),
            locks: untimed().filter(|blocked| blocked.kind == Kind::Lock).map(|blocked| blocked.address).collect(),
            in_untimed_locks: untimed().filter(|blocked| blocked.kind == Kind::Lock).count(),
            joins: untimed().any(|blocked| blocked.kind == Kind::Join),
            poll: count(&|(place, _)| matches!(place.wait(), Some(WaitingOn::Poll { .. }))),
            all,
        }
    }

    /// Those that wait for locks.
    pub fn lockers(&self) -> impl Iterator<Item = (&Place<'a>, &Blocked)> {
        let blocked = self.all.iter().filter_map(|(place, blocked)| Some((place, blocked.as_ref()?)));
        blocked.filter(|(_, blocked)| blocked.kind == Kind::Lock)
    }
}

/// Whether it runs code of the program: a JVM has many threads of its own.
pub fn is_programs(place: &Place<'_>) -> bool {
    place.process.runtime != "jvm" || frames::has_own(place.frames())
}
