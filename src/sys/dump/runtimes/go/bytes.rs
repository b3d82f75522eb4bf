//! Memory as the reader sees it: that of another process, or what a test puts in its place.

use super::super::super::memory::Memory;

/// Memory that may change and may make no sense.
pub trait Bytes {
    /// Fills `out` with what is at `address`; `false` when some of it is not there.
    fn fill(&self, address: u64, out: &mut [u8]) -> bool;

    /// Reads pieces, each of an address and a length, behind one another into `out`, as they are now; says of each
    /// whether it is whole.
    fn pieces(&self, pieces: &[(u64, usize)], out: &mut Vec<u8>) -> Vec<bool> {
        out.clear();
        out.resize(pieces.iter().map(|(_, length)| *length).sum(), 0);
        let mut rest = out.as_mut_slice();
        let mut whole = Vec::with_capacity(pieces.len());
        for (address, length) in pieces {
            let (piece, after) = rest.split_at_mut(*length);
            whole.push(self.fill(*address, piece));
            rest = after;
        }
        whole
    }

    /// The word of 64 bits at `address`.
    fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.fill(address, &mut bytes).then(|| u64::from_le_bytes(bytes))
    }

    /// The number of 32 bits at `address`.
    fn number(&self, address: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.fill(address, &mut bytes).then(|| u32::from_le_bytes(bytes))
    }

    /// `count` bytes at `address`.
    fn bytes(&self, address: u64, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.fill(address, &mut bytes).then_some(bytes)
    }

    /// Text at `address` up to a NUL, of at most `limit` bytes; lossy.
    fn text(&self, address: u64, limit: usize) -> Option<String> {
        const STEP: usize = 64;
        let mut text: Vec<u8> = Vec::new();
        while text.len() < limit {
            let at = address.checked_add(text.len() as u64)?;
            let mut part = [0; STEP];
            // The last part may reach over the end of what is mapped.
            let count = if self.fill(at, &mut part) { STEP } else { usize::from(self.fill(at, &mut part[..1])) };
            let part = part.get(..count).filter(|part| !part.is_empty())?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&part[..end]);
                return Some(String::from_utf8_lossy(&text).into_owned());
            }
            text.extend_from_slice(part);
        }
        text.truncate(limit);
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

impl Bytes for Memory {
    fn fill(&self, address: u64, out: &mut [u8]) -> bool {
        Memory::fill(self, address, out)
    }

    fn pieces(&self, pieces: &[(u64, usize)], out: &mut Vec<u8>) -> Vec<bool> {
        self.read_pieces(pieces, out)
    }
}

/// The word of 64 bits at `offset` in `bytes`.
pub fn word_in(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// The number of 32 bits at `offset` in `bytes`.
pub fn number_in(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Memory for tests.
#[cfg(test)]
pub mod testing {
    use std::cell::Cell;

    use super::Bytes;

    /// Memory in which everything is there and nothing makes sense: each byte follows from its address and the seed.
    pub struct Noise {
        /// What tells one from another.
        pub seed: u64,
        /// How many of 256 bytes are small numbers rather than any: small ones lead further in most tables.
        pub tame: u8,
        /// How often it was read.
        pub reads: Cell<u64>,
    }

    impl Noise {
        /// Noise that follows from `seed`.
        pub fn new(seed: u64) -> Noise {
            Noise { seed, tame: (seed >> 7) as u8, reads: Cell::new(0) }
        }

        fn byte(&self, address: u64) -> u8 {
            let mut mixed = (address ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed ^= mixed >> 29;
            mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let [kind, byte, ..] = (mixed ^ (mixed >> 32)).to_le_bytes();
            if kind < self.tame { byte % 3 } else { byte }
        }
    }

    impl Bytes for Noise {
        fn fill(&self, address: u64, out: &mut [u8]) -> bool {
            self.reads.set(self.reads.get() + 1);
            for (index, byte) in out.iter_mut().enumerate() {
                *byte = self.byte(address.wrapping_add(index as u64));
            }
            // Here and there a page is missing.
            !(address >> 12).wrapping_add(self.seed).is_multiple_of(17)
        }
    }

    /// A few pieces of memory and nothing else.
    #[derive(Default)]
    pub struct Pieces(pub Vec<(u64, Vec<u8>)>);

    impl Bytes for Pieces {
        fn fill(&self, address: u64, out: &mut [u8]) -> bool {
            self.0.iter().any(|(start, bytes)| {
                let Some(from) = address.checked_sub(*start) else { return false };
                let found = usize::try_from(from).ok().and_then(|from| bytes.get(from..from.checked_add(out.len())?));
                found.is_some_and(|found| {
                    out.copy_from_slice(found);
                    true
                })
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Pieces;
    use super::*;

    #[test]
    fn numbers_and_text() {
        let memory = Pieces(vec![(0x1000, b"\x01\x02\0\0\0\0\0\0main.main\0".to_vec())]);
        assert_eq!((memory.word(0x1000), memory.number(0x1000)), (Some(0x201), Some(0x201)));
        assert_eq!(memory.text(0x1008, 100).as_deref(), Some("main.main"));
        assert_eq!(memory.text(0x1008, 4).as_deref(), Some("main"));
        assert_eq!(memory.text(0x1012, 4), None);
        assert_eq!(memory.word(0xffff_ffff_ffff_fffc), None);
        let mut out = Vec::new();
        assert_eq!(memory.pieces(&[(0x1000, 2), (7, 3), (0x1008, 1)], &mut out), [true, false, true]);
        assert_eq!((out[0], out[5]), (1, b'm'));
    }
}
