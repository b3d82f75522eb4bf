//! The frames of one thread, and the code they run.
//!
//! A thread that runs changes its frames while they are read. They are read twice: of a thread that is blocked both are the
//! same, and of one that is on a CPU, but in one call all the while, some more are. One that changes its frames is held while
//! they are copied. Where that is not possible they are read again and again, those that agree most are taken, and the ones
//! that did not agree are a guess: they may be of two moments. Each code object must be one, each place lie within it, and
//! each frame be alive.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::super::Run;
use super::copy::Copy;
use super::heap::{Heap, half, word};
use super::layout::Layout;
use super::lines::{self, Kind};
use crate::core::facts::{FoundBy, Frame};

/// Frames of one thread or task at most.
pub const FRAMES: usize = 1000;
/// How often the frames of a thread that runs are read.
const TRIES: usize = 40;
/// How many looks in a row must be the same where the thread is on a CPU: what does the same again and again may show the
/// same mixture of two moments twice.
const SAME: usize = 5;
/// After how many looks at a thread that keeps changing it is to be held.
const LOOKS: usize = 3;
/// How often it is held. One that is just leaving a generator may show half of its stack.
const HOLDS: usize = 4;
/// The largest table of lines that is read, in bytes.
const TABLE: u64 = 4 << 20;
/// Owner of a frame that stands for a call from C, in 3.12 and 3.13; since 3.14 what is not less.
const OWNER_C: u8 = 3;
/// Owner of a frame that is a generator's.
const OWNER_GENERATOR: u8 = 1;

/// A function, as its code object has it.
#[derive(Debug, Clone, Default)]
pub struct Code {
    function: String,
    file: String,
    first_line: i32,
    lines: Vec<u8>,
    /// Where its instructions are, and how many bytes they are; before 3.11 only how many.
    pub start: u64,
    length: u64,
    first_traceable: u64,
}

/// One frame as it was read.
#[derive(Debug, Clone)]
struct Link {
    address: u64,
    code_address: u64,
    code: Rc<Code>,
    /// The place in the code, in bytes; negative before the first instruction.
    offset: i64,
    /// Whether it is the outermost one of those that one call of the interpreter's loop runs.
    ends_run: bool,
    /// Whether it is that of a generator or coroutine.
    generator: bool,
    /// What that call has on the stack of the machine, where it is known.
    entry: Option<u64>,
}

/// One step up a stack: nothing more, a frame that only marks a call from C, or a frame.
enum Step {
    Mark { previous: u64 },
    Incomplete { previous: u64 },
    Frame { link: Link, previous: u64 },
}

/// A stack of a thread at one moment.
#[derive(Clone, Default)]
struct Chain {
    links: Vec<Link>,
    /// Whether it came to its end without a contradiction.
    whole: bool,
}

impl Chain {
    /// The outermost frame: for as long as a thread lives, the same.
    fn outermost(&self) -> Option<(u64, u64)> {
        self.links.last().map(Link::activation)
    }

    /// How many frames, from the innermost one on, the other does not have just the same: they were read while the thread
    /// ran, and need not have been there together.
    fn unsure(&self, other: &Chain) -> usize {
        let same = |(one, other): &(&Link, &Link)| (one.activation(), one.offset) == (other.activation(), other.offset);
        self.links.len() - self.links.iter().rev().zip(other.links.iter().rev()).take_while(same).count()
    }
}

impl Link {
    fn activation(&self) -> (u64, u64) {
        (self.address, self.code_address)
    }
}

/// The best of several looks at a thread, with its number of unsure frames. One that has another outermost frame than
/// most was cut off: a frame that is just being left no longer knows its caller.
fn best(chains: &[Chain]) -> Option<(&Chain, usize)> {
    let like =
        |chain: &Chain| chains.iter().filter(|other| other.whole && other.outermost() == chain.outermost()).count();
    let whole = chains.iter().filter(|chain| chain.whole);
    let Some(usual) = whole.max_by_key(|chain| (like(chain), chain.links.len())) else {
        return chains.iter().max_by_key(|chain| chain.links.len()).map(|chain| (chain, usize::MAX));
    };
    let fits = |chain: &Chain| chain.whole && chain.outermost() == usual.outermost();
    let pairs = chains.windows(2).filter(|pair| pair.iter().all(fits)).map(|pair| (&pair[1], pair[1].unsure(&pair[0])));
    pairs.min_by_key(|(_, unsure)| *unsure).or(Some((usual, usize::MAX)))
}

/// What came of holding a thread.
pub enum Held {
    /// Its frames, as they were while it was held.
    Copied(Copy),
    /// It is blocked, or about to be: nothing that needs to be held, or may be.
    Blocked,
    /// It could not be held.
    Denied,
}

/// What can be done about the thread whose frames are read.
pub struct Reach<'a> {
    /// Whether it is on a CPU now, or that is not told.
    pub runs: &'a dyn Fn() -> bool,
    /// Holds it and copies its frames.
    pub hold: &'a dyn Fn() -> Held,
}

/// Gives the absolute path of a relative one, if there is such a file.
type Resolve<'a> = Box<dyn Fn(&str) -> Option<String> + 'a>;

/// Reads frames.
pub struct Frames<'a> {
    heap: &'a Heap,
    codes: RefCell<HashMap<u64, Rc<Code>>>,
    resolve: Resolve<'a>,
}

impl<'a> Frames<'a> {
    /// Frames of this interpreter; `resolve` gives the absolute path of a relative one, if there is such a file.
    pub fn new(heap: &'a Heap, resolve: impl Fn(&str) -> Option<String> + 'a) -> Frames<'a> {
        Frames { heap, codes: RefCell::default(), resolve: Box::new(resolve) }
    }

    fn layout(&self) -> &Layout {
        &self.heap.layout
    }

    /// The stack of the thread at `thread`, in the pieces that each call of the interpreter's loop runs, innermost first.
    pub fn of_thread(&self, thread: u64, reach: &Reach) -> Vec<Run> {
        let mut chains = vec![self.chain(thread, &Chain::default())];
        let (mut holds, mut same) = (HOLDS, 1);
        let (chain, unsure) = loop {
            let Some(before) = chains.last().filter(|_| chains.len() <= TRIES && !self.heap.is_late()) else {
                break best(&chains).map(|(best, unsure)| (best.clone(), unsure)).unwrap_or_default();
            };
            let again = self.chain(thread, before);
            let is_same = again.whole && again.unsure(before) == 0 && again.links.len() == before.links.len();
            same = if is_same { same + 1 } else { 1 };
            // A thread that is blocked looks the same twice.
            if is_same && (same >= SAME || !(reach.runs)()) {
                break (again, 0);
            }
            chains.push(again);
            if chains.len() < LOOKS || is_same || holds == 0 {
                continue;
            }
            match (reach.hold)() {
                Held::Copied(copy) => {
                    holds -= 1;
                    let held = self.chain_in(&copy);
                    if held.whole {
                        break (held, 0);
                    }
                }
                Held::Blocked => {}
                Held::Denied => holds = 0,
            }
        };
        self.runs(&chain.links, unsure)
    }

    /// Frames in pieces, of which the first `unsure` ones need not have been there together.
    fn runs(&self, links: &[Link], unsure: usize) -> Vec<Run> {
        let mut runs = vec![Run::default()];
        for (index, link) in links.iter().enumerate() {
            let Some(run) = runs.last_mut() else { break };
            let frame = self.frame(&link.code, link.offset);
            let found = if index < unsure { FoundBy::Guess } else { frame.found };
            run.frames.push(Frame { found, ..frame });
            if link.ends_run {
                run.stack = link.entry;
                runs.push(Run::default());
            }
        }
        runs.retain(|run| !run.frames.is_empty());
        runs
    }

    /// Follows the frames of a thread; `likely` are those of a moment ago.
    fn chain(&self, thread: u64, likely: &Chain) -> Chain {
        let likely: Vec<u64> = likely.links.iter().map(|link| link.address).collect();
        Copy::of(self.heap, thread, &likely).map(|memory| self.chain_in(&memory)).unwrap_or_default()
    }

    /// Follows the frames in a copy.
    fn chain_in(&self, memory: &Copy) -> Chain {
        let mut chain = Chain::default();
        let layout = *self.layout();
        let mut at = memory.innermost;
        let mut seen = HashSet::new();
        while at != 0 && chain.links.len() < FRAMES {
            let bytes = memory.read(self.heap, at, layout.frame.size);
            let Some(step) = bytes.and_then(|bytes| self.step(at, &bytes)) else { return chain };
            if !seen.insert(at) {
                return chain;
            }
            at = match step {
                Step::Mark { previous } => {
                    if let Some(last) = chain.links.last_mut().filter(|last| !last.ends_run) {
                        (last.ends_run, last.entry) = (true, Some(at));
                    }
                    previous
                }
                Step::Incomplete { previous } => previous,
                Step::Frame { link, previous } => {
                    chain.links.push(link);
                    previous
                }
            };
        }
        // A generator that is just being left no longer knows who has called it.
        chain.whole = chain.links.last().is_none_or(|outermost| !outermost.generator || outermost.entry.is_some());
        chain
    }

    /// What the frame at `address` is, whose first bytes these are.
    fn step(&self, address: u64, bytes: &[u8]) -> Option<Step> {
        let layout = self.layout();
        let (frame, minor) = (layout.frame, layout.minor);
        let previous = word(bytes, frame.previous)?;
        // Before 3.11 a frame is an object. One that has ended is kept for the next call, and leads to others of that kind.
        if !layout.has_plain_frames() && word(bytes, 0)? == 0 {
            return None;
        }
        // Before 3.11 a frame has a pointer to its generator, right before its place in the code.
        let owner = match layout.has_plain_frames() {
            true => *bytes.get(frame.owner as usize)?,
            false => u8::from(word(bytes, frame.instruction - 8)? != 0) * OWNER_GENERATOR,
        };
        if minor >= 12 && owner >= OWNER_C {
            return Some(Step::Mark { previous });
        }
        // Since 3.14 a reference has marks in its lowest bits.
        let code_address = word(bytes, frame.code)? & !7;
        let code = self.code(code_address)?;
        let offset = self.offset(&code, bytes)?;
        if layout.has_plain_frames() && owner != OWNER_GENERATOR && offset < code.first_traceable.cast_signed() {
            return Some(Step::Incomplete { previous });
        }
        let ends_run = match minor {
            ..=10 => true,
            11 => *bytes.get(frame.owner as usize - 1)? != 0,
            _ => false,
        };
        Some(Step::Frame {
            link: Link {
                address,
                code_address,
                code,
                offset,
                generator: owner == OWNER_GENERATOR,
                ends_run,
                entry: None,
            },
            previous,
        })
    }

    /// The place of a frame in its code, in bytes, if it is one.
    fn offset(&self, code: &Code, bytes: &[u8]) -> Option<i64> {
        let layout = self.layout();
        let at = layout.frame.instruction;
        let offset = match layout.minor {
            ..=9 => i64::from(half(bytes, at)?),
            10 => i64::from(half(bytes, at)?) * 2,
            _ => word(bytes, at)?.wrapping_sub(code.start).cast_signed(),
        };
        (offset >= -2 && offset < code.length.cast_signed() && offset % 2 == 0 || offset == -1).then_some(offset)
    }

    /// The code object at `address`, if there is one.
    pub fn code(&self, address: u64) -> Option<Rc<Code>> {
        if let Some(known) = self.codes.borrow().get(&address) {
            return Some(Rc::clone(known));
        }
        let code = Rc::new(self.read_code(address)?);
        self.codes.borrow_mut().insert(address, Rc::clone(&code));
        Some(code)
    }

    fn read_code(&self, address: u64) -> Option<Code> {
        let (heap, at) = (self.heap, self.layout().code);
        let bytes = heap.now(address, at.start.max(at.lines) + 8)?;
        if heap.type_at(word(&bytes, 8)?)?.name != "code" {
            return None;
        }
        let lines = heap.bytes(word(&bytes, at.lines)?, TABLE)?;
        let (start, length) = match self.layout().has_plain_frames() {
            true => (address.checked_add(at.start)?, word(&bytes, 16)?.checked_mul(2)?),
            false => {
                let instructions = word(&bytes, at.start)?;
                (instructions.checked_add(32)?, heap.field(instructions, 16)?)
            }
        };
        let first_traceable = match self.layout().has_plain_frames() {
            true => u64::try_from(half(&bytes, at.first_traceable)?).ok()? * 2,
            false => 0,
        };
        Some(Code {
            function: heap.text(word(&bytes, at.name)?)?,
            file: heap.text(word(&bytes, at.file)?)?,
            first_line: half(&bytes, at.first_line)?,
            lines,
            start,
            length: length.min(i64::MAX as u64),
            first_traceable,
        })
    }

    /// The frame at this place of the code.
    pub fn frame(&self, code: &Code, offset: i64) -> Frame {
        let kind = match self.layout().minor {
            ..=9 => Kind::Steps,
            10 => Kind::Ranges,
            _ => Kind::Locations,
        };
        let line = match u64::try_from(offset) {
            Ok(offset) => lines::line(kind, &code.lines, code.first_line, offset),
            // Not begun yet.
            Err(_) => u32::try_from(code.first_line).ok(),
        };
        let relative = !code.file.starts_with(['/', '<']);
        let absolute = relative.then(|| (self.resolve)(&code.file)).flatten();
        Frame {
            function: Some(code.function.clone()),
            file: Some(absolute.unwrap_or_else(|| code.file.clone())).filter(|file| !file.is_empty()),
            line,
            language: Some("python".to_owned()),
            found: FoundBy::Runtime,
            ..Frame::default()
        }
    }

    /// The code of the frame at `address` and its place there, if it is a frame.
    pub fn place(&self, address: u64) -> Option<(Rc<Code>, i64)> {
        let bytes = self.heap.now(address, self.layout().frame.size)?;
        match self.step(address, &bytes)? {
            Step::Frame { link, .. } => Some((link.code, link.offset)),
            Step::Mark { .. } | Step::Incomplete { .. } => None,
        }
    }
}
