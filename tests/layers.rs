//! The walls of the house (DESIGN §10) that clippy cannot keep, and the promises of the project's own files.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines a file may have before its tests.
const LINES: usize = 400;

/// Files that are longer, and why that makes sense.
const LONGER: [(&str, &str); 0] = [];

/// What `src/core` must not know.
const FORBIDDEN_IN_CORE: [&str; 15] = [
    "tokio",
    "nix",
    "libc",
    "socket2",
    "rand",
    "blazesym",
    "crate::sys",
    "crate::run",
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "Instant",
    "SystemTime",
];

/// What `src/sys` must not know: it performs nothing by itself.
const FORBIDDEN_IN_SYS: [&str; 3] = ["tokio", "crate::run", "clap"];

/// Licences a dependency may have; of `A OR B` one is enough, of `A AND B` both are needed.
const LICENCES: [&str; 14] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "BSL-1.0",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a folder, by their path from the root.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path.strip_prefix(root()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What comes before a file's tests; nothing of a file that is all tests.
fn before_tests(file: &Path, text: &str) -> String {
    let all_tests = file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs");
    let all_tests = file.starts_with("src") && (all_tests || file.ends_with("testing.rs"));
    if all_tests { String::new() } else { text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("").to_owned() }
}

/// The code without comments and without what is in string literals; line ends stay.
fn code(text: &str) -> String {
    let mut kept = String::new();
    let bytes: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => length_until(rest, &['*', '/'], 2),
            ['r', '"', ..] if !follows_word(&kept) => length_until(rest, &['"'], 2),
            ['r', '#', '"', ..] if !follows_word(&kept) => length_until(rest, &['"', '#'], 3),
            ['"', ..] => string_length(rest),
            ['\'', '"' | '\\', ..] => 2 + usize::from(rest[1] == '\\'),
            _ => 0,
        };
        if length == 0 {
            kept.push(bytes[at]);
        } else {
            kept.extend(rest[..length].iter().filter(|c| **c == '\n'));
        }
        at += length.max(1);
    }
    kept
}

fn follows_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn length_until(rest: &[char], end: &[char], from: usize) -> usize {
    let found = rest[from..].windows(end.len()).position(|window| window == end);
    found.map_or(rest.len(), |position| from + position + end.len())
}

fn string_length(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// All paths the code names, with `a::{b, c::d}` written out.
fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut prefixes: Vec<String> = Vec::new();
    let mut path = String::new();
    for c in code.chars() {
        match c {
            _ if c.is_alphanumeric() || c == '_' || c == ':' => path.push(c),
            '{' => {
                let before = prefixes.last().cloned().unwrap_or_default();
                let group = path.ends_with("::") || (path.is_empty() && !before.is_empty());
                prefixes.push(if group { format!("{before}{path}") } else { String::new() });
                path.clear();
            }
            _ => {
                if !path.is_empty() {
                    let before = prefixes.last().cloned().unwrap_or_default();
                    found.insert(format!("{before}{path}"));
                    path.clear();
                }
                if c == '}' {
                    prefixes.pop();
                }
            }
        }
    }
    found
}

/// Whether a path goes through the forbidden one: `std::fs` forbids `std::fs::read`, `tokio` forbids `tokio::time`.
fn goes_through(path: &str, forbidden: &str) -> bool {
    let path: Vec<&str> = path.split("::").filter(|word| !word.is_empty()).collect();
    let forbidden: Vec<&str> = forbidden.split("::").collect();
    path.windows(forbidden.len()).any(|window| window == forbidden)
}

fn assert_none_in(folder: &str, forbidden: &[&str]) {
    let files = rust_files(folder);
    assert!(!files.is_empty(), "{folder} has files");
    for file in files {
        let paths = paths(&code(&before_tests(&file, &read(&file))));
        for word in forbidden {
            let found: Vec<&String> = paths.iter().filter(|path| goes_through(path, word)).collect();
            assert!(found.is_empty(), "{} must not use {word}: {found:?}", file.display());
        }
    }
}

#[test]
fn core_touches_nothing() {
    assert_none_in("src/core", &FORBIDDEN_IN_CORE);
}

#[test]
fn sys_performs_nothing() {
    assert_none_in("src/sys", &FORBIDDEN_IN_SYS);
}

#[test]
fn unsafe_code_is_in_sys_alone() {
    for file in rust_files("src") {
        if !file.starts_with("src/sys") {
            let code = code(&read(&file));
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert_eq!(words.filter(|word| *word == "unsafe").count(), 0, "unsafe in {}", file.display());
        }
    }
    let lint = "undocumented_unsafe_blocks = \"deny\"";
    assert!(read("Cargo.toml").contains(lint), "clippy asks for a SAFETY comment at each block");
}

#[test]
fn the_wall_of_the_build_is_there() {
    let clippy = read("clippy.toml");
    assert!(clippy.contains("disallowed-methods") && clippy.contains("std::time::Instant::now"));
    for room in ["src/core/mod.rs", "src/lib.rs"] {
        assert!(!read(room).contains("allow(clippy::disallowed_methods"), "{room} must not lift it");
    }
    for file in rust_files("src/core") {
        assert!(!read(&file).contains("disallowed_methods"), "{} must not lift it", file.display());
    }
}

#[test]
fn files_are_short() {
    for folder in ["src", "tests", "examples", "benches"] {
        for file in rust_files(folder) {
            let lines = before_tests(&file, &read(&file)).lines().count();
            let longer = LONGER.iter().any(|(name, _)| Path::new(name) == file);
            // The suites under tests/ are lists of cases, and as long as there are cases.
            let suite = file.starts_with("tests/blackbox") && !file.starts_with("tests/blackbox/support");
            assert!(lines <= LINES || longer || suite, "{} has {lines} lines", file.display());
        }
    }
}

#[test]
fn exceptions_are_still_needed() {
    for (name, _) in LONGER {
        assert!(read(name).lines().count() > LINES, "{name} needs no exception any more");
    }
}

#[test]
fn nothing_is_left_undone() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("unimplemented", "!("),
        concat!("todo", "!("),
    ];
    for folder in ["src", "tests", "examples", "benches"] {
        for file in rust_files(folder) {
            let text = read(&file);
            for mark in marks {
                assert!(!text.contains(mark), "{mark} in {}", file.display());
            }
        }
    }
}

/// Paths in backticks that the documents name: they have a slash, and begin at the root.
#[test]
fn documents_name_no_file_that_is_gone() {
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = read(document);
        let named = text.split('`').skip(1).step_by(2).filter(|quoted| {
            let first = quoted.split('/').next().unwrap_or("");
            let ours = ["src", "tests", "examples", "benches", ".ci"].contains(&first) && quoted.contains('/');
            ours && !quoted.contains([' ', '*', '<', '{', '…'])
        });
        let missing: Vec<&str> = named.filter(|path| !root().join(path).exists()).collect();
        assert!(missing.is_empty(), "{document} names {missing:?}");
    }
}

#[test]
fn architecture_names_every_room() {
    let text = read("ARCHITECTURE.md");
    for room in ["src/core", "src/sys", "src/run"] {
        for entry in std::fs::read_dir(root().join(room)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(name == "mod" || text.contains(&name), "ARCHITECTURE.md says nothing of {}", path.display());
        }
    }
}

#[test]
fn a_well_kept_project_has_these_files() {
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "launcher.toml.example",
        "tests/setup",
        "tests/run",
        "benches/run",
        ".ci/run",
        "examples/service.rs",
        "examples/hangs.rs",
        "examples/crash-loop.rs",
    ] {
        assert!(root().join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn dependencies_have_licences_that_fit() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for package in metadata["packages"].as_array().unwrap() {
        let licence = package["license"].as_str().unwrap_or("none").replace('/', " OR ");
        assert!(fits(&licence), "{}: {licence}", package["name"]);
    }
}

/// Whether an SPDX expression can be kept.
fn fits(licence: &str) -> bool {
    let licence = licence.trim();
    let inner = licence.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match inner {
        Some(inner) if !inner.contains('(') => fits(inner),
        _ => {
            let any = |one: &str| one.split(" OR ").any(|one| LICENCES.contains(&one.trim().trim_matches(['(', ')'])));
            licence.split(" AND ").all(any)
        }
    }
}

#[test]
fn the_checks_themselves_see_what_they_should() {
    let seen = paths(&code("use std::{fmt, fs::{self, File}};\n// tokio\nlet x = \"nix::unistd\"; libc::getpid();"));
    assert!(seen.iter().any(|path| goes_through(path, "std::fs")), "{seen:?}");
    assert!(seen.iter().any(|path| goes_through(path, "libc")), "{seen:?}");
    assert!(!seen.iter().any(|path| goes_through(path, "tokio") || goes_through(path, "nix")), "{seen:?}");
    assert!(!goes_through("core::net::SocketAddr", "std::net"));
    assert!(fits("MIT OR Apache-2.0") && fits("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!fits("GPL-3.0") && !fits("MIT AND GPL-3.0"));
}
