//! The folders for what a launcher has as long as it lives, in the order in which they are tried:
//!
//! 1. `$XDG_RUNTIME_DIR/NAME`, if that variable names a folder of the user's own;
//! 2. `/run/user/UID/NAME`, where there is such a folder;
//! 3. `/run/NAME`, of root;
//! 4. `/tmp/NAME-UID`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Those of this name that may be there or be made.
pub fn called(name: &str) -> Vec<PathBuf> {
    let uid = nix::unistd::geteuid().as_raw();
    let own = |path: &Path| fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid);
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let login = PathBuf::from(format!("/run/user/{uid}"));
    let mut folders: Vec<PathBuf> =
        given.into_iter().chain([login]).filter(|path| own(path)).map(|path| path.join(name)).collect();
    if uid == 0 {
        folders.push(Path::new("/run").join(name));
    }
    folders.push(format!("/tmp/{name}-{uid}").into());
    folders.dedup();
    folders
}
