//! Takes a copy of one thread: where it is and its stack, at one moment.

use std::time::Duration;

use nix::errno::Errno;

use super::files::{Place, Places};
use super::maps::Maps;
use super::memory::{Memory, Stack};
use super::registers::Registers;

/// How much of a stack is copied at once; what lies beyond is read when it is needed.
const STACK_COPY: u64 = 256 << 10;
/// How often a copy is tried of a thread that keeps changing its place.
const TRIES: usize = 4;

/// A system call: number and arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Its number, of this architecture.
    pub number: i64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// What was seen of one thread.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    /// Its registers, as far as they are known; `None` when there is no stack to walk.
    pub registers: Option<Registers>,
    /// The copy of its stack.
    pub stack: Stack,
    /// The system call it is blocked in.
    pub call: Option<Call>,
    /// How long it was held for the copy; zero for a blocked thread.
    pub held: Duration,
}

/// Why nothing could be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The thread is gone.
    Gone,
    /// The kernel denied it, with this errno.
    Errno(i32),
}

impl From<std::io::Error> for Denied {
    fn from(error: std::io::Error) -> Denied {
        match error.raw_os_error() {
            Some(libc::ESRCH | libc::ENOENT) | None => Denied::Gone,
            Some(errno) => Denied::Errno(errno),
        }
    }
}

impl From<Errno> for Denied {
    fn from(errno: Errno) -> Denied {
        if errno == Errno::ESRCH { Denied::Gone } else { Denied::Errno(errno as i32) }
    }
}

/// Copies the thread `tid` of the process `pid`. A blocked thread is not touched: it is looked at, its stack is read,
/// and it is looked at again; had it moved in between, that is repeated. Only a thread that is on a CPU is held.
pub fn capture(pid: i32, tid: i32, maps: &Maps, memory: &Memory) -> Result<Capture, Denied> {
    let places = Places::of(pid, tid).map_err(|error| not_told(pid, tid, error))?;
    for attempt in 0..TRIES {
        let place = places.now()?;
        let (sp, pc, call) = match place {
            Place::Running => {
                // It may only be on its way from one wait to the next, and a hold could be felt there.
                std::thread::sleep(Duration::from_micros(50 << attempt));
                continue;
            }
            Place::Kernel => return Ok(Capture::default()),
            Place::Fault { sp, pc } => (sp, pc, None),
            Place::Call { number, arguments, sp, pc } => (sp, pc, Some(Call { number, arguments })),
        };
        let stack = copy_stack(sp, maps, memory);
        if places.now()? == place || attempt == TRIES - 1 {
            let registers = Some(match call {
                Some(call) => Registers::in_call(sp, pc, call.arguments),
                None => Registers::blocked(sp, pc),
            });
            return Ok(Capture { registers, stack, call, held: Duration::ZERO });
        }
    }
    hold_and_copy(pid, tid, maps)
}

/// Why the place of a thread is not told: there may be no such file at all, on kernels that are none of Linux's own
/// (gVisor) or of an unusual architecture.
fn not_told(pid: i32, tid: i32, error: std::io::Error) -> Denied {
    let lives = || std::fs::exists(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or(false);
    match error.raw_os_error() {
        Some(libc::ENOENT) if lives() => Denied::Errno(libc::ENOENT),
        _ => error.into(),
    }
}

fn copy_stack(sp: u64, maps: &Maps, memory: &Memory) -> Stack {
    let end = maps.find(sp).map_or(sp, |mapping| mapping.end);
    let length = (end - sp).min(STACK_COPY) as usize;
    Stack { base: sp, bytes: memory.read_fresh(sp, length) }
}

/// Holds the thread for the copy.
#[cfg(target_arch = "x86_64")]
fn hold_and_copy(pid: i32, tid: i32, maps: &Maps) -> Result<Capture, Denied> {
    let copy = |held: &super::hold::Held| -> Result<(Registers, Stack), Errno> {
        let registers = Registers::held(&held.registers()?);
        Ok((registers, copy_stack(registers.sp(), maps, &Memory::of(pid))))
    };
    let (copied, held) = holding(pid, tid, copy)?;
    let (registers, stack) = copied?;
    Ok(Capture { registers: Some(registers), stack, call: None, held })
}

/// Does something while the thread is held, and for how long that was, from a thread of its own: when that ends, however
/// it ends, the kernel has let go.
#[cfg(target_arch = "x86_64")]
fn holding<T: Send>(
    pid: i32,
    tid: i32,
    work: impl FnOnce(&super::hold::Held) -> T + Send,
) -> Result<(T, Duration), Denied> {
    let hold = || -> Result<(T, Duration), Denied> {
        super::rights::take_for_tracing(pid);
        let held = super::hold::Held::take(pid, tid)?;
        let done = work(&held);
        Ok((done, held.release()))
    };
    std::thread::scope(|scope| {
        let tracer = std::thread::Builder::new().name("dump-hold".into()).spawn_scoped(scope, hold)?;
        tracer.join().unwrap_or(Err(Denied::Gone))
    })
}

/// Reads something of a thread that is on a CPU while it is held, and for how long that was; `None` when it is not on a
/// CPU for long enough that holding it could not be felt.
#[cfg(target_arch = "x86_64")]
pub fn while_held<T: Send>(
    pid: i32,
    tid: i32,
    read: impl FnOnce() -> T + Send,
) -> Result<Option<(T, Duration)>, Denied> {
    let places = Places::of(pid, tid)?;
    for attempt in 0..TRIES {
        if places.now()? != Place::Running {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_micros(50 << attempt));
    }
    holding(pid, tid, |_| read()).map(Some)
}

/// No thread is held here so far.
#[cfg(not(target_arch = "x86_64"))]
pub fn while_held<T: Send>(_: i32, _: i32, _: impl FnOnce() -> T + Send) -> Result<Option<(T, Duration)>, Denied> {
    Err(Denied::Errno(libc::ENOSYS))
}

/// Stacks are read on x86_64 only so far, so a running thread is not held for nothing.
#[cfg(not(target_arch = "x86_64"))]
fn hold_and_copy(_: i32, _: i32, _: &Maps) -> Result<Capture, Denied> {
    Ok(Capture::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_gone_is_told_from_a_kernel_that_does_not_tell_places() {
        let missing = || std::io::Error::from_raw_os_error(libc::ENOENT);
        let own = std::process::id() as i32;
        assert_eq!(not_told(own, own, missing()), Denied::Errno(libc::ENOENT));
        assert_eq!(not_told(own, 0, missing()), Denied::Gone);
        assert_eq!(not_told(own, own, std::io::Error::from_raw_os_error(libc::EACCES)), Denied::Errno(libc::EACCES));
    }
}
