//! An ELF file as it lies in the memory of a process: its exported symbols, found through its hash table as the loader
//! finds them. So they are found in files that are deleted, replaced or in another container, too.

use std::fs::File;

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, ReadCache};

use super::super::maps::{Mapping, Maps};
use super::super::memory::Memory;
use super::super::module;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
/// Program headers and entries of the dynamic section that are looked at.
const HEADERS: u64 = 64;
const ENTRIES: u64 = 128;
/// Symbols with the same hash bucket that are looked at.
const CHAIN: u32 = 4096;
/// The longest name of a symbol or section that is looked for, in bytes.
const NAME: usize = 256;

/// An image in memory.
#[derive(Debug, Clone)]
pub struct Image<'a> {
    memory: &'a Memory,
    /// What is added to an address in the file's own terms.
    bias: u64,
    symbols: u64,
    strings: u64,
    hash: u64,
}

impl<'a> Image<'a> {
    /// The image that starts with this mapping, which holds the file's first bytes; `None` when it is not an ELF file of
    /// 64 bits that exports symbols.
    pub fn of(start: &Mapping, maps: &Maps, memory: &'a Memory) -> Option<Image<'a>> {
        let header: [u8; 64] = memory.read(start.start)?;
        if header[..5] != *b"\x7fELF\x02" {
            return None;
        }
        let table = start.start.checked_add(number(&header[32..40]))?;
        let count = number(&header[56..58]).min(HEADERS);
        let (mut first, mut dynamic) = (None, None);
        for index in 0..count {
            let header: [u8; 56] = memory.read(table.checked_add(index * 56)?)?;
            let address = number(&header[16..24]);
            match number(&header[..4]) as u32 {
                PT_LOAD if first.is_none() => first = Some(address / 4096 * 4096),
                PT_DYNAMIC => dynamic = Some(address),
                _ => {}
            }
        }
        let bias = start.start.wrapping_sub(first?);
        let mut image = Image { memory, bias, symbols: 0, strings: 0, hash: 0 };
        let dynamic = bias.wrapping_add(dynamic?);
        for index in 0..ENTRIES {
            let entry: [u8; 16] = memory.read(dynamic.checked_add(index * 16)?)?;
            let value = number(&entry[8..]);
            // glibc writes the real address over that of the file, other loaders leave it.
            let address = if maps.find(value).is_some() { value } else { bias.wrapping_add(value) };
            match number(&entry[..8]) {
                0 => break,
                DT_STRTAB => image.strings = address,
                DT_SYMTAB => image.symbols = address,
                DT_GNU_HASH => image.hash = address,
                _ => {}
            }
        }
        Some(image)
    }

    /// The image of the file with this path.
    pub fn of_file(path: &str, maps: &Maps, memory: &'a Memory) -> Option<Image<'a>> {
        let start = maps.all().iter().find(|mapping| mapping.path == path && mapping.offset == 0)?;
        Image::of(start, maps, memory)
    }

    /// The number of 32 bits that the exported symbol `name` stands for.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.memory.read(self.exported(name)?).map(i32::from_le_bytes)
    }

    /// The address of the exported symbol `name`.
    pub fn exported(&self, name: &str) -> Option<u64> {
        if [self.symbols, self.strings, self.hash].contains(&0) {
            return None;
        }
        let hash = name.bytes().fold(5381u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
        let header: [u8; 16] = self.memory.read(self.hash)?;
        let [buckets, first, bloom] = [0, 4, 8].map(|at| number(&header[at..at + 4]) as u32);
        let at = self.hash.checked_add(16)?.checked_add(u64::from(bloom) * 8)?;
        let bucket = at.checked_add(u64::from(hash.checked_rem(buckets)?) * 4)?;
        let chains = at.checked_add(u64::from(buckets) * 4)?;
        let start = self.half(bucket)?;
        for index in start..start.checked_add(CHAIN)? {
            let found = self.half(chains.checked_add(u64::from(index.checked_sub(first)?) * 4)?)?;
            if found | 1 == hash | 1
                && let Some(address) = self.defined(index, name)
            {
                return Some(address);
            }
            if found & 1 == 1 {
                return None;
            }
        }
        None
    }

    /// The address of the symbol with this index, if it is defined here and has this name.
    fn defined(&self, index: u32, name: &str) -> Option<u64> {
        let symbol: [u8; 24] = self.memory.read(self.symbols.checked_add(u64::from(index) * 24)?)?;
        let at = self.strings.checked_add(number(&symbol[..4]))?;
        let section = number(&symbol[6..8]);
        let same = section != 0 && self.memory.string(at, NAME)? == name;
        same.then(|| self.bias.wrapping_add(number(&symbol[8..16])))
    }

    fn half(&self, address: u64) -> Option<u32> {
        self.memory.read(address).map(u32::from_le_bytes)
    }

    /// The address of a symbol that is not exported, or else of a section, by the file itself, which must be the very
    /// one that is mapped. `via` is the pid, or a tid of the process.
    pub fn in_file(&self, via: i32, mapping: &Mapping, maps: &Maps, symbol: &str, section: &str) -> Option<u64> {
        let file: File = module::open_mapped(via, mapping, maps, self.memory)?;
        let cache = ReadCache::new(file);
        let file = ElfFile64::<LittleEndian, _>::parse(&cache).ok()?;
        let by_symbol = || file.symbols().find(|found| found.is_definition() && found.name() == Ok(symbol));
        let address = file.section_by_name(section).map(|found| found.address());
        Some(self.bias.wrapping_add(address.or_else(|| by_symbol().map(|found| found.address()))?))
    }
}

/// An unsigned number of at most eight bytes, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vdso_exports_what_libc_calls_and_nothing_else() {
        let pid = std::process::id() as i32;
        let (maps, memory) = (Maps::of(pid).unwrap(), Memory::of(pid));
        let vdso = maps.all().iter().find(|mapping| mapping.path == "[vdso]").unwrap();
        let image = Image::of(vdso, &maps, &memory).unwrap();
        // Old kernels have the other kind of hash table there, in which nothing is found.
        if let Some(address) = image.exported("__vdso_clock_gettime") {
            assert!(maps.code(address).unwrap().path == "[vdso]");
        }
        assert_eq!(image.exported("_PyRuntime"), None);
        assert_eq!(image.exported(""), None);
    }

    #[test]
    fn what_is_no_elf_file_has_nothing() {
        let pid = std::process::id() as i32;
        let (maps, memory) = (Maps::of(pid).unwrap(), Memory::of(pid));
        let stack = maps.all().iter().find(|mapping| mapping.path == "[stack]").unwrap();
        assert!(Image::of(stack, &maps, &memory).is_none());
        assert_eq!(number(&[1, 2]), 0x201);
    }

    #[test]
    fn finds_what_the_c_library_exports_and_nothing_else() {
        // A static test binary has no libc.so; then any process on the machine that has one does.
        let pids = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        for pid in pids {
            let maps = Maps::of(pid).unwrap_or_default();
            let Some(path) = maps.all().iter().map(|mapping| &mapping.path).find(|path| path.ends_with("/libc.so.6"))
            else {
                continue;
            };
            let memory = Memory::of(pid);
            let Some(image) = Image::of_file(path, &maps, &memory) else { continue };
            let code = image.exported("getpid").expect("every libc has it");
            assert!(maps.code(code).is_some(), "{code:#x}");
            assert_eq!(image.exported("no_such_symbol_anywhere"), None);
            return;
        }
    }
}
