//! JavaScript frames of Node's threads, from outside: the native stack has a frame for each of V8's, as V8 keeps frame
//! pointers, and in it V8 keeps the function. From there its name, its file and the line are read in V8's heap, by the
//! constants that node binaries export for debuggers. Nothing is stopped and no inspector is needed.

mod bytecode;
mod code;
mod deopt;
mod function;
mod heap;
mod layout;
mod place;
mod positions;
mod source;
mod varint;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use super::super::unwind::RawFrame;
use super::image::Image;
use super::{Subject, ThreadTold, Told, ToldStack};
use crate::core::facts::{FoundBy, Frame};
use bytecode::Opcodes;
use code::Code;

use function::{Function, Functions};
use heap::{Heap, Object, small};
use layout::{Layout, Unknown};
use place::Line;

/// Reads the JavaScript frames of a process that runs Node.
pub fn read(subject: &Subject) -> Told {
    let library = |path: &str| path.rsplit('/').next().is_some_and(|name| name.starts_with("libnode.so"));
    let mapped = subject.maps.all().iter().map(|mapping| mapping.path.as_str()).find(|path| library(path));
    let file = mapped.unwrap_or(subject.executable);
    let image = Image::of_file(file, subject.maps, subject.memory);
    let version = image.as_ref().and_then(|image| node_version(subject, image));
    let layout = image.as_ref().map_or(Err(Unknown::NoConstants), Layout::of);
    let told = Told { version, ..Told::default() };
    match layout {
        Ok(layout) => {
            let heap = Heap { memory: subject.memory, layout: &layout };
            let opcodes = Opcodes::of(layout.version);
            let reader = Reader { subject, heap, opcodes, functions: Functions::default() };
            reader.all(told)
        }
        // What was not looked for is not missed.
        Err(_)
            if !subject.stacks.iter().any(|thread| (0..thread.frames.len()).any(|at| is_code(&thread.frames, at))) =>
        {
            told
        }
        Err(unknown) => Told { error: Some(explain(unknown, file)), ..told },
    }
}

fn explain(unknown: Unknown, file: &str) -> String {
    let why = match unknown {
        Unknown::NoConstants => format!("{file} exports none of V8's constants for debuggers"),
        Unknown::Compressed => "its pointers are compressed, as Node's own builds do not have them".to_owned(),
        Unknown::Other => format!("V8's constants for debuggers in {file} are not those of V8 10 to 14"),
    };
    format!("JavaScript frames are not read: {why}")
}

/// `process.version` without its `v`: the first text of the record that Node keeps of versions.
fn node_version(subject: &Subject, image: &Image) -> Option<String> {
    let record = image.exported("_ZN4node11per_process8metadataE")?;
    let memory = subject.memory;
    let (text, length) = (memory.word(record)?, memory.word(record.checked_add(8)?)?);
    let mut bytes = vec![0u8; usize::try_from(length).ok().filter(|length| (5..64).contains(length))?];
    let version = memory.fill(text, &mut bytes).then(|| String::from_utf8(bytes).ok())??;
    version.starts_with(|first: char| first.is_ascii_digit()).then_some(version)
}

/// Whether the frame at `at` may be one of V8's: its code has no call frame information, so its caller was not found by it.
fn is_code(frames: &[RawFrame], at: usize) -> bool {
    frames.get(at + 1).is_none_or(|caller| caller.found != FoundBy::Cfi) && !frames[at].signal
}

struct Reader<'a> {
    subject: &'a Subject<'a>,
    heap: Heap<'a>,
    opcodes: Option<Opcodes>,
    functions: Functions,
}

/// A function on the stack, and where it stands.
struct Standing {
    function: Rc<Function>,
    line: Option<Line>,
}

impl Reader<'_> {
    fn all(&self, mut told: Told) -> Told {
        for (thread, stack) in self.subject.threads.iter().zip(self.subject.stacks) {
            if Instant::now() >= self.subject.deadline {
                told.error = Some("the time for the dump was up before all JavaScript frames were read".into());
                break;
            }
            let named = self.thread(&stack.frames);
            if !named.is_empty() {
                told.threads.push(ThreadTold {
                    tid: thread.tid,
                    stack: ToldStack::Named(named),
                    ..ThreadTold::default()
                });
            }
        }
        told
    }

    /// The frames of one thread that are JavaScript's, by their index.
    fn thread(&self, frames: &[RawFrame]) -> BTreeMap<usize, Vec<Frame>> {
        let mut named = BTreeMap::new();
        for (index, raw) in frames.iter().enumerate().filter(|(index, _)| is_code(frames, *index)) {
            if Instant::now() >= self.subject.deadline {
                break;
            }
            let standing = self.frame(frames, index).unwrap_or_default();
            if let Some(last) = standing.len().checked_sub(1) {
                let frames = standing.iter().enumerate();
                named.insert(index, frames.map(|(at, standing)| told(standing, raw, at < last)).collect());
            }
        }
        named
    }

    /// The functions that a frame stands for, innermost first.
    fn frame(&self, frames: &[RawFrame], index: usize) -> Option<Vec<Standing>> {
        let raw = frames.get(index)?;
        let found_by_chain = || frames.get(index + 1)?.stack_pointer.checked_sub(16);
        let pointer = raw.frame_pointer.or_else(found_by_chain)?;
        let word = |offset: i64| self.subject.memory.word(pointer.checked_add_signed(offset)?);
        let layout = self.heap.layout;
        // Frames that are no function's have a small number in place of the context.
        let context = self.heap.object(word(layout.frame_context)?)?;
        if !layout.types.contexts.contains(&self.heap.kind(context)?) {
            return None;
        }
        let function = self.heap.object(word(layout.frame_function)?)?;
        let shared = self.heap.field_of(function, layout.function_shared, layout.types.shared)?;
        let function = self.functions.get(self.heap, shared)?;
        let array = word(layout.frame_bytecode).and_then(|word| self.heap.object(word));
        let array = array.filter(|array| self.heap.kind(*array) == Some(layout.types.bytecodes));
        let (code, address) = self.code(raw, index == 0).unzip();
        let (code, address) = (code, address.unwrap_or(raw.address));
        let (offset, near) = match code {
            Some(code) if code.kind > layout.baseline => return self.optimised(&code, address, index == 0, function),
            Some(code) if code.kind == layout.baseline => {
                let offsets = || bytecode::offsets(&place::bytes(self.heap, array?)?, self.opcodes.as_ref()?);
                // A running thread is in what a call would return to the end of.
                let after = address.saturating_add(u64::from(index == 0 && address == raw.address));
                (offsets().and_then(|offsets| code.bytecode_offset(self.heap, after, &offsets)), false)
            }
            // The interpreter notes where it is when it calls; a thread that runs may be further on.
            _ => (word(layout.frame_offset).and_then(|word| self.interpreted(word)), index == 0),
        };
        let mut line = place::line(self.heap, &function, array, offset);
        if let Some(line) = line.as_mut().filter(|_| near && !function.is_on_one_line()) {
            line.near = true;
        }
        Some(vec![Standing { function, line }])
    }

    /// The code of a frame, and where in it the frame stands. A running thread may be in a built-in function that has no
    /// frame of its own: then the code is what called that.
    fn code(&self, raw: &RawFrame, innermost: bool) -> Option<(Code, u64)> {
        let at = |address: u64| Some((Code::at(self.heap, self.subject.maps, address)?, address));
        at(raw.address).or_else(|| at(self.subject.memory.word(raw.stack_pointer).filter(|_| innermost)?))
    }

    /// The offset of the interpreter: from the start of the array, header included.
    fn interpreted(&self, word: u64) -> Option<u32> {
        let offset = u64::try_from(small(word)?).ok()?;
        u32::try_from(offset.checked_add(1)?.checked_sub(self.heap.layout.bytecodes)?).ok()
    }

    /// The functions that optimised code stands for, innermost first; `outer` is the one it was made for.
    fn optimised(&self, code: &Code, address: u64, innermost: bool, outer: Rc<Function>) -> Option<Vec<Standing>> {
        let get = |shared: Object| self.functions.get(self.heap, shared);
        if let Some(functions) = deopt::functions(self.heap, code, address) {
            // Built-in functions among them have no script.
            let standing = |(shared, offset): (Object, i64)| {
                let function = get(shared)?;
                let offset = u32::try_from(offset.max(0)).ok();
                let line = place::line(self.heap, &function, self.bytecodes(shared), offset);
                Some(Standing { function, line })
            };
            return Some(functions.into_iter().filter_map(standing).collect());
        }
        let within = deopt::functions_within(self.heap, code, address).filter(|_| innermost).unwrap_or_default();
        let standing = |(shared, position): (Option<Object>, u32)| {
            let function = shared.map_or(Some(Rc::clone(&outer)), get)?;
            let mut line = place::at_position(&function, Some(position));
            if let Some(line) = line.as_mut().filter(|_| !function.is_on_one_line()) {
                line.near = true;
            }
            Some(Standing { function, line })
        };
        let mut all: Vec<Standing> = within.into_iter().filter_map(standing).collect();
        if all.is_empty() {
            all.push(Standing { line: place::at_position(&outer, None), function: outer });
        }
        Some(all)
    }

    /// The bytecode array of a function: its data, or what baseline code or the interpreter's data point to.
    fn bytecodes(&self, shared: Object) -> Option<Object> {
        let types = &self.heap.layout.types;
        let mut data = self.heap.field(shared, 8)?;
        for _ in 0..3 {
            data = match self.heap.kind(data)? {
                kind if kind == types.bytecodes => return Some(data),
                kind if kind == types.code => self.heap.field(data, self.heap.layout.code.data)?,
                kind if kind == types.interpreter_data => self.heap.field(data, 8)?,
                _ => return None,
            };
        }
        None
    }
}

fn told(standing: &Standing, raw: &RawFrame, inlined: bool) -> Frame {
    Frame {
        function: Some(standing.function.name.clone().unwrap_or_else(|| "<anonymous>".into())),
        file: standing.function.script.file(),
        line: standing.line.map(|line| line.number),
        near: standing.line.is_some_and(|line| line.near),
        address: raw.address,
        language: Some("javascript".into()),
        inlined,
        found: FoundBy::Runtime,
        ..Frame::default()
    }
}
