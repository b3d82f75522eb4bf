//! The system call of a stopped thread (`ptrace(2)`, `PTRACE_GET_SYSCALL_INFO`, since Linux 5.3).

/// Where a thread is in a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// It is about to be made: its number and its arguments.
    Entry(u64, [u64; 6]),
    /// It is over, with this result: a negated error number where it failed.
    Exit(i64),
}

/// `struct ptrace_syscall_info` of `linux/ptrace.h`: not every C library has it. What follows the head differs by `op`: of
/// an entry the number and six arguments, of an exit the result.
#[repr(C)]
#[derive(Default)]
struct Info {
    op: u8,
    padding: [u8; 3],
    arch: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    values: [u64; 7],
}

const PTRACE_GET_SYSCALL_INFO: libc::c_long = 0x420e;
const ENTRY: u8 = 1;
const EXIT: u8 = 2;

/// The call at whose entry or exit this thread was stopped; `None` where it is stopped otherwise, or cannot be asked.
pub(super) fn of(tid: i32) -> Option<Call> {
    let mut info = Info::default();
    // SAFETY: the kernel writes no more than the given size, into a structure of plain numbers that lives through the call.
    let got =
        unsafe { libc::syscall(libc::SYS_ptrace, PTRACE_GET_SYSCALL_INFO, tid, size_of::<Info>(), &raw mut info) };
    let [first, arguments @ ..] = info.values;
    match info.op {
        ENTRY if got > 0 => Some(Call::Entry(first, arguments)),
        EXIT if got > 0 => Some(Call::Exit(first.cast_signed())),
        _ => None,
    }
}
