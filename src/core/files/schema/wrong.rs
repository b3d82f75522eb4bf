//! A schema that cannot be used: why, and where in it.

use std::rc::Rc;

use boon::CompileError;

use super::source::{Document, Library, Unavailable};
use super::tell::Telling;
use crate::core::files::Problem;
use crate::core::files::tree::{Node, Value};

/// Something that is wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The file it is in, with its text; `None` when it is not in a file.
    pub place: Option<(String, String)>,
    /// What it is.
    pub problem: Problem,
}

impl Wrong {
    /// Something that is in no file.
    pub fn nowhere(code: &'static str, message: impl Into<String>) -> Wrong {
        Wrong { place: None, problem: Problem::new(code, 0..0, message, "correct schema, or take it out") }
    }

    fn within(document: &Document, problem: Problem) -> Wrong {
        Wrong { place: Some((document.shown.clone(), document.text.clone())), problem }
    }
}

/// Everything that is wrong with a schema, whose own file is called `shown`.
pub fn told(error: &CompileError, library: &Library, shown: &str) -> Vec<Wrong> {
    match error {
        CompileError::LoadUrlError { url, src } => match src.downcast_ref::<Unavailable>() {
            Some(why) => unavailable(url, why, library, shown),
            None => vec![generally(error, library, shown)],
        },
        CompileError::ValidationError { url, src } => match library.document(url) {
            Some(document) => against_its_draft(&document, src, library),
            None => vec![generally(error, library, shown)],
        },
        _ => vec![generally(error, library, shown)],
    }
}

fn unavailable(url: &str, why: &Unavailable, library: &Library, shown: &str) -> Vec<Wrong> {
    let reference = reference(library, |text| leads_to(text, url));
    match (why, reference) {
        (Unavailable::Syntax { shown, text, problems }, _) => {
            let place = Some((shown.clone(), text.clone()));
            let of_schema = |problem: &Problem| Problem { code: "schema-syntax", ..problem.clone() };
            problems.iter().map(|problem| Wrong { place: place.clone(), problem: of_schema(problem) }).collect()
        }
        (Unavailable::Remote, Some((document, span))) => {
            let message = format!("the schema is in part at {url}, and launcher fetches nothing");
            let hint = "put a copy beside the schema, and refer to it by its name";
            vec![Wrong::within(&document, Problem::new("schema-remote", span, message, hint))]
        }
        (Unavailable::Remote, None) => {
            let message = format!("the schema {shown} is in part at {url}, and launcher fetches nothing");
            vec![Wrong::nowhere("schema-remote", message)]
        }
        (Unavailable::Unreadable(code, why), Some((document, span))) if library.document(url).is_none() => {
            let message = format!("the schema refers to a file that cannot be had: {why}");
            let hint = "correct the reference, or put the file there";
            vec![Wrong::within(&document, Problem::new(code, span, message, hint))]
        }
        (Unavailable::Unreadable(code, why), _) => vec![Wrong::nowhere(code, why.clone())],
    }
}

/// What its draft says that a schema must be, and it is not.
fn against_its_draft(
    document: &Rc<Document>,
    error: &boon::ValidationError<'static, 'static>,
    library: &Library,
) -> Vec<Wrong> {
    let mut telling = Telling::new("schema-invalid", &document.tree, &document.value, library);
    telling.tell(error);
    let mut problems = telling.problems;
    problems.sort_by_key(|problem| (problem.span.start, problem.span.end));
    if problems.is_empty() {
        problems.push(Problem::new("schema-invalid", 0..0, "it is not as its draft says", "look at its $schema"));
    }
    let invalid = |problem: Problem| {
        let message = format!("this is not a valid JSON Schema: {}", problem.message);
        Wrong::within(document, Problem { message, ..problem })
    };
    problems.into_iter().map(invalid).collect()
}

/// All the rest: a reference into nothing, two parts of one name, a draft that is not known.
fn generally(error: &CompileError, library: &Library, shown: &str) -> Wrong {
    let target = match error {
        CompileError::JsonPointerNotFound(url) | CompileError::InvalidJsonPointer(url) => Some(url.clone()),
        CompileError::AnchorNotFound { reference, .. } => Some(reference.clone()),
        CompileError::UnsupportedDraft { url } | CompileError::MetaSchemaCycle { url } => Some(url.clone()),
        _ => None,
    };
    let message = match (error, &target) {
        (CompileError::JsonPointerNotFound(_) | CompileError::AnchorNotFound { .. }, Some(target)) => {
            let part = target.split_once('#').map_or(target.as_str(), |(_, part)| part);
            format!("the schema refers to #{part}, which is not there")
        }
        (CompileError::UnsupportedDraft { url }, _) => {
            format!("{url} is no known draft of JSON Schema: they are 4, 6, 7, 2019-09 and 2020-12")
        }
        _ => format!("this is not a valid JSON Schema: {error:#}"),
    };
    let place = target.and_then(|target| {
        let fragment = target.split_once('#').map(|(_, fragment)| fragment.to_owned());
        reference(library, |text| match (&fragment, text.split_once('#')) {
            (Some(fragment), Some((_, of))) => of == fragment,
            (None, _) => text == target || leads_to(text, &target),
            _ => false,
        })
    });
    match place {
        Some((document, span)) => {
            Wrong::within(&document, Problem::new("schema-invalid", span, message, "correct the reference"))
        }
        None => Wrong::nowhere("schema-invalid", format!("{shown}: {message}")),
    }
}

/// Where a schema refers to what fits.
fn reference(library: &Library, fits: impl Fn(&str) -> bool) -> Option<(Rc<Document>, std::ops::Range<usize>)> {
    const REFERENCES: [&str; 4] = ["$ref", "$schema", "$dynamicRef", "$recursiveRef"];
    library.documents().into_iter().find_map(|document| {
        let mut left: Vec<&Node> = vec![&document.tree];
        let mut found = None;
        while let Some(node) = left.pop() {
            match &node.value {
                Value::List(nodes) => left.extend(nodes),
                Value::Table(entries) => {
                    for entry in entries {
                        left.push(&entry.node);
                        if let (true, Value::Text(text)) = (REFERENCES.contains(&entry.key.as_str()), &entry.node.value)
                            && fits(text)
                        {
                            found = Some(entry.node.span.clone());
                        }
                    }
                }
                _ => {}
            }
        }
        found.map(|span| (document.clone(), span))
    })
}

/// Whether a reference is one to this URL, as far as its text tells.
fn leads_to(text: &str, url: &str) -> bool {
    let file = text.split('#').next().unwrap_or(text).trim_start_matches("./").trim_start_matches("../");
    !file.is_empty() && url.ends_with(file)
}
