//! The threads of a Go program: the part of their stacks that is Go code, by Go's own tables.

use std::collections::HashMap;
use std::time::Duration;

use super::super::super::capture;
use super::super::{Subject, ThreadTold, ToldStack};
use super::functions::Functions;
use super::stack::{Behind, Start, Walk, Walker};
use super::tell::Teller;

/// The stacks of all threads in which there is code of Go. `running` has the goroutine of a thread, by its tid.
pub fn told(
    subject: &Subject,
    functions: &Functions,
    walker: &Walker,
    teller: &Teller,
    running: &HashMap<i32, Behind>,
) -> Vec<ThreadTold> {
    let mut told = Vec::new();
    for (index, thread) in subject.threads.iter().enumerate() {
        let Some((from, walk)) = walk(subject, functions, walker, index, running.get(&thread.tid).copied()) else {
            continue;
        };
        let frames = teller.frames(&walk, true);
        told.push(ThreadTold { tid: thread.tid, stack: ToldStack::Instead { from, frames }, ..ThreadTold::default() });
    }
    told
}

/// The walk over the Go part of the stack of the thread with this index, and the first native frame that it replaces.
pub fn walk(
    subject: &Subject,
    functions: &Functions,
    walker: &Walker,
    index: usize,
    behind: Option<Behind>,
) -> Option<(usize, Walk)> {
    let thread = subject.stacks.get(index)?;
    let from = thread.frames.iter().position(|frame| functions.at(frame.address).is_some())?;
    let frame = thread.frames.get(from)?;
    // Where a thread stands, the next instruction is meant; where a call from it returns to, the one before.
    let start = Start { pc: frame.address, sp: frame.stack_pointer, interrupted: from == 0, in_call: false };
    let walk = walker.walk(start, (thread.stack.base, &thread.stack.bytes), behind);
    (!walk.inner.is_empty()).then_some((from, walk))
}

/// A walk from where a thread stands now, and how long it was held for that. For a goroutine that came to this thread
/// after the thread was looked at.
pub fn walk_again(subject: &Subject, walker: &Walker, tid: i32, behind: Behind) -> Option<(Walk, Duration)> {
    let capture = capture::capture(subject.pid, tid, subject.maps, subject.memory).ok()?;
    let registers = capture.registers?;
    let start = Start { pc: registers.pc(), sp: registers.sp(), interrupted: true, in_call: false };
    Some((walker.walk(start, (capture.stack.base, &capture.stack.bytes), Some(behind)), capture.held))
}
