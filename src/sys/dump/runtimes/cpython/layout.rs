//! Where the structures of each version of CPython keep what is read from them.
//!
//! Since 3.13 the interpreter tells the most important offsets itself, in `_Py_DebugOffsets` at the start of
//! `_PyRuntime`. What it does not tell, and all of 3.8 to 3.12, stands in the tables below: printed by `offsetof` from the
//! headers of each version (`Include/`, `Include/internal/`). It has not changed within a minor version.

/// Where things are; offsets in bytes from the start of their structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The minor version: 11 for 3.11.
    pub minor: u8,
    /// Of `_PyRuntimeState`: its first interpreter.
    pub interpreters: u64,
    /// Of `PyInterpreterState`.
    pub interpreter: Interpreter,
    /// Where the lock of the interpreter is.
    pub gil: Gil,
    /// Of `PyThreadState`.
    pub thread: Thread,
    /// Of `_PyInterpreterFrame`, or `PyFrameObject` before 3.11.
    pub frame: Frame,
    /// Of `PyCodeObject`.
    pub code: Code,
    /// Of `PyGenObject`, which coroutines and asynchronous generators share.
    pub generator: Generator,
    /// Size of `PyASCIIObject`; `PyCompactUnicodeObject` is larger by `compact`.
    pub ascii: u64,
    /// By how much.
    pub compact: u64,
    /// Of `PyHeapTypeObject`: the keys its instances share.
    pub cached_keys: u64,
    /// Of asyncio's `TaskObj`: the future it waits on; its coroutine and its name follow.
    pub waiter: u64,
    /// Where each thread and interpreter keep the list of their tasks, since 3.14.
    pub task_lists: Option<TaskLists>,
}

/// Of `PyInterpreterState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interpreter {
    /// The next one.
    pub next: u64,
    /// Its first thread.
    pub threads: u64,
    /// `sys.modules`.
    pub modules: u64,
    /// The dictionary of `sys`.
    pub sys: u64,
}

/// Where the lock is that all threads of an interpreter share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gil {
    /// Within `_PyRuntimeState`.
    InRuntime(u64),
    /// A pointer to it within `PyInterpreterState`.
    Pointer(u64),
}

/// Of `PyThreadState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// The next one.
    pub next: u64,
    /// The innermost frame, or what leads to it.
    pub frame: u64,
    /// Where the innermost frame is in what `frame` points to (`_PyCFrame`), in 3.11 and 3.12.
    pub through: Option<u64>,
    /// `pthread_t`.
    pub ident: u64,
    /// The tid, since 3.11.
    pub native: Option<u64>,
}

/// Of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// How much of it is read.
    pub size: u64,
    /// The caller.
    pub previous: u64,
    /// The code object.
    pub code: u64,
    /// Where in the code it is.
    pub instruction: u64,
    /// Who owns it, since 3.11; 3.11 has the mark of an entry into the interpreter before it.
    pub owner: u64,
    /// Its first local variable, which the evaluation stack follows.
    pub locals: u64,
    /// The top of the evaluation stack.
    pub top: u64,
}

/// Of `PyCodeObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The file's name.
    pub file: u64,
    /// The function's name; since 3.11 with its classes.
    pub name: u64,
    /// The table of lines.
    pub lines: u64,
    /// The first line.
    pub first_line: u64,
    /// Since 3.11 the instructions themselves, before that a `bytes` object.
    pub start: u64,
    /// The first instruction at which a frame is complete, since 3.11.
    pub first_traceable: u64,
}

/// Of `PyGenObject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generator {
    /// Since 3.11 the frame itself, before that a pointer to it.
    pub frame: u64,
    /// Its state since 3.11; before, it stands in the frame.
    pub state: u64,
}

/// Where the lists of tasks start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskLists {
    /// In `_PyThreadStateImpl`.
    pub thread: u64,
    /// In `PyInterpreterState`: tasks of threads that have ended.
    pub interpreter: u64,
    /// In `TaskObj`: the node by which it is in the list.
    pub node: u64,
}

/// Fields of `_gil_runtime_state`, the same in all versions: who held it last, whether it is held, and what its waiters
/// wait on.
pub const GIL_HOLDER: u64 = 8;
/// Whether it is held: an `int`.
pub const GIL_LOCKED: u64 = 16;
/// From the condition to the end.
pub const GIL_WAIT: std::ops::Range<u64> = 32..208;

const V3_8: Layout = Layout {
    minor: 8,
    interpreters: 32,
    interpreter: Interpreter { next: 0, threads: 8, modules: 56, sys: 72 },
    gil: Gil::InRuntime(1152),
    thread: Thread { next: 8, frame: 24, through: None, ident: 176, native: None },
    frame: Frame { size: 120, previous: 24, code: 32, instruction: 104, owner: 116, locals: 64, top: 72 },
    code: Code { file: 104, name: 112, lines: 120, first_line: 40, start: 48, first_traceable: 0 },
    generator: Generator { frame: 16, state: 0 },
    ascii: 48,
    compact: 24,
    cached_keys: 872,
    waiter: 104,
    task_lists: None,
};

const V3_9: Layout = Layout {
    minor: 9,
    interpreter: Interpreter { next: 0, threads: 8, modules: 856, sys: 872 },
    gil: Gil::InRuntime(352),
    cached_keys: 864,
    waiter: 144,
    ..V3_8
};

const V3_10: Layout = Layout {
    minor: 10,
    frame: Frame { size: 112, previous: 24, code: 32, instruction: 96, owner: 108, locals: 64, top: 80 },
    cached_keys: 872,
    waiter: 152,
    ..V3_9
};

const V3_11: Layout = Layout {
    minor: 11,
    interpreters: 40,
    interpreter: Interpreter { next: 0, threads: 16, modules: 888, sys: 904 },
    gil: Gil::InRuntime(360),
    thread: Thread { next: 8, frame: 56, through: Some(8), ident: 152, native: Some(160) },
    frame: Frame { size: 72, previous: 48, code: 32, instruction: 56, owner: 69, locals: 72, top: 64 },
    code: Code { file: 112, name: 128, lines: 136, first_line: 72, start: 184, first_traceable: 168 },
    generator: Generator { frame: 80, state: 75 },
    waiter: 128,
    ..V3_10
};

const V3_12: Layout = Layout {
    minor: 12,
    interpreter: Interpreter { next: 0, threads: 72, modules: 944, sys: 352 },
    gil: Gil::Pointer(384),
    thread: Thread { next: 8, frame: 56, through: Some(0), ident: 136, native: Some(144) },
    frame: Frame { size: 72, previous: 8, code: 0, instruction: 56, owner: 70, locals: 72, top: 64 },
    code: Code { file: 112, name: 128, lines: 136, first_line: 68, start: 192, first_traceable: 176 },
    generator: Generator { frame: 72, state: 67 },
    ascii: 40,
    compact: 16,
    cached_keys: 880,
    ..V3_11
};

const V3_13: Layout = Layout {
    minor: 13,
    interpreters: 632,
    interpreter: Interpreter { next: 7264, threads: 7344, modules: 7656, sys: 7640 },
    gil: Gil::Pointer(16),
    thread: Thread { next: 8, frame: 72, through: None, ident: 152, native: Some(160) },
    code: Code { file: 112, name: 128, lines: 136, first_line: 68, start: 200, first_traceable: 184 },
    waiter: 112,
    ..V3_12
};

const V3_14: Layout = Layout {
    minor: 14,
    interpreters: 808,
    interpreter: Interpreter { next: 7272, threads: 7344, modules: 7688, sys: 7672 },
    frame: Frame { size: 80, previous: 8, code: 0, instruction: 56, owner: 74, locals: 80, top: 64 },
    code: Code { file: 112, name: 128, lines: 136, first_line: 68, start: 208, first_traceable: 192 },
    waiter: 120,
    task_lists: Some(TaskLists { thread: 880, interpreter: 10_880, node: 144 }),
    ..V3_13
};

const V3_15: Layout = Layout {
    minor: 15,
    interpreters: 936,
    interpreter: Interpreter { next: 7264, threads: 7336, modules: 7592, sys: 7576 },
    thread: Thread { next: 8, frame: 72, through: None, ident: 176, native: Some(184) },
    cached_keys: 888,
    task_lists: Some(TaskLists { thread: 1048, interpreter: 10_856, node: 144 }),
    ..V3_14
};

/// All that are known, the newest first.
pub const ALL: [&Layout; 8] = [&V3_15, &V3_14, &V3_13, &V3_12, &V3_11, &V3_10, &V3_9, &V3_8];

/// The layout of a minor version.
pub fn of(minor: u8) -> Option<Layout> {
    ALL.into_iter().find(|layout| layout.minor == minor).copied()
}

/// What stands at the start of `_Py_DebugOffsets`.
const COOKIE: &[u8; 8] = b"xdebugpy";
/// How much of `_Py_DebugOffsets` is read, in words: all of it up to the last one that is used.
pub const DEBUG_WORDS: usize = 112;

/// What an interpreter tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tells {
    /// Its version, as `PY_VERSION_HEX` has it.
    pub version: u32,
    /// Whether it is a build without the lock.
    pub free_threaded: bool,
    /// Its layout, if its version is known.
    pub layout: Option<Layout>,
}

/// Reads `_Py_DebugOffsets`, which all versions since 3.13 begin with; `None` when this is none.
pub fn told(words: &[u64; DEBUG_WORDS]) -> Option<Tells> {
    if words[0].to_le_bytes() != *COOKIE {
        return None;
    }
    let version = u32::try_from(words[1]).ok()?;
    let layout = (version >> 24 == 3).then(|| of((version >> 16) as u8)).flatten();
    // The structure has grown in the middle: where its parts begin, for each version.
    let parts = layout.and_then(|layout| match layout.minor {
        13 => Some(Parts { interpreter: 7, thread: 20, frame: 29, code: 35, generator: None, stack: None }),
        14 => Some(Parts { interpreter: 7, thread: 23, frame: 32, code: 40, generator: Some(85), stack: Some(37) }),
        15 => Some(Parts { interpreter: 7, thread: 23, frame: 40, code: 48, generator: Some(101), stack: Some(45) }),
        _ => None,
    });
    let layout = layout.zip(parts).map(|(layout, parts)| parts.over(layout, words)).filter(Layout::is_sound);
    Some(Tells { version, free_threaded: words[2] != 0, layout })
}

/// Where the parts of `_Py_DebugOffsets` begin, in words.
struct Parts {
    interpreter: usize,
    thread: usize,
    frame: usize,
    code: usize,
    generator: Option<usize>,
    stack: Option<usize>,
}

impl Parts {
    /// What is known, with what is told over it.
    fn over(&self, known: Layout, words: &[u64; DEBUG_WORDS]) -> Layout {
        let word = |at: usize| words.get(at).copied().unwrap_or(u64::MAX);
        let (late, newest) = (known.minor >= 14, known.minor >= 15);
        let modules = self.interpreter + if late { 5 } else { 4 };
        let frame = self.thread + 3;
        let ident = frame + if newest { 4 } else { 1 };
        let interpreter = Interpreter {
            next: word(self.interpreter + 1),
            threads: word(self.interpreter + 2),
            modules: word(modules),
            sys: word(modules + 1),
        };
        Layout {
            interpreters: word(5),
            interpreter,
            gil: Gil::Pointer(word(modules + 3)),
            thread: Thread {
                next: word(self.thread + 1),
                frame: word(frame),
                through: None,
                ident: word(ident),
                native: Some(word(ident + 1)),
            },
            frame: Frame {
                size: word(self.frame + 3),
                previous: word(self.frame),
                code: word(self.frame + 1),
                instruction: word(self.frame + 2),
                locals: word(self.frame + 3),
                owner: word(self.frame + 4),
                top: self.stack.map_or(known.frame.top, word),
            },
            code: Code {
                file: word(self.code),
                name: word(self.code + 2),
                lines: word(self.code + 3),
                first_line: word(self.code + 4),
                start: word(self.code + 8),
                first_traceable: known.code.first_traceable,
            },
            generator: match self.generator {
                Some(at) => Generator { frame: word(at), state: word(at + 1) },
                None => known.generator,
            },
            ..known
        }
    }
}

impl Layout {
    /// Whether all offsets are such as structures have: what another process tells is not believed blindly.
    fn is_sound(&self) -> bool {
        let small = [
            self.frame.size,
            self.frame.previous,
            self.frame.code,
            self.frame.instruction,
            self.frame.owner,
            self.frame.top,
            self.code.file,
            self.code.name,
            self.code.lines,
            self.code.first_line,
            self.code.start,
            self.generator.frame,
            self.generator.state,
        ];
        let large = [
            self.interpreters,
            self.interpreter.next,
            self.interpreter.threads,
            self.interpreter.modules,
            self.interpreter.sys,
            self.thread.next,
            self.thread.frame,
            self.thread.ident,
            self.thread.native.unwrap_or(0),
        ];
        small.iter().all(|offset| *offset < 1 << 10) && large.iter().all(|offset| *offset < 1 << 24)
    }

    /// Since 3.11 frames are no objects, and lie in memory of the thread.
    pub fn has_plain_frames(&self) -> bool {
        self.minor >= 11
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_begins_with_the_cookie_tells_and_nonsense_is_not_believed() {
        let mut words = [0; DEBUG_WORDS];
        assert_eq!(told(&words), None);
        words[0] = u64::from_le_bytes(*COOKIE);
        words[1] = 0x030e_0af0;
        let tells = told(&words).unwrap();
        assert_eq!((tells.version, tells.free_threaded), (0x030e_0af0, false));
        assert!(tells.layout.is_some_and(|layout| layout.minor == 14 && layout.frame.top == 0));
        words[33] = u64::MAX;
        assert_eq!(told(&words).unwrap().layout, None);
        words[1] = 0x0363_00f0;
        assert_eq!(told(&words).unwrap().layout, None);
    }

    #[test]
    fn each_version_is_there_once() {
        assert!(ALL.windows(2).all(|pair| pair[0].minor == pair[1].minor + 1));
        assert!(ALL.into_iter().all(Layout::is_sound));
        assert_eq!(of(7), None);
    }
}
