//! Debug information that is compressed, made plain in a file in memory that has no name: sections compressed by zlib
//! or zstd, and `.gnu_debugdata`, a whole ELF file of symbols compressed by xz. A file decides how large it becomes, so
//! there is a limit.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

use lzma_rust2::Lzma2Reader;
use object::elf::FileHeader64;
use object::read::elf::{ElfFile64, FileHeader, SectionHeader};
use object::{CompressedData, LittleEndian, Object, ObjectSection, ReadCache, SectionKind};

use super::debug_file;

/// No file becomes larger than this, in bytes: 1 GiB.
const LIMIT: u64 = 1 << 30;
/// No `.gnu_debugdata` is larger, compressed or not, in bytes.
const MINI_LIMIT: u64 = 64 << 20;
/// The largest dictionary that is made for xz, in bytes; Fedora's and RHEL's packages have 8 MiB or less.
const DICTIONARY: u32 = 64 << 20;
/// The flag of a section that is compressed, `SHF_COMPRESSED`.
const COMPRESSED: u64 = 0x800;
/// The start of a file with its header and its program headers, in bytes.
const HEAD: u64 = 4096;
/// Size of a section header, and where in it flags, offset, size and alignment are.
const HEADER: u64 = 64;
const FLAGS: u64 = 8;
const OFFSET: u64 = 24;
const SIZE: u64 = 32;
const ALIGN: u64 = 48;

/// Sections that say nothing of functions and lines; they are left out.
const NOT_NEEDED: [&str; 8] = [
    ".debug_loc",
    ".debug_loclists",
    ".debug_aranges",
    ".debug_pubnames",
    ".debug_pubtypes",
    ".debug_macro",
    ".debug_frame",
    ".debug_names",
];

/// A section that is to be made plain: where its header is, and what becomes of it.
struct Packed<'data> {
    header: u64,
    flags: u64,
    /// Where it goes, and how large it becomes.
    offset: u64,
    size: u64,
    data: Option<CompressedData<'data>>,
}

/// The same file with its compressed sections made plain; `None` when it has none, or they are broken or too large.
/// What else is needed of it is copied; code is not.
pub fn sections(file: &File) -> Option<File> {
    let cache = ReadCache::new(file.try_clone().ok()?);
    let elf = ElfFile64::<LittleEndian, _>::parse(&cache).ok()?;
    let endian = LittleEndian;
    let header: &FileHeader64<LittleEndian> = elf.elf_header();
    let table = header.e_shoff(endian);
    if u64::from(header.e_shentsize(endian)) != HEADER {
        return None;
    }
    let mut end = file.metadata().ok()?.len().checked_next_multiple_of(16)?;
    let (mut packed, mut copied) =
        (Vec::new(), vec![(0, HEAD), (table, HEADER * elf.elf_section_table().len() as u64)]);
    for section in elf.sections() {
        let flags = section.elf_section_header().sh_flags(endian).0;
        if flags & COMPRESSED == 0 {
            copied.extend(section.file_range().filter(|_| is_kept(&section)));
            continue;
        }
        let compressed = section.compressed_data().ok()?;
        let needed = !section.name().is_ok_and(|name| NOT_NEEDED.contains(&name));
        let size = if needed { compressed.uncompressed_size } else { 0 };
        let header = table.checked_add(HEADER.checked_mul(section.index().0 as u64)?)?;
        let data = needed.then_some(compressed);
        packed.push(Packed { header, flags: flags & !COMPRESSED, offset: end, size, data });
        end = end.checked_add(size)?.checked_next_multiple_of(16)?;
        if end > LIMIT {
            return None;
        }
    }
    if packed.is_empty() {
        return None;
    }
    let copy = in_memory()?;
    copied.into_iter().try_for_each(|(offset, size)| copy_range(file, &copy, offset, size))?;
    copy.set_len(end).ok()?;
    unpack(packed, &copy)?;
    Some(copy)
}

/// Whether a section that is plain already is needed: symbols, names, notes, and what leads to other files.
fn is_kept<'data>(section: &impl ObjectSection<'data>) -> bool {
    let named = section.name().is_ok_and(|name| name.starts_with(".debug_") || name.starts_with(".gnu_debug"));
    named || matches!(section.kind(), SectionKind::Metadata | SectionKind::Note | SectionKind::OtherString)
}

/// Writes the sections and their new headers, by two threads.
fn unpack(mut packed: Vec<Packed>, copy: &File) -> Option<()> {
    // The largest takes about as long as the others together.
    packed.sort_by_key(|section| std::cmp::Reverse(section.size));
    let rest = packed.split_off(1.min(packed.len()));
    let write = |sections: Vec<Packed>| sections.into_iter().try_for_each(|section| write_plain(section, copy));
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().name("dump-unpack".into()).spawn_scoped(scope, || write(rest)).ok()?;
        let first = write(packed);
        other.join().ok()?.and(first)
    })
}

fn write_plain(section: Packed, copy: &File) -> Option<()> {
    if let Some(data) = section.data {
        copy.write_all_at(&data.decompress().ok()?, section.offset).ok()?;
    }
    for (field, value) in [(FLAGS, section.flags), (OFFSET, section.offset), (SIZE, section.size), (ALIGN, 1)] {
        copy.write_all_at(&value.to_le_bytes(), section.header.checked_add(field)?).ok()?;
    }
    Some(())
}

/// Copies a part of a file to the same place in another; what is beyond its end is not there.
fn copy_range(from: &File, to: &File, offset: u64, size: u64) -> Option<()> {
    let mut buffer = vec![0u8; 1 << 16];
    let end = offset.checked_add(size).filter(|end| *end <= LIMIT)?;
    let mut at = offset;
    while at < end {
        let count = (end - at).min(buffer.len() as u64) as usize;
        let got = from.read_at(buffer.get_mut(..count)?, at).ok()?;
        if got == 0 {
            break;
        }
        to.write_all_at(buffer.get(..got)?, at).ok()?;
        at = at.checked_add(got as u64)?;
    }
    Some(())
}

fn in_memory() -> Option<File> {
    // SAFETY: the name ends with NUL.
    let fd = unsafe { libc::memfd_create(c"launcher-debug".as_ptr(), libc::MFD_CLOEXEC) };
    // SAFETY: it was just made, and nobody else has it.
    (fd >= 0).then(|| unsafe { File::from_raw_fd(fd) })
}

/// The ELF file in `.gnu_debugdata`, which has the symbols that a stripped program lost.
pub fn mini_symbols(file: &File) -> Option<File> {
    let packed = debug_file::section(file, ".gnu_debugdata", MINI_LIMIT)?;
    let (dictionary, data) = block(&packed)?;
    let reader = Lzma2Reader::new_mem_limit(data, dictionary, DICTIONARY / 1024 + 1024, None).ok()?;
    let mut plain = in_memory()?;
    let mut chunk = Vec::new();
    let mut reader = reader.take(MINI_LIMIT);
    // The end of the block is within the data: what follows it is not read.
    reader.read_to_end(&mut chunk).ok()?;
    plain.write_all(&chunk).ok()?;
    (!chunk.is_empty()).then_some(plain)
}

/// The dictionary's size and the data of the first block of an xz stream, if LZMA2 is its only filter ("The .xz File
/// Format", 2.1.1 and 3.1).
fn block(stream: &[u8]) -> Option<(u32, &[u8])> {
    let rest = stream.strip_prefix(b"\xfd7zXZ\0")?.get(6..)?;
    let length = (usize::from(*rest.first()?) + 1) * 4;
    let header = rest.get(..length).filter(|_| rest[0] != 0)?;
    let flags = *header.get(1)?;
    let mut at = 2;
    // The sizes, which may be there, are not needed.
    for _ in 0..(flags >> 6).count_ones() {
        at += header.get(at..)?.iter().position(|byte| byte & 0x80 == 0)? + 1;
    }
    let (&[filter, properties, bits], one_filter) = (header.get(at..)?.first_chunk::<3>()?, flags & 3 == 0);
    if !one_filter || filter != 0x21 || properties != 1 || bits > 39 {
        return None;
    }
    let size = (2 | u32::from(bits & 1)) << (bits / 2 + 11);
    Some((size, rest.get(length..)?)).filter(|_| size <= DICTIONARY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_of_xz_streams() {
        // What `xz` writes: stream header, block header of 12 bytes with a dictionary of 8 MiB, data.
        let mut stream = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x16\0\0\0\x74\x2f\xe5\xa3".to_vec();
        stream.extend(b"data");
        assert_eq!(block(&stream), Some((8 << 20, &b"data"[..])));
        stream[14] = 0x04;
        assert_eq!(block(&stream), None, "a filter for machine code");
        assert_eq!(block(b"\xfd7zXZ\0"), None);
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = block(&noise);
            let mut stream = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x16\0\0\0\x74\x2f\xe5\xa3".to_vec();
            stream.extend(&noise);
            if let Some((dictionary, data)) = block(&stream)
                && let Ok(reader) = Lzma2Reader::new_mem_limit(data, dictionary, DICTIONARY / 1024 + 1024, None)
            {
                let mut out = Vec::new();
                let _ = reader.take(1 << 20).read_to_end(&mut out);
            }
        }
    }
}
