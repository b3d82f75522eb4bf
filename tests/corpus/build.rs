//! From a source to a command that runs it.

use std::path::Path;
use std::process::Command;

use crate::case::Case;

/// Compiles the case's program into `folder`, if it is to be compiled, and gives the command that runs it.
pub fn build(case: &Case, folder: &Path) -> Vec<String> {
    let source = case.source.to_str().unwrap();
    let program = folder.join("program").to_str().unwrap().to_owned();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    match case.language() {
        "c" => compile(Command::new("cc").args(["-g", "-O1", "-pthread", "-o", &program, source])),
        "cc" => compile(Command::new("c++").args(["-g", "-O1", "-pthread", "-o", &program, source])),
        "rs" => compile(Command::new("rustc").args(["--edition", "2024", "-g", "-o", &program, source])),
        "go" => {
            let mut go = Command::new("go");
            // The cache of the user is shared: the standard library is compiled once.
            compile(go.env("GOFLAGS", "-mod=mod").env("GOTOOLCHAIN", "local").args(["build", "-o", &program, source]));
        }
        "java" => {
            let class = case.source.file_stem().unwrap().to_str().unwrap();
            // A file may have any name as long as its class is not public.
            compile(Command::new("javac").args(["-g", "-d", &text(folder), source]));
            assert!(folder.join("Main.class").exists(), "{class}: its class is to be called Main");
            return ["java", "-XX:TieredStopAtLevel=1", "-cp", &text(folder), "Main"].map(str::to_owned).to_vec();
        }
        "py" => return vec!["python3".into(), "-u".into(), source.into()],
        "js" => return vec!["node".into(), source.into()],
        "rb" => return vec!["ruby".into(), source.into()],
        "sh" => return vec!["sh".into(), source.into()],
        // Described by a command of its own.
        _ => return Vec::new(),
    }
    vec![program]
}

fn compile(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
