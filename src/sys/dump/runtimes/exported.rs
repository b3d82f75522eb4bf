//! Where the exported symbols of a library or program lie in a process that maps it.

use std::collections::HashMap;

use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{LittleEndian, Object, ObjectSymbol, ReadCache};

use super::Subject;
use crate::sys::dump::maps::Mapping;
use crate::sys::dump::module;

/// Symbols of one file that are looked at, at most.
const SYMBOLS: usize = 1 << 20;

/// The first mapping of a file whose name starts so.
pub fn mapped<'a>(subject: &Subject<'a>, name: &str) -> Option<&'a Mapping> {
    let is_it = |mapping: &&Mapping| mapping.path.rsplit('/').next().is_some_and(|file| file.starts_with(name));
    subject.maps.all().iter().filter(|mapping| mapping.inode != 0).find(is_it)
}

/// The addresses in the process of those of these symbols that the file of `mapping` defines: by its dynamic symbols,
/// and by the others where it has kept them.
pub fn addresses(subject: &Subject, mapping: &Mapping, wanted: &[&str]) -> HashMap<String, u64> {
    let mut found = HashMap::new();
    let Some(start) = subject.maps.image_start(mapping) else { return found };
    let Some(file) = module::open_mapped(subject.via, mapping, subject.maps, subject.memory) else { return found };
    let cache = ReadCache::new(file);
    let Ok(elf) = ElfFile64::<LittleEndian, _>::parse(&cache) else { return found };
    // A fixed program has its addresses in the file; all else lies from where its first segment was put.
    let loads = |segment: &&object::elf::ProgramHeader64<LittleEndian>| segment.p_type(LittleEndian) == PT_LOAD;
    let first = elf.elf_program_headers().iter().find(loads).map_or(0, |first| first.p_vaddr(LittleEndian));
    let bias = start.start.wrapping_sub(first / 4096 * 4096);
    for symbol in elf.dynamic_symbols().chain(elf.symbols()).take(SYMBOLS) {
        if found.len() == wanted.len() {
            break;
        }
        let Ok(name) = symbol.name() else { continue };
        if symbol.is_definition() && wanted.contains(&name) {
            found.entry(name.to_owned()).or_insert_with(|| bias.wrapping_add(symbol.address()));
        }
    }
    found
}
