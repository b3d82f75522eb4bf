//! Lets go of the memory that a keeper has from the launcher and never uses.
//!
//! A fork shares all pages with the launcher until one of the two writes to them. The launcher does, so that each keeper
//! is left alone with the pages as they were when it was forked: 130 KB of each, which is most of what a hundred services
//! take. A keeper never allocates and never returns, so the heap, other threads' stacks, its own stack above and
//! below the frames that it is in, and what variables were set to are of no use to it.

use std::ops::Range;

use super::raw::{self, PathBuffer};
use crate::sys::memory::drop_pages;

/// No page is smaller than this; what shares a page with something in use is kept.
const PAGE: usize = 4096;

/// So much below the frame that forgets is in use by what it calls.
const FRAMES: usize = 2 * PAGE;

/// What is behind the pointer of the thread: glibc's `struct pthread` has about 2300 bytes, musl's about 200.
const THREAD: usize = 2560;

unsafe extern "C" {
    /// Where the program's own variables end in memory: both ld and lld define it.
    #[link_name = "_end"]
    static PROGRAM_END: u8;
    /// Where those end that are not zero at first: both linkers define it.
    #[link_name = "__bss_start"]
    static DATA_END: u8;
    /// Where they begin: glibc's own start defines it.
    #[cfg(target_env = "gnu")]
    #[link_name = "__data_start"]
    static DATA_START: u8;
}

/// Where a program begins at most that is not moved when it is loaded: its variables are in its file as they are to be.
const UNMOVED: usize = 1 << 32;

/// Lets go of what is not used. `outermost` lies in the outermost frame that is still in use; it and what is within a
/// kilobyte above it is kept. Nothing changes where /proc cannot be read. Whether this is the stack of a main thread, below
/// which nothing else lies.
///
/// # Safety
/// In a fork with this one thread, which uses no memory from the heap any more and never returns from the frame of
/// `outermost`.
pub(super) unsafe fn forget(outermost: *const u8) -> bool {
    let innermost = 0_u8;
    let used = (&raw const innermost).addr().saturating_sub(FRAMES)..outermost.addr() + 1024;
    // SAFETY: only addresses are asked for.
    let (errno, thread) = unsafe { (libc::__errno_location().addr(), libc::pthread_self() as usize) };
    let thread = errno.min(thread)..errno.max(thread) + THREAD;
    let arguments = arguments_start();
    let Some(fd) = raw::open(&PathBuffer::process(raw::own_pid()).text(b"/maps")) else { return false };
    let mut lines = Lines { fd, buffer: [0; 512], filled: 0, taken: 0 };
    let (mut is_main, mut data, mut former) = (false, None, None);
    while let Some(mapping) = lines.next_mapping() {
        let Range { start, end } = mapping.place.clone();
        // What was relocated when the program was loaded lies in pages of its own, which are not written to any more.
        if mapping.writable && mapping.place.contains(&((&raw const DATA_END).addr() - 1)) {
            data = Some(data_start(start, former == Some((start, false))));
        }
        former = Some((end, mapping.writable));
        if !mapping.writable || mapping.is_file || start < (&raw const PROGRAM_END).addr() {
            continue;
        }
        let ours = mapping.place.contains(&used.start) || mapping.place.contains(&used.end);
        match mapping.kind {
            Kind::Stack if ours => {
                is_main = true;
                // SAFETY: as this function asks: below and above the frames in use nothing is.
                unsafe {
                    drop_pages(start..used.start);
                    if arguments > used.end && arguments < end {
                        drop_pages(used.end.next_multiple_of(PAGE)..arguments);
                    }
                }
            }
            // Without a dynamic loader all others are of malloc and of threads.
            Kind::Heap | Kind::Unnamed
                if !ours && (mapping.kind == Kind::Heap || cfg!(target_feature = "crt-static")) =>
            {
                // SAFETY: as this function asks: the heap is of no use any more, but for what belongs to the thread.
                unsafe {
                    drop_pages(start..end.min(thread.start));
                    drop_pages(start.max(thread.end.next_multiple_of(PAGE))..end);
                }
            }
            _ => {}
        }
    }
    raw::close(fd);
    if let Some(data) = data {
        forget_variables(data);
    }
    is_main
}

/// Where the variables begin that are not zero at first, in a mapping that can be written to and begins there; `alone` when
/// what lies before it cannot be written to.
#[cfg(target_env = "gnu")]
fn data_start(mapping: usize, alone: bool) -> usize {
    let start = (&raw const DATA_START).addr();
    // Before them may lie what was relocated as the program began, for functions that libc has several of.
    if alone && mapping == start / PAGE * PAGE { mapping } else { start }
}

/// As above; such a libc does not relocate a program that is not moved, so that the whole mapping is as it is in the file.
#[cfg(not(target_env = "gnu"))]
fn data_start(mapping: usize, _alone: bool) -> usize {
    mapping
}

/// Variables are again as the program began with them: those of malloc and of the launcher's threads, which it writes to all
/// the time. Those that were zero stay as they are now: libc copies memory by some of them.
fn forget_variables(start: usize) {
    let end = (&raw const DATA_END).addr();
    if cfg!(target_feature = "crt-static") && end < UNMOVED {
        // SAFETY: this process makes system calls and copies memory, for which the values are right that the file has; a
        // page that holds other variables, too, is not dropped.
        unsafe { drop_pages(start..end) };
    }
}

/// Where the arguments begin at the top of the stack, which `ps` shows (`arg_start` in `proc_pid_stat(5)`); 0 where that
/// is not told.
fn arguments_start() -> usize {
    let Some(fd) = raw::open(&PathBuffer::process(raw::own_pid()).text(b"/stat")) else { return 0 };
    let mut buffer = [0; 512];
    let length = raw::read(fd, &mut buffer);
    raw::close(fd);
    let text = buffer.get(..length).unwrap_or_default();
    let after_name = text.iter().rposition(|byte| *byte == b')').map_or(0, |at| at + 2);
    // The state is the third field, and the first one here.
    let field = text.get(after_name..).unwrap_or_default().split(|byte| *byte == b' ').nth(48 - 3);
    field.and_then(|digits| number(digits, 10)).unwrap_or(0)
}

fn number(digits: &[u8], radix: u32) -> Option<usize> {
    digits.iter().try_fold(0_usize, |sum, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        sum.checked_mul(radix as usize)?.checked_add(digit as usize)
    })
}

/// What a mapping is, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Heap,
    Stack,
    Unnamed,
    Other,
}

/// One line of /proc/PID/maps.
#[derive(PartialEq, Eq, Debug)]
struct Mapping {
    place: Range<usize>,
    writable: bool,
    is_file: bool,
    kind: Kind,
}

/// `299f6000-29ac3000 rw-p 00000000 00:00 0      [heap]`
fn parse(line: &[u8]) -> Option<Mapping> {
    let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let mut place = fields.next()?.splitn(2, |byte| *byte == b'-');
    let (start, end) = (number(place.next()?, 16)?, number(place.next()?, 16)?);
    let writable = fields.next()?.starts_with(b"rw-p");
    let is_file = fields.nth(2)? != b"0";
    let kind = match fields.next() {
        Some(b"[heap]") => Kind::Heap,
        Some(b"[stack]") => Kind::Stack,
        None => Kind::Unnamed,
        Some(_) => Kind::Other,
    };
    Some(Mapping { place: start..end, writable, is_file, kind })
}

/// The lines of a file, read with a small buffer: it lies on the stack that is to be small.
struct Lines {
    fd: i32,
    buffer: [u8; 512],
    filled: usize,
    taken: usize,
}

impl Lines {
    /// The next mapping; lines that say none, or are too long for the buffer, are left out.
    fn next_mapping(&mut self) -> Option<Mapping> {
        loop {
            let rest = &self.buffer[self.taken..self.filled];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = self.taken..self.taken + end;
                self.taken += end + 1;
                if let Some(mapping) = parse(&self.buffer[line]) {
                    return Some(mapping);
                }
                continue;
            }
            // A line that fills the buffer has a long name, and so a file: what comes of its end is no mapping.
            if self.taken == 0 && self.filled == self.buffer.len() {
                self.taken = self.filled;
            }
            self.buffer.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
            match raw::read(self.fd, &mut self.buffer[self.filled..]) {
                0 => return None,
                length => self.filled += length,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_told_apart() {
        let kind = |line: &str| parse(line.as_bytes()).map(|mapping| (mapping.kind, mapping.writable, mapping.is_file));
        assert_eq!(kind("299f6000-29ac3000 rw-p 00000000 00:00 0      [heap]"), Some((Kind::Heap, true, false)));
        assert_eq!(kind("7ffed0a28000-7ffed0a49000 rw-p 00000000 00:00 0 [stack]"), Some((Kind::Stack, true, false)));
        assert_eq!(kind("7f0000000000-7f0000001000 rw-p 00000000 00:00 0 "), Some((Kind::Unnamed, true, false)));
        assert_eq!(kind("003a1000-00a2e000 r-xp 00001000 fe:00 17 /bin/launcher"), Some((Kind::Other, false, true)));
        assert_eq!(kind("7ffe-7fff rw-s 00000000 00:00 0 [vvar]"), Some((Kind::Other, false, false)));
        for line in ["", "x", "12-34", "12-xyz rw-p 0 00:00 0", "of a name that was too long"] {
            assert_eq!(kind(line), None, "{line}");
        }
        assert_eq!(parse(b"10-20 rw-p 0 00:00 0").unwrap().place, 0x10..0x20);
    }

    #[test]
    fn own_mappings_and_arguments_are_found() {
        let fd = raw::open(&PathBuffer::process(raw::own_pid()).text(b"/maps")).unwrap();
        let mut lines = Lines { fd, buffer: [0; 512], filled: 0, taken: 0 };
        let kinds: Vec<Mapping> = std::iter::from_fn(|| lines.next_mapping()).collect();
        raw::close(fd);
        let stack = kinds.iter().find(|mapping| mapping.kind == Kind::Stack).unwrap();
        assert!(kinds.iter().any(|mapping| mapping.kind == Kind::Heap));
        let arguments = arguments_start();
        assert!(arguments == 0 || stack.place.contains(&arguments), "{arguments:x} in {:x?}", stack.place);
    }
}
