//! Interpreters and their threads: which thread of the kernel each is, its name, and who holds the lock of the interpreter.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::{Subject, namespace};
use super::heap::Heap;
use super::layout::{GIL_HOLDER, GIL_LOCKED, GIL_WAIT, Gil};
use super::locate::Found;

/// Interpreters of one process, and threads of one interpreter, that are looked at.
const INTERPRETERS: usize = 256;
const THREADS: usize = 8192;
/// Where C libraries keep the tid within what `pthread_self` points to: glibc on x86_64 and on others, musl.
const TID_PLACES: [u64; 4] = [0x2d0, 0xd0, 0x30, 0x38];

/// A thread of an interpreter.
#[derive(Debug, Clone)]
pub struct Thread {
    /// Its `PyThreadState`.
    pub address: u64,
    /// `threading.get_ident()`.
    pub ident: u64,
    /// Its tid, as the launcher sees it.
    pub tid: Option<i32>,
}

/// The interpreters of a process, the first one last, as they are linked.
pub fn interpreters(heap: &Heap, found: &Found) -> Vec<u64> {
    let next = heap.layout.interpreter.next;
    chain(heap, heap.word_now(found.runtime.wrapping_add(heap.layout.interpreters)), next, INTERPRETERS)
}

/// The threads of an interpreter.
pub fn threads(heap: &Heap, interpreter: u64, tids: &Tids) -> Vec<Thread> {
    let layout = heap.layout.thread;
    let first = heap.word_now(interpreter.wrapping_add(heap.layout.interpreter.threads));
    let thread = |address: u64| {
        let ident = heap.word_now(address.checked_add(layout.ident)?)?;
        // The number that a forked child inherited is its parent's: only what is a thread of this process counts.
        let native = layout.native.and_then(|offset| heap.word_now(address.checked_add(offset)?));
        let tid = native.and_then(|native| tids.outer(native)).or_else(|| {
            let places = TID_PLACES.iter().filter_map(|place| heap.now(ident.checked_add(*place)?, 4));
            places.filter_map(|bytes| tids.outer(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))).next()
        });
        Some(Thread { address, ident, tid })
    };
    chain(heap, first, layout.next, THREADS).into_iter().filter_map(thread).collect()
}

/// A linked list: from `first` on, by the pointers at `next`.
fn chain(heap: &Heap, first: Option<u64>, next: u64, limit: usize) -> Vec<u64> {
    let (mut list, mut seen) = (Vec::new(), HashSet::new());
    let mut at = first.unwrap_or(0);
    while at != 0 && list.len() < limit && seen.insert(at) {
        list.push(at);
        at = heap.word_now(at.wrapping_add(next)).unwrap_or(0);
    }
    list
}

/// The tids of a process by what its own threads take for their tids: in a pid namespace these are others.
pub struct Tids {
    outer: BTreeMap<u64, i32>,
}

impl Tids {
    /// Those of this process.
    pub fn of(subject: &Subject) -> Tids {
        let by_inner = namespace::tids(subject).into_iter();
        Tids { outer: by_inner.filter_map(|(inner, tid)| Some((u64::try_from(inner).ok()?, tid))).collect() }
    }

    /// None at all.
    #[cfg(test)]
    pub fn none() -> Tids {
        Tids { outer: BTreeMap::new() }
    }

    fn outer(&self, inner: u64) -> Option<i32> {
        self.outer.get(&inner).copied()
    }
}

/// The names that the threading module gave to the threads of an interpreter, by their `ident`.
pub fn names(heap: &Heap, modules: u64) -> HashMap<u64, String> {
    let active = || heap.item(module(heap, modules, "threading")?, "_active");
    let name = |thread: u64| heap.text(heap.attribute(thread, "_name")?);
    let entries = active().and_then(|active| heap.dict(active)).unwrap_or_default();
    entries.into_iter().filter_map(|(ident, thread)| Some((heap.number(ident)?, name(thread)?))).collect()
}

/// The dictionary of an imported module.
pub fn module(heap: &Heap, modules: u64, name: &str) -> Option<u64> {
    let module = heap.item(modules, name)?;
    heap.is_a(module, "module").then(|| heap.field(module, super::heap::HEAD))?
}

/// The lock of an interpreter, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Lock {
    address: u64,
    /// The `PyThreadState` that holds it.
    holder: Option<u64>,
}

impl Lock {
    /// That of this interpreter.
    pub fn of(heap: &Heap, found: &Found, interpreter: u64) -> Option<Lock> {
        let address = match heap.layout.gil {
            Gil::InRuntime(offset) => found.runtime.checked_add(offset)?,
            Gil::Pointer(offset) => heap.word_now(interpreter.checked_add(offset)?)?,
        };
        let bytes = heap.now(address, 24)?;
        let holder = super::heap::word(&bytes, GIL_HOLDER)?;
        let locked = super::heap::half(&bytes, GIL_LOCKED)? == 1;
        Some(Lock { address, holder: (locked && holder != 0).then_some(holder) })
    }

    /// What a thread has to do with it; `futex` is the address that the thread waits on in the kernel.
    pub fn state(&self, thread: &Thread, futex: Option<u64>) -> Option<&'static str> {
        let waits = |address: u64| address.checked_sub(self.address).is_some_and(|offset| GIL_WAIT.contains(&offset));
        if futex.is_some_and(waits) {
            return Some("waits for the GIL");
        }
        (self.holder == Some(thread.address)).then_some("holds the GIL")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_waits_for_the_lock_does_not_hold_it() {
        let thread = Thread { address: 64, ident: 1, tid: Some(1) };
        let lock = Lock { address: 4096, holder: Some(64) };
        assert_eq!(lock.state(&thread, None), Some("holds the GIL"));
        assert_eq!(lock.state(&thread, Some(4096 + 40)), Some("waits for the GIL"));
        assert_eq!(lock.state(&thread, Some(4096 + 208)), Some("holds the GIL"));
        assert_eq!(Lock { address: 4096, holder: None }.state(&thread, Some(8)), None);
    }
}
