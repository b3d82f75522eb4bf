//! The violation of one rule in words.

use boon::{ErrorKind, Type, Types, ValidationError};

use crate::core::config::suggest;

/// The value that a violation is about.
#[derive(Debug, Clone, Copy)]
pub struct Given<'v> {
    /// How it is called.
    pub name: &'v str,
    /// What kind it is: `a text`.
    pub kind: &'static str,
    /// It, when it is a text.
    pub text: Option<&'v str>,
}

/// What is wrong with a value; and what may have been meant.
pub fn message(given: Given<'_>, error: &ValidationError<'_, '_>) -> (String, Option<String>) {
    let name = given.name;
    let said = match &error.kind {
        ErrorKind::Type { want, .. } => type_message(name, *want, given.kind),
        ErrorKind::Enum { want } => return choice(given, want),
        ErrorKind::Const { want } => format!("{name} must be {}", shown(want)),
        ErrorKind::Format { want, err, .. } if *want == "regex" => match err.to_string().contains("look-around") {
            true => format!("{name} looks ahead or behind, which launcher's regular expressions do not"),
            false => format!("{name} is no regular expression"),
        },
        ErrorKind::Format { want, .. } => format!("{name} is not {}", format_name(want)),
        ErrorKind::Pattern { want, .. } => format!("{name} does not match the pattern {want}"),
        ErrorKind::MinLength { got, want } => format!("{name} must have at least {}, and has {got}", characters(*want)),
        ErrorKind::MaxLength { got, want } => format!("{name} must have at most {}, and has {got}", characters(*want)),
        ErrorKind::Minimum { got, want } => format!("{name} must be at least {want}, and is {got}"),
        ErrorKind::Maximum { got, want } => format!("{name} must be at most {want}, and is {got}"),
        ErrorKind::ExclusiveMinimum { got, want } => format!("{name} must be more than {want}, and is {got}"),
        ErrorKind::ExclusiveMaximum { got, want } => format!("{name} must be less than {want}, and is {got}"),
        ErrorKind::MultipleOf { got, want } => format!("{name} must be a multiple of {want}, and is {got}"),
        other => composite(name, other, error),
    };
    (said, None)
}

/// Of lists, tables and combinations.
fn composite(name: &str, kind: &ErrorKind<'_, '_>, error: &ValidationError<'_, '_>) -> String {
    match kind {
        ErrorKind::MinItems { got, want } => format!("{name} must have at least {}, and has {got}", entries(*want)),
        ErrorKind::MaxItems { got, want } => format!("{name} must have at most {}, and has {got}", entries(*want)),
        ErrorKind::UniqueItems { got: [first, second] } => {
            format!("{name}.{second} is the same as {name}.{first}, and may be there once only")
        }
        ErrorKind::AdditionalItems { got } => format!("{name} has {} too many", entries(*got)),
        ErrorKind::Contains => format!("{name} has no entry of the kind that must be in it"),
        ErrorKind::MinContains { got, want } => {
            format!("{name} must have at least {} of one kind, and has {}", entries(*want), got.len())
        }
        ErrorKind::MaxContains { got, want } => {
            format!("{name} must have at most {} of one kind, and has {}", entries(*want), got.len())
        }
        ErrorKind::MinProperties { got, want } => format!("{name} must have at least {}, and has {got}", keys(*want)),
        ErrorKind::MaxProperties { got, want } => format!("{name} must have at most {}, and has {got}", keys(*want)),
        ErrorKind::PropertyName { prop } => {
            let given = Given { name: "it", kind: "a text", text: Some(prop) };
            let why = error.causes.first().map(|cause| message(given, cause).0);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("{prop:?} cannot be a key of {name}{why}")
        }
        ErrorKind::FalseSchema => format!("{name} is not allowed by the schema"),
        ErrorKind::Not => format!("{name} is what the schema rules out"),
        ErrorKind::OneOf(Some((first, second))) => {
            format!(
                "{name} must have exactly one of the schema's forms, and has two (number {} and {})",
                first + 1,
                second + 1
            )
        }
        ErrorKind::RefCycle { .. } => "the schema refers to itself without an end".to_owned(),
        other => format!("{name} is not as the schema says: {other}"),
    }
}

/// That a value is of none of the wanted types.
pub fn type_message(name: &str, wanted: Types, got: &str) -> String {
    let wanted: Vec<&str> = wanted.iter().map(type_name).collect();
    format!("{name} must be {}, and is {got}", either(&wanted))
}

/// What to write for one of these types.
pub fn example(wanted: Types) -> String {
    let example = match wanted.iter().next() {
        Some(Type::Integer) => "a whole number, such as 10",
        Some(Type::Number) => "a number, such as 0.5",
        Some(Type::Boolean) => "true or false",
        Some(Type::String) => "a text, between quotes",
        Some(Type::Array) => "a list",
        Some(Type::Object) => "a table with keys below it",
        Some(Type::Null) | None => "null",
    };
    format!("write {example}")
}

/// What can be done about a violation, where that is the same for every schema.
pub fn hint(kind: &ErrorKind<'_, '_>) -> Option<String> {
    match kind {
        ErrorKind::Type { want, .. } => Some(example(*want)),
        ErrorKind::Format { want: "regex", .. } => {
            Some("write it without (?=, (?!, (?<= and (?<!, and look at its brackets and backslashes".to_owned())
        }
        ErrorKind::Format { want, .. } => Some(format!("write it as {}", format_example(want)?)),
        _ => None,
    }
}

fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Null => "null",
        Type::Boolean => "a boolean",
        Type::Number => "a number",
        Type::Integer => "a whole number",
        Type::String => "a text",
        Type::Array => "a list",
        Type::Object => "a table",
    }
}

fn either(all: &[&str]) -> String {
    match all {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A value that is one of several, and what it may have been meant to be.
fn choice(given: Given<'_>, wanted: &[serde_json::Value]) -> (String, Option<String>) {
    let all: Vec<String> = wanted.iter().map(shown).collect();
    let message = match &all[..] {
        [one] => format!("{} must be {one}", given.name),
        all => format!("{} must be one of {}", given.name, listed(all.iter().map(String::as_str), 12)),
    };
    let texts = wanted.iter().filter_map(serde_json::Value::as_str);
    let near = given.text.and_then(|text| suggest::closest(text, texts));
    (message, near.map(|near| format!("did you mean {near:?}?")))
}

/// The first of many, joined by commas.
pub fn listed<'t>(all: impl Iterator<Item = &'t str> + Clone, most: usize) -> String {
    let count = all.clone().count();
    let mut shown: Vec<&str> = all.take(most).collect();
    if count > most {
        shown.push("…");
    }
    shown.join(", ")
}

/// A value as it is written, when it is short.
fn shown(value: &serde_json::Value) -> String {
    one_line(&value.to_string())
}

/// A text on one line, cut where it grows long.
pub fn one_line(text: &str) -> String {
    const LENGTH: usize = 120;
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ").replace(char::is_control, " ");
    let text = text.trim_end_matches('.');
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn characters(count: usize) -> String {
    counted(count, "character", "characters")
}

fn entries(count: usize) -> String {
    counted(count, "entry", "entries")
}

fn keys(count: usize) -> String {
    counted(count, "key", "keys")
}

fn format_name(format: &str) -> String {
    match format {
        "date-time" => "a date with a time".to_owned(),
        "date" | "time" | "duration" | "hostname" => format!("a {format}"),
        "ipv4" => "an IPv4 address".to_owned(),
        "ipv6" => "an IPv6 address".to_owned(),
        "email" => "an e-mail address".to_owned(),
        "uri" | "iri" => "a URI".to_owned(),
        "uri-reference" | "iri-reference" => "a URI or a part of one".to_owned(),
        "uuid" => "a UUID".to_owned(),
        other => format!("of the format {other}"),
    }
}

fn format_example(format: &str) -> Option<&'static str> {
    Some(match format {
        "date-time" => "2026-01-31T12:00:00Z",
        "date" => "2026-01-31",
        "time" => "12:00:00Z",
        "duration" => "PT30S",
        "hostname" => "db.example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "email" => "name@example.com",
        "uri" | "iri" => "https://example.com/",
        "uuid" => "123e4567-e89b-12d3-a456-426614174000",
        _ => return None,
    })
}

/// Whether a decimal is a multiple of another: by digits, for 19.99 is one of 0.01 and no binary fraction says so.
pub fn is_multiple(number: &str, of: &str) -> bool {
    let (Some((number, places)), Some((of, of_places))) = (decimal(number), decimal(of)) else { return false };
    let shift = |digits: i128, by: u32| 10_i128.checked_pow(by).and_then(|power| digits.checked_mul(power));
    let most = places.max(of_places);
    match (shift(number, most - places), shift(of, most - of_places)) {
        (Some(number), Some(of)) if of != 0 => number % of == 0,
        _ => false,
    }
}

/// Digits, and how many of them are behind the point.
fn decimal(text: &str) -> Option<(i128, u32)> {
    let (whole, behind) = text.split_once('.').unwrap_or((text, ""));
    if behind.contains(['e', 'E']) || whole.contains(['e', 'E']) {
        return None;
    }
    Some((format!("{whole}{behind}").parse().ok()?, u32::try_from(behind.len()).ok()?))
}
