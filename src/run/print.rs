//! Stdout, for what somebody has asked for: status, JSON, a man page. A reader that has seen enough (`| head`) is no error
//! and hears nothing of it; whatever else keeps the output from being written is told, and makes the command fail.

use std::io::{self, ErrorKind, Write as _};
use std::sync::Once;

use crate::core::exit::code;

use super::in_words;

/// Of several services each would be told of.
static TOLD: Once = Once::new();

/// Writes all of it. Returns the exit code: this one, or 125 for a command that did well but could not write it.
pub fn whole(text: impl AsRef<[u8]>, exit: i32) -> i32 {
    let mut out = io::stdout().lock();
    ended(out.write_all(text.as_ref()).and_then(|()| out.flush()), exit)
}

/// The same of what was written, and flushed, elsewhere.
pub fn ended(written: io::Result<()>, exit: i32) -> i32 {
    match written {
        Err(problem) if problem.kind() != ErrorKind::BrokenPipe => {
            TOLD.call_once(|| eprintln!("launcher: {}", not_written(&problem)));
            if exit == 0 { code::INTERNAL } else { exit }
        }
        _ => exit,
    }
}

/// What is said of output that could not be written.
pub fn not_written(problem: &io::Error) -> String {
    format!("stdout could not be written: {}", in_words(problem))
}
