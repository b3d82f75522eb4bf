//! CPython: the frames, names and states of its threads, and the tasks of asyncio, without stopping anything.
//!
//! `_PyRuntime` leads to the interpreters, these to their threads, and these to their frames. The interpreter runs on
//! while it is read: what does not fit together is read again (`frames`). Only names are read, never values.

mod copy;
mod frames;
mod heap;
mod layout;
mod lines;
mod locate;
mod tasks;
mod threads;

use std::cell::Cell;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::super::capture;
use super::super::files::{Place, Places};
use super::super::futex::RawFutex;
use super::super::memory::Memory;
use super::{Subject, ThreadTold, Told, ToldStack};
use copy::Copy;
use frames::{Frames, Held, Reach};
use heap::Heap;
use tasks::Tasks;
use threads::{Lock, Tids};

/// Reads a process that CPython runs.
pub fn read(subject: &Subject) -> Told {
    let found = match locate::locate(subject) {
        Ok(Some(found)) => found,
        Ok(None) => return Told::default(),
        Err(reason) => return Told { error: Some(reason), ..Told::default() },
    };
    let heap = Heap::new(Memory::of(subject.via), locate::with_task_lists(subject, found.layout), subject.deadline);
    let directory = Directory::of(subject);
    let frames = Frames::new(&heap, |file| directory.resolve(file));
    let tids = Tids::of(subject);
    let mut told = Told::default();
    let held = Cell::new(Duration::ZERO);
    for interpreter in threads::interpreters(&heap, &found) {
        told.version = told.version.or_else(|| locate::version_of(&heap, interpreter));
        let threads = threads::threads(&heap, interpreter, &tids);
        let modules = heap.field(interpreter, heap.layout.interpreter.modules).unwrap_or(0);
        let names = threads::names(&heap, modules);
        let lock = Lock::of(&heap, &found, interpreter);
        for thread in &threads {
            let Some(tid) = thread.tid else { continue };
            if heap.is_late() {
                break;
            }
            let futex = futex_of(subject, tid);
            let state = lock.and_then(|lock| lock.state(thread, futex)).map(str::to_owned);
            let hold = || copy_held(subject, &heap, tid, thread.address, &held);
            let reach = Reach { runs: &|| runs_now(subject.pid, tid), hold: &hold };
            let (name, runs) = (names.get(&thread.ident).cloned(), frames.of_thread(thread.address, &reach));
            add(&mut told, ThreadTold { tid, name, state, stack: ToldStack::Runs(runs), ..ThreadTold::default() });
        }
        let tasks = Tasks { heap: &heap, frames: &frames, threads: &threads };
        told.tasks.extend(tasks.read(interpreter, modules));
    }
    told.held = held.get();
    if heap.is_late() {
        told.error = Some("the time for the dump was up before all of Python was read".to_owned());
    }
    told
}

/// Whether a thread is on a CPU, or waits for its turn on one, or that is not told.
fn runs_now(pid: i32, tid: i32) -> bool {
    !Places::of(pid, tid).and_then(|places| places.now()).is_ok_and(|place| place != Place::Running)
}

/// Copies the frames of a thread that is on a CPU while it is held; `longest` is how long any was.
fn copy_held(subject: &Subject, heap: &Heap, tid: i32, thread: u64, longest: &Cell<Duration>) -> Held {
    let (via, layout) = (subject.via, heap.layout);
    let copy = move || Copy::of_held(&Memory::of(via), &layout, thread);
    match capture::while_held(subject.pid, tid, copy) {
        Ok(Some((copy, held))) => {
            longest.set(longest.get().max(held));
            copy.map_or(Held::Denied, Held::Copied)
        }
        Ok(None) => Held::Blocked,
        Err(_) => Held::Denied,
    }
}

/// Adds what is told of a thread. One that is in several interpreters is in the newest one innermost, as they are listed.
fn add(told: &mut Told, thread: ThreadTold) {
    let Some(known) = told.threads.iter_mut().find(|known| known.tid == thread.tid) else {
        told.threads.push(thread);
        return;
    };
    known.name = known.name.take().or(thread.name);
    known.state = known.state.take().or(thread.state);
    if let (ToldStack::Runs(runs), ToldStack::Runs(outer)) = (&mut known.stack, thread.stack) {
        runs.extend(outer);
    }
}

/// The address of the futex that a thread waits on in the kernel.
fn futex_of(subject: &Subject, tid: i32) -> Option<u64> {
    let index = subject.threads.iter().position(|thread| thread.tid == tid)?;
    let call = subject.stacks.get(index)?.call.as_ref()?;
    call.futex.as_ref().map(RawFutex::address)
}

/// The working directory of a process, against which names of files may be relative.
struct Directory {
    /// As the process sees it.
    inside: PathBuf,
    /// As the launcher sees it.
    outside: PathBuf,
}

impl Directory {
    fn of(subject: &Subject) -> Directory {
        let link = |name: &str| std::fs::read_link(format!("/proc/{}/{name}", subject.via)).unwrap_or_default();
        let (directory, root) = (link("cwd"), link("root"));
        let inside = directory.strip_prefix(&root).map(|rest| Path::new("/").join(rest)).unwrap_or(directory);
        Directory { inside, outside: PathBuf::from(format!("/proc/{}/cwd", subject.via)) }
    }

    /// The absolute path of this file, if it is there: the process may have gone elsewhere since it read it.
    fn resolve(&self, file: &str) -> Option<String> {
        if !self.inside.is_absolute() || !self.outside.join(file).is_file() {
            return None;
        }
        let mut path = self.inside.clone();
        for part in Path::new(file).components() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::ParentDir => drop(path.pop()),
                _ => {}
            }
        }
        path.to_str().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::locate::Found;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// Structures made of noise that point to each other, in the memory of the test itself.
        #[test]
        fn a_broken_process_does_no_harm(words in proptest::collection::vec((0u8..8, any::<u64>()), 3000)) {
            let mut memory = vec![0u64; words.len()];
            let base = memory.as_ptr() as u64;
            for (place, (kind, word)) in memory.iter_mut().zip(&words) {
                *place = match kind {
                    0 => *word,
                    1 => word % 64,
                    _ => base + word % (words.len() as u64) * 8,
                };
            }
            for layout in layout::ALL {
                let deadline = Instant::now() + Duration::from_millis(20);
                let heap = Heap::new(Memory::of(std::process::id() as i32), *layout, deadline);
                let frames = Frames::new(&heap, |_| None);
                let found = Found { runtime: base, layout: *layout };
                let tids = Tids::none();
                let nothing = Reach { runs: &|| true, hold: &|| Held::Denied };
                let interpreters = threads::interpreters(&heap, &found);
                let threads = threads::threads(&heap, base, &tids);
                for thread in threads.iter().take(4) {
                    let _ = (frames.of_thread(thread.address, &nothing), Lock::of(&heap, &found, thread.address));
                }
                let tasks = Tasks { heap: &heap, frames: &frames, threads: &threads };
                for address in interpreters.iter().chain(&memory[..16]).take(16) {
                    let _ = (threads::names(&heap, *address), tasks.read(base, *address), tasks.one(*address));
                    let _ = (frames.place(*address), frames.code(*address), locate::version_of(&heap, *address));
                }
                // It ends: how soon is the machine's, which may be busy.
                prop_assert!(Instant::now() < deadline + Duration::from_secs(20));
            }
        }
    }
}
