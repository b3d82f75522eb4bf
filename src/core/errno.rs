//! `errno(3)` by number, name and meaning: in the words that the launcher's messages use.

/// Those that can come back from the calls the launcher makes for a service (numbers of x86_64 and aarch64).
const KNOWN: [(i32, &str, &str); 40] = [
    (1, "EPERM", "not permitted"),
    (2, "ENOENT", "no such file or directory"),
    (3, "ESRCH", "no such process"),
    (4, "EINTR", "interrupted"),
    (5, "EIO", "input/output error"),
    (7, "E2BIG", "arguments and environment are too long"),
    (8, "ENOEXEC", "not in a format that can be executed"),
    (9, "EBADF", "bad file descriptor"),
    (10, "ECHILD", "no child processes"),
    (11, "EAGAIN", "a limit is reached for now"),
    (12, "ENOMEM", "out of memory"),
    (13, "EACCES", "permission denied"),
    (14, "EFAULT", "bad address"),
    (16, "EBUSY", "busy"),
    (17, "EEXIST", "exists already"),
    (19, "ENODEV", "no such device"),
    (20, "ENOTDIR", "a part of the path is not a directory"),
    (21, "EISDIR", "is a directory"),
    (22, "EINVAL", "invalid argument"),
    (23, "ENFILE", "too many open files on this host"),
    (24, "EMFILE", "too many open files"),
    (25, "ENOTTY", "not a terminal"),
    (26, "ETXTBSY", "the file is open for writing"),
    (28, "ENOSPC", "no space left"),
    (30, "EROFS", "the file system is read-only"),
    (32, "EPIPE", "nobody reads the other end"),
    (36, "ENAMETOOLONG", "the name is too long"),
    (38, "ENOSYS", "this kernel, or its filter, does not have this call"),
    (40, "ELOOP", "too many symbolic links"),
    (80, "ELIBBAD", "the ELF loader is damaged or of another architecture"),
    (92, "ENOPROTOOPT", "no such socket option"),
    (93, "EPROTONOSUPPORT", "the protocol is not supported"),
    (95, "EOPNOTSUPP", "not supported"),
    (97, "EAFNOSUPPORT", "the address family is not supported"),
    (98, "EADDRINUSE", "the address is in use"),
    (99, "EADDRNOTAVAIL", "no such address on this host"),
    (105, "ENOBUFS", "no buffer space left"),
    (110, "ETIMEDOUT", "timed out"),
    (111, "ECONNREFUSED", "connection refused"),
    (113, "EHOSTUNREACH", "no route to the host"),
];

/// Its name: `EPERM`; `errno 1234` for one that is not known here.
pub fn name(errno: i32) -> String {
    KNOWN.iter().find(|known| known.0 == errno).map_or_else(|| format!("errno {errno}"), |known| known.1.to_owned())
}

/// Its name and what it means: `EPERM (not permitted)`.
pub fn describe(errno: i32) -> String {
    match KNOWN.iter().find(|known| known.0 == errno) {
        Some((_, name, meaning)) => format!("{name} ({meaning})"),
        None => format!("errno {errno}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_ones_are_told_by_number() {
        assert_eq!(describe(1), "EPERM (not permitted)");
        assert_eq!((name(4000), describe(-1)), ("errno 4000".to_owned(), "errno -1".to_owned()));
    }
}
