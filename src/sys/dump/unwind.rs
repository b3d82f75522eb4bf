//! Walks a stack: by call frame information where there is any, else by frame pointers, else by what looks like a
//! return address. Each frame says how it was found.
//!
//! A blocked thread shows its stack pointer and program counter only. Most functions need no more, and what they
//! saved becomes known on the way up. Where a function hangs on a frame pointer that nobody saved (code compiled
//! without optimisation that calls straight into a system call's wrapper), it is worked out from the function's own
//! prologue and checked: there must be a call before the return address it leads to.

use std::collections::HashMap;
use std::rc::Rc;

use gimli::UnwindContext;

use super::cfi::{self, Failure, Row, Step};
use super::code::{self, CALL_BYTES, Call, Jump};
use super::maps::{Mapping, Maps};
use super::memory::{Memory, Stack};
use super::module::Module;
use super::registers::{FP, PC, Registers, SP};
use crate::core::facts::FoundBy;

/// Frames of one thread at most.
const FRAMES: usize = 256;
/// Frames found by guessing at most, of one thread.
const GUESSES: usize = 24;
/// Frames in a row whose return addresses no call has left, at most.
const WRITTEN_ANEW: usize = 64;
/// How far up the stack a guess looks, in bytes.
const GUESS_SPAN: u64 = 64 << 10;

/// One frame, before it has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawFrame {
    /// The program counter.
    pub address: u64,
    /// The module it is in, as an index of [`Modules`].
    pub module: Option<usize>,
    /// Where to look up its name, in the module's own terms: within the call instruction for a caller.
    pub lookup: u64,
    /// How it was found.
    pub found: FoundBy,
    /// Whether this is where a signal handler returns to.
    pub signal: bool,
    /// The stack pointer in this frame.
    pub stack_pointer: u64,
    /// The frame pointer in this frame, where it is known: what code without call frame information is read by.
    pub frame_pointer: Option<u64>,
}

/// All modules of one dump, each read once whatever number of processes maps it.
#[derive(Default)]
pub struct Modules {
    list: Vec<Module>,
    by_file: HashMap<(String, u64, String), usize>,
    rows: HashMap<(usize, u64), Option<Rc<Row>>>,
    context: UnwindContext<usize>,
}

impl Modules {
    /// The module with this index.
    pub fn get(&self, index: usize) -> Option<&Module> {
        self.list.get(index)
    }

    /// The index of the module that a mapping is a part of.
    pub fn of(&mut self, process: &Process, mapping: &Mapping) -> Option<usize> {
        if mapping.inode == 0 && mapping.path != "[vdso]" {
            return None;
        }
        let key = (mapping.device.clone(), mapping.inode, mapping.path.clone());
        Some(*self.by_file.entry(key).or_insert_with(|| {
            self.list.push(Module::load(process.pid, mapping, process.maps, process.memory));
            self.list.len() - 1
        }))
    }

    fn row(&mut self, module: usize, address: u64) -> Option<Rc<Row>> {
        let (list, context) = (&self.list, &mut self.context);
        let find = || cfi::find(list.get(module)?, address, context).map(Rc::new);
        self.rows.entry((module, address)).or_insert_with(find).clone()
    }
}

/// The process whose stacks are walked.
pub struct Process<'a> {
    /// Its pid, or the tid of a thread that lives.
    pub pid: i32,
    /// Its mappings.
    pub maps: &'a Maps,
    /// Its memory.
    pub memory: &'a Memory,
}

/// A step to the caller.
struct Found {
    registers: Registers,
    by: FoundBy,
    /// Whether the caller was interrupted rather than calling.
    interrupted: bool,
}

impl Found {
    fn new(registers: Registers, by: FoundBy) -> Option<Found> {
        Some(Found { registers, by, interrupted: false })
    }
}

/// The function that a frame stands in, as far as it is known.
struct Place {
    row: Option<Rc<Row>>,
    /// Where the function starts, in the process.
    start: Option<u64>,
}

/// Walks the stack of one thread from `registers` on, innermost frame first.
pub fn walk(process: &Process, modules: &mut Modules, registers: Registers, stack: &Stack) -> Vec<RawFrame> {
    let mut walker = Walker { process, modules, stack };
    let mut frames: Vec<RawFrame> = Vec::new();
    let mut at = Found { registers, by: FoundBy::Pc, interrupted: true };
    let mut guesses = 0;
    while frames.len() < FRAMES {
        let (frame, place) = walker.frame(&at);
        frames.push(frame);
        guesses += usize::from(at.by == FoundBy::Guess);
        match walker.step(&at, &place) {
            Some(next) if guesses < GUESSES => at = next,
            _ => break,
        }
    }
    frames
}

struct Walker<'a> {
    process: &'a Process<'a>,
    modules: &'a mut Modules,
    stack: &'a Stack,
}

impl Walker<'_> {
    fn word(&self, address: u64) -> Option<u64> {
        self.stack.word(address).or_else(|| self.process.memory.word(address))
    }

    /// The frame where `at` stands and its function's row.
    fn frame(&mut self, at: &Found) -> (RawFrame, Place) {
        let pc = at.registers.pc();
        let inside = if at.interrupted { pc } else { pc.wrapping_sub(1) };
        let mut frame = RawFrame {
            address: pc,
            module: None,
            lookup: inside,
            found: at.by,
            signal: self.returns_from_signal(pc),
            stack_pointer: at.registers.sp(),
            frame_pointer: at.registers.get(FP),
        };
        let mut place = Place { row: None, start: None };
        let Some(mapping) = self.process.maps.code(inside) else { return (frame, place) };
        frame.module = self.modules.of(self.process, mapping);
        let known =
            frame.module.and_then(|index| Some((index, self.modules.get(index)?.file_address(mapping, inside)?)));
        if let Some((index, lookup)) = known {
            frame.lookup = lookup;
            place.row = self.modules.row(index, lookup);
            place.start = place.row.as_ref().map(|row| row.start.wrapping_add(inside.wrapping_sub(lookup)));
        }
        (frame, place)
    }

    fn step(&self, at: &Found, place: &Place) -> Option<Found> {
        let registers = &at.registers;
        if self.returns_from_signal(registers.pc()) {
            return self.after_signal(registers);
        }
        let found = match &place.row {
            Some(row) => match row.apply(registers, &|address| self.word(address)) {
                Ok(Step::Bottom) => return None,
                Ok(Step::Caller(caller)) if self.is_plausible(registers, &caller, row.signal) => {
                    Some(Found { registers: caller, by: FoundBy::Cfi, interrupted: row.signal })
                }
                Err(Failure::Unknown(FP)) => {
                    self.by_prologue(registers, row, place).or_else(|| self.by_search(registers, row, place))
                }
                _ => None,
            },
            None if at.interrupted && self.process.maps.code(registers.pc()).is_none() => self.by_call_out(registers),
            None => self.by_frame_pointer(registers).or_else(|| self.by_chain(registers)),
        };
        found.or_else(|| self.by_guess(registers, place))
    }

    fn returns_from_signal(&self, pc: u64) -> bool {
        self.process.memory.read(pc).is_some_and(code::is_signal_return)
    }

    fn is_plausible(&self, callee: &Registers, caller: &Registers, signal: bool) -> bool {
        let inside = if signal { caller.pc() } else { caller.pc().wrapping_sub(1) };
        // vfork keeps its return address in a register, so its caller has the same stack pointer. After a signal on an
        // alternate stack the stack pointer may go anywhere.
        let up = caller.sp() > callee.sp() || (caller.sp() == callee.sp() && caller.pc() != callee.pc());
        (signal || up) && self.process.maps.code(inside).is_some()
    }

    /// The registers that a signal handler's frame kept: `struct ucontext` at the stack pointer (`sigreturn(2)`).
    fn after_signal(&self, registers: &Registers) -> Option<Found> {
        const ORDER: [usize; 17] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, FP, 3, 1, 0, 2, SP, PC];
        const GENERAL_REGISTERS: u64 = 40;
        let mut before = Registers::default();
        for (place, number) in ORDER.into_iter().enumerate() {
            let address = registers.sp().wrapping_add(GENERAL_REGISTERS + 8 * place as u64);
            before.set(number, Some(self.word(address)?));
        }
        // It may have been interrupted outside all code: a jump to nowhere is a fault.
        self.word(before.sp())?;
        Some(Found { registers: before, by: FoundBy::Cfi, interrupted: true })
    }

    /// Works out the frame pointer from the function's prologue.
    fn by_prologue(&self, registers: &Registers, row: &Row, place: &Place) -> Option<Found> {
        let start = place.start?;
        let length = registers.pc().checked_sub(start)?.min(128) as usize;
        let mut prologue = vec![0u8; length];
        if !self.process.memory.fill(start, &mut prologue) {
            return None;
        }
        let (size, exact) = code::frame_size(&prologue)?;
        let first = registers.sp().checked_add(size)?;
        // Arguments passed on the stack, or an aligned stack pointer, put the frame pointer somewhat higher.
        (0..64u64).find_map(|more| {
            let (caller, sure) = self.with_frame_pointer(registers, row, place, first.checked_add(8 * more)?)?;
            (sure || (exact && more == 0)).then(|| Found::new(caller, FoundBy::Fp))?
        })
    }

    /// Tries every address up the stack as the frame pointer.
    fn by_search(&self, registers: &Registers, row: &Row, place: &Place) -> Option<Found> {
        let mut second_best = None;
        for address in self.addresses_up(registers) {
            match self.with_frame_pointer(registers, row, place, address) {
                Some((caller, true)) => return Found::new(caller, FoundBy::Guess),
                Some((caller, false)) if second_best.is_none() => {
                    let above = caller.get(FP).is_some_and(|fp| fp > address && fp < self.stack.end());
                    second_best = above.then_some(caller);
                }
                _ => {}
            }
        }
        Found::new(second_best?, FoundBy::Guess)
    }

    /// The caller if the frame pointer were `address`, and whether its call goes to this very function.
    fn with_frame_pointer(
        &self,
        registers: &Registers,
        row: &Row,
        place: &Place,
        address: u64,
    ) -> Option<(Registers, bool)> {
        let mut registers = *registers;
        registers.set(FP, Some(address));
        let Ok(Step::Caller(caller)) = row.apply(&registers, &|address| self.word(address)) else { return None };
        let call = self.is_plausible(&registers, &caller, false).then(|| self.call_before(caller.pc()))??;
        Some((caller, self.calls(call, caller.pc(), place.start)))
    }

    /// The caller of a pointer that led out of all code: its return address is on top of the stack, and nothing has run
    /// since.
    fn by_call_out(&self, registers: &Registers) -> Option<Found> {
        let pc = self.word(registers.sp())?;
        self.call_before(pc)?;
        let mut caller = *registers;
        caller.set(PC, Some(pc));
        caller.set(SP, Some(registers.sp().checked_add(8)?));
        Found::new(caller, FoundBy::Guess)
    }

    /// The caller by the frame pointer, where it is known and leads to a return address.
    fn by_frame_pointer(&self, registers: &Registers) -> Option<Found> {
        let address = registers.get(FP)?;
        if address < registers.sp() || address % 8 != 0 {
            return None;
        }
        Found::new(self.saved_at(address).or_else(|| self.returned_to(address))?, FoundBy::Fp)
    }

    /// The same where no call was made: when a machine like V8 gives up optimised code, it writes the frames of the
    /// functions in it anew, with return addresses of its own. They have to lead up to one that a call has left.
    fn returned_to(&self, address: u64) -> Option<Registers> {
        let mut at = address;
        for _ in 0..WRITTEN_ANEW {
            self.process.maps.code(self.word(at.checked_add(8)?)?)?;
            let next = self.word(at)?;
            if next <= at || next % 8 != 0 {
                return None;
            }
            if self.saved_at(next).is_some() {
                let mut caller = Registers::blocked(address.checked_add(16)?, self.word(address.checked_add(8)?)?);
                caller.set(FP, self.word(address));
                return Some(caller);
            }
            at = next;
        }
        None
    }

    /// The caller by the first chain of frame pointers up the stack.
    fn by_chain(&self, registers: &Registers) -> Option<Found> {
        let chain = self.addresses_up(registers).find_map(|address| {
            let caller = self.saved_at(address)?;
            let next = caller.get(FP)?;
            (next > address && next < self.stack.end() && self.saved_at(next).is_some()).then_some(caller)
        });
        Found::new(chain?, FoundBy::Guess)
    }

    /// The caller whose frame pointer and return address are saved at `address`.
    fn saved_at(&self, address: u64) -> Option<Registers> {
        let pc = self.word(address.checked_add(8)?)?;
        self.call_before(pc)?;
        let mut caller = Registers::blocked(address.checked_add(16)?, pc);
        caller.set(FP, self.word(address));
        Some(caller)
    }

    /// The first word up the stack that follows a call of this function; else the first that follows any call.
    fn by_guess(&self, registers: &Registers, place: &Place) -> Option<Found> {
        let mut second_best = None;
        for address in self.addresses_up(registers) {
            let Some(word) = self.word(address) else { break };
            let Some(call) = self.call_before(word) else { continue };
            let caller = Registers::blocked(address.checked_add(8)?, word);
            if self.calls(call, word, place.start) {
                return Found::new(caller, FoundBy::Guess);
            }
            second_best = second_best.or(Some(caller));
        }
        Found::new(second_best?, FoundBy::Guess)
    }

    fn addresses_up(&self, registers: &Registers) -> impl Iterator<Item = u64> {
        let first = registers.sp().checked_next_multiple_of(8).unwrap_or(u64::MAX);
        let last = first.saturating_add(GUESS_SPAN).min(self.stack.end());
        (first..last).step_by(8)
    }

    /// The call right before `address`, if it is in executable memory.
    fn call_before(&self, address: u64) -> Option<Call> {
        self.process.maps.code(address.checked_sub(1)?)?;
        code::call_before(self.process.memory.read::<CALL_BYTES>(address.checked_sub(CALL_BYTES as u64)?)?)
    }

    /// Whether `call`, which ends at `address`, is known to call the function that starts at `start`.
    fn calls(&self, call: Call, address: u64, start: Option<u64>) -> bool {
        let memory = self.process.memory;
        let target = match call {
            Call::Direct(distance) => Some(address.wrapping_add_signed(i64::from(distance))),
            Call::Through(distance) => memory.word(address.wrapping_add_signed(i64::from(distance))),
            Call::Indirect => None,
        };
        let (Some(target), Some(start)) = (target, start) else { return false };
        let through_stub = || match code::stub(target, memory.read(target)?)? {
            Jump::To(target) => Some(target),
            Jump::Through(address) => memory.word(address),
        };
        target == start || through_stub() == Some(start)
    }
}
