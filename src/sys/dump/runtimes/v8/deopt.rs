//! Which functions a place in optimised code stands for: the data that V8 keeps to leave optimised code names them, the
//! inlined ones too, each with its place in the bytecode (`deoptimizer/translation-opcode.h`, `codegen/safepoint-table.h`).

use super::code::Code;
use super::heap::{Heap, Object, small};
use super::layout::Version;
use super::positions::{self, Position};
use super::varint::Varints;

/// Operations of one translation looked at, at most.
const OPERATIONS: usize = 1 << 16;
/// Return addresses of one function looked at, at most.
const SAFEPOINTS: u64 = 1 << 17;
/// Functions inlined into one, at most.
const INLINED: usize = 64;

/// A version's operations: how many operands each has, and which are which.
struct Operations {
    /// How many operands each has.
    operands: &'static [u8],
    /// Those that begin a frame of a function.
    functions: &'static [u8],
    /// Those that begin a frame of a built-in function.
    builtins: &'static [u8],
    /// Those that begin a translation.
    begin: &'static [u8],
    /// The one that repeats what an earlier translation had; before V8 11 there is none, and numbers have signs.
    repeat: Option<u8>,
}

const OPERATIONS_10: Operations = Operations {
    operands: &[2, 1, 0, 3, 1, 1, 3, 1, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 3, 3, 4, 1, 1, 1, 1, 1, 2],
    functions: &[18],
    builtins: &[19, 20],
    begin: &[3],
    repeat: None,
};

const OPERATIONS_11: Operations = Operations {
    operands: &[
        1, 0, 3, 3, 1, 1, 3, 1, 3, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 5, 3, 3, 3, 4, 0, 1, 1, 1, 1, 1, 2, 1,
    ],
    functions: &[23, 24],
    builtins: &[25, 26],
    begin: &[2, 3],
    repeat: Some(35),
};

const OPERATIONS_12: Operations = Operations {
    operands: &[
        5, 3, 3, 3, 2, 1, 3, 4, 3, 2, 1, 0, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1,
        1, 2, 1,
    ],
    functions: &[0, 1],
    builtins: &[2, 3],
    begin: &[12, 13],
    repeat: Some(39),
};

const OPERATIONS_13: Operations = Operations {
    operands: &[
        6, 4, 3, 3, 2, 1, 3, 4, 3, 3, 3, 1, 0, 0, 3, 3, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        0, 1, 1, 1, 1, 1, 2, 1,
    ],
    functions: &[0, 1],
    builtins: &[2, 3],
    begin: &[14, 15],
    repeat: Some(44),
};

fn operations(version: Version) -> Option<&'static Operations> {
    match version {
        (10, 2) => Some(&OPERATIONS_10),
        (11, 3) => Some(&OPERATIONS_11),
        (12, 4) => Some(&OPERATIONS_12),
        (13, 6) | (14, 6) => Some(&OPERATIONS_13),
        _ => None,
    }
}

/// A function at a place in its bytecode: its `SharedFunctionInfo` and the offset; -1 at its entry.
pub type Inlined = (Object, i64);

/// The functions that a return to `address` in optimised code stands for, innermost first.
pub fn functions(heap: Heap, code: &Code, address: u64) -> Option<Vec<Inlined>> {
    let operations = operations(heap.layout.version)?;
    let index = deopt_index(heap, code, address)?;
    // Since V8 13 some literals are kept apart, before the others.
    let later = u64::from(heap.layout.version.0 >= 13);
    let data = heap.field(code.object, heap.layout.code.data)?;
    let element = |index: u64| heap.element(data, index);
    let translations = heap.object(element(0)?).and_then(|bytes| heap.bytes(bytes, 1 << 24))?;
    let literals = heap.object(element(2 + later)?)?;
    let at = small(element(11 + later + 3 * index + 1)?)?;
    let mut frames = translation(&translations, usize::try_from(at).ok()?, operations)?;
    frames.reverse();
    let literal = |index: i64| heap.object(heap.element(literals, u64::try_from(index).ok()?)?);
    frames.into_iter().map(|(offset, index)| Some((literal(index)?, offset))).collect()
}

/// Which entry of the data belongs to a return address: the table after the instructions tells.
fn deopt_index(heap: Heap, code: &Code, address: u64) -> Option<u64> {
    let version = heap.layout.version;
    // Maglev has a table of its own kind, and is the kind after baseline code since V8 11.
    let maglev = version.0 >= 11 && code.kind == heap.layout.baseline + 1;
    let number = |address: u64| heap.memory.read(address).map(u32::from_le_bytes);
    // Since V8 13 the size of the frame comes first.
    let head = code.end.checked_add(if version.0 >= 13 { 4 } else { 0 })?;
    let header = match (maglev, version.0 >= 13) {
        (true, _) => 16,
        (false, true) => 12,
        (false, false) => 8,
    };
    let (count, shape) = (u64::from(number(head)?), number(head.checked_add(4)?)?);
    let field = |shift: u32| u64::from(shape >> shift & 7);
    let (has_data, registers, address_size, index_size) = (shape & 1 == 1, field(1), field(4), field(7));
    if !has_data || count > SAFEPOINTS {
        return None;
    }
    let size = 2 * address_size + index_size + registers + u64::from(maglev);
    let mut table = vec![0u8; usize::try_from(count.checked_mul(size)?).ok()?];
    if size == 0 || !heap.memory.fill(code.end.checked_add(header)?, &mut table) {
        return None;
    }
    let offset = address.checked_sub(code.start)?;
    table.chunks_exact(size as usize).find_map(|entry| {
        let (here, rest) = entry.split_at(address_size as usize);
        let (index, after) = rest.split_at_checked(index_size as usize)?;
        let trampoline = little(after.get(..address_size as usize)?);
        let hit = little(here) == offset || trampoline.checked_sub(1) == Some(offset);
        hit.then(|| little(index).checked_sub(1))?
    })
}

/// A number of up to eight bytes, lowest first.
fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Reads operations, which may repeat those of an earlier translation.
struct Reader<'a> {
    operations: &'a Operations,
    here: Varints<'a>,
    before: Varints<'a>,
    bytes: &'a [u8],
    repeated: u64,
    since: usize,
}

impl Reader<'_> {
    fn operands(&self, operation: u8) -> Option<u8> {
        self.operations.operands.get(usize::from(operation)).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let Some(repeat) = self.operations.repeat else { return u8::try_from(self.here.signed()?).ok() };
        self.repeated = self.repeated.saturating_sub(1);
        if self.repeated > 0 {
            return self.before.byte();
        }
        let mut operation = self.here.byte()?;
        let known = self.operations.operands.len() as u8;
        if operation >= known {
            self.repeated = u64::from(operation - known);
            operation = repeat;
        } else if operation == repeat {
            self.repeated = self.here.unsigned()?;
        }
        if operation == repeat {
            for _ in 0..std::mem::take(&mut self.since) {
                let skipped = self.before.byte()?;
                for _ in 0..self.operands(skipped)? {
                    self.before.unsigned()?;
                }
            }
            return self.before.byte();
        }
        if self.operations.begin.contains(&operation) {
            let at = self.here.position();
            let back = Varints::new(self.bytes, at).unsigned()?;
            if back > 0 {
                let back = usize::try_from(back).ok()?;
                self.before = Varints::new(self.bytes, at.checked_sub(1)?.checked_sub(back)?);
            }
            self.since = 1;
        } else {
            self.since += 1;
        }
        Some(operation)
    }
}

/// The frames of functions that the translation at `at` names, outermost first: offset and number of the literal.
fn translation(bytes: &[u8], at: usize, operations: &Operations) -> Option<Vec<(i64, i64)>> {
    let numbers = Varints::new(bytes, at);
    let mut reader = Reader { operations, here: numbers.clone(), before: numbers, bytes, repeated: 0, since: 0 };
    let mut frames = Vec::new();
    let mut left = None;
    for _ in 0..OPERATIONS {
        let operation = reader.next()?;
        let mut operands = [0i64; 8];
        for operand in operands.iter_mut().take(usize::from(reader.operands(operation)?)) {
            *operand = if reader.repeated > 0 { reader.before.signed()? } else { reader.here.signed()? };
        }
        if operations.begin.contains(&operation) {
            // Since V8 11 the way back to an earlier translation comes first.
            let count = if operations.repeat.is_some() { operands[2] } else { operands[1] };
            if left.replace(count).is_some() || !(1..=INLINED as i64).contains(&count) {
                return None;
            }
            continue;
        }
        let count = left.as_mut()?;
        if operations.functions.contains(&operation) {
            frames.push((operands[0], operands[1]));
            *count -= 1;
        } else if operations.builtins.contains(&operation) {
            *count -= 1;
        }
        if *count == 0 {
            return Some(frames);
        }
    }
    None
}

/// The functions that a place in optimised code stands for where nothing is called, innermost first: by the code's own
/// table of positions. `None` in place of a function is the one that the code was made for.
pub fn functions_within(heap: Heap, code: &Code, address: u64) -> Option<Vec<(Option<Object>, u32)>> {
    let later = u64::from(heap.layout.version.0 >= 13);
    let data = heap.field(code.object, heap.layout.code.data)?;
    let literals = heap.object(heap.element(data, 2 + later)?)?;
    let inlined = heap.object(heap.element(data, 7 + later)?).and_then(|bytes| heap.bytes(bytes, 1 << 22));
    let offset = i64::try_from(address.checked_sub(code.start)?).ok()?;
    let mut position = positions::at(&code.table(heap)?, offset, heap.layout.packed_positions())?;
    let mut functions = Vec::new();
    // Each of those inlined says where in the next one that was, and which literal it is.
    while let Some(index) = position.inlined.filter(|_| functions.len() < INLINED) {
        let entry = inlined.as_ref()?.chunks_exact(16).nth(index as usize)?;
        let (place, literal) = entry.split_at(8);
        let literal = heap.object(heap.element(literals, little(literal.get(..4)?))?)?;
        functions.push((Some(literal), position.in_script));
        position = Position::unpack(little(place))?;
    }
    functions.push((None, position.in_script));
    Some(functions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_functions_of_a_translation() {
        // Two functions of V8 12's kind: the head (no earlier one, 2 frames, 2 of functions), each a frame and a literal.
        let one = [12, 0, 4, 4, 1, 40, 2, 0, 33, 8, 1, 24, 6, 0];
        assert_eq!(translation(&one, 0, &OPERATIONS_12), Some(vec![(20, 1), (12, 3)]));
        // The next one repeats two operations of the first.
        let mut two = one.to_vec();
        let at = two.len();
        two.extend([12, at as u8, 4, 4, 40 + 2, 1, 30, 6, 0]);
        assert_eq!(translation(&two, at, &OPERATIONS_12), Some(vec![(20, 1), (15, 3)]));
        let ten = [6, 2, 2, 0, 36, 14, 4, 0, 0, 0];
        assert_eq!(translation(&ten, 0, &OPERATIONS_10), Some(vec![(7, 2)]));
    }

    #[test]
    fn operations_are_what_they_are_taken_for() {
        for operations in [&OPERATIONS_10, &OPERATIONS_11, &OPERATIONS_12, &OPERATIONS_13] {
            let operands =
                |list: &[u8]| list.iter().map(|one| operations.operands[usize::from(*one)]).collect::<Vec<_>>();
            assert!(operands(operations.begin).iter().all(|count| *count == 3));
            assert!(operands(operations.builtins).iter().all(|count| *count == 3));
            assert!(operands(operations.functions).iter().all(|count| (3..=6).contains(count)));
            let last = operations.operands.len() as u8 - 1;
            assert!(operations.repeat.is_none_or(|repeat| repeat == last));
        }
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..300) {
            for operations in [&OPERATIONS_10, &OPERATIONS_11, &OPERATIONS_12, &OPERATIONS_13] {
                let _ = translation(&bytes, at, operations);
            }
        }
    }
}
