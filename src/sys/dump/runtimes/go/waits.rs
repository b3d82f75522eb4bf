//! What goroutines wait on, beyond the word that Go has for it.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};

use super::super::super::decode::Caller;
use super::super::super::memory::Stack;
use super::super::super::resolver;
use super::super::Subject;
use super::bytes::Bytes;
use super::goroutines::Goroutine;
use super::layout::Layout;
use super::tables::Tables;
use super::{channels, netpoll, semaphores};
use crate::core::facts::{ChannelFacts, Frame, WaitingOn};

/// How much of a stack is looked through for the name that a resolver asks for, in bytes.
const STACK: usize = 8 << 10;

/// What is needed to tell it.
pub struct Waits<'a, 's> {
    /// The process.
    pub subject: &'a Subject<'s>,
    /// Its memory.
    pub memory: &'a dyn Bytes,
    /// Where fields stand.
    pub layout: &'a Layout,
    /// Where the program's variables lie.
    pub tables: &'a Tables,
    /// The records of all goroutines.
    pub all: HashSet<u64>,
    /// Whether the time is up.
    pub deadline: &'a dyn Fn() -> bool,
    descriptors: OnceCell<HashMap<u64, (i32, bool)>>,
    semaphores: OnceCell<HashMap<u64, u64>>,
    ready: RefCell<HashMap<(i32, bool), Option<WaitingOn>>>,
}

impl<'a, 's> Waits<'a, 's> {
    /// The waits of the goroutines with the records `all`.
    pub fn new(
        subject: &'a Subject<'s>,
        layout: &'a Layout,
        tables: &'a Tables,
        all: HashSet<u64>,
        deadline: &'a dyn Fn() -> bool,
    ) -> Waits<'a, 's> {
        let (descriptors, semaphores, ready) = Default::default();
        Waits { subject, memory: subject.memory, layout, tables, all, deadline, descriptors, semaphores, ready }
    }

    /// What a goroutine in this state waits on, which has this stack.
    pub fn of(&self, goroutine: &Goroutine, state: &str, frames: &[Frame]) -> Option<WaitingOn> {
        // Within a bubble of `testing/synctest` the words have a remark behind them.
        let state = state.split_once(" (durable)").map_or(state, |(state, _)| state);
        let state = state.split_once(" (synctest)").map_or(state, |(state, _)| state);
        match state {
            "IO wait" => self.descriptor(goroutine),
            "chan receive" => Some(self.channels(goroutine, Some(false))),
            "chan send" => Some(self.channels(goroutine, Some(true))),
            "select" => Some(self.channels(goroutine, None)),
            "chan receive (nil chan)" => Some(nil(false)),
            "chan send (nil chan)" => Some(nil(true)),
            "select (no cases)" => Some(WaitingOn::Channels { channels: Vec::new() }),
            "sleep" => Some(WaitingOn::Sleep { duration: None }),
            "semacquire"
            | "sync.Cond.Wait"
            | "sync.Mutex.Lock"
            | "sync.RWMutex.RLock"
            | "sync.RWMutex.Lock"
            | "sync.WaitGroup.Wait" => Some(self.lock(goroutine.address, state, frames)),
            _ => None,
        }
    }

    fn channels(&self, goroutine: &Goroutine, sending: Option<bool>) -> WaitingOn {
        WaitingOn::Channels { channels: channels::of(self.memory, self.layout, goroutine.waiting, sending) }
    }

    fn descriptor(&self, goroutine: &Goroutine) -> Option<WaitingOn> {
        let find = || netpoll::waited_for(self.memory, self.subject.via, &self.all, self.deadline);
        let key = *self.descriptors.get_or_init(find).get(&goroutine.address)?;
        let (fd, reading) = key;
        let look = || {
            let mut sockets = self.subject.sockets.borrow_mut();
            let (pid, via, memory) = (self.subject.pid, self.subject.via, self.subject.memory);
            let mut caller = Caller { pid, via, memory, sockets: &mut sockets, wchan: None };
            let mut waiting_on = caller.until_ready(fd, reading)?;
            if let Some(start) = goroutine.stands() {
                let stack = || Stack { base: start.sp, bytes: memory.read_fresh(start.sp, STACK) };
                resolver::fill_in(&mut waiting_on, stack, memory);
            }
            Some(waiting_on)
        };
        self.ready.borrow_mut().entry(key).or_insert_with(look).clone()
    }

    fn lock(&self, goroutine: u64, state: &str, frames: &[Frame]) -> WaitingOn {
        let find = || semaphores::waited_on(self.memory, self.layout, self.tables, &self.all, self.deadline);
        // A condition has a list of its own, which only the condition knows.
        let semaphore = match state {
            "sync.Cond.Wait" => None,
            _ => self.semaphores.get_or_init(find).get(&goroutine).copied(),
        };
        let (class, offset) = class(state, frames);
        let address = semaphore.map_or(0, |semaphore| semaphore.saturating_sub(offset));
        WaitingOn::RuntimeLock { address, class, owner: None, owner_task: None }
    }
}

fn nil(sending: bool) -> WaitingOn {
    WaitingOn::Channels { channels: vec![ChannelFacts { sending, ..ChannelFacts::default() }] }
}

/// What kind of lock it is, and where in it the semaphore stands, in bytes: by the methods of the package `sync` that
/// wait, as older versions have one word for all.
fn class(state: &str, frames: &[Frame]) -> (String, u64) {
    let functions = frames.iter().filter_map(|frame| frame.function.as_deref());
    let mut methods = functions
        .map_while(|function| function.strip_prefix("internal/").unwrap_or(function).strip_prefix("sync."))
        // Others are functions that the runtime gives to the package: `sync.runtime_Semacquire`.
        .filter_map(|function| function.strip_prefix("(*")?.split_once(")."));
    let Some((receiver, method)) = methods.next() else {
        return (state.rsplit_once('.').map_or("semaphore", |(class, _)| class).to_owned(), 0);
    };
    match (receiver, method) {
        // A read-write lock has a mutex at its start.
        ("Mutex", _) if methods.any(|(receiver, _)| receiver == "RWMutex") => ("sync.RWMutex".into(), 4),
        ("Mutex", _) => ("sync.Mutex".into(), 4),
        // Then comes the semaphore of those who write, then that of those who read.
        ("RWMutex", method) => ("sync.RWMutex".into(), if method.starts_with('R') { 12 } else { 8 }),
        ("WaitGroup", _) => ("sync.WaitGroup".into(), 8),
        (other, _) => (format!("sync.{other}"), 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_of(state: &str, functions: &[&str]) -> (String, u64) {
        let named = |name: &&str| Frame { function: Some((*name).to_owned()), ..Frame::default() };
        class(state, &functions.iter().map(named).collect::<Vec<_>>())
    }

    #[test]
    fn kinds_of_locks() {
        let is = |state, functions: &[&str], class: &str, offset| {
            assert_eq!(class_of(state, functions), (class.to_owned(), offset), "{state} {functions:?}");
        };
        let mutex = ["sync.runtime_SemacquireMutex", "sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", "main.f"];
        is("semacquire", &mutex, "sync.Mutex", 4);
        let newer = ["internal/sync.runtime_SemacquireMutex", "internal/sync.(*Mutex).Lock", "sync.(*Mutex).Lock"];
        is("sync.Mutex.Lock", &newer, "sync.Mutex", 4);
        is("sync.Mutex.Lock", &["sync.(*Mutex).Lock", "sync.(*RWMutex).Lock", "main.f"], "sync.RWMutex", 4);
        is("semacquire", &["sync.(*RWMutex).Lock", "main.f"], "sync.RWMutex", 8);
        is("sync.RWMutex.RLock", &["sync.(*RWMutex).RLock", "main.f"], "sync.RWMutex", 12);
        is("semacquire", &["sync.(*WaitGroup).Wait", "main.f"], "sync.WaitGroup", 8);
        is("sync.Cond.Wait", &["sync.runtime_notifyListWait", "sync.(*Cond).Wait"], "sync.Cond", 0);
        is("sync.Mutex.Lock", &[], "sync.Mutex", 0);
        is("semacquire", &["internal/poll.runtime_Semacquire", "main.f"], "semaphore", 0);
    }
}
