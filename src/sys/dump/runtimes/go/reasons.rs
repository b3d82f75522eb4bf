//! The words in which Go says what a goroutine does. The list of what it may wait for differs from version to version;
//! it is read from the program itself.

use super::bytes::{Bytes, word_in};
use super::layout::SCANNED;
use super::tables::{Span, Tables};

/// How the list begins: nothing, then these.
const FIRST: [&str; 2] = ["GC assist marking", "IO wait"];
/// It has no more than so many entries, of no more than so many bytes.
const ENTRIES: usize = 96;
const LONGEST: u64 = 64;
/// How much of the program's variables is searched for it, in bytes.
const SEARCHED: u64 = 64 << 20;
/// How much is searched at once, in bytes.
const STEP: u64 = 1 << 20;

/// What a goroutine may wait for, by number.
#[derive(Debug, Clone, Default)]
pub struct Reasons(Vec<String>);

impl Reasons {
    /// Searches the program's variables for the list (`runtime.waitReasonStrings`), then the other stretches of the
    /// program. Empty when there is none.
    pub fn find(memory: &dyn Bytes, tables: &Tables, others: &[Span], deadline: &dyn Fn() -> bool) -> Reasons {
        let mut left = SEARCHED;
        for span in tables.variables.iter().chain(others) {
            let mut at = span.start.next_multiple_of(8);
            let end = span.start.saturating_add(span.length);
            while at < end && left > 0 && !deadline() {
                let length = (end - at).min(STEP + 64) as usize;
                let mut bytes = Vec::new();
                memory.pieces(&[(at, length)], &mut bytes);
                let found =
                    (0..bytes.len() / 8).find_map(|index| list(memory, at + index as u64 * 8, &bytes[index * 8..]));
                if let Some(list) = found {
                    return Reasons(list);
                }
                at = at.saturating_add(STEP);
                left = left.saturating_sub(STEP);
            }
        }
        Reasons::default()
    }

    /// What it does, in Go's words.
    pub fn state(&self, status: u32, reason: u8) -> String {
        const LEAKED: u32 = 10;
        let word = match status & !SCANNED {
            0 => "idle",
            1 => "runnable",
            2 => "running",
            3 => "syscall",
            4 => "waiting",
            6 => "dead",
            8 => "copystack",
            9 => "preempted",
            LEAKED => "leaked",
            11 => "waiting for cgo callback",
            _ => "???",
        };
        let reason = self.0.get(usize::from(reason)).filter(|reason| !reason.is_empty());
        match (word, reason) {
            ("waiting" | "leaked", Some(reason)) => reason.clone(),
            _ => word.to_owned(),
        }
    }
}

/// The list that starts here, if it does: texts, each as its address and its length.
fn list(memory: &dyn Bytes, address: u64, bytes: &[u8]) -> Option<Vec<String>> {
    if word_in(bytes, 8)? != 0 {
        return None;
    }
    for (index, text) in FIRST.iter().enumerate() {
        if word_in(bytes, 16 * index + 24)? != text.len() as u64 {
            return None;
        }
    }
    for (index, text) in FIRST.iter().enumerate() {
        if memory.bytes(word_in(bytes, 16 * index + 16)?, text.len())? != text.as_bytes() {
            return None;
        }
    }
    let entry = |index: usize| {
        let at = address.checked_add(16 * index as u64)?;
        let (text, length) = (memory.word(at)?, memory.word(at.checked_add(8)?)?);
        let printable = |text: &String| text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        let text = || memory.bytes(text, length as usize).and_then(|text| String::from_utf8(text).ok());
        (length > 0 && length <= LONGEST).then(text)?.filter(printable)
    };
    Some(std::iter::once(String::new()).chain((1..ENTRIES).map_while(entry)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bytes::testing::{Noise, Pieces};
    use super::*;

    #[test]
    fn the_list_is_read_up_to_its_end() {
        let texts = "GC assist markingIO waitsleep";
        let words: [u64; 14] = [9, 9, 0, 0, 0x9000, 17, 0x9011, 7, 0x9018, 5, 0x1, 5, 7, 0];
        let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let span = Span { start: 0x1000, length: data.len() as u64 };
        let memory = Pieces(vec![(0x1000, data), (0x9000, texts.into())]);
        let reasons = Reasons::find(&memory, &Tables::default(), &[span], &|| false);
        assert_eq!(reasons.0, ["", "GC assist marking", "IO wait", "sleep"]);
        assert_eq!(reasons.state(4, 2), "IO wait");
        assert_eq!(reasons.state(0x1004, 3), "sleep");
        assert_eq!(reasons.state(4, 0), "waiting");
        assert_eq!(reasons.state(4, 200), "waiting");
        assert_eq!(reasons.state(1, 2), "runnable");
        assert_eq!(reasons.state(77, 2), "???");
    }

    proptest! {
        #[test]
        fn noise_is_no_list(seed in any::<u64>()) {
            let span = Span { start: seed, length: 1 << 14 };
            prop_assert!(Reasons::find(&Noise::new(seed), &Tables::default(), &[span], &|| false).0.is_empty());
        }
    }
}
