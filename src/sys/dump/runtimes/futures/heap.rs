//! Where in the memory of a process certain words stand: its heap is searched once, without touching what is not there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::super::super::maps::Mapping;
use super::super::Subject;

/// Bytes of memory that are searched at most: 256 MiB.
const BYTES: u64 = 256 << 20;
/// Bytes that are read at once.
const PART: u64 = 1 << 20;
/// Bytes of a page.
const PAGE: u64 = 4096;
/// That a page is in memory, in its word of `/proc/PID/pagemap` (`proc_pid_pagemap(5)`).
const PRESENT: u64 = 1 << 63;

/// A word that was found, with what was read together with it.
#[derive(Debug, Clone, Copy)]
pub struct Hit<'a> {
    /// Where it stands.
    pub address: u64,
    /// The word.
    pub word: u64,
    /// What stands around it,
    pub bytes: &'a [u8],
    /// and where in that it is.
    pub offset: usize,
}

impl Hit<'_> {
    /// The bytes at an address near the word, if they were read together with it.
    pub fn near(&self, address: u64, length: usize) -> Option<&[u8]> {
        let distance = address.wrapping_sub(self.address).cast_signed();
        let start = self.offset.checked_add_signed(isize::try_from(distance).ok()?)?;
        self.bytes.get(start..start.checked_add(length)?)
    }
}

/// Searches what a program allocates from for words of 64 bits that are between `lowest` and `highest`, and shows them to
/// `visit`, until that wants no more. Whether all of it was searched.
pub fn search(
    subject: &Subject,
    (lowest, highest): (u64, u64),
    until: Instant,
    mut visit: impl FnMut(&Hit) -> bool,
) -> bool {
    let pages = File::open(format!("/proc/{}/pagemap", subject.via)).ok();
    let mut left = BYTES;
    let mut bytes = vec![0; PART as usize];
    for mapping in subject.maps.all().iter().filter(|mapping| is_heap(subject, mapping)) {
        let mut at = mapping.start;
        while at < mapping.end {
            let end = mapping.end.min(at + PART);
            for (from, to) in present(pages.as_ref(), at, end) {
                let length = (to - from) as usize;
                if left < to - from || Instant::now() >= until {
                    return false;
                }
                left -= to - from;
                let got = subject.memory.read_into(from, &mut bytes[..length]);
                let bytes = &bytes[..got];
                for (index, word) in bytes.chunks_exact(8).enumerate() {
                    let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
                    if word < lowest || word > highest {
                        continue;
                    }
                    let offset = 8 * index;
                    if !visit(&Hit { address: from + offset as u64, word, bytes, offset }) {
                        return false;
                    }
                }
            }
            at = end;
        }
    }
    true
}

/// Whether a mapping is memory that a program allocates from: not a file's, and no stack.
fn is_heap(subject: &Subject, mapping: &Mapping) -> bool {
    let named = mapping.path.is_empty() || mapping.path == "[heap]" || mapping.path.starts_with("[anon:");
    let holds = |pointer: u64| (mapping.start..mapping.end).contains(&pointer);
    let is_stack =
        subject.stacks.iter().any(|thread| thread.frames.first().is_some_and(|top| holds(top.stack_pointer)));
    mapping.write && !mapping.execute && mapping.inode == 0 && named && !is_stack
}

/// The parts of a stretch of memory that are there: to read the others would make pages for them, or get them back from
/// where they were swapped to. All of it where that cannot be seen.
fn present(pages: Option<&File>, start: u64, end: u64) -> Vec<(u64, u64)> {
    let count = (end - start).div_ceil(PAGE);
    let mut words = vec![0; 8 * count as usize];
    let seen = pages.is_some_and(|pages| pages.read_exact_at(&mut words, start / PAGE * 8).is_ok());
    if !seen {
        return vec![(start, end)];
    }
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (index, word) in words.chunks_exact(8).enumerate() {
        if u64::from_le_bytes(word.try_into().unwrap_or([0; 8])) & PRESENT == 0 {
            continue;
        }
        let from = start + index as u64 * PAGE;
        let to = end.min(from + PAGE);
        match runs.last_mut() {
            Some(last) if last.1 == from => last.1 = to,
            _ => runs.push((from, to)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_a_word_is_what_was_read_with_it() {
        let bytes: Vec<u8> = (0..64).collect();
        let hit = Hit { address: 0x1010, word: 0, bytes: &bytes, offset: 16 };
        assert_eq!(hit.near(0x1000, 4), Some(&[0, 1, 2, 3][..]));
        assert_eq!(hit.near(0x103e, 2), Some(&[62, 63][..]));
        for (address, length) in [(0xfff, 4), (0x103e, 3), (0, 8), (u64::MAX, 8), (0x1010, usize::MAX)] {
            assert_eq!(hit.near(address, length), None, "{address:#x}");
        }
    }

    #[test]
    fn only_pages_that_are_there_are_read() {
        let pages = File::open("/proc/self/pagemap").unwrap();
        let length = 16 * PAGE as usize;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that is there.
        let place =
            unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, 0x22, -1, 0) };
        assert_ne!(place, libc::MAP_FAILED);
        let start = place as u64;
        // A huge page would be there as a whole.
        // SAFETY: it is our own mapping.
        unsafe { libc::madvise(place, length, libc::MADV_NOHUGEPAGE) };
        for page in [2, 3, 9] {
            // SAFETY: within the mapping, which can be written.
            unsafe { place.cast::<u8>().add(page * PAGE as usize).write_volatile(1) };
        }
        let runs = present(Some(&pages), start, start + length as u64);
        let page = |number: u64| start + number * PAGE;
        assert_eq!(runs, [(page(2), page(4)), (page(9), page(10))]);
        assert_eq!(present(None, start, start + 5), [(start, start + 5)]);
        // SAFETY: it is our own mapping, and nothing points into it any more.
        unsafe { libc::munmap(place, length) };
    }
}
