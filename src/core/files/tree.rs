//! What all formats come down to: values with their places.

use std::ops::Range;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// In bytes of the text.
    pub span: Range<usize>,
    /// The value.
    pub value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Boolean(bool),
    /// A number, as written.
    Number(String),
    /// A text; in formats without types every value is one.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order in which they were written; of two with the same key the later one counts.
    Table(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where it stands.
    pub key_span: Range<usize>,
    /// Its value.
    pub node: Node,
}

impl Value {
    /// What kind it is, with its article.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Boolean(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// What came of looking for a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'t> {
    /// Its value.
    Node(&'t Node),
    /// It is not there. The innermost part of its path that is: how far it goes, and the keys that are there.
    Missing {
        /// The part of the path that is there, empty for the top.
        reached: String,
        /// The first part of the path that is not.
        missing: String,
        /// What is there instead.
        at: &'t Node,
    },
}

impl Node {
    /// Looks for a key by its path: names joined by dots, numbers for places in lists. A key with dots in it is found
    /// as it is written, too.
    pub fn find(&self, path: &str) -> Found<'_> {
        let mut at = self;
        let mut rest = path;
        loop {
            if let Some(node) = at.child(rest) {
                return Found::Node(node);
            }
            // The longest beginning that is a key: `logging.level` may be one in a table of properties.
            let cuts = rest.rmatch_indices('.').map(|(cut, _)| cut);
            let step = cuts.filter_map(|cut| Some((at.child(&rest[..cut])?, &rest[cut + 1..]))).next();
            match step {
                Some((node, after)) => (at, rest) = (node, after),
                None => {
                    let reached = path[..path.len() - rest.len()].trim_end_matches('.').to_owned();
                    let missing = rest.split('.').next().unwrap_or(rest).to_owned();
                    return Found::Missing { reached, missing, at };
                }
            }
        }
    }

    /// The value of a key, or at a place of a list.
    fn child(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(entries) => entries.iter().rev().find(|entry| entry.key == name).map(|entry| &entry.node),
            Value::List(nodes) => nodes.get(name.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The keys of a table.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match &self.value {
            Value::Table(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    /// Every value in it that is no list and no table, with its path.
    pub fn leaves(&self) -> Vec<(String, &Node)> {
        let mut leaves = Vec::new();
        let mut left = vec![(String::new(), self)];
        while let Some((path, node)) = left.pop() {
            let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            match &node.value {
                Value::List(nodes) => {
                    left.extend(nodes.iter().enumerate().rev().map(|(index, node)| (below(&index.to_string()), node)));
                }
                Value::Table(entries) => left.extend(entries.iter().rev().map(|of| (below(&of.key), &of.node))),
                _ => leaves.push((path, node)),
            }
        }
        leaves
    }
}

/// Where a line stands, counted from 1; the end of the text when there is no such line.
pub fn line_span(text: &str, line: usize) -> Range<usize> {
    let mut start = 0;
    for (index, whole) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            return start..start + whole.trim_end_matches(['\n', '\r']).len();
        }
        start += whole.len();
    }
    text.len()..text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::files::read;
    use crate::core::settings::FileFormat;

    #[test]
    fn keys_are_found_by_their_paths() {
        let text = "a:\n  b: [1, {c: x}]\n  d.e: y\nf:\n";
        let tree = read(FileFormat::Yaml, text).unwrap();
        let found = |path: &str| match tree.find(path) {
            Found::Node(node) => text[node.span.clone()].to_owned(),
            Found::Missing { reached, missing, .. } => format!("{reached}|{missing}"),
        };
        assert_eq!(["a.b.0", "a.b.1.c", "a.d.e"].map(found), ["1", "x", "y"]);
        assert_eq!(["x", "a.x.y", "a.b.7", "f.g"].map(found), ["|x", "a|x", "a.b|7", "f|g"]);
        let paths: Vec<String> = tree.leaves().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a.b.0", "a.b.1.c", "a.d.e", "f"]);
    }
}
