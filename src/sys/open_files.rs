//! How many files the launcher may have open (`RLIMIT_NOFILE`, `getrlimit(2)`): several for each service.

use std::sync::OnceLock;

/// The soft and the hard limit that the launcher began with, if it has raised its own: its children have those.
static ORIGINAL: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises the launcher's own soft limit, as far as the hard one lets it, to so many files. Its children do not have it:
/// programs that use `select(2)` rely on the usual one.
pub fn raise(wanted: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one structure, which lives through the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 || limit.rlim_cur >= wanted {
        return;
    }
    let original = (limit.rlim_cur, limit.rlim_max);
    limit.rlim_cur = wanted.min(limit.rlim_max);
    // SAFETY: the kernel reads one structure, which lives through the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0 {
        let _ = ORIGINAL.set(original);
    }
}

/// What children are to have, where the launcher has raised its own limit: the resource, the soft and the hard limit.
pub fn of_children() -> Option<(i64, u64, u64)> {
    ORIGINAL.get().map(|(soft, hard)| (i64::from(libc::RLIMIT_NOFILE), *soft, *hard))
}
