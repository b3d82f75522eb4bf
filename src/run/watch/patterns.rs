//! Which files belong to a service, by its patterns.

use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::Subject;

/// What editors write beside the file that is edited (vim, Emacs, GNOME, JetBrains).
const SCRATCH: &[&str] = &["4913", "*~", ".*.sw?", ".#*", "#*#", ".goutputstream-*", "*___jb_tmp___", "*___jb_old___"];

/// The patterns of one service.
pub struct Patterns {
    folder: PathBuf,
    wanted: GlobSet,
    unwanted: GlobSet,
    scratch: GlobSet,
    /// Files that are named in full: they are watched whatever git ignores.
    named: Vec<PathBuf>,
    /// Where to look for files.
    pub roots: Vec<Root>,
    except: Option<PathBuf>,
}

/// A folder in which files are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its path.
    pub path: PathBuf,
    /// Whether the folders in it belong to it.
    pub deep: bool,
}

impl Patterns {
    /// The patterns of this service, whose text was checked when the file was read.
    pub fn new(subject: &Subject) -> Patterns {
        let here = std::env::current_dir().unwrap_or_default();
        let folder = normal(&here.join(&subject.settings.folder));
        let mut patterns = Patterns {
            wanted: GlobSet::empty(),
            unwanted: GlobSet::empty(),
            scratch: set(SCRATCH.iter().filter_map(|glob| Glob::new(glob).ok())),
            named: Vec::new(),
            roots: Vec::new(),
            except: subject.except.as_ref().map(|path| normal(&here.join(path))),
            folder,
        };
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for text in &subject.settings.patterns {
            match text.strip_prefix('!') {
                Some(text) => unwanted.extend(patterns.globs(text)),
                None => {
                    wanted.extend(patterns.globs(text));
                    patterns.look_in(text);
                }
            }
        }
        for file in &subject.files {
            patterns.name(normal(&here.join(file)));
        }
        patterns.wanted = set(wanted.into_iter());
        patterns.unwanted = set(unwanted.into_iter());
        patterns
    }

    /// Whether the patterns say that it belongs to the service.
    pub fn matches(&self, path: &Path) -> bool {
        let own = self.except.as_ref().is_some_and(|except| path.starts_with(except));
        let scratch = path.file_name().is_some_and(|name| self.scratch.is_match(name));
        let wanted = self.named.iter().any(|named| named == path) || self.wanted.is_match(path);
        wanted && !own && !scratch && !self.unwanted.is_match(path)
    }

    /// Whether it is named in full.
    pub fn names(&self, path: &Path) -> bool {
        self.named.iter().any(|named| path.starts_with(named))
    }

    /// The path as it is seen from the folder.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }

    /// What a pattern stands for: a folder stands for all that is in it.
    fn globs(&self, text: &str) -> impl Iterator<Item = Glob> + use<> {
        let (base, rest) = self.split(text);
        let base = globset::escape(&base.to_string_lossy());
        let whole = if rest.is_empty() { base } else { format!("{}/{rest}", base.trim_end_matches('/')) };
        let below = format!("{whole}/**");
        let globs = [whole, below];
        globs.into_iter().filter_map(|glob| GlobBuilder::new(&glob).literal_separator(true).build().ok())
    }

    fn look_in(&mut self, text: &str) {
        let (base, rest) = self.split(text);
        if rest.is_empty() {
            self.name(base);
        } else {
            // A pattern of names alone may also match a folder, which stands for what is in it.
            self.roots.push(Root { path: base, deep: true });
        }
    }

    fn name(&mut self, path: PathBuf) {
        if let Some(parent) = path.parent() {
            self.roots.push(Root { path: parent.to_owned(), deep: false });
        }
        self.roots.push(Root { path: path.clone(), deep: true });
        self.named.push(path);
    }

    /// The folders before the first name that is a pattern, and the rest.
    fn split(&self, text: &str) -> (PathBuf, String) {
        let is_pattern = |name: &str| name.contains(['*', '?', '[', '{', '\\']);
        let names: Vec<&str> = text.split('/').collect();
        let first = names.iter().position(|name| is_pattern(name)).unwrap_or(names.len());
        let mut base = self.folder.clone();
        if text.starts_with('/') {
            base = PathBuf::from("/");
        }
        base.extend(names[..first].iter().filter(|name| !name.is_empty()));
        (normal(&base), names[first..].join("/"))
    }
}

fn set(globs: impl Iterator<Item = Glob>) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob);
    }
    builder.build().unwrap_or_else(|_| GlobSet::empty())
}

/// The path without `.` and `..`, as it is written: links are not followed.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}
