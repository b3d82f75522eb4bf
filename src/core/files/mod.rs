//! Files that a service reads, looked into before it is started: whether they can be read as what they are, and whether
//! what must be in them is there. Every problem has its place.
//!
//! - [`tree`]: what all formats come down to, with places;
//! - a file for each format;
//! - [`check`]: required keys, their types, placeholders;
//! - [`schema`]: JSON Schema;
//! - [`variables`]: the same for the environment.

pub mod check;
pub mod ini;
pub mod json;
pub mod schema;
pub mod toml;
pub mod tree;
pub mod variables;
pub mod yaml;

use super::config::dotenv;
use super::settings::FileFormat;
use tree::{Entry, Node, Value};

/// Something that is wrong in a file, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A short word for it, for machines: `key-missing`.
    pub code: &'static str,
    /// What it is about, in bytes of the text.
    pub span: std::ops::Range<usize>,
    /// What is wrong; no final period.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Whether the service could be started for all that.
    pub warning: bool,
}

impl Problem {
    /// A problem at this place.
    pub fn new(
        code: &'static str,
        span: std::ops::Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        Problem { code, span, message: message.into(), hint: hint.into(), warning: false }
    }

    /// The file cannot be read as what it is.
    pub fn syntax(span: std::ops::Range<usize>, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem::new("file-syntax", span, message, hint)
    }
}

/// No tree is deeper: what is, is refused.
const DEEPEST: usize = 100;
/// No tree has more nodes, however much its aliases stand for.
const MOST_NODES: usize = 200_000;

impl FileFormat {
    /// The format that a file's name stands for: its ending, or `.env` and what begins so.
    pub fn of(name: &str) -> Option<FileFormat> {
        let name = name.rsplit('/').next().unwrap_or(name);
        if name == ".env" || name.starts_with(".env.") {
            return Some(FileFormat::Dotenv);
        }
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(FileFormat::Yaml),
            "json" => Some(FileFormat::Json),
            "toml" => Some(FileFormat::Toml),
            "env" => Some(FileFormat::Dotenv),
            "properties" => Some(FileFormat::Properties),
            "ini" | "cfg" => Some(FileFormat::Ini),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            FileFormat::Yaml => "YAML",
            FileFormat::Json => "JSON",
            FileFormat::Toml => "TOML",
            FileFormat::Dotenv => ".env",
            FileFormat::Properties => "properties",
            FileFormat::Ini => "INI",
        }
    }
}

/// Reads a text as what it is.
///
/// # Errors
/// Everything that is wrong with its syntax, as far as the format's parser tells.
pub fn read(format: FileFormat, text: &str) -> Result<Node, Vec<Problem>> {
    match format {
        FileFormat::Yaml => yaml::read(text),
        FileFormat::Json => json::read(text),
        FileFormat::Toml => toml::read(text),
        FileFormat::Dotenv => read_dotenv(text),
        FileFormat::Properties => Ok(ini::read_properties(text)),
        FileFormat::Ini => ini::read(text),
    }
}

fn read_dotenv(text: &str) -> Result<Node, Vec<Problem>> {
    let entries = dotenv::parse_placed(text).map_err(|errors| {
        let place = |line: usize| tree::line_span(text, line);
        let problem =
            |error: &dotenv::DotenvError| Problem::syntax(place(error.line), error.message.clone(), error.hint);
        errors.iter().map(problem).collect::<Vec<_>>()
    })?;
    let entry = |entry: dotenv::Placed| Entry {
        key: entry.name,
        key_span: entry.span.clone(),
        node: Node { span: entry.span, value: Value::Text(entry.value) },
    };
    Ok(Node { span: 0..text.len(), value: Value::Table(entries.into_iter().map(entry).collect()) })
}
