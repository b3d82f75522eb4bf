//! Errors of TOML's own syntax, one a line and with a hint: the parser goes on after each and often reports what
//! follows from the first as errors of their own.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::error::ConfigError;

/// The errors of syntax of a file.
#[derive(Debug, Default)]
pub(super) struct Syntax {
    /// The errors, at most one a line.
    pub errors: Vec<ConfigError>,
    /// Parts of the text of which the parser made something that was not meant: what it made says nothing.
    pub unreliable: Vec<Range<usize>>,
}

impl Syntax {
    /// Puts the parser's errors into our words.
    pub fn new(text: &str, table: &DeTable<'_>, found: &[Error]) -> Syntax {
        let mut syntax = Syntax::default();
        let unclosed = found.iter().find(|error| {
            error.message().starts_with("unclosed array,") || error.message().starts_with("unclosed inline table")
        });
        if let Some(error) = unclosed {
            syntax.unclosed(text, table, error);
        }
        // One that is not closed has been said, and what comes after its bracket was read as a part of it.
        let said = syntax.unreliable.clone();
        let places = found.iter().filter(|error| !error.span().is_some_and(|span| contain(&said, span.start)));
        let mut own: Vec<ConfigError> = places.map(|error| own_words(text, error)).collect();
        // Of two on one line the one that points at something says more than the one that points between.
        own.sort_by_key(|error| (line(text, error.span.start).start, error.span.is_empty(), error.span.start));
        own.dedup_by_key(|error| line(text, error.span.start).start);
        for error in &own {
            let broken = line(text, error.span.start);
            // Below a header that is not closed the keys belong to nobody.
            let header = text[broken.clone()].trim_start().starts_with('[');
            let until = if header { next_header(text, broken.end) } else { broken.end };
            syntax.unreliable.push(broken.start..until + 1);
        }
        syntax.errors.extend(own);
        syntax
    }

    /// Whether an error that was found in what the parser made of the text is to be believed.
    pub fn believes(&self, error: &ConfigError) -> bool {
        self.errors.is_empty() || (!error.absence && !contain(&self.unreliable, error.span.start))
    }

    /// Points at the bracket of an array or inline table that is not closed, rather than at the end of the file.
    fn unclosed(&mut self, text: &str, table: &DeTable<'_>, error: &Error) {
        let end = error.span().map_or(text.len(), |span| span.start);
        let Some(span) = innermost_unclosed(text, table, end) else { return };
        let (name, bracket) = if text[span.start..].starts_with('[') { ("array", ']') } else { ("table", '}') };
        let message = format!("this {name} is not closed");
        self.errors.push(ConfigError::new(span.start..span.start + 1, message, format!("close it with {bracket}")));
        self.unreliable.push(span.start..end + 1);
    }
}

/// Whether one of the ranges contains this place.
fn contain(ranges: &[Range<usize>], at: usize) -> bool {
    ranges.iter().any(|range| range.contains(&at))
}

/// The line around a place, without its newline. A place in the middle of a character stands for its beginning.
fn line(text: &str, at: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let at = at.min(bytes.len());
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| at + newline);
    start..end
}

/// Where the next line that begins with `[` starts.
fn next_header(text: &str, from: usize) -> usize {
    text[from..].find("\n[").map_or(text.len(), |at| from + at)
}

/// The last array or inline table that begins before `end` and has no closing bracket.
fn innermost_unclosed(text: &str, table: &DeTable<'_>, end: usize) -> Option<Range<usize>> {
    let mut last: Option<Range<usize>> = None;
    let mut open: Vec<&Spanned<DeValue<'_>>> = table.values().collect();
    while let Some(value) = open.pop() {
        let span = value.span();
        let source = text.get(span.clone()).unwrap_or_default();
        match value.get_ref() {
            DeValue::Array(values) => open.extend(values.iter()),
            DeValue::Table(values) => open.extend(values.values()),
            _ => continue,
        }
        // A header such as [service.api] is the span of its table too, and is closed.
        let opens = source.starts_with(['[', '{']) && !source.ends_with(['}', ']']);
        if opens && span.start < end && last.as_ref().is_none_or(|last| span.start > last.start) {
            last = Some(span);
        }
    }
    last
}

/// One error in our words, where ours say more than the parser's.
fn own_words(text: &str, error: &Error) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    let (message, expected) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
    match message {
        "string values must be quoted" | "invalid float" | "invalid integer" | "invalid boolean" => {
            if let Some(error) = bare_word(text, span.clone()) {
                return error;
            }
        }
        "key with no value" | "invalid unquoted key" => {
            let around = line(text, span.start);
            let (key, value) = text[around.clone()].split_once(':').unwrap_or_default();
            if !key.trim().is_empty() && !key.contains(['=', '"', '\'', '[', '#']) {
                let colon = around.start + key.len();
                let hint = format!("write {} = {}", key.trim(), value.trim());
                return ConfigError::new(colon..colon + 1, "a key and its value are joined by \"=\"", hint);
            }
            if message == "key with no value" {
                return ConfigError::new(span, "this key has no value", "write KEY = VALUE, or [KEY] for a table");
            }
        }
        "duplicate key" => {
            let name = text.get(span.clone()).unwrap_or_default();
            return ConfigError::new(span, format!("{name:?} is here a second time"), "keep one of the two");
        }
        "invalid basic string" if expected == "`\"`" => return not_closed(span, "\""),
        "invalid multi-line basic string" if expected == "`\"`" => return not_closed(span, "\"\"\""),
        "invalid literal string" => return not_closed(span, "'"),
        "invalid multi-line literal string" if expected == "`'`" => return not_closed(span, "'''"),
        _ => {}
    }
    let hint = match expected {
        "" | "nothing" => "see https://toml.io for how TOML is written".to_owned(),
        _ => format!("expected {expected}"),
    };
    ConfigError::new(span, message, hint)
}

fn not_closed(span: Range<usize>, quotes: &str) -> ConfigError {
    ConfigError::new(span, "this string is not closed", format!("close it with {quotes}"))
}

/// A value that should have been between quotes, or a boolean in the spelling of another language. A number that is
/// only written wrongly is neither.
fn bare_word(text: &str, span: Range<usize>) -> Option<ConfigError> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '=' | ',' | '[' | ']' | '{' | '}' | '#');
    let start =
        text.get(..span.start)?.rfind(ends).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let end = text.get(span.start..)?.find(ends).map_or(text.len(), |at| span.start + at);
    let word = text.get(start..end).filter(|word| !word.is_empty())?;
    let lower = word.to_ascii_lowercase();
    if lower == "true" || lower == "false" {
        return Some(ConfigError::new(start..end, format!("{word} is not a boolean"), format!("write {lower}")));
    }
    let number = word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && word.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '_' | '.' | '+' | '-' | 'x' | 'o'));
    if number {
        return None;
    }
    let plain = word.trim_matches(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\'', '"']);
    Some(ConfigError::new(start..end, "a string needs quotes", format!("write {plain:?}")))
}
