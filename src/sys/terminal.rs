//! The controlling terminal and its job control (`tcsetpgrp(3)`, `credentials(7)`).

use std::fs::OpenOptions;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::signals;

/// Whether a descriptor is a terminal.
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    modes(fd).is_ok()
}

/// This process's controlling terminal, if it has one.
pub fn controlling() -> Option<OwnedFd> {
    let options = libc::O_CLOEXEC | libc::O_NOCTTY;
    OpenOptions::new().read(true).write(true).custom_flags(options).open("/dev/tty").ok().map(OwnedFd::from)
}

/// This process's own process group.
pub fn own_group() -> i32 {
    // SAFETY: no memory is involved.
    unsafe { libc::getpgrp() }
}

/// The process group in the terminal's foreground (`tcgetpgrp(3)`).
///
/// # Errors
/// `ENOTTY` when it is not this process's controlling terminal.
pub fn foreground_group(terminal: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: no memory is involved.
    match unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) } {
        -1 => Err(io::Error::last_os_error()),
        group => Ok(group),
    }
}

/// Puts a process group of this session into the terminal's foreground: the launcher's own takes it back, a service's
/// gives it away. Works from the background too, as TTOU is blocked meanwhile.
///
/// # Errors
/// `ENOTTY` when it is not this process's controlling terminal, `EPERM` when the group is not of this session or has no
/// process.
pub fn set_foreground_group(terminal: BorrowedFd<'_>, group: i32) -> io::Result<()> {
    without_ttou(|| {
        // SAFETY: no memory is involved.
        match unsafe { libc::tcsetpgrp(terminal.as_raw_fd(), group) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

/// How a terminal treats what passes through it (`termios(3)`).
#[derive(Clone, Copy)]
pub struct Modes(libc::termios);

/// The terminal's modes.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn modes(terminal: BorrowedFd<'_>) -> io::Result<Modes> {
    let mut modes = MaybeUninit::uninit();
    // SAFETY: the function fills the structure when it succeeds.
    unsafe {
        match libc::tcgetattr(terminal.as_raw_fd(), modes.as_mut_ptr()) {
            0 => Ok(Modes(modes.assume_init())),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Sets the terminal's modes once its output is written: after a service that was killed and left it raw.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn set_modes(terminal: BorrowedFd<'_>, modes: &Modes) -> io::Result<()> {
    without_ttou(|| {
        // SAFETY: the structure lives through the call.
        match unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSADRAIN, &modes.0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

/// Sets the terminal's modes at once: output that is stopped (Ctrl-S) is not waited for.
///
/// # Errors
/// `ENOTTY` when it is no terminal.
pub fn set_modes_now(terminal: BorrowedFd<'_>, modes: &Modes) -> io::Result<()> {
    without_ttou(|| {
        // SAFETY: the structure lives through the call.
        match unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &modes.0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    })
}

impl Modes {
    /// The same, but keys are read one by one, as soon as they are typed, and not shown. Ctrl-C and Ctrl-Z are signals as
    /// before.
    pub fn by_key(&self) -> Modes {
        let mut modes = self.0;
        modes.c_lflag &= !(libc::ICANON | libc::ECHO);
        modes.c_cc[libc::VMIN] = 1;
        modes.c_cc[libc::VTIME] = 0;
        Modes(modes)
    }
}

impl Modes {
    /// The same, but every key is passed on as it is, and what is written is shown as it is (`cfmakeraw(3)`).
    pub fn raw(&self) -> Modes {
        let mut modes = self.0;
        // SAFETY: the function changes the structure, which outlives the call.
        unsafe { libc::cfmakeraw(&raw mut modes) };
        Modes(modes)
    }
}

/// Whether one of the first three descriptors is a terminal that is gone: its window was closed, or its connection
/// was lost (`tty_ioctl(4)` gives `EIO` then).
pub fn is_hung_up() -> bool {
    (0..=2).any(|fd| {
        let mut modes = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the function fills the structure when it succeeds; a descriptor that is not open is an error.
        let result = unsafe { libc::tcgetattr(fd, modes.as_mut_ptr()) };
        result != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EIO)
    })
}

/// Whether this process may draw on the terminal: it is in the foreground there, or the terminal controls nobody.
pub fn is_ours(terminal: BorrowedFd<'_>) -> bool {
    foreground_group(terminal).map_or(true, |group| group == own_group())
}

/// How many columns the terminal has, if it says so.
pub fn columns(terminal: BorrowedFd<'_>) -> Option<usize> {
    size(terminal).map(|(columns, _)| columns)
}

/// How many columns and rows the terminal has (`TIOCGWINSZ`, `ioctl_tty(2)`), if it says so; 24 rows when it says only
/// its columns.
pub fn size(terminal: BorrowedFd<'_>) -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize, and `size` is one that outlives the call.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    let rows = if size.ws_row > 0 { usize::from(size.ws_row) } else { 24 };
    (done == 0 && size.ws_col > 0).then(|| (usize::from(size.ws_col), rows))
}

/// Stops this process as Ctrl-Z does, and comes back when it was continued. In an orphaned process group, where nobody
/// could continue it, the kernel does not stop it.
pub fn stop_self() {
    // SAFETY: no memory is involved. TSTP has its default disposition, or whatever the process chose.
    unsafe { libc::kill(libc::getpid(), libc::SIGTSTP) };
    signals::under_mask(|mask| mask & !signals::bit(libc::SIGTSTP), || {});
}

/// Puts this process's own group into the terminal's foreground (`tcsetpgrp(3)`), which it is in already or for which the
/// kernel stops the group (`SIGTTOU`) until somebody continues it there. The kernel looks and stops in one step: a `fg`
/// of the shell cannot come in between, as it can before [`stop_self`].
///
/// # Errors
/// `EIO` in an orphaned process group, which nobody could continue; `ENOTTY` when it is not this process's controlling
/// terminal.
pub fn await_foreground(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // TTOU has its default disposition, or whatever the process chose.
    signals::under_mask(
        |mask| mask & !signals::bit(libc::SIGTTOU),
        // SAFETY: no memory is involved.
        || match unsafe { libc::tcsetpgrp(terminal.as_raw_fd(), libc::getpgrp()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        },
    )
}

fn without_ttou<T>(action: impl FnOnce() -> T) -> T {
    signals::under_mask(|mask| mask | signals::bit(libc::SIGTTOU), action)
}
