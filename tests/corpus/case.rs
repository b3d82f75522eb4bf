//! One program and what is expected of it: `programs/NAME.EXT` and `programs/NAME.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Names another folder of programs, for `score-all --from FOLDER`.
pub const FOLDER: &str = "LAUNCHER_CORPUS";

/// One program of the corpus.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its file's name without the ending: `python-connect-full`.
    pub name: String,
    /// Its source; a script is run as it is.
    pub source: PathBuf,
    /// What is expected, and what it needs.
    pub expected: Expected,
}

/// The file beside a program. Texts may hold `{HOST}`, `{PEER}`, `{PORT}`, `{DIR}`, `{LOCK}`, `{FIFO}`, `{PROGRAM}`, `{SOURCE}`,
/// `{SELF}` for the corpus' own program, and `{TASKS}` for the example of that name, which `cargo build --example tasks`
/// makes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// What the program does wrong, for the reader.
    pub story: String,
    /// The cause; `healthy` for a slow starter, which must get `slow-progress` or nothing that blames it.
    pub cause: String,
    /// Causes that are right as well, when the facts show the same thing from two sides.
    #[serde(default)]
    pub also: Vec<String>,
    /// A part of the target, when there is one.
    pub target: Option<String>,
    /// A part of the sentence, which counts as the target does.
    pub says: Option<String>,
    /// The function of the verdict's frame; a part of it.
    pub frame: Option<String>,
    /// What is set up around it; see `surroundings`.
    #[serde(default)]
    pub surroundings: Vec<String>,
    /// Flags of `launcher run`; `--ready notify` when absent.
    pub flags: Option<Vec<String>>,
    /// The command, when it is not simply the program.
    pub command: Option<Vec<String>>,
    /// Its environment, beside the launcher's own.
    #[serde(default)]
    pub environment: std::collections::BTreeMap<String, String>,
    /// The start deadline; `2s` when absent.
    pub deadline: Option<String>,
    /// Programs it needs beside those of its language.
    #[serde(default)]
    pub needs: Vec<String>,
}

impl Case {
    /// All of them, by name.
    pub fn all() -> Vec<Case> {
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/programs");
        let folder = std::env::var_os(FOLDER).map_or_else(own, PathBuf::from);
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let described = paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml"));
        described.map(|path| Case::read(path, &paths)).collect()
    }

    fn read(path: &Path, all: &[PathBuf]) -> Case {
        let text = std::fs::read_to_string(path).unwrap();
        let expected: Expected = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let stem = path.file_stem().unwrap();
        let source = all.iter().find(|other| other.file_stem() == Some(stem) && *other != path);
        let source = source.cloned().unwrap_or_else(|| path.to_owned());
        Case { name: stem.to_string_lossy().into_owned(), source, expected }
    }

    /// The ending of its source: its language.
    pub fn language(&self) -> &str {
        self.source.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
    }

    /// Whether it needs a file system that is served by a program.
    pub fn needs_fuse(&self) -> bool {
        self.expected.surroundings.iter().any(|name| name == "hung-files")
    }

    /// A program that is not installed, or a right that is not there.
    pub fn missing(&self) -> Option<String> {
        let of_language: &[&str] = match self.language() {
            "c" => &["cc"],
            "cc" => &["c++"],
            "rs" => &["rustc"],
            "go" => &["go"],
            "py" => &["python3"],
            "java" => &["javac", "java"],
            "js" => &["node"],
            "rb" => &["ruby"],
            _ => &[],
        };
        let needs = of_language.iter().copied().chain(self.expected.needs.iter().map(String::as_str));
        let program = needs.into_iter().find(|program| !is_installed(program)).map(str::to_owned);
        let root = self
            .expected
            .surroundings
            .iter()
            .any(|name| ["nameserver", "quota", "memory", "hung-files"].contains(&name.as_str()));
        let tasks = self.expected.command.iter().flatten().any(|word| word == "{TASKS}");
        if tasks && !crate::run::tasks().is_file() {
            return Some("`cargo build --example tasks`".to_owned());
        }
        program.or_else(|| (root && !nix::unistd::geteuid().is_root()).then(|| "root".to_owned()))
    }
}

fn is_installed(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}
