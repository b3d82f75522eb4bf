//! Errors of TOML's own syntax, one a line and with a hint: the parser goes on after each and often reports what
//! follows from the first as errors of their own.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::Error;

use super::error::ConfigError;
use super::keys;
use super::unclosed::{next_header, string_not_closed, unclosed};

/// How the message ends about what is there twice.
const TWICE: &str = "is here a second time";

/// How often a text is read anew, with blanks in place of what kept the parser from reading on.
const MOST_READINGS: usize = 8;

/// The errors of syntax of a file.
#[derive(Debug, Default)]
pub(super) struct Syntax {
    /// The errors, at most one a line.
    pub errors: Vec<ConfigError>,
    /// Parts of the text of which the parser made something that was not meant: what it made says nothing.
    unreliable: Vec<Range<usize>>,
    /// How often the text was blanked.
    readings: usize,
}

impl Syntax {
    /// The text with blanks in place of the statements at which the parser stopped, or went astray: so all that comes
    /// after them is read as well, and has its place as before. What was wrong with them is kept. `None` when the
    /// parser has read everything that can be read.
    pub fn blanked(&mut self, text: &str, found: &[Error]) -> Option<String> {
        if found.is_empty() || self.readings == MOST_READINGS {
            return None;
        }
        self.readings += 1;
        let (mut errors, mut regions) = (Vec::new(), Vec::new());
        if found.iter().any(|error| UNCLOSED.iter().any(|message| error.message().starts_with(message))) {
            (errors, regions) = unclosed(text).into_iter().map(|one| (one.error, one.region)).unzip();
        }
        if regions.is_empty() {
            let start = |error: &&Error| line(text, error.span().map_or(0, |span| span.start)).start;
            let lines: BTreeSet<usize> = found.iter().filter(|error| stops(error)).map(|error| start(&error)).collect();
            let here = found.iter().filter(|error| lines.contains(&start(error)));
            errors = one_a_line(text, here);
            regions = errors.iter().map(|error| unreadable(text, error)).collect();
        }
        if regions.is_empty() {
            return None;
        }
        let mut blanked = text.as_bytes().to_vec();
        for region in &regions {
            let written = blanked[region.clone()].iter_mut().filter(|byte| !matches!(byte, b'\n' | b'\r'));
            written.for_each(|byte| *byte = b' ');
        }
        self.errors.extend(errors);
        self.unreliable.extend(regions.into_iter().map(|region| to_the_end(text, region)));
        // Whole lines are blanked, so no character is cut.
        String::from_utf8(blanked).ok()
    }

    /// Puts what the parser found at last into our words.
    pub fn tell(&mut self, text: &str, found: &[Error]) {
        let own = one_a_line(text, found.iter());
        self.unreliable.extend(own.iter().map(|error| to_the_end(text, unreadable(text, error))));
        self.errors.extend(own);
    }

    /// Whether an error that was found in what the parser made of the text is to be believed.
    pub fn believes(&self, error: &ConfigError) -> bool {
        self.errors.is_empty() || (!error.absence && !contain(&self.unreliable, error.span.start))
    }
}

/// How messages begin that say something is not closed, and took what follows for a part of it.
const UNCLOSED: [&str; 4] = [
    "unclosed array,",
    "unclosed inline table",
    "invalid multi-line basic string",
    "invalid multi-line literal string",
];

/// Whether the parser reads nothing after such an error, or what follows for something else.
fn stops(error: &Error) -> bool {
    let messages =
        ["key with no value", "missing value for key", "unclosed table", "unclosed array table", "invalid table"];
    messages.iter().any(|message| error.message().starts_with(message))
}

/// Errors in our words, in their order. Of two on one line the one that points at something says more than the one
/// that points between.
fn one_a_line<'e>(text: &str, found: impl Iterator<Item = &'e Error>) -> Vec<ConfigError> {
    let mut own: Vec<ConfigError> = found.map(|error| own_words(text, error)).collect();
    own.sort_by_key(|error| (line(text, error.span.start).start, error.span.is_empty(), error.span.start));
    own.dedup_by_key(|error| line(text, error.span.start).start);
    own
}

/// What cannot be read for an error: its line, and below a header all keys, which belong to nobody. Those below the
/// second of two equal headers are read as if they stood below the first.
fn unreadable(text: &str, error: &ConfigError) -> Range<usize> {
    let broken = line(text, error.span.start);
    let header = text[broken.clone()].trim_start().starts_with('[') && !error.message.ends_with(TWICE);
    let end = (broken.end + 1).min(text.len());
    broken.start..if header { next_header(text, broken.end) } else { end }
}

/// Whether one of the ranges contains this place.
fn contain(ranges: &[Range<usize>], at: usize) -> bool {
    ranges.iter().any(|range| range.contains(&at))
}

/// A region, with the place behind the text if it reaches so far: a value that is missing there has that place.
fn to_the_end(text: &str, region: Range<usize>) -> Range<usize> {
    region.start..if region.end == text.len() { region.end + 1 } else { region.end }
}

/// The line around a place, without its newline. A place in the middle of a character stands for its beginning.
fn line(text: &str, at: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let at = at.min(bytes.len());
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |newline| at + newline);
    start..end
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
            if span.is_empty() {
                return ConfigError::new(span, "this key has no value", "write one after \"=\", or leave the key out");
            }
        }
        "key with no value" | "invalid unquoted key" => {
            if let Some(error) = no_statement(text, span.clone()) {
                return error;
            }
            if message == "key with no value" {
                return ConfigError::new(span, "this key has no value", "write KEY = VALUE, or [KEY] for a table");
            }
        }
        "unexpected key or value" if text[span.start..].starts_with(';') => return semicolon(span.start),
        "duplicate key" => {
            let name = text.get(span.clone()).unwrap_or_default();
            return ConfigError::new(span, format!("{name:?} {TWICE}"), "keep one of the two");
        }
        "invalid basic string" if expected == "`\"`" => return string_not_closed(span, "\""),
        "invalid multi-line basic string" if expected == "`\"`" => return string_not_closed(span, "\"\"\""),
        "invalid literal string" => return string_not_closed(span, "'"),
        "invalid multi-line literal string" if expected == "`'`" => return string_not_closed(span, "'''"),
        _ => {}
    }
    let hint = match expected {
        "" | "nothing" => "see https://toml.io for how TOML is written".to_owned(),
        _ => format!("expected {expected}"),
    };
    ConfigError::new(span, message, hint)
}

/// A line in the manner of another language: a comment, or a key and its value without `=`.
fn no_statement(text: &str, span: Range<usize>) -> Option<ConfigError> {
    const JOINED: &str = "a key and its value are joined by \"=\"";
    let around = line(text, span.start);
    let statement = &text[around.clone()];
    if let Some(comment) = statement.trim_start().strip_prefix("//") {
        let start = around.end - comment.len() - 2;
        return Some(ConfigError::new(
            start..start + 2,
            "a comment begins with #",
            format!("write # {}", comment.trim()),
        ));
    }
    let (key, value) = statement.split_once(':').unwrap_or_default();
    if !key.trim().is_empty() && !key.contains(['=', '"', '\'', '[', '#']) {
        let colon = around.start + key.len();
        return Some(ConfigError::new(colon..colon + 1, JOINED, format!("write {} = {}", key.trim(), value.trim())));
    }
    let (key, value) = statement.trim().split_once(char::is_whitespace)?;
    let known = keys::names().any(|known| known == key);
    known.then(|| ConfigError::new(span, JOINED, format!("write {key} = {}", value.trim())))
}

/// The end of a line in another language.
fn semicolon(at: usize) -> ConfigError {
    ConfigError::new(at..at + 1, "a line does not end with \";\"", "leave it out")
}

/// A value that should have been between quotes, or a boolean in the spelling of another language. A number that is
/// only written wrongly is neither.
fn bare_word(text: &str, span: Range<usize>) -> Option<ConfigError> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '=' | ',' | '[' | ']' | '{' | '}' | '#');
    let start =
        text.get(..span.start)?.rfind(ends).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let end = text.get(span.start..)?.find(ends).map_or(text.len(), |at| span.start + at);
    let word = text.get(start..end).filter(|word| !word.is_empty())?;
    let number = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
            && word.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '_' | '.' | '+' | '-' | 'x' | 'o'))
    };
    let bare = word.trim_end_matches(';');
    if bare.len() < word.len() && (number(bare) || matches!(bare, "true" | "false")) {
        return Some(semicolon(start + bare.len()));
    }
    let word = if bare.is_empty() { word } else { bare };
    let lower = word.to_ascii_lowercase();
    if lower == "true" || lower == "false" {
        return Some(ConfigError::new(start..end, format!("{word} is not a boolean"), format!("write {lower}")));
    }
    if number(word) {
        return None;
    }
    let plain = word.trim_matches(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\'', '"']);
    Some(ConfigError::new(start..end, "a string needs quotes", format!("write {plain:?}")))
}
