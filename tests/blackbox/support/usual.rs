//! What whoever starts the tests may have left otherwise than usual.

use std::sync::Once;

extern "C" fn nothing(_: libc::c_int) {}

/// Sees to it that what is started from here ignores no signal, whatever this process was started with: nohup(1), a shell's
/// background and others ignore some, which everything below them inherits. A signal that is caught here has its usual
/// effect again in what is executed, and none on the tests.
pub fn signals_are_usual() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Rust ignores SIGPIPE itself, and not in what it starts.
        for number in (1..=31).filter(|number| ![libc::SIGPIPE, libc::SIGKILL, libc::SIGSTOP].contains(number)) {
            // SAFETY: an all-zero sigaction is a valid one, both live through the calls, and the handler does nothing.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(number, std::ptr::null(), &raw mut action) == 0
                    && action.sa_sigaction == libc::SIG_IGN
                {
                    action.sa_sigaction = nothing as *const () as libc::sighandler_t;
                    action.sa_flags = libc::SA_RESTART;
                    libc::sigaction(number, &raw const action, std::ptr::null_mut());
                }
            }
        }
    });
}
