//! What kind of file a program is, from its first bytes: as much as `execve(2)` looks at.

use std::fs::File;
use std::os::unix::fs::FileExt;

use object::elf;

use crate::core::exec_words::BadFormat;

/// How much the kernel reads of a `#!` line (`BINPRM_BUF_SIZE`).
const SHEBANG: usize = 256;
/// How much is read at first: the program headers and the loader's name of all usual programs are in it.
const HEAD: usize = 4096;
/// The most that program headers may take up (`elf_phdr` in fs/binfmt_elf.c).
const HEADERS: usize = 65_536;

/// What a file that can be executed needs.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// A script.
    Script {
        /// Its interpreter.
        interpreter: Vec<u8>,
        /// The rest of the line, which is one argument.
        argument: Vec<u8>,
    },
    /// An ELF program.
    Elf {
        /// Its loader, when it is linked dynamically.
        loader: Option<Vec<u8>>,
    },
}

/// Why a file cannot be executed.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Made for this other machine.
    Architecture(String),
    /// In a format that is none.
    Format(BadFormat),
}

/// The first bytes of a file.
pub struct Head {
    bytes: Vec<u8>,
    length: u64,
}

impl Head {
    /// Reads them.
    pub fn read(file: &File, length: u64) -> std::io::Result<Head> {
        let mut bytes = vec![0; HEAD];
        let mut filled = 0;
        while filled < HEAD {
            match file.read_at(&mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(Head { bytes, length })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What kind of file it is.
    pub fn kind(&self, file: &File) -> Result<Kind, Wrong> {
        let bytes = self.bytes();
        match bytes {
            [] => Err(Wrong::Format(BadFormat::Empty)),
            [b'#', b'!', ..] => shebang(bytes).map_err(Wrong::Format),
            [0x7f, b'E', b'L', b'F', ..] => Elf { head: self, file }.kind(),
            [0xef, 0xbb, 0xbf, b'#', b'!', ..] => Err(Wrong::Format(BadFormat::ByteOrderMark)),
            [b'M', b'Z', ..] => Err(Wrong::Format(BadFormat::Windows)),
            [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
                Err(Wrong::Format(BadFormat::MacOrJava))
            }
            [b'P', b'K', 3, 4, ..] => Err(Wrong::Format(BadFormat::Archive)),
            _ if is_text(bytes) => Err(Wrong::Format(BadFormat::NoShebang)),
            _ => Err(Wrong::Format(BadFormat::Unknown)),
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(SHEBANG)];
    start.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || byte.is_ascii_whitespace())
}

/// As `load_script` in fs/binfmt_script.c: the interpreter ends at a blank, its one argument at the line's end.
fn shebang(bytes: &[u8]) -> Result<Kind, BadFormat> {
    let seen = &bytes[2..bytes.len().min(SHEBANG)];
    let end = seen.iter().position(|byte| matches!(byte, b'\n' | 0));
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = &seen[..end.unwrap_or(seen.len())];
    let Some(start) = line.iter().position(|byte| !blank(byte)) else { return Err(BadFormat::EmptyShebang) };
    let line = &line[start..];
    let name_end = line.iter().position(blank);
    // Without a blank the kernel cannot know that the name was read whole.
    if end.is_none() && bytes.len() >= SHEBANG && name_end.is_none() {
        return Err(BadFormat::LongShebang);
    }
    let (interpreter, argument) = line.split_at(name_end.unwrap_or(line.len()));
    Ok(Kind::Script { interpreter: interpreter.to_vec(), argument: trimmed(argument).to_vec() })
}

/// Without blanks around it; a CR stays, as it does for the kernel.
fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The machines that this host executes, its own first; empty when that is not known here.
const HOST: &[elf::Machine] = if cfg!(target_arch = "x86_64") {
    &[elf::EM_X86_64, elf::EM_386]
} else if cfg!(target_arch = "aarch64") {
    &[elf::EM_AARCH64, elf::EM_ARM]
} else {
    &[]
};

struct Elf<'a> {
    head: &'a Head,
    file: &'a File,
}

impl Elf<'_> {
    fn kind(&self) -> Result<Kind, Wrong> {
        let bytes = self.head.bytes();
        let wide = bytes.get(4) == Some(&elf::ELFCLASS64.0);
        let header = if wide { 64 } else { 52 };
        if bytes.len() < header {
            return Err(self.truncated(header as u64));
        }
        let swapped = bytes[5] != if cfg!(target_endian = "little") { elf::ELFDATA2LSB.0 } else { elf::ELFDATA2MSB.0 };
        let number = |at: usize, size: usize| number(bytes, at, size, swapped).unwrap_or_default();
        let machine = elf::Machine(number(18, 2) as u16);
        if !HOST.is_empty() && (swapped || !HOST.contains(&machine)) {
            return Err(Wrong::Architecture(machine_name(machine, wide, swapped)));
        }
        let kind = elf::FileType(number(16, 2) as u16);
        match kind {
            elf::ET_EXEC | elf::ET_DYN => {}
            elf::ET_REL => return Err(Wrong::Format(BadFormat::Object)),
            elf::ET_CORE => return Err(Wrong::Format(BadFormat::Core)),
            _ => return Err(Wrong::Format(BadFormat::Damaged)),
        }
        let (entry, offset, count) = if wide {
            (number(24, 8), number(32, 8), number(56, 2))
        } else {
            (number(24, 4), number(28, 4), number(44, 2))
        };
        let loader = self.segments(wide, swapped, offset, count as usize)?;
        if loader.is_none() && kind == elf::ET_DYN && entry == 0 {
            return Err(Wrong::Format(BadFormat::Library));
        }
        Ok(Kind::Elf { loader })
    }

    /// Walks the program headers: is what is to be loaded there, and which loader is asked for?
    fn segments(&self, wide: bool, swapped: bool, offset: u64, count: usize) -> Result<Option<Vec<u8>>, Wrong> {
        let size = if wide { 56 } else { 32 };
        let damaged = || Wrong::Format(BadFormat::Damaged);
        if count == 0 || count * size > HEADERS {
            return Err(damaged());
        }
        let table = self.read(offset, count * size).ok_or_else(|| self.truncated(offset + (count * size) as u64))?;
        let mut loader = None;
        for header in table.chunks_exact(size) {
            let field = |narrow: usize, at: usize| {
                let (at, size) = if wide { (at, 8) } else { (narrow, 4) };
                number(header, at, size, swapped).unwrap_or_default()
            };
            let (start, length) = (field(4, 8), field(16, 32));
            let end = start.checked_add(length).ok_or_else(damaged)?;
            let kind = elf::ProgramType(number(header, 0, 4, swapped).unwrap_or_default() as u32);
            match kind {
                elf::PT_LOAD | elf::PT_INTERP if end > self.head.length => return Err(self.truncated(end)),
                elf::PT_INTERP => {
                    // The kernel takes 2 bytes to PATH_MAX, the last of them NUL.
                    let name = (2..=4096).contains(&length).then(|| self.read(start, length as usize)).flatten();
                    let name =
                        name.and_then(|name| name.strip_suffix(b"\0").map(<[u8]>::to_vec)).ok_or_else(damaged)?;
                    loader = Some(name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
                }
                _ => {}
            }
        }
        Ok(loader)
    }

    fn read(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let start = usize::try_from(offset).ok()?;
        if let Some(bytes) = self.head.bytes().get(start..start.checked_add(length)?) {
            return Some(bytes.to_vec());
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    fn truncated(&self, expected: u64) -> Wrong {
        Wrong::Format(BadFormat::Truncated { length: self.head.length, expected })
    }
}

/// A number of 2, 4 or 8 bytes, in the host's order or the other one.
fn number(bytes: &[u8], at: usize, size: usize, swapped: bool) -> Option<u64> {
    let bytes = bytes.get(at..at + size)?;
    let little = cfg!(target_endian = "little") != swapped;
    let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Some(if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) })
}

fn machine_name(machine: elf::Machine, wide: bool, swapped: bool) -> String {
    let name = match machine {
        elf::EM_X86_64 => "x86_64 (amd64)",
        elf::EM_386 => "x86, 32 bits (i386)",
        elf::EM_AARCH64 => "aarch64 (arm64)",
        elf::EM_ARM => "arm, 32 bits",
        elf::EM_RISCV if wide => "riscv64",
        elf::EM_RISCV => "riscv32",
        elf::EM_PPC64 if swapped => "ppc64",
        elf::EM_PPC64 => "ppc64le",
        elf::EM_S390 => "s390x",
        elf::EM_MIPS => "mips",
        elf::EM_LOONGARCH => "loongarch64",
        elf::EM_BPF => "the kernel's BPF machine",
        elf::Machine(other) => return format!("another machine (ELF machine number {other})"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(bytes: &[u8]) -> Head {
        Head { bytes: bytes.to_vec(), length: bytes.len() as u64 }
    }

    #[test]
    fn a_shebang_is_read_as_the_kernel_reads_it() {
        let script = |interpreter: &str, argument: &str| {
            Ok(Kind::Script { interpreter: interpreter.into(), argument: argument.into() })
        };
        assert_eq!(shebang(b"#!/bin/sh\necho"), script("/bin/sh", ""));
        assert_eq!(shebang(b"#! \t/bin/sh -e -u \t\n"), script("/bin/sh", "-e -u"));
        assert_eq!(shebang(b"#!/bin/sh"), script("/bin/sh", ""));
        assert_eq!(shebang(b"#!/bin/sh\r\n"), script("/bin/sh\r", ""));
        assert_eq!(shebang(b"#!\n"), Err(BadFormat::EmptyShebang));
        assert_eq!(shebang(b"#!  "), Err(BadFormat::EmptyShebang));
        let long = format!("#!/{}\n", "a".repeat(400));
        assert_eq!(shebang(long.as_bytes()), Err(BadFormat::LongShebang));
        let long_argument = format!("#!/bin/sh {}\n", "a".repeat(400));
        assert!(shebang(long_argument.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), elf in any::<bool>()) {
            if elf && bytes.len() >= 20 {
                bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
                bytes[18..20].copy_from_slice(&62_u16.to_le_bytes());
                bytes[16] = 2;
                bytes[17] = 0;
            }
            let file = File::open("/dev/null").unwrap();
            let _ = head(&bytes).kind(&file);
        }
    }
}
