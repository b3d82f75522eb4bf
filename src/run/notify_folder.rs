//! Notify sockets with a path, for clients that take every address for one (the Rust crate sd-notify does).
//!
//! Each is in a folder of the launcher's user that others may pass through but not look into. A socket goes with its
//! generation; one that a launcher has left that was killed is cleared away by the next that makes one there.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::debug;

use super::folders;
use crate::sys::clock;
use crate::sys::notify_socket::{NotifySocket, is_stale};

/// What the folder is called.
const NAME: &str = "launcher-notify";

/// How often it is made anew, when somebody removes it before there is a socket in it.
const TRIES: u32 = 3;

/// Whether what others have left was cleared away.
static SWEPT: AtomicBool = AtomicBool::new(false);

/// Binds a socket for a service that runs as this user, in the first of the usual folders in which that can be; `None`
/// where there is none, as in a container whose file systems are all read-only.
pub fn bind(user: u32) -> Option<NotifySocket> {
    let own = nix::unistd::geteuid().as_raw();
    let reached = |folder: &PathBuf| user == own || folder.parent().is_some_and(is_open_to_all);
    folders::called(NAME).iter().filter(|folder| reached(folder)).find_map(|folder| {
        let bound = within(folder);
        if let Err(problem) = &bound {
            debug!("no notify socket in {}: {problem}", folder.display());
        }
        bound.ok()
    })
}

fn within(folder: &Path) -> io::Result<NotifySocket> {
    let name = format!("{:032x}", u128::from_ne_bytes(clock::random()));
    let mut tries = 1;
    loop {
        made(folder)?;
        if !SWEPT.swap(true, Ordering::Relaxed) {
            sweep(folder);
        }
        match NotifySocket::bind_in(folder, &name) {
            // Another launcher has removed the last socket, and the folder with it.
            Err(problem) if problem.kind() == io::ErrorKind::NotFound && tries < TRIES => tries += 1,
            bound => return bound,
        }
    }
}

/// Whether every user may pass through all folders of a path.
fn is_open_to_all(path: &Path) -> bool {
    path.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0))
}

/// Makes the folder if it is not there, and checks that nobody else could put anything in it.
fn made(folder: &Path) -> io::Result<()> {
    let found = folders::made(folder, 0o711)?;
    match () {
        () if found.mode() & 0o022 != 0 => Err(io::Error::other("others may write to it")),
        // The umask may have taken that away.
        () if found.mode() & 0o111 != 0o111 => fs::set_permissions(folder, Permissions::from_mode(0o711)),
        () => Ok(()),
    }
}

/// Removes the sockets that nobody answers at.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_stale(path)) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn a_socket_goes_with_its_folder_and_what_others_left_is_cleared_away() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(NAME);
        made(&folder).unwrap();
        let (dead, alive, other) = (folder.join("dead"), folder.join("alive"), folder.join("file"));
        drop(UnixDatagram::bind(&dead).unwrap());
        let answers = UnixDatagram::bind(&alive).unwrap();
        fs::write(&other, "").unwrap();
        sweep(&folder);
        assert!(!dead.exists() && alive.exists() && other.exists());

        let socket = within(&folder).unwrap();
        let path = PathBuf::from(socket.address());
        assert_eq!(path.parent(), Some(folder.as_path()));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o711);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        drop(socket);
        assert!(!path.exists() && folder.exists(), "others are in it");
        drop(answers);
        fs::remove_file(alive).unwrap();
        fs::remove_file(other).unwrap();
        drop(within(&folder).unwrap());
        assert!(!folder.exists());
    }

    #[test]
    fn a_folder_in_which_others_may_write_is_not_used() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(NAME);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        assert!(within(&folder).is_err());
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        assert!(within(&folder).is_ok());
        std::os::unix::fs::symlink(home.path(), &folder).unwrap();
        assert!(within(&folder).is_err(), "a link may lead anywhere");
    }

    #[test]
    fn a_path_is_open_to_all_when_each_folder_is() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        let inner = home.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        assert!(!is_open_to_all(&inner) && is_open_to_all(Path::new("/")));
    }
}
