//! A cgroup of its own for a generation, where a cgroup v2 may be made below the launcher's own (`cgroups(7)`).

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where cgroup v2 is mounted: alone, or beside v1.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A cgroup v2. Dropping it removes it if nobody is in it.
#[derive(Debug)]
pub struct Cgroup {
    path: CString,
    join: File,
    kill: File,
}

impl Cgroup {
    /// Makes a cgroup of this name below the launcher's own.
    ///
    /// # Errors
    /// When there is no cgroup v2, it may not be written to, or the kernel has no `cgroup.kill` (5.14).
    pub fn create(name: &str) -> io::Result<Cgroup> {
        let not_found = |what| io::Error::new(io::ErrorKind::NotFound, what);
        let mount =
            MOUNTS.iter().find(|mount| is_cgroup2(mount)).ok_or_else(|| not_found("no cgroup v2 is mounted"))?;
        let memberships = fs::read_to_string("/proc/self/cgroup")?;
        let own = own_path(&memberships).ok_or_else(|| not_found("the launcher is in no cgroup v2 that it can see"))?;
        let path = PathBuf::from(format!("{mount}{own}")).join(name);
        fs::create_dir(&path)?;
        Cgroup::open(&path).inspect_err(|_| {
            let _ = fs::remove_dir(&path);
        })
    }

    fn open(path: &Path) -> io::Result<Cgroup> {
        let write = |file: &str| OpenOptions::new().write(true).open(path.join(file));
        let (join, kill) = (write("cgroup.procs")?, write("cgroup.kill")?);
        Ok(Cgroup { path: CString::new(path.as_os_str().as_bytes())?, join, kill })
    }

    /// Its directory.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Its directory, as a path.
    pub fn directory(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.to_bytes()))
    }

    /// Ends every process in it by SIGKILL (`cgroup.kill`).
    pub fn kill(&self) {
        // It is there for as long as the directory is; when that is gone nobody is in it.
        let _ = (&self.kill).write_all(b"1");
    }

    /// What a process writes 0 to in order to enter it.
    pub fn join_fd(&self) -> RawFd {
        self.join.as_raw_fd()
    }

    /// What is written 1 to in order to end everything in it.
    pub fn kill_fd(&self) -> RawFd {
        self.kill.as_raw_fd()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // While processes are in it, its keeper removes it after them.
        let _ = fs::remove_dir(self.directory());
    }
}

/// The path in the line of cgroup v2, `0::PATH`; not one that lies outside of what is mounted (`/..`).
fn own_path(memberships: &str) -> Option<&str> {
    let path = memberships.lines().find_map(|line| line.strip_prefix("0::"))?;
    (path.starts_with('/') && !path.starts_with("/..")).then_some(path)
}

fn is_cgroup2(mount: &str) -> bool {
    let Ok(path) = CString::new(mount) else { return false };
    let mut stat = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the path ends with a NUL; all zero is a valid statfs, and the kernel fills it.
    unsafe {
        libc::statfs(path.as_ptr(), stat.as_mut_ptr()) == 0 && stat.assume_init().f_type == libc::CGROUP2_SUPER_MAGIC
    }
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
