//! Who is below whom: processes by their parents, from /proc (`proc_pid_stat(5)`, `proc_tid_children(5)`).
//!
//! Used by the keeper, so nothing in here allocates; the launcher's own questions are at the end.

use std::ptr;

use super::raw::{self, PathBuffer};

/// What matters here of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The state letter.
    pub state: u8,
    /// The parent's pid.
    pub parent: i32,
    /// How many threads it has.
    pub threads: i32,
    /// When it was created, in clock ticks after the boot: with its pid that tells it from all others.
    pub began: u64,
}

impl Stat {
    /// Whether it has ended, and at most waits to be reaped.
    pub fn is_dead(self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Whether it was stopped by a signal.
    pub fn is_stopped(self) -> bool {
        self.state == b'T'
    }

    /// Whether it runs, or would on a signal or an event: not stopped, dead or in uninterruptible sleep.
    pub fn is_running(self) -> bool {
        matches!(self.state, b'R' | b'S')
    }
}

/// Reads `/proc/PID/stat`; `None` when there is no such process, or it may not be looked at.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    let fd = raw::open(&PathBuffer::process(pid).text(b"/stat"))?;
    let mut buffer = [0; 512];
    let length = raw::read(fd, &mut buffer);
    raw::close(fd);
    parse_stat(buffer.get(..length)?)
}

/// The name, in parentheses, may itself hold spaces and parentheses: the fields are counted from the last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text.get(name_end + 2..)?.split(|byte| *byte == b' ');
    let state = *fields.next()?.first()?;
    let parent = number(fields.next()?)?;
    let threads = number(fields.nth(15)?)?;
    // After 248 days there are more ticks than fit an i32.
    let began = fields.nth(1)?.iter().fold(0_u64, |sum, byte| {
        let digit = u64::from(byte.wrapping_sub(b'0'));
        sum.wrapping_mul(10).wrapping_add(digit)
    });
    Some(Stat { state, parent, threads, began })
}

fn number(digits: &[u8]) -> Option<i32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i32, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { sum.checked_mul(10)?.checked_add(i32::from(digit)) }
    })
}

/// Whether /proc is there, is of this process's own pid namespace, and lists the children of a thread.
pub(super) fn is_readable() -> bool {
    // SAFETY: no memory is involved.
    let own = unsafe { libc::getpid() };
    let mut target = [0_u8; 16];
    // SAFETY: the path ends with a NUL; the kernel writes no more than the buffer's length.
    let length = unsafe { libc::readlink(c"/proc/self".as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    // Seen from another namespace the numbers mean other processes: nobody may be signalled by them.
    if usize::try_from(length).ok().and_then(|length| number(target.get(..length)?)) != Some(own) {
        return false;
    }
    match raw::open(&PathBuffer::process(own).text(b"/task/").number(own).text(b"/children")) {
        Some(fd) => {
            raw::close(fd);
            true
        }
        None => false,
    }
}

/// Calls `found` for each child of a process. `threads` is from its [`Stat`]: a child belongs to the thread that
/// created it, and a process with one thread needs no look at its list of threads.
pub(super) fn children(pid: i32, threads: i32, found: &mut impl FnMut(i32)) {
    if threads <= 1 {
        return children_of_thread(pid, pid, found);
    }
    let Some(fd) = raw::open(&PathBuffer::process(pid).text(b"/task")) else { return };
    let mut buffer = Entries([0; 2048]);
    loop {
        // SAFETY: the kernel writes no more than the buffer's length.
        let length = unsafe { libc::syscall(libc::SYS_getdents64, fd, buffer.0.as_mut_ptr(), buffer.0.len()) };
        let Ok(length @ 1..) = usize::try_from(length) else { break };
        let mut rest = buffer.0.get(..length).unwrap_or_default();
        // A record: inode, offset (8 bytes each), length (2), type (1), the name up to a NUL.
        while let Some(&[low, high]) = rest.get(16..18) {
            let record = usize::from(u16::from_ne_bytes([low, high]));
            let name = rest.get(19..record).unwrap_or_default();
            if let Some(thread) = name.split(|byte| *byte == 0).next().and_then(number) {
                children_of_thread(pid, thread, found);
            }
            rest = rest.get(record.max(19)..).unwrap_or_default();
        }
    }
    raw::close(fd);
}

#[repr(align(8))]
struct Entries([u8; 2048]);

fn children_of_thread(pid: i32, thread: i32, found: &mut impl FnMut(i32)) {
    let path = PathBuffer::process(pid).text(b"/task/").number(thread).text(b"/children");
    let Some(fd) = raw::open(&path) else { return };
    let mut buffer = [0_u8; 2048];
    let mut child = 0_i32;
    loop {
        let length = raw::read(fd, &mut buffer);
        if length == 0 {
            break;
        }
        for byte in buffer.iter().take(length) {
            if byte.is_ascii_digit() {
                child = child.wrapping_mul(10).wrapping_add(i32::from(byte - b'0'));
            } else {
                // Numbers are separated by blanks; a number may lie across two reads.
                if child > 0 {
                    found(child);
                }
                child = 0;
            }
        }
    }
    raw::close(fd);
}

/// A walk down the processes below one, parents first. Its memory is not from the heap: a fork may not use that.
pub(super) struct Walk {
    entries: *mut [i32; 2],
    length: usize,
}

impl Walk {
    /// The highest number of processes Linux can have (`PID_MAX_LIMIT`). Only pages that are used take memory.
    const CAPACITY: usize = 1 << 22;

    /// Takes address space for a walk; `None` when there is none.
    pub fn new() -> Option<Walk> {
        // SAFETY: a fresh private mapping, which nothing else knows of.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Walk::CAPACITY * size_of::<[i32; 2]>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        (memory != libc::MAP_FAILED).then_some(Walk { entries: memory.cast(), length: 0 })
    }

    fn push(&mut self, pid: i32, parent: i32) {
        if self.length < Walk::CAPACITY {
            // SAFETY: the index lies within the mapping, which is aligned to a page and lives as long as self.
            unsafe { self.entries.add(self.length).write([pid, parent]) };
            self.length += 1;
        }
    }

    /// The process that was found as this one, and its parent then, or when it was created.
    fn entry(&self, index: usize) -> Option<[i32; 2]> {
        // SAFETY: entries up to `length` were written by `push`.
        (index < self.length).then(|| unsafe { self.entries.add(index).read() })
    }

    /// Adds each process below `root` that is not in `found` yet, parents first, with the moment it was created; whether
    /// there was one. For `skip` see [`Walk::below`].
    pub fn find_below(&mut self, root: i32, skip: impl Fn(i32) -> bool, found: &mut Walk) -> bool {
        let known = found.length;
        let is_known = |found: &Walk, entry| (0..known).any(|index| found.entry(index) == Some(entry));
        self.below(root, skip, |pid, stat| {
            let entry = [pid, stamp(stat)];
            if !is_known(found, entry) {
                found.push(entry[0], entry[1]);
            }
        });
        found.length > known
    }

    /// Calls `visit` for each process that [`Walk::find_below`] has put in here and that is still there, whoever its
    /// parent is by now.
    pub fn found(&self, mut visit: impl FnMut(i32, Option<Stat>)) {
        let mut index = 0;
        while let Some([pid, began]) = self.entry(index) {
            index += 1;
            let stat = stat(pid);
            // What may not be looked at was a child of the root, which has not reaped it since: see `belongs`.
            if stamp(stat) == began {
                visit(pid, stat);
            }
        }
    }

    /// Calls `visit` for each process below `root`, parents first, zombies too. A process is visited before its
    /// children are looked up. Direct children of `root` that `skip` names are left out with all below them.
    pub fn below(&mut self, root: i32, skip: impl Fn(i32) -> bool, mut visit: impl FnMut(i32, Option<Stat>)) {
        self.length = 0;
        let threads = stat(root).map_or(1, |stat| stat.threads);
        children(root, threads, &mut |child| {
            if !skip(child) {
                self.push(child, root);
            }
        });
        let mut index = 0;
        while let Some([pid, parent]) = self.entry(index) {
            index += 1;
            let stat = stat(pid);
            if !belongs(stat, parent, root) {
                continue;
            }
            visit(pid, stat);
            if let Some(stat) = stat.filter(|stat| !stat.is_dead()) {
                children(pid, stat.threads, &mut |child| self.push(child, pid));
            }
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this size in `new`, and nothing refers to it any more.
        unsafe { libc::munmap(self.entries.cast(), Walk::CAPACITY * size_of::<[i32; 2]>()) };
    }
}

/// The moment a process was created, short enough for an entry of a [`Walk`]: it comes again after more than a year. 0 when
/// it is not known.
fn stamp(stat: Option<Stat>) -> i32 {
    stat.map_or(0, |stat| stat.began as i32)
}

/// Whether a process that was found as a child of `parent` is still that one.
fn belongs(stat: Option<Stat>, parent: i32, root: i32) -> bool {
    match stat {
        // Its number may have been given away since its parent named it: this one is somebody else.
        Some(stat) => stat.parent == parent || stat.parent == root,
        // Not readable (hidepid=) or gone. A child of the root cannot have lost its number: the root is its reaper.
        None => parent == root,
    }
}

/// Whether a process has `ancestor` among its ancestors.
pub(super) fn is_below(ancestor: i32, pid: i32) -> bool {
    // A parent that dies between two reads breaks the chain; its children have a new parent by then.
    for _ in 0..8 {
        let mut current = pid;
        loop {
            match stat(current) {
                Some(stat) if stat.parent == ancestor => return true,
                Some(stat) if stat.parent > 1 => current = stat.parent,
                Some(_) => return false,
                None if current == pid => return false,
                None => break,
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_no_trouble() {
        let text = b"4711 (a) b (c) S 42 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 7 0 3000000000 0 0\n";
        assert_eq!(parse_stat(text), Some(Stat { state: b'S', parent: 42, threads: 7, began: 3_000_000_000 }));
    }

    #[test]
    fn noise_is_no_stat() {
        for text in [&b""[..], b")", b"1 (x)", b"1 (x) ", b"1 (x) S", b"1 (x) S x y", b"1 (x) S 99999999999"] {
            assert_eq!(parse_stat(text), None);
        }
    }

    #[test]
    fn this_process_is_found_below_its_parent() {
        let own = std::process::id() as i32;
        let parent = stat(own).unwrap().parent;
        assert!(is_readable());
        assert!(is_below(parent, own));
        assert!(!is_below(own, parent));
    }

    #[test]
    fn children_of_other_threads_are_found_too() {
        let child = std::thread::spawn(|| std::process::Command::new("sleep").arg("60").spawn().unwrap());
        let mut child = child.join().unwrap();
        let pid = child.id() as i32;
        let keeper = std::process::id() as i32;
        let mut found = Vec::new();
        Walk::new().unwrap().below(keeper, |_| false, |pid, _| found.push(pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.contains(&pid), "{pid} is not in {found:?}");
    }
}
