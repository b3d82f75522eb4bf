//! `getrandom(2)` that does not return, as before the kernel's pool is ready: that state cannot be had on a machine that
//! has started. A seccomp filter hands the blocking calls to a listener that never answers, so that what the kernel shows
//! of the thread, the call and its arguments, is what it would show then.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The first argument by which this very program runs the rest with such a filter.
pub const FLAG: &str = "--hold-getrandom";

/// Installs the filter and becomes the command; only returns if it cannot.
pub fn run(words: &[String]) -> std::io::Error {
    match hold() {
        Ok(()) => Command::new(&words[0]).args(&words[1..]).exec(),
        Err(error) => error,
    }
}

fn hold() -> std::io::Result<()> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let unless = |k: u32, skip: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    // `struct seccomp_data`: the number, and the low half of the third argument, the flags. Those of who starts, such as an
    // interpreter that wants a seed, say that they do not want to wait.
    let mut filter = [
        statement(load, 0),
        unless(libc::SYS_getrandom as u32, 3),
        statement(load, 32),
        unless(0, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_USER_NOTIF),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: no pointers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: `program` and the filter that it points to are valid for reading for the whole call.
    let listener = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    if listener < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // Kept open by whoever is executed: without a listener the call would fail.
    // SAFETY: no pointers.
    match unsafe { libc::fcntl(listener as i32, libc::F_SETFD, 0) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
