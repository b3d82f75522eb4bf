//! What is set for the service between fork and exec beside its user: limits, priority, privileges. Nothing here
//! allocates.

use crate::core::settings::Resource;

use super::plan::Stage;
use super::raw;
use super::service::Failure;

/// With what a service begins. What is absent is inherited from the launcher.
#[derive(Debug, Clone, Default)]
pub struct Attributes {
    /// `umask(2)`.
    pub umask: Option<u32>,
    /// `setpriority(2)`.
    pub nice: Option<i32>,
    /// The text for `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<String>,
    /// `setrlimit(2)`: resource, soft, hard; the largest number is no limit.
    pub limits: Vec<(i64, u64, u64)>,
    /// The capabilities it may have at most, a bit for each; another user than root has them at once.
    pub capabilities: Option<u64>,
    /// `PR_SET_NO_NEW_PRIVS(2const)`.
    pub no_new_privs: bool,
}

/// The number by which `setrlimit(2)` knows a resource.
pub fn number_of(resource: Resource) -> i64 {
    // C libraries disagree on the type, not on the numbers.
    let number = match resource {
        Resource::AddressSpace => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::FileSize => libc::RLIMIT_FSIZE,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::MessageQueues => libc::RLIMIT_MSGQUEUE,
        Resource::OpenFiles => libc::RLIMIT_NOFILE,
        Resource::Processes => libc::RLIMIT_NPROC,
        Resource::RealtimePriority => libc::RLIMIT_RTPRIO,
        Resource::PendingSignals => libc::RLIMIT_SIGPENDING,
        Resource::Stack => libc::RLIMIT_STACK,
    };
    i64::from(number)
}

/// Up to where this process may raise the limit (`prlimit(2)`); none where the kernel does not tell.
pub fn hard_limit(resource: Resource) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let none = std::ptr::null::<libc::rlimit>();
    // SAFETY: the kernel writes one structure, which lives through the call, and reads none.
    let done = unsafe { libc::syscall(libc::SYS_prlimit64, 0, number_of(resource), none, &raw mut limit) };
    (done == 0).then_some(limit.rlim_max)
}

/// `capset(2)`, version 3: two words of each set.
#[repr(C)]
#[derive(Default)]
struct Sets {
    words: [[u32; 3]; 2],
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION_3: u32 = 0x2008_0522;

impl Attributes {
    /// What needs the privileges of the launcher.
    pub(super) fn apply_as_launcher(&self) -> Result<(), Failure> {
        if let Some(score) = &self.oom_score_adj
            && !raw::write_file(c"/proc/self/oom_score_adj", score.as_bytes())
        {
            return Err(Failure::now(Stage::OomScore));
        }
        // SAFETY: no memory is involved.
        let prioritised = self.nice.is_none_or(|nice| unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } == 0);
        if !prioritised {
            return Err(Failure::now(Stage::Priority));
        }
        for (resource, soft, hard) in &self.limits {
            let limit = libc::rlimit { rlim_cur: *soft, rlim_max: *hard };
            // SAFETY: the kernel reads one structure, which lives through the call.
            let done = unsafe {
                libc::syscall(libc::SYS_prlimit64, 0, *resource, &raw const limit, std::ptr::null::<libc::rlimit>())
            };
            if done != 0 {
                return Err(Failure::now(Stage::Limits));
            }
        }
        let Some(kept) = self.capabilities else { return Ok(()) };
        self.bound_capabilities(kept)?;
        // What is kept outlives the change of user, and is cleared by exec.
        // SAFETY: no memory is involved.
        if kept != 0 && unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) } != 0 {
            return Err(Failure::now(Stage::Capabilities));
        }
        Ok(())
    }

    /// What is set once it has its user.
    pub(super) fn apply_as_service(&self) -> Result<(), Failure> {
        if let Some(umask) = self.umask {
            // SAFETY: no memory is involved.
            unsafe { libc::umask(umask) };
        }
        if let Some(kept) = self.capabilities {
            set_capabilities(kept).ok_or_else(|| Failure::now(Stage::Capabilities))?;
        }
        // SAFETY: no memory is involved.
        if self.no_new_privs && unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(Failure::now(Stage::NoNewPrivileges));
        }
        Ok(())
    }

    /// Takes the others out of the bounding set. Without the privilege for that `no_new_privs` does as well: nothing
    /// that is executed gains any.
    fn bound_capabilities(&self, kept: u64) -> Result<(), Failure> {
        for capability in (0..64).filter(|number| kept >> number & 1 == 0) {
            // SAFETY: no memory is involved; a number that the kernel does not know is an error.
            let dropped = unsafe {
                libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) != 1
                    || libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
            };
            if !dropped && !self.no_new_privs {
                return Err(Failure::now(Stage::Capabilities));
            }
        }
        Ok(())
    }
}

/// Gives up all others, and has those that are kept outlive the exec of a program without any of its own.
fn set_capabilities(kept: u64) -> Option<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut sets = Sets::default();
    // SAFETY: the kernel reads the header and writes the sets, which both live through the call.
    if unsafe { libc::syscall(libc::SYS_capget, &raw const header, &raw mut sets) } != 0 {
        return None;
    }
    let mut permitted = 0;
    for (index, words) in sets.words.iter_mut().enumerate() {
        let word = words[1] & (kept >> (32 * index)) as u32;
        *words = [word, word, word];
        permitted |= u64::from(word) << (32 * index);
    }
    // SAFETY: the kernel reads both, which live through the call.
    if unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const sets) } != 0 {
        return None;
    }
    // SAFETY: no memory is involved.
    let is_root = unsafe { libc::geteuid() } == 0;
    let raised = |number: u32| {
        // SAFETY: no memory is involved.
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) == 0 }
    };
    // Root has what its bounding set leaves in any case.
    let all = is_root
        || (0..64)
            .filter(|number| kept >> number & 1 == 1)
            .all(|number| permitted >> number & 1 == 1 && raised(number));
    all.then_some(())
}
