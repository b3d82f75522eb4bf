//! Walks a stack of Go code by the tables of its functions (`type unwinder` in `runtime/traceback.go`).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};

use super::bytes::Bytes;
use super::functions::{Function, Functions};

/// Frames kept of one stack: the innermost, and the outermost.
const INNERMOST: usize = 128;
const OUTERMOST: usize = 64;
/// Frames walked over, at most.
const FRAMES: usize = 1 << 16;

/// Where a walk starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The program counter.
    pub pc: u64,
    /// The stack pointer.
    pub sp: u64,
    /// Whether the program counter is that of the next instruction, not where a call returns to.
    pub interrupted: bool,
    /// Whether it was noted on entry to a system call.
    pub in_call: bool,
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// The program counter.
    pub pc: u64,
    /// Where its name is to be looked up: within the call.
    pub lookup: u64,
}

/// A stack that was walked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Walk {
    /// The innermost frames, innermost first.
    pub inner: Vec<Step>,
    /// How many were left out between these and the outermost.
    pub left_out: usize,
    /// The outermost frames, if there are more.
    pub outer: Vec<Step>,
    /// Whether it came to the stack of the goroutine that was given.
    pub entered: bool,
}

/// The goroutine on whose behalf the system's stack is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// Its stack: the lowest address, and the one behind the highest.
    pub stack: (u64, u64),
    /// Where it was left: program counter and stack pointer.
    pub left: (u64, u64),
    /// Where it entered a system call or C code, if it did: program counter and stack pointer.
    pub call: Option<(u64, u64)>,
}

/// A copy of a part of the stack: its first address and its bytes.
pub type Copied<'a> = (u64, &'a [u8]);

/// Functions that are not like others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    /// It looks like the callee of code that did not call it.
    Injected,
    /// It runs something on the system's stack and comes back.
    SystemStack,
    /// It grows the stack and then starts the caller again.
    MoreStack,
    /// It runs C code on the system's stack.
    CallC,
    /// C code called Go.
    CalledByC,
}

/// Walks stacks.
pub struct Walker<'a> {
    functions: &'a Functions<'a>,
    memory: &'a dyn Bytes,
    kinds: RefCell<HashMap<u64, Kind>>,
}

impl<'a> Walker<'a> {
    /// A walker over the stacks of a program.
    pub fn new(functions: &'a Functions<'a>, memory: &'a dyn Bytes) -> Walker<'a> {
        Walker { functions, memory, kinds: RefCell::default() }
    }

    /// Walks from `start` up to the end or to where nothing is known. `behind` is the goroutine of a thread that may be
    /// on the system's stack.
    pub fn walk(&self, start: Start, copied: Copied, behind: Option<Behind>) -> Walk {
        let mut walk = Walk::default();
        let mut outer = VecDeque::new();
        let word = |address: u64| word_at(copied, address).or_else(|| self.memory.word(address));
        let (mut at, mut innermost) = (start, true);
        if at.pc == 0 {
            // A call of nothing: its caller is where it was left.
            at.pc = word(at.sp).unwrap_or(0);
            at.sp = at.sp.saturating_add(8);
        }
        for _ in 0..FRAMES {
            let Some(mut function) = self.functions.at(at.pc) else { break };
            let mut kind = self.kind(&function);
            let on_system_stack = |sp: u64| behind.filter(|behind| sp < behind.stack.0 || sp >= behind.stack.1);
            let switched = on_system_stack(at.sp);
            walk.entered |= behind.is_some() && switched.is_none();
            if let (Kind::MoreStack, Some(behind)) = (kind, switched) {
                (at.pc, at.sp, at.interrupted) = (behind.left.0, behind.left.1, false);
                let Some(before) = self.functions.at(at.pc) else { break };
                (kind, function) = (self.kind(&before), before);
            }
            let lookup = if !at.interrupted && at.pc > function.entry { at.pc - 1 } else { at.pc };
            keep(&mut walk, &mut outer, Step { pc: at.pc, lookup });
            if let (Kind::CallC, Some((pc, sp))) = (kind, switched.and_then(|behind| behind.call)) {
                at = Start { pc, sp, interrupted: false, in_call: true };
                innermost = true;
                continue;
            }
            let mut knows_sp = !function.writes_sp || kind == Kind::CalledByC || (innermost && at.in_call);
            if let (Kind::SystemStack, Some(behind)) = (kind, switched) {
                at.sp = behind.left.1;
                knows_sp = true;
            }
            if function.top || !knows_sp {
                break;
            }
            let Some(next) = self.caller(&function, at, &word) else { break };
            at = Start { interrupted: kind == Kind::Injected, ..next };
            innermost = false;
        }
        walk.outer = outer.into();
        walk
    }

    /// Where the caller stands.
    fn caller(&self, function: &Function, at: Start, word: &dyn Fn(u64) -> Option<u64>) -> Option<Start> {
        let distance = u64::try_from(self.functions.distance(function, at.pc)?).ok()?;
        let place = at.sp.checked_add(distance)?;
        let pc = word(place)?;
        self.functions.holds(pc).then_some(())?;
        Some(Start { pc, sp: place.checked_add(8)?, interrupted: false, in_call: false })
    }

    fn kind(&self, function: &Function) -> Kind {
        *self.kinds.borrow_mut().entry(function.entry).or_insert_with(|| {
            match self.functions.name(function).as_deref().and_then(|name| name.strip_prefix("runtime.")) {
                Some("sigpanic" | "asyncPreempt" | "debugCallV2") => Kind::Injected,
                Some("systemstack") => Kind::SystemStack,
                Some("morestack") => Kind::MoreStack,
                Some("asmcgocall") => Kind::CallC,
                Some("cgocallback") => Kind::CalledByC,
                _ => Kind::Normal,
            }
        })
    }
}

fn keep(walk: &mut Walk, outer: &mut VecDeque<Step>, step: Step) {
    if walk.inner.len() < INNERMOST {
        walk.inner.push(step);
        return;
    }
    outer.push_back(step);
    if outer.len() > OUTERMOST {
        outer.pop_front();
        walk.left_out += 1;
    }
}

fn word_at((base, bytes): Copied, address: u64) -> Option<u64> {
    let offset = usize::try_from(address.checked_sub(base)?).ok()?;
    super::bytes::word_in(bytes, offset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bytes::testing::Noise;
    use super::super::tables::{Section, Span, Tables};
    use super::*;

    #[test]
    fn of_a_deep_stack_both_ends_are_kept() {
        let (mut walk, mut outer) = (Walk::default(), VecDeque::new());
        for pc in 0..1000 {
            keep(&mut walk, &mut outer, Step { pc, lookup: pc });
        }
        assert_eq!((walk.inner.len(), outer.len(), walk.left_out), (128, 64, 808));
        assert_eq!((walk.inner[127].pc, outer[0].pc, outer[63].pc), (127, 936, 999));
    }

    proptest! {
        #[test]
        fn walks_over_noise_end(seed in any::<u64>(), old in any::<bool>(), pc in 0u64..1 << 20, sp in any::<u64>()) {
            let memory = Noise::new(seed);
            let span = |part: u64| Span { start: 0x1000_0000 + (part << 20), length: 1 << 20 };
            let tables = Tables {
                old,
                names: span(0),
                units: span(1),
                files: span(2),
                pcs: span(3),
                functions: span(4),
                index: (span(5).start, 100),
                covered: Span { start: 0, length: u64::MAX },
                text: 0,
                sections: vec![Section { offset: 0, code: span(6) }],
                function_data: [span(7).start, span(8).start],
                ..Tables::default()
            };
            let functions = Functions::new(&memory, tables);
            let walker = Walker::new(&functions, &memory);
            let start = Start { pc, sp, interrupted: false, in_call: false };
            let behind = Behind { stack: (sp, sp.saturating_add(8)), left: (pc, sp), call: Some((pc, sp)) };
            let walk = walker.walk(start, (sp, &[0; 64]), Some(behind));
            prop_assert!(walk.inner.len() + walk.outer.len() <= INNERMOST + OUTERMOST);
        }
    }
}
