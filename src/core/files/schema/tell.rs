//! From the violations that the judge tells to problems at their places: of alternatives the one that was meant.

use std::ops::Range;

use boon::{ErrorKind, InstanceToken, Type, Types, ValidationError};

use super::source::Library;
use super::words::Given;
use super::{text_at, value, words};
use crate::core::config::suggest;
use crate::core::files::Problem;
use crate::core::files::tree::{Node, Value};

/// Violations put into words.
pub struct Telling<'a> {
    code: &'static str,
    tree: &'a Node,
    value: &'a serde_json::Value,
    library: &'a Library,
    /// What was told.
    pub problems: Vec<Problem>,
}

impl<'a> Telling<'a> {
    /// About a tree, and the value that was judged; `library` has the schema's own words.
    pub fn new(code: &'static str, tree: &'a Node, value: &'a serde_json::Value, library: &'a Library) -> Telling<'a> {
        Telling { code, tree, value, library, problems: Vec::new() }
    }

    /// Tells a violation and what is in it.
    pub fn tell(&mut self, error: &ValidationError<'_, '_>) {
        if self.is_yet_to_be(error) {
            return;
        }
        match &error.kind {
            ErrorKind::Schema { .. } | ErrorKind::Group | ErrorKind::Reference { .. } | ErrorKind::AllOf => {
                error.causes.iter().for_each(|cause| self.tell(cause));
            }
            ErrorKind::AnyOf | ErrorKind::OneOf(None) => self.tell_alternatives(error),
            ErrorKind::Required { want } => want.iter().for_each(|key| self.tell_missing(error, key, None)),
            ErrorKind::Dependency { prop, missing } | ErrorKind::DependentRequired { prop, missing } => {
                missing.iter().for_each(|key| self.tell_missing(error, key, Some(prop)));
            }
            ErrorKind::PropertyName { prop } => self.tell_key(error, prop),
            ErrorKind::AdditionalProperties { got } => got.iter().for_each(|key| self.tell_unknown(error, key)),
            ErrorKind::FalseSchema => match error.instance_location.tokens.split_last() {
                Some((InstanceToken::Prop(key), above)) => self.tell_unknown_at(error, above, key),
                _ => self.tell_one(error),
            },
            _ => self.tell_one(error),
        }
    }

    /// Whether it is about a placeholder alone, which is not yet what it will be.
    fn is_yet_to_be(&self, error: &ValidationError<'_, '_>) -> bool {
        match &error.kind {
            ErrorKind::Schema { .. } | ErrorKind::Group | ErrorKind::Reference { .. } | ErrorKind::AllOf => {
                !error.causes.is_empty() && error.causes.iter().all(|cause| self.is_yet_to_be(cause))
            }
            ErrorKind::AnyOf | ErrorKind::OneOf(None) => error.causes.iter().any(|cause| self.is_yet_to_be(cause)),
            _ => text_at(self.value, &error.instance_location.tokens).is_some_and(|text| text.contains("${")),
        }
    }

    fn tell_alternatives(&mut self, error: &ValidationError<'_, '_>) {
        let here = error.instance_location.tokens.len();
        let meant: Vec<_> = error.causes.iter().filter(|cause| other_type(cause, here).is_none()).collect();
        let chosen: Vec<_> = meant.iter().filter(|cause| !is_other_choice(cause, here)).copied().collect();
        if let ([one], _) | (_, [one]) = (&meant[..], &chosen[..]) {
            return self.tell(one);
        }
        if meant.is_empty() {
            let wanted = error.causes.iter().filter_map(|cause| other_type(cause, here));
            let wanted: Types = wanted.flat_map(|types| types.iter().collect::<Vec<_>>()).collect();
            let message = words::type_message(&self.name(error), wanted, self.got(error));
            let hint = self.hint(error, &[]).unwrap_or_else(|| words::example(wanted));
            return self.push(self.span(error), message, hint);
        }
        let mut reasons = Vec::new();
        for cause in &meant {
            let mut inner = Telling::new(self.code, self.tree, self.value, self.library);
            inner.tell(cause);
            reasons.extend(inner.problems.into_iter().next().map(|problem| problem.message));
        }
        reasons.dedup();
        let message = format!("{} has none of the {} forms that it may have", self.name(error), error.causes.len());
        self.push(self.span(error), message, format!("mend one of these: {}", reasons.join("; or ")));
    }

    fn tell_missing(&mut self, error: &ValidationError<'_, '_>, key: &str, beside: Option<&str>) {
        let way = &error.instance_location.tokens;
        let (node, _) = value::locate(self.tree, way);
        let span = if way.is_empty() { 0..0 } else { node.span.start..node.span.start };
        let path = below(way, key);
        let beside = beside.map(|beside| format!(" beside {}", below(way, beside))).unwrap_or_default();
        let message = format!("{path} is required{beside}, and is not there");
        let near = suggest::closest(key, node.keys()).map(|near| {
            let below = if way.is_empty() { String::new() } else { format!(" below {}", value::path(way)) };
            format!("there is {near:?}{below}: is it misspelt?")
        });
        let hint = near.or_else(|| self.hint(error, &["properties", key]));
        self.push(span, message, hint.unwrap_or_else(|| format!("write {path}")));
    }

    fn tell_unknown(&mut self, error: &ValidationError<'_, '_>, key: &str) {
        self.tell_unknown_at(error, &error.instance_location.tokens, key);
    }

    fn tell_unknown_at(&mut self, error: &ValidationError<'_, '_>, above: &[InstanceToken<'_>], key: &str) {
        let (table, _) = value::locate(self.tree, above);
        let span = value::entry(table, key).map_or(table.span.clone(), |entry| entry.key_span.clone());
        let known = self.part(error, &[]).and_then(|part| {
            let properties = part.get("properties")?.as_object()?;
            Some(properties.keys().cloned().collect::<Vec<_>>())
        });
        let known = known.unwrap_or_default();
        let unused = known.iter().map(String::as_str).filter(|known| value::entry(table, known).is_none());
        let hint = match suggest::closest(key, unused) {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.is_empty() => "take it out, or allow it in the schema".to_owned(),
            None => format!("what may be there: {}", words::listed(known.iter().map(String::as_str), 12)),
        };
        self.push(span, format!("{} is not allowed by the schema", below(above, key)), hint);
    }

    /// A key that cannot be one. The judge does not tell in which table: it is looked for.
    fn tell_key(&mut self, error: &ValidationError<'_, '_>, key: &str) {
        let (path, span) = value::find_key(self.tree, key).unwrap_or((String::new(), 0..0));
        let name = if path.is_empty() { "the whole file" } else { path.as_str() };
        let (message, _) = words::message(Given { name, kind: "a table", text: None }, error);
        let hint = self.hint(error, &["propertyNames"]).unwrap_or_else(|| self.see(error));
        self.push(span, message, hint);
    }

    fn tell_one(&mut self, error: &ValidationError<'_, '_>) {
        let (node, _) = value::locate(self.tree, &error.instance_location.tokens);
        let items = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => &[],
        };
        let item = |index: usize| items.get(index).map(|item| item.span.clone());
        let place = match &error.kind {
            ErrorKind::UniqueItems { got: [_, second] } => item(*second),
            ErrorKind::AdditionalItems { got } => item(items.len().saturating_sub(*got)),
            _ => None,
        };
        if let ErrorKind::MultipleOf { got, want } = &error.kind
            && words::is_multiple(&got.to_string(), &want.to_string())
        {
            // Divided as binary fractions they are none, as 19.99 and 0.01.
            return;
        }
        let name = self.name(error);
        let text = text_at(self.value, &error.instance_location.tokens);
        let (message, near) = words::message(Given { name: &name, kind: node.value.kind(), text }, error);
        let hint = near.or_else(|| self.hint(error, &[])).or_else(|| words::hint(&error.kind));
        let hint = hint.unwrap_or_else(|| self.see(error));
        self.push(place.unwrap_or(node.span.clone()), message, hint);
    }

    fn push(&mut self, span: Range<usize>, message: String, hint: String) {
        let problem = Problem::new(self.code, span, message, hint);
        // Two parts of a schema may ask for one thing.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn name(&self, error: &ValidationError<'_, '_>) -> String {
        match value::path(&error.instance_location.tokens) {
            whole if whole.is_empty() => "the whole file".to_owned(),
            path => path,
        }
    }

    fn span(&self, error: &ValidationError<'_, '_>) -> Range<usize> {
        value::locate(self.tree, &error.instance_location.tokens).0.span.clone()
    }

    fn got(&self, error: &ValidationError<'_, '_>) -> &'static str {
        value::locate(self.tree, &error.instance_location.tokens).0.value.kind()
    }

    /// A part of the schema, from the one that was violated on.
    fn part(&self, error: &ValidationError<'_, '_>, below: &[&str]) -> Option<serde_json::Value> {
        let document = self.library.document(error.schema_url)?;
        let fragment = error.schema_url.split_once('#').map_or("", |(_, fragment)| fragment);
        let part = value::pointed(&document.value, fragment)?;
        below.iter().try_fold(part, |part, key| part.get(key)).cloned()
    }

    /// What the schema itself says of it.
    fn hint(&self, error: &ValidationError<'_, '_>, below: &[&str]) -> Option<String> {
        let part = self.part(error, below)?;
        let said = ["description", "title"].into_iter().find_map(|key| part.get(key)?.as_str().map(str::to_owned))?;
        Some(format!("the schema says: {}", words::one_line(&said)))
    }

    /// Where the schema says so.
    fn see(&self, error: &ValidationError<'_, '_>) -> String {
        match (self.library.document(error.schema_url), error.schema_url.split_once('#')) {
            (Some(document), Some((_, ""))) | (Some(document), None) => format!("see {}", document.shown),
            (Some(document), Some((_, at))) => format!("see {} in {}", value::percent_decoded(at), document.shown),
            _ => "see https://json-schema.org/understanding-json-schema".to_owned(),
        }
    }
}

fn below(above: &[InstanceToken<'_>], key: &str) -> String {
    match value::path(above) {
        path if path.is_empty() => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// The types that were wanted, when an alternative is not met only for the type of the whole.
fn other_type(error: &ValidationError<'_, '_>, here: usize) -> Option<Types> {
    match (&error.kind, &error.causes[..]) {
        (ErrorKind::Type { want, .. }, _) if error.instance_location.tokens.len() == here => Some(*want),
        (ErrorKind::Schema { .. } | ErrorKind::Group | ErrorKind::Reference { .. } | ErrorKind::AllOf, [one]) => {
            other_type(one, here)
        }
        (ErrorKind::AnyOf | ErrorKind::OneOf(None), causes) => {
            let all: Option<Vec<Types>> = causes.iter().map(|cause| other_type(cause, here)).collect();
            Some(all?.iter().flat_map(|types| types.iter().collect::<Vec<Type>>()).collect())
        }
        _ => None,
    }
}

/// Whether an alternative is for another value of a key that chooses between them, as `kind: file`.
fn is_other_choice(error: &ValidationError<'_, '_>, here: usize) -> bool {
    match &error.kind {
        ErrorKind::Const { .. } | ErrorKind::Enum { .. } => error.instance_location.tokens.len() == here + 1,
        ErrorKind::AnyOf | ErrorKind::OneOf(_) => false,
        _ => error.causes.iter().any(|cause| is_other_choice(cause, here)),
    }
}
