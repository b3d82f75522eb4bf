//! One honest exit code (DESIGN §2).

use crate::support::*;

for_subjects!(every_code_of_the_child_is_passed_on: launcher, tini, dumb_init, bare, catatonit; |subject| {
    for code in 0..=255 {
        subject.run().child([format!("exit {code}")]).ends_with(code);
    }
});

/// The flags by which a subject ends with 0 for this code: tini has no other to give.
fn mapped_to_0(subject: Subject, code: i32) -> [String; 2] {
    match subject {
        Subject::Tini => ["-e".to_owned(), code.to_string()],
        _ => ["--map-exit".to_owned(), format!("{code}=0")],
    }
}

for_subjects!(a_code_is_mapped_to_0_where_asked_for: launcher, tini; |subject| {
    for code in 0..=255 {
        subject.run().flags(mapped_to_0(subject, code)).child([format!("exit {code}")]).ends_with(0);
        let other = (code + 1) % 256;
        subject.run().flags(mapped_to_0(subject, code)).child([format!("exit {other}")]).ends_with(other);
    }
});

for_subjects!(the_code_of_a_stop_is_mapped_where_asked_for: launcher, tini; |subject| {
    // As a JVM does.
    let mut run = subject.run().flags(mapped_to_0(subject, 143)).child(["on TERM exit 143", "print up", "wait"]);
    run.out("up");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
});

for_subjects!(several_codes_are_mapped: launcher, tini; |subject| {
    for code in [1, 2, 3] {
        let flags = [mapped_to_0(subject, 1), mapped_to_0(subject, 2)].concat();
        subject.run().flags(flags).child([format!("exit {code}")]).ends_with(if code == 3 { 3 } else { 0 });
    }
});

for_subjects!(a_code_that_is_none_is_refused: launcher, tini; |subject| {
    let flags = |code| if subject == Subject::Tini { ["-e".into(), code] } else { ["--map-exit".into(), format!("{code}=0")] };
    for code in ["256", "-1", "x"] {
        let ended = subject.run().flags(flags(code.to_owned())).child(["print started"]).ended();
        assert!(ended.code != Some(0) && ended.out.is_empty() && !ended.err.is_empty(), "{ended:?}");
    }
});

#[test]
fn a_code_is_mapped_to_any_other_and_launchers_own_never() {
    launcher().flags(["--map-exit", "3=44"]).child(["exit 3"]).ends_with(44);
    launcher().flags(["--map-exit", "137=5"]).child(["die KILL"]).ends_with(5);
    launcher().flags(["--map-exit", "127=0"]).command(["/no/such/file"]).ends_with(127);
    let text = "map_exit = { 7 = 70 }\n[service.a]\nready = \"exited\"\nrestart = { policy = \"never\" }\n\
                command = [\"CHILD\", \"exit 7\"]\n";
    launcher().file(text).ends_with(70);
}

for_subjects!(a_child_ended_by_a_signal_gives_128_and_its_number: launcher, tini, dumb_init, catatonit; |subject| {
    for number in (1..=31).chain([libc::SIGRTMIN(), 50, 64]) {
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
    assert!(ended.complains("EMFILE") || ended.complains("os error 24"), "{:?}", ended.err);
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

for_subjects!(output_and_input_pass_untouched: launcher, tini, dumb_init, catatonit; |subject| {
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
