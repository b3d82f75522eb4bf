//! launcher.toml: from its text to [`Settings`], or to all that is wrong with it.
//!
//! The file is read as a tree with places ([`toml::de::DeTable`]) and walked by hand, because serde stops at the first
//! error. Values go through the parsers of [`value`] and [`listen`], which the flags of the command line use as well.

pub mod check;
mod defaults;
pub mod dotenv;
pub mod error;
pub mod expand;
mod files;
pub mod keys;
pub mod listen;
mod log;
mod on_stop;
mod order;
mod ports;
mod process;
pub mod ready;
pub mod requirements;
pub mod select;
pub mod suggest;
mod syntax;
mod tables;
#[cfg(test)]
mod tests;
mod unclosed;
pub mod value;
mod walk;
mod watch;

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use defaults::FLAG_MAX_FAILURES;
pub use error::{ConfigError, ConfigErrors};
pub use expand::expand;
pub use select::select;

use crate::core::settings::{LauncherSettings, Settings};
use syntax::Syntax;
use tables::Draft;
use walk::{Walk, in_order};

/// What a file does not say about itself.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The folder the file is in: relative paths in it are seen from there, and services run there. Nothing (`""`)
    /// leaves paths as they are, which is right when the launcher itself runs in that folder.
    pub folder: &'a Path,
    /// The launcher's name when the file gives none, usually the folder's; made to fit by [`value::name_from`].
    pub name: &'a str,
}

/// Reads a launcher.toml. `file_name` is shown in errors as it is.
///
/// # Errors
/// All that is wrong with it, in the order of the file. Nothing in it is ignored: a key that is not known is an
/// error as well.
pub fn parse(file_name: &str, text: &str, context: Context<'_>) -> Result<Settings, ConfigErrors> {
    read(file_name, text, text, Syntax::default(), context)
}

/// Reads what is readable of a text: the text itself, or one with blanks in place of what is not.
fn read(
    file_name: &str,
    text: &str,
    readable: &str,
    mut syntax: Syntax,
    context: Context<'_>,
) -> Result<Settings, ConfigErrors> {
    let (document, broken) = DeTable::parse_recoverable(readable);
    if let Some(readable) = syntax.blanked(readable, &broken) {
        return read(file_name, text, &readable, syntax, context);
    }
    syntax.tell(readable, &broken);
    let mut walk = Walk::default();
    let settings = settings(&mut walk, document.get_ref(), context);
    let mut errors = walk.errors;
    errors.retain(|error| syntax.believes(error));
    errors.extend(syntax.errors);
    if errors.is_empty() { Ok(settings) } else { Err(ConfigErrors::new(file_name, text, errors)) }
}

/// As [`parse`], for the bytes of a file: what is not UTF-8 is one more thing that can be wrong with it.
pub fn parse_bytes(file_name: &str, bytes: &[u8], context: Context<'_>) -> Result<Settings, ConfigErrors> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(file_name, text, context),
        Err(error) => {
            let at = error.valid_up_to();
            let text = String::from_utf8_lossy(bytes);
            let error = ConfigError::new(at..at + 1, "this is not UTF-8", "save the file as UTF-8");
            Err(ConfigErrors::new(file_name, &text, vec![error]))
        }
    }
}

/// Walks the whole document.
fn settings(walk: &mut Walk, document: &DeTable<'_>, context: Context<'_>) -> Settings {
    let top = walk.table(0..0, document, "a file", keys::TOP);
    let mut launcher = LauncherSettings::new(value::name_from(context.name));
    if let Some(value) = top.get("launcher") {
        tables::launcher(walk, context.folder, value, &mut launcher);
    }
    let drafts = match top.get("service") {
        Some(value) => services(walk, value, context),
        None => {
            walk.missing(0..0, "there is no service", "write [service.NAME] and below it command = [\"./program\"]");
            Vec::new()
        }
    };
    check::services(walk, &drafts);
    let services = drafts.into_iter().map(|draft| draft.settings).collect();
    Settings { launcher, services, single_command: false }
}

/// Reads every `[service.NAME]`, in the order in which they were written.
fn services<'t>(walk: &mut Walk, value: &'t Spanned<DeValue<'t>>, context: Context<'_>) -> Vec<Draft> {
    let DeValue::Table(services) = value.get_ref() else {
        walk.wrong_type(value, "tables", "write [service.NAME], with a name of your choice");
        return Vec::new();
    };
    if services.is_empty() {
        walk.missing(
            value.span(),
            "there is no service",
            "write [service.NAME] and below it command = [\"./program\"]",
        );
    }
    let services = in_order(services);
    services.into_iter().filter_map(|(name, value)| tables::service(walk, context.folder, name, value)).collect()
}
