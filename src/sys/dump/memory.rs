//! The memory of another process, read without stopping it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::unix::fs::FileExt;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// Bytes of a page, and the unit in which memory outside stacks is read and kept.
const PAGE: u64 = 4096;
/// Pages kept at most: 16 MiB.
const PAGES_KEPT: usize = 4096;

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

    fn read_into(&self, address: u64, bytes: &mut [u8]) -> usize {
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
        let local = &mut [IoSliceMut::new(&mut bytes[..wanted])];
        match process_vm_readv(Pid::from_raw(self.pid), local, &remote) {
            Ok(got) if got == wanted && at < end => got + self.read_into(at, &mut bytes[wanted..]),
            Ok(got) => got,
            Err(nix::errno::Errno::EPERM | nix::errno::Errno::ENOSYS) => self.read_by_file(address, bytes),
            Err(_) => 0,
        }
    }

    /// `/proc/PID/mem`, for where a seccomp filter denies `process_vm_readv(2)`.
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
    fn a_stack_refuses_what_was_not_copied() {
        let stack = Stack { base: 0x1000, bytes: vec![1; 16] };
        assert_eq!(stack.word(0x1008), Some(0x0101_0101_0101_0101));
        assert_eq!(stack.word(0x1009), None);
        assert_eq!(stack.word(0xfff), None);
        assert_eq!(stack.word(u64::MAX), None);
    }
}
