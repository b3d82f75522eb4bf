//! Objects of V8's heap: a pointer to one has 1 added to it, a small integer is in the upper half of a word. Before
//! anything is read of an object its map is looked at: memory that is in motion, or none of V8's, is not taken for one.

use super::super::super::memory::Memory;
use super::layout::Layout;

/// Strings within strings that are followed, at most.
const PARTS: usize = 1 << 16;

/// The heap of a process.
#[derive(Clone, Copy)]
pub struct Heap<'a> {
    /// The memory it is in.
    pub memory: &'a Memory,
    /// Where V8 keeps what.
    pub layout: &'a Layout,
}

/// A pointer to an object of the heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Object(pub u64);

/// The text of a string: one byte (Latin-1) or two for each character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// Latin-1.
    Narrow(Vec<u8>),
    /// UTF-16.
    Wide(Vec<u16>),
}

impl Text {
    /// It as a string.
    pub fn lossy(&self) -> String {
        match self {
            Text::Narrow(bytes) => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Text::Wide(units) => String::from_utf16_lossy(units),
        }
    }

    /// How many characters it has.
    pub fn len(&self) -> usize {
        match self {
            Text::Narrow(bytes) => bytes.len(),
            Text::Wide(units) => units.len(),
        }
    }

    /// The character at `index`; 0 beyond the end.
    pub fn at(&self, index: usize) -> u16 {
        match self {
            Text::Narrow(bytes) => bytes.get(index).copied().map_or(0, u16::from),
            Text::Wide(units) => units.get(index).copied().unwrap_or(0),
        }
    }

    fn push(&mut self, other: &Text) {
        match (&mut *self, other) {
            (Text::Narrow(mine), Text::Narrow(others)) => mine.extend_from_slice(others),
            (Text::Wide(mine), Text::Wide(others)) => mine.extend_from_slice(others),
            (Text::Wide(mine), Text::Narrow(others)) => mine.extend(others.iter().copied().map(u16::from)),
            (Text::Narrow(mine), Text::Wide(others)) => {
                let mut wide: Vec<u16> = mine.iter().copied().map(u16::from).collect();
                wide.extend_from_slice(others);
                *self = Text::Wide(wide);
            }
        }
    }
}

/// The small integer that a word is.
pub fn small(word: u64) -> Option<i32> {
    (word & 0xffff_ffff == 0).then_some((word >> 32) as u32 as i32)
}

impl Heap<'_> {
    /// The object that a word points to, by a strong or a weak pointer.
    pub fn object(&self, word: u64) -> Option<Object> {
        (word & 1 == 1 && word > 0xffff && word >> 48 == 0).then_some(Object(word & !2))
    }

    /// The word of an object at `offset`.
    pub fn word(&self, object: Object, offset: u64) -> Option<u64> {
        self.memory.word(object.0.wrapping_sub(1).checked_add(offset)?)
    }

    /// The 32 bits of an object at `offset`.
    pub fn half(&self, object: Object, offset: u64) -> Option<u32> {
        self.memory.read(object.0.wrapping_sub(1).checked_add(offset)?).map(u32::from_le_bytes)
    }

    /// The object that a field points to.
    pub fn field(&self, object: Object, offset: u64) -> Option<Object> {
        self.object(self.word(object, offset)?)
    }

    /// The number of the object's type.
    pub fn kind(&self, object: Object) -> Option<u16> {
        let map = self.field(object, 0)?;
        self.memory.read(map.0.wrapping_sub(1).checked_add(12)?).map(u16::from_le_bytes)
    }

    /// The field, if it points to an object of this type.
    pub fn field_of(&self, object: Object, offset: u64, kind: u16) -> Option<Object> {
        self.field(object, offset).filter(|field| self.kind(*field) == Some(kind))
    }

    /// How long an array is: a small integer, or in later versions a plain number.
    pub fn length(&self, array: Object) -> Option<u64> {
        let word = self.word(array, 8)?;
        Some(small(word).map_or(word & 0xffff_ffff, |length| u64::try_from(length).unwrap_or(0)))
    }

    /// The bytes of an array of bytes, `limit` at most.
    pub fn bytes(&self, array: Object, limit: u64) -> Option<Vec<u8>> {
        self.layout.types.bytes.contains(&self.kind(array)?).then_some(())?;
        let length = self.length(array).filter(|length| *length <= limit)?;
        let mut bytes = vec![0u8; length as usize];
        self.memory.fill(array.0.wrapping_sub(1).checked_add(16)?, &mut bytes).then_some(bytes)
    }

    /// The element of an array of objects, as a word.
    pub fn element(&self, array: Object, index: u64) -> Option<u64> {
        self.layout.types.arrays.contains(&self.kind(array)?).then_some(())?;
        (index < self.length(array)?).then(|| self.word(array, index.checked_mul(8)?.checked_add(16)?))?
    }

    /// The text of a string, if it has no more than `limit` characters.
    pub fn string(&self, string: Object, limit: usize) -> Option<Text> {
        let length = self.string_length(string)?;
        if length > limit {
            return None;
        }
        let mut text = Text::Narrow(Vec::with_capacity(length));
        let mut left = vec![(string, 0usize, length)];
        let mut parts = 0;
        while let Some((string, from, count)) = left.pop() {
            parts += 1;
            if parts > PARTS || count > limit || text.len() > limit {
                return None;
            }
            if count > 0 {
                self.part(string, from, count, &mut text, &mut left)?;
            }
        }
        (text.len() == length).then_some(text)
    }

    /// One string within another: its own text goes to `text`, what it is made of to `left`, the first on top.
    fn part(
        &self,
        string: Object,
        from: usize,
        count: usize,
        text: &mut Text,
        left: &mut Vec<(Object, usize, usize)>,
    ) -> Option<()> {
        let kind = self.kind(string).filter(|kind| *kind < 128)?;
        let narrow = kind & 8 != 0;
        match kind & 7 {
            0 => text.push(&self.characters(string.0.wrapping_sub(1).checked_add(16)?, narrow, from, count)?),
            // An external one: what it points to, unless only its own code can tell.
            2 if kind & 16 == 0 => text.push(&self.characters(self.word(string, 24)?, narrow, from, count)?),
            1 => {
                let (first, second) = (self.field(string, 16)?, self.field(string, 24)?);
                let here = self.string_length(first)?;
                let inside = here.saturating_sub(from).min(count);
                left.push((second, from.saturating_sub(here), count - inside));
                left.push((first, from, inside));
            }
            3 => {
                let offset = usize::try_from(small(self.word(string, 24)?)?).ok()?;
                left.push((self.field(string, 16)?, from.checked_add(offset)?, count));
            }
            5 => left.push((self.field(string, 16)?, from, count)),
            _ => return None,
        }
        Some(())
    }

    fn string_length(&self, string: Object) -> Option<usize> {
        self.kind(string).filter(|kind| *kind < 128)?;
        Some(self.half(string, 12)? as usize).filter(|length| *length < 1 << 30)
    }

    fn characters(&self, address: u64, narrow: bool, from: usize, count: usize) -> Option<Text> {
        let size = if narrow { 1 } else { 2 };
        let at = address.checked_add((from as u64).checked_mul(size)?)?;
        let bytes = count.checked_mul(size as usize)?;
        // Long texts are read in one piece, beside the pages that are kept.
        let read = if bytes > 1 << 14 {
            self.memory.read_fresh(at, bytes)
        } else {
            let mut read = vec![0u8; bytes];
            if self.memory.fill(at, &mut read) { read } else { Vec::new() }
        };
        if read.len() != bytes {
            return None;
        }
        Some(match narrow {
            true => Text::Narrow(read),
            false => Text::Wide(read.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::function::Functions;
    use super::*;

    /// A heap in this test's own memory: words, of which those at 0 to 7 are maps of these kinds.
    struct Words(Vec<u64>);

    impl Words {
        fn new(kinds: [u16; 8]) -> Words {
            let mut words = vec![0u64; 512];
            for (index, kind) in kinds.into_iter().enumerate() {
                words[8 * index + 1] = u64::from(kind) << 32;
            }
            Words(words)
        }

        fn pointer(&self, index: usize) -> u64 {
            self.0.as_ptr() as u64 + 8 * index as u64 + 1
        }

        fn put(&mut self, at: usize, words: &[u64]) -> Object {
            self.0[at..at + words.len()].copy_from_slice(words);
            Object(self.pointer(at))
        }
    }

    fn look<T>(words: &Words, wanted: impl Fn(Heap) -> T) -> T {
        let memory = Memory::of(std::process::id() as i32);
        let seen = wanted(Heap { memory: &memory, layout: &Layout::of_node_20() });
        assert_eq!(words.0.len(), 512);
        seen
    }

    /// Sequential narrow, sequential wide, cons, sliced, thin, external.
    const STRINGS: [u16; 8] = [0x28, 0x20, 0x29, 0x2b, 0x2d, 0x2a, 0x80, 0x80];

    #[test]
    fn strings_of_every_kind_are_read() {
        let mut words = Words::new(STRINGS);
        let map = |words: &Words, kind: usize| words.pointer(8 * kind);
        let length = |length: u64| length << 32;
        let narrow = [map(&words, 0), length(8), u64::from_le_bytes(*b"abc\xe9efgh")];
        let narrow = words.put(100, &narrow);
        let wide = [map(&words, 1), length(3), 0x0000_5b57_6f22_0078];
        let wide = words.put(110, &wide);
        let both = [map(&words, 2), length(11), narrow.0, wide.0];
        let both = words.put(120, &both);
        let sliced = [map(&words, 3), length(5), both.0, 6 << 32];
        let sliced = words.put(130, &sliced);
        let thin = [map(&words, 4), length(5), sliced.0];
        let thin = words.put(140, &thin);
        let outside = [map(&words, 5), length(4), 0, narrow.0 - 1 + 16];
        let outside = words.put(150, &outside);
        let read = |string: Object| look(&words, |heap| heap.string(string, 100).map(|text| text.lossy()));
        assert_eq!(read(narrow).as_deref(), Some("abcéefgh"));
        assert_eq!(read(both).as_deref(), Some("abcéefghx漢字"));
        assert_eq!((read(sliced).as_deref(), read(thin).as_deref()), (Some("ghx漢字"), Some("ghx漢字")));
        assert_eq!(read(outside).as_deref(), Some("abcé"));
        assert_eq!(look(&words, |heap| heap.string(both, 10)), None);
    }

    #[test]
    fn a_string_that_is_made_of_itself_ends() {
        let mut words = Words::new(STRINGS);
        for (at, kind) in [(100, 2), (110, 3), (120, 4)] {
            let own = words.pointer(at);
            let string = [words.pointer(8 * kind), 50 << 32, own, own];
            let string = words.put(at, &string);
            assert_eq!(look(&words, |heap| heap.string(string, 1000)), None);
        }
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(
            noise in prop::collection::vec((0usize..512, 0usize..6, any::<u64>()), 0..300),
            kinds in prop::array::uniform8(prop::sample::select(vec![0x28u16, 0x29, 0x2b, 0x2d, 262, 261, 167, 191, 190, 175, 245])),
        ) {
            let mut words = Words::new(kinds);
            for (at, kind, number) in noise {
                let word = match kind {
                    0 => number,
                    1 => number << 32,
                    2 => words.pointer(8 * (number % 8) as usize),
                    _ => words.pointer((number % 512) as usize),
                };
                words.0[at] = word;
            }
            let functions = Functions::default();
            look(&words, |heap| for index in (0..512).step_by(3) {
                let object = Object(words.pointer(index));
                let _ = heap.string(object, 1 << 20);
                let _ = heap.bytes(object, 1 << 20);
                let _ = heap.element(object, index as u64);
                let _ = functions.get(heap, object).map(|function| (function.script.file(), function.script.line(3)));
            });
        }
    }
}
