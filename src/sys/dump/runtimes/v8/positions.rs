//! V8's tables of positions: for each instruction that has one its place in the source (`codegen/source-position-table.cc`).

use super::varint::Varints;

/// A place in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The offset in the script, in characters.
    pub in_script: u32,
    /// In optimised code: which of the functions that were inlined it is in.
    pub inlined: Option<u32>,
}

impl Position {
    /// The place that a number stands for; `None` for one in code of V8's own.
    pub fn unpack(number: u64) -> Option<Position> {
        let outside = number & 1 == 1;
        let in_script = u32::try_from(number >> 1 & 0x3fff_ffff).ok()?.checked_sub(1).filter(|_| !outside)?;
        Some(Position { in_script, inlined: u32::try_from(number >> 31 & 0xffff).ok()?.checked_sub(1) })
    }
}

/// The place that a table gives for the instruction at `offset`: that of the last entry at or before it. `packed` tables,
/// of V8 14 and later, keep what tells statements from expressions in two bits of their own; others in the sign.
pub fn at(table: &[u8], offset: i64, packed: bool) -> Option<Position> {
    let mut numbers = Varints::new(table, 0);
    // The first entry may be the function's entry, before the first instruction.
    let (mut code, mut position, mut found) = (-1i64, 0i64, None);
    while numbers.position() < table.len() {
        let step = match packed {
            true => (numbers.unsigned()? >> 2) as i64,
            false => numbers.zigzag().map(|step| if step >= 0 { step } else { -(step + 1) })?,
        };
        code = code.checked_add(step)?;
        position = position.checked_add(numbers.zigzag()?)?;
        if code > offset {
            break;
        }
        found = u64::try_from(position).ok().and_then(Position::unpack).or(found);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_script(table: &[u8], offset: u32, packed: bool) -> Option<u32> {
        at(table, i64::from(offset), packed).map(|position| position.in_script)
    }

    fn unsigned(mut value: u64, out: &mut Vec<u8>) {
        loop {
            let more = value > 0x7f;
            out.push((value & 0x7f) as u8 | u8::from(more) << 7);
            value >>= 7;
            if !more {
                return;
            }
        }
    }

    fn table(entries: &[(i64, i64, bool)], packed: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let (mut code, mut position) = (-1, 0);
        for (at, place, statement) in entries {
            let step = at - code;
            let signed = if *statement { step } else { -step - 1 };
            let place = (place + 1) << 1;
            let folded = |value: i64| ((value << 1) ^ (value >> 63)) as u64;
            unsigned(if packed { (step << 2 | 2 | i64::from(*statement)) as u64 } else { folded(signed) }, &mut out);
            unsigned(folded(place - position), &mut out);
            (code, position) = (*at, place);
        }
        out
    }

    #[test]
    fn finds_the_last_entry_before_an_offset() {
        for packed in [false, true] {
            let table =
                table(&[(-1, 10, false), (0, 11, true), (5, 900, false), (9, 40, true), (300, 70_000, false)], packed);
            let at = |offset| in_script(&table, offset, packed);
            assert_eq!((at(0), at(4), at(5), at(8)), (Some(11), Some(11), Some(900), Some(900)));
            assert_eq!((at(9), at(299), at(300), at(u32::MAX)), (Some(40), Some(40), Some(70_000), Some(70_000)));
            assert_eq!(in_script(&[], 3, packed), None);
        }
    }

    #[test]
    fn reads_tables_that_node_20_and_26_made() {
        // `connect` of a class: the call at 29 (30 in Node 26) is on position 508.
        let older = [1, 144, 10, 3, 0, 18, 108, 10, 252, 2, 11, 36, 10, 84, 6, 60, 2, 28, 2, 44, 8, 44];
        let newer = [2, 144, 10, 6, 0, 39, 108, 23, 252, 2, 22, 36, 27, 84, 15, 60, 7, 28, 7, 44, 19, 44];
        assert_eq!((in_script(&older, 28, false), in_script(&older, 29, false)), (Some(497), Some(508)));
        assert_eq!((in_script(&newer, 29, true), in_script(&newer, 30, true)), (Some(497), Some(508)));
    }

    #[test]
    fn a_position_of_inlined_code_tells_which() {
        let mut table = Vec::new();
        unsigned(2, &mut table);
        unsigned(((3u64 << 30 | 501) << 1) << 1, &mut table);
        assert_eq!(at(&table, 5, false), Some(Position { in_script: 500, inlined: Some(2) }));
    }

    proptest! {
        #[test]
        fn any_table_is_read_back(
            steps in prop::collection::vec((1i64..400, 0i64..100_000, any::<bool>()), 1..60),
            packed: bool,
        ) {
            let mut at = -1i64;
            let entries: Vec<_> = steps.iter().map(|(step, place, s)| { at += step; (at, *place, *s) }).collect();
            let table = table(&entries, packed);
            for (offset, place, _) in &entries {
                prop_assert_eq!(in_script(&table, *offset as u32, packed), Some(*place as u32));
            }
        }

        #[test]
        fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), offset: u32, packed: bool) {
            let _ = in_script(&bytes, offset, packed);
        }
    }
}
