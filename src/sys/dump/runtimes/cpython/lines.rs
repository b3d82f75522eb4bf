//! From a place in the code of a function to its line, by the three kinds of tables that CPython has had.

/// What kind a table of lines is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `co_lnotab`, up to 3.9: pairs of a distance in bytes and one in lines.
    Steps,
    /// `co_linetable` of 3.10: the same, but of ranges that may have no line.
    Ranges,
    /// `co_linetable` since 3.11: lines and columns, in entries of their own lengths.
    Locations,
}

/// The line at `offset` bytes into the code whose first line is `first`; `None` where the table has none.
pub fn line(kind: Kind, table: &[u8], first: i32, offset: u64) -> Option<u32> {
    let line = match kind {
        Kind::Steps => by_steps(table, first, offset),
        Kind::Ranges => by_ranges(table, first, offset)?,
        Kind::Locations => by_locations(table, first, offset)?,
    };
    u32::try_from(line).ok().filter(|line| *line > 0)
}

fn by_steps(table: &[u8], first: i32, offset: u64) -> i32 {
    let (mut line, mut at) = (first, 0u64);
    for pair in table.chunks_exact(2) {
        at += u64::from(pair[0]);
        if at > offset {
            break;
        }
        line = line.wrapping_add(i32::from(pair[1] as i8));
    }
    line
}

fn by_ranges(table: &[u8], first: i32, offset: u64) -> Option<i32> {
    let (mut line, mut end) = (first, 0u64);
    for pair in table.chunks_exact(2) {
        let distance = pair[1] as i8;
        // -128 says that this range has no line.
        if distance != i8::MIN {
            line = line.wrapping_add(i32::from(distance));
        }
        end += u64::from(pair[0]);
        if offset < end {
            return (distance != i8::MIN).then_some(line);
        }
    }
    None
}

fn by_locations(table: &[u8], first: i32, offset: u64) -> Option<i32> {
    let (mut line, mut end, mut at) = (first, 0u64, 0usize);
    while let Some(&head) = table.get(at) {
        // The first byte of each entry has its highest bit set: kind, and how many units of two bytes it is for.
        if head & 0x80 == 0 {
            return None;
        }
        let kind = (head >> 3) & 15;
        let distance = match kind {
            15 => 0,
            13 | 14 => signed(table.get(at + 1..)?)?,
            10..=12 => i32::from(kind) - 10,
            _ => 0,
        };
        line = line.wrapping_add(distance);
        end += u64::from(head & 7) * 2 + 2;
        if offset < end {
            return (kind != 15).then_some(line);
        }
        at += 1;
        at += table.get(at..)?.iter().take_while(|byte| **byte & 0x80 == 0).count();
    }
    None
}

/// A signed number, six bits a byte, the lowest first; its lowest bit is the sign.
fn signed(bytes: &[u8]) -> Option<i32> {
    let (mut value, mut shift) = (0u32, 0u32);
    for byte in bytes.iter().take(6) {
        value |= u32::from(byte & 63).checked_shl(shift)?;
        shift += 6;
        if byte & 64 == 0 {
            let magnitude = (value >> 1) as i32;
            return Some(if value & 1 == 1 { magnitude.wrapping_neg() } else { magnitude });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(kind: Kind, table: &[u8], offsets: &[u64]) -> Vec<Option<u32>> {
        offsets.iter().map(|offset| line(kind, table, 1, *offset)).collect()
    }

    /// The lines of this function in its order, by the tables that 3.8, 3.10 and 3.13 made of it, and by what `dis` and
    /// `co_lines` of the same interpreters say: the line, and for how many instructions of two bytes.
    ///
    /// ```text
    /// def f(a):
    ///     b = [
    ///         a,
    ///     ]
    ///
    ///     try:
    ///         return g(
    ///             b)
    ///     finally:
    ///         h()
    /// ```
    #[test]
    fn real_tables_give_the_lines_that_the_interpreter_gives() {
        const V3_8: [u8; 14] = [0, 2, 2, 255, 4, 4, 2, 1, 2, 1, 2, 255, 8, 3];
        const V3_10: [u8; 14] = [2, 2, 4, 255, 2, 4, 2, 1, 2, 1, 4, 255, 16, 3];
        const V3_13: [u8; 41] = [
            128, 0, 224, 8, 9, 240, 3, 2, 9, 6, 128, 65, 240, 8, 4, 5, 12, 220, 15, 16, 216, 12, 13, 243, 3, 1, 16, 15,
            244, 6, 0, 9, 10, 141, 3, 248, 140, 1, 141, 3, 250,
        ];
        let early = [(3, 1), (2, 2), (6, 1), (7, 1), (8, 1)];
        let of_8 = [&early[..], &[(7, 4), (10, 6)]].concat();
        let of_10 = [&early[..], &[(7, 2), (10, 8)]].concat();
        let start = [(1, 1), (3, 1), (2, 2), (6, 1), (7, 5), (8, 1), (7, 4), (10, 11), (0, 1), (10, 11), (0, 3)];
        for (kind, table, expected) in [
            (Kind::Steps, &V3_8[..], of_8),
            (Kind::Ranges, &V3_10[..], of_10),
            (Kind::Locations, &V3_13[..], start.to_vec()),
        ] {
            let mut offset = 0;
            for (expected, count) in expected {
                for _ in 0..count {
                    let found = line(kind, table, 1, offset);
                    assert_eq!(found, (expected > 0).then_some(expected), "{kind:?} at {offset}");
                    offset += 2;
                }
            }
        }
    }

    #[test]
    fn steps_go_forward_and_back() {
        let table = [0, 1, 2, 1, 2, 255, 4, 4, 2, 1, 200, 0, 100, 127];
        let expected = [Some(2), Some(3), Some(2), Some(2), Some(6), Some(7), Some(7), Some(134)];
        assert_eq!(lines(Kind::Steps, &table, &[0, 2, 4, 7, 8, 10, 300, 400]), expected);
        assert_eq!(lines(Kind::Steps, &[], &[5]), [Some(1)]);
    }

    #[test]
    fn ranges_may_have_no_line() {
        let table = [2, 1, 2, 1, 4, 128, 2, 255];
        assert_eq!(lines(Kind::Ranges, &table, &[0, 2, 4, 7, 8, 10]), [Some(2), Some(3), None, None, Some(2), None]);
    }

    #[test]
    fn locations_have_entries_of_many_kinds() {
        // A long one (two lines on), a short one, a one-line one (one line on), one without columns (three back), and
        // one without any line.
        let table = [0xf0, 4, 0, 1, 5, 0x80, 0x12, 0xd9, 3, 9, 0xe8, 7, 0xf8];
        let expected = [Some(3), Some(3), Some(4), Some(4), Some(1), None, None];
        assert_eq!(lines(Kind::Locations, &table, &[0, 2, 4, 6, 8, 10, 12]), expected);
        // Six bits a byte: 64 + 6 = 70 → 35 lines on.
        assert_eq!(lines(Kind::Locations, &[0xe8, 0x46, 1], &[0]), [Some(36)]);
        assert_eq!(lines(Kind::Locations, &[0x10, 0xf0], &[0]), [None]);
        assert_eq!(lines(Kind::Locations, &[0xf0], &[0]), [None]);
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(table in proptest::collection::vec(any::<u8>(), 0..300), first: i32, offset: u64) {
            for kind in [Kind::Steps, Kind::Ranges, Kind::Locations] {
                let _ = line(kind, &table, first, offset);
                let _ = line(kind, &table, first, offset % 512);
            }
        }
    }
}
