//! What makes a refusal helpful, or unneeded. All of it is off the path of a start that goes well.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Most names that are told.
const SHOWN: usize = 3;
/// Most names that are compared.
const COMPARED: usize = 20_000;

/// Names of programs on PATH that are like this one.
pub fn near_on_path(command: &OsStr, path: &OsStr) -> Vec<String> {
    let names = std::env::split_paths(path).filter_map(|directory| std::fs::read_dir(directory).ok()).flatten();
    near(&command.to_string_lossy(), names)
}

/// Names in the same directory that are like this one's, as whole paths.
pub fn near_in_directory(path: &Path) -> Vec<String> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let directory = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let names = std::fs::read_dir(directory).into_iter().flatten();
    near(&name.to_string_lossy(), names)
        .into_iter()
        .map(|name| parent.join(name).to_string_lossy().into_owned())
        .collect()
}

fn near(wanted: &str, names: impl Iterator<Item = std::io::Result<std::fs::DirEntry>>) -> Vec<String> {
    let mut found: Vec<(usize, String)> = names
        .take(COMPARED)
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            distance(wanted, &name).map(|distance| (distance, name))
        })
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(SHOWN).map(|(_, name)| name).collect()
}

/// How far apart they are, when near enough: a slip or two, or a version at the end (`python3` for `python`).
fn distance(wanted: &str, name: &str) -> Option<usize> {
    if wanted.is_empty() || name == wanted {
        return None;
    }
    let version = |longer: &str, shorter: &str| {
        let rest = longer.strip_prefix(shorter)?.trim_start_matches('-');
        rest.chars().all(|c| c.is_ascii_digit() || c == '.').then_some(1)
    };
    if let Some(distance) = version(name, wanted).or_else(|| version(wanted, name)) {
        return Some(distance);
    }
    let most = match wanted.chars().count() {
        0..=2 => return None,
        3..=5 => 1,
        _ => 2,
    };
    if name.len().abs_diff(wanted.len()) > 2 * most {
        return None;
    }
    Some(strsim::damerau_levenshtein(wanted, name)).filter(|distance| *distance <= most)
}

/// Where the file system of a path is mounted (`proc_pid_mountinfo(5)`).
pub fn mount_of(path: &Path) -> Option<String> {
    let path = std::fs::canonicalize(path).ok()?;
    let text = std::fs::read_to_string("/proc/thread-self/mountinfo").ok()?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| point.replace("\\040", " "));
    points.filter(|point| path.starts_with(point)).max_by_key(String::len)
}

/// Whether an access list may allow more than the mode bits (`acl(5)`).
pub fn has_acl(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: both names end in NUL and live through the call; a size of 0 asks for the length and writes nothing.
    let length = unsafe { libc::getxattr(path.as_ptr(), c"system.posix_acl_access".as_ptr(), std::ptr::null_mut(), 0) };
    length > 0
}

/// Whether a handler of `binfmt_misc` takes such files: an emulator for another machine, Java, Wine.
pub fn has_handler(path: &Path, head: &[u8]) -> bool {
    let entries = std::fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()).any(|text| handler_takes(&text, path, head))
}

/// One registered handler, as the kernel shows it.
fn handler_takes(text: &str, path: &Path, head: &[u8]) -> bool {
    let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    if text.lines().next() != Some("enabled") || field("interpreter ").is_none() {
        return false;
    }
    if let Some(extension) = field("extension ") {
        return path
            .extension()
            .is_some_and(|own| Some(own.as_bytes()) == extension.strip_prefix('.').map(str::as_bytes));
    }
    let (Some(offset), Some(magic)) =
        (field("offset ").and_then(|text| text.parse().ok()), field("magic ").and_then(hex))
    else {
        return false;
    };
    let mask = field("mask ").and_then(hex).unwrap_or_else(|| vec![0xff; magic.len()]);
    let Some(bytes) = head.get(offset..).and_then(|rest| rest.get(..magic.len())) else { return false };
    !magic.is_empty()
        && mask.len() == magic.len()
        && bytes.iter().zip(&magic).zip(&mask).all(|((byte, magic), mask)| (byte ^ magic) & mask == 0)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    digits.len().is_multiple_of(2).then(|| pairs.collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_slips_and_versions() {
        assert_eq!(distance("python", "python3"), Some(1));
        assert_eq!(distance("python", "python3.11"), Some(1));
        assert_eq!(distance("pyhton", "python"), Some(1));
        assert_eq!(distance("nodejs", "node"), Some(2));
        assert_eq!(distance("ls", "cp"), None);
        assert_eq!(distance("api", "zip"), None);
        assert_eq!(distance("serve", "serve"), None);
    }

    #[test]
    fn a_registered_handler_is_matched_by_magic_and_mask() {
        let qemu = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n\
                    magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";
        let mut arm = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0";
        assert!(handler_takes(qemu, Path::new("x"), &arm));
        arm[16] = 3;
        assert!(handler_takes(qemu, Path::new("x"), &arm), "the mask lets a shared object pass");
        arm[18] = 0x3e;
        assert!(!handler_takes(qemu, Path::new("x"), &arm));
        assert!(!handler_takes(&qemu.replace("enabled", "disabled"), Path::new("x"), &arm));
        assert!(!handler_takes(qemu, Path::new("x"), b"\x7fELF"));
        let jar = "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n";
        assert!(handler_takes(jar, Path::new("/a/b.jar"), b"PK"));
        assert!(!handler_takes(jar, Path::new("/a/b.zip"), b"PK"));
        assert!(!handler_takes("enabled\n", Path::new("x"), b"x"), "the status file is no handler");
    }
}
