//! JSON with places. Whether it is JSON is `serde_json`'s word; the walk after it only finds the places.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::tree::{Entry, Node, Value, line_span};
use super::{DEEPEST, Problem};

/// Reads JSON.
///
/// # Errors
/// The first error of syntax: nothing can be told of what comes after it.
pub fn read(text: &str) -> Result<Node, Vec<Problem>> {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let offset = text.len() - bare.len();
    if let Err(error) = serde_json::from_str::<IgnoredAny>(bare) {
        let line = line_span(bare, error.line());
        // The column is in bytes, counted from 1, and 0 for what ends before it begins.
        let at = (line.start + error.column().saturating_sub(1)).min(line.end) + offset;
        let whole = error.to_string();
        let before = text[..floor(text, at)].trim_end();
        let message = match text[floor(text, at)..].starts_with(['}', ']']) && before.ends_with(',') {
            true => "trailing comma",
            false => whole.split(" at line ").next().unwrap_or(&whole),
        };
        let hint = match message {
            "trailing comma" => "take the comma out: JSON has none before a closing bracket",
            "key must be a string" => "put the key between double quotes",
            _ if message.starts_with("EOF") => "something is not closed: look for a missing }, ] or \"",
            _ => "JSON has no comments, no trailing commas, and double quotes only",
        };
        return Err(vec![Problem::syntax(at..at + 1, format!("this is not JSON: {message}"), hint)]);
    }
    let mut walk = Walk { text, at: offset };
    walk.value(0)
        .ok_or_else(|| vec![Problem::syntax(0..1, "this JSON is too deep to be looked into", "make it flatter")])
}

/// The last character boundary at or before a place.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A walk over a text that is known to be JSON.
struct Walk<'t> {
    text: &'t str,
    at: usize,
}

impl Walk<'_> {
    fn blank(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Whether the byte comes next; it is passed then.
    fn takes(&mut self, byte: u8) -> bool {
        self.blank();
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        self.blank();
        let start = self.at;
        let value = match self.peek()? {
            _ if depth > DEEPEST => return None,
            b'{' => self.table(depth)?,
            b'[' => self.list(depth)?,
            b'"' => Value::Text(self.string()?.0),
            _ => {
                let rest = &self.text[start..];
                let length = rest.find([',', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
                self.at += length;
                match &rest[..length] {
                    "null" => Value::Null,
                    "true" => Value::Boolean(true),
                    "false" => Value::Boolean(false),
                    number => Value::Number(number.to_owned()),
                }
            }
        };
        Some(Node { span: start..self.at, value })
    }

    fn table(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut entries = Vec::new();
        while !self.takes(b'}') {
            self.takes(b',');
            self.blank();
            let (key, key_span) = self.string()?;
            self.takes(b':');
            entries.push(Entry { key, key_span, node: self.value(depth + 1)? });
        }
        Some(Value::Table(entries))
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut nodes = Vec::new();
        while !self.takes(b']') {
            self.takes(b',');
            nodes.push(self.value(depth + 1)?);
        }
        Some(Value::List(nodes))
    }

    fn string(&mut self) -> Option<(String, Range<usize>)> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        while *bytes.get(end)? != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        self.at = end + 1;
        let text = serde_json::from_str(self.text.get(start..self.at)?).ok()?;
        Some((text, start..self.at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_have_their_places() {
        let text = "\u{feff}{\"a\": {\"b\\n\": [1.5, null, true]},\r\n \"é\": \"x\\\"y\", \"e\": {}, \"f\": []}\n";
        let tree = read(text).unwrap();
        let leaves = tree.leaves();
        let places: Vec<_> = leaves.iter().map(|(path, node)| (path.as_str(), &text[node.span.clone()])).collect();
        assert_eq!(places, [("a.b\n.0", "1.5"), ("a.b\n.1", "null"), ("a.b\n.2", "true"), ("é", "\"x\\\"y\"")]);
    }

    #[test]
    fn an_error_has_its_place() {
        let wrong = |text: &str| {
            let problem = read(text).unwrap_err().remove(0);
            (problem.span.start, problem.message)
        };
        assert_eq!(wrong("{\"a\": 1,}"), (8, "this is not JSON: trailing comma".to_owned()));
        assert_eq!(wrong("{\n  a: 1}").0, 4);
        assert!(wrong("{\"a\": [1").1.contains("EOF"));
        assert!(wrong("").1.contains("EOF"));
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(text in "[\\[\\]{}\",:\\\\ a1\u{e9}]{0,40}") {
            let _ = read(&text);
        }
    }
}
