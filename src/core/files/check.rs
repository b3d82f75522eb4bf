//! What must be in a file: required keys, not null, of the right type; placeholders that are defined.

use std::collections::BTreeSet;

use super::schema::Schema;
use super::tree::{Found, Node, Value};
use super::{Problem, read};
use crate::core::config::suggest;
use crate::core::settings::{FileFormat, RequiredKey, ValueType};

/// What a file is checked against.
#[derive(Debug)]
pub struct Expected<'a> {
    /// What it is read as.
    pub format: FileFormat,
    /// The keys that must be there.
    pub required: &'a [RequiredKey],
    /// The schema that it must keep to.
    pub schema: Option<&'a Schema>,
    /// The names of the variables that the service will have; `None` when placeholders are not looked at.
    pub variables: Option<&'a dyn Variables>,
}

/// Which variables a service has.
pub trait Variables: std::fmt::Debug {
    /// Whether it has this one.
    fn has(&self, name: &str) -> bool;
    /// One that it has and that is much like this one.
    fn near(&self, name: &str) -> Option<String>;
}

/// Everything that is wrong with the text of a file, in its order.
pub fn check(text: &str, expected: &Expected<'_>) -> Vec<Problem> {
    let tree = match read(expected.format, text) {
        Ok(tree) => tree,
        Err(problems) => return problems,
    };
    // Formats in which every value is a text.
    let untyped = matches!(expected.format, FileFormat::Dotenv | FileFormat::Properties | FileFormat::Ini);
    let mut problems: Vec<Problem> = expected.required.iter().filter_map(|key| required(&tree, key, untyped)).collect();
    problems.extend(twice(&tree));
    if let Some(schema) = expected.schema {
        problems.extend(schema.check(&tree, untyped));
    }
    if let Some(variables) = expected.variables {
        problems.extend(placeholders(text, &tree, variables));
    }
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
    problems
}

/// Keys that are there more than once: the later one counts, and the other misleads.
fn twice(tree: &Node) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut left = vec![tree];
    while let Some(node) = left.pop() {
        match &node.value {
            Value::List(nodes) => left.extend(nodes),
            Value::Table(entries) => {
                let mut seen = BTreeSet::new();
                for entry in entries {
                    if !seen.insert(entry.key.as_str()) {
                        let message = format!("{:?} is here a second time; this one counts", entry.key);
                        let problem = Problem::new("key-twice", entry.key_span.clone(), message, "keep one of the two");
                        problems.push(Problem { warning: true, ..problem });
                    }
                    left.push(&entry.node);
                }
            }
            _ => {}
        }
    }
    problems
}

/// Refuses a key that is not there, is null, or is not of its type. An empty text is a value like any other where there
/// is null beside it; where every value is a text, to leave it empty is the only way to write none.
fn required(tree: &Node, key: &RequiredKey, untyped: bool) -> Option<Problem> {
    let path = &key.path;
    let node = match tree.find(path) {
        Found::Node(node) => node,
        Found::Missing { reached, missing, at } => return Some(missing_key(path, &reached, &missing, at)),
    };
    let example = key.kind.map_or("a value", ValueType::example);
    match &node.value {
        Value::Null => {
            let message = format!("{path} is required, and is null");
            Some(Problem::new("key-null", node.span.clone(), message, format!("give it {example}")))
        }
        Value::Text(text)
            if text.trim().is_empty() && (untyped || key.kind.is_some_and(|kind| kind != ValueType::String)) =>
        {
            let message = format!("{path} is required, and is empty");
            Some(Problem::new("key-empty", node.span.clone(), message, format!("give it {example}")))
        }
        // A placeholder is not yet what it will be.
        Value::Text(text) if text.contains("${") => None,
        value => {
            let kind = key.kind.filter(|kind| !kind.fits(value))?;
            let message = format!("{path} must be {}, and is {}", kind.name(), value.kind());
            Some(Problem::new("key-type", node.span.clone(), message, format!("write {example}")))
        }
    }
}

fn missing_key(path: &str, reached: &str, missing: &str, at: &Node) -> Problem {
    let below = if reached.is_empty() { String::new() } else { format!(" below {reached}") };
    let hint = match (&at.value, suggest::closest(missing, at.keys())) {
        (_, Some(near)) => format!("there is {near:?}{below}: is it misspelt?"),
        (Value::Table(entries), None) if entries.is_empty() && reached.is_empty() => "the file is empty".to_owned(),
        (Value::Table(_) | Value::Null, None) => format!("write {missing}{below}"),
        (value, None) => format!("{reached} is {}", value.kind()),
    };
    let span = match at.value {
        // The whole of the file says nothing as a place.
        _ if reached.is_empty() => 0..0,
        _ => at.span.start..at.span.start,
    };
    Problem::new("key-missing", span, format!("{path} is required, and is not there"), hint)
}

/// Placeholders `${NAME}` in values, whose variable is not set. One with a default (`${NAME:-x}`, `${NAME:x}`) needs
/// none; names with a dot are of the program's own; `$$` is no placeholder.
fn placeholders(text: &str, tree: &Node, variables: &dyn Variables) -> Vec<Problem> {
    let own: Vec<&str> = tree.keys().collect();
    let mut problems = Vec::new();
    for (path, node) in tree.leaves() {
        let Value::Text(value) = &node.value else { continue };
        for name in names(value) {
            if variables.has(name) || own.contains(&name) {
                continue;
            }
            let written = format!("${{{name}}}");
            let source = text.get(node.span.clone()).unwrap_or_default();
            let span = match source.find(&written) {
                Some(at) => node.span.start + at..node.span.start + at + written.len(),
                None => node.span.clone(),
            };
            let hint = match variables.near(name) {
                Some(near) => format!("{near} is set: is it misspelt?"),
                None => format!("set {name}, or write ${{{name}:-DEFAULT}} if the program knows defaults"),
            };
            let message = format!("{path} needs the variable {name}, which is not set");
            problems.push(Problem::new("placeholder-undefined", span, message, hint));
        }
    }
    problems
}

fn names(value: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with(['$', '\\']);
        let after = &rest[at + 2..];
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, tail) = after.split_at(end);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !escaped && is_name && tail.starts_with('}') && !names.contains(&name) {
            names.push(name);
        }
        rest = after;
    }
    names
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Variables of these names.
    #[derive(Debug)]
    pub struct Named(pub &'static [&'static str]);

    impl Variables for Named {
        fn has(&self, name: &str) -> bool {
            self.0.contains(&name)
        }

        fn near(&self, name: &str) -> Option<String> {
            suggest::closest(name, self.0.iter().copied()).map(str::to_owned)
        }
    }

    fn problems(text: &str, required: &[(&str, Option<ValueType>)]) -> Vec<(usize, &'static str, String, String)> {
        problems_of(FileFormat::Yaml, text, required)
    }

    fn problems_of(
        format: FileFormat,
        text: &str,
        required: &[(&str, Option<ValueType>)],
    ) -> Vec<(usize, &'static str, String, String)> {
        let required: Vec<RequiredKey> =
            required.iter().map(|(path, kind)| RequiredKey { path: (*path).to_owned(), kind: *kind }).collect();
        let expected =
            Expected { format, required: &required, schema: None, variables: Some(&Named(&["DB_HOST", "HOME"])) };
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        check(text, &expected).into_iter().map(|p| (line(p.span.start), p.code, p.message, p.hint)).collect()
    }

    #[test]
    fn required_keys_are_there_and_not_null() {
        let text = "database:\n  hots: x\n  port: null\n  user: ''\n  name: shop\n";
        let found = problems(
            text,
            &[
                ("database.host", None),
                ("database.port", None),
                ("database.user", None),
                ("database.name", None),
                ("cache", None),
            ],
        );
        let codes: Vec<_> = found.iter().map(|(line, code, ..)| (*line, *code)).collect();
        assert_eq!(codes, [(1, "key-missing"), (2, "key-missing"), (3, "key-null")]);
        assert_eq!(found[1].2, "database.host is required, and is not there");
        assert_eq!(found[1].3, "there is \"hots\" below database: is it misspelt?");
        assert_eq!(problems("database: x\n", &[("database.host", None)])[0].3, "database is a text");
    }

    #[test]
    fn an_empty_text_is_none_only_where_there_is_no_null() {
        let typed = [
            (FileFormat::Yaml, "a: ''\n"),
            (FileFormat::Yaml, "a: ' '\n"),
            (FileFormat::Json, "{\"a\": \"\"}"),
            (FileFormat::Toml, "a = \"\"\n"),
        ];
        for (format, text) in typed {
            assert_eq!(problems_of(format, text, &[("a", None)]), [], "{text}");
            assert_eq!(problems_of(format, text, &[("a", Some(ValueType::String))]), [], "{text}");
            let found = problems_of(format, text, &[("a", Some(ValueType::Port))]);
            assert_eq!((found.len(), found[0].1), (1, "key-empty"), "{text}");
        }
        for (format, text) in [
            (FileFormat::Dotenv, "a=\n"),
            (FileFormat::Dotenv, "a=\"\"\n"),
            (FileFormat::Properties, "a=\n"),
            (FileFormat::Ini, "a =\n"),
        ] {
            let found = problems_of(format, text, &[("a", None)]);
            assert_eq!((found.len(), found[0].1), (1, "key-empty"), "{text}");
        }
    }

    #[test]
    fn types_are_told_with_an_example() {
        let text = "port: 70000\nurl: nowhere\nflag: 1\nhost: ${DB_HOST}\n";
        let found = problems(
            text,
            &[
                ("port", Some(ValueType::Port)),
                ("url", Some(ValueType::Url)),
                ("flag", Some(ValueType::Boolean)),
                ("host", Some(ValueType::Port)),
            ],
        );
        let messages: Vec<_> = found.iter().map(|(_, _, message, _)| message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "port must be a port, and is a number",
                "url must be a URL, and is a text",
                "flag must be a boolean, and is a number",
            ]
        );
    }

    #[test]
    fn placeholders_must_be_defined() {
        let text = "a: x${DB_HOST}/${DB_HOTS}\nb: ${MISSING:-x} ${OTHER:y} $${ESCAPED} ${spring.name}\n# ${COMMENT}\nc: ${GONE}\n";
        let found = problems(text, &[]);
        let told: Vec<_> =
            found.iter().map(|(line, _, message, hint)| (*line, message.as_str(), hint.as_str())).collect();
        assert_eq!(
            told,
            [
                (1, "a needs the variable DB_HOTS, which is not set", "DB_HOST is set: is it misspelt?"),
                (
                    4,
                    "c needs the variable GONE, which is not set",
                    "set GONE, or write ${GONE:-DEFAULT} if the program knows defaults"
                ),
            ]
        );
    }
}
