//! Where a program's debug information is kept apart from it: by build id, by `.gnu_debuglink`, and as symbols that are
//! compressed within it (`.gnu_debugdata`). What is found belongs to it: its build id or its checksum is the same.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, ReadCache};

/// Where distributions put debug files.
const DEBUG: &str = "usr/lib/debug";

/// A file that may have debug information elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Its path as its process sees it.
    pub path: PathBuf,
    /// The root of its process's file system.
    pub root: PathBuf,
    /// Its build id, or nothing.
    pub build_id: Vec<u8>,
}

impl Origin {
    /// Its path within the root of its process, which may be a folder of ours (`chroot(2)`).
    fn inside(&self) -> PathBuf {
        let root = std::fs::read_link(&self.root).unwrap_or_default();
        let rest = self.path.strip_prefix(&root).ok().filter(|_| root.is_absolute());
        rest.map_or_else(|| self.path.clone(), |rest| Path::new("/").join(rest))
    }

    /// Where it is for us.
    pub fn reached(&self) -> PathBuf {
        let inside = self.inside();
        self.root.join(inside.strip_prefix("/").unwrap_or(&inside))
    }
}

/// The debug file of `file`: in its process's own file system, or in ours. Reads files, and may block on them.
pub fn find(file: &File, origin: &Origin) -> Option<(PathBuf, File)> {
    let link = debug_link(file);
    let inside = origin.inside();
    let roots = [(origin.root.as_path(), inside.as_path()), (Path::new("/"), origin.path.as_path())];
    let by_id = roots.into_iter().filter_map(|(root, _)| by_build_id(root, &origin.build_id)).find_map(|path| {
        let found = open(&path, file)?;
        // Its place says whose it is; an id that differs says that it was put there by mistake.
        build_id(&found).is_none_or(|id| id == origin.build_id).then_some((path, found))
    });
    by_id.or_else(|| {
        let (name, checksum) = link?;
        let places = roots.into_iter().flat_map(|(root, path)| by_link(root, path, &name));
        places.into_iter().find_map(|path| {
            let found = open(&path, file)?;
            let belongs = match build_id(&found) {
                Some(id) if !origin.build_id.is_empty() => id == origin.build_id,
                _ => checksum_of(&found) == Some(checksum),
            };
            belongs.then_some((path, found))
        })
    })
}

fn by_build_id(root: &Path, id: &[u8]) -> Option<PathBuf> {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, rest) = hex.split_at_checked(2).filter(|(_, rest)| !rest.is_empty())?;
    Some(root.join(DEBUG).join(".build-id").join(first).join(format!("{rest}.debug")))
}

/// The places that a debug link stands for, in gdb's order.
fn by_link(root: &Path, path: &Path, name: &str) -> Vec<PathBuf> {
    let folder = path.parent().and_then(|folder| folder.strip_prefix("/").ok()).unwrap_or(Path::new(""));
    let mut places = vec![root.join(folder).join(name), root.join(folder).join(".debug").join(name)];
    places.push(root.join(DEBUG).join(folder).join(name));
    // Where /lib is a link to /usr/lib, older packages have the shorter one.
    if let Ok(short) = folder.strip_prefix("usr") {
        places.push(root.join(DEBUG).join(short).join(name));
    }
    places
}

/// Opens a regular file that is not `other` itself; anything else (a FIFO, a device) could block or act.
pub fn open(path: &Path, other: &File) -> Option<File> {
    let options = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).clone();
    let file = std::fs::metadata(path).ok()?.is_file().then(|| options.open(path).ok())??;
    let (this, other) = (file.metadata().ok()?, other.metadata().ok()?);
    (this.is_file() && (this.dev(), this.ino()) != (other.dev(), other.ino())).then_some(file)
}

/// Whether `path` still leads to the very file that is open.
pub fn leads_to(path: &Path, file: &File) -> bool {
    let same = || -> Option<bool> {
        let (this, other) = (std::fs::metadata(path).ok()?, file.metadata().ok()?);
        Some((this.dev(), this.ino()) == (other.dev(), other.ino()))
    };
    same().unwrap_or(false)
}

fn build_id(file: &File) -> Option<Vec<u8>> {
    let cache = ReadCache::new(file.try_clone().ok()?);
    let elf = ElfFile64::<LittleEndian, _>::parse(&cache).ok()?;
    Some(elf.build_id().ok()??.to_vec())
}

/// The contents of a section, of at most `limit` bytes.
pub fn section(file: &File, name: &str, limit: u64) -> Option<Vec<u8>> {
    let cache = ReadCache::new(file.try_clone().ok()?);
    let elf = ElfFile64::<LittleEndian, _>::parse(&cache).ok()?;
    let section = elf.section_by_name(name)?;
    (section.size() <= limit).then(|| section.data().ok().map(<[u8]>::to_vec))?
}

/// `.gnu_debuglink`: the debug file's name and its checksum.
fn debug_link(file: &File) -> Option<(String, u32)> {
    parse_link(&section(file, ".gnu_debuglink", 4096)?)
}

fn parse_link(bytes: &[u8]) -> Option<(String, u32)> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let name = std::str::from_utf8(&bytes[..end]).ok()?;
    let checksum = bytes.get((end + 1).checked_next_multiple_of(4)?..)?.first_chunk::<4>()?;
    let plain = !name.is_empty() && !name.contains('/') && name != "..";
    plain.then(|| (name.to_owned(), u32::from_le_bytes(*checksum)))
}

/// The checksum of a whole file, as a debug link has it: CRC-32 of zlib's kind.
fn checksum_of(file: &File) -> Option<u32> {
    let mut file = file.try_clone().ok()?;
    file.rewind().ok()?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Some(hasher.finalize()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_links_are_taken_apart() {
        assert_eq!(parse_link(b"a.debug\0\x01\x02\x03\x04"), Some(("a.debug".into(), 0x0403_0201)));
        assert_eq!(parse_link(b"ab\0\0\x01\0\0\0"), Some(("ab".into(), 1)));
        for noise in
            [&b""[..], b"a", b"\0\0\0\0\0\0\0\0", b"../x\0\0\0\0\x01\0\0\0", b"a\0\0\0\x01", b"\xff\0\0\0\0\0\0\0"]
        {
            assert_eq!(parse_link(noise), None, "{noise:?}");
        }
    }

    #[test]
    fn places_of_debug_files() {
        let text = |paths: Vec<PathBuf>| paths.into_iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            text(by_link(Path::new("/proc/7/root"), Path::new("/usr/bin/a"), "a.debug")),
            [
                "/proc/7/root/usr/bin/a.debug",
                "/proc/7/root/usr/bin/.debug/a.debug",
                "/proc/7/root/usr/lib/debug/usr/bin/a.debug",
                "/proc/7/root/usr/lib/debug/bin/a.debug",
            ]
        );
        let by_id = by_build_id(Path::new("/"), &[0xab, 0xcd, 0xef]).unwrap();
        assert_eq!(by_id, Path::new("/usr/lib/debug/.build-id/ab/cdef.debug"));
        assert_eq!(by_build_id(Path::new("/"), &[0xab]), None);
        assert_eq!(by_build_id(Path::new("/"), &[]), None);
    }
}
