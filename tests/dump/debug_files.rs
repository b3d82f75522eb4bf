//! Names, files and lines of programs whose debug information is kept apart, compressed, or nearly gone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use launcher::core::facts::{Frame, ProcessFacts};

use crate::victim::{Victim, dumped, frame, functions, line_of, needs, thread_in};

/// The victim waits in a function of its own that is no dynamic symbol.
fn start(flags: &[&str], change: impl FnOnce(&Path)) -> Victim {
    Victim::start_with("shapes.c", flags, |command| {
        change(Path::new(command.get_program()));
        command.arg("wait");
    })
    .ready(1)
}

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Moves the debug information of `program` into `debug` and leaves a link to it.
fn split(program: &Path, debug: &Path) {
    std::fs::create_dir_all(debug.parent().unwrap()).unwrap();
    run("objcopy", &["--only-keep-debug", text(program), text(debug)]);
    run("strip", &["-s", text(program)]);
    run("objcopy", &[&format!("--add-gnu-debuglink={}", text(debug)), text(program)]);
}

fn beside(program: &Path, place: &str) -> PathBuf {
    program.parent().unwrap().join(place)
}

#[track_caller]
fn has_its_line(process: &ProcessFacts) {
    let here = frame(&process.threads[0], "wait_for_input");
    assert_eq!(here.line, Some(line_of("shapes.c", "in wait_for_input")), "{here:?}");
    assert!(here.file.as_ref().unwrap().ends_with("/shapes.c"), "{here:?}");
    assert_eq!(frame(&process.threads[0], "main").language.as_deref(), Some("c"));
}

/// Frames of the program itself.
fn own(process: &ProcessFacts) -> Vec<&Frame> {
    let own = |frame: &&Frame| frame.module.as_ref().is_some_and(|module| module.ends_with("/shapes"));
    process.threads[0].frames.iter().filter(own).collect()
}

/// A file or folder below /usr/lib/debug that goes away with the test.
struct Installed(PathBuf);

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0).or_else(|_| std::fs::remove_file(&self.0));
    }
}

const NO_ID: [&str; 3] = ["-g", "-O1", "-Wl,--build-id=none"];

#[test]
fn a_debug_link_leads_beside_the_program_and_into_its_debug_folder() {
    for place in ["shapes.debug", ".debug/shapes.debug"] {
        let victim = start(&NO_ID, |program| split(program, &beside(program, place)));
        has_its_line(&dumped(victim.pid()));
    }
}

#[test]
fn a_debug_file_of_another_build_is_not_believed() {
    for (flags, what) in [(&NO_ID[..], "by its checksum"), (&["-g", "-O1"], "by its build id")] {
        let victim = start(flags, |program| {
            let debug = beside(program, "shapes.debug");
            split(program, &debug);
            let (other, source) = (beside(program, "other"), crate::victim::source("shapes.c"));
            run("cc", &["-g", "-O0", "-pthread", "-Wl,--build-id=sha1", "-o", text(&other), text(&source)]);
            run("objcopy", &["--only-keep-debug", text(&other), text(&debug)]);
        });
        let process = dumped(victim.pid());
        let own = own(&process);
        assert!(
            own.len() >= 2 && own.iter().all(|frame| frame.file.is_none() && frame.line.is_none()),
            "{what}: {own:#?}"
        );
        assert!(!functions(&process.threads[0]).contains(&"main"), "{what}: {own:#?}");
    }
}

#[test]
fn debug_files_are_found_where_distributions_put_them() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root to write below /usr/lib/debug");
        return;
    }
    let mut installed = Vec::new();
    let victim = start(&NO_ID, |program| {
        let folder = PathBuf::from(format!("/usr/lib/debug{}", text(program.parent().unwrap())));
        installed.push(Installed(folder.clone()));
        split(program, &folder.join("shapes.debug"));
    });
    has_its_line(&dumped(victim.pid()));
    let victim = start(&["-g", "-O1", "-Wl,--build-id=0xfeed0123456789abcdef"], |program| {
        let debug = PathBuf::from("/usr/lib/debug/.build-id/fe/ed0123456789abcdef.debug");
        std::fs::create_dir_all(debug.parent().unwrap()).unwrap();
        installed.push(Installed(debug.clone()));
        run("objcopy", &["--only-keep-debug", text(program), text(&debug)]);
        run("strip", &["-s", text(program)]);
    });
    has_its_line(&dumped(victim.pid()));
}

#[test]
fn a_debug_file_in_the_file_system_of_the_process_is_found_there() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root to change the root");
        return;
    }
    let flags = ["-g", "-O1", "-static", "-Wl,--build-id=none"];
    let victim = Victim::start_with("shapes.c", &flags, |command| {
        let program = PathBuf::from(command.get_program());
        let root = program.parent().unwrap();
        split(&program, &root.join("usr/lib/debug/shapes.debug"));
        let mut inside = Command::new("chroot");
        inside.arg(root).args(["/shapes", "wait"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        *command = inside;
    })
    .ready(1);
    has_its_line(&dumped(victim.pid()));
}

#[test]
fn compressed_sections_are_read() {
    for kind in ["zlib", "zstd"] {
        let victim = start(&["-g", "-O1"], |program| {
            run("objcopy", &[&format!("--compress-debug-sections={kind}"), text(program)]);
        });
        has_its_line(&dumped(victim.pid()));
        // In a debug file of its own, too.
        let victim = start(&NO_ID, |program| {
            run("objcopy", &[&format!("--compress-debug-sections={kind}"), text(program)]);
            split(program, &beside(program, "shapes.debug"));
        });
        has_its_line(&dumped(victim.pid()));
    }
}

#[test]
fn a_package_of_split_debug_information_is_read() {
    if !needs("dwp", "binutils") {
        return;
    }
    // binutils' dwp does not know DWARF 5.
    let victim = start(&["-gdwarf-4", "-gsplit-dwarf", "-O1"], |program| {
        run("dwp", &["-e", text(program), "-o", text(&beside(program, "shapes.dwp"))]);
        remove(program.parent().unwrap(), "dwo");
    });
    has_its_line(&dumped(victim.pid()));
    let victim = Victim::start("parked.rs", &["-g", "-Csplit-debuginfo=packed"]).ready(5);
    assert!(victim.program.with_extension("dwp").is_file());
    let process = dumped(victim.pid());
    let here = frame(thread_in(&process, "parked::wait_for_mutex"), "parked::wait_for_mutex");
    assert_eq!(here.line, Some(line_of("parked.rs", "in wait_for_mutex")));
}

fn remove(folder: &Path, ending: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|other| other == ending) {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn without_its_split_debug_information_a_program_still_has_names() {
    let victim = start(&["-gdwarf-5", "-gsplit-dwarf", "-O1"], |program| {
        remove(program.parent().unwrap(), "dwo");
    });
    let process = dumped(victim.pid());
    frame(&process.threads[0], "wait_for_input");
    frame(&process.threads[0], "main");
}

#[test]
fn symbols_compressed_into_a_stripped_program_are_read() {
    if !needs("xz", "xz-utils") {
        return;
    }
    let victim = start(&["-O1", "-fno-inline"], |program| {
        let mini = beside(program, "mini");
        run("objcopy", &["--only-keep-debug", text(program), text(&mini)]);
        run("strip", &["-s", text(program)]);
        run("xz", &["--check=crc32", text(&mini)]);
        run("objcopy", &["--add-section", &format!(".gnu_debugdata={}.xz", text(&mini)), text(program)]);
    });
    let process = dumped(victim.pid());
    frame(&process.threads[0], "wait_for_input");
    frame(&process.threads[0], "main");
}

#[test]
fn code_made_at_run_time_has_the_names_that_its_runtime_wrote_down() {
    let victim = Victim::start_with("shapes.c", &["-g", "-O0"], |command| {
        command.arg("jit");
    })
    .ready(1);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", victim.pid())).unwrap();
    let code = maps.lines().find(|line| line.contains(" rwxp ")).unwrap().split('-').next().unwrap();
    let start = u64::from_str_radix(code, 16).unwrap();
    let map = PathBuf::from(format!("/tmp/perf-{}.map", victim.pid()));
    std::fs::write(&map, format!("{start:x} 8 LazyCompile:inner /shop.js:3\n{:x} 10 outer\n", start + 64)).unwrap();
    let _gone_after = Installed(map);
    let process = dumped(victim.pid());
    let names = functions(&process.threads[0]);
    let at = |name: &str| names.iter().position(|other| *other == name).unwrap_or_else(|| panic!("{names:?}"));
    assert!(at("wait_for_input") < at("LazyCompile:inner /shop.js:3"), "{names:?}");
    assert_eq!(at("LazyCompile:inner /shop.js:3") + 1, at("outer"), "{names:?}");
    assert!(at("outer") < at("into_jit"), "{names:?}");
}
