//! Names of code that was made at run time, as runtimes write them into `/tmp/perf-PID.map` when they are asked to
//! (Node's `--perf-basic-prof`, CPython's `-X perf`, .NET's `DOTNET_PerfMapEnabled`, the JVM's agents).

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use super::files;
use super::runtimes::namespace;

/// No more of a map is read, in bytes.
const LIMIT: u64 = 256 << 20;
/// No line is longer, in bytes.
const LINE: u64 = 64 << 10;

/// Opens the map of the process `pid`, if there is one: in its own file system, by its own number.
pub fn open(pid: i32) -> Option<File> {
    let status = files::record(&format!("/proc/{pid}/status")).ok()?;
    let own = namespace::innermost(&status, "NStgid").or_else(|| namespace::innermost(&status, "NSpid")).unwrap_or(pid);
    let path = format!("/proc/{pid}/root/tmp/perf-{own}.map");
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    // In /tmp anyone may put a file under this name: it must be the process's user's, or root's.
    let user = std::fs::metadata(format!("/proc/{pid}")).ok()?.uid();
    let known = file.metadata().ok()?;
    (known.is_file() && [0, user].contains(&known.uid())).then_some(file)
}

/// The names of these addresses. Code may be made where other code was: the last entry is the one in force.
pub fn names(file: impl Read, addresses: &BTreeSet<u64>) -> HashMap<u64, String> {
    let mut found = HashMap::new();
    let mut reader = BufReader::new(file.take(LIMIT));
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return found,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if let Some((start, end, name)) = entry(&text) {
            for address in addresses.range(start..end) {
                found.insert(*address, name.to_owned());
            }
        }
    }
}

/// `START SIZE NAME`, both numbers in hexadecimal.
fn entry(line: &str) -> Option<(u64, u64, &str)> {
    let (start, rest) = line.trim_end().split_once(' ')?;
    let (size, name) = rest.split_once(' ')?;
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok();
    let start = number(start)?;
    let end = start.checked_add(number(size)?)?;
    (start < end && !name.is_empty()).then_some((start, end, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_entry_for_an_address_counts() {
        let text = b"1000 20 first one\nnoise\n1000 10 LazyCompile:*second /a.js:3\n2000 0 empty\nffffffffffffffff 5 x\n\xff\n3000 8";
        let wanted = BTreeSet::from([0x1008, 0x1018, 0x2000, 0x3001, u64::MAX]);
        let found = names(&text[..], &wanted);
        assert_eq!(found.len(), 2);
        assert_eq!(found[&0x1008], "LazyCompile:*second /a.js:3");
        assert_eq!(found[&0x1018], "first one");
    }
}
