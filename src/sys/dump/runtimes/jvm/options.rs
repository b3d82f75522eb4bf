//! What a HotSpot JVM says of itself to debuggers: its version and its flags, by the tables that `libjvm.so` exports
//! for the serviceability agent (`vmStructs.hpp` of the JDK).

use super::super::{Subject, exported};

/// Entries of a table, and flags, that are looked at, at most.
const ENTRIES: u64 = 20_000;
/// The longest name that is looked for, in bytes, with its NUL.
const NAME: usize = 32;

/// Numbers that lie in variables of their own: the layout of the two tables.
const LAYOUT: [&str; 8] = [
    "gHotSpotVMStructs",
    "gHotSpotVMStructEntryTypeNameOffset",
    "gHotSpotVMStructEntryFieldNameOffset",
    "gHotSpotVMStructEntryOffsetOffset",
    "gHotSpotVMStructEntryAddressOffset",
    "gHotSpotVMStructEntryArrayStride",
    "gHotSpotVMTypes",
    "gHotSpotVMTypeEntryTypeNameOffset",
];
const TYPE_SIZE: &str = "gHotSpotVMTypeEntrySizeOffset";
const TYPE_STRIDE: &str = "gHotSpotVMTypeEntryArrayStride";

/// The tables of one JVM.
pub struct Tables<'a> {
    subject: &'a Subject<'a>,
    /// Values of the variables in [`LAYOUT`], and of the last two.
    layout: Vec<u64>,
}

/// Where a field is.
#[derive(Debug, Clone, Copy)]
struct Field {
    /// In its object.
    offset: u64,
    /// In memory, when it is static.
    address: u64,
}

impl<'a> Tables<'a> {
    /// Those of the process; `None` when they cannot be read.
    pub fn of(subject: &'a Subject<'a>) -> Option<Tables<'a>> {
        let library = exported::mapped(subject, "libjvm.so")?;
        let mut names = LAYOUT.to_vec();
        names.extend([TYPE_SIZE, TYPE_STRIDE]);
        let found = exported::addresses(subject, library, &names);
        let layout = names.iter().map(|name| subject.memory.word(*found.get(*name)?)).collect::<Option<_>>()?;
        Some(Tables { subject, layout })
    }

    /// The version: `17.0.9+9`, `25.412-b08` for 8u412.
    pub fn version(&self) -> Option<String> {
        let text = self.subject.memory.word(self.field(&["Abstract_VM_Version"], "_s_vm_release")?.address)?;
        self.subject.memory.string(text, 128).filter(|version| !version.is_empty())
    }

    /// The value of a flag that is a `bool`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        // Its type was called `Flag` up to version 9.
        let types = ["JVMFlag", "Flag"];
        let memory = self.subject.memory;
        let flags = memory.word(self.field(&types, "flags")?.address)?;
        let count = memory.word(self.field(&types, "numFlags")?.address)?.min(ENTRIES);
        let (name_at, value_at) = (self.field(&types, "_name")?.offset, self.field(&types, "_addr")?.offset);
        let size = self.size(&types)?;
        (0..count).find_map(|index| {
            let flag = flags.checked_add(index.checked_mul(size)?)?;
            if !self.is_named(memory.word(flag.checked_add(name_at)?)?, &[name]) {
                return None;
            }
            let [value] = memory.read(memory.word(flag.checked_add(value_at)?)?)?;
            Some(value != 0)
        })
    }

    fn field(&self, types: &[&str], name: &str) -> Option<Field> {
        let [start, type_at, name_at, offset_at, address_at, stride] = *self.layout.get(..6)? else { return None };
        let word = |at: u64, offset: u64| self.subject.memory.word(at.checked_add(offset)?);
        for index in 0..ENTRIES {
            let entry = start.checked_add(index.checked_mul(stride)?)?;
            // The table ends with an entry without a name.
            let type_name = word(entry, type_at).filter(|name| *name != 0)?;
            if self.is_named(word(entry, name_at)?, &[name]) && self.is_named(type_name, types) {
                return Some(Field { offset: word(entry, offset_at)?, address: word(entry, address_at)? });
            }
        }
        None
    }

    fn size(&self, types: &[&str]) -> Option<u64> {
        let [start, name_at, size_at, stride] = *self.layout.get(6..)? else { return None };
        let word = |at: u64, offset: u64| self.subject.memory.word(at.checked_add(offset)?);
        for index in 0..ENTRIES {
            let entry = start.checked_add(index.checked_mul(stride)?)?;
            let name = word(entry, name_at).filter(|name| *name != 0)?;
            if self.is_named(name, types) {
                return word(entry, size_at);
            }
        }
        None
    }

    /// Whether one of these names stands at `address`.
    fn is_named(&self, address: u64, names: &[&str]) -> bool {
        names.iter().any(|name| {
            let mut bytes = [0u8; NAME];
            let Some(there) = bytes.get_mut(..name.len() + 1) else { return false };
            self.subject.memory.fill(address, there) && there.split_last() == Some((&0, name.as_bytes()))
        })
    }
}
