//! The frames of one stack, with what says little folded.

use crate::core::diagnosis::words;
use crate::core::facts::{FoundBy, Frame};

use super::layout::{Paint, clean};
use super::stacks::{Shown, count};

/// So many lines of a stack are shown; the innermost frames.
const LINES: usize = 64;
/// So many equal frames in a row are shown as one line: a recursion.
const REPEATS: usize = 3;

/// Some frames in a row that are one line.
struct Row<'a> {
    /// The number of the first of them.
    index: usize,
    frame: &'a Frame,
    /// How many there are.
    length: usize,
    /// Whether they are the interpreter's own.
    internal: bool,
}

/// A line for each frame. Unless all are to be shown, the frames of an interpreter that runs code which its runtime has
/// told are one line, and so is a frame that calls itself again and again.
pub fn lines(frames: &[Frame], runtime: &str, shown: Shown) -> Vec<String> {
    let rows = rows(frames, runtime, shown.all);
    let most = if shown.all { rows.len() } else { LINES };
    let mut lines: Vec<String> = rows.iter().take(most).map(|row| line(row, runtime, shown)).collect();
    let left: usize = rows.iter().skip(most).map(|row| row.length).sum();
    if left > 0 {
        lines.push(format!("         … {} more", count(left)));
    }
    lines
}

fn rows<'a>(frames: &'a [Frame], runtime: &str, all: bool) -> Vec<Row<'a>> {
    let last_told = frames.iter().rposition(Frame::is_told).filter(|_| !all);
    // Below the last frame that the runtime told is only what runs it.
    let internal = |index: usize| {
        let frame = frames.get(index)?;
        Some(!frame.is_told() && (index > last_told? || is_of_interpreter(frame, runtime)))
    };
    let mut rows = Vec::new();
    let mut index = 0;
    while let Some(frame) = frames.get(index) {
        let rest = frames.get(index..).unwrap_or_default();
        let (mut length, mut folded) = (1, false);
        if internal(index) == Some(true) {
            length = (index..frames.len()).take_while(|at| internal(*at) == Some(true)).count();
            folded = length > 1;
        } else if !all {
            let same = rest.iter().take_while(|other| is_same(other, frame)).count();
            length = if same >= REPEATS { same } else { 1 };
        }
        rows.push(Row { index, frame, length, internal: folded });
        index += length.max(1);
    }
    rows
}

/// Whether two frames read the same.
fn is_same(one: &Frame, other: &Frame) -> bool {
    let place = |frame: &Frame| (frame.line, frame.inlined, frame.found == FoundBy::Guess);
    one.function.is_some() && one.function == other.function && one.file == other.file && place(one) == place(other)
}

/// Whether a native frame is one of the runtime's own: of its program or library, or code that it made and gave no name.
fn is_of_interpreter(frame: &Frame, runtime: &str) -> bool {
    let Some(module) = &frame.module else { return frame.function.is_none() };
    let name = words::base(module);
    let starts: &[&str] = match runtime {
        "cpython" => &["python", "libpython", "pypy", "libpypy"],
        "ruby" => &["ruby", "libruby"],
        "jvm" => &["java", "libjvm", "libjava", "libjli"],
        "node" => &["node", "libnode", "libuv"],
        _ => &[],
    };
    starts.iter().any(|start| name.starts_with(start))
}

fn line(row: &Row, runtime: &str, shown: Shown) -> String {
    let dim = |text: &str| shown.style.paint(Paint::Dim, text);
    if row.internal {
        let whose = match runtime {
            "jvm" => "the virtual machine",
            "" | "native" => "the runtime",
            _ => "the interpreter",
        };
        return format!("         {}", dim(&format!("… {} frames of {whose}", count(row.length))));
    }
    let mut about = String::new();
    if row.frame.inlined {
        about.push_str("  inlined");
    }
    if row.frame.near {
        about.push_str("  near this line");
    }
    if row.frame.found == FoundBy::Guess {
        about.push_str("  a guess");
    }
    if row.length > 1 {
        about.push_str(&format!("  × {}", count(row.length)));
    }
    format!("    {:>3}  {}{}", row.index, clean(&words::frame_line(row.frame)), dim(&about))
}
