//! YAML 1.2 with places, from the events of `saphyr-parser`. Of several documents the first counts.

use std::collections::BTreeMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::tree::{Entry, Node, Value};
use super::{DEEPEST, MOST_NODES, Problem};

/// Reads YAML.
///
/// # Errors
/// The first error of syntax: nothing can be told of what comes after it.
pub fn read(text: &str) -> Result<Node, Vec<Problem>> {
    let mut reader = Reader { places: Places::of(text), open: Vec::new(), anchors: BTreeMap::new(), nodes: 0 };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = reader.places.byte(error.marker().index());
            let message = format!("this is not YAML: {}", error.info());
            let tabs = text[..at.min(text.len())].rsplit('\n').next().is_some_and(|line| line.contains('\t'));
            let hint = match tabs {
                true => "YAML is indented by blanks: there is a tab in this line",
                false => "look at the indentation, and at quotes and brackets that are not closed",
            };
            vec![Problem::syntax(at..at + 1, message, hint)]
        })?;
        match reader.take(event, span) {
            Ok(Some(node)) => return Ok(node),
            Ok(None) => {}
            Err(problem) => return Err(vec![problem]),
        }
    }
    Ok(Node { span: 0..text.len(), value: Value::Null })
}

/// From places in characters, which the parser tells, to places in bytes.
struct Places {
    /// Where each character begins; nothing when all have one byte.
    bytes: Option<Vec<usize>>,
    end: usize,
}

impl Places {
    fn of(text: &str) -> Places {
        let bytes = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Places { bytes, end: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        let byte = self.bytes.as_ref().map_or(Some(character), |bytes| bytes.get(character).copied());
        byte.unwrap_or(self.end).min(self.end)
    }

    fn range(&self, span: Span) -> Range<usize> {
        let start = self.byte(span.start.index());
        start..self.byte(span.end.index()).max(start)
    }
}

/// A list or table that is not closed yet.
struct Open {
    start: usize,
    anchor: usize,
    table: bool,
    entries: Vec<Entry>,
    nodes: Vec<Node>,
    /// The key whose value comes next.
    key: Option<(String, Range<usize>)>,
}

struct Reader {
    places: Places,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl Reader {
    /// Takes in an event; the whole, once it is closed.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<Option<Node>, Problem> {
        let range = self.places.range(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let core = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let value = match style {
                    ScalarStyle::Plain if !core => plain(&text),
                    _ => Value::Text(text.into_owned()),
                };
                self.put(Node { span: range, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(range, anchor, false),
            Event::MappingStart(anchor, _) => self.begin(range, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(None) };
                let value = if open.table { Value::Table(merged(open.entries)) } else { Value::List(open.nodes) };
                self.put(Node { span: open.start..range.end.max(open.start), value }, open.anchor)
            }
            Event::Alias(anchor) => {
                // An alias within what it stands for is nothing yet.
                let value = self.anchors.get(&anchor).map_or(Value::Null, |node| node.value.clone());
                self.count(&value, &range)?;
                self.put(Node { span: range, value }, 0)
            }
            _ => Ok(None),
        }
    }

    fn begin(&mut self, range: Range<usize>, anchor: usize, table: bool) -> Result<Option<Node>, Problem> {
        if self.open.len() >= DEEPEST {
            return Err(Problem::syntax(range, "this YAML is too deep to be looked into", "make it flatter"));
        }
        let (entries, nodes) = (Vec::new(), Vec::new());
        self.open.push(Open { start: range.start, anchor, table, entries, nodes, key: None });
        Ok(None)
    }

    /// Aliases of aliases can stand for any number of nodes.
    fn count(&mut self, value: &Value, range: &Range<usize>) -> Result<(), Problem> {
        let mut left = vec![value];
        while let Some(value) = left.pop() {
            self.nodes += 1;
            if self.nodes > MOST_NODES {
                let message = "the aliases of this YAML stand for too much to be looked into";
                return Err(Problem::syntax(range.clone(), message, "write it out, or make it smaller"));
            }
            match value {
                Value::List(nodes) => left.extend(nodes.iter().map(|node| &node.value)),
                Value::Table(entries) => left.extend(entries.iter().map(|entry| &entry.node.value)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts a node where it belongs; it is the whole when nothing is open.
    fn put(&mut self, node: Node, anchor: usize) -> Result<Option<Node>, Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else { return Ok(Some(node)) };
        if !open.table {
            open.nodes.push(node);
            return Ok(None);
        }
        match open.key.take() {
            None => open.key = Some((key_text(&node.value), node.span)),
            Some((key, key_span)) => {
                if key != "<<" && open.entries.iter().any(|entry| entry.key == key) {
                    return Err(Problem::syntax(
                        key_span,
                        format!("{key:?} is here a second time"),
                        "keep one of the two",
                    ));
                }
                open.entries.push(Entry { key, key_span, node });
            }
        }
        Ok(None)
    }
}

/// What a plain scalar is by the core schema (YAML 1.2, 10.3.2).
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['+', '-']);
    let based =
        digits.strip_prefix("0x").is_some_and(|hex| !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit()))
            || digits.strip_prefix("0o").is_some_and(|octal| !octal.is_empty() && octal.chars().all(|c| c.is_digit(8)));
    let decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text.parse::<f64>().is_ok();
    if based || decimal { Value::Number(text.to_owned()) } else { Value::Text(text.to_owned()) }
}

fn key_text(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Number(text) => text.clone(),
        Value::Boolean(boolean) => boolean.to_string(),
        _ => String::new(),
    }
}

/// `<<: *other` stands for the keys of the other that are not written here.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    if !entries.iter().any(|entry| entry.key == "<<") {
        return entries;
    }
    let (merges, mut own): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.key == "<<");
    for merge in merges {
        let tables = match merge.node.value {
            Value::Table(entries) => vec![entries],
            Value::List(nodes) => nodes
                .into_iter()
                .filter_map(|node| if let Value::Table(entries) = node.value { Some(entries) } else { None })
                .collect(),
            _ => Vec::new(),
        };
        for entry in tables.into_iter().flatten() {
            if !own.iter().any(|of| of.key == entry.key) {
                own.push(entry);
            }
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::files::tree::Found;

    #[test]
    fn values_have_their_places_and_kinds() {
        let text =
            "# é\ndatabase:\n  host: db.é\n  port: 5432\n  password:\n  tls: yes\n  on: true\nlist: [a, 'b', ~]\n";
        let tree = read(text).unwrap();
        let leaves = tree.leaves();
        let places: Vec<_> =
            leaves.iter().map(|(path, n)| (path.as_str(), &text[n.span.clone()], n.value.kind())).collect();
        assert_eq!(places[0], ("database.host", "db.é", "a text"));
        assert_eq!(places[1], ("database.port", "5432", "a number"));
        assert_eq!((places[2].0, places[2].2), ("database.password", "null"));
        assert_eq!((places[3].2, places[4].2), ("a text", "a boolean"));
        assert_eq!((places[6], places[7].2), (("list.1", "'b'", "a text"), "null"));
    }

    #[test]
    fn anchors_stand_for_what_they_name() {
        let tree = read("base: &b {host: x, port: 1}\nmine:\n  <<: *b\n  port: 2\nother: *b\n").unwrap();
        let text = |path: &str| match tree.find(path) {
            Found::Node(node) => key_text(&node.value),
            missing => panic!("{missing:?}"),
        };
        assert_eq!(["mine.host", "mine.port", "other.port"].map(text), ["x", "2", "1"]);
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
            + &('b'..='j')
                .map(|c| {
                    let before = char::from(c as u8 - 1);
                    format!("{c}: &{c} [{}]\n", format!("*{before},").repeat(9))
                })
                .collect::<String>();
        assert!(read(&bomb).unwrap_err()[0].message.contains("stand for too much"));
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn an_error_has_its_place() {
        let wrong = |text: &str| {
            let problem = read(text).unwrap_err().remove(0);
            (text[..problem.span.start].matches('\n').count() + 1, problem.message, problem.hint)
        };
        assert_eq!(wrong("a: 1\nb: [1, 2\nc: 3\n").0, 3);
        assert!(wrong("a:\n\tb: 1\n").2.contains("tab"));
        assert_eq!(wrong("a: 1\na: 2\n").1, "\"a\" is here a second time");
        assert_eq!(read("").unwrap().value, Value::Null);
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(text in "[-\\[\\]{}&*<:?,'\"# \n\ta\u{e9}|>!%]{0,50}") {
            let _ = read(&text);
        }
    }
}
