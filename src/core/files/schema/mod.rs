//! JSON Schema for the files of a service: every violation at its place, in words for people. The schema's own text and
//! those it refers to are handed in; nothing is fetched.
//!
//! - `value`: from trees with places to what is judged, and back;
//! - `source`: the texts;
//! - `wrong`: a schema that cannot be used;
//! - `tell`, `words`: what a violation is to a person.

mod source;
mod tell;
mod value;
mod words;
mod wrong;

use std::path::Path;
use std::rc::Rc;

use boon::{Compiler, ErrorKind, Format, InstanceToken, SchemaIndex, Schemas, ValidationError};

use super::Problem;
use super::tree::Node;
use source::Library;
pub use source::Source;
use tell::Telling;
pub use wrong::Wrong;

/// A schema that files are judged by.
pub struct Schema {
    compiled: Schemas,
    index: SchemaIndex,
    library: Library,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schema").field("library", &self.library).finish_non_exhaustive()
    }
}

impl Schema {
    /// The schema in the file at this absolute path, which is called `shown`: JSON, or YAML or TOML by its name. Without
    /// `$schema` it is of the draft 2020-12. As that says, `format` is looked at in drafts up to 7.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn of(path: &Path, shown: &str, source: Rc<dyn Source>) -> Result<Schema, Vec<Wrong>> {
        let library = Library::new(path, shown, source);
        let Some(url) = source::url_of(path) else {
            return Err(vec![Wrong::nowhere("schema-invalid", format!("{shown} is no path from the root"))]);
        };
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(library.clone()));
        for name in ["idn-hostname", "idn-email"] {
            // What may be in these is a matter of tables that are larger than all of this.
            compiler.register_format(Format { name, func: |_| Ok(()) });
        }
        let mut compiled = Schemas::new();
        match compiler.compile(&url, &mut compiled) {
            Ok(index) => Ok(Schema { compiled, index, library }),
            Err(error) => Err(wrong::told(&error, &library, shown)),
        }
    }

    /// Everything in which the tree is not as the schema says. In a format without types (`untyped`) a text counts as
    /// what it reads as, where the schema asks for that.
    pub fn check(&self, tree: &Node, untyped: bool) -> Vec<Problem> {
        let mut value = value::plain(tree);
        loop {
            let Err(error) = self.compiled.validate(&value, self.index) else { return Vec::new() };
            let changes = if untyped { read_otherwise(&error, &value) } else { Vec::new() };
            if changes.is_empty() {
                let mut telling = Telling::new("schema-violated", tree, &value, &self.library);
                telling.tell(&error);
                return telling.problems;
            }
            drop(error);
            for (way, change) in changes {
                if let Some(place) = value::at(&mut value, &way) {
                    *place = change;
                }
            }
        }
    }
}

/// A place in a value, and what stands there.
type Change = (Vec<InstanceToken<'static>>, serde_json::Value);

/// The texts that are not of a wanted type and read as one: each is read otherwise once, so that this has an end.
fn read_otherwise(error: &ValidationError<'_, '_>, value: &serde_json::Value) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut left = vec![error];
    while let Some(error) = left.pop() {
        left.extend(&error.causes);
        let way = &error.instance_location.tokens;
        let text = || text_at(value, way);
        let read = match &error.kind {
            ErrorKind::Type { want, .. } => text().and_then(|text| value::read_as(text, *want)),
            ErrorKind::Enum { want } => text().and_then(|text| same_as_text(text, want)),
            ErrorKind::Const { want } => text().and_then(|text| same_as_text(text, std::slice::from_ref(want))),
            _ => None,
        };
        if let Some(read) = read {
            changes.push((way.iter().map(owned).collect(), read));
        }
    }
    changes
}

fn owned(token: &InstanceToken<'_>) -> InstanceToken<'static> {
    match token {
        InstanceToken::Prop(name) => InstanceToken::Prop(name.to_string().into()),
        InstanceToken::Item(index) => InstanceToken::Item(*index),
    }
}

/// The number or boolean that is written as this text is.
fn same_as_text(text: &str, wanted: &[serde_json::Value]) -> Option<serde_json::Value> {
    let read: serde_json::Value = serde_json::from_str(text).ok()?;
    let kept = |value: &&serde_json::Value| (value.is_number() || value.is_boolean()) && **value == read;
    wanted.iter().find(kept).cloned()
}

/// The text at the end of a way, if one is there.
fn text_at<'v>(value: &'v serde_json::Value, way: &[InstanceToken<'_>]) -> Option<&'v str> {
    let found = way.iter().try_fold(value, |value, token| match token {
        InstanceToken::Prop(name) => value.get(name.as_ref()),
        InstanceToken::Item(index) => value.get(index),
    });
    found?.as_str()
}

#[cfg(test)]
mod tests;
