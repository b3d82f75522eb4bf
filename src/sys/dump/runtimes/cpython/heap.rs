//! Objects of CPython in the memory of another process: types, strings, numbers, dictionaries, lists, sets.
//!
//! Only what the interpreter itself keeps is looked at: names of code, modules, threads and tasks. Values of the
//! program, which may be passwords, are never read.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use super::super::super::memory::Memory;
use super::layout::Layout;

/// Size of the head of an object: its reference count and its type.
pub const HEAD: u64 = 16;
/// Characters of a string that are read.
const CHARACTERS: u64 = 4096;
/// Entries of one dictionary, list or set that are looked at.
pub const ENTRIES: u64 = 1 << 16;
/// Base classes that are looked at.
const BASES: usize = 16;

const FLAG_INLINE_VALUES: u64 = 1 << 2;
const FLAG_MANAGED_DICT: u64 = 1 << 4;
const FLAG_HEAP_TYPE: u64 = 1 << 9;
const FLAG_INT: u64 = 1 << 24;
const FLAG_LIST: u64 = 1 << 25;
const FLAG_BYTES: u64 = 1 << 27;
const FLAG_STR: u64 = 1 << 28;
const FLAG_DICT: u64 = 1 << 29;

/// A type.
#[derive(Debug, Clone, Default)]
pub struct Type {
    /// Its name: `code`, `_asyncio.Task`; of a class, without its module.
    pub name: String,
    flags: u64,
    size: u64,
    dict_offset: i64,
    base: u64,
    cached_keys: u64,
}

/// The objects of one interpreter.
pub struct Heap {
    /// Its memory; pages are kept, so that names that lie together are read at once.
    memory: Memory,
    /// Where things are.
    pub layout: Layout,
    types: RefCell<HashMap<u64, Option<Rc<Type>>>>,
    deadline: Instant,
    reads: Cell<u32>,
    late: Cell<bool>,
}

impl Heap {
    /// The objects in `memory`. After the deadline nothing can be read any more, so that whatever is under way ends.
    pub fn new(memory: Memory, layout: Layout, deadline: Instant) -> Heap {
        Heap { memory, layout, types: RefCell::default(), deadline, reads: Cell::new(0), late: Cell::new(false) }
    }

    /// Whether the deadline is over.
    pub fn is_late(&self) -> bool {
        self.late.set(self.late.get() || Instant::now() >= self.deadline);
        self.late.get()
    }

    /// Counts a read; `None` when it is too late for it. The clock is looked at only now and then.
    fn in_time(&self) -> Option<()> {
        self.reads.set(self.reads.get().wrapping_add(1));
        let late = self.late.get() || (self.reads.get().is_multiple_of(256) && self.is_late());
        (!late).then_some(())
    }

    /// `length` bytes as they are now, or `None` if not all can be read.
    pub fn now(&self, address: u64, length: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(length).ok()?;
        self.in_time()?;
        let bytes = self.memory.read_fresh(address, length);
        (bytes.len() == length).then_some(bytes)
    }

    /// Pieces of memory (address and length) as they are at one moment, up to the first that cannot be read.
    pub fn together(&self, pieces: &[(u64, usize)]) -> Vec<Vec<u8>> {
        self.in_time().map(|()| self.memory.read_together(pieces)).unwrap_or_default()
    }

    /// The word at `address` as it is now.
    pub fn word_now(&self, address: u64) -> Option<u64> {
        word(&self.now(address, 8)?, 0)
    }

    /// The word at `address`.
    pub fn word(&self, address: u64) -> Option<u64> {
        self.in_time()?;
        self.memory.word(address)
    }

    /// The word that is `offset` bytes into what `address` points to.
    pub fn field(&self, address: u64, offset: u64) -> Option<u64> {
        self.word(address.checked_add(offset)?)
    }

    /// A byte.
    pub fn byte(&self, address: u64) -> Option<u8> {
        self.memory.read(address).map(|[byte]| byte)
    }

    /// The type of an object.
    pub fn type_of(&self, object: u64) -> Option<Rc<Type>> {
        if object == 0 || !object.is_multiple_of(8) {
            return None;
        }
        self.type_at(self.field(object, 8)?)
    }

    /// The type at this address.
    pub fn type_at(&self, address: u64) -> Option<Rc<Type>> {
        if let Some(known) = self.types.borrow().get(&address) {
            return known.clone();
        }
        let found = self.read_type(address).map(Rc::new);
        self.types.borrow_mut().insert(address, found.clone());
        found
    }

    fn read_type(&self, address: u64) -> Option<Type> {
        // The first fields of `PyTypeObject` are the same in all versions.
        let bytes: [u8; 296] = self.memory.read(address)?;
        let name = self.memory.string(word(&bytes, 24)?, 256).filter(|name| !name.is_empty())?;
        let flags = word(&bytes, 168)?;
        let keys = (flags & FLAG_HEAP_TYPE != 0).then(|| self.field(address, self.layout.cached_keys)).flatten();
        Some(Type {
            name,
            flags,
            size: word(&bytes, 32)?,
            dict_offset: word(&bytes, 288)?.cast_signed(),
            base: word(&bytes, 256)?,
            cached_keys: keys.unwrap_or(0),
        })
    }

    /// Whether the object's type is the one with this name, or a class made from it.
    pub fn is_a(&self, object: u64, name: &str) -> bool {
        let mut at = self.type_of(object);
        for _ in 0..BASES {
            match at {
                Some(found) if found.name == name => return true,
                Some(found) => at = self.type_at(found.base),
                None => return false,
            }
        }
        false
    }

    /// The object, if its type has this flag.
    fn with_flag(&self, object: u64, flag: u64) -> Option<Rc<Type>> {
        self.type_of(object).filter(|found| found.flags & flag != 0)
    }

    /// A string.
    pub fn text(&self, object: u64) -> Option<String> {
        self.with_flag(object, FLAG_STR)?;
        let length = self.field(object, HEAD)?.min(CHARACTERS);
        let state = self.field(object, 32)? as u32;
        let (size, compact, ascii) = ((state >> 2) & 7, state & 32 != 0, state & 64 != 0);
        // Strings whose characters lie elsewhere are of classes made from `str`: nothing that names code.
        if !compact || !matches!(size, 1 | 2 | 4) {
            return None;
        }
        let start = self.layout.ascii + if ascii { 0 } else { self.layout.compact };
        let mut bytes = vec![0; (length * u64::from(size)) as usize];
        self.memory.fill(object.checked_add(start)?, &mut bytes).then(|| decode(&bytes, size))
    }

    /// Bytes, at most `limit` of them.
    pub fn bytes(&self, object: u64, limit: u64) -> Option<Vec<u8>> {
        self.with_flag(object, FLAG_BYTES)?;
        let length = self.field(object, HEAD)?;
        (length <= limit).then(|| self.now(object.checked_add(32)?, length))?
    }

    /// A number that is not negative and has at most 60 bits.
    pub fn number(&self, object: u64) -> Option<u64> {
        self.with_flag(object, FLAG_INT)?;
        let head = self.field(object, HEAD)?;
        // Since 3.12 the sign has two bits below the number of digits; negative numbers are of no use here.
        let digits = match self.layout.minor >= 12 {
            true if head & 3 == 2 || head == 0 => return None,
            true if head & 3 == 1 => 0,
            true => head >> 3,
            false => head,
        };
        let [low, high]: [u64; 2] = {
            let word = self.field(object, 24)?;
            [word & 0x3fff_ffff, (word >> 32) & 0x3fff_ffff]
        };
        match digits {
            0 => Some(0),
            1 => Some(low),
            2 => Some(high << 30 | low),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn list(&self, object: u64) -> Option<Vec<u64>> {
        self.with_flag(object, FLAG_LIST)?;
        let (length, items) = (self.field(object, HEAD)?.min(ENTRIES), self.field(object, 24)?);
        (0..length).map(|index| self.field(items, index * 8)).collect()
    }

    /// The elements of a set.
    pub fn set(&self, object: u64) -> Option<Vec<u64>> {
        let name = &self.type_of(object)?.name;
        if name != "set" && name != "frozenset" {
            return None;
        }
        let (mask, table) = (self.field(object, 32)?, self.field(object, 40)?);
        let (mut left, mut found) = (self.field(object, 24)?, Vec::new());
        for index in 0..=mask.min(ENTRIES * 4) {
            if left == 0 {
                break;
            }
            let key = self.field(table, index * 16)?;
            // What was removed has left a mark, whose hash is -1.
            if key != 0 && self.field(table, index * 16 + 8)? != u64::MAX {
                found.push(key);
                left -= 1;
            }
        }
        Some(found)
    }

    /// The keys and values of a dictionary.
    pub fn dict(&self, object: u64) -> Option<Vec<(u64, u64)>> {
        self.with_flag(object, FLAG_DICT)?;
        let (keys, values) = (self.field(object, 32)?, self.field(object, 40)?);
        let values = (values != 0).then(|| values.checked_add(self.values_start())).flatten();
        self.entries(keys, values)
    }

    /// The value of this key, which is a string.
    pub fn item(&self, dict: u64, key: &str) -> Option<u64> {
        self.value_of(self.dict(dict)?, key)
    }

    fn value_of(&self, entries: Vec<(u64, u64)>, key: &str) -> Option<u64> {
        let same = |found: &(u64, u64)| {
            self.field(found.0, HEAD) == Some(key.len() as u64) && self.text(found.0).as_deref() == Some(key)
        };
        entries.into_iter().find(same).map(|(_, value)| value)
    }

    /// Where the values start in a table of values.
    fn values_start(&self) -> u64 {
        if self.layout.minor >= 13 { 8 } else { 0 }
    }

    /// The entries of a table of keys; with `values`, those are there instead of beside the keys.
    fn entries(&self, keys: u64, values: Option<u64>) -> Option<Vec<(u64, u64)>> {
        let head: [u8; 40] = self.memory.read(keys)?;
        // The index of the hash table comes first; before 3.11 its width follows from its number of slots.
        let (kind, count, index) = match self.layout.minor {
            ..=10 => {
                let slots = word(&head, 8)?;
                let width = match slots {
                    0..=0xff => 1,
                    0x100..=0xffff => 2,
                    0x1_0000..=0xffff_ffff => 4,
                    _ => 8,
                };
                (0, word(&head, 32)?, slots.checked_mul(width)?.checked_add(8)?)
            }
            _ => (head[10], word(&head, 24)?, 1u64.checked_shl(u32::from(head[9]))?),
        };
        let start = keys.checked_add(32)?.checked_add(index)?;
        // Tables whose keys are all strings do not keep the keys' hashes.
        let (size, key_at) = if kind == 0 { (24, 8) } else { (16, 0) };
        let mut found = Vec::new();
        for index in 0..count.min(ENTRIES) {
            let entry = start.checked_add(index * size)?;
            let key = self.field(entry, key_at)?;
            let value = match values {
                Some(values) => self.field(values, index * 8)?,
                None => self.field(entry, key_at + 8)?,
            };
            if key != 0 && value != 0 {
                found.push((key, value));
            }
        }
        Some(found)
    }

    /// An attribute that an object keeps in its own dictionary.
    pub fn attribute(&self, object: u64, name: &str) -> Option<u64> {
        self.value_of(self.attributes(object)?, name)
    }

    fn attributes(&self, object: u64) -> Option<Vec<(u64, u64)>> {
        let found = self.type_of(object)?;
        let before = |words: u64| self.word(object.checked_sub(words * 8)?);
        if found.flags & FLAG_MANAGED_DICT == 0 {
            let offset = u64::try_from(found.dict_offset).ok().filter(|offset| *offset > 0)?;
            return self.dict(self.field(object, offset)?);
        }
        let dict = before(3)?;
        match self.layout.minor {
            ..=11 => match before(4)? {
                0 => self.dict(dict),
                values => self.entries(found.cached_keys, Some(values)),
            },
            // The lowest bit tells values from a dictionary; the pointer is one too low then.
            12 if dict & 1 == 1 => self.entries(found.cached_keys, dict.checked_add(1)),
            _ if dict == 0 && found.flags & FLAG_INLINE_VALUES != 0 => {
                let values = object.checked_add(found.size)?.checked_add(self.values_start())?;
                self.entries(found.cached_keys, Some(values))
            }
            _ => self.dict(dict),
        }
    }
}

/// The word at `offset`.
pub fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let at = usize::try_from(offset).ok()?;
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// The half word at `offset`, with its sign.
pub fn half(bytes: &[u8], offset: u64) -> Option<i32> {
    let at = usize::try_from(offset).ok()?;
    Some(i32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Characters of `size` bytes each; what is no character becomes U+FFFD.
fn decode(bytes: &[u8], size: u32) -> String {
    let character = |bytes: &[u8]| {
        let number = bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte));
        char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    bytes.chunks_exact(size.max(1) as usize).map(character).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::layout;
    use super::*;

    #[test]
    fn strings_of_all_widths() {
        assert_eq!(decode(b"caf\xe9", 1), "café");
        assert_eq!(decode(&[0x42, 0x04, 0x41, 0x00], 2), "тA");
        assert_eq!(decode(&[0x00, 0xf6, 0x01, 0, 0x00, 0xd8, 0, 0], 4), "😀\u{fffd}");
        assert_eq!(decode(&[1], 2), "");
    }

    /// Objects made of noise, linked to each other, in the memory of the test itself.
    fn noise(words: &[(bool, u64)]) -> Vec<u64> {
        let mut memory = vec![0u64; words.len()];
        let base = memory.as_ptr() as u64;
        for (place, (pointer, word)) in memory.iter_mut().zip(words) {
            *place = if *pointer { base + word % (words.len() as u64) * 8 } else { *word };
        }
        memory
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn noise_does_no_harm(words in proptest::collection::vec((any::<bool>(), any::<u64>()), 64..256)) {
            let memory = noise(&words);
            for layout in layout::ALL {
                let deadline = Instant::now() + std::time::Duration::from_millis(20);
                let heap = Heap::new(Memory::of(std::process::id() as i32), *layout, deadline);
                for object in memory.iter().take(16).map(|word| std::ptr::from_ref(word) as u64) {
                    let _ = (heap.text(object), heap.number(object), heap.list(object), heap.set(object));
                    let _ = (heap.attribute(object, "x"), heap.entries(object, None), heap.is_a(object, "x"));
                    let _ = (heap.bytes(object, 64), heap.dict(object), heap.type_of(object));
                }
            }
        }
    }
}
