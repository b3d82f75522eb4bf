//! Whether a user may read a file, and what is in it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::executable::{Bit, permits};

/// No configuration is larger.
const LARGEST: u64 = 16 << 20;

/// Why a file cannot be read.
#[derive(Debug)]
pub enum Unreadable {
    /// There is none.
    Missing,
    /// A directory, a device, a FIFO.
    NoFile,
    /// The user may not; with the mode of the file, when that is what is in the way.
    Closed {
        /// Its permission bits.
        mode: Option<u32>,
    },
    /// It is larger than 16 MiB.
    TooLarge,
    /// `open(2)` or `read(2)` failed otherwise.
    Other(io::Error),
}

/// The bytes of a file, if the user `who` (uid and all groups; the launcher's own when absent) may read it. What is no
/// regular file is not opened: a FIFO would wait for its other end.
///
/// # Errors
/// Why not.
pub fn read(path: &Path, who: Option<(u32, &[u32])>) -> Result<Vec<u8>, Unreadable> {
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Unreadable::NoFile);
    }
    if metadata.len() > LARGEST {
        return Err(Unreadable::TooLarge);
    }
    if let Some(who) = who {
        if !permits(path, &metadata, who, Bit::Read) {
            return Err(Unreadable::Closed { mode: Some(metadata.mode() & 0o7777) });
        }
        let place = std::fs::canonicalize(path).map_err(failed)?;
        let closed =
            |folder: &&Path| std::fs::metadata(folder).is_ok_and(|of| !permits(folder, &of, who, Bit::Execute));
        if place.ancestors().skip(1).any(|folder| closed(&folder)) {
            return Err(Unreadable::Closed { mode: None });
        }
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

fn failed(error: io::Error) -> Unreadable {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unreadable::Missing,
        io::ErrorKind::PermissionDenied => Unreadable::Closed { mode: None },
        _ => Unreadable::Other(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_read_by_whom_its_mode_permits() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(folder.path(), 0o755);
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        mode(&file, 0o600);
        let stranger = Some((65_534, &[65_534][..]));
        assert_eq!(read(&file, None).unwrap(), b"x");
        assert!(matches!(read(&file, stranger), Err(Unreadable::Closed { mode: Some(0o600) })));
        mode(&file, 0o644);
        assert_eq!(read(&file, stranger).unwrap(), b"x");
        mode(folder.path(), 0o700);
        assert!(matches!(read(&file, stranger), Err(Unreadable::Closed { mode: None })));
        assert!(matches!(read(&folder.path().join("none"), None), Err(Unreadable::Missing)));
        let fifo = folder.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(matches!(read(&fifo, None), Err(Unreadable::NoFile)));
    }
}
