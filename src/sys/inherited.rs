//! Sockets that a service manager passed to the launcher itself (`sd_listen_fds(3)`).

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;

use socket2::{SockRef, Type};

use crate::core::inherited::Inherited;
use crate::core::settings::Listen;

/// Where passed descriptors begin.
const FIRST: RawFd = 3;

/// Takes what was passed, close-on-exec from here on. Nothing is taken that lies at or above `before`, the first
/// descriptor that this process made itself: whatever the variables claim, that was not passed. To be called once.
pub fn take(before: BorrowedFd<'_>) -> Vec<(Inherited, OwnedFd)> {
    let variable = |name: &str| std::env::var(name).ok();
    let own = std::process::id().to_string();
    let count = variable("LISTEN_FDS").filter(|_| variable("LISTEN_PID").is_some_and(|pid| pid == own));
    let Some(count) = count.and_then(|count| count.parse::<RawFd>().ok()).filter(|count| *count > 0) else {
        return Vec::new();
    };
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let end = FIRST.saturating_add(count).min(before.as_raw_fd());
    (FIRST..end)
        .filter_map(|fd| {
            // SAFETY: only a flag is set; a number that is no open descriptor is an error.
            if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
                return None;
            }
            // SAFETY: it is open, was passed to this process, and nobody else here knows of it.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            let index = usize::try_from(fd.as_raw_fd() - FIRST).unwrap_or_default();
            let name = names.get(index).copied().filter(|name| !name.is_empty()).unwrap_or("unknown").to_owned();
            Some((Inherited { name, listen: address_of(&fd) }, fd))
        })
        .collect()
}

/// Where a socket listens, or for UDP is bound, when that is an address that can be declared.
fn address_of(fd: &OwnedFd) -> Option<Listen> {
    let socket = SockRef::from(fd);
    let (address, kind) = (socket.local_addr().ok()?, socket.r#type().ok()?);
    if let Some(address) = address.as_socket() {
        return match kind {
            Type::STREAM => Some(Listen::Tcp(address)),
            Type::DGRAM => Some(Listen::Udp(address)),
            _ => None,
        };
    }
    let path = || address.as_pathname().map(PathBuf::from);
    let name = || {
        let name = address.as_abstract_namespace()?;
        Some(PathBuf::from(format!("@{}", String::from_utf8_lossy(name))))
    };
    (kind == Type::STREAM).then(|| path().or_else(name)).flatten().map(Listen::Unix)
}
