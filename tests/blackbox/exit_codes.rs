//! One honest exit code (DESIGN §2).

use crate::support::*;

for_subjects!(every_code_of_the_child_is_passed_on: launcher, tini, dumb_init, bare; |subject| {
    for code in 0..=255 {
        subject.run().child([format!("exit {code}")]).ends_with(code);
    }
});

for_subjects!(a_child_ended_by_a_signal_gives_128_and_its_number: launcher, tini, dumb_init; |subject| {
    for number in (1..=31).chain([34, 50, 64]) {
        // These do not end a program by default, or only stop it.
        if ![17, 18, 19, 20, 21, 22, 23, 28].contains(&number) {
            subject.run().child([format!("die {number}")]).ends_with(128 + number);
        }
    }
});

for_subjects!(a_command_that_does_not_exist_gives_127: launcher, tini; |subject| {
    let ended = subject.run().command(["no-such-command-anywhere"]).ends_with(127);
    assert!(ended.complains("no-such-command-anywhere"), "{:?}", ended.err);
    subject.run().command(["/no/such/file"]).ends_with(127);
});

for_subjects!(a_command_that_is_a_directory_gives_126: launcher, tini; |subject| {
    let ended = subject.run().command(["/"]).ends_with(126);
    assert!(!ended.err.is_empty(), "it says why");
});

for_subjects!(a_command_without_x_bit_gives_126: launcher, tini; |subject| {
    let setup = subject.run();
    let file = setup.home().write("plain", "#!/bin/sh\nexit 0\n");
    setup.command([file]).ends_with(126);
});

/// Without descriptors for an event loop, it can do nothing.
#[test]
fn a_launcher_without_descriptors_gives_125() {
    let few = ["sh", "-c", "ulimit -n 4 && exec \"$@\"", "sh"];
    let ended = launcher().below(few).child(["exit 0"]).ends_with(125);
    assert!(ended.complains("EMFILE") || ended.complains("Too many open files"), "{:?}", ended.err);
}

/// Without a process for its service, neither: its user may have no more. Root has no such limit.
#[test]
fn a_launcher_without_processes_gives_125() {
    if nix::unistd::geteuid().is_root() && needs(&["prlimit", "setpriv"]) {
        // Its output goes to a file of the test's own device, so that it has no thread to carry it over.
        for (output, words) in [("", "Resource temporarily unavailable"), ("2>/dev/null >/dev/null", "")] {
            let script =
                format!("exec setpriv --reuid 65534 --regid 65534 --clear-groups prlimit --nproc=1:1 \"$@\" {output}");
            println!("with its output to {output:?}");
            let setup = launcher().with_copies().below(["sh", "-c", &script, "sh"]);
            let ended = setup.child(["exit 0"]).ends_with(125);
            assert!(words.is_empty() || ended.complains(words), "{:?}", ended.err);
        }
    }
}

for_subjects!(output_and_input_pass_untouched: launcher, tini, dumb_init; |subject| {
    let mut run = subject.run().child(["print to out", "eprint to err", "read-line", "read-line", "exit 5"]);
    run.out("to out");
    run.err("to err");
    run.input("some words\n");
    run.out("read some words");
    run.close_input();
    run.out("end of input");
    let ended = run.ends_with(5);
    assert_eq!(ended.out, ["to out", "read some words", "end of input"]);
});
