//! The last lines of a service, kept for reports and for `launcher logs`.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::settings::LogLevel;

use super::{Stream, level, lines};

/// How much is kept of each service, in bytes.
pub const MOST_KEPT: usize = 64 * 1024;

/// How much is kept at least of somebody who writes much at once, in bytes.
const KEPT_OF_MUCH: usize = 16 * 1024;

/// How many times of reading are kept apart: what is known of each takes memory, too.
const MOST_BATCHES: usize = 1024;

/// The last lines of one service. What is pushed out by newer ones is told to whoever follows.
#[derive(Debug, Default)]
pub struct Kept {
    /// Whole lines, and parts of those that are too long.
    bytes: VecDeque<u8>,
    batches: VecDeque<Stored>,
    /// How many bytes were ever taken in: the position behind the last one.
    end: u64,
    /// Lines without an end, by whoever writes them.
    partials: Vec<(u64, Vec<u8>)>,
}

/// Lines that were read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// When, since 1970 (UTC).
    pub time: Duration,
    /// Of which generation.
    pub generation: u64,
    /// From which descriptor.
    pub stream: Stream,
}

/// One line that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it was read, and of whom.
    pub batch: Batch,
    /// How severe it says it is.
    pub level: Option<LogLevel>,
    /// The line without its end.
    pub text: Vec<u8>,
}

/// Lines from some position on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// The lines, the oldest first.
    pub lines: Vec<Line>,
    /// From where to go on.
    pub next: u64,
    /// How many bytes were pushed out before they were asked for.
    pub missed: u64,
}

/// As it is kept: how many bytes belong to it.
type Stored = (Batch, usize);

impl Kept {
    /// Takes in the last of many whole lines, in place of all that was kept: of somebody who writes so much that nobody
    /// can follow, less is copied.
    pub fn push_last(&mut self, batch: Batch, piece: &[u8]) {
        let skipped = piece.len().saturating_sub(KEPT_OF_MUCH);
        let last = if skipped == 0 { piece } else { from_next_line(&piece[skipped..]) };
        if last.len() < piece.len() {
            self.end += (piece.len() - last.len()) as u64;
            self.bytes.clear();
            self.batches.clear();
        }
        if !last.is_empty() {
            self.push(batch, last);
        }
    }

    /// Takes in whole lines. A part of a line without its end gets one.
    pub fn push(&mut self, batch: Batch, piece: &[u8]) {
        let unended = !piece.ends_with(b"\n");
        let total = piece.len() + usize::from(unended);
        self.end += total as u64;
        // Of more than is kept only the end is looked at.
        let piece = match total.checked_sub(MOST_KEPT) {
            Some(surplus) if surplus > 0 => from_next_line(&piece[surplus..]),
            _ => piece,
        };
        self.make_room(piece.len() + usize::from(unended));
        if self.batches.len() >= MOST_BATCHES {
            let oldest = self.batches.pop_front().map_or(0, |(_, length)| length);
            self.bytes.drain(..oldest);
        }
        self.bytes.extend(piece);
        if unended {
            self.bytes.push_back(b'\n');
        }
        let length = piece.len() + usize::from(unended);
        match self.batches.back_mut() {
            Some((last, stored)) if *last == batch => *stored += length,
            _ => self.batches.push_back((batch, length)),
        }
    }

    /// Drops the oldest lines until so many bytes more can be kept.
    fn make_room(&mut self, wanted: usize) {
        let mut surplus = (self.bytes.len() + wanted).saturating_sub(MOST_KEPT);
        while surplus > 0
            && let Some((_, stored)) = self.batches.front_mut()
        {
            let cut = if *stored <= surplus {
                self.batches.pop_front().map_or(0, |(_, stored)| stored)
            } else {
                // To the end of the line that the cut falls into.
                let (front, back) = self.bytes.as_slices();
                let rest = front.iter().chain(back).skip(surplus - 1);
                let cut = surplus + rest.take_while(|byte| **byte != b'\n').count();
                *stored = stored.saturating_sub(cut);
                if *stored == 0 {
                    self.batches.pop_front();
                }
                cut
            };
            self.bytes.drain(..cut.min(self.bytes.len()));
            surplus = surplus.saturating_sub(cut);
        }
    }

    /// What `writer` has written of a line without an end.
    pub fn set_partial(&mut self, writer: u64, partial: &[u8]) {
        let place = self.partials.iter().position(|(of, _)| *of == writer);
        match place {
            Some(place) if partial.is_empty() => {
                self.partials.swap_remove(place);
            }
            Some(place) => {
                let kept = &mut self.partials[place].1;
                kept.clear();
                kept.extend_from_slice(partial);
            }
            None if partial.is_empty() => {}
            None => self.partials.push((writer, partial.to_vec())),
        }
    }

    /// The position behind the last line.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The last lines, at most so many.
    pub fn last(&self, most: usize) -> Lines {
        let mut lines = self.since(0);
        lines.lines.drain(..lines.lines.len().saturating_sub(most));
        Lines { missed: 0, ..lines }
    }

    /// The lines from a position on: one that was given before, or [`Kept::end`].
    pub fn since(&self, position: u64) -> Lines {
        let oldest = self.end - self.bytes.len() as u64;
        let mut skip = usize::try_from(position.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut from = 0;
        for (batch, length) in &self.batches {
            let (start, end) = (from + skip.min(*length), from + length);
            skip = skip.saturating_sub(*length);
            from = end;
            let piece: Vec<u8> = self.bytes.range(start..end).copied().collect();
            let line = |text: &[u8]| Line { batch: *batch, level: level::of(text), text: text.to_vec() };
            found.extend(lines(&piece).map(|(text, _)| line(text)));
        }
        Lines { lines: found, next: self.end, missed: oldest.saturating_sub(position) }
    }

    /// The last bytes, at most so many, with what has no end yet: lossy UTF-8, from the first whole line on.
    pub fn tail(&self, most: usize) -> String {
        let skipped = self.bytes.len().saturating_sub(most);
        let bytes: Vec<u8> = self.bytes.range(skipped..).copied().collect();
        let whole = if skipped == 0 { &bytes[..] } else { from_next_line(&bytes) };
        let mut text = String::from_utf8_lossy(whole).into_owned();
        for (_, partial) in &self.partials {
            text.push_str(&String::from_utf8_lossy(&partial[partial.len().saturating_sub(most)..]));
        }
        text
    }
}

/// What follows the first end of a line.
fn from_next_line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).map_or(&[], |end| &bytes[end + 1..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(ms: u64) -> Batch {
        Batch { time: Duration::from_millis(ms), generation: 1, stream: Stream::Stdout }
    }

    fn texts(lines: &Lines) -> Vec<String> {
        lines.lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }

    #[test]
    fn lines_are_kept_with_what_is_known_of_them() {
        let mut kept = Kept::default();
        kept.push(batch(1), b"one\ntwo\n");
        let error = Batch { stream: Stream::Stderr, generation: 2, ..batch(2) };
        kept.push(error, b"ERROR three\n");
        let last = kept.last(2);
        assert_eq!(texts(&last), ["two", "ERROR three"]);
        assert_eq!(last.lines[1], Line { batch: error, level: Some(LogLevel::Error), text: b"ERROR three".to_vec() });
        assert_eq!(kept.tail(100), "one\ntwo\nERROR three\n");
        assert_eq!(kept.tail(14), "ERROR three\n");
    }

    #[test]
    fn who_follows_gets_each_line_once() {
        let mut kept = Kept::default();
        kept.push(batch(1), b"one\n");
        let at = kept.end();
        assert_eq!(texts(&kept.since(at)), [""; 0]);
        kept.push(batch(1), b"two\n");
        kept.push(batch(2), b"three\n");
        let lines = kept.since(at);
        assert_eq!((texts(&lines), lines.missed), (vec!["two".into(), "three".into()], 0));
        assert_eq!(texts(&kept.since(lines.next)), [""; 0]);
    }

    #[test]
    fn who_is_too_slow_is_told_what_is_missing() {
        let mut kept = Kept::default();
        let line = [b'x'; 1023];
        for ms in 0..100 {
            kept.push(batch(ms), &[&line[..], b"\n"].concat());
        }
        let lines = kept.since(1024);
        assert_eq!((lines.lines.len(), lines.missed), (64, 35 * 1024));
        assert!(lines.lines.iter().all(|kept| kept.text == line));
    }

    #[test]
    fn of_much_the_last_is_kept() {
        let mut kept = Kept::default();
        kept.push(batch(1), b"one\n");
        let lines = [b'x'; 99].into_iter().chain([b'\n']).collect::<Vec<u8>>().repeat(600);
        kept.push_last(batch(2), &lines);
        kept.push_last(batch(3), b"last\n");
        assert_eq!(kept.end(), 4 + 60_000 + 5);
        let all = kept.since(0);
        assert_eq!((all.lines.len(), all.missed), (164, 4 + 60_000 - 16_300));
        assert!(all.lines[..163].iter().all(|line| line.text.len() == 99));
        assert_eq!(all.lines[163].text, b"last");
    }

    #[test]
    fn lines_without_an_end_are_in_the_tail() {
        let mut kept = Kept::default();
        kept.push(batch(1), b"one\n");
        kept.set_partial(7, b"pass");
        kept.set_partial(7, b"password: ");
        kept.set_partial(8, b"");
        assert_eq!(kept.tail(100), "one\npassword: ");
        kept.set_partial(7, b"");
        assert_eq!(kept.tail(100), "one\n");
    }

    proptest! {
        /// Never more than is allowed, only whole lines, and the newest of all.
        #[test]
        fn what_is_kept_is_the_end(pieces in proptest::collection::vec((0_u64..3, 1_usize..30_000), 0..12)) {
            let mut kept = Kept::default();
            let mut all = Vec::new();
            for (ms, length) in pieces {
                let piece: Vec<u8> = (0..length).map(|at| if (at + 1) % 97 == 0 || at + 1 == length { b'\n' } else { b'a' + (at % 23) as u8 }).collect();
                kept.push(batch(ms), &piece);
                all.extend_from_slice(&piece);
            }
            prop_assert_eq!(kept.end(), all.len() as u64);
            prop_assert!(kept.bytes.len() <= MOST_KEPT);
            prop_assert_eq!(kept.batches.iter().map(|(_, length)| length).sum::<usize>(), kept.bytes.len());
            let bytes: Vec<u8> = kept.bytes.iter().copied().collect();
            prop_assert!(all.ends_with(&bytes));
            let before = all.len() - bytes.len();
            prop_assert!(before == 0 || all[before - 1] == b'\n');
            prop_assert!(all.len() - bytes.len() < 97 || bytes.len() > MOST_KEPT - 200);
        }
    }
}
