//! What the child was given, on standard output.

use super::steps::{Failure, Step};
use super::text::{expand, variable, write_line};

/// Steps that show something. Each ends with a line of its own: `end of STEP`.
pub fn perform(step: &Step) -> Result<(), Failure> {
    match step.verb.as_str() {
        "dump-env" => std::env::vars_os().for_each(|(name, value)| {
            write_line(1, &format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
        }),
        "dump-fds" => descriptors()?,
        "dump-signals" => status(&["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"])?,
        "dump-ids" => {
            status(&["Uid", "Gid", "Groups", "NoNewPrivs", "CapEff", "Umask"])?;
            write_line(1, &expand("pid {pid}\\nppid {ppid}\\npgid {pgid}\\nsid {sid}\\ncwd {cwd}"));
        }
        "dump-listen" => passed()?,
        "dump-stored" => stored()?,
        other => return Err(Failure(format!("{other} is no step that shows something"))),
    }
    write_line(1, &format!("end of {}", step.verb));
    Ok(())
}

/// Every open descriptor but the one by which they are listed.
fn descriptors() -> Result<(), Failure> {
    let listing = format!("/proc/{}/fd", std::process::id());
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let target = std::fs::read_link(entry.path())?;
        if target != std::path::Path::new(&listing) {
            found.push((entry.file_name().to_string_lossy().parse::<u32>()?, target));
        }
    }
    found.sort();
    found.iter().for_each(|(fd, target)| write_line(1, &format!("fd {fd} {}", target.display())));
    Ok(())
}

/// Some lines of /proc/self/status, blanks made single.
fn status(keys: &[&str]) -> Result<(), Failure> {
    for line in std::fs::read_to_string("/proc/self/status")?.lines() {
        if keys.iter().any(|key| line.split(':').next() == Some(key)) {
            write_line(1, &line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    Ok(())
}

/// What was passed by LISTEN_FDS: number, name, and what is in it when it is a file.
fn stored() -> Result<(), Failure> {
    let names = variable("LISTEN_FDNAMES");
    let count = variable("LISTEN_FDS").parse().unwrap_or(0);
    for (index, name) in names.split(':').enumerate().take(count) {
        let fd = 3 + index as i32;
        let mut text = [0; 256];
        // SAFETY: the kernel writes no more than the buffer's length.
        let length = unsafe { libc::pread(fd, text.as_mut_ptr().cast(), text.len(), 0) };
        let text =
            String::from_utf8_lossy(text.get(..usize::try_from(length).unwrap_or(0)).unwrap_or_default()).into_owned();
        write_line(1, &format!("stored {fd} {name} {text}"));
    }
    Ok(())
}

/// The sockets passed by LISTEN_FDS: number, name, kind, whether it listens, address.
fn passed() -> Result<(), Failure> {
    let names = variable("LISTEN_FDNAMES");
    let names: Vec<&str> = names.split(':').collect();
    let own_pid = variable("LISTEN_PID") == std::process::id().to_string();
    write_line(1, &format!("LISTEN_PID is {}", if own_pid { "right" } else { "wrong" }));
    for index in 0..variable("LISTEN_FDS").parse::<usize>()? {
        let fd = 3 + index as i32;
        // SAFETY: the launcher passed this descriptor, and it stays open while it is looked at.
        let socket = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        let socket = socket2::SockRef::from(&socket);
        let kind = if socket.r#type()? == socket2::Type::STREAM { "stream" } else { "datagram" };
        let listens = socket.is_listener()?;
        let address = socket.local_addr()?;
        let path = || address.as_pathname().map(|path| path.display().to_string());
        let address = address.as_socket().map(|address| address.to_string()).or_else(path).unwrap_or_default();
        let name = names.get(index).copied().unwrap_or("");
        write_line(1, &format!("socket {fd} {name} {kind} listens={listens} {address}"));
    }
    Ok(())
}
