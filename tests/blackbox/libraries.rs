//! Programs whose shared libraries are missing: named before the start by `launcher check`, and after it by the verdict.

use std::path::PathBuf;
use std::process::Command;

use crate::support::*;

/// A program that needs libfirst.so, which needs libsecond.so, all in the folder of the run.
fn build(setup: &Setup) -> Option<PathBuf> {
    if !needs(&["gcc"]) {
        return None;
    }
    let gcc = |words: &[&str]| {
        let done = Command::new("gcc").args(words).current_dir(setup.home().path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    setup.home().write("second.c", "int second(void) { return 5; }\n");
    setup.home().write("first.c", "int second(void); int first(void) { return second(); }\n");
    setup.home().write("main.c", "int first(void); int main(void) { return first(); }\n");
    gcc(&["-shared", "-fPIC", "-o", "libsecond.so", "second.c"]);
    gcc(&["-shared", "-fPIC", "-o", "libfirst.so", "first.c", "-L.", "-lsecond", "-Wl,-rpath,$ORIGIN"]);
    gcc(&["-o", "program", "main.c", "-L.", "-lfirst", "-Wl,-rpath,$ORIGIN", "-Wl,-rpath-link,."]);
    Some(setup.home().join("program"))
}

#[test]
fn a_missing_library_is_named_before_and_after_the_try() {
    let setup = launcher();
    let Some(program) = build(&setup) else { return };
    let program = program.display().to_string();
    let mut run = setup.command([&program]);
    run.ends_with(5);
    launcher().verb(["check", "--", &program]).ends_with(0);

    std::fs::remove_file(run.home().join("libsecond.so")).unwrap();
    let ended = launcher().verb(["check", "--", &program]).ends_with(126);
    assert!(ended.complains("libsecond.so") && ended.complains("[library-missing]"), "{:?}", ended.err);
    assert!(ended.complains("libfirst.so needs it"), "{:?}", ended.err);

    let mut run = launcher().command([&program]);
    run.ends_with(127);
    let report = run.reports("program").remove(0);
    assert_eq!((report.text("/kind"), report.text("/verdict/cause")), ("exited", "exec-failed"));
    assert!(report.text("/verdict/summary").contains("libsecond.so"), "{}", report.text("/verdict/summary"));
}
