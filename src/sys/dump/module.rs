//! An ELF file (or image in memory) that code was loaded from: where its parts lie and its call frame information.

use std::cell::OnceCell;
use std::fs::File;
use std::path::PathBuf;

use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{CompressionFormat, LittleEndian, Object, ObjectSection, ReadCache, ReadRef};

use super::maps::{Mapping, Maps};
use super::memory::Memory;

/// No section is read that is larger: 64 MiB.
const SECTION_LIMIT: u64 = 64 << 20;

/// A section's bytes and its address in the file's own terms.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// Its address, before relocation.
    pub address: u64,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// One loadable segment.
#[derive(Debug, Clone, Copy)]
struct Segment {
    offset: u64,
    address: u64,
    size: u64,
    execute: bool,
}

/// A module: an executable, a shared library or the vDSO.
#[derive(Debug, Default)]
pub struct Module {
    /// Its path as the process sees it, or `[vdso]`.
    pub name: String,
    /// The file, kept open so that it can be read for symbols even when the process or its path is gone.
    pub file: Option<File>,
    /// Where a debug file for it may lie: the root of the process's file system.
    pub root: PathBuf,
    /// Its GNU build id.
    pub build_id: Vec<u8>,
    /// Size of the file, in bytes.
    pub size: u64,
    segments: Vec<Segment>,
    /// `.eh_frame_hdr`.
    pub eh_frame_hdr: Option<Section>,
    /// `.eh_frame`.
    pub eh_frame: Option<Section>,
    /// `.debug_frame`, uncompressed.
    pub debug_frame: Option<Section>,
    /// Functions, for an image that has no file: address, size, name.
    pub functions: Vec<(u64, u64, String)>,
    /// FDEs by address, made when there is no `.eh_frame_hdr`.
    pub index: OnceCell<super::cfi::Index>,
}

impl Module {
    /// Reads the module that `mapping` of the process `pid` is a part of. What cannot be had stays empty.
    pub fn load(pid: i32, mapping: &Mapping, maps: &Maps, memory: &Memory) -> Module {
        let root = PathBuf::from(format!("/proc/{pid}/root"));
        let base = Module { name: mapping.path.clone(), root, ..Module::default() };
        if mapping.inode == 0 {
            return base.with_image(mapping, memory);
        }
        match open_mapped(pid, mapping, maps, memory) {
            Some(file) => base.with_file(file),
            None => match maps.image_start(mapping) {
                Some(start) => base.with_image(start, memory),
                None => base,
            },
        }
    }

    fn with_file(mut self, file: File) -> Module {
        self.size = file.metadata().map(|metadata| metadata.len()).unwrap_or(0);
        if let Ok(reader) = file.try_clone() {
            let cache = ReadCache::new(reader);
            self.read_sections(&cache);
            self.read_segments(&cache, |_, offset, size| {
                (&cache).read_bytes_at(offset, size.min(SECTION_LIMIT)).ok().map(<[u8]>::to_vec)
            });
        }
        self.file = Some(file);
        self
    }

    /// An image that is only in memory: the vDSO, or a file that can no longer be opened.
    fn with_image(mut self, start: &Mapping, memory: &Memory) -> Module {
        let length = (start.end - start.start).min(1 << 20) as usize;
        let image = memory.read_fresh(start.start, length);
        let base = start.start;
        self.read_segments(image.as_slice(), |address, _, size| {
            let read = memory.read_fresh(base.checked_add(address)?, size.min(SECTION_LIMIT) as usize);
            (!read.is_empty()).then_some(read)
        });
        if self.name == "[vdso]" {
            self.functions = functions_of(&image);
        }
        self
    }

    /// Program headers: segments, `.eh_frame_hdr` and behind it `.eh_frame`. `read` takes address, offset and size.
    fn read_segments<'d, R: ReadRef<'d>>(&mut self, data: R, read: impl Fn(u64, u64, u64) -> Option<Vec<u8>>) {
        let endian = LittleEndian;
        let Ok(header) = elf::FileHeader64::<LittleEndian>::parse(data) else { return };
        let Ok(segments) = header.program_headers(endian, data) else { return };
        let mut hdr = None;
        for segment in segments {
            let (address, offset, size) = (segment.p_vaddr(endian), segment.p_offset(endian), segment.p_filesz(endian));
            match segment.p_type(endian) {
                elf::PT_LOAD => {
                    let execute = segment.p_flags(endian).contains(elf::PF_X);
                    self.segments.push(Segment { offset, address, size, execute });
                }
                elf::PT_GNU_EH_FRAME => hdr = Some((address, offset, size)),
                elf::PT_NOTE => {
                    let notes = read(address, offset, size.min(1 << 16)).unwrap_or_default();
                    self.build_id = build_id_in(&notes).unwrap_or(std::mem::take(&mut self.build_id));
                }
                _ => {}
            }
        }
        if let Some((address, offset, size)) = hdr
            && let Some(data) = read(address, offset, size)
        {
            let hdr = Section { address, data };
            let find = |address: u64| {
                let segment = self.segments.iter().find(|s| address.wrapping_sub(s.address) < s.size)?;
                let skip = address - segment.address;
                let data = read(address, segment.offset.checked_add(skip)?, segment.size - skip)?;
                Some(Section { address, data })
            };
            self.eh_frame = self.eh_frame.take().or_else(|| super::cfi::frames_address(&hdr).and_then(find));
            self.eh_frame_hdr = Some(hdr);
        }
    }

    /// Sections: `.eh_frame` and `.debug_frame`.
    fn read_sections<'d, R: ReadRef<'d>>(&mut self, data: R) {
        let Ok(file) = ElfFile64::<LittleEndian, R>::parse(data) else { return };
        let section = |name: &str| {
            let section = file.section_by_name(name)?;
            let compressed = section.compressed_data().ok()?;
            let known = matches!(compressed.format, CompressionFormat::None | CompressionFormat::Zlib);
            if !known || section.size() > SECTION_LIMIT || compressed.uncompressed_size > SECTION_LIMIT {
                return None;
            }
            let data = section.uncompressed_data().ok()?.into_owned();
            (!data.is_empty()).then(|| Section { address: section.address(), data })
        };
        self.eh_frame = section(".eh_frame");
        self.debug_frame = section(".debug_frame");
    }

    /// The address in the file's own terms of `address` in `mapping`.
    pub fn file_address(&self, mapping: &Mapping, address: u64) -> Option<u64> {
        let offset = address.checked_sub(mapping.start)?.checked_add(mapping.offset)?;
        let holds = |s: &&Segment| offset.wrapping_sub(s.offset) < s.size;
        let segment = self.segments.iter().filter(|s| s.execute).find(holds);
        let segment = segment.or_else(|| self.segments.iter().find(holds))?;
        (offset - segment.offset).checked_add(segment.address)
    }
}

/// Opens the very file that is mapped, under a path that leads to it, or nothing.
pub fn open_mapped(pid: i32, mapping: &Mapping, maps: &Maps, memory: &Memory) -> Option<File> {
    let by_range = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    if let Ok(file) = open_regular(&by_range) {
        return Some(file);
    }
    // Without the privilege for map_files the path may by now lead to another file (an upgrade, an overlay): the
    // first bytes, which hold the ELF header and mostly the build id, are compared with those in memory.
    let start = maps.image_start(mapping)?;
    let length = ((start.end - start.start) as usize).min(1024);
    let there = memory.read_fresh(start.start, length);
    // In a root that is a folder of ours the path is ours.
    let path = &mapping.path;
    let candidates = [format!("/proc/{pid}/exe"), format!("/proc/{pid}/root{path}"), path.clone()];
    candidates.iter().find_map(|path| {
        let file = open_regular(path).ok()?;
        let mut here = vec![0u8; length];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut here, 0).ok()?;
        (!there.is_empty() && here == there).then_some(file)
    })
}

/// Opens a regular file; anything else (a FIFO, a device) could block or act.
fn open_regular(path: &str) -> std::io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    File::open(path)
}

/// The GNU build id in a `PT_NOTE` segment.
fn build_id_in(notes: &[u8]) -> Option<Vec<u8>> {
    let mut at = 0usize;
    let number = |at: usize| Some(u32::from_le_bytes(notes.get(at..at + 4)?.try_into().ok()?) as usize);
    while at + 12 <= notes.len() {
        let (name, size, kind) = (number(at)?, number(at + 4)?, number(at + 8)?);
        let body = at.checked_add(12)?.checked_add(name.checked_next_multiple_of(4)?)?;
        let end = body.checked_add(size)?;
        if kind == 3 && notes.get(at + 12..at + 12 + name) == Some(b"GNU\0".as_slice()) {
            return notes.get(body..end).map(<[u8]>::to_vec);
        }
        at = end.checked_next_multiple_of(4)?;
    }
    None
}

/// Functions of a whole image by its dynamic symbols.
fn functions_of(image: &[u8]) -> Vec<(u64, u64, String)> {
    use object::ObjectSymbol;
    let Ok(file) = ElfFile64::<LittleEndian, _>::parse(image) else { return Vec::new() };
    let symbols = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
    let named = symbols.filter_map(|symbol| Some((symbol.address(), symbol.size(), symbol.name().ok()?.to_owned())));
    // A strong symbol (`__vdso_time`) says more than its weak alias (`time`).
    let mut functions: Vec<_> = named.collect();
    functions.sort_by_key(|(address, _, name)| (*address, !name.starts_with("__")));
    functions.dedup_by_key(|(address, ..)| *address);
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_build_id_and_survives_noise() {
        let mut note = Vec::new();
        for number in [4u32, 3, 3] {
            note.extend(number.to_le_bytes());
        }
        note.extend(b"GNU\0\x01\x02\x03\0");
        assert_eq!(build_id_in(&note), Some(vec![1, 2, 3]));
        assert_eq!(build_id_in(&[0xff; 64]), None);
        assert_eq!(build_id_in(&note[..14]), None);
    }

    #[test]
    fn loads_its_own_executable_and_the_vdso() {
        let pid = std::process::id() as i32;
        let maps = Maps::of(pid).unwrap();
        let memory = Memory::of(pid);
        let here = reads_a_build_id_and_survives_noise as fn() as usize as u64;
        let mapping = maps.code(here).unwrap();
        let module = Module::load(pid, mapping, &maps, &memory);
        assert!(module.file.is_some());
        assert!(module.eh_frame_hdr.is_some() && module.eh_frame.is_some());
        assert!(module.file_address(mapping, here).is_some());
        let vdso = maps.all().iter().find(|mapping| mapping.path == "[vdso]").unwrap();
        let module = Module::load(pid, vdso, &maps, &memory);
        assert!(module.functions.iter().any(|(.., name)| name.contains("clock_gettime")));
        assert!(module.eh_frame.is_some());
    }
}
