use super::*;

#[test]
fn a_failed_stage_is_named_with_its_errno() {
    for (stage, number, problem, expected) in [
        (
            "setting supplementary groups",
            1,
            ExecProblem::User,
            "./api was not started: setting supplementary groups \"app\": EPERM (not permitted)",
        ),
        ("setting user", 1, ExecProblem::User, "./api was not started: setting user \"app\": EPERM (not permitted)"),
        ("setting group", 1, ExecProblem::User, "./api was not started: setting group \"app\": EPERM (not permitted)"),
        (
            "changing the directory",
            2,
            ExecProblem::Directory,
            "./api was not started: changing the directory \"/srv\": ENOENT (no such file or directory)",
        ),
        ("executing", 13, ExecProblem::NotExecutable, "executing \"./api\": EACCES (permission denied)"),
        ("executing", 2, ExecProblem::NotFound, "executing \"./api\": ENOENT (no such file or directory)"),
        (
            "making a process group",
            1,
            ExecProblem::Launcher,
            "./api was not started: making a process group: EPERM (not permitted)",
        ),
        (
            "entering the cgroup",
            1,
            ExecProblem::Launcher,
            "./api was not started: entering the cgroup: EPERM (not permitted)",
        ),
    ] {
        let of = match stage {
            "executing" => Some("./api"),
            "changing the directory" => Some("/srv"),
            _ => stage.starts_with("setting").then_some("app"),
        };
        let failure = failed_stage(stage, number, "./api", of);
        assert_eq!((failure.problem, failure.summary.as_str()), (problem, expected));
        assert_eq!(failure.errno, Some(number));
    }
}

#[test]
fn no_words_end_in_a_period_or_are_empty() {
    let path = || "/x".to_owned();
    let formats = [
        BadFormat::Empty,
        BadFormat::Truncated { length: 1, expected: 2 },
        BadFormat::NoShebang,
        BadFormat::EmptyShebang,
        BadFormat::LongShebang,
        BadFormat::ByteOrderMark,
        BadFormat::ScriptLoop,
        BadFormat::Windows,
        BadFormat::MacOrJava,
        BadFormat::Archive,
        BadFormat::Object,
        BadFormat::Library,
        BadFormat::Core,
        BadFormat::Damaged,
        BadFormat::Unknown,
    ];
    let mut findings: Vec<Finding> =
        formats.into_iter().map(|format| Finding::Format { path: path(), format }).collect();
    for loader in
        ["/lib/ld-musl-x86_64.so.1", "/lib/ld-linux.so.2", "/nix/store/x", "/lib64/ld-linux-x86-64.so.2", "/x"]
    {
        findings.push(Finding::LoaderMissing { path: path(), loader: loader.to_owned() });
    }
    findings.extend([
        Finding::NotOnPath { command: "x".to_owned(), directories: 3, near: vec!["xy".to_owned()], here: true },
        Finding::Missing { path: path(), near: vec![], directory: None },
        Finding::BrokenLink { path: path(), target: path() },
        Finding::Unreachable { path: path(), errno: 13 },
        Finding::Directory { path: path() },
        Finding::NotAFile { path: path(), kind: "a FIFO" },
        Finding::NoExecuteBit { path: path(), mode: 0o644, uid: None },
        Finding::NoExecuteBit { path: path(), mode: 0o744, uid: Some(5) },
        Finding::ClosedDirectory { path: path(), directory: path(), uid: 5 },
        Finding::NoExecMount { path: path(), mount: None },
        Finding::WrongArchitecture { path: path(), made_for: "arm64".to_owned(), host: "x86_64" },
        Finding::WorkingDirectory { path: path(), errno: 2, uid: None },
    ]);
    for finding in findings {
        let failure = explain(&finding);
        assert!(!failure.summary.is_empty() && !failure.summary.ends_with('.'), "{finding:?}");
        assert!(failure.summary.contains('x'), "{finding:?} names its object");
        let nested = explain(&Finding::Interpreter { path: "/s".to_owned(), finding: Box::new(finding) });
        assert!(nested.summary.contains("/s") && nested.problem != ExecProblem::NotFound);
    }
}

#[test]
fn windows_line_ends_are_told() {
    let failure =
        explain(&Finding::InterpreterMissing { path: "run.sh".to_owned(), interpreter: "/bin/sh\r".to_owned() });
    assert!(failure.summary.contains("CR LF") && failure.summary.contains("\"/bin/sh\\r\""), "{}", failure.summary);
    assert_eq!(failure.advice, ["give it Unix line ends: sed -i 's/\\r$//' run.sh"]);
}
