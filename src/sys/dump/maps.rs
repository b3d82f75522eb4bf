//! `/proc/PID/maps`: what is mapped where.

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// Whether it may be written.
    pub write: bool,
    /// Whether it may be executed.
    pub execute: bool,
    /// The offset in the file of its first byte.
    pub offset: u64,
    /// The file's device, as `maj:min`.
    pub device: String,
    /// The file's inode; 0 when it is no file.
    pub inode: u64,
    /// The file's path without ` (deleted)`, or `[vdso]`, `[stack]` and the like, or nothing.
    pub path: String,
    /// Whether the path says that the file is deleted.
    pub deleted: bool,
}

/// All mappings of a process, by address.
#[derive(Debug, Clone, Default)]
pub struct Maps {
    mappings: Vec<Mapping>,
}

impl Maps {
    /// Reads the mappings of `pid`.
    pub fn of(pid: i32) -> std::io::Result<Maps> {
        let text = std::fs::read(format!("/proc/{pid}/maps"))?;
        Ok(Maps::parse(&String::from_utf8_lossy(&text)))
    }

    fn parse(text: &str) -> Maps {
        let mut mappings: Vec<Mapping> = text.lines().filter_map(parse_line).collect();
        mappings.sort_by_key(|mapping| mapping.start);
        Maps { mappings }
    }

    /// The mapping that holds `address`.
    pub fn find(&self, address: u64) -> Option<&Mapping> {
        let after = self.mappings.partition_point(|mapping| mapping.start <= address);
        self.mappings[..after].last().filter(|mapping| address < mapping.end)
    }

    /// The executable mapping that holds `address`.
    pub fn code(&self, address: u64) -> Option<&Mapping> {
        self.find(address).filter(|mapping| mapping.execute)
    }

    /// The mapping of the start of the same file that `mapping` is a part of: the nearest one below it.
    pub fn image_start(&self, mapping: &Mapping) -> Option<&Mapping> {
        let same = |other: &&Mapping| other.inode == mapping.inode && other.path == mapping.path && other.offset == 0;
        self.mappings.iter().rev().filter(|other| other.start <= mapping.start).find(same)
    }

    /// All mappings.
    pub fn all(&self) -> &[Mapping] {
        &self.mappings
    }
}

fn parse_line(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let offset = u64::from_str_radix(fields.next()?, 16).ok()?;
    let device = fields.next()?.to_owned();
    let inode = fields.next()?.parse().ok()?;
    let path = fields.next().unwrap_or("").trim_start();
    let (path, deleted) = match path.strip_suffix(" (deleted)") {
        Some(path) => (path, true),
        None => (path, false),
    };
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        write: permissions.as_bytes().get(1) == Some(&b'w'),
        execute: permissions.as_bytes().get(2) == Some(&b'x'),
        offset,
        device,
        inode,
        path: path.replace("\\012", "\n"),
        deleted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
5581c0000000-5581c0001000 r--p 00000000 fd:00 42                         /usr/bin/a b
5581c0001000-5581c0003000 r-xp 00001000 fd:00 42                         /usr/bin/a b
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7f0000002000-7f0000003000 r-xp 00000000 fd:00 43                         /tmp/x.so (deleted)
noise
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
";

    #[test]
    fn finds_the_mapping_of_an_address() {
        let maps = Maps::parse(TEXT);
        assert_eq!(maps.all().len(), 5);
        let code = maps.code(0x5581c0001010).unwrap();
        assert_eq!((code.path.as_str(), code.offset, code.inode), ("/usr/bin/a b", 0x1000, 42));
        assert!(!code.write && maps.find(0x7ffc00000000).unwrap().write);
        assert_eq!(maps.image_start(code).unwrap().start, 0x5581c0000000);
        assert_eq!(maps.code(0x5581c0000010), None);
        assert_eq!(maps.find(0x5581c0003000), None);
        assert_eq!(maps.code(0x7f0000000fff).unwrap().path, "");
        let deleted = maps.find(0x7f0000002000).unwrap();
        assert!(deleted.deleted);
        assert_eq!(deleted.path, "/tmp/x.so");
        assert_eq!(maps.find(0), None);
        assert_eq!(maps.find(u64::MAX), None);
    }
}
