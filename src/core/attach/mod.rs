//! `launcher attach`: a person at the terminal of a service.
//!
//! - `frame`: what goes over the connection, in both directions;
//! - `keys`: the keys by which a person leaves;
//! - `linger`: how long an answer is waited for behind the input;
//! - `shown`: what the terminal has shown, for those who look at it.

pub mod frame;
pub mod keys;
pub mod linger;
pub mod shown;

pub use frame::{Frame, Frames};
pub use keys::DetachKeys;
pub use linger::Linger;
pub use shown::{Cursor, Piece, Shown};

/// What the connection is called once it is no HTTP any more (`Upgrade:`).
pub const PROTOCOL: &str = "launcher-attach";

/// How many columns and rows a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

impl Default for Size {
    /// What programs expect where nobody says otherwise.
    fn default() -> Size {
        Size { columns: 80, rows: 24 }
    }
}

/// Why nobody can be at the terminal any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// With which code `launcher attach` tells it.
    pub code: i32,
    /// The same in a sentence.
    pub text: String,
}
