//! What is drawn at the foot of the terminal, below all that scrolls by, and drawn again when it has changed: what is
//! waited for, and the table of a start.
//!
//! Whoever writes a line wipes it away first ([`clear`]); it is drawn again below that. A line is never wider than the
//! window. When the window has become narrower since, its lines were folded: then more of them are wiped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::core::report::text::{clean, cut, width};
use crate::run::{log, output};
use crate::sys::terminal;

/// What is to be drawn, and what was.
struct Screen {
    /// What is waited for, by who waits.
    notes: BTreeMap<String, String>,
    /// Lines, in their colours, that stand for all of that.
    block: Vec<String>,
    /// What a person is asked, below all.
    question: Option<String>,
    /// How wide each line is that stands there now.
    drawn: Vec<usize>,
    /// How often it was drawn, for its sign.
    turns: usize,
}

static SCREEN: Mutex<Screen> =
    Mutex::new(Screen { notes: BTreeMap::new(), block: Vec::new(), question: None, drawn: Vec::new(), turns: 0 });
/// Whether there is anything to be wiped: asked with every line of a service.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// Whether anything can be drawn: the launcher writes for a person, on a terminal that can move its cursor and that
/// belongs to this job.
pub fn is_drawable() -> bool {
    is_for_a_person() && terminal::is_ours(io::stderr().as_fd())
}

/// The same, whichever job has the terminal now.
pub fn is_for_a_person() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    log::is_text() && !dumb && log::at_terminal()
}

/// Asks this at the foot of the terminal, until something else is asked or nothing any more.
pub fn question(text: Option<String>) {
    let mut screen = lock();
    if screen.question != text {
        screen.question = text;
        screen.redraw();
    }
}

/// What `who` waits for, drawn in one line at the foot of the terminal; `None` takes it away. False when it cannot be
/// drawn: lines are for a machine, or there is no terminal.
pub fn progress(who: &str, text: Option<&str>) -> bool {
    if !is_drawable() && text.is_some() {
        return false;
    }
    let mut screen = lock();
    match text {
        Some(text) => screen.notes.insert(who.to_owned(), text.to_owned()),
        None if screen.notes.is_empty() => return false,
        None => screen.notes.remove(who),
    };
    screen.redraw();
    true
}

/// Draws these lines at the foot of the terminal until there are others; none takes them away. When somebody writes
/// just now, or a service's line stands there that has no end yet, they are drawn the next time.
pub fn block(lines: Vec<String>) {
    let mut screen = match SCREEN.try_lock() {
        Ok(screen) => screen,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) if lines.is_empty() => lock(),
        Err(TryLockError::WouldBlock) => return,
    };
    if !lines.is_empty() && output::is_line_open() {
        return;
    }
    screen.block = lines;
    screen.redraw();
}

/// How many columns and lines the window has for what is drawn.
pub fn size() -> (usize, usize) {
    terminal::size(io::stderr().as_fd()).unwrap_or((80, 24))
}

/// Makes room for a line: what is drawn is wiped away, until it is drawn again. As long as the guard lives nothing is
/// drawn.
pub fn clear() -> Option<impl Drop> {
    if !IN_USE.load(Ordering::Relaxed) {
        return None;
    }
    let mut screen = lock();
    let wiped = screen.wipe();
    write(&wiped);
    Some(screen)
}

/// Writes lines of the launcher's own, above what is drawn.
pub fn write_above(line: &str) {
    if !IN_USE.load(Ordering::Relaxed) {
        // Nobody is left to tell when stderr is gone.
        let _ = output::write_own(line.as_bytes());
        return;
    }
    let mut screen = lock();
    let mut out = screen.wipe();
    out.push_str(line);
    out.push_str(&screen.draw());
    write(&out);
}

fn lock() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(text: &str) {
    // Nobody is left to tell when stderr is gone.
    let _ = io::stderr().write_all(text.as_bytes());
}

impl Screen {
    fn redraw(&mut self) {
        let mut out = self.wipe();
        out.push_str(&self.draw());
        IN_USE.store(!self.drawn.is_empty(), Ordering::Relaxed);
        write(&out);
    }

    /// What takes away what stands there: the cursor is at the end of its last line.
    fn wipe(&mut self) -> String {
        let drawn = std::mem::take(&mut self.drawn);
        if drawn.is_empty() {
            return String::new();
        }
        let columns = size().0.max(1);
        let rows: usize = drawn.iter().map(|width| width.div_ceil(columns).max(1)).sum();
        if rows == 1 { "\r\x1b[K".to_owned() } else { format!("\r\x1b[{}A\x1b[J", rows - 1) }
    }

    fn draw(&mut self) -> String {
        const SIGNS: [&str; 4] = ["|", "/", "-", "\\"];
        let mut out = String::new();
        if !self.block.is_empty() {
            for line in &self.block {
                let _ = write!(out, "{}{line}", if self.drawn.is_empty() { "" } else { "\n" });
                self.drawn.push(width(&without_colours(line)));
            }
        } else if !self.notes.is_empty() {
            self.turns = self.turns.wrapping_add(1);
            let all: Vec<&str> = self.notes.values().map(String::as_str).collect();
            let line = format!("{} {}", SIGNS[self.turns % SIGNS.len()], clean(&all.join("; ")));
            out = cut(&line, size().0.saturating_sub(1));
            self.drawn.push(width(&out));
        }
        if let Some(question) = &self.question {
            let line = cut(&clean(question), size().0.saturating_sub(1));
            let _ = write!(out, "{}{line}", if self.drawn.is_empty() { "" } else { "\n" });
            self.drawn.push(width(&line));
        }
        out
    }
}

/// The line without what only changes its colours.
fn without_colours(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        shown.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_no_width() {
        assert_eq!(without_colours("\x1b[1;31m✗\x1b[0m db"), "✗ db");
        assert_eq!(without_colours("plain"), "plain");
    }

    #[test]
    fn what_was_drawn_is_wiped_from_its_first_line_on() {
        let mut screen = Screen { notes: BTreeMap::new(), block: vec![], question: None, drawn: vec![], turns: 0 };
        assert_eq!((screen.wipe(), screen.draw()), (String::new(), String::new()));
        screen.block = vec!["\x1b[32m✓\x1b[0m db".to_owned(), "· api".to_owned(), "· web".to_owned()];
        assert_eq!(screen.draw(), "\x1b[32m✓\x1b[0m db\n· api\n· web");
        assert_eq!(screen.drawn, [4, 5, 5]);
        assert_eq!(screen.wipe(), "\r\x1b[2A\x1b[J");
        screen.block.clear();
        screen.notes.insert("api".to_owned(), "api waits".to_owned());
        assert!(screen.draw().ends_with(" api waits"));
        assert_eq!(screen.wipe(), "\r\x1b[K");
        screen.question = Some("restart which?".to_owned());
        assert!(screen.draw().ends_with(" api waits\nrestart which?"));
        assert_eq!(screen.wipe(), "\r\x1b[1A\x1b[J");
    }
}
