//! From a tree with places to the plain values that a schema judges, and back to the places.

use std::ops::Range;

use boon::{InstanceToken, Type, Types};
use serde_json::{Map, Number};

use crate::core::files::tree::{Entry, Node, Value};

/// The value without its places. Of two keys with one name the later counts, as everywhere.
pub fn plain(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Boolean(boolean) => (*boolean).into(),
        Value::Number(text) => number(text).map_or(serde_json::Value::Null, serde_json::Value::Number),
        Value::Text(text) => text.as_str().into(),
        Value::List(nodes) => nodes.iter().map(plain).collect(),
        Value::Table(entries) => {
            let pairs = entries.iter().map(|entry| (entry.key.clone(), plain(&entry.node)));
            serde_json::Value::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

/// A number as YAML, JSON or TOML write it; JSON has no infinity, whose place the largest number takes.
fn number(text: &str) -> Option<Number> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let based = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find_map(|(prefix, radix)| {
        let magnitude = i128::from_str_radix(digits.strip_prefix(prefix)?, radix).ok()?;
        Number::from_i128(if negative { -magnitude } else { magnitude })
    });
    if based.is_some() {
        return based;
    }
    let whole = plain.trim_start_matches('+').parse::<i128>().ok().and_then(Number::from_i128);
    let float = || plain.parse::<f64>().ok().and_then(|float| Number::from_f64(float.clamp(f64::MIN, f64::MAX)));
    whole.or_else(float)
}

/// The innermost node on the way that is there, and the entry that leads to it when that is one of a table.
pub fn locate<'t>(tree: &'t Node, way: &[InstanceToken<'_>]) -> (&'t Node, Option<&'t Entry>) {
    let mut at = (tree, None);
    for token in way {
        let next = match (token, &at.0.value) {
            (InstanceToken::Prop(name), Value::Table(_)) => entry(at.0, name).map(|entry| (&entry.node, Some(entry))),
            (InstanceToken::Item(index), Value::List(nodes)) => nodes.get(*index).map(|node| (node, None)),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// The entry of a key, the later one of two.
pub fn entry<'t>(node: &'t Node, key: &str) -> Option<&'t Entry> {
    let Value::Table(entries) = &node.value else { return None };
    entries.iter().rev().find(|entry| entry.key == key)
}

/// The first place of a key anywhere in a tree, with the path of its table.
pub fn find_key(tree: &Node, key: &str) -> Option<(String, Range<usize>)> {
    let mut left = vec![(String::new(), tree)];
    while let Some((path, node)) = left.pop() {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match &node.value {
            Value::List(nodes) => {
                left.extend(nodes.iter().enumerate().rev().map(|(index, node)| (below(&index.to_string()), node)));
            }
            Value::Table(entries) => {
                if let Some(entry) = entry(node, key) {
                    return Some((path, entry.key_span.clone()));
                }
                left.extend(entries.iter().rev().map(|entry| (below(&entry.key), &entry.node)));
            }
            _ => {}
        }
    }
    None
}

/// A way as paths are written everywhere: names and numbers joined by dots; nothing for the whole.
pub fn path(way: &[InstanceToken<'_>]) -> String {
    let parts = way.iter().map(|token| match token {
        InstanceToken::Prop(name) => name.to_string(),
        InstanceToken::Item(index) => index.to_string(),
    });
    parts.collect::<Vec<_>>().join(".")
}

/// The value on the way.
pub fn at<'v>(value: &'v mut serde_json::Value, way: &[InstanceToken<'_>]) -> Option<&'v mut serde_json::Value> {
    way.iter().try_fold(value, |value, token| match token {
        InstanceToken::Prop(name) => value.get_mut(name.as_ref()),
        InstanceToken::Item(index) => value.get_mut(index),
    })
}

/// What a text reads as, if that is one of these types: environments and many formats have nothing but texts.
pub fn read_as(text: &str, wanted: Types) -> Option<serde_json::Value> {
    let text = text.trim();
    let number =
        number(text).filter(|_| text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')));
    if let Some(number) = number
        && (wanted.contains(Type::Number) || wanted.contains(Type::Integer) && number.as_f64()?.fract() == 0.0)
    {
        return Some(number.into());
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" if wanted.contains(Type::Boolean) => Some(true.into()),
        "false" | "no" | "off" if wanted.contains(Type::Boolean) => Some(false.into()),
        "" | "null" if wanted.contains(Type::Null) => Some(serde_json::Value::Null),
        _ => None,
    }
}

/// The value that a fragment of a schema's address (`#/properties/port`) points at.
pub fn pointed<'v>(value: &'v serde_json::Value, fragment: &str) -> Option<&'v serde_json::Value> {
    value.pointer(&percent_decoded(fragment))
}

/// Fragments are written as URLs are.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_each_format_writes_them() {
        let read = |text: &str| number(text).map(|number| number.to_string());
        for (text, expected) in [
            ("5", "5"),
            ("-5", "-5"),
            ("+5", "5"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("-0b11", "-3"),
            ("1_000", "1000"),
            ("18446744073709551615", "18446744073709551615"),
            ("0.5", "0.5"),
            ("1e3", "1000.0"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(read("inf"), read(&f64::MAX.to_string()).map(|_| Number::from_f64(f64::MAX).unwrap().to_string()));
        assert_eq!((read("x"), read("")), (None, None));
    }

    #[test]
    fn a_text_is_read_as_what_is_wanted_of_it() {
        let types = |all: &[Type]| all.iter().copied().collect::<Types>();
        assert_eq!(read_as("8080", types(&[Type::Integer])), Some(8080.into()));
        assert_eq!(read_as("80.5", types(&[Type::Integer])), None);
        assert_eq!(read_as("80.5", types(&[Type::Number])), Some(80.5.into()));
        assert_eq!(read_as("Yes", types(&[Type::Boolean])), Some(true.into()));
        assert_eq!(read_as("nan", types(&[Type::Number])), None);
        assert_eq!(read_as("x", types(&[Type::Number, Type::Boolean, Type::Null])), None);
    }

    #[test]
    fn fragments_are_decoded() {
        assert_eq!(percent_decoded("/a%20b/%C3%A9%"), "/a b/é%");
        assert_eq!(percent_decoded("%zz"), "%zz");
    }
}
