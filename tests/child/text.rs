//! Lines out and in.

use std::os::unix::net::UnixDatagram;

use super::steps::Failure;

/// The variable that names the test's own socket.
pub const SOCKET: &str = "LAUNCHER_TEST_SOCKET";

/// Writes one line by one `write(2)`; that nobody reads it is no failure.
pub fn write_line(fd: i32, line: &str) {
    let line = format!("{line}\n");
    // SAFETY: the buffer is valid for its length; a bad descriptor only gives EBADF.
    let _ = unsafe { libc::write(fd, line.as_ptr().cast(), line.len()) };
}

/// Sends one line to the test's own socket, if there is one.
pub fn say(line: &str) {
    if let (Ok(path), Ok(socket)) = (std::env::var(SOCKET), UnixDatagram::unbound()) {
        let _ = socket.send_to(line.as_bytes(), path);
    }
}

/// The value of a variable; empty when there is none.
pub fn variable(name: &str) -> String {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Reads one line of standard input and prints it.
pub fn read_line() -> Result<(), Failure> {
    let mut line = String::new();
    let length = std::io::stdin().read_line(&mut line)?;
    write_line(1, &if length == 0 { "end of input".into() } else { format!("read {}", line.trim_end()) });
    Ok(())
}

/// Replaces `{pid}` and the like by what they stand for; `\n` by a line's end.
pub fn expand(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        expanded.push_str(before);
        expanded.push_str(&value(name));
        rest = after;
    }
    expanded.push_str(rest);
    expanded.replace("\\n", "\n")
}

fn value(name: &str) -> String {
    use nix::unistd::{getpgrp, getpid, getppid, getsid, tcgetpgrp};
    match name {
        "pid" => getpid().to_string(),
        "ppid" => getppid().to_string(),
        "pgid" => getpgrp().to_string(),
        "sid" => getsid(None).map(|sid| sid.to_string()).unwrap_or_default(),
        "foreground" => tcgetpgrp(std::io::stdin()).map_or_else(|errno| errno.to_string(), |pgid| pgid.to_string()),
        "now" => now().to_string(),
        "generation" => variable("LAUNCHER_GENERATION"),
        "cwd" => std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default(),
        _ => name.strip_prefix("env:").map_or_else(|| format!("{{{name}}}"), variable),
    }
}

/// Nanoseconds on `CLOCK_MONOTONIC`, which all processes share.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
