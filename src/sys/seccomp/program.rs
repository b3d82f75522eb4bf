//! The filter of system calls as the kernel takes it (`seccomp(2)`, classic BPF), and how it is installed.

use std::os::fd::RawFd;

/// The architecture of the launcher's own programs (`linux/audit.h`), which libc does not name.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xC000_00B7;
/// 32-bit programs beside them.
#[cfg(target_arch = "x86_64")]
pub(super) const NARROW: u32 = 0x4000_0003;
#[cfg(target_arch = "aarch64")]
pub(super) const NARROW: u32 = 0x4000_0028;

/// Where the fields of `struct seccomp_data` lie.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// The calls of 32-bit programs: `bind(2)`, and, on x86, `socketcall(2)` with what stands for it there.
#[cfg(target_arch = "x86_64")]
const NARROW_BIND: u32 = 361;
#[cfg(target_arch = "aarch64")]
const NARROW_BIND: u32 = 282;
#[cfg(target_arch = "x86_64")]
const NARROW_SOCKETCALL: u32 = 102;
#[cfg(target_arch = "x86_64")]
const SOCKETCALL_BIND: u32 = 2;

/// A filter that hands `bind(2)` and `listen(2)` to the launcher and lets everything else pass, in memory that a fork
/// can install it from.
#[derive(Debug, Clone)]
pub struct Filter {
    program: Vec<libc::sock_filter>,
    /// Whether `no_new_privs` is set first: without CAP_SYS_ADMIN there is no filter otherwise.
    pub no_new_privs: bool,
    /// Whether a signal that does not kill leaves a call alone that the launcher has in hand (Linux 5.19).
    pub wait_killable: bool,
}

impl Filter {
    /// The filter. With `v6only`, `setsockopt(2)` of IPV6_V6ONLY is handed over as well: for where the launcher cannot
    /// ask a socket of the service for it.
    pub fn new(v6only: bool) -> Filter {
        Filter { program: program(v6only), no_new_privs: false, wait_killable: false }
    }

    /// Installs it for the calling thread: the descriptor by which the calls are taken, close-on-exec, or the errno.
    /// Async-signal-safe.
    ///
    /// # Errors
    /// EBUSY when a filter above has such a descriptor already; EACCES without `no_new_privs` and CAP_SYS_ADMIN;
    /// ENOSYS and EINVAL on kernels before 5.0 or without seccomp.
    pub fn install(&self) -> Result<RawFd, i32> {
        let program =
            libc::sock_fprog { len: self.program.len() as libc::c_ushort, filter: self.program.as_ptr().cast_mut() };
        // Of no use against speculation here, and a filter without it makes programs slower on kernels before 5.16.
        let mut flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        if self.wait_killable {
            flags |= libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        }
        // SAFETY: the kernel reads the program, which lives as long as `self`.
        let fd = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
        if fd >= 0 {
            return Ok(fd as RawFd);
        }
        // SAFETY: the pointer is to this thread's own errno and is always valid.
        Err(unsafe { *libc::__errno_location() })
    }
}

/// One instruction. `jt` and `jf` count instructions that are left out.
const fn op(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

const fn load(offset: u32) -> libc::sock_filter {
    op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

const fn when(value: u32, jt: u8, jf: u8) -> libc::sock_filter {
    op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, value)
}

const fn give(value: u32) -> libc::sock_filter {
    op(libc::BPF_RET | libc::BPF_K, 0, 0, value)
}

fn program(v6only: bool) -> Vec<libc::sock_filter> {
    let mut all = vec![load(ARCHITECTURE)];
    let native = native(v6only);
    all.push(when(NATIVE, 0, native.len() as u8));
    all.extend(native);
    all.extend(narrow());
    all
}

/// For programs of the launcher's own architecture.
fn native(v6only: bool) -> Vec<libc::sock_filter> {
    let mut all = vec![load(NUMBER)];
    // The numbers of x32, an ABI that no server speaks: as on a kernel without it.
    #[cfg(target_arch = "x86_64")]
    {
        const X32: u32 = 0x4000_0000;
        all.push(op(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32));
        all.push(give(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32));
    }
    for number in [libc::SYS_bind, libc::SYS_listen] {
        all.extend([when(number as u32, 0, 1), give(libc::SECCOMP_RET_USER_NOTIF)]);
    }
    if v6only {
        all.extend([
            when(libc::SYS_setsockopt as u32, 0, 5),
            load(argument(1)),
            when(libc::IPPROTO_IPV6 as u32, 0, 3),
            load(argument(2)),
            when(libc::IPV6_V6ONLY as u32, 0, 1),
            give(libc::SECCOMP_RET_USER_NOTIF),
        ]);
    }
    all.push(give(libc::SECCOMP_RET_ALLOW));
    all
}

/// For 32-bit programs: their binds are only told of. What they do otherwise passes.
fn narrow() -> Vec<libc::sock_filter> {
    let allow = give(libc::SECCOMP_RET_ALLOW);
    let tell = give(libc::SECCOMP_RET_USER_NOTIF);
    let mut all = vec![when(NARROW, 1, 0), allow, load(NUMBER), when(NARROW_BIND, 0, 1), tell];
    #[cfg(target_arch = "x86_64")]
    all.extend([when(NARROW_SOCKETCALL, 0, 3), load(argument(0)), when(SOCKETCALL_BIND, 0, 1), tell]);
    all.push(allow);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel does.
    fn run(program: &[libc::sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_ne_bytes());
        data.extend(architecture.to_ne_bytes());
        data.extend([0; 8]);
        arguments.iter().for_each(|argument| data.extend(argument.to_ne_bytes()));
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = program[at];
            at += 1;
            match u32::from(instruction.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    let from = instruction.k as usize;
                    accumulator = u32::from_ne_bytes(data[from..from + 4].try_into().unwrap());
                }
                code if code == libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K => {
                    at += usize::from(if accumulator == instruction.k { instruction.jt } else { instruction.jf });
                }
                code if code == libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K => {
                    at += usize::from(if accumulator >= instruction.k { instruction.jt } else { instruction.jf });
                }
                code if code == libc::BPF_RET | libc::BPF_K => return instruction.k,
                code => panic!("{code:#x}"),
            }
        }
    }

    #[test]
    fn binds_and_listens_are_handed_over_and_nothing_else() {
        for v6only in [false, true] {
            let program = program(v6only);
            for number in 0..600 {
                let handed = [libc::SYS_bind as u32, libc::SYS_listen as u32].contains(&number);
                let expected = if handed { libc::SECCOMP_RET_USER_NOTIF } else { libc::SECCOMP_RET_ALLOW };
                assert_eq!(run(&program, NATIVE, number, [0; 6]), expected, "{number}");
                assert_eq!(run(&program, 0x1234, number, [0; 6]), libc::SECCOMP_RET_ALLOW, "{number}");
            }
            let option = |level: i32, name: i32| [3, level as u64, name as u64, 0, 4, 0];
            let setsockopt = |arguments| run(&program, NATIVE, libc::SYS_setsockopt as u32, arguments);
            let handed = if v6only { libc::SECCOMP_RET_USER_NOTIF } else { libc::SECCOMP_RET_ALLOW };
            assert_eq!(setsockopt(option(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)), handed);
            assert_eq!(setsockopt(option(libc::SOL_SOCKET, libc::IPV6_V6ONLY)), libc::SECCOMP_RET_ALLOW);
            assert_eq!(setsockopt(option(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY + 1)), libc::SECCOMP_RET_ALLOW);
        }
    }

    #[test]
    fn a_32_bit_program_is_told_of_when_it_binds() {
        let program = program(false);
        for number in 0..600 {
            let expected = if number == NARROW_BIND { libc::SECCOMP_RET_USER_NOTIF } else { libc::SECCOMP_RET_ALLOW };
            assert_eq!(run(&program, NARROW, number, [1, 0, 0, 0, 0, 0]), expected, "{number}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn x32_is_not_there_and_socketcall_may_bind() {
        let program = program(false);
        for number in [0x4000_0000, 0x4000_0000 + libc::SYS_bind as u32, u32::MAX] {
            let refused = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
            assert_eq!(run(&program, NATIVE, number, [0; 6]), refused, "{number:#x}");
        }
        let call = |kind| run(&program, NARROW, NARROW_SOCKETCALL, [kind, 0, 0, 0, 0, 0]);
        assert_eq!((call(2), call(4)), (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW));
    }
}
