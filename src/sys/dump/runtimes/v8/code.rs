//! Machine code that V8 made: which code an address is in, and where baseline code stands in the bytecode.

use super::super::super::maps::Maps;
use super::heap::{Heap, Object};
use super::varint::Varints;

/// How far below an address its code may begin, in bytes; larger functions are not optimised.
const LARGEST: u64 = 1 << 20;
/// Instructions begin at multiples of this (`kCodeAlignment` on x64).
const ALIGNMENT: u64 = 64;

/// Code of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The `Code` object.
    pub object: Object,
    /// Its kind.
    pub kind: u64,
    /// Where its instructions start.
    pub start: u64,
    /// Where they end: its tables follow.
    pub end: u64,
}

impl Code {
    /// The code that holds `address`: the nearest one below it, told by the map of what holds the instructions.
    pub fn at(heap: Heap, maps: &Maps, address: u64) -> Option<Code> {
        let mapping = maps.code(address).filter(|mapping| mapping.inode == 0)?;
        let lowest = mapping.start.max(address.saturating_sub(LARGEST));
        let mut start = address / ALIGNMENT * ALIGNMENT;
        while start >= lowest.checked_add(heap.layout.code.instructions)? {
            if let Some(code) = Code::with_instructions(heap, start) {
                return Some(code).filter(|code| address <= code.end);
            }
            start -= ALIGNMENT;
        }
        None
    }

    /// The code whose instructions start right here.
    fn with_instructions(heap: Heap, start: u64) -> Option<Code> {
        let (layout, types) = (&heap.layout.code, &heap.layout.types);
        let holder = heap.object(start.checked_sub(layout.instructions)? | 1)?;
        let object = match types.instructions {
            Some(instructions) if heap.kind(holder)? == instructions => heap.field_of(holder, 8, types.code)?,
            None if heap.kind(holder)? == types.code => holder,
            _ => return None,
        };
        let size = u64::from(heap.half(object, layout.size)?);
        let kind = u64::from(heap.half(object, layout.flags)?) & 0xf;
        (size < LARGEST).then_some(Code { object, kind, start, end: start.checked_add(size)? })
    }

    /// Its table: of bytecode offsets for baseline code, of positions for optimised code.
    pub fn table(&self, heap: Heap) -> Option<Vec<u8>> {
        heap.field(self.object, heap.layout.code.table).and_then(|table| heap.bytes(table, 1 << 22))
    }

    /// Where baseline code that returns to `address` stands in the bytecode.
    pub fn bytecode_offset(&self, heap: Heap, address: u64, bytecode: &[u32]) -> Option<u32> {
        bytecode_offset(&self.table(heap)?, address.checked_sub(self.start)?, bytecode)
    }
}

/// By the table of baseline code: the sizes of what was made of the prologue and of each instruction, in order.
fn bytecode_offset(table: &[u8], offset: u64, bytecode: &[u32]) -> Option<u32> {
    let mut sizes = Varints::new(table, 0);
    let mut end = sizes.unsigned()?;
    for at in bytecode {
        if offset <= end {
            return None;
        }
        end = end.checked_add(sizes.unsigned()?)?;
        if offset <= end {
            return Some(*at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_return_address_belongs_to_what_ends_there() {
        let table = [10, 4, 0, 0x81, 0x01];
        let bytecode = [0, 2, 5];
        let at = |offset| bytecode_offset(&table, offset, &bytecode);
        assert_eq!((at(10), at(11), at(14)), (None, Some(0), Some(0)));
        assert_eq!((at(15), at(143), at(144)), (Some(5), Some(5), None));
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(table in prop::collection::vec(any::<u8>(), 0..64), offset: u64) {
            let _ = bytecode_offset(&table, offset, &[0, 1, 2, 3]);
        }
    }
}
