//! Signals: what is done on one, and sending them.

use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};

use launcher::core::signal::Signal;
use nix::errno::Errno;

use super::steps::Failure;
use super::text;

/// With which code the program ends on a signal; -1 when it does not.
static EXIT: [AtomicI32; 65] = [const { AtomicI32::new(-1) }; 65];
/// What is written to standard output on a signal.
static LINE: [AtomicPtr<Vec<u8>>; 65] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 65];
/// A descriptor to which the same is sent, connected to the test's own socket.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
/// Turns of a busy loop, so that it is not optimised away.
static TURNS: AtomicU64 = AtomicU64::new(0);

extern "C" fn handler(number: libc::c_int) {
    let line = LINE[number as usize].load(Ordering::SeqCst);
    if !line.is_null() {
        // SAFETY: the line was leaked by `on` and is never changed; write(2) and send(2) are async-signal-safe.
        unsafe {
            libc::write(1, (*line).as_ptr().cast(), (*line).len());
            let length = (*line).len() - 1;
            libc::send(SOCKET.load(Ordering::SeqCst), (*line).as_ptr().cast(), length, libc::MSG_DONTWAIT);
        }
    }
    let code = EXIT[number as usize].load(Ordering::SeqCst);
    if code >= 0 {
        // SAFETY: _exit(2) is async-signal-safe.
        unsafe { libc::_exit(code) };
    }
}

fn number(name: &str) -> Result<i32, Failure> {
    Ok(name.parse::<Signal>()?.number())
}

/// `SIGNAL exit N | print TEXT | both N TEXT | ignore | default`.
pub fn on(rest: &str) -> Result<(), Failure> {
    let mut words = rest.splitn(3, ' ');
    let (name, what, more) = (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
    let number = number(name)?;
    let (code, line) = match what {
        "exit" => (more.parse()?, ""),
        "print" => (-1, more),
        "both" => more.split_once(' ').map_or(Ok((-1, more)), |(code, line)| code.parse().map(|code| (code, line)))?,
        "ignore" => return set(number, libc::SIG_IGN),
        "default" => return set(number, libc::SIG_DFL),
        _ => return Err(Failure("exit, print, both, ignore or default".into())),
    };
    EXIT[number as usize].store(code, Ordering::SeqCst);
    if !line.is_empty() {
        connect();
        let line = Box::leak(Box::new(format!("{line}\n").into_bytes()));
        LINE[number as usize].store(line, Ordering::SeqCst);
    }
    set(number, handler as *const () as libc::sighandler_t)
}

/// Connects the descriptor for handlers to the test's own socket, at a number that is out of the way.
fn connect() {
    use std::os::fd::AsRawFd;
    if SOCKET.load(Ordering::SeqCst) >= 0 {
        return;
    }
    let Ok(socket) = std::os::unix::net::UnixDatagram::unbound() else { return };
    if socket.connect(text::variable(text::SOCKET)).is_ok() {
        // SAFETY: F_DUPFD takes no pointer.
        let fd = unsafe { libc::fcntl(socket.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 900) };
        SOCKET.store(fd, Ordering::SeqCst);
    }
}

fn set(number: i32, to: libc::sighandler_t) -> Result<(), Failure> {
    // SAFETY: an all-zero sigaction is a valid one; `handler` does only async-signal-safe work.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = to;
        action.sa_flags = libc::SA_RESTART;
        Errno::result(libc::sigaction(number, &raw const action, std::ptr::null_mut()))?;
    }
    Ok(())
}

/// Changes the mask for one signal.
fn mask(how: i32, number: i32) {
    // SAFETY: the set is initialised by sigemptyset before it is read.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, number);
        libc::sigprocmask(how, &raw const set, std::ptr::null_mut());
    }
}

/// Blocks a signal.
pub fn block(name: &str) -> Result<(), Failure> {
    mask(libc::SIG_BLOCK, number(name)?);
    Ok(())
}

/// Ends by a signal, without a core file.
pub fn die(name: &str) -> Result<(), Failure> {
    let number = number(name)?;
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `none` is valid for reading; the other calls take no pointers.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const none) };
    if number != libc::SIGKILL {
        set(number, libc::SIG_DFL)?;
        mask(libc::SIG_UNBLOCK, number);
    }
    // SAFETY: as above.
    unsafe { libc::kill(libc::getpid(), number) };
    wait_for_ever()
}

/// `SIGNAL PID` sends one.
pub fn send(rest: &str) -> Result<(), Failure> {
    let (name, pid) = rest.split_once(' ').ok_or_else(|| Failure("SIGNAL PID".into()))?;
    // SAFETY: kill(2) takes no pointer.
    Errno::result(unsafe { libc::kill(pid.parse()?, number(name)?) })?;
    Ok(())
}

/// Stops by SIGSTOP.
pub fn stop_self() -> Result<(), Failure> {
    send(&format!("STOP {}", std::process::id()))
}

/// Does nothing but handle signals.
pub fn wait_for_ever() -> ! {
    loop {
        // SAFETY: pause(2) has no arguments.
        unsafe { libc::pause() };
    }
}

/// Burns the CPU in one place.
pub fn busy() -> ! {
    loop {
        spin();
    }
}

#[inline(never)]
fn spin() {
    for _ in 0..1_000_000 {
        TURNS.fetch_add(1, Ordering::Relaxed);
    }
}
