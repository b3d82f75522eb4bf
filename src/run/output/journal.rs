//! The journal of systemd, when it reads the launcher's output (`sd-journal(3)`).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use nix::sys::stat::FileStat;

/// Where the journal takes entries.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Whether this is the stream that the service manager has connected to the journal: `JOURNAL_STREAM` names its device
/// and inode (`systemd.exec(5)`).
pub fn reads(status: Option<&FileStat>) -> bool {
    let Some((device, inode)) = status.map(|status| (status.st_dev, status.st_ino)) else { return false };
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{device}:{inode}")) && socket().is_some()
}

fn socket() -> Option<&'static UnixDatagram> {
    static CONNECTED: OnceLock<Option<UnixDatagram>> = OnceLock::new();
    let connect = || {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SOCKET)?;
        Ok::<_, io::Error>(socket)
    };
    CONNECTED.get_or_init(|| connect().ok()).as_ref()
}

/// Sends one entry. The journal is waited for as any other reader.
///
/// # Errors
/// Those of `send(2)`.
pub fn send(entry: &[u8]) -> io::Result<()> {
    let socket = socket().ok_or(io::ErrorKind::NotConnected)?;
    loop {
        match socket.send(entry) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent.map(drop),
        }
    }
}
