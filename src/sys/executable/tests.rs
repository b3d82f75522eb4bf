use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::core::facts::ExecProblem;

/// A directory of programs in every condition.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Bench(directory)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn failure(&self, path: &Path) -> ExecFailure {
        examine(path.as_os_str(), OsStr::new("/usr/bin:/bin"), None, None).unwrap_err()
    }

    /// The kernel's own word: whether execve(2) gets as far as a new program.
    fn kernel_executes(&self, path: &Path) -> bool {
        // A program that starts may end as it likes.
        let child = std::process::Command::new(path).stdout(std::process::Stdio::null()).spawn();
        child.and_then(|mut child| child.wait()).is_ok()
    }
}

/// A minimal ELF program of this machine, whose first bytes a test changes.
fn elf(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0_u8; 64 + 56];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16..18].copy_from_slice(&2_u16.to_le_bytes());
    let machine: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[20] = 1;
    bytes[24..32].copy_from_slice(&0x40_0078_u64.to_le_bytes());
    bytes[32] = 64;
    bytes[52] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    // One segment to load: the file, readable and executable, at 0x400000.
    bytes[64] = 1;
    bytes[68] = 5;
    for (at, value) in [(72, 0_u64), (80, 0x40_0000), (88, 0x40_0000), (96, 120), (104, 120), (112, 4096)] {
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    change(&mut bytes);
    bytes
}

fn loader(name: &str) -> Vec<u8> {
    elf(|bytes| {
        // The segment is an interpreter's name behind the headers.
        bytes[64] = 3;
        bytes[72] = 120;
        let length = name.len() as u64 + 1;
        bytes[96..104].copy_from_slice(&length.to_le_bytes());
        bytes[104..112].copy_from_slice(&length.to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.push(0);
    })
}

#[test]
fn usual_programs_pass() {
    let path = std::env::var_os("PATH").unwrap();
    for command in ["true", "sh", "/bin/sh", "env"] {
        assert!(examine(OsStr::new(command), &path, None, None).is_ok(), "{command}");
    }
    let own = std::env::current_exe().unwrap();
    assert_eq!(examine(own.as_os_str(), OsStr::new(""), None, None).unwrap(), own);
    let bench = Bench::new();
    for (name, content) in [
        ("sh", "#!/bin/sh\n"),
        ("blanks", "#! \t/bin/sh -e \n"),
        ("env", "#!/usr/bin/env sh\n"),
        ("split", "#!/usr/bin/env -S A=b sh -e\n"),
        ("options", "#!/usr/bin/env -i sh\n"),
        ("no-newline", "#!/bin/sh"),
    ] {
        let path = bench.put(name, content);
        assert!(examine(path.as_os_str(), OsStr::new("/usr/bin:/bin"), None, None).is_ok(), "{name}");
    }
}

#[test]
fn each_fault_is_told_by_its_kind_and_the_kernel_agrees() {
    let bench = Bench::new();
    bench.put("dir/x", "");
    symlink("/nonexistent/target", bench.at("link")).unwrap();
    nix::unistd::mkfifo(&bench.at("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o755)).unwrap();
    let plain = bench.put("plain", "#!/bin/sh\n");
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).unwrap();
    bench.put("bad-interpreter", "#!/nonexistent/interpreter -x\n");
    bench.put("crlf", "#!/bin/sh\r\necho\r\n");
    bench.put("script-of-bad", format!("#!{}\n", bench.at("bad-interpreter").display()));
    bench.put("script-of-plain", format!("#!{}\n", plain.display()));
    bench.put("loop", format!("#!{}\n", bench.at("loop").display()));
    let other: u16 = if cfg!(target_arch = "aarch64") { 62 } else { 183 };
    bench.put("foreign", elf(|bytes| bytes[18..20].copy_from_slice(&other.to_le_bytes())));
    bench.put("musl", loader("/lib/ld-musl-nonexistent.so.1"));
    bench.put("glibc", loader("/nonexistent/ld-linux-x86-64.so.2"));
    bench.put("short-elf", &elf(|_| ())[..40]);
    bench.put("object", elf(|bytes| bytes[16] = 1));
    bench.put("core", elf(|bytes| bytes[16] = 4));
    bench.put("empty", "");
    bench.put("text", "echo hello\n");
    bench.put("bom", "\u{feff}#!/bin/sh\n");
    bench.put("bare", "#!\n");
    bench.put("windows", "MZ\x00\x03");
    bench.put("jar", "PK\x03\x04");
    bench.put("noise", [0_u8, 1, 2, 3, 0xff]);
    for (name, problem, words) in [
        ("absent", ExecProblem::NotFound, "does not exist"),
        ("no-such-dir/absent", ExecProblem::NotFound, "nor does"),
        ("dir", ExecProblem::IsDirectory, "is a directory"),
        ("link", ExecProblem::NotFound, "symbolic link to /nonexistent/target"),
        ("plain/x", ExecProblem::NotFound, "not a directory"),
        ("fifo", ExecProblem::NotExecutable, "named pipe"),
        ("plain", ExecProblem::NotExecutable, "mode 0644"),
        ("bad-interpreter", ExecProblem::InterpreterMissing, "asks for /nonexistent/interpreter"),
        ("crlf", ExecProblem::InterpreterMissing, "CR LF"),
        ("script-of-bad", ExecProblem::InterpreterMissing, "asks for /nonexistent/interpreter"),
        ("script-of-plain", ExecProblem::NotExecutable, "mode 0644"),
        ("loop", ExecProblem::BadFormat, "too often"),
        ("foreign", ExecProblem::WrongArchitecture, "but this host is"),
        ("musl", ExecProblem::LoaderMissing, "made for musl"),
        ("glibc", ExecProblem::LoaderMissing, "made for glibc"),
        ("short-elf", ExecProblem::BadFormat, "cut off"),
        ("object", ExecProblem::BadFormat, "not linked"),
        ("core", ExecProblem::BadFormat, "core dump"),
        ("empty", ExecProblem::BadFormat, "empty"),
        ("text", ExecProblem::BadFormat, "interpreter"),
        ("bom", ExecProblem::BadFormat, "byte order mark"),
        ("bare", ExecProblem::BadFormat, "without an interpreter"),
        ("windows", ExecProblem::BadFormat, "Windows"),
        ("jar", ExecProblem::BadFormat, "JAR"),
        ("noise", ExecProblem::BadFormat, "neither"),
    ] {
        let failure = bench.failure(&bench.at(name));
        assert_eq!(failure.problem, problem, "{name}: {failure:?}");
        assert!(failure.summary.contains(words), "{name}: {}", failure.summary);
        assert!(!bench.kernel_executes(&bench.at(name)), "{name} is refused without need");
    }
}

#[test]
fn an_env_script_without_its_program_is_told_with_names_like_it() {
    let bench = Bench::new();
    bench.put("bin/python3", "#!/bin/sh\n");
    let path = OsStr::new(bench.at("bin").as_os_str()).to_owned();
    for (name, content, target) in [
        ("plain", "#!/usr/bin/env python\n", "python"),
        ("split", "#!/usr/bin/env -S python -u\n", "python"),
        ("one-word", "#!/usr/bin/env python3 -u\n", "python3 -u"),
    ] {
        let script = bench.put(name, content);
        let failure = examine(script.as_os_str(), &path, None, None).unwrap_err();
        assert_eq!(failure.problem, ExecProblem::InterpreterMissing);
        assert!(failure.summary.contains(&format!("asks env for {target}")), "{}", failure.summary);
        assert!(name == "one-word" || failure.advice[0] == "did you mean python3?", "{:?}", failure.advice);
    }
    let script = bench.put("crlf", "#!/usr/bin/env python3\r\n");
    assert!(examine(script.as_os_str(), &path, None, None).unwrap_err().summary.contains("CR LF"));
}

#[test]
fn path_is_searched_as_execvp_does() {
    let bench = Bench::new();
    bench.put("a/tool", "#!/bin/sh\n");
    bench.put("b/tool", "#!/bin/sh\n");
    bench.put("c/tool/x", "");
    let plain = bench.put("d/tool", "#!/bin/sh\n");
    std::fs::set_permissions(plain, std::fs::Permissions::from_mode(0o600)).unwrap();
    let search = |directories: &[&str], command: &str| {
        let path = std::env::join_paths(directories.iter().map(|name| bench.at(name))).unwrap();
        examine(OsStr::new(command), &path, None, None)
    };
    assert_eq!(search(&["none", "c", "d", "b", "a"], "tool").unwrap(), bench.at("b/tool"));
    assert_eq!(search(&["none", "d"], "tool").unwrap_err().problem, ExecProblem::NotExecutable);
    let failure = search(&["none", "a"], "tolo").unwrap_err();
    assert_eq!(failure.problem, ExecProblem::NotFound);
    assert_eq!(failure.summary, "tolo was not found in any of the 2 directories of PATH");
    assert_eq!(failure.advice, ["did you mean tool?"]);
    assert!(examine(OsStr::new(""), OsStr::new("/bin"), None, None).is_err());
    assert!(examine(OsStr::new("tool"), OsStr::new(""), None, None).unwrap_err().summary.contains("PATH is empty"));
}

#[test]
fn relative_paths_start_in_the_services_directory() {
    let bench = Bench::new();
    bench.put("srv/api", "#!/bin/sh\n");
    bench.put("srv/bin/tool", "#!/bin/sh\n");
    let srv = bench.at("srv");
    let look = |command: &str, path: &str| examine(OsStr::new(command), OsStr::new(path), Some(&srv), None);
    assert_eq!(look("./api", "").unwrap(), Path::new("./api"));
    assert_eq!(look("tool", "bin").unwrap(), Path::new("bin/tool"));
    assert_eq!(look("api", ":/bin").unwrap(), Path::new("./api"));
    let failure = look("./apj", "").unwrap_err();
    assert_eq!(failure.summary, format!("{} does not exist", srv.join("apj").display()));
    assert_eq!(failure.advice, [format!("did you mean {}?", srv.join("api").display())]);
    assert_eq!(look("api", "/bin").unwrap_err().advice[0], "it is in the service's directory: write ./api");
}

#[test]
fn the_working_directory_is_looked_at_first() {
    let bench = Bench::new();
    let file = bench.put("file", "");
    for (directory, errno) in [(bench.at("absent"), libc::ENOENT), (file, libc::ENOTDIR)] {
        let failure = examine(OsStr::new("sh"), OsStr::new("/bin"), Some(&directory), None).unwrap_err();
        assert_eq!((failure.problem, failure.errno), (ExecProblem::Directory, Some(errno)));
    }
    let closed = bench.at("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    let stranger = Some((54321, &[54321_u32][..]));
    let failure = examine(OsStr::new("sh"), OsStr::new("/bin"), Some(&closed), stranger).unwrap_err();
    assert!(failure.summary.contains("uid 54321"), "{}", failure.summary);
}

#[test]
fn another_users_rights_are_looked_at() {
    let bench = Bench::new();
    let program = bench.put("own/api", "#!/bin/sh\n");
    let metadata = std::fs::metadata(&program).unwrap();
    let stranger = (54321, &[54321_u32][..]);
    let as_user = |mode: u32, who: (u32, &[u32])| {
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).unwrap();
        examine(program.as_os_str(), OsStr::new(""), None, Some(who)).map_err(|failure| failure.summary)
    };
    assert!(as_user(0o755, stranger).is_ok());
    assert!(as_user(0o750, stranger).unwrap_err().contains("may not be executed by uid 54321 (mode 0750)"));
    assert!(as_user(0o750, (54321, &[metadata.gid()])).is_ok());
    assert!(as_user(0o700, (metadata.uid(), &[])).is_ok());
    assert!(as_user(0o655, (metadata.uid(), &[])).is_err() || metadata.uid() == 0);
    assert!(as_user(0o644, (0, &[])).is_err(), "root needs an x bit, too");
    std::fs::set_permissions(bench.at("own"), std::fs::Permissions::from_mode(0o700)).unwrap();
    assert!(as_user(0o755, stranger).unwrap_err().ends_with("own may not be entered"));
}

#[test]
fn a_program_that_may_not_be_read_is_left_to_the_kernel() {
    let bench = Bench::new();
    let program = bench.put("secret", "#!/bin/sh\n");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o111)).unwrap();
    assert!(examine(program.as_os_str(), OsStr::new(""), None, None).is_ok());
}

#[test]
fn a_cut_off_program_is_told_with_its_lengths() {
    let bench = Bench::new();
    let whole = std::fs::read("/bin/true").unwrap();
    let program = bench.put("cut", &whole[..whole.len() / 2]);
    let failure = bench.failure(&program);
    assert_eq!(failure.problem, ExecProblem::BadFormat);
    assert!(failure.summary.contains(&format!("cut off: {} bytes", whole.len() / 2)), "{}", failure.summary);
}

#[test]
fn a_noexec_mount_is_named() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can mount");
        return;
    }
    use nix::mount::{MsFlags, mount};
    let bench = Bench::new();
    let at = bench.at("mnt");
    std::fs::create_dir(&at).unwrap();
    // A mount namespace of this thread's own.
    let test = || -> nix::Result<ExecFailure> {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::MS_NOEXEC, None::<&str>)?;
        Ok(bench.failure(&bench.put("mnt/api", "#!/bin/sh\n")))
    };
    match std::thread::scope(|scope| scope.spawn(test).join().unwrap()) {
        Err(error) => eprintln!("skipped: no mount namespace here: {error}"),
        Ok(failure) => {
            assert_eq!(failure.problem, ExecProblem::NoExecMount);
            assert!(failure.summary.contains(&format!("({})", at.display())), "{}", failure.summary);
        }
    }
}

#[test]
fn errors_are_called_by_the_kernels_names() {
    for number in 1..=133 {
        let name = crate::core::errno::name(number);
        let known = nix::errno::Errno::from_raw(number);
        assert!(name == format!("errno {number}") || name == format!("{known:?}"), "{number}: {name}");
    }
}
