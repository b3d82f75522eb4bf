//! Which future a kind of task runs, by the names of the functions that are made for it.
//!
//! Compilers keep code that is the same for several types but once, and may leave it the name of any of them. So a name
//! that is told by such code is one of several, until the code that polls the task shows which.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use memchr::memmem;

use super::names;
use super::program::{Kind, Program, begins};

/// Bytes of one function that are looked at for calls.
const BODY: u64 = 4096;
/// How many calls are followed from one function, one after another and in all.
const DEPTH: usize = 5;
const CALLS: usize = 128;
/// Futures whose own code is looked for, and how many names are looked at for each.
const BODIES: usize = 64;
const HITS: usize = 4096;
/// So many futures that it may be are named.
const NAMED: usize = 3;

/// What is told of the future of a kind.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its name, or those it may have.
    pub future: String,
    /// Whether it may be another's: the same code may stand for several.
    pub shared: bool,
    /// Where its own code begins in the process, where it has a function for itself.
    pub body: Option<u64>,
}

/// Futures by their names.
type Futures = BTreeSet<String>;

impl Program<'_, '_> {
    /// What is told of the futures of these kinds, as far as it is found up to a time.
    pub fn name(&self, kinds: &HashMap<u64, Kind>, seen: &BTreeSet<u64>, until: Instant) -> HashMap<u64, Named> {
        let in_time = || Instant::now() < until;
        // Of kinds without a task, too: they may share the code that tells the name of one that has some.
        let all = kinds.iter().take_while(|_| in_time());
        let told: HashMap<u64, (u64, Futures)> =
            all.filter_map(|(table, kind)| Some((*table, self.told(*table, kind)?))).collect();
        let alike = self.alike();
        // Of one scheduler no two functions poll tasks of the same kind.
        let mut polls: BTreeMap<(u64, u64), BTreeSet<u64>> = BTreeMap::new();
        let scheduler = |table: u64| self.table(table).map_or(0, |words| words[1]);
        let key = |table: u64, function: u64, kind: &Kind| (function, kind.layout.id.map_or(0, |_| scheduler(table)));
        for (table, (function, _)) in &told {
            polls.entry(key(*table, *function, &kinds[table])).or_default().insert(kinds[table].poll);
        }
        let may_be = |table: &u64| {
            let (function, futures) = told.get(table)?;
            let also = futures.iter().filter_map(|future| alike.get(future)).flatten();
            let all: Futures = futures.iter().chain(also).cloned().collect();
            let several = polls.get(&key(*table, *function, &kinds[table])).is_some_and(|polls| polls.len() > 1);
            Some((*table, all, several))
        };
        let seen: Vec<(u64, Futures, bool)> = seen.iter().filter_map(may_be).collect();
        let bodies = self.bodies(seen.iter().flat_map(|(_, futures, _)| futures), &in_time);
        let named = seen.into_iter().map(|(table, futures, several)| {
            let shared = several || futures.len() > 1;
            let poll = kinds[&table].poll.wrapping_sub(self.bias);
            let polled = if shared && in_time() { self.polled(poll, &futures, &bodies) } else { None };
            let shared = shared && polled.is_none();
            let future = polled.or_else(|| (futures.len() == 1).then(|| futures.first().cloned())?);
            let body = future.as_ref().and_then(|future| bodies.get(future)).map(|body| self.at(*body));
            (table, Named { future: future.unwrap_or_else(|| one_of(&futures)), shared, body })
        });
        named.collect()
    }

    /// The futures that may be those of a kind, and the function that tells: that which polls its tasks, or else one that
    /// frees them.
    fn told(&self, table: u64, kind: &Kind) -> Option<(u64, Futures)> {
        let poll = kind.poll.wrapping_sub(self.bias);
        if let Some(futures) = self.futures_at(poll) {
            return Some((poll, futures));
        }
        let mut starts: Vec<(usize, u64)> = Vec::new();
        for address in self.table(table)?.iter().skip(1).map(|word| word.wrapping_sub(self.bias)) {
            let ranked = self.functions.at(address).find_map(|(_, symbol)| names::frees(symbol));
            starts.extend(ranked.map(|rank| (rank, address)));
        }
        starts.sort_unstable();
        starts.into_iter().find_map(|(_, start)| {
            self.follow(start, |function| self.futures_at(function).map(|futures| (function, futures)))
        })
    }

    /// The futures that the symbols of one function tell.
    fn futures_at(&self, function: u64) -> Option<Futures> {
        let told = |(_, symbol): (u64, &str)| names::future(&names::plain(symbol)?).map(str::to_owned);
        Some(self.functions.at(function).filter_map(told).collect()).filter(|found: &Futures| !found.is_empty())
    }

    /// Futures that some code is the same for, by each of them.
    fn alike(&self) -> HashMap<String, Futures> {
        let all = self.functions.names;
        let starts: BTreeSet<u32> = memmem::find_iter(all, names::RECORDS).map(|at| begins(all, at) as u32).collect();
        let mut alike: HashMap<String, Futures> = HashMap::new();
        let list: Vec<u64> =
            self.functions.list.iter().filter(|(.., name)| starts.contains(name)).map(|it| it.0).collect();
        for same in list.chunk_by(|one, other| one == other).filter(|same| same.len() > 1) {
            let Some(futures) = same.first().and_then(|address| self.futures_at(*address)) else { continue };
            for future in &futures {
                alike.entry(future.clone()).or_default().extend(futures.iter().cloned());
            }
        }
        alike
    }

    /// Which of some futures a function that polls a task comes to, if it is one and has code of its own.
    fn polled(&self, poll: u64, futures: &Futures, bodies: &HashMap<String, u64>) -> Option<String> {
        let own: BTreeMap<u64, &String> =
            futures.iter().filter_map(|future| Some((*bodies.get(future)?, future))).collect();
        if own.is_empty() {
            return None;
        }
        self.follow(poll, |function| own.get(&function).map(|future| (*future).clone()))
    }

    /// Follows the calls of a function within the runtime up to the first one of which something is found.
    fn follow<T>(&self, start: u64, find: impl Fn(u64) -> Option<T>) -> Option<T> {
        let mut seen = BTreeSet::from([start]);
        let mut level = vec![start];
        for _ in 0..DEPTH {
            let mut next = Vec::new();
            for called in level.iter().flat_map(|function| self.calls(*function)) {
                if seen.len() > CALLS || !seen.insert(called) {
                    continue;
                }
                if let Some(found) = find(called) {
                    return Some(found);
                }
                if self.functions.at(called).any(|(_, symbol)| names::leads_on(symbol)) {
                    next.push(called);
                }
            }
            level = next;
        }
        None
    }

    /// The functions that one calls or jumps to directly, in the order of its code: x86_64's `call` and `jmp` with a
    /// distance. A distance that is part of another instruction leads to no function's start.
    fn calls(&self, function: u64) -> Vec<u64> {
        let size = self.functions.at(function).map(|(size, _)| size).max().unwrap_or(0).min(BODY);
        let code = self.subject.memory.read_fresh(self.at(function), size as usize);
        let target = |(at, part): (usize, &[u8])| {
            let distance = i32::from_le_bytes(part.get(1..5)?.try_into().ok()?);
            let target = function.wrapping_add(at as u64 + 5).wrapping_add_signed(i64::from(distance));
            (matches!(part[0], 0xe8 | 0xe9) && self.functions.at(target).next().is_some()).then_some(target)
        };
        code.windows(5).enumerate().filter_map(target).collect()
    }

    /// The functions that are the futures themselves, where there is but one of that name: blocks of one function have
    /// the same in older symbols.
    fn bodies<'f>(
        &self,
        futures: impl Iterator<Item = &'f String>,
        in_time: &impl Fn() -> bool,
    ) -> HashMap<String, u64> {
        let all = self.functions.names;
        let mut wanted: HashMap<u32, &String> = HashMap::new();
        let futures: BTreeSet<&String> = futures.collect();
        for future in futures.into_iter().take(BODIES).take_while(|_| in_time()) {
            let Some(part) = names::own_part(future) else { continue };
            for at in memmem::find_iter(all, part.as_bytes()).take(HITS) {
                let start = begins(all, at) as u32;
                if self.functions.name(start).and_then(names::plain).is_some_and(|name| name == *future) {
                    wanted.insert(start, future);
                }
            }
        }
        let mut bodies: HashMap<&String, Option<u64>> = HashMap::new();
        for (address, _, name) in &self.functions.list {
            let Some(future) = wanted.get(name) else { continue };
            let known = bodies.entry(future).or_insert(Some(*address));
            *known = known.filter(|known| known == address);
        }
        bodies.into_iter().filter_map(|(future, body)| Some((future.clone(), body?))).collect()
    }

    /// What is behind a `dyn Future` whose table of functions (drop, size, alignment, poll) is at this address in the
    /// process: the function that polls it, by its name.
    pub fn behind(&self, table: u64) -> Option<String> {
        let [drop, size, alignment, poll] =
            [0, 8, 16, 24].map(|more| self.subject.memory.word(table.checked_add(more)?));
        let fits = drop.is_some_and(|drop| drop == 0 || self.is_code(drop)) && size? < 1 << 30;
        if !fits || !alignment?.is_power_of_two() || alignment? > 4096 || !self.is_code(poll?) {
            return None;
        }
        let mut found = self.functions.at(poll?.wrapping_sub(self.bias)).filter_map(|(_, symbol)| names::plain(symbol));
        found.next().filter(|_| found.next().is_none())
    }
}

/// The futures that it may be.
fn one_of(futures: &Futures) -> String {
    let mut named: Vec<&str> = futures.iter().take(NAMED).map(String::as_str).collect();
    if futures.len() > NAMED {
        named.push("…");
    }
    named.join(" or ")
}
