//! Where the fields of a goroutine's record stand (`type g struct` in `runtime/runtime2.go`). They move from version to
//! version, so most are found out from what they hold, over some goroutines; what is not found so is refused.

use std::collections::HashSet;

use super::bytes::{number_in, word_in};
use super::functions::Functions;

/// So much of each record is read: all that is looked at, in bytes.
pub const RECORD: usize = 416;
/// The goroutine's stack: its lowest address, and the one behind its highest.
pub const STACK: usize = 0;
/// The thread's record, when one runs it.
pub const THREAD: usize = 48;
/// Where it was left: stack pointer, program counter, and the address of the record itself.
pub const LEFT_SP: usize = 56;
/// The program counter there.
pub const LEFT_PC: usize = 64;
/// The record's own address.
pub const SELF: usize = 72;
/// In a status: the garbage collector looks at it.
pub const SCANNED: u32 = 0x1000;
/// The highest number of a status that is known.
const STATUS_MAX: u32 = 11;

/// Where the fields stand, as offsets in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The stack pointer at its system call; the program counter follows.
    pub call_sp: usize,
    /// Its status.
    pub status: usize,
    /// Its number.
    pub id: usize,
    /// Since when it waits, by the monotonic clock, in nanoseconds.
    pub since: usize,
    /// What for: a number, of 8 bits.
    pub reason: usize,
    /// The number of the one that made it; since Go 1.21.
    pub parent: Option<usize>,
    /// Where it was made: a return address.
    pub made: usize,
    /// The function it runs.
    pub start: usize,
    /// What it waits on: the first record of its list.
    pub waiting: usize,
    /// In a thread's record: its number in the kernel's terms.
    pub tid: usize,
    /// In the record of a wait: what is waited for.
    pub element: u64,
    /// In the record of a wait: the next of the same goroutine or, of a semaphore, of the next goroutine.
    pub next: u64,
    /// In the record of a wait: the channel.
    pub channel: u64,
    /// In a channel: those who wait to receive; those who wait to send follow.
    pub receivers: u64,
}

/// Finds out the layout from the records of some goroutines. `minor` is the number behind `1.` in the version.
pub fn find(records: &[Vec<u8>], functions: &Functions, minor: Option<u32>) -> Option<Layout> {
    let live: Vec<&Vec<u8>> = records.iter().filter(|record| stack(record).is_some()).collect();
    let (top, _) = best((112..=176).step_by(8), &live, |record, at| {
        // The stack pointer at the very bottom of the stack, which is its highest address but for a few words.
        let (Some((_, high)), Some(sp)) = (stack(record), word_in(record, at)) else { return false };
        sp <= high && high - sp < 512
    })?;
    // Up to Go 1.24 there is one more word where it was left, and the frame pointer stands behind it.
    let in_stack = |record: &&&Vec<u8>, at| {
        stack(record).zip(word_in(record, at)).is_some_and(|((low, high), word)| word >= low && word < high)
    };
    let short = live.iter().any(|record| in_stack(&record, 96));
    let (status, id, since, reason) = (top + 16, top + 24, top + 40, top + 48);
    let known = |record: &&&Vec<u8>| number_in(record, status).is_some_and(|status| status & !SCANNED <= STATUS_MAX);
    if !live.iter().all(|record| known(&record)) {
        return None;
    }
    let (made, _) = best((reason + 8..RECORD - 40).step_by(8), &live, |record, at| {
        let (Some(made), Some(start)) = (word_in(record, at), word_in(record, at + 16)) else { return false };
        functions.holds(made) && functions.at(start).is_some_and(|function| function.entry == start)
    })?;
    let start = made + 16;
    is_plausible(&live, functions, id, start)?;
    let since_minor = |first: u32| minor.is_none_or(|minor| minor >= first);
    let (element, next, channel) = if since_minor(26) { (32, 72, 96) } else { (24, 64, 80) };
    Some(Layout {
        call_sp: if short { 104 } else { 112 },
        status,
        id,
        since,
        reason,
        parent: since_minor(21).then_some(made - 8),
        made,
        start,
        waiting: start + 16,
        tid: if short { 64 } else { 72 },
        element,
        next,
        channel,
        receivers: if since_minor(23) { 64 } else { 56 },
    })
}

/// The stack of a record, lowest address and the one behind the highest, if it has one.
pub fn stack(record: &[u8]) -> Option<(u64, u64)> {
    let (low, high) = (word_in(record, STACK)?, word_in(record, STACK + 8)?);
    (low != 0 && low < high && high - low <= 4 << 30).then_some((low, high))
}

/// The offset for which most records are as they should be; at least three of four.
fn best(
    offsets: impl Iterator<Item = usize>,
    live: &[&Vec<u8>],
    is_so: impl Fn(&[u8], usize) -> bool,
) -> Option<(usize, usize)> {
    let votes = |at: usize| (at, live.iter().filter(|record| is_so(record, at)).count());
    // The first of the best.
    let best = offsets.map(votes).reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    (best.1 > 0 && best.1 * 4 >= live.len() * 3).then_some(best)
}

/// Whether numbers are numbers: none is there twice, and the goroutine that runs `main` has the first.
fn is_plausible(live: &[&Vec<u8>], functions: &Functions, id: usize, start: usize) -> Option<()> {
    let ids: Vec<u64> = live.iter().filter_map(|record| word_in(record, id)).filter(|id| *id != 0).collect();
    let distinct: HashSet<u64> = ids.iter().copied().collect();
    let numbers = distinct.len() == ids.len() && ids.iter().all(|id| *id < 1 << 48);
    let main_has_first = live.iter().all(|record| {
        let function = word_in(record, start).and_then(|pc| functions.at(pc));
        let name = function.and_then(|function| functions.name(&function));
        name.as_deref() != Some("runtime.main") || matches!(word_in(record, id), Some(0 | 1))
    });
    (numbers && !ids.is_empty() && main_has_first).then_some(())
}

/// A layout for tests.
#[cfg(test)]
pub mod testing {
    use super::Layout;

    /// That of Go 1.21.
    pub fn layout() -> Layout {
        Layout {
            call_sp: 112,
            status: 144,
            id: 152,
            since: 168,
            reason: 176,
            parent: Some(280),
            made: 288,
            start: 304,
            waiting: 320,
            tid: 72,
            element: 24,
            next: 64,
            channel: 80,
            receivers: 56,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bytes::Bytes;
    use super::super::bytes::testing::Noise;
    use super::super::tables::Tables;
    use super::*;

    proptest! {
        #[test]
        fn noise_has_no_layout_or_a_harmless_one(seed in any::<u64>(), count in 0usize..8) {
            let memory = Noise::new(seed);
            let functions = Functions::new(&memory, Tables::default());
            let records: Vec<Vec<u8>> =
                (0..count).filter_map(|index| memory.bytes(index as u64 * 512, RECORD)).collect();
            prop_assert!(find(&records, &functions, None).is_none());
        }
    }
}
