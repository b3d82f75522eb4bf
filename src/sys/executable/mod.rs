//! Whether a program can be executed, looked at before the try: `execve(2)` says ENOENT for a missing interpreter and
//! ENOEXEC for another machine's binary, and nothing more.
//!
//! This is on the path of every start: a handful of system calls and one read for a usual program.

mod format;
mod hints;
pub mod libraries;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::lstat;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::AccessFlags;
use object::{Object as _, ReadCache};

use format::{Head, Kind, Wrong};

use crate::core::debug::Executable;
use crate::core::exec_words::{BadFormat, Finding, explain};
use crate::core::facts::ExecFailure;

/// How many interpreters may follow each other (`exec_binprm` in fs/exec.c).
const DEPTH: usize = 5;

/// Looks whether the program can be executed, and finds it on `path`, as `execvp(3)` does, when `command` has no slash.
/// `directory` is where the program will run: relative paths, in `path` too, start there; else at the launcher's own.
/// `who` is the user (and all its groups) that will execute it, when that is another than the launcher's.
///
/// The answer is what to give to `execve(2)` *after* the change of directory.
///
/// Says nothing of what only the try can show: security modules, limits, a handler of `binfmt_misc` that cannot be seen
/// from this container.
///
/// # Errors
/// The first thing that is in the way, in words.
pub fn examine(
    command: &OsStr,
    path: &OsStr,
    directory: Option<&Path>,
    who: Option<(u32, &[u32])>,
) -> Result<PathBuf, ExecFailure> {
    let look = Look { path, directory, who };
    look.working_directory().and_then(|()| look.command(command)).map_err(|finding| explain(&finding))
}

/// What this program is, as far as its file tells. To be asked once it was found to be one.
///
/// # Errors
/// Of reading the file; `InvalidData` when it is no program of this machine.
pub fn kind_of(program: &Path) -> io::Result<Executable> {
    let (file, head) = read_head(program)?;
    match head.kind(&file) {
        Ok(Kind::Script { interpreter, argument }) => Ok(Executable::Script {
            interpreter: OsStr::from_bytes(&interpreter).to_owned(),
            argument: OsStr::from_bytes(&argument).to_owned(),
        }),
        Ok(Kind::Elf { .. }) => Ok(Executable::Binary { go: is_of_go(file) }),
        Err(_) => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Whether it has what Go's linker says of each build.
fn is_of_go(file: File) -> bool {
    let cache = ReadCache::new(file);
    object::File::parse(&cache).is_ok_and(|file| file.section_by_name(".go.buildinfo").is_some())
}

/// Whether there is nothing of this name; a link to nothing is something.
fn is_missing(path: &Path) -> bool {
    matches!(lstat(path), Err(Errno::ENOENT))
}

struct Look<'a> {
    path: &'a OsStr,
    directory: Option<&'a Path>,
    who: Option<(u32, &'a [u32])>,
}

impl Look<'_> {
    fn working_directory(&self) -> Result<(), Finding> {
        let Some(directory) = self.directory else { return Ok(()) };
        let wrong = |errno: i32| {
            let uid = self.who.map(|(uid, _)| uid);
            Err(Finding::WorkingDirectory { path: shown(directory), errno, uid })
        };
        match std::fs::metadata(directory) {
            Err(error) => wrong(error.raw_os_error().unwrap_or(libc::EINVAL)),
            Ok(metadata) if !metadata.is_dir() => wrong(libc::ENOTDIR),
            Ok(metadata) if !self.may_execute(directory, &metadata) => wrong(libc::EACCES),
            Ok(_) => Ok(()),
        }
    }

    fn command(&self, command: &OsStr) -> Result<PathBuf, Finding> {
        if !command.as_bytes().contains(&b'/') {
            return self.on_path(command);
        }
        let path = PathBuf::from(command);
        self.program(&path, 0)?;
        Ok(path)
    }

    /// As `execvp(3)`: goes on after what does not exist or may not be executed, and in the end tells of the latter.
    fn on_path(&self, command: &OsStr) -> Result<PathBuf, Finding> {
        let mut denied = None;
        let directories = std::env::split_paths(self.path).filter(|_| !self.path.is_empty());
        for directory in directories.filter(|_| !command.is_empty()) {
            let start = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
            let candidate = start.join(command);
            // Most directories have no such file: one question each.
            if is_missing(&self.place(&candidate)) {
                continue;
            }
            match self.file(&candidate) {
                Ok(_) => {
                    self.contents(&candidate, 0)?;
                    return Ok(candidate);
                }
                Err(Finding::Missing { .. }) => {}
                Err(Finding::Unreachable { errno: libc::ENOTDIR, .. }) => {}
                Err(finding) => denied = denied.or(Some(finding)),
            }
        }
        Err(denied.unwrap_or_else(|| self.not_on_path(command)))
    }

    fn not_on_path(&self, command: &OsStr) -> Finding {
        let here = Path::new(".").join(command);
        Finding::NotOnPath {
            command: command.to_string_lossy().into_owned(),
            directories: std::env::split_paths(self.path).filter(|_| !self.path.is_empty()).count(),
            near: hints::near_on_path(command, self.path),
            here: !command.is_empty() && self.file(&here).is_ok(),
        }
    }

    /// The whole look at one file.
    fn program(&self, path: &Path, depth: usize) -> Result<(), Finding> {
        match self.file(path) {
            Ok(()) => self.contents(path, depth),
            Err(Finding::Missing { path: name, .. }) => {
                let place = self.place(path);
                let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists());
                let directory = parent.map(shown);
                Err(Finding::Missing { path: name, near: hints::near_in_directory(&place), directory })
            }
            Err(finding) => Err(finding),
        }
    }

    /// Is it there, a file, and may it be executed?
    fn file(&self, path: &Path) -> Result<(), Finding> {
        let place = self.place(path);
        let name = || shown(&place);
        let metadata = std::fs::metadata(&*place).map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT) => match std::fs::read_link(&*place) {
                Ok(target) => Finding::BrokenLink { path: name(), target: shown(&target) },
                Err(_) => Finding::Missing { path: name(), near: Vec::new(), directory: None },
            },
            errno => Finding::Unreachable { path: name(), errno: errno.unwrap_or(libc::EINVAL) },
        })?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            return Err(Finding::Directory { path: name() });
        }
        if !kind.is_file() {
            let kind = match () {
                () if kind.is_fifo() => "a named pipe",
                () if kind.is_socket() => "a socket",
                () => "a device",
            };
            return Err(Finding::NotAFile { path: name(), kind });
        }
        if !self.may_execute(&place, &metadata) {
            // access(2) refuses on such a mount, too, whatever the mode bits say.
            if metadata.mode() & 0o111 != 0 {
                not_on_noexec(&place)?;
            }
            let uid = self.who.map(|(uid, _)| uid);
            return Err(Finding::NoExecuteBit { path: name(), mode: metadata.mode(), uid });
        }
        self.closed_directory(&place)
    }

    /// Whether the mode bits, and for the launcher's own user all the rest too, allow it.
    fn may_execute(&self, path: &Path, metadata: &Metadata) -> bool {
        match self.who {
            None => nix::unistd::faccessat(AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS).is_ok(),
            Some(who) => allowed(metadata, who) || hints::has_acl(path),
        }
    }

    /// Another user may be kept out by a directory on the way.
    fn closed_directory(&self, place: &Path) -> Result<(), Finding> {
        let Some((uid, groups)) = self.who else { return Ok(()) };
        for directory in place.ancestors().skip(1).filter(|directory| !directory.as_os_str().is_empty()) {
            let open = std::fs::metadata(directory)
                .map_or(true, |metadata| allowed(&metadata, (uid, groups)) || hints::has_acl(directory));
            if !open {
                return Err(Finding::ClosedDirectory { path: shown(place), directory: shown(directory), uid });
            }
        }
        Ok(())
    }

    /// Is what is in it a program?
    fn contents(&self, path: &Path, depth: usize) -> Result<(), Finding> {
        let place = self.place(path);
        not_on_noexec(&place)?;
        // A program may be executable and not readable: then only the try can tell.
        let Ok((file, head)) = read_head(&place) else { return Ok(()) };
        let found = match head.kind(&file) {
            Ok(Kind::Elf { loader: Some(loader) }) => self.loader(&place, &loader),
            Ok(Kind::Elf { loader: None }) => Ok(()),
            Ok(Kind::Script { interpreter, argument }) => self.script(&place, &interpreter, &argument, depth),
            Err(Wrong::Format(format)) => Err(Finding::Format { path: shown(&place), format }),
            Err(Wrong::Architecture(made_for)) => {
                let host = std::env::consts::ARCH;
                Err(Finding::WrongArchitecture { path: shown(&place), made_for, host })
            }
        };
        match found {
            Err(Finding::Format { .. } | Finding::WrongArchitecture { .. })
                if hints::has_handler(&place, head.bytes()) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    fn loader(&self, program: &Path, loader: &[u8]) -> Result<(), Finding> {
        let path = Path::new(OsStr::from_bytes(loader));
        match std::fs::metadata(self.place(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Finding::LoaderMissing { path: shown(program), loader: shown(path) })
            }
            _ => Ok(()),
        }
    }

    fn script(&self, script: &Path, interpreter: &[u8], argument: &[u8], depth: usize) -> Result<(), Finding> {
        let path = shown(script);
        if depth + 1 >= DEPTH {
            return Err(Finding::Format { path, format: BadFormat::ScriptLoop });
        }
        let interpreter = Path::new(OsStr::from_bytes(interpreter));
        self.program(interpreter, depth + 1).map_err(|finding| match finding {
            Finding::Missing { .. } => {
                Finding::InterpreterMissing { path: path.clone(), interpreter: shown(interpreter) }
            }
            // The one that went round is named itself.
            Finding::Format { format: BadFormat::ScriptLoop, .. } => finding,
            other => Finding::Interpreter { path: path.clone(), finding: Box::new(other) },
        })?;
        match env_target(interpreter, argument) {
            Some(target) => self.env_target(&path, target),
            None => Ok(()),
        }
    }

    /// What `env` is to find for a script.
    fn env_target(&self, script: &str, target: &OsStr) -> Result<(), Finding> {
        match self.command(target) {
            Err(Finding::NotOnPath { command, near, .. }) => {
                Err(Finding::EnvTargetMissing { path: script.to_owned(), target: command, near })
            }
            Err(other) => Err(Finding::Interpreter { path: script.to_owned(), finding: Box::new(other) }),
            Ok(_) => Ok(()),
        }
    }

    /// Where a path leads before the change of directory.
    fn place<'a>(&self, path: &'a Path) -> Cow<'a, Path> {
        match self.directory {
            // Through the components, which leaves out a `.` in the middle.
            Some(directory) if path.is_relative() => Cow::Owned(directory.join(path).components().collect()),
            _ => Cow::Borrowed(path),
        }
    }
}

fn not_on_noexec(path: &Path) -> Result<(), Finding> {
    match statvfs(path) {
        Ok(system) if system.flags().contains(FsFlags::ST_NOEXEC) => {
            Err(Finding::NoExecMount { path: shown(path), mount: hints::mount_of(path) })
        }
        _ => Ok(()),
    }
}

fn read_head(path: &Path) -> io::Result<(File, Head)> {
    // Whatever has come into its place since the look: the open shall not wait.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let length = file.metadata()?.len();
    let head = Head::read(&file, length)?;
    Ok((file, head))
}

/// Whether the mode bits let this user execute a file, or enter a directory. Root needs an x bit only for files.
fn allowed(metadata: &Metadata, who: (u32, &[u32])) -> bool {
    has_bit(metadata, who, Bit::Execute)
}

/// A bit of a file's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bit {
    /// It may be read.
    Read,
    /// It may be executed, or a directory entered.
    Execute,
}

/// Whether the user may do so by the mode of the file; one with an access list is taken to permit it.
pub fn permits(path: &Path, metadata: &Metadata, who: (u32, &[u32]), bit: Bit) -> bool {
    has_bit(metadata, who, bit) || hints::has_acl(path)
}

fn has_bit(metadata: &Metadata, (uid, groups): (u32, &[u32]), bit: Bit) -> bool {
    let mode = if bit == Bit::Read { metadata.mode() >> 2 } else { metadata.mode() };
    let bits = match () {
        () if uid == 0 && (bit == Bit::Read || metadata.is_dir()) => return true,
        () if uid == 0 => 0o111,
        () if metadata.uid() == uid => 0o100,
        () if groups.contains(&metadata.gid()) => 0o010,
        () => 0o001,
    };
    mode & bits != 0
}

/// The program that `#!/usr/bin/env …` looks for on PATH, when that can be told.
fn env_target<'a>(interpreter: &Path, argument: &'a [u8]) -> Option<&'a OsStr> {
    if interpreter.file_name() != Some(OsStr::new("env")) || argument.is_empty() {
        return None;
    }
    // Without -S the whole rest of the line is one word for env.
    let target = match argument.strip_prefix(b"-S") {
        Some(rest) => {
            let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.find(|word| !word.contains(&b'='))?
        }
        None => argument,
    };
    let plain = !target.starts_with(b"-") && !target.iter().any(|byte| b"='\"\\$".contains(byte));
    plain.then(|| OsStr::from_bytes(target))
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
