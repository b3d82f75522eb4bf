//! A file system whose files can be found and opened, and never read: a server of FUSE that leaves READ unanswered, as a
//! network file system does whose server is gone. Who reads is in the kernel's state D.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Numbers of `linux/fuse.h`.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// The folder itself and its only kind of file.
const ROOT: u64 = 1;
const FILE: u64 = 2;

/// A mounted one; it goes away with this.
pub struct HungFiles(PathBuf);

/// Whether this machine has FUSE at all.
pub fn available() -> bool {
    Path::new("/dev/fuse").exists()
}

impl HungFiles {
    /// Mounts it at `folder`, which is there.
    pub fn mount(folder: &Path) -> HungFiles {
        let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("hung"), folder, Some("fuse"), flags, Some(options.as_str())).unwrap();
        std::thread::spawn(move || serve(device));
        HungFiles(folder.to_owned())
    }
}

impl Drop for HungFiles {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// Answers until the file system is gone.
fn serve(mut device: File) {
    let mut request = vec![0; 1 << 17];
    while let Ok(length) = device.read(&mut request) {
        let word = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().unwrap());
        assert!(length >= 40);
        let (operation, unique, node) = (word(4), long(8), long(16));
        let mut unique = unique;
        let answer = match operation {
            FORGET | BATCH_FORGET | READ => continue,
            // Whoever is killed must be let go.
            INTERRUPT => {
                unique = long(40);
                Err(libc::EINTR)
            }
            INIT => Ok(initialised()),
            LOOKUP => Ok([[FILE, 0, 60, 60, 0].map(u64::to_le_bytes).concat(), attributes(FILE)].concat()),
            GETATTR => Ok([[60u64, 0].map(u64::to_le_bytes).concat(), attributes(node)].concat()),
            OPEN => Ok(vec![0; 16]),
            _ => Err(libc::ENOSYS),
        };
        let (error, body) = answer.map_or_else(|errno| (-errno, Vec::new()), |body| (0, body));
        let mut whole = Vec::from((16 + body.len() as u32).to_le_bytes());
        whole.extend(error.to_le_bytes());
        whole.extend(unique.to_le_bytes());
        whole.extend(body);
        let _ = device.write_all(&whole);
    }
}

/// `struct fuse_init_out` of version 7.31.
fn initialised() -> Vec<u8> {
    // That pages are read in the background: only then may a reader be killed.
    const ASYNC_READ: u32 = 1;
    let mut words = [0u32; 16];
    (words[0], words[1], words[2], words[3]) = (7, 31, 1 << 16, ASYNC_READ);
    (words[4], words[5], words[6]) = (12 | 9 << 16, 1 << 12, 1);
    words.map(u32::to_le_bytes).concat()
}

/// `struct fuse_attr`.
fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = if node == ROOT { (0o040_755, 0u64) } else { (0o100_644, 1 << 16) };
    let longs = [node, size, 128, 0, 0, 0].map(u64::to_le_bytes).concat();
    let words = [0u32, 0, 0, mode, 1, 0, 0, 0, 4096, 0].map(u32::to_le_bytes).concat();
    [longs, words].concat()
}
