//! What services write: cut into lines, given levels, laid out for a person or a machine, and kept for a while.

mod backlog;
mod cut;
pub mod filter;
mod journal;
mod json;
mod kept;
pub mod level;
mod members;
mod pace;
mod returns;
pub mod rotate;
mod scan;
mod text;

pub use backlog::{Backlog, Piece};
pub use cut::{Cutter, LONGEST_LINE};
pub use journal::Entry;
pub use json::Head;
pub use kept::{Batch, Kept, Line, Lines, MOST_KEPT};
pub use pace::Pace;
pub use returns::Returns;
pub use text::Prefix;

/// Which of a child's two descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    /// `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// The lines of a piece without their ends, and whether each had one: a part of a line that is too long has none.
pub fn lines(piece: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, whole) = match memchr::memchr(b'\n', rest) {
            Some(end) => (&rest[..end], true),
            None => (rest, false),
        };
        rest = &rest[line.len() + usize::from(whole)..];
        Some((line, whole))
    })
}
