//! Lines that a reader has not taken yet, of services that do not wait for it.

use std::collections::{BTreeMap, VecDeque};

/// How much may wait of one writer, in bytes.
pub const MOST_WAITING: usize = 256 * 1024;

/// A piece that is not longer than this is put together with the next one of the same writer.
const SMALL: usize = 16 * 1024;

/// Whole lines of one writer for one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<T> {
    /// Whose they are.
    pub writer: u64,
    /// Where they go.
    pub to: T,
    /// The lines.
    pub bytes: Vec<u8>,
}

/// What waits, in the order in which it came.
#[derive(Debug)]
pub struct Backlog<T> {
    pieces: VecDeque<Piece<T>>,
    /// Of each writer how many bytes wait, and how many lines were dropped since that was last asked.
    writers: BTreeMap<u64, (usize, u64)>,
}

impl<T> Default for Backlog<T> {
    fn default() -> Backlog<T> {
        Backlog { pieces: VecDeque::new(), writers: BTreeMap::new() }
    }
}

impl<T: PartialEq> Backlog<T> {
    /// Adds lines; the oldest of the same writer are dropped when there are too many.
    pub fn push(&mut self, writer: u64, to: T, bytes: &[u8]) {
        let (waiting, dropped) = self.writers.entry(writer).or_default();
        while *waiting > 0 && *waiting + bytes.len() > MOST_WAITING {
            let Some(oldest) = self.pieces.iter().position(|piece| piece.writer == writer) else { break };
            let Some(piece) = self.pieces.remove(oldest) else { break };
            *waiting -= piece.bytes.len();
            *dropped += memchr::memchr_iter(b'\n', &piece.bytes).count() as u64;
        }
        *waiting += bytes.len();
        match self.pieces.back_mut() {
            Some(last) if last.writer == writer && last.to == to && last.bytes.len() + bytes.len() <= SMALL => {
                last.bytes.extend_from_slice(bytes);
            }
            _ => self.pieces.push_back(Piece { writer, to, bytes: bytes.to_vec() }),
        }
    }

    /// The oldest piece, and how many lines of its writer were dropped since this was last told.
    pub fn pop(&mut self) -> Option<(Piece<T>, u64)> {
        let piece = self.pieces.pop_front()?;
        let (waiting, dropped) = self.writers.entry(piece.writer).or_default();
        *waiting -= piece.bytes.len();
        let dropped = std::mem::take(dropped);
        if *waiting == 0 {
            self.writers.remove(&piece.writer);
        }
        Some((piece, dropped))
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_in_its_order() {
        let mut backlog = Backlog::default();
        backlog.push(1, 'o', b"a\n");
        backlog.push(1, 'o', b"b\n");
        backlog.push(2, 'o', b"c\n");
        backlog.push(1, 'e', b"d\n");
        let mut taken = Vec::new();
        while let Some((piece, dropped)) = backlog.pop() {
            assert_eq!(dropped, 0);
            taken.push((piece.writer, piece.to, String::from_utf8(piece.bytes).unwrap()));
        }
        assert_eq!(taken, [(1, 'o', "a\nb\n".into()), (2, 'o', "c\n".into()), (1, 'e', "d\n".into())]);
        assert!(backlog.is_empty() && backlog.writers.is_empty());
    }

    #[test]
    fn the_oldest_of_the_same_writer_are_dropped_and_counted() {
        let mut backlog = Backlog::default();
        backlog.push(2, (), b"of another\n");
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..1000 {
            backlog.push(1, (), &line);
        }
        assert!(backlog.writers[&1].0 <= MOST_WAITING);
        let (first, none) = backlog.pop().unwrap();
        assert_eq!((first.writer, none), (2, 0));
        let (mut left, mut dropped) = (0, 0);
        while let Some((piece, lost)) = backlog.pop() {
            left += piece.bytes.len() / 1024;
            dropped += lost;
        }
        assert_eq!(left as u64 + dropped, 1000);
        assert!(left >= MOST_WAITING / 1024 - 16, "{left}");
    }

    #[test]
    fn a_piece_that_is_too_large_alone_is_kept() {
        let mut backlog = Backlog::default();
        backlog.push(1, (), &vec![b'x'; MOST_WAITING + 1]);
        backlog.push(1, (), b"next\n");
        assert_eq!(backlog.pop().unwrap().0.bytes, b"next\n");
        assert!(backlog.pop().is_none());
    }
}
