//! Ruby's strings, arrays and names in the memory of a process.

use super::layout::Layout;
use crate::sys::dump::memory::Memory;

/// The longest text that is read, in bytes.
const TEXT: u64 = 4096;

const T_STRING: u64 = 0x05;
const T_ARRAY: u64 = 0x07;
const T_IMEMO: u64 = 0x1a;
/// `imemo_ment`: a method.
const METHOD: u64 = 6;
/// `imemo_iseq`: compiled code.
const CODE: u64 = 7;
/// `FL_USER1`: a string is not in its object; an array is.
const USER1: u64 = 1 << 13;

/// The values of one process.
#[derive(Clone, Copy)]
pub struct Values<'a> {
    /// Its memory.
    pub memory: &'a Memory,
    /// Where its fields lie.
    pub layout: Layout,
}

impl Values<'_> {
    /// The word at this offset.
    pub fn at(&self, address: u64, offset: u64) -> Option<u64> {
        self.memory.word(address.checked_add(offset)?)
    }

    /// The number of 32 bits at this offset.
    pub fn half_at(&self, address: u64, offset: u64) -> Option<u32> {
        self.memory.read(address.checked_add(offset)?).map(u32::from_le_bytes)
    }

    /// Whether it is an object in memory: not `nil`, a small number or a symbol.
    fn flags(&self, value: u64) -> Option<u64> {
        if value < 4096 || !value.is_multiple_of(8) { None } else { self.memory.word(value) }
    }

    fn is_imemo(&self, value: u64, kind: u64) -> bool {
        self.flags(value).is_some_and(|flags| flags & 0x1f == T_IMEMO && flags >> 12 & 0xf == kind)
    }

    /// Whether it is a method.
    pub fn is_method(&self, value: u64) -> bool {
        self.is_imemo(value, METHOD)
    }

    /// Whether it is compiled code.
    pub fn is_code(&self, value: u64) -> bool {
        self.is_imemo(value, CODE)
    }

    /// The text of a string; `None` for anything else.
    pub fn string(&self, value: u64) -> Option<String> {
        let flags = self.flags(value).filter(|flags| flags & 0x1f == T_STRING)?;
        let apart = flags & USER1 != 0;
        let wide = self.layout.wide_strings;
        let length = if apart || wide { self.at(value, 16)? } else { flags >> 14 & 0x1f };
        let text = match (apart, wide) {
            (true, _) => self.at(value, 24)?,
            (false, true) => value.checked_add(24)?,
            (false, false) => value.checked_add(16)?,
        };
        if length > TEXT {
            return None;
        }
        let mut bytes = vec![0u8; length as usize];
        self.memory.fill(text, &mut bytes).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// An element of an array; `None` for anything else, or when it is beyond the end.
    pub fn element(&self, value: u64, index: u64) -> Option<u64> {
        let (length, elements) = self.array(value)?;
        if index < length { self.at(elements, index.checked_mul(8)?) } else { None }
    }

    /// Length of an array and address of its elements.
    pub fn array(&self, value: u64) -> Option<(u64, u64)> {
        let flags = self.flags(value).filter(|flags| flags & 0x1f == T_ARRAY)?;
        match flags & USER1 != 0 {
            true => Some((flags >> 15 & 0x7f, value.checked_add(16)?)),
            false => Some((self.at(value, 16)?, self.at(value, 32)?)),
        }
    }
}

/// The table of Ruby's symbols: an array of arrays, of 512 names each.
#[derive(Debug, Clone, Copy)]
pub struct Symbols {
    ids: u64,
}

impl Symbols {
    /// Finds the table (`ruby_global_symbols`: the last number given, and 16 bytes on the array) in the data of Ruby,
    /// which is given by the address of each part.
    pub fn find(values: &Values, data: &[(u64, Vec<u8>)]) -> Option<Symbols> {
        let word = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        data.iter().flat_map(|(_, bytes)| (0..bytes.len()).step_by(8).map(move |at| (bytes, at))).find_map(
            |(bytes, at)| {
                let last = word(bytes, at)? & u64::from(u32::MAX);
                let ids = word(bytes, at + 16)?;
                // Every Ruby begins with some thousand symbols.
                if !(1000..1 << 28).contains(&last) {
                    return None;
                }
                let (length, elements) = values.array(ids)?;
                let (inner, _) = values.array(values.memory.word(elements)?)?;
                (length == last / 512 + 1 && inner == 1024).then_some(Symbols { ids })
            },
        )
    }

    /// The name of an identifier; `None` for operators of more than one character.
    pub fn name(&self, values: &Values, id: u64) -> Option<String> {
        if id < 0x80 {
            return char::from_u32(id as u32).filter(char::is_ascii_graphic).map(String::from);
        }
        // Below are the numbers of operators, which stand for themselves.
        let serial = if id < 0x100 { id } else { id >> 4 };
        let names = values.element(self.ids, serial / 512)?;
        values.string(values.element(names, serial % 512 * 2)?)
    }
}
