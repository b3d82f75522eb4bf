//! The memory of another process, read without stopping it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::sys::allowed;

/// Bytes of a page, and the unit in which memory outside stacks is read and kept.
const PAGE: u64 = 4096;
/// Pages kept at most: 16 MiB.
const PAGES_KEPT: usize = 4096;
/// Pieces that one system call reads at most (`UIO_MAXIOV`).
const PIECES: usize = 1024;
/// Pieces that lie no further apart are read in one stretch of at most this length, in bytes.
const GAP: usize = 2048;
const STRETCH: usize = 256 << 10;

/// The memory of one process. What was read once is not read again, so that one walk sees one state.
#[derive(Debug)]
pub struct Memory {
    pid: i32,
    pages: RefCell<HashMap<u64, Option<Box<[u8]>>>>,
    file: RefCell<Option<Option<File>>>,
}

impl Memory {
    /// The memory of the process `pid`.
    pub fn of(pid: i32) -> Memory {
        Memory { pid, pages: RefCell::default(), file: RefCell::default() }
    }

    /// Reads up to `length` bytes at `address` straight from the process, as many as are mapped in one piece
    /// (`process_vm_readv(2)`, else `/proc/PID/mem`). An empty result means that nothing could be read.
    pub fn read_fresh(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0u8; length];
        let got = self.read_into(address, &mut bytes);
        bytes.truncate(got);
        bytes
    }

    /// Reads all these pieces (address and length) at one moment, as far as one call can (`process_vm_readv(2)`); straight
    /// from the process, as many as are mapped, in their order.
    pub fn read_together(&self, pieces: &[(u64, usize)]) -> Vec<Vec<u8>> {
        let pieces = &pieces[..pieces.len().min(PIECES)];
        let mut bytes = vec![0u8; pieces.iter().map(|(_, length)| length).sum()];
        let (got, by_call) = self.read_batch(pieces, &mut bytes);
        if !by_call {
            return pieces.iter().map(|(address, length)| self.read_fresh(*address, *length)).collect();
        }
        bytes.truncate(got);
        let mut rest = bytes.as_slice();
        let whole = pieces.iter().map_while(|(_, length)| {
            let (piece, after) = rest.split_at_checked(*length)?;
            rest = after;
            Some(piece.to_vec())
        });
        whole.collect()
    }

    /// The same into memory that is there: how many bytes.
    pub fn read_into(&self, address: u64, bytes: &mut [u8]) -> usize {
        let Ok(base) = usize::try_from(address) else { return 0 };
        if bytes.is_empty() || base.checked_add(bytes.len()).is_none() {
            return 0;
        }
        // The kernel fails a whole remote vector at its first bad page, so each page is a vector of its own.
        let mut remote = Vec::new();
        let mut at = address;
        let end = address + bytes.len() as u64;
        while at < end && remote.len() < 1024 {
            let next = (at / PAGE + 1).saturating_mul(PAGE).min(end);
            remote.push(RemoteIoVec { base: at as usize, len: (next - at) as usize });
            at = next;
        }
        let wanted = (at - address) as usize;
        if self.file.borrow().is_some() {
            return self.read_by_file(address, bytes);
        }
        let local = &mut [IoSliceMut::new(&mut bytes[..wanted])];
        if !allowed::survives(allowed::Call::ReadMemory) {
            return self.read_by_file(address, bytes);
        }
        match process_vm_readv(Pid::from_raw(self.pid), local, &remote) {
            Ok(got) if got == wanted && at < end => got + self.read_into(at, &mut bytes[wanted..]),
            Ok(got) => got,
            Err(nix::errno::Errno::EPERM | nix::errno::Errno::ENOSYS) => self.read_by_file(address, bytes),
            Err(_) => 0,
        }
    }

    /// Reads many pieces, each of an address and a length in bytes, straight from the process, with few system calls.
    /// They lie behind one another in `out`; the result says of each whether all of it was read.
    ///
    /// What lies close together is read in one stretch: that takes the kernel far less time than each piece for itself.
    pub fn read_pieces(&self, pieces: &[(u64, usize)], out: &mut Vec<u8>) -> Vec<bool> {
        out.clear();
        out.resize(pieces.iter().map(|(_, length)| *length).sum(), 0);
        let (stretches, places) = stretches(pieces);
        let mut bytes = Vec::new();
        let read = self.read_apart(&stretches, &mut bytes);
        let mut starts = Vec::with_capacity(stretches.len());
        let mut start = 0;
        for (_, length) in &stretches {
            starts.push(start);
            start += length;
        }
        let mut whole = vec![false; pieces.len()];
        let mut offset = 0;
        for (index, ((_, length), place)) in pieces.iter().zip(places).enumerate() {
            let target = &mut out[offset..offset + length];
            offset += length;
            let Some((stretch, within)) = place else { continue };
            if read[stretch] {
                target.copy_from_slice(&bytes[starts[stretch] + within..][..*length]);
                whole[index] = true;
            }
        }
        if read.iter().all(|read| *read) {
            return whole;
        }
        // What is missing may be a neighbour's fault.
        let missing: Vec<usize> = (0..pieces.len()).filter(|index| !whole[*index]).collect();
        let alone: Vec<(u64, usize)> = missing.iter().map(|index| pieces[*index]).collect();
        let read = self.read_apart(&alone, &mut bytes);
        let offsets: Vec<usize> = pieces
            .iter()
            .scan(0, |next, (_, length)| {
                *next += length;
                Some(*next - length)
            })
            .collect();
        let mut start = 0;
        for (index, read) in missing.into_iter().zip(read) {
            let length = pieces[index].1;
            if read {
                out[offsets[index]..][..length].copy_from_slice(&bytes[start..start + length]);
                whole[index] = true;
            }
            start += length;
        }
        whole
    }

    /// Reads pieces as they are given.
    fn read_apart(&self, pieces: &[(u64, usize)], out: &mut Vec<u8>) -> Vec<bool> {
        out.clear();
        out.resize(pieces.iter().map(|(_, length)| *length).sum(), 0);
        let mut whole = vec![false; pieces.len()];
        let (mut next, mut offset) = (0, 0);
        while next < pieces.len() {
            let batch = &pieces[next..pieces.len().min(next + PIECES)];
            let (mut got, by_call) = self.read_batch(batch, &mut out[offset..]);
            let before = next;
            // The kernel ends at the first piece that it cannot read in whole.
            while next < before + batch.len() && pieces[next].1 <= got {
                whole[next] = true;
                got -= pieces[next].1;
                offset += pieces[next].1;
                next += 1;
            }
            if next < before + batch.len() {
                let (address, length) = pieces[next];
                let piece = &mut out[offset..offset + length];
                whole[next] = !by_call && self.read_by_file(address, piece) == length;
                offset += length;
                next += 1;
            }
        }
        whole
    }

    /// Reads pieces behind one another into `out`, up to the first that cannot be read: how many bytes, and whether the
    /// system call is there at all.
    fn read_batch(&self, pieces: &[(u64, usize)], out: &mut [u8]) -> (usize, bool) {
        if self.file.borrow().is_some() || !allowed::survives(allowed::Call::ReadMemory) {
            return (0, false);
        }
        let vector = |(address, length): &(u64, usize)| RemoteIoVec { base: *address as usize, len: *length };
        let remote: Vec<RemoteIoVec> = pieces.iter().map(vector).collect();
        let wanted = pieces.iter().map(|(_, length)| *length).sum();
        match process_vm_readv(Pid::from_raw(self.pid), &mut [IoSliceMut::new(&mut out[..wanted])], &remote) {
            Ok(got) => (got, true),
            Err(nix::errno::Errno::EPERM | nix::errno::Errno::ENOSYS) => (0, false),
            Err(_) => (0, true),
        }
    }

    /// `/proc/PID/mem`, for where `process_vm_readv(2)` is denied, by a seccomp filter or for the real ids of this
    /// thread: it is asked once.
    fn read_by_file(&self, address: u64, bytes: &mut [u8]) -> usize {
        let mut file = self.file.borrow_mut();
        let file = file.get_or_insert_with(|| File::open(format!("/proc/{}/mem", self.pid)).ok());
        file.as_ref().and_then(|file| file.read_at(bytes, address).ok()).unwrap_or(0)
    }

    /// Reads exactly `N` bytes at `address`, from the pages kept where possible.
    pub fn read<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut out = [0u8; N];
        self.fill(address, &mut out).then_some(out)
    }

    /// Reads a word of 64 bits.
    pub fn word(&self, address: u64) -> Option<u64> {
        self.read(address).map(u64::from_le_bytes)
    }

    /// Fills `out` with the bytes at `address`, from the pages kept where possible; `false` if any is not mapped.
    pub fn fill(&self, address: u64, out: &mut [u8]) -> bool {
        let mut done = 0;
        while done < out.len() {
            let Some(at) = address.checked_add(done as u64) else { return false };
            let (page, offset) = (at / PAGE * PAGE, (at % PAGE) as usize);
            let count = (PAGE as usize - offset).min(out.len() - done);
            if !self.copy_of_page(page, offset, &mut out[done..done + count]) {
                return false;
            }
            done += count;
        }
        true
    }

    fn copy_of_page(&self, page: u64, offset: usize, out: &mut [u8]) -> bool {
        let mut pages = self.pages.borrow_mut();
        if pages.len() >= PAGES_KEPT && !pages.contains_key(&page) {
            pages.clear();
        }
        let bytes = pages.entry(page).or_insert_with(|| {
            let bytes = self.read_fresh(page, PAGE as usize);
            (bytes.len() == PAGE as usize).then(|| bytes.into_boxed_slice())
        });
        match bytes {
            Some(bytes) => {
                out.copy_from_slice(&bytes[offset..offset + out.len()]);
                true
            }
            None => false,
        }
    }

    /// Reads a string that ends with NUL, of at most `limit` bytes; lossy UTF-8.
    pub fn string(&self, address: u64, limit: usize) -> Option<String> {
        let mut text = Vec::new();
        while text.len() < limit {
            let [byte] = self.read::<1>(address.checked_add(text.len() as u64)?)?;
            if byte == 0 {
                break;
            }
            text.push(byte);
        }
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Where a piece lies: in which stretch, and where in it.
type Place = Option<(usize, usize)>;

/// Stretches that hold these pieces, and for each piece where it lies in them.
fn stretches(pieces: &[(u64, usize)]) -> (Vec<(u64, usize)>, Vec<Place>) {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_unstable_by_key(|index| pieces[*index].0);
    let mut stretches: Vec<(u64, usize)> = Vec::new();
    let mut places = vec![None; pieces.len()];
    for index in order {
        let (address, length) = pieces[index];
        let open = stretches.last_mut().and_then(|(start, reach)| {
            let within = usize::try_from(address.checked_sub(*start)?).ok()?;
            let end = within.checked_add(length)?;
            (within <= reach.saturating_add(GAP) && end <= STRETCH).then(|| {
                *reach = (*reach).max(end);
                within
            })
        });
        match open {
            Some(within) => places[index] = Some((stretches.len() - 1, within)),
            None => {
                stretches.push((address, length));
                places[index] = Some((stretches.len() - 1, 0));
            }
        }
    }
    (stretches, places)
}

/// The copy of a thread's stack from its stack pointer on.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// The address of the first byte: the stack pointer.
    pub base: u64,
    /// What was there.
    pub bytes: Vec<u8>,
}

impl Stack {
    /// The word at `address`, if it was copied.
    pub fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.base)?).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The address after the last byte that was copied.
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_and_strings_and_refuses_what_is_not_mapped() {
        let memory = Memory::of(std::process::id() as i32);
        // Both are there before the first read: pages are read once, and they may be on the same one.
        let (word, text) = (Box::new(0x1122_3344_5566_7788u64), c"hello".to_owned());
        assert_eq!(memory.word(&raw const *word as u64), Some(*word));
        assert_eq!(memory.string(text.as_ptr() as u64, 100).as_deref(), Some("hello"));
        assert_eq!(memory.word(8), None);
        assert_eq!(memory.word(u64::MAX - 3), None);
        assert!(memory.read_fresh(u64::MAX, 16).is_empty());
        assert!(memory.read_fresh(0, 1 << 20).is_empty());
    }

    #[test]
    fn a_long_read_ends_where_the_mapping_ends() {
        let memory = Memory::of(std::process::id() as i32);
        let bytes = vec![7u8; 6 << 20];
        let read = memory.read_fresh(bytes.as_ptr() as u64, bytes.len());
        assert!(read == bytes);
    }

    #[test]
    fn pieces_are_read_up_to_and_behind_one_that_cannot_be() {
        let memory = Memory::of(std::process::id() as i32);
        let bytes: Vec<u8> = (0..=255).collect();
        let at = bytes.as_ptr() as u64;
        let mut out = Vec::new();
        assert_eq!(
            memory.read_pieces(&[(at, 4), (8, 4), (at + 16, 2), (u64::MAX, 1)], &mut out),
            [true, false, true, false]
        );
        assert_eq!((&out[..4], &out[8..10]), (&bytes[..4], &bytes[16..18]));
        let many: Vec<(u64, usize)> = (0..3000).map(|index| (at + index % 256, 1)).collect();
        assert!(memory.read_pieces(&many, &mut out).into_iter().all(|whole| whole));
        assert!(out.iter().enumerate().all(|(index, byte)| *byte == (index % 256) as u8));
        assert!(memory.read_pieces(&[], &mut out).is_empty());
        let large = vec![5u8; 1 << 20];
        let pieces: Vec<(u64, usize)> =
            (0..256).rev().map(|page| (large.as_ptr() as u64 + page * 4096, 4096)).collect();
        assert!(memory.read_pieces(&pieces, &mut out).into_iter().all(|whole| whole) && out == large);
    }

    #[test]
    fn pieces_are_read_together_up_to_the_first_that_is_not_mapped() {
        let memory = Memory::of(std::process::id() as i32);
        let (one, other) = (Box::new(1u64), Box::new(2u64));
        let [one, other] = [&raw const *one as u64, &raw const *other as u64];
        let read = memory.read_together(&[(other, 8), (one, 4), (8, 8), (one, 8)]);
        assert_eq!(read, [2u64.to_le_bytes().to_vec(), vec![1, 0, 0, 0]]);
        assert!(memory.read_together(&[(8, 8)]).is_empty() && memory.read_together(&[]).is_empty());
    }

    #[test]
    fn a_stack_refuses_what_was_not_copied() {
        let stack = Stack { base: 0x1000, bytes: vec![1; 16] };
        assert_eq!(stack.word(0x1008), Some(0x0101_0101_0101_0101));
        assert_eq!(stack.word(0x1009), None);
        assert_eq!(stack.word(0xfff), None);
        assert_eq!(stack.word(u64::MAX), None);
    }
}
