//! The record that a task begins with: its state, its place in a queue, its table of functions, the list that owns it.

/// The task is being polled.
const RUNNING: u64 = 1;
/// It has ended; its record may stay, for whoever wants what it gave.
const COMPLETE: u64 = 2;
/// It is in a queue of those that are to be polled.
const NOTIFIED: u64 = 4;
/// Somebody waits for its end.
const JOIN_WAKER: u64 = 16;
/// It is to end.
const CANCELLED: u64 = 32;
/// The rest counts how many hold it.
const HOLDERS_SHIFT: u32 = 6;
/// No task is held by so many: a pointer that was written over a freed record.
const HOLDERS: u64 = 1 << 20;
/// No program starts so many runtimes.
const OWNERS: u64 = 1 << 32;

/// Bytes of a record's head.
pub const HEAD: usize = 48;

/// Where in the head its parts lie, in bytes; its state comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The next one in its queue.
    pub next: u64,
    /// Its table of functions.
    pub table: u64,
    /// The number of the list that it was put in when it was started; 0 for a copy that was made before.
    pub owner: u64,
    /// The number of the task, where the program's version of the runtime says where that is.
    pub id: Option<u64>,
}

/// The state of the living task whose record with this head and table is at `record`, in words; `None` for one that has
/// ended, and for what is no task at all: a record that was freed, or a copy that was on its way to its place. A freed one
/// begins with what the allocator links its free memory by: an address, or one that glibc has changed by its own place.
pub fn state(
    head: &[u8; HEAD],
    layout: &Layout,
    (record, table): (u64, u64),
    is_mapped: impl Fn(u64) -> bool,
) -> Option<&'static str> {
    let word = |offset: u64| -> Option<u64> {
        let bytes = head.get(offset as usize..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    };
    let (state, next, owner) = (word(0)?, word(layout.next)?, word(layout.owner)?);
    let holders = state >> HOLDERS_SHIFT;
    let lives = state & COMPLETE == 0 && (1..HOLDERS).contains(&holders);
    if word(layout.table)? != table || !lives || !(1..OWNERS).contains(&owner) {
        return None;
    }
    let changed = state ^ record >> 12;
    let is_place = |word: u64| word.is_multiple_of(8) && is_mapped(word);
    if is_mapped(state) || changed == 0 || is_mapped(changed) || (next != 0 && !is_place(next)) {
        return None;
    }
    Some(match (state & CANCELLED != 0, state & RUNNING != 0, state & NOTIFIED != 0, state & JOIN_WAKER != 0) {
        (true, ..) => "aborted",
        (_, true, ..) => "running",
        (_, _, true, _) => "notified",
        (.., true) => "pending, awaited",
        _ => "pending",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: u64 = 0x12_c080;
    const NEW: Layout = Layout { next: 8, table: 16, owner: 24, id: Some(40) };

    fn of(state: u64, next: u64, table: u64, owner: u64) -> Option<&'static str> {
        let mut head = [0; HEAD];
        for (at, word) in [state, next, table, owner].into_iter().enumerate() {
            head[8 * at..8 * at + 8].copy_from_slice(&word.to_le_bytes());
        }
        super::state(&head, &NEW, (RECORD, 0x4000), |address| (0x10_0000..0x20_0000).contains(&address))
    }

    #[test]
    fn the_state_is_told_in_the_runtimes_words() {
        for (state, words) in [
            (0xcc, "notified"),
            (0x48, "pending"),
            (0x40, "pending"),
            (0x98, "pending, awaited"),
            (0x49, "running"),
            (0x4d, "running"),
            (0x68, "aborted"),
        ] {
            assert_eq!(of(state, 0, 0x4000, 1), Some(words), "{state:#x}");
        }
        assert_eq!(of(0xcc, 0x10_1000, 0x4000, 3), Some("notified"));
    }

    #[test]
    fn what_has_ended_was_freed_or_is_on_its_way_is_no_task() {
        assert_eq!(of(0x4a, 0, 0x4000, 1), None, "ended, and its handle is kept");
        assert_eq!(of(0x02, 0, 0x4000, 1), None, "ended, and held by nobody");
        assert_eq!(of(0, 0, 0x4000, 1), None, "held by nobody");
        for (state, next) in [
            (0x7f12_3456_7890, 0),
            (0x48, 0x1234_5678),
            (0x48, 0x10_0001),
            // In a program at a low address its places look like states.
            (0x11_3280, 0x11_3280),
            (RECORD >> 12, 0),
            (RECORD >> 12 ^ 0x11_3280, 0),
        ] {
            assert_eq!(of(state, next, 0x4000, 1), None, "the allocator's: {state:#x} {next:#x}");
        }
        assert_eq!(of(0xcc, 0, 0x4000, 0), None, "before it was put in its list");
        assert_eq!(of(0xcc, 0, 0x4000, 0x7f12_3456_7890), None, "another record's");
        assert_eq!(of(0x48, 0, 0x4008, 1), None, "another kind by now");
        let layout = Layout { owner: 44, ..NEW };
        assert_eq!(state(&[0xff; HEAD], &layout, (RECORD, u64::MAX), |_| true), None, "cut off");
    }
}
