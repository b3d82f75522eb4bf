//! The descriptors that goroutines wait for: the kernel keeps, for each descriptor in Go's epoll set, the address of
//! Go's record of it, and that record says who waits to read and who to write (`type pollDesc struct` in
//! `runtime/netpoll.go`).

use std::collections::{HashMap, HashSet};

use super::super::super::fds::{self, Target};
use super::bytes::{Bytes, word_in};

/// Descriptors looked at, at most.
const DESCRIPTORS: usize = 1 << 17;

/// For each goroutine, by the address of its record: the descriptor, and whether it waits to read from it.
pub fn waited_for(
    memory: &dyn Bytes,
    pid: i32,
    goroutines: &HashSet<u64>,
    deadline: &dyn Fn() -> bool,
) -> HashMap<u64, (i32, bool)> {
    let mut waits = HashMap::new();
    for epoll in fds::epolls(pid) {
        for target in fds::epoll_targets(pid, epoll, DESCRIPTORS) {
            if deadline() {
                return waits;
            }
            for (goroutine, reading) in waiting(memory, target) {
                if goroutines.contains(&goroutine) {
                    waits.insert(goroutine, (target.fd, reading));
                }
            }
        }
    }
    waits
}

/// Who waits for this descriptor, as far as the record says that it is of this descriptor: to read, and to write.
fn waiting(memory: &dyn Bytes, target: Target) -> Vec<(u64, bool)> {
    // Up to Go 1.20 the kernel is given the address as it is. Later a number is packed with it, so that a record that
    // was used again can be told: by 1.24 with 48 bits of address and 3 that are 0, by 1.25 with 49 and 9. Since
    // then there is one more word in the record.
    let packed = |tag: u32, zero: u32| ((target.data.cast_signed() >> tag) << zero).cast_unsigned();
    let candidates = [(packed(24, 9), 32), (packed(19, 3), 32), (target.data, 24)];
    let found = candidates.into_iter().find_map(|(address, readers)| {
        let record = memory.bytes(address, 48)?;
        let fd = word_in(&record, 8)?;
        (fd == u64::try_from(target.fd).ok()?).then_some(())?;
        Some([(word_in(&record, readers)?, true), (word_in(&record, readers + 8)?, false)])
    });
    found.into_iter().flatten().filter(|(goroutine, _)| *goroutine > 2).collect()
}

#[cfg(test)]
mod tests {
    use super::super::bytes::testing::Pieces;
    use super::*;

    fn record(fd: u64, words: [u64; 4]) -> Vec<u8> {
        [0, fd].iter().chain(&words).flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn records_are_found_however_their_address_is_packed() {
        let target = |data| Target { fd: 7, events: 1, data, inode: 0 };
        let new = Pieces(vec![(0x7f00_1234_0200, record(7, [1, 0, 0xc000_0001, 0xc000_0002]))]);
        let both = [(0xc000_0001, true), (0xc000_0002, false)];
        assert_eq!(waiting(&new, target((0x7f00_1234_0200 << 15) | 5)), both);
        assert_eq!(waiting(&new, target((0x7f00_1234_0200 << 16) | 5)), both);
        let old = Pieces(vec![(0x7f00_1234_0208, record(7, [0, 0xc000_0001, 2, 0]))]);
        assert_eq!(waiting(&old, target(0x7f00_1234_0208)), [(0xc000_0001, true)]);
        let other = Target { fd: 8, ..target(0x7f00_1234_0208) };
        assert!(waiting(&old, other).is_empty(), "the record is of another descriptor");
        assert!(waiting(&old, target(u64::MAX)).is_empty());
    }
}
