//! All goroutines: where the program's list of them lies, and what their records say. Records and stacks are read many
//! at once, and each record again after its stack: one that has moved in between is read once more.

use super::bytes::{Bytes, number_in, word_in};
use super::layout::{self, Layout, RECORD, SCANNED};
use super::stack::{Behind, Copied, Start};
use super::tables::{Span, Tables};

/// Goroutines read at most.
pub const GOROUTINES: u64 = 1 << 20;
/// Goroutines read at once.
const BATCH: usize = 1024;
/// So much of a stack is read at once, in bytes; what lies beyond is read when it is needed.
const STACK: u64 = 4096;
/// How often one that keeps moving is read.
const TRIES: usize = 4;
/// How much of each kind of variables is searched for the list, in bytes.
const SEARCHED: u64 = 256 << 20;
/// How much is searched at once for the list, in bytes.
const STEP: u64 = 1 << 20;

/// A goroutine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goroutine {
    /// Where its record lies.
    pub address: u64,
    /// Its number.
    pub id: u64,
    /// Its status, without whether the garbage collector looks at it.
    pub status: u32,
    /// The number of what it waits for.
    pub reason: u8,
    /// Since when it waits, in nanoseconds of the monotonic clock; 0 when that was not noted.
    pub since: u64,
    /// The record of the thread that runs it.
    pub thread: u64,
    /// The one that made it; 0 when that is not known.
    pub parent: u64,
    /// Where it was made.
    pub made: u64,
    /// The function it runs.
    pub start: u64,
    /// What it waits on.
    pub waiting: u64,
    /// Its stack and where it was left.
    pub behind: Behind,
}

/// It runs on a thread.
pub const RUNNING: u32 = 2;
const IDLE: u32 = 0;
const DEAD: u32 = 6;
const COPIED: u32 = 8;
const SPARE: u32 = 11;

impl Goroutine {
    fn read(address: u64, record: &[u8], layout: &Layout) -> Option<Goroutine> {
        let word = |at: usize| word_in(record, at);
        let status = number_in(record, layout.status)? & !SCANNED;
        let id = word(layout.id)?;
        let parent = layout.parent.and_then(word).filter(|parent| *parent < id).unwrap_or(0);
        let call = (word(layout.call_sp + 8)?, word(layout.call_sp)?);
        Some(Goroutine {
            address,
            id,
            status,
            reason: *record.get(layout.reason)?,
            since: word(layout.since)?,
            thread: word(layout::THREAD)?,
            parent,
            made: word(layout.made)?,
            start: word(layout.start)?,
            waiting: word(layout.waiting)?,
            behind: Behind {
                stack: layout::stack(record).unwrap_or((0, 0)),
                left: (word(layout::LEFT_PC)?, word(layout::LEFT_SP)?),
                call: (call.1 != 0).then_some(call),
            },
        })
    }

    /// Whether it is there: neither new nor ended nor kept for C code that may call.
    fn exists(&self) -> bool {
        !matches!(self.status, IDLE | DEAD | SPARE) && self.id != 0
    }

    /// Where its stack can be walked from; `None` while it runs or its stack moves.
    pub fn stands(&self) -> Option<Start> {
        if matches!(self.status, RUNNING | COPIED) && self.behind.call.is_none() {
            return None;
        }
        let ((pc, sp), in_call) = match self.behind.call {
            Some(call) => (call, true),
            None => (self.behind.left, false),
        };
        let (low, high) = self.behind.stack;
        (sp >= low && sp < high).then_some(Start { pc, sp, interrupted: false, in_call })
    }

    /// The piece of its stack that is read with it.
    fn piece(&self) -> (u64, usize) {
        let Some(start) = self.stands() else { return (0, 0) };
        (start.sp, (self.behind.stack.1 - start.sp).min(STACK) as usize)
    }
}

/// The program's list of goroutines (`runtime.allgs`): where it lies and how many there are. It is known by its
/// elements, records that hold their own address.
pub fn list(memory: &dyn Bytes, tables: &Tables, deadline: &dyn Fn() -> bool) -> Option<(u64, u64)> {
    let mut best: Option<(u64, u64)> = None;
    for span in &tables.variables {
        let found = longest_in(memory, *span, deadline);
        best = [best, found].into_iter().flatten().max_by_key(|(_, count)| *count);
    }
    best
}

fn longest_in(memory: &dyn Bytes, span: Span, deadline: &dyn Fn() -> bool) -> Option<(u64, u64)> {
    let mut best: Option<(u64, u64)> = None;
    let mut at = span.start.next_multiple_of(8);
    let end = span.start.saturating_add(span.length.min(SEARCHED));
    let mut bytes = Vec::new();
    while at < end && !deadline() {
        let length = (end - at).min(STEP + 16) as usize;
        memory.pieces(&[(at, length)], &mut bytes);
        for index in 0..bytes.len() / 8 {
            let word = |next: usize| word_in(&bytes, (index + next) * 8);
            let (Some(start), Some(count), Some(room)) = (word(0), word(1), word(2)) else { break };
            let longer = best.is_none_or(|(_, most)| count > most);
            let slice = start != 0 && start.is_multiple_of(8) && count > 0 && count <= room && room <= 1 << 28;
            if slice && longer && is_list(memory, start, count) {
                best = Some((start, count));
            }
        }
        at = at.saturating_add(STEP);
    }
    best
}

fn is_list(memory: &dyn Bytes, start: u64, count: u64) -> bool {
    let holds_itself = |index: u64| {
        let record = index.checked_mul(8).and_then(|offset| memory.word(start.checked_add(offset)?));
        record.is_some_and(|record| {
            let own = record.checked_add(layout::SELF as u64).and_then(|at| memory.word(at));
            record != 0 && record.is_multiple_of(8) && own == Some(record)
        })
    };
    // A record that is being made does not hold its address yet.
    let sample = [0, count / 4, count / 2, count / 4 * 3, count - 1];
    holds_itself(0) && sample.into_iter().filter(|index| holds_itself(*index)).count() >= 3
}

/// The addresses of all records of a list.
pub fn addresses(memory: &dyn Bytes, (start, count): (u64, u64)) -> Vec<u64> {
    const PIECE: usize = 4096;
    let length = count.min(GOROUTINES) as usize * 8;
    let pieces: Vec<(u64, usize)> =
        (0..length).step_by(PIECE).map(|at| (start.wrapping_add(at as u64), PIECE.min(length - at))).collect();
    let mut bytes = Vec::new();
    memory.pieces(&pieces, &mut bytes);
    let words = bytes.chunks_exact(8).filter_map(|word| word_in(word, 0));
    words.filter(|address| *address != 0 && address.is_multiple_of(8)).collect()
}

/// The records at some of these addresses: the first and the last ones.
pub fn sample(memory: &dyn Bytes, addresses: &[u64]) -> Vec<Vec<u8>> {
    const COUNT: usize = 48;
    let last = addresses.len().saturating_sub(COUNT).max(COUNT.min(addresses.len()));
    let some = addresses.iter().take(COUNT).chain(&addresses[last..]);
    some.filter_map(|address| memory.bytes(*address, RECORD)).collect()
}

/// Reads the goroutines at these addresses; `each` gets every one that exists, with a copy of a part of its stack.
/// Returns how many of the addresses were not looked at when the time was up.
pub fn read(
    memory: &dyn Bytes,
    layout: &Layout,
    addresses: &[u64],
    deadline: &dyn Fn() -> bool,
    each: &mut dyn FnMut(Goroutine, Copied),
) -> usize {
    for (number, batch) in addresses.chunks(BATCH).enumerate() {
        if deadline() {
            return addresses.len() - number * BATCH;
        }
        let mut left = batch.to_vec();
        for attempt in 0..TRIES {
            left = read_batch(memory, layout, &left, attempt + 1 == TRIES, each);
            if left.is_empty() {
                break;
            }
        }
    }
    0
}

/// Reads one batch, and returns those that moved meanwhile, if this is not the last time.
fn read_batch(
    memory: &dyn Bytes,
    layout: &Layout,
    addresses: &[u64],
    last: bool,
    each: &mut dyn FnMut(Goroutine, Copied),
) -> Vec<u64> {
    let records = records(memory, layout, addresses);
    let existing: Vec<&Goroutine> = records.iter().flatten().filter(|goroutine| goroutine.exists()).collect();
    let pieces: Vec<(u64, usize)> = existing.iter().map(|goroutine| goroutine.piece()).collect();
    let mut stacks = Vec::new();
    memory.pieces(&pieces, &mut stacks);
    let where_now: Vec<u64> = existing.iter().map(|goroutine| goroutine.address).collect();
    let again = self::records(memory, layout, &where_now);
    let mut moved = Vec::new();
    let mut offset = 0;
    for ((before, after), (base, length)) in existing.into_iter().zip(again).zip(pieces) {
        let stack = stacks.get(offset..offset + length).unwrap_or_default();
        offset += length;
        let same = after.is_some_and(|after| after.is_where(before));
        if same || last {
            each(before.clone(), (base, stack));
        } else {
            moved.push(before.address);
        }
    }
    moved
}

impl Goroutine {
    /// Whether it is where it was.
    fn is_where(&self, before: &Goroutine) -> bool {
        let place = |goroutine: &Goroutine| (goroutine.id, goroutine.status, goroutine.stands(), goroutine.waiting);
        place(self) == place(before)
    }
}

/// The goroutine with this record, as it is now.
pub fn at(memory: &dyn Bytes, layout: &Layout, address: u64) -> Option<Goroutine> {
    records(memory, layout, &[address]).pop()?
}

fn records(memory: &dyn Bytes, layout: &Layout, addresses: &[u64]) -> Vec<Option<Goroutine>> {
    let pieces: Vec<(u64, usize)> = addresses.iter().map(|address| (*address, RECORD)).collect();
    let mut bytes = Vec::new();
    let whole = memory.pieces(&pieces, &mut bytes);
    let records = addresses.iter().zip(bytes.chunks_exact(RECORD)).zip(whole);
    records.map(|((address, record), whole)| whole.then(|| Goroutine::read(*address, record, layout))?).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bytes::testing::Noise;
    use super::super::layout::testing::layout;
    use super::*;

    proptest! {
        #[test]
        fn noise_is_read_to_its_end(seed in any::<u64>(), start in any::<u64>(), count in 0u64..3000) {
            let memory = Noise::new(seed);
            let addresses = addresses(&memory, (start, count));
            prop_assert!(addresses.len() as u64 <= count);
            let mut seen = 0;
            prop_assert_eq!(read(&memory, &layout(), &addresses, &|| false, &mut |_, _| seen += 1), 0);
            prop_assert!(seen <= addresses.len());
            prop_assert_eq!(read(&memory, &layout(), &addresses, &|| true, &mut |_, _| {}), addresses.len());
            let tables = Tables { variables: [Span { start, length: 1 << 16 }; 4], ..Tables::default() };
            prop_assert!(list(&memory, &tables, &|| false).is_none());
        }
    }
}
