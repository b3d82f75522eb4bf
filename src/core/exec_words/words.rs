//! A finding in words: what is wrong, and what can be done about it.

use super::{BadFormat, Finding};
use crate::core::errno;

/// Summary and advice.
pub(super) fn words(finding: &Finding) -> (String, Vec<String>) {
    match finding {
        Finding::NotOnPath { .. } | Finding::Missing { .. } | Finding::BrokenLink { .. } => not_there(finding),
        Finding::Unreachable { path, errno } => (
            format!("{path} cannot be reached: {}", errno::describe(*errno)),
            vec![format!("look along it: namei -l {path}")],
        ),
        Finding::Directory { path } => {
            (format!("{path} is a directory, not a program"), vec!["name the program in it".to_owned()])
        }
        Finding::NotAFile { path, kind } => (format!("{path} is {kind}, not a program"), Vec::new()),
        Finding::NoExecuteBit { .. } | Finding::ClosedDirectory { .. } | Finding::NoExecMount { .. } => {
            forbidden(finding)
        }
        Finding::InterpreterMissing { .. } | Finding::EnvTargetMissing { .. } => no_interpreter(finding),
        Finding::Interpreter { path, finding } => {
            let (summary, advice) = words(finding);
            (format!("the interpreter of {path} cannot be executed: {summary}"), advice)
        }
        Finding::LibraryMissing { path, libraries } => no_library(path, libraries),
        Finding::LoaderMissing { path, loader } => no_loader(path, loader),
        Finding::WrongArchitecture { path, made_for, host } => (
            format!("{path} is made for {made_for}, but this host is {host}"),
            vec![format!("build it for {host}, or take the image or package for {}", platform(host))],
        ),
        Finding::Format { path, format } => bad_format(path, *format),
        Finding::WorkingDirectory { path, errno, uid } => {
            let by = uid.map(|uid| format!(" by uid {uid}")).unwrap_or_default();
            let advice = match errno::name(*errno).as_str() {
                "ENOENT" => format!("make it: mkdir -p {path}"),
                "ENOTDIR" => "name a directory".to_owned(),
                _ => format!("let the user enter it: chmod o+x {path}"),
            };
            (format!("the working directory {path} cannot be entered{by}: {}", errno::describe(*errno)), vec![advice])
        }
    }
}

fn not_there(finding: &Finding) -> (String, Vec<String>) {
    let mut advice = Vec::new();
    let summary = match finding {
        Finding::NotOnPath { command, directories, near, here } => {
            if *here {
                advice.push(format!("it is in the service's directory: write ./{command}"));
            }
            advice.extend(did_you_mean(near));
            match directories {
                0 => format!("{command} was not found: PATH is empty"),
                1 => format!("{command} was not found in the one directory of PATH"),
                many => format!("{command} was not found in any of the {many} directories of PATH"),
            }
        }
        Finding::Missing { path, near, directory } => {
            advice.extend(did_you_mean(near));
            match directory {
                Some(directory) => format!("{path} does not exist, nor does {directory}"),
                None => format!("{path} does not exist"),
            }
        }
        Finding::BrokenLink { path, target } => {
            advice.push(format!("point the link to a file that is there: ln -sfn TARGET {path}"));
            format!("{path} is a symbolic link to {target}, which does not exist")
        }
        _ => String::new(),
    };
    if advice.is_empty() {
        advice.push("install it, or give its full path".to_owned());
    }
    (summary, advice)
}

fn did_you_mean(near: &[String]) -> Option<String> {
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(" or ")))
}

fn forbidden(finding: &Finding) -> (String, Vec<String>) {
    match finding {
        Finding::NoExecuteBit { path, mode, uid } => {
            let mode = mode & 0o7777;
            match uid {
                Some(uid) if mode & 0o111 != 0 => (
                    format!("{path} may not be executed by uid {uid} (mode {mode:04o})"),
                    vec![format!("let that user execute it: chmod a+rx {path}")],
                ),
                _ => (
                    format!("{path} is not executable (mode {mode:04o} has no x for this user)"),
                    vec![format!("make it executable: chmod +x {path}")],
                ),
            }
        }
        Finding::ClosedDirectory { path, directory, uid } => (
            format!("{path} cannot be reached by uid {uid}: {directory} may not be entered"),
            vec![format!("let that user enter it: chmod o+x {directory}"), "put the program elsewhere".to_owned()],
        ),
        Finding::NoExecMount { path, mount } => {
            let advice = match mount {
                Some(mount) => format!("put it on another file system, or: mount -o remount,exec {mount}"),
                None => "put it on another file system".to_owned(),
            };
            let place = mount.as_ref().map(|mount| format!(" ({mount})")).unwrap_or_default();
            (format!("{path} is on a file system that is mounted noexec{place}"), vec![advice])
        }
        _ => (String::new(), Vec::new()),
    }
}

fn no_interpreter(finding: &Finding) -> (String, Vec<String>) {
    match finding {
        Finding::InterpreterMissing { path, interpreter } => match interpreter.strip_suffix('\r') {
            Some(without) => carriage_return(path, interpreter, without),
            None => (
                format!("the interpreter of {path} does not exist: its first line asks for {interpreter}"),
                vec![format!("install {interpreter}, or change the first line of {path}")],
            ),
        },
        Finding::EnvTargetMissing { path, target, near } => match target.strip_suffix('\r') {
            Some(without) => carriage_return(path, target, without),
            None => {
                let mut advice: Vec<String> = did_you_mean(near).into_iter().collect();
                advice.push(format!("install {target}, or change the first line of {path}"));
                (
                    format!("{path} needs an interpreter that is not on PATH: its first line asks env for {target}"),
                    advice,
                )
            }
        },
        _ => (String::new(), Vec::new()),
    }
}

/// A script with the line ends of Windows: the kernel takes the CR for a part of the name.
fn carriage_return(path: &str, with: &str, without: &str) -> (String, Vec<String>) {
    let shown = with.replace('\r', "\\r");
    (
        format!(
            "the interpreter of {path} does not exist: its first line ends in CR LF, which asks for \"{shown}\", not \
             {without}"
        ),
        vec![format!("give it Unix line ends: sed -i 's/\\r$//' {path}")],
    )
}

/// Each library with who needs it, when that is not the program itself.
fn no_library(path: &str, libraries: &[(String, String)]) -> (String, Vec<String>) {
    let names: Vec<&str> = libraries.iter().map(|(name, _)| name.as_str()).collect();
    let (are, them) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
    let others: Vec<String> = libraries
        .iter()
        .filter(|(_, by)| by != path)
        .map(|(name, by)| match libraries.len() {
            1 => format!("{by} needs it"),
            _ => format!("{by} needs {name}"),
        })
        .collect();
    let by = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
    let all = names.join(" and ");
    let summary = format!("{path} needs {all}, which {are} not where the loader looks{by}");
    (summary, vec![format!("install what has {them}, or name the folder in LD_LIBRARY_PATH")])
}

fn no_loader(path: &str, loader: &str) -> (String, Vec<String>) {
    let name = loader.rsplit('/').next().unwrap_or(loader);
    let summary = format!("{path} needs the ELF loader {loader}, which does not exist");
    if name.starts_with("ld-musl") {
        let advice = "install musl, or build it for glibc, or statically";
        return (
            format!("{summary}: it is made for musl, as on Alpine, and this system has none"),
            vec![advice.to_owned()],
        );
    }
    if name == "ld-linux.so.2" {
        let advice = "install the 32-bit C library (Debian: libc6:i386), or build it for 64 bits";
        return (format!("{summary}: it is a 32-bit program"), vec![advice.to_owned()]);
    }
    if loader.starts_with("/nix/") || loader.starts_with("/gnu/store/") {
        let advice = "build it here, or: patchelf --set-interpreter /lib64/ld-linux-x86-64.so.2";
        return (format!("{summary}: it comes from a Nix or Guix store"), vec![format!("{advice} {path}")]);
    }
    if name.starts_with("ld-linux") || name.starts_with("ld64") {
        let advice = "build it statically or for musl, or use an image with glibc (on Alpine: apk add gcompat)";
        return (format!("{summary}: it is made for glibc, and this system has none"), vec![advice.to_owned()]);
    }
    (summary, vec!["install the C library that it is made for, or build it statically".to_owned()])
}

fn bad_format(path: &str, format: BadFormat) -> (String, Vec<String>) {
    let say = |what: &str, advice: &str| {
        (
            format!("{path} cannot be executed: {what}"),
            (!advice.is_empty()).then(|| advice.to_owned()).into_iter().collect(),
        )
    };
    match format {
        BadFormat::Empty => say("it is empty", "build or copy it again"),
        BadFormat::Truncated { length, expected } => say(
            &format!("it is cut off: {length} bytes, where its header speaks of {expected}"),
            "build or copy it again",
        ),
        BadFormat::NoShebang => say(
            "it is a text whose first line does not name an interpreter",
            &format!("put #!/bin/sh (or what it is written in) into its first line, or run: /bin/sh {path}"),
        ),
        BadFormat::EmptyShebang => say("its first line is #! without an interpreter", "name one: #!/bin/sh"),
        BadFormat::LongShebang => {
            say("its first line is longer than the kernel reads (255 bytes)", "shorten it: #!/usr/bin/env NAME")
        }
        BadFormat::ByteOrderMark => {
            say("a byte order mark stands before its #!", &format!("remove it: sed -i '1s/^\\xEF\\xBB\\xBF//' {path}"))
        }
        BadFormat::ScriptLoop => {
            say("its interpreter is a script whose interpreter is a script, too often", "name a program after #!")
        }
        BadFormat::Windows => say("it is a program for Windows", "build it for Linux"),
        BadFormat::MacOrJava => {
            say("it is a program for macOS, or a Java class", "build it for Linux, or run it with java")
        }
        BadFormat::Archive => say("it is a ZIP or JAR archive", &format!("for Java, run: java -jar {path}")),
        BadFormat::Object => say("it is an object file that was not linked", "link it"),
        BadFormat::Library => say("it is a shared library", "name the program that uses it"),
        BadFormat::Core => say("it is a core dump", ""),
        BadFormat::Damaged => say("its ELF header contradicts itself", "build or copy it again"),
        BadFormat::Unknown => say("it is neither a script nor a program", ""),
    }
}

/// The name that container images and packages use.
fn platform(host: &str) -> &str {
    match host {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
