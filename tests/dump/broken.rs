//! Processes that are broken, or that somebody else has a hand on: the dump ends, with what can be told.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use launcher::core::facts::{FoundBy, ProcessFacts};
use launcher::sys::dump::{self, Options};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::rights::{dumped_in_docker, is_root};
use crate::victim::{Victim, dumped, frame, functions, line_of, needs, options, until};

fn start(flags: &[&str], arguments: &[&str]) -> Victim {
    let flags = [&["-g"], flags].concat();
    Victim::start_with("shapes.c", &flags, |command| {
        command.args(arguments);
    })
    .ready(1)
}

#[test]
fn a_jump_to_nowhere_leads_back_to_who_jumped() {
    // Null, not mapped, not canonical, and data.
    for address in ["0", "123456789000", "4141414141414141", "7fffffffe000"] {
        for optimisation in ["-O0", "-O2"] {
            let victim = start(&[optimisation], &["jump", address]);
            let process = dumped(victim.pid());
            let thread = &process.threads[0];
            let names = functions(thread);
            let at = |name: &str| names.iter().position(|other| *other == name);
            let handled = at("<signal handler called>").unwrap_or_else(|| panic!("{address}: {names:?}"));
            let jumped = at("jump").unwrap_or_else(|| panic!("{address}: {names:?}"));
            let expected = u64::from_str_radix(address, 16).unwrap();
            // A processor does not even go to an address that is not canonical.
            let gone = usize::from(expected >> 47 == 0);
            assert_eq!(handled + 1 + gone, jumped, "{address}: {names:?}");
            if gone == 1 {
                let nowhere = &thread.frames[handled + 1];
                assert_eq!((nowhere.address, &nowhere.module, &nowhere.function), (expected, &None, &None));
                assert_eq!(thread.frames[jumped].found, FoundBy::Guess);
            }
            assert_eq!(frame(thread, "jump").line, Some(line_of("shapes.c", "in jump")));
            assert!(names.contains(&"main"), "{names:?}");
        }
    }
}

/// A program that calls through code in a file that looks like this.
fn with_mapped(contents: &[u8]) -> (Victim, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut bytes = contents.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4096), 0x90);
    let offset = bytes.len();
    // push rbp; mov rbp, rsp; call rdi; pop rbp; ret
    bytes.extend([0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3]);
    bytes.resize(offset + 4096, 0x90);
    std::fs::write(file.path(), &bytes).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (start(&["-O0"], &["mapped", &offset.to_string(), &path]), file)
}

#[test]
fn a_file_that_is_no_program_or_a_broken_one_does_no_harm() {
    let whole = std::fs::read("/proc/self/exe").unwrap()[..1 << 20].to_vec();
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut files: Vec<Vec<u8>> = vec![b"noise".to_vec(), whole[..64].to_vec(), whole[..5000].to_vec(), whole.clone()];
    for _ in 0..4 {
        let mut broken = whole.clone();
        // The headers, and the tables that they lead to.
        for _ in 0..200 {
            let within = if next() % 2 == 0 { 1024 } else { broken.len() as u64 };
            let at = (next() % within) as usize;
            if at >= 4 {
                broken[at] = next() as u8;
            }
        }
        files.push(broken);
    }
    for contents in files {
        let (victim, _file) = with_mapped(&contents);
        let process = dumped(victim.pid());
        let names = functions(&process.threads[0]);
        assert!(names.contains(&"wait_for_input") && names.contains(&"from_jit"), "{names:?}");
        assert!(process.threads[0].frames.len() < 60, "{names:?}");
    }
}

#[test]
fn a_file_that_was_cut_off_since_does_no_harm() {
    let whole = std::fs::read("/proc/self/exe").unwrap()[..1 << 20].to_vec();
    let (victim, file) = with_mapped(&whole);
    for length in [1 << 19, 4096, 100, 0] {
        file.as_file().set_len(length).unwrap();
        let names_of = dumped(victim.pid());
        let names = functions(&names_of.threads[0]);
        assert!(names.contains(&"wait_for_input") && names.contains(&"from_jit"), "{length}: {names:?}");
    }
}

/// A library whose only function has this frame size, so that the call frame information of another would mislead.
fn library(path: &Path, space: usize) {
    let source = format!(
        "void through(void (*f)(void)) {{ volatile char space[{space}]; space[0] = 1; f(); space[1] = 2; }}\n\
         void other_{space}(void) {{}}\n"
    );
    let file = path.with_extension("c");
    std::fs::write(&file, source).unwrap();
    let flags = ["-shared", "-fPIC", "-g", "-O1", "-Wl,--build-id=none", "-fomit-frame-pointer", "-o"];
    assert!(Command::new("cc").args(flags).arg(path).arg(&file).status().unwrap().success());
}

#[track_caller]
fn goes_through_to_main(process: &ProcessFacts) {
    let names = functions(&process.threads[0]);
    let at = |name: &str| names.iter().position(|other| *other == name).unwrap_or_else(|| panic!("{names:?}"));
    assert!(at("wait_for_input") < at("into_library") && at("into_library") < at("main"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("other")), "{names:?}");
}

#[test]
fn a_library_that_was_replaced_since_does_not_mislead() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("lib.so"), folder.path().join("new.so"));
    library(&old, 100);
    let victim = start(&["-O1"], &["library", old.to_str().unwrap()]);
    library(&new, 5000);
    std::fs::rename(&new, &old).unwrap();
    let process = dumped(victim.pid());
    goes_through_to_main(&process);
    if is_root() {
        // Without the privilege to open what is mapped, its own call frames are read from memory.
        let process = dumped_in_docker_as_child(&old);
        goes_through_to_main(&process);
        let by = |frame: &launcher::core::facts::Frame| frame.module.as_ref().is_some_and(|m| m.ends_with("lib.so"));
        let inside = process.threads[0].frames.iter().find(|frame| by(frame)).unwrap();
        assert!(inside.function.as_deref().is_none_or(|name| name == "through"), "{inside:?}");
    }
}

/// The same with a victim and a launcher that have Docker's capabilities.
fn dumped_in_docker_as_child(path: &Path) -> ProcessFacts {
    library(path, 100);
    let path = path.to_owned();
    let victim = Victim::start_with("shapes.c", &["-g", "-O1"], |command| {
        let program = command.get_program().to_owned();
        let mut with = Command::new("setpriv");
        with.args(["--bounding-set=-sys_ptrace,-sys_admin,-checkpoint_restore", "--inh-caps=-all"]);
        with.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg("library").arg(&path);
        for folder in [Path::new(&program).parent().unwrap(), path.parent().unwrap()] {
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(folder, open).unwrap();
        }
        *command = with;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
    })
    .ready(1);
    let new = path.with_file_name("new.so");
    library(&new, 5000);
    std::fs::rename(&new, &path).unwrap();
    dumped_in_docker(victim.pid())
}

#[test]
fn a_program_that_was_replaced_since_has_its_own_names() {
    let victim = start(&["-O1"], &["wait"]);
    let other = victim.program.with_extension("new");
    std::fs::copy("/bin/true", &other).unwrap();
    std::fs::rename(&other, &victim.program).unwrap();
    let process = dumped(victim.pid());
    assert_eq!(frame(&process.threads[0], "wait_for_input").line, Some(line_of("shapes.c", "in wait_for_input")));
}

#[test]
fn tens_of_thousands_of_mappings_are_read() {
    let most: usize = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    let count = 65_000.min(most - 500);
    let victim = start(&["-O0"], &["mappings", &count.to_string()]);
    let begun = Instant::now();
    let process = dumped(victim.pid());
    println!("{count} mappings: {:?}", begun.elapsed());
    assert_eq!(process.dump_error, None);
    let names = functions(&process.threads[0]);
    assert!(names.contains(&"many_mappings") && names.contains(&"main"), "{names:?}");
}

/// gdb, which holds the process until it is dropped.
struct Debugger(Child);

impl Debugger {
    fn of(pid: i32) -> Debugger {
        let mut gdb = Command::new("gdb");
        gdb.args(["-nx", "-q", "-p", &pid.to_string()]).stdin(Stdio::piped()).stdout(Stdio::null());
        let debugger = Debugger(gdb.stderr(Stdio::null()).spawn().unwrap());
        until(|| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(')').unwrap().1.starts_with(" t")
        });
        debugger
    }
}

impl Drop for Debugger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_under_a_debugger_is_read_and_left_to_it() {
    if !needs("gdb", "gdb") {
        return;
    }
    let victim = start(&["-O0"], &["wait"]);
    let debugger = Debugger::of(victim.pid());
    let process = dumped(victim.pid());
    let thread = &process.threads[0];
    assert_eq!((thread.state, process.paused_ms, &process.dump_error), ('t', 0.0, &None));
    assert!(functions(thread).contains(&"main"), "{:?}", functions(thread));
    let status = std::fs::read_to_string(format!("/proc/{}/status", victim.pid())).unwrap();
    assert!(status.contains(&format!("TracerPid:\t{}\n", debugger.0.id())), "{status}");
}

/// A file system whose server answers nothing: whatever is asked of it hangs.
struct Hanging {
    folder: PathBuf,
    device: Option<std::fs::File>,
}

impl Hanging {
    fn at(folder: PathBuf) -> Option<Hanging> {
        std::fs::create_dir_all(&folder).unwrap();
        let device = std::fs::File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let data = Some(data.as_str());
        mount(Some("hanging"), &folder, Some("fuse"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, data).ok()?;
        Some(Hanging { folder, device: Some(device) })
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        // Without its server it gives up.
        self.device = None;
        let _ = umount2(&self.folder, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_file_that_hangs_costs_no_more_than_its_own_names() {
    if !is_root() {
        return;
    }
    let victim = Victim::start_with("shapes.c", &["-g", "-O1", "-Wl,--build-id=none"], |command| {
        let program = command.get_program().to_str().unwrap().to_owned();
        let folder = Path::new(&program).parent().unwrap();
        let debug = folder.join("shapes.debug");
        let run = |arguments: &[&str]| assert!(Command::new("objcopy").args(arguments).status().unwrap().success());
        run(&["--only-keep-debug", &program, debug.to_str().unwrap()]);
        run(&["--strip-debug", &program]);
        run(&[&format!("--add-gnu-debuglink={}", debug.display()), &program]);
        std::fs::remove_file(debug).unwrap();
        command.arg("wait");
    })
    .ready(1);
    let Some(_hanging) = Hanging::at(victim.program.parent().unwrap().join(".debug")) else {
        eprintln!("skipped: needs /dev/fuse and the right to mount");
        return;
    };
    let begun = Instant::now();
    // Time for the other names, on a machine that does other things; that file takes all of it.
    let process = dump::dump(&[victim.pid()], &Options { deadline: Duration::from_secs(3), ..options() }).remove(0);
    println!("after {:?}: {:?}", begun.elapsed(), process.dump_error);
    assert!(process.dump_error.as_ref().unwrap().contains("before all frames had names"), "{:?}", process.dump_error);
    // Its symbols need no debug file, nor do those of the C library.
    let names = functions(&process.threads[0]);
    assert!(names.contains(&"wait_for_input") && names.contains(&"main"), "{names:?}");
    assert!(names.iter().any(|name| name.contains("libc_start")), "{names:?}");
}
