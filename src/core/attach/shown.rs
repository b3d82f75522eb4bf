//! What the terminal of a service has shown: the last of it, for those who look at it, each at their own pace. Who is too
//! slow for it misses some, is told so, and holds up nobody.

use std::collections::VecDeque;

use super::End;

/// So much is kept, in bytes.
const MOST: usize = 256 * 1024;

/// Of what is kept so much of a line without an end is shown to who comes: a prompt.
const LONGEST_PROMPT: usize = 4096;

/// So many of the launcher's own sentences are kept.
const MOST_NOTES: usize = 64;

/// How far somebody has looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Bytes since the beginning.
    at: u64,
    /// Notes since the beginning.
    notes: u64,
}

/// What somebody is to be shown next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// What the terminal shows.
    Bytes(Vec<u8>),
    /// What the launcher says.
    Note(String),
    /// So many bytes were not read in time.
    Missed(u64),
}

/// The last of it.
#[derive(Debug, Default)]
pub struct Shown {
    bytes: VecDeque<u8>,
    /// How many came before those.
    dropped: u64,
    /// Each with the bytes that came before it.
    notes: VecDeque<(u64, String)>,
    /// How many came before those.
    dropped_notes: u64,
    end: Option<End>,
}

impl Shown {
    /// The terminal shows this.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let over = self.bytes.len().saturating_sub(MOST);
        self.bytes.drain(..over);
        self.dropped += over as u64;
    }

    /// The launcher says this.
    pub fn note(&mut self, text: String) {
        self.notes.push_back((self.len(), text));
        if self.notes.len() > MOST_NOTES {
            self.notes.pop_front();
            self.dropped_notes += 1;
        }
    }

    /// It is over; or, as the service was started again, it is not.
    pub fn set_end(&mut self, end: Option<End>) {
        self.end = end;
    }

    /// Why it is over, if it is.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Where somebody begins who comes now: with the line that has no end yet.
    pub fn now(&self) -> Cursor {
        let line = self.bytes.iter().rev().take(LONGEST_PROMPT).position(|byte| *byte == b'\n');
        let prompt = line.unwrap_or_else(|| self.bytes.len().min(LONGEST_PROMPT));
        Cursor { at: self.len() - prompt as u64, notes: self.dropped_notes + self.notes.len() as u64 }
    }

    /// What has come since, and how far that goes.
    pub fn since(&self, cursor: Cursor) -> (Vec<Piece>, Cursor) {
        let mut pieces = Vec::new();
        let mut at = cursor.at.max(self.dropped);
        if at > cursor.at {
            pieces.push(Piece::Missed(at - cursor.at));
        }
        let seen = cursor.notes.saturating_sub(self.dropped_notes) as usize;
        for (place, text) in self.notes.iter().skip(seen) {
            self.show(&mut pieces, at, *place);
            at = at.max(*place);
            pieces.push(Piece::Note(text.clone()));
        }
        self.show(&mut pieces, at, self.len());
        (pieces, Cursor { at: self.len(), notes: self.dropped_notes + self.notes.len() as u64 })
    }

    /// How many bytes there were so far.
    fn len(&self) -> u64 {
        self.dropped + self.bytes.len() as u64
    }

    /// The bytes between two places, of which the first is kept.
    fn show(&self, pieces: &mut Vec<Piece>, from: u64, to: u64) {
        if from < to {
            let place = |at: u64| (at - self.dropped) as usize;
            pieces.push(Piece::Bytes(self.bytes.range(place(from)..place(to)).copied().collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Piece {
        Piece::Bytes(text.as_bytes().to_vec())
    }

    fn note(text: &str) -> Piece {
        Piece::Note(text.to_owned())
    }

    #[test]
    fn who_comes_sees_the_prompt_and_what_comes_then_in_order() {
        let mut shown = Shown::default();
        shown.push(b"welcome\r\n> ");
        shown.note("before".to_owned());
        let at = shown.now();
        let (pieces, at) = shown.since(at);
        assert_eq!(pieces, [bytes("> ")]);
        assert_eq!(shown.since(at), (Vec::new(), at));
        shown.push(b"ls\r\n");
        shown.note("it ends".to_owned());
        shown.note("it is started again".to_owned());
        shown.push(b"> ");
        let (pieces, at) = shown.since(at);
        assert_eq!(pieces, [bytes("ls\r\n"), note("it ends"), note("it is started again"), bytes("> ")]);
        assert_eq!(shown.since(at).0, []);
    }

    #[test]
    fn who_is_too_slow_misses_some_and_is_told() {
        let mut shown = Shown::default();
        let at = shown.now();
        shown.push(&[b'a'; 10]);
        shown.note("note".to_owned());
        shown.push(&[b'b'; MOST]);
        let (pieces, at) = shown.since(at);
        assert_eq!(pieces, [Piece::Missed(10), note("note"), Piece::Bytes(vec![b'b'; MOST])]);
        for number in 0..2 * MOST_NOTES {
            shown.note(number.to_string());
        }
        let (pieces, _) = shown.since(at);
        assert_eq!(pieces.len(), MOST_NOTES);
        assert_eq!(pieces.last(), Some(&note(&(2 * MOST_NOTES - 1).to_string())));
    }

    #[test]
    fn a_prompt_is_short() {
        let mut shown = Shown::default();
        shown.push(&[b'x'; 3 * LONGEST_PROMPT]);
        assert_eq!(shown.since(shown.now()).0, [Piece::Bytes(vec![b'x'; LONGEST_PROMPT])]);
    }
}
