//! A cgroup of its own for a generation, where a cgroup v2 may be made below the launcher's own (`cgroups(7)`).

mod delegated;

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

pub use delegated::Delegated;

/// Where cgroup v2 is mounted: alone, or beside v1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A cgroup v2. Dropping it removes it if nobody is in it.
#[derive(Debug)]
pub struct Cgroup {
    path: CString,
    join: File,
    /// Since Linux 5.14.
    kill: Option<File>,
}

impl Cgroup {
    fn open(path: &Path) -> io::Result<Cgroup> {
        let write = |file: &str| OpenOptions::new().write(true).open(path.join(file));
        let join = write("cgroup.procs")?;
        Ok(Cgroup { path: CString::new(path.as_os_str().as_bytes())?, join, kill: write("cgroup.kill").ok() })
    }

    /// Its directory.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Its directory, as a path.
    pub fn directory(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.to_bytes()))
    }

    /// Ends every process in it by SIGKILL (`cgroup.kill`), where the kernel can.
    pub fn kill(&self) {
        // It is there for as long as the directory is; when that is gone nobody is in it.
        let _ = self.kill.as_ref().map(|mut kill| kill.write_all(b"1"));
    }

    /// Removes it, if nobody is in it.
    pub fn remove(&self) {
        let _ = fs::remove_dir(self.directory());
    }

    /// What a process writes 0 to in order to enter it.
    pub fn join_fd(&self) -> RawFd {
        self.join.as_raw_fd()
    }

    /// What is written 1 to in order to end everything in it; -1 where the kernel has no such thing.
    pub fn kill_fd(&self) -> RawFd {
        self.kill.as_ref().map_or(-1, File::as_raw_fd)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // While processes are in it, its keeper removes it after them, or whoever made the group above.
        self.remove();
    }
}

/// The path in the line of cgroup v2, `0::PATH`; not one that lies outside of what is mounted (`/..`).
fn own_path(memberships: &str) -> Option<&str> {
    let path = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
    (path.starts_with('/') && !path.starts_with("/..")).then_some(path)
}

fn is_cgroup2(mount: &str) -> bool {
    statfs(mount).is_ok_and(|stat| stat.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_v2_names_the_path() {
        assert_eq!(own_path("4:memory:/a\n0::/user.slice/x\n"), Some("/user.slice/x"));
        assert_eq!(own_path("0::/\n"), Some("/"));
        assert_eq!(own_path("4:memory:/a\n"), None);
        assert_eq!(own_path("0::/../outside\n"), None);
    }
}
