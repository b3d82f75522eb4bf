//! Where control sockets are: `NAME.PID.sock` in a folder that the user alone can open. Both sides look at the same
//! ones of the usual folders (`run/folders.rs`), which are called `launcher`.
//!
//! A launcher takes the first in which a socket can be made. A command looks into all of them, because a login shell has
//! an `XDG_RUNTIME_DIR` that a service of the same user has not. A socket at a path that somebody chose is one more: not a
//! link to it stands here but a second door, so that whoever looks need trust no path that others may write to, and a
//! dead one is known as any other.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::run::folders;
use crate::sys::control_socket::{self, OwnFile};

/// What the folder is called.
const NAME: &str = "launcher";

/// A control socket that listens; its file is removed when it is dropped.
pub struct Held {
    /// Where it is.
    pub path: PathBuf,
    /// What people connect to.
    pub listener: UnixListener,
    /// Removes the file.
    pub file: OwnFile,
}

/// Listens at a path that somebody chose.
///
/// # Errors
/// What is in the way, for a person.
pub fn at(path: &Path) -> Result<Held, String> {
    listen(path).map_err(|problem| match problem.raw_os_error() {
        Some(libc::EADDRINUSE) => format!("{} is in use by another launcher, or no socket", path.display()),
        _ => format!("{}: {problem}", path.display()),
    })
}

/// Listens in the first of the usual folders that can be used, and clears away what dead launchers have left there.
///
/// # Errors
/// What is in the way in each of them, for a person.
pub fn usual(name: &str) -> Result<Held, String> {
    let mut problems = Vec::new();
    for folder in folders::called(NAME) {
        match made(&folder).and_then(|()| {
            sweep(&folder);
            within(&folder, name)
        }) {
            Ok(held) => return Ok(held),
            Err(problem) => problems.push(format!("{}: {problem}", folder.display())),
        }
    }
    Err(problems.join("; "))
}

/// Listens at a free name in a folder. The pid alone could be another launcher's, of a container with the same folder.
fn within(folder: &Path, name: &str) -> io::Result<Held> {
    let pid = std::process::id();
    let mut tried = listen(&folder.join(format!("{name}.{pid}.sock")));
    for other in 2..10 {
        if !tried.as_ref().is_err_and(|problem| problem.raw_os_error() == Some(libc::EADDRINUSE)) {
            break;
        }
        tried = listen(&folder.join(format!("{name}.{pid}-{other}.sock")));
    }
    tried
}

fn listen(path: &Path) -> io::Result<Held> {
    let (listener, file) = control_socket::listen(path)?;
    Ok(Held { path: std::path::absolute(path)?, listener: UnixListener::from_std(listener)?, file })
}

/// The control sockets of this user's launchers, living or dead, in the usual folders.
pub fn all() -> Vec<PathBuf> {
    let usual = folders::called(NAME);
    let usable = |folder: &PathBuf| checked(folder).is_ok();
    let mut found: Vec<PathBuf> = usual.iter().filter(|folder| usable(folder)).flat_map(|f| sockets(f)).collect();
    found.dedup();
    found
}

/// Makes the folder if it is not there, for this user alone, and checks that it is nobody else's.
fn made(folder: &Path) -> io::Result<()> {
    closed(&folders::made(folder, 0o700)?)
}

/// The same of one that is there. Somebody else's folder in `/tmp` could have sockets of that person's own in it.
fn checked(folder: &Path) -> io::Result<()> {
    closed(&folders::owned(folder)?)
}

fn closed(found: &fs::Metadata) -> io::Result<()> {
    match found.mode() & 0o077 {
        0 => Ok(()),
        _ => Err(io::Error::other("others may enter it: chmod 700 it")),
    }
}

fn sockets(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_socket = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_socket());
    let named = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "sock");
    let mut found: Vec<PathBuf> = entries.filter(is_socket).map(|entry| entry.path()).filter(named).collect();
    found.sort();
    found
}

/// Removes the sockets behind which nobody is any more.
fn sweep(folder: &Path) {
    for path in sockets(folder) {
        control_socket::remove_if_stale(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_may_enter_is_not_used() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("launcher");
        made(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        made(&folder).unwrap();
        fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
        assert!(made(&folder).unwrap_err().to_string().contains("chmod 700"));
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        assert!(made(&link).unwrap_err().to_string().contains("no folder"));
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(made(&file).is_err() && made(&home.path().join("no/such")).is_err());
    }

    #[test]
    fn a_living_socket_is_never_taken_and_a_dead_one_is() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        let home = tempfile::tempdir().unwrap();
        let first = within(home.path(), "shop").unwrap();
        let mode = fs::symlink_metadata(&first.path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = within(home.path(), "shop").unwrap();
        assert_ne!(first.path, second.path);
        assert!(at(&first.path).err().unwrap().contains("in use"));
        sweep(home.path());
        assert_eq!(sockets(home.path()).len(), 2, "both live");
        // As SIGKILL would: the socket is closed, the file stays.
        let Held { path, listener, file } = first;
        std::mem::forget(file);
        drop(listener);
        // Held a moment longer by what another test is just starting.
        crate::sys::testing::comes_to_be(&vec![second.path.clone()], || {
            sweep(home.path());
            sockets(home.path())
        });
        let again = at(&path).unwrap();
        drop((again, second));
        assert!(sockets(home.path()).is_empty(), "files go with their sockets");
        fs::write(home.path().join("file.sock"), "precious").unwrap();
        assert!(at(&home.path().join("file.sock")).is_err());
        assert!(home.path().join("file.sock").is_file());
    }
}
