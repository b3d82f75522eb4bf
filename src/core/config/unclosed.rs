//! Arrays, tables and strings that are not closed. The parser takes all that follows for a part of them; a person sees
//! where the next statement begins, by what a line looks like.

use std::ops::Range;

use super::error::ConfigError;

/// Something that is not closed.
#[derive(Debug)]
pub(super) struct Unclosed {
    /// What is told of it.
    pub error: ConfigError,
    /// The lines of the statement that it is in: to where the next one begins.
    pub region: Range<usize>,
}

/// Everything in a text that is not closed where the next statement begins.
pub(super) fn unclosed(text: &str) -> Vec<Unclosed> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let line = line_from(text, at);
        let Some(equals) = assignment(line).filter(|_| !line.trim_start().starts_with('[')) else {
            at += line.len() + 1;
            continue;
        };
        let mut scan = Scan { text, indent: indent(line), open: Vec::new(), string: None, last: b'=' };
        match scan.value(at + equals + 1) {
            Ok(end) => at = end + 1,
            Err((error, next)) => {
                found.push(Unclosed { error, region: at..next });
                at = next;
            }
        }
    }
    found
}

/// Where the next line that begins with `[` starts.
pub(super) fn next_header(text: &str, from: usize) -> usize {
    text[from..].find("\n[").map_or(text.len(), |at| from + at + 1)
}

/// A string that is not closed.
pub(super) fn string_not_closed(span: Range<usize>, quotes: &str) -> ConfigError {
    ConfigError::new(span, "this string is not closed", format!("close it with {quotes}"))
}

/// One value as it is read.
struct Scan<'t> {
    text: &'t str,
    /// How far its statement is indented.
    indent: usize,
    /// The brackets that are open, the innermost last: where, and which.
    open: Vec<(usize, u8)>,
    /// The first string in it that its line does not close.
    string: Option<(usize, &'static str)>,
    /// What was read last, blanks aside.
    last: u8,
}

impl Scan<'_> {
    /// Reads on to the end of the statement's last line; or says what is not closed, and where the next one begins.
    fn value(&mut self, mut at: usize) -> Result<usize, (ConfigError, usize)> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(at).copied() {
            let next = match byte {
                b'\n' if self.open.is_empty() => return Ok(at),
                b'\n' if self.ends_before(at + 1) => return Err((self.error(), at + 1)),
                b'#' => at + line_from(self.text, at).len(),
                b'"' | b'\'' => self.string(at)?,
                b'[' | b'{' => {
                    self.open.push((at, byte));
                    at + 1
                }
                b']' | b'}' => {
                    let opened = if byte == b']' { b'[' } else { b'{' };
                    if self.open.last().is_some_and(|(_, open)| *open == opened) {
                        self.open.pop();
                    }
                    at + 1
                }
                _ => at + 1,
            };
            if !byte.is_ascii_whitespace() && byte != b'#' {
                self.last = byte;
            }
            at = next;
        }
        if self.open.is_empty() { Ok(at) } else { Err((self.error(), at)) }
    }

    /// Where a string ends. One of several lines that never does ends at the next header.
    fn string(&mut self, at: usize) -> Result<usize, (ConfigError, usize)> {
        let rest = &self.text[at..];
        let basic = rest.starts_with('"');
        let (one, three) = if basic { ("\"", "\"\"\"") } else { ("'", "'''") };
        if let Some(inner) = rest.strip_prefix(three) {
            let Some(end) = closing(inner, three, basic) else {
                let error = string_not_closed(at..at + three.len(), three);
                return Err((error, next_header(self.text, at)));
            };
            // Two quotes more may belong to the text of the string.
            let more = inner[end + three.len()..].bytes().take(2).take_while(|byte| *byte == one.as_bytes()[0]);
            return Ok(at + three.len() + end + three.len() + more.count());
        }
        let line = line_from(self.text, at);
        match closing(&line[1..], one, basic) {
            Some(end) => Ok(at + 1 + end + 1),
            None => {
                self.string.get_or_insert((at, one));
                Ok(at + line.len())
            }
        }
    }

    /// Whether the line at this place is another statement, although something is open.
    fn ends_before(&self, at: usize) -> bool {
        let line = line_from(self.text, at);
        match self.open.last() {
            _ if is_header(line) => true,
            Some((_, b'[')) => is_assignment(line),
            // The keys of an inline table may have lines of their own: after a comma, or further in.
            Some(_) => is_assignment(line) && !matches!(self.last, b',' | b'{') && indent(line) <= self.indent,
            None => false,
        }
    }

    /// What is not closed: the string before the bracket, which would then stand in it.
    fn error(&self) -> ConfigError {
        if let Some((at, quotes)) = self.string {
            return string_not_closed(at..at + line_from(self.text, at).trim_end().len(), quotes);
        }
        let (at, name, bracket) = match self.open.last() {
            Some((at, b'[')) => (*at, "array", ']'),
            last => (last.map_or(0, |(at, _)| *at), "table", '}'),
        };
        ConfigError::new(at..at + 1, format!("this {name} is not closed"), format!("close it with {bracket}"))
    }
}

/// Where the quotes are that close a string; a backslash keeps those of a basic one from it.
fn closing(inner: &str, quotes: &str, basic: bool) -> Option<usize> {
    let mut at = 0;
    while at < inner.len() {
        if basic && inner.as_bytes()[at] == b'\\' {
            at += 2;
        } else if inner.as_bytes()[at..].starts_with(quotes.as_bytes()) {
            return Some(at);
        } else {
            at += 1;
        }
    }
    None
}

/// The rest of a line, without its newline.
fn line_from(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or_default();
    rest.split('\n').next().unwrap_or(rest)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Where the `=` of a line is; not one between quotes or in a comment.
fn assignment(line: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in line.bytes().enumerate() {
        match (quote, byte) {
            (None, b'=') => return Some(at),
            (None, b'#') => return None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Whether a line begins with a key and `=`.
fn is_assignment(line: &str) -> bool {
    let Some(equals) = assignment(line) else { return false };
    let key = line[..equals].trim();
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ');
    !key.is_empty() && key.chars().all(bare)
}

/// Whether a line is the header of a table; a list in a list looks nearly so.
fn is_header(line: &str) -> bool {
    let line = line.trim();
    let Some(inner) = line.strip_prefix('[') else { return false };
    let inner = inner.strip_prefix('[').unwrap_or(inner).trim_start();
    if inner.starts_with("service.") || inner.starts_with("launcher]") {
        return true;
    }
    let Some((name, rest)) = inner.split_once(']') else { return false };
    let rest = rest.strip_prefix(']').unwrap_or(rest).trim_start();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' ');
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(fits);
    named && (rest.is_empty() || rest.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not closed, and the line that the next statement begins with.
    fn found(text: &str) -> Vec<(String, &str)> {
        let told = |one: Unclosed| {
            let message = format!("{} {}", one.error.span.start, one.error.message);
            (message, line_from(text, one.region.end))
        };
        unclosed(text).into_iter().map(told).collect()
    }

    #[test]
    fn ends_where_another_statement_begins() {
        let array = "4 this array is not closed".to_owned();
        for next in ["b = 1", "\"b\".c = 1", "[service.b]", "[[service.\"b c\".port]] # x", "[other]", "[service.b"] {
            assert_eq!(found(&format!("a = [\"x\"\n  \"y\",\n{next}\n")), [(array.clone(), next)], "{next}");
        }
        let table = "4 this table is not closed".to_owned();
        assert_eq!(found("a = { b = 1\nc = 2\n"), [(table.clone(), "c = 2")]);
        assert_eq!(found("a = { b = 1,\nc = 2\n[service.b]"), [(table, "[service.b]")]);
        assert_eq!(found("a = [{ b = 1\nc = 2"), [("5 this table is not closed".to_owned(), "c = 2")]);
        assert_eq!(found("a = [\"x\"}\nc = 2"), [(array, "c = 2")]);
        assert_eq!(found("a = ['x\"]\nc = 2"), [("5 this string is not closed".to_owned(), "c = 2")]);
        assert_eq!(found("a = '''x\nc = 2\n[launcher]\n"), [("4 this string is not closed".to_owned(), "[launcher]")]);
    }

    #[test]
    fn what_is_closed_is_left_alone() {
        for text in [
            "a = [\n  \"x\", # ]\n  [service],\n  ['b = 1'],\n]\nb = 1\n",
            "a = {\n  b = 1,\n  c = [\"\\\"]\"]\n}\n",
            "a = {\n  b = 1\n  c = 2\n}\n",
            "a = [\"\"\"\nb = 1\n[x]\n\"\"\"\"\"]\n",
            "\"a=[\" = 1\n# a = [\n[a.\"b = [\"]\na\n",
            "a = \"[\nb = 1\n",
            "a =",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
