//! Lines of a given width from texts that nobody vouches for.

/// How a text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// How many columns a line has at most; taken as [`Style::NARROWEST`] when it is less.
    pub width: usize,
    /// Whether colours are used: only on a terminal, and not with `NO_COLOR`.
    pub colour: bool,
}

impl Default for Style {
    /// 100 columns without colours.
    fn default() -> Style {
        Style { width: 100, colour: false }
    }
}

/// What a piece of text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Something failed.
    Failure,
    /// Something is not as it should be.
    Warning,
    /// Something is as it should be.
    Good,
    /// What is to be read first.
    Strong,
    /// What is to be read last.
    Dim,
}

impl Style {
    /// No text is made narrower than this: it could not be read.
    pub const NARROWEST: usize = 40;

    /// The width in force.
    pub fn columns(self) -> usize {
        self.width.max(Style::NARROWEST)
    }

    /// The text in its colour.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Failure => "1;31",
            Paint::Warning => "1;33",
            Paint::Good => "32",
            Paint::Strong => "1",
            Paint::Dim => "2",
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The text with everything escaped that could move the cursor, change colours or reorder what is read: whatever came
/// from the child must not speak to the terminal.
pub fn clean(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push_str("    "),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            c if c.is_control() && c.is_ascii() => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() || is_invisible(c) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

/// Marks of direction, separators of lines, and the like.
fn is_invisible(c: char) -> bool {
    let marks = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}');
    marks || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// How many columns a terminal gives a text.
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => 2,
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// A cleaned text cut off at so many columns, with a sign that it is.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if width(&kept) + self::columns(c) >= columns {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

/// Breaks a cleaned text into lines of at most `columns` (at least 2), at blanks where there are any.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        let bare = word.trim_end_matches(' ');
        if !line.is_empty() && width(&line) + width(bare) > columns {
            lines.push(std::mem::take(&mut line).trim_end_matches(' ').to_owned());
        }
        if width(bare) <= columns {
            // Blanks at the start of a continued line would look like an indentation.
            if !(line.is_empty() && bare.is_empty() && !lines.is_empty()) {
                line.push_str(word);
            }
            continue;
        }
        for c in word.chars() {
            if width(&line) + self::columns(c) > columns {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    let last = line.trim_end_matches(' ');
    if !last.is_empty() || lines.is_empty() {
        lines.push(last.to_owned());
    }
    lines
}

/// The words of a text, each with the blank behind it; a number stays with its unit.
fn words(text: &str) -> Vec<&str> {
    const UNITS: [&str; 9] = ["ms", "s", "min", "h", "%", "B", "KiB", "MiB", "GiB"];
    let is_number = |word: &str| word.trim_end().chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_unit = |word: &str| UNITS.contains(&word.trim_end().trim_end_matches([',', ';', ':', ')']));
    let mut words: Vec<&str> = Vec::new();
    let (mut start, mut end) = (0, 0);
    for word in text.split_inclusive(' ') {
        let follows = words.last().is_some_and(|last| is_number(last)) && is_unit(word);
        if follows {
            words.pop();
        } else {
            start = end;
        }
        end += word.len();
        words.extend(text.get(start..end));
    }
    words
}

/// Keeps the first `most` lines; a cut is shown at the end of the last.
pub fn cap(mut lines: Vec<String>, most: usize, columns: usize) -> Vec<String> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            while width(last) + 2 > columns {
                last.pop();
            }
            last.push_str(" …");
        }
    }
    lines
}

/// A path that fits: what stands in front is left out first.
pub fn shorten_path(path: &str, columns: usize) -> String {
    let mut rest = path;
    while width(rest) + 1 > columns {
        match rest.get(1..).and_then(|after| after.find('/')) {
            Some(at) => rest = &rest[at + 1..],
            None => break,
        }
    }
    if rest.len() == path.len() { path.to_owned() } else { format!("…{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_speaks_to_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\r\n\u{202e}c\u{9b}d\te"), "a\\x1b[31mb\\r\\n\\u{202e}c\\u{9b}d    e");
        assert_eq!(clean("grün 日本 ✗"), "grün 日本 ✗");
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("main.init  /src/main.go:42", 40), ["main.init  /src/main.go:42"]);
        assert_eq!(wrap("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrap("", 4), [""]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
    }

    #[test]
    fn paths_lose_their_front() {
        assert_eq!(shorten_path("/var/lib/launcher/api/latest.json", 20), "…/api/latest.json");
        assert_eq!(shorten_path("/api/latest.json", 20), "/api/latest.json");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_and_no_word_is_lost(text in "\\PC{0,200}", columns in 2usize..60) {
            let text = clean(&text);
            let lines = wrap(&text, columns);
            prop_assert!(lines.iter().all(|line| width(line) <= columns), "{lines:?}");
            let squeeze = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(squeeze(&lines.concat()), squeeze(&text));
        }
    }
}
