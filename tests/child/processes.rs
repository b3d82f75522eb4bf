//! Forks, sessions, orphans; and what else processes hold.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe, setpgid, setsid};

use super::signals::wait_for_ever;
use super::steps::{Failure, State, Step};
use super::text;

/// Steps about processes.
pub fn perform(step: &Step, rest: &str, state: &mut State) -> Result<(), Failure> {
    match step.verb.as_str() {
        "fork" => fork_block(step, state)?,
        "double-fork" => double_fork(step, state)?,
        "setsid" => drop(setsid()?),
        "setpgid" => setpgid(Pid::from_raw(0), Pid::from_raw(0))?,
        "orphans" => orphans(rest.parse()?, false)?,
        "orphans-wait" => orphans(rest.parse()?, true)?,
        "wait-child" => wait_child(None)?,
        "wait-children" => wait_children(),
        "fork-storm" => fork_storm(rest.parse()?)?,
        "lock-file" => lock_file(rest, state)?,
        "close-fds" => close_fds()?,
        "hog-memory" => hog_memory(rest.parse()?),
        other => return Err(Failure(format!("{other} is no step about processes"))),
    }
    Ok(())
}

/// Becomes another program, with the mask and the dispositions as they are.
pub fn execute(words: &[String]) -> Result<(), Failure> {
    let words = words.iter().map(|word| std::ffi::CString::new(word.as_str())).collect::<Result<Vec<_>, _>>()?;
    let program = words.first().ok_or_else(|| Failure("a command".into()))?;
    nix::unistd::execvp(program, &words)?;
    Ok(())
}

/// Does the block's steps in a child, which ends after them.
fn fork_block(step: &Step, state: &mut State) -> Result<(), Failure> {
    // SAFETY: this program has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => state.children.push(child),
        ForkResult::Child => end_after(step, state),
    }
    Ok(())
}

fn end_after(step: &Step, state: &mut State) -> ! {
    state.children.clear();
    let code = match super::run(&step.block, state) {
        Ok(()) => 0,
        Err(failure) => {
            text::say(&format!("child: {failure}"));
            super::STEP_FAILED
        }
    };
    std::process::exit(code)
}

/// Does the block's steps in a grandchild in a session of its own, as a daemon does; its parent is gone.
fn double_fork(step: &Step, state: &mut State) -> Result<(), Failure> {
    // SAFETY: this program has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => drop(waitpid(child, None)?),
        ForkResult::Child => {
            let _ = setsid();
            // SAFETY: as above.
            match unsafe { fork() } {
                Ok(ForkResult::Child) => end_after(step, state),
                _ => std::process::exit(0),
            }
        }
    }
    Ok(())
}

/// Leaves so many orphans behind; they end when their parent is gone, or wait for ever.
///
/// The parent holds the only other end of a pipe: its end is seen as the pipe's end.
fn orphans(count: usize, stay: bool) -> Result<(), Failure> {
    let (read, write) = pipe()?;
    // SAFETY: this program has one thread.
    let ForkResult::Parent { child } = unsafe { fork() }? else {
        for _ in 0..count {
            // SAFETY: as above.
            if let Ok(ForkResult::Child) = unsafe { fork() } {
                drop(write);
                let _ = nix::unistd::read(&read, &mut [0]);
                if stay {
                    wait_for_ever();
                }
                std::process::exit(0);
            }
        }
        std::process::exit(0);
    };
    drop(write);
    waitpid(child, None)?;
    Ok(())
}

/// Waits for one child and says how it ended.
fn wait_child(which: Option<Pid>) -> Result<(), Failure> {
    let line = match waitpid(which, None)? {
        WaitStatus::Exited(_, code) => format!("child ended with {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("child ended by {}", signal as i32),
        other => format!("{other:?}"),
    };
    text::write_line(1, &line);
    text::say(&line);
    Ok(())
}

/// Waits until there is no child any more.
fn wait_children() {
    while waitpid(None, None) != Err(Errno::ECHILD) {}
}

/// Forks so many processes, each of which forks another and waits for ever, in many sessions.
fn fork_storm(count: usize) -> Result<(), Failure> {
    for number in 0..count {
        // SAFETY: this program has one thread.
        if let ForkResult::Child = unsafe { fork() }? {
            if number % 2 == 0 {
                let _ = setsid();
            }
            // SAFETY: as above.
            let _ = unsafe { fork() };
            wait_for_ever();
        }
    }
    Ok(())
}

/// Takes a lock on a file, waiting for it, and keeps it.
fn lock_file(path: &str, state: &mut State) -> Result<(), Failure> {
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    // SAFETY: flock(2) takes no pointer.
    Errno::result(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) })?;
    text::say("locked");
    state.held.push(file.into());
    Ok(())
}

/// Closes every descriptor.
fn close_fds() -> Result<(), Failure> {
    // SAFETY: nothing that owns a descriptor is used afterwards: a program that does this is what is tested.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0) })?;
    Ok(())
}

/// Takes and touches so many MiB.
fn hog_memory(mebibytes: usize) {
    std::mem::forget(std::hint::black_box(vec![1_u8; mebibytes << 20]));
}
