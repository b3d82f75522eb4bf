//! Shared libraries that a program needs and the loader will not find: what `ld.so(8)` and musl's loader look through.
//!
//! Programs of this machine's own kind alone, of 64 bits; nothing is said of others, nor of what is opened by `dlopen(3)`.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// No program needs more libraries than these, one by the other.
const MOST: usize = 1000;
/// No table of a library is larger.
const LARGEST: u64 = 4 << 20;

/// A library that is not found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Its name: `libpq.so.5`.
    pub library: String,
    /// Who needs it: the program, or a library of its.
    pub needed_by: PathBuf,
}

/// The libraries that `program` needs, directly or not, and that are not where the loader looks. `search` is the value
/// of `LD_LIBRARY_PATH` that it will have.
pub fn missing(program: &Path, search: Option<&OsStr>) -> Vec<Missing> {
    let Some(main) = Object::read(program).filter(|main| main.loader.is_some()) else { return Vec::new() };
    let places = Places::of(&main, search);
    let mut missing = BTreeSet::new();
    let mut seen: BTreeSet<OsString> = BTreeSet::new();
    let mut left = VecDeque::from([(program.to_owned(), main.rpath.clone(), main)]);
    while let Some((path, inherited, object)) = left.pop_front() {
        for name in &object.needed {
            if seen.len() >= MOST || !seen.insert(name.clone()) {
                continue;
            }
            match places.find(name, &object, &inherited) {
                Some((found, library)) => {
                    let rpath = [library.rpath.as_slice(), &inherited].concat();
                    left.push_back((found, rpath, library));
                }
                None => {
                    let library = name.to_string_lossy().into_owned();
                    missing.insert(Missing { library, needed_by: path.clone() });
                }
            }
        }
    }
    missing.into_iter().collect()
}

/// Where the loader looks.
struct Places {
    musl: bool,
    machine: u16,
    search: Vec<PathBuf>,
    /// What `/etc/ld.so.cache` knows: name and path.
    cache: Vec<(OsString, PathBuf)>,
    standard: Vec<PathBuf>,
}

impl Places {
    fn of(main: &Object, search: Option<&OsStr>) -> Places {
        let loader = main.loader.as_deref().unwrap_or(OsStr::new(""));
        let name = Path::new(loader).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let musl = name.starts_with("ld-musl");
        let split = |text: &OsStr| {
            let parts =
                text.as_bytes().split(|byte| matches!(byte, b':' | b';' | b'\n')).filter(|part| !part.is_empty());
            parts.map(|part| PathBuf::from(OsStr::from_bytes(part))).collect::<Vec<_>>()
        };
        let standard: Vec<PathBuf> = if musl {
            let file = format!("/etc/{}", name.replace(".so.1", ".path"));
            let own = std::fs::read(file).ok().map(|text| split(&OsString::from_vec(text)));
            own.unwrap_or_else(|| ["/lib", "/usr/local/lib", "/usr/lib"].map(PathBuf::from).to_vec())
        } else {
            let arch = format!("{}-linux-gnu", std::env::consts::ARCH);
            let multiarch = [format!("/lib/{arch}"), format!("/usr/lib/{arch}")].map(PathBuf::from);
            multiarch.into_iter().chain(["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from)).collect()
        };
        let cache = if musl { Vec::new() } else { read_cache() };
        Places { musl, machine: main.machine, search: search.map(split).unwrap_or_default(), cache, standard }
    }

    /// The library of this name that `object` gets.
    fn find(&self, name: &OsStr, object: &Object, inherited: &[PathBuf]) -> Option<(PathBuf, Object)> {
        let fits = |path: PathBuf| {
            let found = Object::read(&path).filter(|found| found.machine == self.machine)?;
            Some((path, found))
        };
        // musl's loader is its own C library, whatever file has it.
        if name.as_bytes().contains(&b'/') {
            return fits(PathBuf::from(name));
        }
        if self.musl && name.as_bytes().starts_with(b"libc.") {
            return Some((PathBuf::from(name), Object::default()));
        }
        // A RUNPATH takes away what RPATH says, and is looked at after LD_LIBRARY_PATH.
        let rpath = if object.runpath.is_empty() { inherited } else { &[] };
        let cached = self.cache.iter().filter(|(known, _)| known == name).map(|(_, path)| path.clone());
        let folders = rpath.iter().chain(&self.search).chain(&object.runpath);
        let mut before = folders.map(|folder| folder.join(name));
        let mut standard = self.standard.iter().map(|folder| folder.join(name));
        before.find_map(fits).or_else(|| cached.into_iter().find_map(fits)).or_else(|| standard.find_map(fits))
    }
}

/// `/etc/ld.so.cache`, in the format that glibc has written since 2.2 (`struct cache_file_new` in sysdeps/generic/dl-cache.h).
fn read_cache() -> Vec<(OsString, PathBuf)> {
    const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
    let bytes = std::fs::read("/etc/ld.so.cache").unwrap_or_default();
    let Some(start) = bytes.windows(MAGIC.len()).position(|window| window == MAGIC) else { return Vec::new() };
    let table = &bytes[start..];
    let number = |at: usize| Some(u32::from_le_bytes(table.get(at..at + 4)?.try_into().ok()?) as usize);
    let text = |at: usize| {
        let rest = table.get(at..)?;
        Some(OsStr::from_bytes(&rest[..rest.iter().position(|byte| *byte == 0)?]).to_owned())
    };
    let count = number(20).unwrap_or(0).min(100_000);
    let entry = |index: usize| Some((text(number(48 + index * 24 + 4)?)?, text(number(48 + index * 24 + 8)?)?.into()));
    (0..count).filter_map(entry).collect()
}

/// What of an ELF file matters to the loader.
#[derive(Default)]
struct Object {
    machine: u16,
    loader: Option<OsString>,
    needed: Vec<OsString>,
    rpath: Vec<PathBuf>,
    runpath: Vec<PathBuf>,
}

/// A part of a file: where it is in memory and in the file, and how long.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

impl Object {
    /// Reads a file of 64 bits in this machine's byte order; `None` when it is no such file.
    fn read(path: &Path) -> Option<Object> {
        let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|of| of.is_file()))?;
        let bytes = |offset: u64, size: u64| {
            let mut bytes = vec![0; usize::try_from(size.min(LARGEST)).ok()?];
            file.read_exact_at(&mut bytes, offset).ok()?;
            Some(bytes)
        };
        let head = bytes(0, 64)?;
        if !head.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let (start, size, count) = (quad(&head, 32)?, half(&head, 54)?, half(&head, 56)?);
        let table = bytes(start, u64::from(size) * u64::from(count))?;
        let segment = |entry: &[u8]| {
            Some(Segment {
                kind: word(entry, 0)?,
                offset: quad(entry, 8)?,
                address: quad(entry, 16)?,
                size: quad(entry, 32)?,
            })
        };
        let segments: Vec<Segment> = table.chunks_exact(usize::from(size).max(56)).filter_map(segment).collect();
        let of_kind = |kind: u32| segments.iter().find(|segment| segment.kind == kind);
        let mut object = Object { machine: half(&head, 18)?, ..Object::default() };
        object.loader = of_kind(3).and_then(|of| bytes(of.offset, of.size.min(4096))).map(|mut name| {
            name.retain(|byte| *byte != 0);
            OsString::from_vec(name)
        });
        let Some(dynamic) = of_kind(2).and_then(|of| bytes(of.offset, of.size)) else { return Some(object) };
        let entries: Vec<(u64, u64)> =
            dynamic.chunks_exact(16).map_while(|entry| Some((quad(entry, 0)?, quad(entry, 8)?))).collect();
        let value = |tag: u64| entries.iter().find(|(of, _)| *of == tag).map(|(_, value)| *value);
        let (address, length) = (value(5)?, value(10)?);
        let load = segments
            .iter()
            .find(|of| of.kind == 1 && (of.address..of.address.saturating_add(of.size)).contains(&address))?;
        let strings = bytes(load.offset.checked_add(address - load.address)?, length)?;
        object.take(&entries, &strings, path);
        Some(object)
    }

    fn take(&mut self, entries: &[(u64, u64)], strings: &[u8], path: &Path) {
        let text = |at: u64| {
            let rest = strings.get(usize::try_from(at).ok()?..)?;
            Some(OsStr::from_bytes(&rest[..rest.iter().position(|byte| *byte == 0)?]).to_owned())
        };
        let origin =
            std::fs::canonicalize(path).ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
        for (tag, at) in entries {
            let Some(text) = text(*at) else { continue };
            match tag {
                1 => self.needed.push(text),
                15 => self.rpath = folders(&text, &origin),
                29 => self.runpath = folders(&text, &origin),
                _ => {}
            }
        }
        if !self.runpath.is_empty() {
            self.rpath.clear();
        }
    }
}

/// The folders of a run path, with what `$ORIGIN`, `$LIB` and `$PLATFORM` stand for.
fn folders(text: &OsStr, origin: &Path) -> Vec<PathBuf> {
    let text = text.to_string_lossy();
    let origin = origin.to_string_lossy();
    let lib = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    let put = |text: &str, name: &str, value: &str| {
        text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    };
    let parts = text.split(':').filter(|part| !part.is_empty());
    let expanded = parts.flat_map(|part| {
        let part = put(&put(part, "ORIGIN", &origin), "PLATFORM", std::env::consts::ARCH);
        // Which of them it is depends on how the loader was built.
        ["lib64", "lib", lib.as_str()].map(|lib| put(&part, "LIB", lib))
    });
    let mut folders: Vec<PathBuf> = expanded.map(PathBuf::from).collect();
    folders.dedup();
    folders
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn quad(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loader itself says what it does not find: `ldd` on what is installed here.
    #[test]
    fn what_is_installed_has_what_ldd_finds() {
        let files = std::fs::read_dir("/usr/bin").into_iter().flatten().flatten().map(|entry| entry.path());
        let mut dynamic = 0;
        for file in files.filter(|file| Object::read(file).is_some_and(|of| of.loader.is_some())).take(300) {
            dynamic += 1;
            let found = missing(&file, None);
            if !found.is_empty() {
                let ldd = std::process::Command::new("ldd").arg(&file).output().unwrap();
                let told = String::from_utf8_lossy(&ldd.stdout).into_owned();
                assert!(told.contains("not found"), "{file:?}: {found:?}, but {told}");
            }
        }
        assert!(dynamic > 10 || !Path::new("/lib64").exists(), "{dynamic} programs were looked at");
    }

    #[test]
    fn what_is_no_program_needs_nothing() {
        assert_eq!(missing(Path::new("/etc/passwd"), None), []);
        assert_eq!(missing(Path::new("/no/such/file"), None), []);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        for length in [6, 63, 64, 200] {
            let mut bytes = b"\x7fELF\x02\x01".to_vec();
            bytes.resize(length, 0xff);
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(missing(&file, None), []);
        }
    }
}
