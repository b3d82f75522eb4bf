//! asyncio: the tasks that are not done, where each stands, and what it awaits.

use std::collections::{BTreeSet, HashMap};

use super::frames::{FRAMES, Frames};
use super::heap::{ENTRIES, HEAD, Heap};
use super::threads::{Thread, module};
use crate::core::facts::{Frame, TaskFacts, WaitingOn};

/// Tasks of one interpreter that are looked at.
const TASKS: usize = 50_000;

/// Reads the tasks of one interpreter.
pub struct Tasks<'a> {
    /// Its objects.
    pub heap: &'a Heap,
    /// Its frames.
    pub frames: &'a Frames<'a>,
    /// Its threads.
    pub threads: &'a [Thread],
}

/// Where a coroutine stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Created,
    /// At `yield`, and at nothing that it awaits.
    Yielded,
    /// At `await` or `yield from`.
    Awaits,
    Running,
    Done,
}

/// A coroutine with those it awaits.
#[derive(Default)]
struct Awaited {
    /// Outermost first.
    frames: Vec<Frame>,
    /// Where the first one stands.
    state: Option<State>,
    /// What the last one awaits, if it is no coroutine.
    last: u64,
}

impl Tasks<'_> {
    /// All tasks that are not done.
    pub fn read(&self, interpreter: u64, modules: u64) -> Vec<TaskFacts> {
        let mut loops = HashMap::new();
        self.all(interpreter, modules).into_iter().filter_map(|task| self.task(task, &mut loops)).collect()
    }

    /// The addresses of all tasks, done or not, in the order of their addresses.
    fn all(&self, interpreter: u64, modules: u64) -> BTreeSet<u64> {
        let heap = self.heap;
        let mut found = BTreeSet::new();
        let Some(names) = module(heap, modules, "asyncio.tasks") else { return found };
        for name in ["_all_tasks", "_scheduled_tasks"] {
            let weak = heap.item(names, name).and_then(|set| heap.set(heap.attribute(set, "data")?));
            let strong = weak.into_iter().flatten().filter_map(|reference| heap.field(reference, HEAD));
            found.extend(strong);
        }
        found.extend(heap.item(names, "_eager_tasks").and_then(|set| heap.set(set)).into_iter().flatten());
        if let Some(lists) = heap.layout.task_lists {
            let of_threads = self.threads.iter().map(|thread| thread.address.wrapping_add(lists.thread));
            for head in of_threads.chain([interpreter.wrapping_add(lists.interpreter)]) {
                self.list(head, lists.node, &mut found);
            }
        }
        found.into_iter().filter(|task| heap.is_a(*task, "_asyncio.Task")).take(TASKS).collect()
    }

    /// The task at this address, whatever is there.
    #[cfg(test)]
    pub fn one(&self, task: u64) -> Option<TaskFacts> {
        self.task(task, &mut HashMap::new())
    }

    /// A circular list: each node points to the next one, the last one to the head.
    fn list(&self, head: u64, node: u64, found: &mut BTreeSet<u64>) {
        let mut at = self.heap.word(head).unwrap_or(0);
        for _ in 0..ENTRIES {
            if at == 0 || at == head || !found.insert(at.wrapping_sub(node)) {
                return;
            }
            at = self.heap.word(at).unwrap_or(0);
        }
    }

    /// One task; `None` when it is done.
    fn task(&self, task: u64, loops: &mut HashMap<u64, Option<i32>>) -> Option<TaskFacts> {
        let heap = self.heap;
        let [waiter, coroutine, name] = [0, 8, 16].map(|more| heap.field(task, heap.layout.waiter + more));
        let awaited = self.awaited(coroutine?);
        let state = match awaited.state? {
            State::Done => return None,
            State::Running => "running",
            // Nothing to wait for: its loop has it in the queue of what is to be run.
            _ if waiter? == 0 => "ready to run",
            _ => "pending",
        };
        let event_loop = heap.field(task, HEAD)?;
        let thread = *loops.entry(event_loop).or_insert_with(|| self.thread_of(event_loop));
        let waiter = if waiter? != 0 { waiter? } else { awaited.last };
        let waiting_on = (state == "pending").then(|| self.waiting_on(waiter, &awaited.frames));
        let mut frames = awaited.frames;
        frames.reverse();
        Some(TaskFacts {
            id: task,
            name: name.and_then(|name| self.name(name)),
            state: state.to_owned(),
            thread,
            waiting_on,
            frames: frames.into(),
            ..TaskFacts::default()
        })
    }

    /// Its name; one that was given no name has a number until someone asks.
    fn name(&self, name: u64) -> Option<String> {
        self.heap.text(name).or_else(|| Some(format!("Task-{}", self.heap.number(name)?)))
    }

    /// The thread that runs an event loop.
    fn thread_of(&self, event_loop: u64) -> Option<i32> {
        let ident = self.heap.number(self.heap.attribute(event_loop, "_thread_id")?)?;
        self.threads.iter().find(|thread| thread.ident == ident)?.tid
    }

    fn waiting_on(&self, waiter: u64, frames: &[Frame]) -> WaitingOn {
        let heap = self.heap;
        if heap.is_a(waiter, "_asyncio.Task") {
            return WaitingOn::Tasks { tasks: vec![waiter], what: "Task".to_owned() };
        }
        if heap.is_a(waiter, "_GatheringFuture") {
            let children = heap.attribute(waiter, "_children").and_then(|list| heap.list(list)).unwrap_or_default();
            let not_done = |task: &u64| heap.is_a(*task, "_asyncio.Task") && self.is_pending(*task);
            let tasks = children.into_iter().filter(not_done).collect();
            return WaitingOn::Tasks { tasks, what: "gather".to_owned() };
        }
        // A future says nothing of its purpose; the function of asyncio that was called does.
        let asyncio = |frame: &&Frame| frame.file.as_ref().is_some_and(|file| file.contains("/asyncio/"));
        let within: Vec<&Frame> = frames.iter().rev().take_while(asyncio).collect();
        let private = |frame: &Frame| frame.function.as_ref().is_none_or(|name| last_name(name).starts_with('_'));
        let public = within.iter().rev().find(|frame| !private(frame)).or(within.last());
        let what = public.map_or_else(|| "Future".to_owned(), |frame| called(frame, heap.layout.has_plain_frames()));
        WaitingOn::Tasks { tasks: Vec::new(), what }
    }

    fn is_pending(&self, task: u64) -> bool {
        let coroutine = self.heap.field(task, self.heap.layout.waiter + 8);
        coroutine.and_then(|coroutine| self.state(coroutine)).is_some_and(|(state, _)| state != State::Done)
    }

    /// Follows a coroutine through all that it awaits.
    fn awaited(&self, coroutine: u64) -> Awaited {
        let mut awaited = Awaited { last: coroutine, ..Awaited::default() };
        for _ in 0..FRAMES {
            let at = awaited.last;
            let Some(found) = self.heap.type_of(at) else { break };
            match found.name.as_str() {
                "coroutine" | "generator" | "async_generator" => {
                    let Some((state, frame)) = self.state(at) else { break };
                    awaited.state.get_or_insert(state);
                    if state == State::Done {
                        break;
                    }
                    let Some((code, offset)) = self.frames.place(frame) else { break };
                    awaited.frames.push(self.frames.frame(&code, offset));
                    if state != State::Awaits {
                        awaited.last = 0;
                        break;
                    }
                    awaited.last = self.top(frame).unwrap_or(0);
                }
                "coroutine_wrapper"
                | "async_generator_asend"
                | "async_generator_athrow"
                | "anext_awaitable"
                | "_asyncio.FutureIter" => awaited.last = self.heap.field(at, HEAD).unwrap_or(0),
                _ => break,
            }
        }
        awaited
    }

    /// Where a coroutine or generator stands, and its frame.
    fn state(&self, object: u64) -> Option<(State, u64)> {
        let layout = &self.heap.layout;
        let at = object.checked_add(layout.generator.frame)?;
        if !layout.has_plain_frames() {
            return match self.heap.word(at)? {
                0 => Some((State::Done, 0)),
                frame => Some((self.state_of_object(frame)?, frame)),
            };
        }
        let number = self.heap.byte(object.checked_add(layout.generator.state)?)?.cast_signed();
        let state = match (layout.minor, number) {
            (15.., 0) | (13..=14, -3) | (..=12, -2) => State::Created,
            (15.., 1) | (13..=14, -2) => State::Yielded,
            (15.., 2 | 3) | (13..=14, -1) => State::Awaits,
            (..=12, -1) => self.suspended(at)?,
            (15.., 4) | (..=14, 0) => State::Running,
            _ => State::Done,
        };
        Some((state, at))
    }

    /// Of one of 3.11 and 3.12 that is suspended: the next instruction tells whether at `yield`, or at what it awaits.
    fn suspended(&self, frame: u64) -> Option<State> {
        let (code, offset) = self.frames.place(frame)?;
        let next = code.start.checked_add_signed(offset + 3)?;
        Some(if self.heap.byte(next)? & 3 >= 2 { State::Awaits } else { State::Yielded })
    }

    /// The same of a frame before 3.11, which is an object.
    fn state_of_object(&self, frame: u64) -> Option<State> {
        const YIELD_FROM: u8 = 72;
        let layout = &self.heap.layout;
        let state = self.heap.byte(frame.checked_add(layout.frame.owner)?)?.cast_signed();
        let (code, offset) = self.frames.place(frame)?;
        match (layout.minor, state) {
            (10, 1..) => return Some(State::Done),
            (10, 0) | (..=9, 1) => return Some(State::Running),
            _ if offset < 0 => return Some(State::Created),
            _ => {}
        }
        let next = self.heap.byte(code.start.checked_add_signed(offset + 2)?)?;
        Some(if next == YIELD_FROM { State::Awaits } else { State::Yielded })
    }

    /// What lies on top of a frame's evaluation stack: what is awaited.
    fn top(&self, frame: u64) -> Option<u64> {
        let (heap, layout) = (self.heap, &self.heap.layout);
        let top = frame.checked_add(layout.frame.top)?;
        let number = || heap.word(top).map(|word| u64::from(word as u32));
        let after = match layout.minor {
            ..=9 | 14.. => heap.word(top)?,
            10 => heap.field(frame, layout.frame.locals)?.checked_add(number()? * 8)?,
            _ => frame.checked_add(layout.frame.locals)?.checked_add(number()? * 8)?,
        };
        // Since 3.15 what an iterator has to remember lies above it.
        let above = if layout.minor >= 15 { 16 } else { 8 };
        Some(heap.word(after.checked_sub(above)?)? & !7)
    }
}

/// What a function of asyncio is called: `Queue.get`; before 3.11 only the module is known, `queues.get`.
fn called(frame: &Frame, qualified: bool) -> String {
    let function = frame.function.clone().unwrap_or_default();
    if qualified {
        return function;
    }
    let file = frame.file.as_deref().and_then(|file| file.rsplit('/').next()).unwrap_or_default();
    format!("{}.{function}", file.trim_end_matches(".py"))
}

/// A name without its classes.
fn last_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
