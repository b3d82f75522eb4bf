//! Where the interpreter is in a process, and which version it has.

use super::super::super::maps::Mapping;
use super::super::super::memory::Memory;
use super::super::Subject;
use super::super::image::Image;
use super::heap::{Heap, word};
use super::layout::{self, DEBUG_WORDS, Layout, TaskLists};

/// Mappings searched for an interpreter that no symbol leads to, and how much of each, in bytes.
const SEARCHED: usize = 16;
const SPAN: usize = 4 << 20;
/// The oldest version that is read.
const OLDEST: u8 = 8;

/// An interpreter.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The address of `_PyRuntime`.
    pub runtime: u64,
    /// Its layout.
    pub layout: Layout,
}

/// Finds the interpreter, or says why it cannot be read; `None` where a program could run Python, but does not.
pub fn locate(subject: &Subject) -> Result<Option<Found>, String> {
    let files = files(subject);
    let images: Vec<(&Mapping, Image)> =
        files.iter().filter_map(|start| Some((*start, Image::of(start, subject.maps, subject.memory)?))).collect();
    let exported = |name: &str| images.iter().find_map(|(_, image)| image.exported(name));
    let hidden = || {
        let in_file = |(start, image): &(&Mapping, Image)| {
            image.in_file(subject.via, start, subject.maps, "_PyRuntime", ".PyRuntime")
        };
        images.iter().find_map(in_file)
    };
    let runtime = exported("_PyRuntime").or_else(hidden).or_else(|| by_cookie(subject, &files));
    let Some(runtime) = runtime else { return Err(missing(subject)) };
    if let Some(tells) = layout::told(&words(subject.memory, runtime)) {
        if tells.free_threaded {
            return Err(format!("frames of CPython {} without its lock are not read", version(tells.version)));
        }
        let unknown =
            || format!("frames of CPython {} are not read: it is newer than this launcher", version(tells.version));
        return tells.layout.map(|layout| Some(Found { runtime, layout })).ok_or_else(unknown);
    }
    let number = exported("Py_Version").and_then(|at| subject.memory.read(at)).map(u32::from_le_bytes);
    let minor = number.filter(|number| number >> 24 == 3).map(|number| (number >> 16) as u8);
    let fitting = |layout: &&Layout| layout.minor < 13 && minor.is_none_or(|minor| minor == layout.minor);
    let candidates = layout::ALL.into_iter().filter(fitting);
    let fits = |layout: &&Layout| {
        says_version(&Heap::new(Memory::of(subject.via), **layout, subject.deadline), runtime, layout.minor)
    };
    if let Some(layout) = candidates.clone().find(fits) {
        return Ok(Some(Found { runtime, layout: *layout }));
    }
    let begun = |layout: &Layout| subject.memory.word(runtime.wrapping_add(layout.interpreters)) != Some(0);
    match minor {
        Some(minor) if minor < OLDEST => Err(format!("frames of CPython 3.{minor} are not read: it is older than 3.8")),
        _ if !file_name(subject.executable).starts_with("python") && !candidates.clone().any(begun) => Ok(None),
        _ => {
            Err("frames of Python are not read: its interpreter is older than 3.8, or not yet or no longer there"
                .into())
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The files that may hold the interpreter, each by its first mapping: a library of it before the executable.
fn files<'a>(subject: &Subject<'a>) -> Vec<&'a Mapping> {
    let all = subject.maps.all().iter().filter(|mapping| mapping.offset == 0 && mapping.inode != 0);
    let (libraries, others): (Vec<_>, Vec<_>) =
        all.partition(|mapping| file_name(&mapping.path).starts_with("libpython"));
    let executable = others.into_iter().filter(|mapping| mapping.path == subject.executable).take(1);
    libraries.into_iter().take(4).chain(executable).collect()
}

/// Since 3.13 it begins with words by which it can be told in the data of a file.
fn by_cookie(subject: &Subject, files: &[&Mapping]) -> Option<u64> {
    let of_file = |mapping: &&Mapping| {
        files.iter().any(|file| file.inode == mapping.inode && file.path == mapping.path) && !mapping.execute
    };
    subject.maps.all().iter().filter(of_file).take(SEARCHED).find_map(|mapping| {
        let bytes = subject.memory.read_fresh(mapping.start, ((mapping.end - mapping.start) as usize).min(SPAN));
        let begins = |at: &usize| bytes.get(*at..*at + 8) == Some(b"xdebugpy".as_slice());
        let at = mapping.start + (0..bytes.len()).step_by(8).find(begins)? as u64;
        layout::told(&words(subject.memory, at)).map(|_| at)
    })
}

fn words(memory: &Memory, runtime: u64) -> [u64; DEBUG_WORDS] {
    let bytes = memory.read_fresh(runtime, DEBUG_WORDS * 8);
    std::array::from_fn(|index| word(&bytes, index as u64 * 8).unwrap_or(0))
}

/// Whether `sys.version`, read by the heap's layout, is of this minor version: then the layout is the right one.
fn says_version(heap: &Heap, runtime: u64, minor: u8) -> bool {
    let interpreter = heap.field(runtime, heap.layout.interpreters);
    let version = interpreter.and_then(|interpreter| version_of(heap, interpreter));
    version.is_some_and(|version| version.starts_with(&format!("3.{minor}.")))
}

/// The version of an interpreter: `3.11.7`.
pub fn version_of(heap: &Heap, interpreter: u64) -> Option<String> {
    let text = heap.text(heap.item(heap.field(interpreter, heap.layout.interpreter.sys)?, "version")?)?;
    text.split_whitespace().next().map(str::to_owned)
}

/// `PY_VERSION_HEX` for a person: 0x030e01f0 is 3.14.1.
fn version(number: u32) -> String {
    let [major, minor, micro, _] = number.to_be_bytes();
    format!("{major}.{minor}.{micro}")
}

/// The layout, with what the module `_asyncio` tells of its lists of tasks, since 3.14.
pub fn with_task_lists(subject: &Subject, layout: Layout) -> Layout {
    let told = || {
        let of_module = |mapping: &&Mapping| mapping.offset == 0 && file_name(&mapping.path).starts_with("_asyncio.");
        let module = subject.maps.all().iter().find(of_module);
        let files = module.into_iter().chain(files(subject));
        let address = files.into_iter().find_map(|start| {
            let image = Image::of(start, subject.maps, subject.memory)?;
            image.in_file(subject.via, start, subject.maps, "_AsyncioDebug", ".AsyncioDebug")
        })?;
        // Of a task: size, name, awaited_by, is_task, awaited_by_is_set, coroutine, node. Of an interpreter: size, list.
        // Of a thread: size, running loop, running task, list.
        let bytes = subject.memory.read_fresh(address, 104);
        let at = |index: u64| word(&bytes, index * 8).filter(|offset| *offset < 1 << 20);
        let lists = TaskLists { thread: at(12)?, interpreter: at(8)?, node: at(6)? };
        Some(Layout { waiter: at(5)?.checked_sub(8)?, task_lists: Some(lists), ..layout })
    };
    layout.task_lists.and_then(|_| told()).unwrap_or(layout)
}

fn missing(subject: &Subject) -> String {
    if file_name(subject.executable).starts_with("pypy") {
        return "frames of PyPy are not read: it keeps no table of them that can be found from outside".to_owned();
    }
    format!("frames of Python are not read: no symbol leads to the interpreter in {}", subject.executable)
}
