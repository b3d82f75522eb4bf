//! Where the tables of a Go program lie: its module data and, behind it, the function table that every Go program
//! carries, stripped or not (`runtime/symtab.go` of Go 1.18 and later).
//!
//! The module data begins with a pointer to the header of the function table and slices of its parts. That makes it easy
//! to tell from anything else, wherever it lies, and the process's own addresses stand in it, whatever it was loaded at.

use super::bytes::{Bytes, number_in, word_in};

/// The function table of Go 1.18 and 1.19 begins with this.
const MAGIC_118: u32 = 0xffff_fff0;
/// That of Go 1.20 and later with this.
const MAGIC_120: u32 = 0xffff_fff1;
/// Words of the module data that are looked at.
const WORDS: usize = 64;
/// How much is searched at once, in bytes.
const STEP: u64 = 1 << 20;
/// How much is searched in all, in bytes.
const LONGEST: u64 = 2 << 30;

/// A stretch of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Its first address.
    pub start: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl Span {
    /// From one address up to another.
    pub fn between(start: u64, end: u64) -> Span {
        Span { start, length: end.saturating_sub(start) }
    }

    /// The address at `offset`, if that lies in it.
    pub fn at(&self, offset: u64) -> Option<u64> {
        (offset < self.length).then(|| self.start.checked_add(offset))?
    }

    /// Whether `address` lies in it.
    pub fn holds(&self, address: u64) -> bool {
        address >= self.start && address - self.start < self.length
    }
}

/// A part of the program's code, which a very large program has several of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The offset at which it begins in the terms of the tables.
    pub offset: u64,
    /// Where it lies.
    pub code: Span,
}

/// The tables of one program.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Whether they are of Go 1.18 or 1.19, which write functions and inlined calls in another way.
    pub old: bool,
    /// Names of functions.
    pub names: Span,
    /// For each unit of compilation, where the names of its files stand.
    pub units: Span,
    /// Names of files.
    pub files: Span,
    /// Tables by program counter.
    pub pcs: Span,
    /// The functions.
    pub functions: Span,
    /// The first function by address, and how many there are.
    pub index: (u64, u64),
    /// What the index covers.
    pub covered: Span,
    /// The start of the code.
    pub text: u64,
    /// Its parts.
    pub sections: Vec<Section>,
    /// What offsets of data about functions count from: one of these, to be found out.
    pub function_data: [u64; 2],
    /// Variables, with pointers and without, with a value at the start and without.
    pub variables: [Span; 4],
}

/// Searches these stretches of memory for the module data, and reads where everything lies.
pub fn find(memory: &dyn Bytes, stretches: &[Span], deadline: &dyn Fn() -> bool) -> Option<Tables> {
    let mut left = LONGEST;
    for stretch in stretches {
        let mut at = stretch.start.next_multiple_of(8);
        let end = stretch.start.saturating_add(stretch.length);
        while at < end && left > 0 && !deadline() {
            // What begins at the end of one step is read whole in the next.
            let length = (end - at).min(STEP + WORDS as u64 * 8);
            let bytes = read_some(memory, at, length as usize);
            let count = bytes.len() / 8;
            let found = (0..count).find_map(|index| read(memory, bytes.get(index * 8..)?));
            if found.is_some() {
                return found;
            }
            at = at.saturating_add(STEP);
            left = left.saturating_sub(STEP);
        }
    }
    None
}

/// As much as can be read of a stretch.
fn read_some(memory: &dyn Bytes, start: u64, length: usize) -> Vec<u8> {
    const PAGE: usize = 4096;
    let pieces: Vec<(u64, usize)> =
        (0..length).step_by(PAGE).map(|at| (start + at as u64, PAGE.min(length - at))).collect();
    let mut bytes = Vec::new();
    memory.pieces(&pieces, &mut bytes);
    bytes
}

/// The tables that the module data at the start of `bytes` tells of, if it is that.
fn read(memory: &dyn Bytes, bytes: &[u8]) -> Option<Tables> {
    let word = |index: usize| word_in(bytes, index * 8);
    let slice = |index: usize| {
        let (start, length) = (word(index)?, word(index + 1)?);
        (length != 0 && length == word(index + 2)?).then_some(Span { start, length })
    };
    // Almost everything that is no module data ends here: a pointer, and slices right behind what it points to.
    let (header, names) = (word(0)?, slice(1)?);
    if header == 0 || !header.is_multiple_of(8) || names.start <= header || names.start - header > 4096 {
        return None;
    }
    let (units, files, pcs) = (slice(4)?, slice(7)?, slice(10)?);
    let (functions, index) = (slice(13)?, slice(16)?);
    let old = match magic(memory, header)? {
        MAGIC_118 => true,
        MAGIC_120 => false,
        _ => return None,
    };
    let (text, end) = (word(22)?, word(23)?);
    let covered = Span::between(word(20)?, word(21)?);
    // All parts lie in this order.
    let ordered = [names.start, units.start, files.start, pcs.start, functions.start].is_sorted();
    if !ordered || text >= end || covered.length == 0 || index.length > 1 << 28 {
        return None;
    }
    let span = |at: usize| Some(Span::between(word(at)?, word(at + 1)?));
    let units = Span { length: units.length.checked_mul(4)?, ..units };
    let (sections, function_data) = sections(memory, bytes, text)?;
    Some(Tables {
        old,
        names,
        units,
        files,
        pcs,
        functions,
        index: (index.start, index.length - 1),
        covered,
        text,
        sections,
        function_data,
        // Most pointers that are looked for lie among variables without a value at the start.
        variables: [span(28)?, span(26)?, span(30)?, span(24)?],
    })
}

/// The magic number of a header of a function table of this machine's kind.
fn magic(memory: &dyn Bytes, header: u64) -> Option<u32> {
    let bytes = memory.bytes(header, 8)?;
    // Nothing, nothing, the smallest instruction's size, a pointer's size.
    (bytes.get(4..8)? == [0, 0, 1, 8]).then(|| number_in(&bytes, 0))?
}

/// The parts of the code, and the two words before them, one of which offsets of data count from. Where that stands
/// differs between versions; it is found by what it says: a list whose first part starts at 0 and lies where the code
/// does.
fn sections(memory: &dyn Bytes, bytes: &[u8], text: u64) -> Option<(Vec<Section>, [u64; 2])> {
    let word = |index: usize| word_in(bytes, index * 8);
    (34..WORDS - 3).find_map(|at| {
        let (list, count) = (word(at)?, word(at + 1)?);
        if list == 0 || count == 0 || count > 64 || word(at + 2)? != count {
            return None;
        }
        let section = |number: u64| {
            let bytes = memory.bytes(list.checked_add(number.checked_mul(24)?)?, 24)?;
            let (from, to, base) = (word_in(&bytes, 0)?, word_in(&bytes, 8)?, word_in(&bytes, 16)?);
            Some(Section { offset: from, code: Span { start: base, length: to.checked_sub(from)? } })
        };
        let sections: Vec<Section> = (0..count).map(section).collect::<Option<_>>()?;
        let first = sections.first()?;
        (first.offset == 0 && first.code.start == text).then_some((sections, [word(at - 1)?, word(at - 2)?]))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bytes::testing::{Noise, Pieces};
    use super::*;

    fn image() -> Pieces {
        let mut words = vec![0u64; WORDS];
        words[0] = 0x5000;
        for (index, (start, length)) in
            [(0x5060, 64), (0x50a0, 4), (0x50b0, 32), (0x50d0, 16), (0x50e0, 256), (0x5100, 3)].into_iter().enumerate()
        {
            words[1 + index * 3..][..3].copy_from_slice(&[start, length, length]);
        }
        words[20..24].copy_from_slice(&[0x1000, 0x2000, 0x1000, 0x2000]);
        words[24..32].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        words[40] = 0x5f00;
        words[41..44].copy_from_slice(&[0x6000, 1, 1]);
        let mut data = vec![0u8; 24];
        data.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let header = vec![0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
        let list = [0u64, 0x1000, 0x1000].iter().flat_map(|word| word.to_le_bytes()).collect();
        Pieces(vec![(0x8000, data), (0x5000, header), (0x6000, list)])
    }

    #[test]
    fn module_data_is_found_where_it_lies() {
        let memory = image();
        let stretch = Span { start: 0x8000, length: memory.0[0].1.len() as u64 };
        let tables = find(&memory, &[stretch], &|| false).unwrap();
        assert!(!tables.old);
        assert_eq!((tables.text, tables.index), (0x1000, (0x5100, 2)));
        assert_eq!(tables.function_data[0], 0x5f00);
        assert_eq!(tables.units, Span { start: 0x50a0, length: 16 });
        assert_eq!(tables.variables[0], Span { start: 5, length: 1 });
        let mut other = image();
        other.0[1].1[0] = 0xfb;
        assert!(find(&other, &[stretch], &|| false).is_none(), "a table of Go 1.2 is not read");
        assert!(find(&memory, &[stretch], &|| true).is_none(), "the time is up");
    }

    proptest! {
        #[test]
        fn noise_is_no_module_data(seed in any::<u64>(), start in any::<u64>()) {
            let stretch = Span { start, length: 1 << 16 };
            prop_assert!(find(&Noise::new(seed), &[stretch], &|| false).is_none());
        }
    }
}
