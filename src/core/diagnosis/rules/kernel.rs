//! States that the kernel alone explains: `stopped`, `entropy-wait`, `disk-wait`.

use crate::core::facts::{FileFacts, FileKind, ThreadFacts, WaitingOn};

use super::super::candidate::{Candidate, Grip};
use super::super::view::{Place, View};
use super::super::{Cause, Confidence, words};
use super::connection::stack;

/// Stopped by a signal, job control or a tracer.
pub fn stopped<'a>(_: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let traced = match place.thread.state {
        'T' => false,
        't' => true,
        _ => return None,
    };
    let process = words::process(place.process);
    let terminal = match place.wait() {
        Some(WaitingOn::Input { file, .. } | WaitingOn::Output { file, .. }) => file.kind == FileKind::Terminal,
        _ => false,
    };
    let summary = match (traced, terminal) {
        (true, _) => format!("{process} is held by a tracer (a debugger or strace)"),
        (false, true) => format!("{process} is stopped: it used the terminal from the background"),
        (false, false) => format!("{process} is stopped by a signal or by job control"),
    };
    let candidate = Candidate::new(Cause::Stopped, Confidence::Certain, Grip::Firm, summary)
        .at(place)
        .evidence(format!("the kernel shows {} in state {}", place.number(), place.thread.state))
        .evidence_all(stack(place));
    let pid = place.process.pid;
    Some(match (traced, terminal) {
        (true, _) => candidate.advice(format!("detach the tracer: grep TracerPid /proc/{pid}/status names it")),
        (false, true) => candidate
            .advice("give it the terminal: launcher run -i")
            .advice("or keep it from the terminal: redirect its input from /dev/null"),
        (false, false) => candidate.advice(format!("let it go on: kill -CONT {pid}")),
    })
}

/// `getrandom(2)` before the kernel's pool is ready, or a read of /dev/random. Once the pool has been ready neither blocks
/// any more (`random(4)`): the corpus has programs whose calls a filter holds.
pub fn entropy<'a>(_: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let target = match place.wait()? {
        WaitingOn::Entropy => "getrandom",
        WaitingOn::Input { file, .. } if file.kind == FileKind::Device && file.path == "/dev/random" => "/dev/random",
        _ => return None,
    };
    let summary =
        format!("{} {} for random numbers ({target}): the kernel's pool is not ready", place.who(), place.has_waited());
    Some(
        Candidate::new(Cause::EntropyWait, Confidence::Certain, Grip::Hard, summary)
            .at(place)
            .target(target)
            .evidence(format!("system call: a blocking read of {target}"))
            .evidence_all(stack(place))
            .advice("give this machine a source of entropy: virtio-rng for a virtual machine, or rngd")
            .advice("or let the program read /dev/urandom"),
    )
}

/// Uninterruptible input or output, and reads of files that do not come back.
pub fn disk<'a>(_: &View<'a>, place: &Place<'a>) -> Option<Candidate> {
    let on_disk = |file: &&FileFacts| matches!(file.kind, FileKind::Regular | FileKind::Directory);
    let path = match place.wait() {
        Some(WaitingOn::Input { file, .. } | WaitingOn::Output { file, .. }) => {
            Some(file).filter(on_disk).map(|file| file.path.as_str())
        }
        Some(WaitingOn::Open { path }) => Some(path.as_str()),
        Some(WaitingOn::Child { .. } | WaitingOn::Futex(_)) => return None,
        _ => None,
    };
    let thread = place.on_thread()?;
    let uninterruptible = thread.state == 'D';
    let remote = remote_file_system(thread);
    if waits_for_vfork(thread) || !(uninterruptible || remote) {
        return None;
    }
    let known = waits_for_io(thread) || path.is_some();
    let confidence = if known { Confidence::Certain } else { Confidence::Likely };
    let on = path.map(|path| format!(" on {path}")).unwrap_or_default();
    let what = match uninterruptible {
        true => format!("for input or output{on} that cannot be interrupted"),
        false => format!("for input or output{on}: the file system's server does not answer"),
    };
    let summary = format!("{} {} {what}", place.who(), place.has_waited());
    let wchan = thread.wchan.as_ref().map(|wchan| format!("it sleeps in the kernel's {wchan}()"));
    let mut candidate = Candidate::new(Cause::DiskWait, confidence, Grip::Hard, summary).at(place);
    if let Some(path) = path {
        candidate = candidate.target(path);
    }
    Some(
        candidate
            .evidence(format!("the kernel shows {} in state {}", place.number(), thread.state))
            .evidence_all(wchan)
            .evidence_all(place.call())
            .evidence_all(stack(place))
            .advice("look at the disk or the network file system behind it: dmesg, iostat, mount")
            .advice("if it is only slow, raise start_timeout (--start-timeout)"),
    )
}

/// The parent of a vfork is in state D too, until the child has executed or ended.
pub fn waits_for_vfork(thread: &ThreadFacts) -> bool {
    let call = thread.syscall.as_deref().unwrap_or_default();
    let wchan = thread.wchan.as_deref().unwrap_or_default();
    let clones = ["vfork", "clone", "clone3"].iter().any(|name| call.split('(').next() == Some(name));
    let other =
        matches!(&thread.waiting_on, Some(WaitingOn::Other { call }) if call.starts_with("clone") || call == "vfork");
    thread.state == 'D' && (clones || other || wchan.contains("vfork") || wchan == "kernel_clone")
}

fn waits_for_io(thread: &ThreadFacts) -> bool {
    const PLACES: [&str; 16] = [
        "io_schedule",
        "folio_wait",
        "wait_on_page",
        "wait_on_buffer",
        "bit_wait_io",
        "jbd2",
        "ext4",
        "xfs",
        "btrfs",
        "blk_",
        "dio_",
        "iomap",
        "submit_bio",
        "sync_",
        "writeback",
        "filemap",
    ];
    let wchan = thread.wchan.as_deref().unwrap_or_default();
    remote_file_system(thread) || PLACES.iter().any(|place| wchan.contains(place))
}

/// Whether it sleeps in a file system that is served by another host or program.
pub fn remote_file_system(thread: &ThreadFacts) -> bool {
    let wchan = thread.wchan.as_deref().unwrap_or_default();
    // Of FUSE only what waits for an answer: its servers wait for requests.
    ["nfs", "rpc_wait", "cifs", "smb", "request_wait_answer", "fuse_wait", "ceph", "p9_client"]
        .iter()
        .any(|name| wchan.contains(name))
}
