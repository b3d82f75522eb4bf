//! The folders for what a launcher has as long as it lives, in the order in which they are tried:
//!
//! 1. `$XDG_RUNTIME_DIR/NAME`, if that variable names a folder of the user's own;
//! 2. `/run/user/UID/NAME`, where there is such a folder;
//! 3. `/run/NAME`, of root;
//! 4. `/tmp/NAME-UID`.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
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

/// Makes a folder with this mode if it is not there, and looks at it as [`owned`] does.
pub fn made(folder: &Path, mode: u32) -> io::Result<Metadata> {
    match DirBuilder::new().mode(mode).create(folder) {
        Err(problem) if problem.kind() != io::ErrorKind::AlreadyExists => Err(problem),
        _ => owned(folder),
    }
}

/// What is noted of a folder, if it is one, and no link to one, and the user's own: in `/tmp` it may be somebody else's.
pub fn owned(folder: &Path) -> io::Result<Metadata> {
    let found = fs::symlink_metadata(folder)?;
    let uid = nix::unistd::geteuid().as_raw();
    match () {
        () if !found.is_dir() => Err(io::Error::other("it is no folder")),
        () if found.uid() != uid => Err(io::Error::other(format!("it belongs to another user, {}", found.uid()))),
        () => Ok(found),
    }
}
