//! Ruby: the stacks of all its threads, read from the memory of the virtual machine.
//!
//! Nothing is stopped and no symbol is needed: the virtual machine is found in the data of `libruby`, as the one word
//! that points to something whose threads point back to it.

mod layout;
mod stack;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use self::layout::{Layout, MAIN_RACTOR, Native, RACTORS, THREAD_RACTOR};
use self::values::{Symbols, Values};
use super::{Subject, ThreadTold, Told, ToldStack, exported, namespace};
use crate::core::facts::LockFacts;
use crate::sys::dump::maps::Mapping;

/// Threads of one ractor, ractors and mutexes that are looked at, at most.
const MEMBERS: usize = 8192;
/// No mapping larger than this holds the data of Ruby, in bytes.
const DATA: u64 = 1 << 20;
/// `nil`, up to 3.1: where it is not known where names are.
const NIL: u64 = 8;
/// Where glibc keeps the tid in what a `pthread_t` points to, on x86_64.
const PTHREAD_TID: u64 = 0x2d0;

/// Reads the stacks of all threads of a Ruby.
pub fn read(subject: &Subject) -> Told {
    let failed = |version: Option<String>, reason: &str| Told {
        version,
        error: Some(format!("frames of Ruby are not read: {reason}")),
        ..Told::default()
    };
    let own = |mapping: &&Mapping| mapping.path == subject.executable;
    let library = exported::mapped(subject, "libruby").or_else(|| subject.maps.all().iter().find(own));
    let Some(library) = library else { return failed(None, "its program is not mapped") };
    let version = exported::addresses(subject, library, &["ruby_version"]);
    let version = version.get("ruby_version").and_then(|address| subject.memory.string(*address, 16));
    let Some(version) = version else { return failed(None, "it does not tell its version") };
    let Some(layout) = Layout::of(&version) else {
        return failed(
            Some(version),
            "only those of versions 2.7 to 3.4 are known: `rbspy dump --pid PID` may know more",
        );
    };
    let values = Values { memory: subject.memory, layout };
    let data = data(subject, library);
    let words = data.iter().flat_map(|(_, bytes)| bytes.chunks_exact(8));
    let mut words = words.filter_map(|word| word.try_into().ok().map(u64::from_le_bytes));
    let Some(vm) = words.find(|word| is_machine(subject, &values, *word)) else {
        return failed(Some(version), "its virtual machine was not found, or is not there yet");
    };
    let symbols = Symbols::find(&values, &data);
    let reader = Reader { subject, values, symbols, tids: namespace::tids(subject) };
    let all = threads(&values, vm);
    let in_time = all.iter().take_while(|_| Instant::now() < subject.deadline);
    let told: Vec<_> = in_time.map(|thread| reader.thread(*thread)).collect();
    let late = told.len() < all.len();
    let error = late.then(|| "the time for the dump was up before all threads of Ruby were read".to_owned());
    Told { version: Some(version), threads: told.into_iter().flatten().collect(), error, ..Told::default() }
}

/// What Ruby keeps in variables of its own: the small mappings of its file, and the one without a file behind the last.
fn data(subject: &Subject, library: &Mapping) -> Vec<(u64, Vec<u8>)> {
    let mut data = Vec::new();
    let mut last_end = 0;
    for mapping in subject.maps.all() {
        let own = mapping.path == library.path && mapping.inode == library.inode;
        let behind = mapping.path.is_empty() && mapping.start == last_end;
        if own {
            last_end = mapping.end;
        }
        let length = mapping.end - mapping.start;
        if (own || behind) && !mapping.execute && length <= DATA {
            data.push((mapping.start, subject.memory.read_fresh(mapping.start, length as usize)));
        }
    }
    data
}

/// Whether there is a virtual machine at `vm`: its first thread knows it.
fn is_machine(subject: &Subject, values: &Values, vm: u64) -> bool {
    if !vm.is_multiple_of(8) || subject.maps.find(vm).is_none() {
        return false;
    }
    let first = || {
        let list = match values.layout.ractors {
            Some(ractors) => values.at(vm, MAIN_RACTOR)?.checked_add(ractors.threads)?,
            None => vm.checked_add(values.layout.living_threads)?,
        };
        let thread = values.at(list, 0)?;
        let context = values.at(thread, values.layout.thread.context)?;
        let knows = values.at(thread, values.layout.thread.vm)? == vm
            && values.at(context, values.layout.context_thread)? == thread
            && (values.layout.ractors.is_none() || values.at(thread, THREAD_RACTOR) == values.at(vm, MAIN_RACTOR));
        Some(knows)
    };
    first().unwrap_or(false)
}

/// The threads of all ractors.
fn threads(values: &Values, vm: u64) -> Vec<u64> {
    let Some(ractors) = values.layout.ractors else {
        return list(values, vm.wrapping_add(values.layout.living_threads));
    };
    let nodes = list(values, vm.wrapping_add(RACTORS));
    let of = |node: u64| list(values, node.wrapping_sub(ractors.node).wrapping_add(ractors.threads));
    nodes.into_iter().flat_map(of).take(MEMBERS).collect()
}

/// The members of the list that begins at `head`.
fn list(values: &Values, head: u64) -> Vec<u64> {
    let next = |at: &u64| values.memory.word(*at).filter(|next| *next != head && *next != 0);
    std::iter::successors(next(&head), next).take(MEMBERS).collect()
}

struct Reader<'a> {
    subject: &'a Subject<'a>,
    values: Values<'a>,
    symbols: Option<Symbols>,
    /// Tids by those in the process's own pid namespace.
    tids: HashMap<i32, i32>,
}

impl Reader<'_> {
    /// What is known of the thread at `thread`; `None` when it is not known which one of the kernel's it is.
    fn thread(&self, thread: u64) -> Option<ThreadTold> {
        let (values, layout) = (&self.values, self.values.layout.thread);
        let tid = self.tid(thread)?;
        let status = values.memory.read::<1>(thread.checked_add(layout.status)?);
        let status = status.map(|[bits]| ["run", "sleep", "sleep_forever", "dead"][usize::from(bits & 3)].to_owned());
        let frames = values.at(thread, layout.context).and_then(|ec| stack::of(values, self.symbols.as_ref(), ec));
        Some(ThreadTold {
            tid,
            name: self.name(thread),
            state: status,
            locks: self.locks(thread).unwrap_or_default(),
            stack: ToldStack::Beside(frames.unwrap_or_default()),
        })
    }

    fn name(&self, thread: u64) -> Option<String> {
        let (values, layout) = (&self.values, self.values.layout.thread);
        let first = values.at(thread, layout.name)?;
        let known = first == NIL || values.string(first).is_some();
        let name = if known { first } else { values.at(thread, layout.name_else)? };
        values.string(name).filter(|name| !name.is_empty())
    }

    fn tid(&self, thread: u64) -> Option<i32> {
        let values = &self.values;
        let inner = match values.layout.thread.native {
            Native::Pthread(offset) => values.half_at(values.at(thread, offset)?, PTHREAD_TID)?,
            Native::Tid(offset) => values.half_at(thread, offset)?,
            Native::Through(offset, tid) => values.half_at(values.at(thread, offset)?, tid)?,
        };
        self.tids.get(&i32::try_from(inner).ok()?).copied()
    }

    /// The mutex that it waits for, and those that it holds.
    fn locks(&self, thread: u64) -> Option<Vec<LockFacts>> {
        let values = &self.values;
        let lock = |address: u64, held: bool| LockFacts { address, class: "Thread::Mutex".to_owned(), held };
        let mut locks = Vec::new();
        let locking = values.layout.thread.locking;
        // A value, unlike those that it holds: the mutex itself is what it wraps.
        let wanted = values.at(thread, locking)?;
        if wanted != 0 {
            locks.push(lock(values.at(wanted, 32)?, false));
        }
        let mut seen = BTreeSet::new();
        let mut held = values.at(thread, locking + 8)?;
        while held != 0 && seen.insert(held) && seen.len() < MEMBERS && self.subject.maps.find(held).is_some() {
            locks.push(lock(held, true));
            held = values.at(held, 8)?;
        }
        Some(locks)
    }
}
