//! The kinds of tasks that a program can have, by its symbols: for each future that it starts as a task the runtime has a
//! table of functions, which the record of every such task points to.

use std::collections::{HashMap, HashSet};

use memchr::memmem;
use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{LittleEndian, Object, ObjectSection, ReadCache};

use super::super::Subject;
use super::names;
use super::task::Layout;
use crate::sys::dump::module;

/// Tables of symbols, their names and the constants of a program that are larger are not read: 64 MiB each.
const SECTION: u64 = 64 << 20;
/// Bytes of constants that are read at once.
const PART: usize = 1 << 20;
/// Kinds that are looked at, at most.
const KINDS: usize = 4096;
/// Words of a table.
const WORDS: usize = 12;

/// One kind of task.
#[derive(Debug, Clone)]
pub struct Kind {
    /// The function that polls it, in the process.
    pub poll: u64,
    /// How the records of its tasks begin.
    pub layout: Layout,
}

/// A program's functions.
pub struct Functions<'d> {
    /// Address in the file's own terms, size, and where the name is; by address.
    pub list: Vec<(u64, u64, u32)>,
    /// The names, each ending with NUL.
    pub names: &'d [u8],
    /// Where those begin that poll tasks.
    polls: HashSet<u64>,
}

impl<'d> Functions<'d> {
    /// `None` when there is none that polls a task: then no more than the names is read.
    fn of(symbols: impl FnOnce() -> Option<&'d [u8]>, names: &'d [u8]) -> Option<Functions<'d>> {
        let wanted: HashSet<u32> = memmem::find_iter(names, names::POLL).map(|at| begins(names, at) as u32).collect();
        if wanted.is_empty() {
            return None;
        }
        let (mut list, mut polls) = (Vec::new(), HashSet::new());
        for symbol in symbols()?.chunks_exact(24) {
            let number = |at: usize, length: usize| {
                symbol[at..at + length].iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
            };
            let (name, address) = (number(0, 4) as u32, number(8, 8));
            let is_function = symbol[4] & 15 == 2 && number(6, 2) != 0;
            if is_function {
                list.push((address, number(16, 8), name));
                if wanted.contains(&name) {
                    polls.insert(address);
                }
            }
        }
        list.sort_unstable();
        Some(Functions { list, names, polls })
    }

    /// All symbols that stand for the function at this address.
    pub fn at(&self, address: u64) -> impl Iterator<Item = (u64, &'d str)> + '_ {
        let first = self.list.partition_point(|(start, ..)| *start < address);
        let same = self.list[first..].iter().take_while(move |(start, ..)| *start == address);
        same.filter_map(|(_, size, name)| Some((*size, self.name(*name)?)))
    }

    /// The name that begins here.
    pub fn name(&self, start: u32) -> Option<&'d str> {
        let rest = self.names.get(start as usize..)?;
        std::str::from_utf8(&rest[..memchr::memchr(0, rest)?]).ok()
    }
}

/// Where the name begins that this byte is a part of.
pub fn begins(names: &[u8], at: usize) -> usize {
    memchr::memrchr(0, &names[..at]).map_or(0, |nul| nul + 1)
}

/// A program in a process.
pub struct Program<'a, 'd> {
    /// The process.
    pub subject: &'a Subject<'a>,
    /// Its functions.
    pub functions: Functions<'d>,
    /// What is added to an address in the file's own terms.
    pub bias: u64,
}

/// Reads the symbols of a process's program, and does something with the kinds of its tasks, by the addresses of their
/// tables; `None` when it has none.
pub fn with_kinds<R>(subject: &Subject, then: impl FnOnce(&Program, &HashMap<u64, Kind>) -> R) -> Option<R> {
    let own = |mapping: &&crate::sys::dump::maps::Mapping| mapping.path == subject.executable && mapping.inode != 0;
    let start = subject.maps.image_start(subject.maps.all().iter().find(own)?)?;
    let file = module::open_mapped(subject.via, start, subject.maps, subject.memory)?;
    let cache = ReadCache::new(file);
    let elf = ElfFile64::<LittleEndian, _>::parse(&cache).ok()?;
    let section = |name: &str| elf.section_by_name(name).filter(|section| section.size() <= SECTION);
    let names = section(".strtab")?.data().ok()?;
    let functions = Functions::of(|| section(".symtab")?.data().ok(), names)?;
    let loads = |segment: &&object::elf::ProgramHeader64<LittleEndian>| segment.p_type(LittleEndian) == PT_LOAD;
    let first = elf.elf_program_headers().iter().find(loads)?.p_vaddr(LittleEndian);
    let program = Program { subject, functions, bias: start.start.wrapping_sub(first / 4096 * 4096) };
    let mut kinds = HashMap::new();
    // Addresses that the loader writes are in the first, those of a program at a fixed address in either.
    for constants in [".data.rel.ro", ".rodata"].into_iter().filter_map(section) {
        program.tables(constants.address(), constants.size(), &mut kinds);
    }
    (!kinds.is_empty()).then(|| then(&program, &kinds))
}

impl Program<'_, '_> {
    /// An address of the file's own terms in the process.
    pub fn at(&self, address: u64) -> u64 {
        self.bias.wrapping_add(address)
    }

    /// Finds the tables in a section of constants, as it is in the process.
    fn tables(&self, address: u64, size: u64, kinds: &mut HashMap<u64, Kind>) {
        let memory = self.subject.memory;
        let mut bytes = vec![0; PART];
        for offset in (0..size).step_by(PART) {
            let start = self.at(address.wrapping_add(offset));
            let length = (size - offset).min(PART as u64) as usize;
            let got = memory.read_into(start, &mut bytes[..length]);
            for (index, word) in bytes[..got].chunks_exact(8).enumerate() {
                let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
                if !self.functions.polls.contains(&word.wrapping_sub(self.bias)) || kinds.len() >= KINDS {
                    continue;
                }
                let table = start + 8 * index as u64;
                if let Some(layout) = self.table(table).and_then(|words| layout(&words, |word| self.is_code(word))) {
                    kinds.insert(table, Kind { poll: word, layout });
                }
            }
        }
    }

    /// The words of a table.
    pub fn table(&self, table: u64) -> Option<[u64; WORDS]> {
        let mut words = [0; WORDS];
        for (index, word) in words.iter_mut().enumerate() {
            // The last table may end where what is mapped does.
            *word = self.subject.memory.word(table.checked_add(8 * index as u64)?).unwrap_or(0);
        }
        Some(words)
    }

    /// Whether code is at this address of the process.
    pub fn is_code(&self, address: u64) -> bool {
        self.subject.maps.code(address).is_some()
    }
}

/// What a table says of how the records of its tasks begin; `None` when it is no such table. Since 1.22 it has numbers
/// behind its functions: where in a record that which comes last, the scheduler, and the task's number are.
fn layout(words: &[u64; WORDS], is_code: impl Fn(u64) -> bool) -> Option<Layout> {
    let functions = words.iter().position(|word| !is_code(*word)).unwrap_or(WORDS);
    let numbers = words.get(functions..functions + 3).filter(|numbers| match numbers {
        [last, scheduler, id] => {
            numbers.iter().all(|number| number.is_multiple_of(8))
                && (32..=256).contains(scheduler)
                && (scheduler..last).contains(&id)
                && *last < 1 << 30
        }
        _ => false,
    });
    match (functions, numbers) {
        (6..=8, Some(numbers)) => Some(Layout { next: 8, table: 16, owner: 24, id: numbers.get(2).copied() }),
        (8.., None) => Some(Layout { next: 24, table: 32, owner: 40, id: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_all_versions_are_told_from_other_constants() {
        let is_code = |word: u64| word >= 0x1000_0000;
        let table = |functions: usize, rest: &[u64]| {
            let mut words = [0; WORDS];
            words[..functions].fill(0x1000_0000);
            words[functions..functions + rest.len()].copy_from_slice(rest);
            layout(&words, is_code)
        };
        let new = Layout { next: 8, table: 16, owner: 24, id: Some(40) };
        assert_eq!(table(7, &[120, 32, 40]), Some(new));
        assert_eq!(table(7, &[120, 32, 40, 0x1000_0000]), Some(new));
        assert_eq!(table(7, &[120, 8, 40]), None, "the scheduler is in the record's head");
        assert_eq!(table(7, &[40, 32, 48]), None, "the number behind its end");
        let old = Layout { next: 24, table: 32, owner: 40, id: None };
        assert_eq!(table(8, &[]), Some(old));
        assert_eq!(table(9, &[24, 8]), Some(old), "another table follows");
        assert_eq!(table(3, &[24, 8, 0]), None);
        assert_eq!(layout(&[0; WORDS], is_code), None);
    }
}
