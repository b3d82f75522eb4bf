//! Tasks of Rust's asynchronous runtime tokio: those that have not ended, by what they run, in which state each is.
//!
//! A task that waits has no stack, and the lists of the runtime lead from nowhere that can be found from outside. But its
//! record points to a table of functions that the runtime has for each kind of future, and where the program has kept
//! its symbols these name the future (`program`, `naming`). So the heap is searched for such records (`heap`), and each is
//! looked at for its state (`task`): what was freed or has ended is told by that. The future that the program
//! began with (`block_on`) is no task: it shows on its thread's stack while it is polled. Calls that were given to the
//! runtime's threads for blocking work show there.

mod heap;
mod names;
mod naming;
mod program;
mod task;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::{Subject, TaskSite, Told};
use crate::core::facts::{FoundBy, Frame, TaskFacts};
use heap::Hit;
use naming::Named;
use program::{Kind, Program};
use task::HEAD;

/// Words behind a task's number in which its box is looked for.
const BOX: usize = 4;
/// Tasks that are told at most.
const TASKS: usize = 200_000;

/// Reads the tasks of a program, if it has any and its symbols tell.
pub fn read(subject: &Subject) -> Told {
    program::with_kinds(subject, |program, kinds| Reader { subject, program, kinds }.read()).unwrap_or_default()
}

struct Reader<'a> {
    subject: &'a Subject<'a>,
    program: &'a Program<'a, 'a>,
    kinds: &'a HashMap<u64, Kind>,
}

/// A living task by its record.
struct Record<'a> {
    at: u64,
    table: u64,
    kind: &'a Kind,
    state: &'static str,
    /// Its number, and what comes behind it.
    words: Option<[u64; 1 + BOX]>,
}

impl<'a> Reader<'a> {
    fn read(&self) -> Told {
        let span = self.kinds.keys().fold((u64::MAX, 0), |(low, high), table| (low.min(*table), high.max(*table)));
        let mut living = Vec::new();
        let whole = heap::search(self.subject, span, self.half_time(), |hit| {
            living.extend(self.living(hit));
            living.len() < TASKS
        });
        let seen: BTreeSet<u64> = living.iter().map(|record| record.table).collect();
        let names = self.program.name(self.kinds, &seen, self.half_time());
        let (tasks, sites) = self.tasks(&living, &names);
        let whole = whole && tasks.len() == living.len();
        let error = "the time for the dump was up, or there is too much memory, before all tasks were found";
        Told { tasks, sites, error: (!whole).then(|| error.to_owned()), ..Told::default() }
    }

    /// Each step leaves half of the time to what comes after it.
    fn half_time(&self) -> Instant {
        let now = Instant::now();
        now + self.subject.deadline.saturating_duration_since(now) / 2
    }

    /// The living task whose record has its table at this place, if it is one.
    fn living(&self, hit: &Hit) -> Option<Record<'a>> {
        let (table, kind) = (hit.word, self.kinds.get(&hit.word)?);
        let at = hit.address.checked_sub(kind.layout.table)?;
        let head: [u8; HEAD] = self.near(hit, at)?;
        let mapped = |address: u64| self.subject.maps.find(address).is_some();
        let state = task::state(&head, &kind.layout, (at, table), mapped)?;
        let behind = |id: u64| -> Option<[u64; 1 + BOX]> {
            let bytes: [u8; 8 * (1 + BOX)] = self.near(hit, at.checked_add(id)?)?;
            let mut words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
            Some(std::array::from_fn(|_| words.next().unwrap_or(0)))
        };
        Some(Record { at, table, kind, state, words: kind.layout.id.and_then(behind) })
    }

    /// Bytes near a place, as they were read with it, or else now.
    fn near<const N: usize>(&self, hit: &Hit, address: u64) -> Option<[u8; N]> {
        let together = hit.near(address, N).and_then(|bytes| bytes.first_chunk().copied());
        together.or_else(|| self.subject.memory.read_fresh(address, N).first_chunk().copied())
    }

    fn tasks(&self, living: &[Record], names: &HashMap<u64, Named>) -> (Vec<TaskFacts>, Vec<TaskSite>) {
        let mut seen = BTreeSet::new();
        let mut stacks: HashMap<(u64, Option<String>, bool), Arc<[Frame]>> = HashMap::new();
        let mut sites = Vec::new();
        let mut tasks: Vec<TaskFacts> = Vec::with_capacity(living.len());
        let until = self.half_time();
        for (index, record) in living.iter().enumerate() {
            if index % 1024 == 0 && Instant::now() >= until {
                break;
            }
            let [id, behind @ ..] = record.words.unwrap_or_default();
            let id = if id == 0 { record.at } else { id };
            let named = names.get(&record.table);
            let boxed = named.is_some_and(|named| names::is_boxed(&named.future));
            let behind = behind.iter().filter(|_| boxed).find_map(|table| self.program.behind(*table));
            // No two tasks have the same number: one of them is a copy.
            let sure = seen.insert(id) && named.is_none_or(|named| !named.shared);
            let frames = stacks.entry((record.table, behind.clone(), sure)).or_insert_with(|| {
                let function = behind.or_else(|| Some(named?.future.clone()));
                let frames: Arc<[Frame]> = [self.frame(record.kind, function, sure)].into();
                let body = named.filter(|_| !boxed).and_then(|named| named.body);
                sites.extend(body.map(|body| (Arc::clone(&frames), body)));
                frames
            });
            let (state, frames) = (record.state.to_owned(), Arc::clone(frames));
            tasks.push(TaskFacts { id, state, frames, ..TaskFacts::default() });
        }
        tasks.sort_by_key(|task| task.id);
        (tasks, sites)
    }

    /// What a task runs, as far as it is known. Without a name it is told by the function that polls it.
    fn frame(&self, kind: &Kind, function: Option<String>, sure: bool) -> Frame {
        Frame {
            address: if function.is_some() { 0 } else { kind.poll },
            function,
            module: Some(self.subject.executable.to_owned()),
            language: Some("rust".to_owned()),
            found: if sure { FoundBy::Runtime } else { FoundBy::Guess },
            ..Frame::default()
        }
    }
}
