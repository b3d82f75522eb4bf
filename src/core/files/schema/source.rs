//! The texts of a schema: its own, and those of the files that it refers to. Nothing is fetched from elsewhere.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use boon::UrlLoader;

use super::value;
use crate::core::files::tree::Node;
use crate::core::files::{Problem, read};
use crate::core::settings::FileFormat;

/// Where texts come from: the reader of files, who lives elsewhere.
pub trait Source: fmt::Debug {
    /// The text of a file.
    ///
    /// # Errors
    /// Why it cannot be read, as a code and in words.
    fn read(&self, path: &Path) -> Result<String, (&'static str, String)>;
}

/// A file that is a schema, or a part of one.
#[derive(Debug)]
pub struct Document {
    /// How it is called.
    pub shown: String,
    /// Its text.
    pub text: String,
    /// What is in it, with places.
    pub tree: Node,
    /// The same without.
    pub value: serde_json::Value,
}

/// What cannot be had, and why.
#[derive(Debug)]
pub enum Unavailable {
    /// It is no file.
    Remote,
    /// It cannot be read: a code, and why.
    Unreadable(&'static str, String),
    /// It is a file, but not of any known form.
    Syntax { shown: String, text: String, problems: Vec<Problem> },
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Remote => f.write_str("it is not a file"),
            Unavailable::Unreadable(_, why) => f.write_str(why),
            Unavailable::Syntax { shown, .. } => write!(f, "{shown} cannot be read"),
        }
    }
}

impl Error for Unavailable {}

/// All documents of one schema, by their URLs.
#[derive(Debug, Clone)]
pub struct Library {
    source: Rc<dyn Source>,
    /// The schema's own file, and how it is called.
    own: (PathBuf, String),
    documents: Rc<RefCell<BTreeMap<String, Rc<Document>>>>,
}

impl Library {
    /// One without documents yet.
    pub fn new(own: &Path, shown: &str, source: Rc<dyn Source>) -> Library {
        Library { source, own: (own.to_owned(), shown.to_owned()), documents: Rc::default() }
    }

    /// The document of this URL, if it was asked for.
    pub fn document(&self, url: &str) -> Option<Rc<Document>> {
        self.documents.borrow().get(url.split('#').next().unwrap_or(url)).cloned()
    }

    /// All that were asked for.
    pub fn documents(&self) -> Vec<Rc<Document>> {
        self.documents.borrow().values().cloned().collect()
    }

    fn look(&self, url: &str) -> Result<serde_json::Value, Unavailable> {
        let path = path_of(url).ok_or(Unavailable::Remote)?;
        let text = self.source.read(&path).map_err(|(code, why)| Unavailable::Unreadable(code, why))?;
        let shown = if path == self.own.0 { self.own.1.clone() } else { path.display().to_string() };
        let format = match FileFormat::of(&shown) {
            Some(format @ (FileFormat::Yaml | FileFormat::Toml)) => format,
            _ => FileFormat::Json,
        };
        let tree = match read(format, &text) {
            Ok(tree) => tree,
            Err(problems) => return Err(Unavailable::Syntax { shown, text, problems }),
        };
        let value = value::plain(&tree);
        let document = Document { shown, text, tree, value: value.clone() };
        self.documents.borrow_mut().insert(url.to_owned(), Rc::new(document));
        Ok(value)
    }
}

impl UrlLoader for Library {
    fn load(&self, url: &str) -> Result<serde_json::Value, Box<dyn Error>> {
        self.look(url).map_err(Into::into)
    }
}

/// The URL of an absolute path.
pub fn url_of(path: &Path) -> Option<String> {
    url::Url::from_file_path(path).ok().map(String::from)
}

/// The path of a URL of this host.
fn path_of(url: &str) -> Option<PathBuf> {
    let url = url::Url::parse(url).ok()?;
    if url.scheme() == "file" { url.to_file_path().ok() } else { None }
}
