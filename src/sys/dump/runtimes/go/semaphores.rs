//! The semaphores that goroutines wait on: below `sync.Mutex`, `sync.WaitGroup` and others. A goroutine does not say
//! which one; the table of all of them (`runtime.semtable` in `runtime/sema.go`) says who waits on each.
//!
//! The table has a tree of waits for each of 251 groups of addresses. It is found by such a tree: the group that the
//! address of its semaphore belongs to says where in the table the tree must stand.

use std::collections::{HashMap, HashSet};

use super::bytes::{Bytes, word_in};
use super::layout::Layout;
use super::tables::{Span, Tables};

/// Groups of the table, and the size of each, in bytes: one line of the processor's cache.
const GROUPS: u64 = 251;
const GROUP: u64 = 64;
/// The tree stands behind a lock.
const TREE: u64 = 8;
/// Waits read at most.
const WAITS: usize = 1 << 20;
/// How much of the program's variables is searched, in bytes.
const SEARCHED: u64 = 16 << 20;
/// How much is searched at once, in bytes.
const STEP: u64 = 1 << 20;

/// For each goroutine that waits on a semaphore, by the address of its record: the semaphore's address.
pub fn waited_on(
    memory: &dyn Bytes,
    layout: &Layout,
    tables: &Tables,
    goroutines: &HashSet<u64>,
    deadline: &dyn Fn() -> bool,
) -> HashMap<u64, u64> {
    let mut waits = HashMap::new();
    let Some(table) = find(memory, layout, tables, goroutines, deadline) else { return waits };
    for group in 0..GROUPS {
        if deadline() {
            break;
        }
        let tree = memory.word(table.wrapping_add(group * GROUP + TREE)).unwrap_or(0);
        collect(memory, layout, tree, goroutines, &mut waits);
    }
    waits
}

/// Where the table lies.
fn find(
    memory: &dyn Bytes,
    layout: &Layout,
    tables: &Tables,
    goroutines: &HashSet<u64>,
    deadline: &dyn Fn() -> bool,
) -> Option<u64> {
    let mut left = SEARCHED;
    for Span { start, length } in tables.variables {
        let (mut at, end) = (start.next_multiple_of(8), start.saturating_add(length));
        let mut bytes = Vec::new();
        while at < end && left > 0 && !deadline() {
            memory.pieces(&[(at, (end - at).min(STEP) as usize)], &mut bytes);
            for index in 0..bytes.len() / 8 {
                let Some(wait) = word_in(&bytes, index * 8).filter(|wait| *wait > 1 << 16 && wait.is_multiple_of(8))
                else {
                    continue;
                };
                let place = at + index as u64 * 8;
                let table = || {
                    let (goroutine, semaphore) = read(memory, layout, wait)?;
                    goroutines.contains(&goroutine).then_some(())?;
                    let table = place.checked_sub(TREE + group(semaphore) * GROUP)?;
                    // The table is aligned as its groups are, and lies among the same variables as a whole.
                    let whole = table >= start && table.checked_add(GROUPS * GROUP)? <= end;
                    // Each wait at the top of a tree has no wait above it.
                    let above = memory.word(wait.checked_add(layout.next - 8)?)?;
                    (semaphore != 0 && whole && above == 0).then_some(table)
                };
                if let Some(table) = table() {
                    return Some(table);
                }
            }
            at = at.saturating_add(STEP);
            left = left.saturating_sub(STEP);
        }
    }
    None
}

fn group(semaphore: u64) -> u64 {
    (semaphore >> 3) % GROUPS
}

/// Of a wait: the goroutine and the semaphore.
fn read(memory: &dyn Bytes, layout: &Layout, wait: u64) -> Option<(u64, u64)> {
    Some((memory.word(wait)?, memory.word(wait.checked_add(layout.element)?)?))
}

/// All waits of a tree: one for each semaphore, with those behind it in a list.
fn collect(memory: &dyn Bytes, layout: &Layout, tree: u64, goroutines: &HashSet<u64>, waits: &mut HashMap<u64, u64>) {
    let mut left = vec![tree];
    let mut seen = HashSet::new();
    while let Some(wait) = left.pop() {
        if wait == 0 || waits.len() >= WAITS || seen.len() >= WAITS || !seen.insert(wait) {
            continue;
        }
        let Some((goroutine, semaphore)) = read(memory, layout, wait) else { continue };
        if !goroutines.contains(&goroutine) {
            continue;
        }
        waits.insert(goroutine, semaphore);
        // To the left and to the right in the tree, and behind it.
        left.extend([8, 16, layout.next].map(|at| wait.checked_add(at).and_then(|at| memory.word(at)).unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bytes::testing::{Noise, Pieces};
    use super::super::layout::testing;
    use super::*;

    fn wait(goroutine: u64, semaphore: u64, left: u64, next: u64) -> Vec<u8> {
        let mut words = [0u64; 12];
        (words[0], words[1], words[3], words[8]) = (goroutine, left, semaphore, next);
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn the_table_is_found_by_what_is_in_it() {
        let semaphore = 0xc000_0010;
        let place = 0x10000 + 64 * group(semaphore) + 8;
        let mut table = vec![0u8; 64 * 251 + 128];
        table[place as usize - 0x10000 + 64..][..8].copy_from_slice(&0x2_0000u64.to_le_bytes());
        let memory = Pieces(vec![
            (0x10000 - 64, table),
            (0x2_0000, wait(0x100, semaphore, 0x2_1000, 0x2_2000)),
            (0x2_1000, wait(0x200, semaphore + 251 * 8, 0, 0)),
            (0x2_2000, wait(0x300, semaphore, 0, 0)),
        ]);
        let span = Span { start: 0x10000 - 64, length: 64 * 251 + 128 };
        let tables = Tables { variables: [span; 4], ..Tables::default() };
        let goroutines = HashSet::from([0x100, 0x200, 0x300]);
        let waits = waited_on(&memory, &testing::layout(), &tables, &goroutines, &|| false);
        assert_eq!(waits, HashMap::from([(0x100, semaphore), (0x200, semaphore + 251 * 8), (0x300, semaphore)]));
    }

    proptest! {
        #[test]
        fn trees_of_noise_end(seed in any::<u64>(), start in any::<u64>()) {
            let memory = Noise::new(seed);
            let span = Span { start, length: 1 << 15 };
            let tables = Tables { variables: [span; 4], ..Tables::default() };
            let goroutines = (0..100).filter_map(|index| memory.word(start.wrapping_add(index * 8))).collect();
            let waits = waited_on(&memory, &testing::layout(), &tables, &goroutines, &|| false);
            prop_assert!(waits.len() <= goroutines.len());
        }
    }
}
