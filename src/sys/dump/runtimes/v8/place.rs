//! The line of a place in a function: by the table of positions that V8 keeps with the function's bytecode. V8 may put
//! off making it (`--enable-lazy-source-positions`); then the line where the function starts is told, as one that is near.

use super::bytecode;
use super::function::Function;
use super::heap::{Heap, Object};
use super::positions;

/// Tables longer than this are not read, in bytes.
const TABLE: u64 = 1 << 22;

/// A line, and whether it is only near the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The line, from 1 on.
    pub number: u32,
    /// Whether it is only near.
    pub near: bool,
}

/// The bytes of a bytecode array.
pub fn bytes(heap: Heap, array: Object) -> Option<Vec<u8>> {
    (heap.kind(array)? == heap.layout.types.bytecodes).then_some(())?;
    let length = heap.length(array).filter(|length| *length <= bytecode::LONGEST)?;
    let mut bytes = vec![0u8; length as usize];
    let start = array.0.wrapping_sub(1).checked_add(heap.layout.bytecodes)?;
    heap.memory.fill(start, &mut bytes).then_some(bytes)
}

/// The line where `function` stands: at `offset` in its bytecode array.
pub fn line(heap: Heap, function: &Function, bytecodes: Option<Object>, offset: Option<u32>) -> Option<Line> {
    let position = || {
        let table = heap.field(bytecodes?, heap.layout.positions).and_then(|table| heap.bytes(table, TABLE))?;
        positions::at(&table, i64::from(offset?), heap.layout.packed_positions())
    };
    at_position(function, position().map(|position| position.in_script))
}

/// The line of a position in the script of `function`; that of its start when the position is not known.
pub fn at_position(function: &Function, position: Option<u32>) -> Option<Line> {
    let within = |position: &u32| function.range.is_none_or(|(start, end)| (start..=end).contains(position));
    if let Some(number) = position.filter(within).and_then(|position| function.script.line(position)) {
        return Some(Line { number, near: false });
    }
    let (start, end) = function.range?;
    let number = function.script.line(start)?;
    Some(Line { number, near: function.script.line(end) != Some(number) })
}
