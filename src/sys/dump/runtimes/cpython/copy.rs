//! The memory of a thread's frames, copied in as few reads as possible: the thread runs on meanwhile.

use std::collections::HashSet;

use super::super::super::memory::Memory;
use super::heap::{Heap, word};
use super::layout::Layout;

/// How much memory behind a frame is read with it: where the functions that it calls have theirs.
const ROOM: u64 = 1024;

/// A copy of a thread's frames, taken at one moment as far as that goes.
pub struct Copy {
    /// The innermost frame; 0 when there is none.
    pub innermost: u64,
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Copy {
    /// Copies where the innermost frame is, and what is at the places where frames are most likely to be.
    pub fn of(heap: &Heap, thread: u64, likely: &[u64]) -> Option<Copy> {
        let Some(first) = place(&heap.layout, thread, |address| heap.word_now(address))? else {
            return Some(Copy { innermost: 0, pieces: Vec::new() });
        };
        let mut wanted = vec![(first, 8)];
        wanted.extend(ranges(likely, heap.layout.frame.size as usize));
        let mut pieces = heap.together(&wanted).into_iter();
        let innermost = word(&pieces.next()?, 0)?;
        let places = wanted.iter().skip(1).map(|(address, _)| *address);
        Some(Copy { innermost, pieces: places.zip(pieces).collect() })
    }

    /// Copies all frames of a thread that is held meanwhile.
    pub fn of_held(memory: &Memory, layout: &Layout, thread: u64) -> Option<Copy> {
        let now = |address: u64, length: u64| {
            let bytes = memory.read_fresh(address, usize::try_from(length).ok()?);
            (bytes.len() as u64 == length).then_some(bytes)
        };
        let word_now = |address: u64| word(&now(address, 8)?, 0);
        let Some(first) = place(layout, thread, word_now)? else {
            return Some(Copy { innermost: 0, pieces: Vec::new() });
        };
        let mut copy = Copy { innermost: word_now(first)?, pieces: Vec::new() };
        let (mut at, mut seen) = (copy.innermost, HashSet::new());
        while at != 0 && copy.pieces.len() < super::frames::FRAMES && seen.insert(at) {
            let bytes = now(at, layout.frame.size)?;
            let previous = word(&bytes, layout.frame.previous)?;
            copy.pieces.push((at, bytes));
            at = previous;
        }
        Some(copy)
    }

    /// What was at `address`, or is now where that was not copied.
    pub fn read(&self, heap: &Heap, address: u64, length: u64) -> Option<Vec<u8>> {
        let copied = self.pieces.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(length as usize)?).map(<[u8]>::to_vec)
        });
        copied.or_else(|| heap.now(address, length))
    }
}

/// Where the innermost frame of a thread is noted; `Some(None)` when it has none.
fn place(layout: &Layout, thread: u64, word_now: impl Fn(u64) -> Option<u64>) -> Option<Option<u64>> {
    let first = thread.checked_add(layout.thread.frame)?;
    // In 3.11 and 3.12 it is not in the thread's state, but in what that points to.
    match layout.thread.through {
        Some(offset) => match word_now(first)? {
            0 => Some(None),
            through => through.checked_add(offset).map(Some),
        },
        None => Some(Some(first)),
    }
}

/// The places of frames as few pieces of memory: those near each other in one, with room for those of further calls.
fn ranges(frames: &[u64], size: usize) -> Vec<(u64, usize)> {
    const PAGE: u64 = 4096;
    let mut sorted = frames.to_vec();
    sorted.sort_unstable();
    let mut ranges: Vec<(u64, usize)> = Vec::new();
    for address in sorted {
        let frame = address.saturating_add(size as u64);
        // Not beyond the page: the next one may not be there.
        let page = frame.saturating_add(PAGE - 1) / PAGE * PAGE;
        let end = frame.saturating_add(ROOM).min(page).max(frame);
        match ranges.last_mut() {
            Some((start, length)) if address <= start.saturating_add(*length as u64) => {
                *length = (*length).max((end - *start) as usize);
            }
            _ => ranges.push((address, (end - address) as usize)),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_near_each_other_are_read_in_one_piece() {
        assert_eq!(ranges(&[], 80), []);
        let page = 0x10_0000;
        assert_eq!(ranges(&[page + 0x200, page, page + 0x1_0000], 80), [(page, 0x650), (page + 0x1_0000, 0x450)]);
        assert_eq!(ranges(&[page + 0xfb0], 80), [(page + 0xfb0, 80)]);
        assert_eq!(ranges(&[page + 0xff0], 80), [(page + 0xff0, 0x10 + 0x440)]);
        assert_eq!(ranges(&[u64::MAX - 8], 80).len(), 1);
    }
}
