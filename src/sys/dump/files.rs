//! The files of `/proc/PID` that a dump reads, taken apart.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

/// No such file is read beyond this, in bytes.
const LIMIT: u64 = 4 << 20;

/// Reads a file as text, lossy, up to 4 MiB.
pub fn text(path: &str) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Reads a file that the kernel hands out whole in one piece (`stat`, `status`, `syscall` and others of one record):
/// one `read(2)`, where [`text`] needs several to see the end.
pub fn record(path: &str) -> std::io::Result<String> {
    first_record(&File::open(path)?)
}

/// The same of an open file, from its start; it may be read again for what it holds by then.
fn first_record(file: &File) -> std::io::Result<String> {
    thread_local! {
        /// Made once: a dump reads thousands of such files.
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 8192]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let length = file.read_at(buffer, 0)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        let text = std::str::from_utf8(bytes).map(str::to_owned);
        Ok(text.unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned()))
    })
}

/// A one-line file without its line end; `None` when it cannot be read or is empty.
pub fn line(path: &str) -> Option<String> {
    let text = record(path).ok()?;
    let line = text.trim_end();
    (!line.is_empty()).then(|| line.to_owned())
}

/// A file of strings that end with NUL (`cmdline`, `environ`).
pub fn strings(path: &str) -> std::io::Result<Vec<String>> {
    let text = text(path)?;
    Ok(text.strip_suffix('\0').unwrap_or(&text).split('\0').map(str::to_owned).filter(|_| !text.is_empty()).collect())
}

/// The number after `key:` in a file of `key: value` lines.
pub fn number(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

/// The numbers that a directory's entries are named by, ascending.
pub fn numbered(path: &str) -> std::io::Result<Vec<i32>> {
    let entries = std::fs::read_dir(path)?;
    let mut numbers: Vec<i32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// `/proc/PID/task/TID/syscall`: where a thread is, as far as it shows without being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On a CPU, or waiting for one.
    Running,
    /// A thread of the kernel's own: it has neither a stack to read nor a system call.
    Kernel,
    /// Blocked outside any system call, in a page fault for one.
    Fault {
        /// Stack pointer.
        sp: u64,
        /// Program counter.
        pc: u64,
    },
    /// Blocked in a system call.
    Call {
        /// Its number.
        number: i64,
        /// Its arguments.
        arguments: [u64; 6],
        /// Stack pointer.
        sp: u64,
        /// Program counter.
        pc: u64,
    },
}

impl Place {
    /// Of a thread; `EPERM` or `EACCES` without ptrace rights.
    pub fn of(pid: i32, tid: i32) -> std::io::Result<Place> {
        Places::of(pid, tid)?.now()
    }

    fn parse(text: &str) -> Option<Place> {
        let mut words = text.split_whitespace();
        let number = match words.next()? {
            "running" => return Some(Place::Running),
            number => number.parse::<i64>().ok()?,
        };
        let values: Vec<u64> =
            words.map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()).collect::<Option<_>>()?;
        match *values.as_slice() {
            // It is shown as call 0 with nothing but zeroes; a program has a stack and a place in its code.
            [.., 0, 0] => Some(Place::Kernel),
            [sp, pc] => Some(Place::Fault { sp, pc }),
            [a, b, c, d, e, f, sp, pc] => Some(Place::Call { number, arguments: [a, b, c, d, e, f], sp, pc }),
            _ => None,
        }
    }
}

/// The places of a thread, one after the other.
#[derive(Debug)]
pub struct Places(File);

impl Places {
    /// Of this thread; errors as [`Place::of`].
    pub fn of(pid: i32, tid: i32) -> std::io::Result<Places> {
        Ok(Places(File::open(format!("/proc/{pid}/task/{tid}/syscall"))?))
    }

    /// Where it is now.
    pub fn now(&self) -> std::io::Result<Place> {
        let text = first_record(&self.0)?;
        Place::parse(&text).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_thread_in_its_forms() {
        assert_eq!(Place::parse("running\n"), Some(Place::Running));
        assert_eq!(Place::parse("-1 0x7ffd10 0x55f0\n"), Some(Place::Fault { sp: 0x7ffd10, pc: 0x55f0 }));
        let call = Place::parse("0 0x3 0x1 0x2 0x0 0x0 0x0 0x7ffd 0x7f00\n");
        assert_eq!(call, Some(Place::Call { number: 0, arguments: [3, 1, 2, 0, 0, 0], sp: 0x7ffd, pc: 0x7f00 }));
        assert_eq!(Place::parse("0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n"), Some(Place::Kernel));
        assert_eq!(Place::parse(""), None);
        assert_eq!(Place::parse("0 0x3"), None);
    }

    #[test]
    fn numbers_by_key() {
        let text = "Name:\tx\nvoluntary_ctxt_switches:\t12\nrchar: 5\n";
        assert_eq!(number(text, "voluntary_ctxt_switches"), Some(12));
        assert_eq!(number(text, "rchar"), Some(5));
        assert_eq!(number(text, "ctxt"), None);
    }
}
