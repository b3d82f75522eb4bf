//! TOML with places.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::tree::{Entry, Node, Value};
use super::{DEEPEST, Problem};

/// Reads TOML.
///
/// # Errors
/// Every error of syntax that the parser tells.
pub fn read(text: &str) -> Result<Node, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let problem = |error: &toml::de::Error| {
        let message = format!("this is not TOML: {}", error.message());
        Problem::syntax(error.span().unwrap_or(0..0), message, "see https://toml.io for how TOML is written")
    };
    if !errors.is_empty() {
        return Err(errors.iter().map(problem).collect());
    }
    let value = table(document.get_ref(), 0);
    value
        .map(|value| Node { span: 0..text.len(), value })
        .ok_or_else(|| vec![Problem::syntax(0..1, "this TOML is too deep to be looked into", "make it flatter")])
}

fn table(table: &DeTable<'_>, depth: usize) -> Option<Value> {
    let mut entries = Vec::new();
    for (key, value) in table {
        let (key, key_span) = (key.get_ref().clone().into_owned(), key.span());
        entries.push(Entry { key, key_span, node: node(value, depth + 1)? });
    }
    entries.sort_by_key(|entry| entry.key_span.start);
    Some(Value::Table(entries))
}

fn node(value: &Spanned<DeValue<'_>>, depth: usize) -> Option<Node> {
    if depth > DEEPEST {
        return None;
    }
    let inner = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => Value::Number(number.to_string()),
        DeValue::Float(number) => Value::Number(number.to_string()),
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Datetime(moment) => Value::Text(moment.to_string()),
        DeValue::Array(values) => {
            Value::List(values.iter().map(|value| node(value, depth + 1)).collect::<Option<Vec<_>>>()?)
        }
        DeValue::Table(inner) => table(inner, depth)?,
    };
    Some(Node { span: value.span(), value: inner })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_places() {
        let text = "a = 1\n[b]\nc = \"x\"\nd = [true, 2.5]\n[[e]]\nf = 1979-05-27\n";
        let tree = read(text).unwrap();
        let leaves = tree.leaves();
        let places: Vec<_> = leaves.iter().map(|(path, node)| (path.as_str(), &text[node.span.clone()])).collect();
        let expected = [("a", "1"), ("b.c", "\"x\""), ("b.d.0", "true"), ("b.d.1", "2.5"), ("e.0.f", "1979-05-27")];
        assert_eq!(places, expected);
    }

    #[test]
    fn all_errors_are_told() {
        let problems = read("a = \nb = 1\nb = 2\n").unwrap_err();
        assert!(problems.len() >= 2, "{problems:?}");
    }
}
