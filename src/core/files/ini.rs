//! INI files and Java's properties, with places. Neither has types: every value is a text.

use std::ops::Range;

use super::Problem;
use super::tree::{Entry, Node, Value, line_span};

/// Reads an INI file: `[section]`, `key = value` or `key: value`, comments behind `#` or `;` at the start of a line.
/// A key before any section is one of the top.
///
/// # Errors
/// Every line that is none of these.
pub fn read(text: &str) -> Result<Node, Vec<Problem>> {
    let mut top: Vec<Entry> = Vec::new();
    let mut section: Option<Entry> = None;
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let span = line_span(text, index + 1);
        let bare = line.trim();
        let header = bare.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        // Go's and Python's readers take an indented line for more of the value above.
        let continued = line.starts_with([' ', '\t']) && !bare.contains(['=', ':']);
        if bare.is_empty() || bare.starts_with(['#', ';']) || continued {
            continue;
        }
        if let Some((name, _)) = header {
            top.extend(section.take());
            let node = Node { span: span.clone(), value: Value::Table(Vec::new()) };
            section = Some(Entry { key: name.trim().to_owned(), key_span: span, node });
        } else if let Some(entry) = key_value(line, span.clone()) {
            match section.as_mut().map(|section| &mut section.node.value) {
                Some(Value::Table(entries)) => entries.push(entry),
                _ => top.push(entry),
            }
        } else {
            let message = "this line is neither a [section] nor a key with a value";
            problems.push(Problem::syntax(span, message, "write key = value, or ; before a comment"));
        }
    }
    top.extend(section);
    match problems.is_empty() {
        true => Ok(Node { span: 0..text.len(), value: Value::Table(merged(top)) }),
        false => Err(problems),
    }
}

/// A section that comes twice is one.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    for entry in entries {
        let same = all.iter_mut().find(|of| of.key == entry.key).map(|of| &mut of.node.value);
        match (same, entry.node.value) {
            (Some(Value::Table(before)), Value::Table(more)) => before.extend(more),
            (_, value) => all.push(Entry { node: Node { value, ..entry.node }, ..entry }),
        }
    }
    all
}

/// `key = value`, with places.
fn key_value(line: &str, span: Range<usize>) -> Option<Entry> {
    let at = line.find(['=', ':'])?;
    let key = line[..at].trim();
    if key.is_empty() {
        return None;
    }
    let raw = &line[at + 1..];
    let value = raw.trim();
    let start = span.start + at + 1 + (raw.len() - raw.trim_start().len());
    let plain = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let key_start = span.start + (line.len() - line.trim_start().len());
    Some(Entry {
        key: key.to_owned(),
        key_span: key_start..key_start + key.len(),
        node: Node { span: start..start + value.len(), value: Value::Text(plain.to_owned()) },
    })
}

/// Reads Java's properties (`java.util.Properties.load`): `key=value`, `key: value` or `key value`; `#` and `!` begin a
/// comment, a backslash at the end goes on in the next line. There is nothing that could be wrong with it.
pub fn read_properties(text: &str) -> Node {
    let mut entries = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let mut logical = String::new();
        let mut first = true;
        loop {
            let rest = &text[at..];
            let line = rest.split('\n').next().unwrap_or_default();
            at = (at + line.len() + 1).min(text.len());
            let line = line.trim_end_matches('\r');
            let part = if first { line } else { line.trim_start() };
            let comment = first && line.trim_start().starts_with(['#', '!']);
            let slashes = part.len() - part.trim_end_matches('\\').len();
            first = false;
            if comment || slashes % 2 == 0 || at >= text.len() {
                logical.push_str(if comment { "" } else { part });
                break;
            }
            logical.push_str(&part[..part.len() - 1]);
        }
        entries.extend(property(&logical, text, start));
    }
    Node { span: 0..text.len(), value: Value::Table(entries) }
}

fn property(line: &str, text: &str, start: usize) -> Option<Entry> {
    let bare = line.trim_start();
    if bare.is_empty() {
        return None;
    }
    let mut escaped = false;
    let end = bare.find(|c: char| {
        let ends = !escaped && (matches!(c, '=' | ':') || c.is_whitespace());
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = bare.split_at(end.unwrap_or(bare.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    // The place is that of the first line: a value may go over several.
    let first = text[start..].split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let begin = start + (first.len() - first.trim_start().len());
    Some(Entry {
        key: unescaped(key),
        key_span: begin..start + first.len(),
        node: Node { span: begin..start + first.len(), value: Value::Text(unescaped(value)) },
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, if c == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some('t')) => plain.push('\t'),
            ('\\', Some('r')) => plain.push('\r'),
            ('\\', Some('u')) => {
                let digits: String = characters.by_ref().take(4).collect();
                plain.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
            }
            ('\\', Some(other)) => plain.push(other),
            ('\\', None) => {}
            (c, _) => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places<'t>(tree: &Node, text: &'t str) -> Vec<(String, &'t str)> {
        tree.leaves().into_iter().map(|(path, node)| (path, &text[node.span.clone()])).collect()
    }

    #[test]
    fn sections_and_keys() {
        let text = "; head\ntop = 1\n[db]\nhost: \"x y\"\n  more\nport =\r\n[other]\n[db]\nuser=app\n";
        let tree = read(text).unwrap();
        let all = places(&tree, text);
        let expected = [("top", "1"), ("db.host", "\"x y\""), ("db.port", ""), ("db.user", "app")];
        assert_eq!(all, expected.map(|(path, place)| (path.to_owned(), place)));
        let wrong = read("[a]\nnonsense\n= 1\n").unwrap_err();
        assert_eq!(wrong.iter().map(|problem| problem.span.clone()).collect::<Vec<_>>(), [4..12, 13..16]);
    }

    #[test]
    fn properties_as_java_reads_them() {
        let text = "# c\n! c\na.b=1\nc : x\\\n   y\nd\\ e f\ng\nh=\\u00e9\\t\n";
        let tree = read_properties(text);
        let all: Vec<_> = tree.leaves().into_iter().map(|(path, node)| (path, node.value.clone())).collect();
        let expected = [("a.b", "1"), ("c", "xy"), ("d e", "f"), ("g", ""), ("h", "é\t")];
        let expected = expected.map(|(key, value)| (key.to_owned(), Value::Text(value.to_owned())));
        assert_eq!(all, expected);
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(text in "[\\[\\]=: \\\\ua0\n\r\u{e9}#;]{0,40}") {
            let _ = read(&text);
            read_properties(&text);
        }
    }
}
