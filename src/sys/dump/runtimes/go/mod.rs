//! Go: all goroutines, read from outside without debug information, from stripped programs too.
//!
//! Every Go program carries the tables with which its runtime walks stacks and names functions. From the module data
//! (`tables`) the way leads to the functions (`functions`), the list of goroutines (`goroutines`) and, with the layout of
//! their records (`layout`), to their stacks (`stack`), to what they wait for (`waits`) and to the words for it
//! (`reasons`). `shown` leaves out what Go itself does not show.

mod build;
mod bytes;
mod channels;
mod functions;
mod goroutines;
mod layout;
mod netpoll;
mod reasons;
mod semaphores;
mod shown;
mod stack;
mod tables;
mod tell;
mod threads;
mod waits;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::super::decode;
use super::recognise::go_build_information;
use super::{Subject, Told, namespace};
use crate::core::facts::TaskFacts;
use bytes::Bytes;
use functions::Functions;
use goroutines::Goroutine;
use layout::Layout;
use reasons::Reasons;
use stack::{Behind, Copied, Walk, Walker};
use tables::Span;
use tell::Teller;
use waits::Waits;

/// How often the thread of a goroutine that runs is looked at again.
const TRIES: usize = 4;

/// Reads a Go program.
pub fn read(subject: &Subject) -> Told {
    let build = go_build_information(subject.executable, subject.maps, subject.memory);
    let version = build.and_then(|address| build::version(subject.memory, address));
    if !cfg!(target_arch = "x86_64") {
        let error = Some("goroutines are read on x86_64 only so far".into());
        return Told { version, error, ..Told::default() };
    }
    // Something is left for those who come after.
    let until = Instant::now() + subject.deadline.saturating_duration_since(Instant::now()) / 4 * 3;
    let deadline = move || Instant::now() >= until;
    let mut told = Told { version, ..Told::default() };
    let stretches = stretches(subject);
    let Some(tables) = tables::find(subject.memory, &stretches, &deadline) else {
        told.error =
            Some("goroutines are not read: the program has no function table as Go 1.18 and later write it".into());
        return told;
    };
    let functions = Functions::new(subject.memory, tables);
    let reader = Reader { subject, functions: &functions, deadline: &deadline };
    reader.read(&stretches, &mut told);
    told
}

/// Where the program's data lies, that which can be written first: there the module data is expected.
fn stretches(subject: &Subject) -> Vec<Span> {
    let own = |mapping: &&super::super::maps::Mapping| mapping.path == subject.executable && !mapping.execute;
    let mappings = subject.maps.all().iter().rev().filter(own);
    mappings.map(|mapping| Span::between(mapping.start, mapping.end)).collect()
}

struct Reader<'a, 's> {
    subject: &'a Subject<'s>,
    functions: &'a Functions<'a>,
    deadline: &'a dyn Fn() -> bool,
}

impl Reader<'_, '_> {
    fn read(&self, stretches: &[Span], told: &mut Told) {
        let (memory, tables) = (self.subject.memory, self.functions.tables());
        let (walker, teller) = (Walker::new(self.functions, memory), Teller::new(self.functions));
        let minor = told.version.as_deref().and_then(build::minor);
        let mut running = HashMap::new();
        match goroutines::list(memory, tables, self.deadline) {
            None => told.error = Some("goroutines are not read: the list of them was not found".into()),
            Some(list) => {
                let addresses = goroutines::addresses(memory, list);
                let sample = goroutines::sample(memory, &addresses);
                match layout::find(&sample, self.functions, minor) {
                    None => told.error = Some(unknown_layout(told.version.as_deref())),
                    Some(layout) => {
                        let reasons = Reasons::find(memory, tables, stretches, self.deadline);
                        let tasks = Tasks::new(self, &layout, &reasons, &walker, &teller, &addresses);
                        (told.tasks, told.error) = tasks.read(&addresses, &mut running);
                        told.held = tasks.held.get();
                    }
                }
            }
        }
        told.threads = threads::told(self.subject, self.functions, &walker, &teller, &running);
    }
}

fn unknown_layout(version: Option<&str>) -> String {
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    format!(
        "goroutines are not read: their records do not look as those of any known version of Go (this is Go{version})"
    )
}

/// From goroutines to tasks.
struct Tasks<'a, 's> {
    subject: &'a Subject<'s>,
    functions: &'a Functions<'a>,
    memory: &'a dyn Bytes,
    layout: &'a Layout,
    reasons: &'a Reasons,
    walker: &'a Walker<'a>,
    teller: &'a Teller<'a>,
    waits: Waits<'a, 's>,
    deadline: &'a dyn Fn() -> bool,
    /// Threads by their numbers as the process sees them.
    threads: HashMap<u64, usize>,
    /// The monotonic clock, in milliseconds.
    now: u64,
    /// The longest that a thread was held.
    held: Cell<Duration>,
}

impl<'a, 's> Tasks<'a, 's> {
    fn new(
        reader: &Reader<'a, 's>,
        layout: &'a Layout,
        reasons: &'a Reasons,
        walker: &'a Walker<'a>,
        teller: &'a Teller<'a>,
        addresses: &[u64],
    ) -> Tasks<'a, 's> {
        let Reader { subject, functions, deadline } = *reader;
        let all: HashSet<u64> = addresses.iter().copied().collect();
        let seen: HashMap<i32, i32> = namespace::tids(subject).into_iter().map(|(inner, tid)| (tid, inner)).collect();
        let number = |tid: i32| seen.get(&tid).and_then(|inner| u64::try_from(*inner).ok());
        let threads = subject.threads.iter().enumerate();
        Tasks {
            subject,
            functions,
            memory: subject.memory,
            layout,
            reasons,
            walker,
            teller,
            waits: Waits::new(subject, layout, functions.tables(), all, deadline),
            deadline,
            threads: threads.filter_map(|(index, thread)| Some((number(thread.tid)?, index))).collect(),
            now: decode::clocks().0,
            held: Cell::default(),
        }
    }

    /// All tasks by number, and what is missing. `running` gets the goroutines of threads, by tid.
    fn read(&self, addresses: &[u64], running: &mut HashMap<i32, Behind>) -> (Vec<TaskFacts>, Option<String>) {
        let mut tasks = Vec::with_capacity(addresses.len());
        let mut each = |goroutine: Goroutine, stack: Copied| {
            let (task, thread) = self.task(&goroutine, stack);
            if let Some(facts) = thread.and_then(|index| self.subject.threads.get(index)) {
                running.insert(facts.tid, goroutine.behind);
            }
            tasks.push(task);
        };
        let left = goroutines::read(self.memory, self.layout, addresses, self.deadline, &mut each);
        tasks.sort_by_key(|task| task.id);
        let up = || format!("the time for the dump was up before {left} of {} goroutines were read", addresses.len());
        (tasks, (left > 0).then(up))
    }

    /// What is told of a goroutine, and the thread that runs it, by its index.
    fn task(&self, goroutine: &Goroutine, stack: Copied) -> (TaskFacts, Option<usize>) {
        if let Some(start) = goroutine.stands() {
            let thread = self.thread(goroutine);
            return (self.tell(goroutine, Some(self.walker.walk(start, stack, None)), thread), thread);
        }
        let thread = self.thread(goroutine);
        // The threads were looked at before: it may have come to this one since.
        let before = thread
            .and_then(|index| threads::walk(self.subject, self.functions, self.walker, index, Some(goroutine.behind)));
        match before {
            Some((_, walk)) if walk.entered => (self.tell(goroutine, Some(walk), thread), thread),
            _ => self.running(goroutine),
        }
    }

    /// The same of one that runs, by another look at its thread.
    fn running(&self, goroutine: &Goroutine) -> (TaskFacts, Option<usize>) {
        for _ in 0..TRIES {
            if (self.deadline)() {
                break;
            }
            let Some(now) = self.now(goroutine) else { break };
            let thread = self.thread(&now);
            if let Some(start) = now.stands() {
                return (self.tell(&now, Some(self.walker.walk(start, (0, &[]), None)), thread), thread);
            }
            let Some(facts) = thread.and_then(|index| self.subject.threads.get(index)) else { continue };
            let Some((walk, held)) = threads::walk_again(self.subject, self.walker, facts.tid, now.behind) else {
                continue;
            };
            self.held.set(self.held.get().max(held));
            if walk.entered && self.now(goroutine).is_some_and(|after| after.thread == now.thread) {
                return (self.tell(&now, Some(walk), thread), thread);
            }
        }
        let thread = self.thread(goroutine);
        (self.tell(goroutine, None, thread), thread)
    }

    fn now(&self, goroutine: &Goroutine) -> Option<Goroutine> {
        goroutines::at(self.memory, self.layout, goroutine.address).filter(|now| now.id == goroutine.id)
    }

    fn tell(&self, goroutine: &Goroutine, walk: Option<Walk>, thread: Option<usize>) -> TaskFacts {
        let state = self.reasons.state(goroutine.status, goroutine.reason);
        let frames = walk.map(|walk| self.teller.stack(walk)).unwrap_or_default();
        let start = self.teller.start(goroutine.start);
        let made_by = Some(goroutine.parent).filter(|parent| *parent != 0);
        TaskFacts {
            id: goroutine.id,
            name: None,
            waited: self.waited(goroutine.since),
            thread: thread.and_then(|index| self.subject.threads.get(index)).map(|thread| thread.tid),
            waiting_on: self.waits.of(goroutine, &state, &frames),
            system: shown::is_system(&start, &state),
            // The one that runs `main` was made by no one.
            created_by: self.teller.created_by(goroutine.made, made_by).filter(|_| goroutine.id != 1),
            state,
            frames,
        }
    }

    /// The index of the thread that runs it.
    fn thread(&self, goroutine: &Goroutine) -> Option<usize> {
        let record = Some(goroutine.thread).filter(|thread| *thread != 0)?;
        let number = self.memory.word(record.checked_add(self.layout.tid as u64)?)?;
        self.threads.get(&number).copied()
    }

    fn waited(&self, since: u64) -> Option<Duration> {
        let since = since / 1_000_000;
        (since != 0 && since <= self.now).then(|| Duration::from_millis(self.now - since))
    }
}
