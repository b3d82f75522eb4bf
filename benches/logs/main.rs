//! Measures how fast the lines of a service are carried, and what many idle services cost, beside other supervisors on
//! the same machine in one run: compare ratios, not figures.
//!
//! `benches/logs/run` builds and runs it. It is no test: a busy machine makes no build fail.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

mod fleet;
mod measure;
mod throughput;

use std::path::{Path, PathBuf};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some(bytes) = words.first().and_then(|word| word.strip_prefix("write=")) {
        return throughput::write(bytes, words.get(1).map(String::as_str));
    }
    let only = words.first().map_or("", String::as_str);
    let folder = Folder::new();
    if "throughput".contains(only) {
        throughput::all(&folder.0);
    }
    if "fleet".contains(only) {
        fleet::all(&folder.0);
    }
}

/// A folder for what the peers need; it goes away at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("launcher-bench-logs-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The launcher that was built with this program.
const LAUNCHER: &str = env!("CARGO_BIN_EXE_launcher");

/// Whether a program is there.
fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program.starts_with('/') || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Writes a file below a folder, with the folders that lead there.
fn write_file(path: &Path, text: &str, mode: u32) {
    std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("its mode");
}
