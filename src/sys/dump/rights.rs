//! The rights to look at a process of another user without CAP_SYS_PTRACE, as in a container with Docker's defaults.
//!
//! The kernel lets a thread look into a process when their users and groups are the same and the process has no
//! capability that the thread lacks (`ptrace(2)`, "Ptrace access mode checking"). Files below `/proc` ask for the
//! file-system ids, which no other rule looks at: neither may a signal be sent for them, nor may this process be looked
//! into. They are a thread's own, so only the thread of the dump takes on the process's, and gives them back. Its
//! capabilities stay as they are.
//!
//! `ptrace(2)` itself asks for the real ids. They are taken on for the few threads that are on a CPU, by the thread that
//! holds them, which ends after that. Its effective and saved ids stay, so that the process cannot look into it.

use std::sync::OnceLock;

use super::files;

/// Numbers of `capabilities(7)`.
const CAP_SETUID: u32 = 7;
const CAP_SYS_PTRACE: u32 = 19;

/// Capability sets of a thread, as `capget(2)` has them: the lower and the upper 32.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;

fn capabilities() -> [Sets; 2] {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut sets = [Sets::default(); 2];
    // SAFETY: both point to valid structures of the version that the header names. A failure leaves zeroes.
    unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    sets
}

fn set_capabilities(sets: &[Sets; 2]) {
    let mut header = Header { version: VERSION, pid: 0 };
    // SAFETY: both point to valid structures of the version that the header names; only this thread is changed.
    unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) };
}

fn has(sets: &[Sets; 2], capability: u32) -> bool {
    sets[0].effective >> capability & 1 == 1
}

/// Whether this thread may look into processes whose users are others than its own.
pub(crate) fn of_any_user() -> bool {
    has(&capabilities(), CAP_SYS_PTRACE)
}

/// The ids of the process `pid` when they would let a thread look into it that may not by its capabilities: user and
/// group, each the same as real, effective and saved one.
fn lacking(pid: i32) -> Option<(u32, u32)> {
    let own = capabilities();
    if has(&own, CAP_SYS_PTRACE) || !has(&own, CAP_SETUID) {
        return None;
    }
    let status = files::record(&format!("/proc/{pid}/status")).ok()?;
    Some((same(&status, "Uid:")?, same(&status, "Gid:")?))
}

/// The id of a line of `status` that has the same real, effective and saved one.
fn same(status: &str, key: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let ids: Vec<u32> = line.split_whitespace().take(3).filter_map(|id| id.parse().ok()).collect();
    matches!(ids[..], [real, effective, saved] if real == effective && effective == saved).then(|| ids[0])
}

/// The file-system ids of a process, taken on by this thread until it is dropped.
#[derive(Debug)]
pub struct Taken {
    before: Option<(u32, u32)>,
}

/// Takes on the rights of the process `pid`, where this thread lacks its own and is allowed to; else nothing changes.
pub fn take(pid: i32) -> Taken {
    let before = lacking(pid).and_then(|(uid, gid)| {
        let before = (file_user(u32::MAX), file_group(u32::MAX));
        (before != (uid, gid)).then(|| set_file_ids(uid, gid))?;
        Some(before)
    });
    Taken { before }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some((uid, gid)) = self.before {
            set_file_ids(uid, gid);
        }
    }
}

/// Takes on what it needs to `ptrace(2)` the process `pid`. For a thread that ends when it has done so.
pub fn take_for_tracing(pid: i32) {
    let Some((uid, gid)) = lacking(pid) else { return };
    let sets = capabilities();
    // SAFETY: numbers only. The raw calls change this thread alone, where the C library's would change all.
    unsafe {
        libc::syscall(libc::SYS_setresgid, gid, u32::MAX, u32::MAX);
        libc::syscall(libc::SYS_setresuid, uid, u32::MAX, u32::MAX);
    }
    set_capabilities(&sets);
    // The calls have set them back to the effective ids.
    set_file_ids(uid, gid);
}

/// Sets the file-system ids of this thread, group first, and keeps its capabilities.
fn set_file_ids(uid: u32, gid: u32) {
    let (sets, dumpable) = (capabilities(), was_dumpable());
    file_group(gid);
    file_user(uid);
    // Leaving user 0 has taken those about files out of the effective ones.
    set_capabilities(&sets);
    if dumpable {
        // The kernel makes a process undumpable when the ids of any of its threads change.
        // SAFETY: PR_SET_DUMPABLE takes a number.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
    }
}

/// Sets the file-system user of this thread; the one before. `u32::MAX` is no user and changes nothing.
fn file_user(uid: u32) -> u32 {
    // SAFETY: setfsuid(2) takes a number and changes this thread alone.
    unsafe { libc::setfsuid(uid) as u32 }
}

/// The same for the group.
fn file_group(gid: u32) -> u32 {
    // SAFETY: setfsgid(2) takes a number and changes this thread alone.
    unsafe { libc::setfsgid(gid) as u32 }
}

/// Whether this process was dumpable before any of its threads took on other ids: to be asked by each before it does. What
/// is so at that moment says nothing, as another thread may be about to do the same.
pub fn was_dumpable() -> bool {
    static BEFORE: OnceLock<bool> = OnceLock::new();
    // SAFETY: PR_GET_DUMPABLE takes nothing and gives a number.
    *BEFORE.get_or_init(|| unsafe { libc::prctl(libc::PR_GET_DUMPABLE) } == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_differ_are_no_rights_to_take_on() {
        let status = "Name:\tx\nUid:\t1000\t1000\t1000\t1000\nGid:\t5\t6\t5\t5\n";
        assert_eq!(same(status, "Uid:"), Some(1000));
        assert_eq!(same(status, "Gid:"), None);
        assert_eq!(same("noise", "Uid:"), None);
    }

    #[test]
    fn a_thread_with_all_rights_takes_none_on() {
        assert_eq!(take(std::process::id() as i32).before, None);
    }
}
