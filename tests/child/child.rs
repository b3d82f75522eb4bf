//! A program that does what its arguments say, for the black-box tests: each argument is one step, done in order.
//!
//! ```text
//! child "on TERM exit 3" "print up {pid}" wait
//! child fork setsid "on TERM ignore" wait end "notify READY=1" wait
//! ```
//!
//! `fork`, `double-fork`, `generation N` and `first FILE` begin a block that ends at `end`. The table of all steps is
//! [`perform`]. `exec` takes all that follows as the command line of another program. `print` writes a line to standard output, `say` sends one to the test's own socket, which works when
//! standard output is closed or is not the test's. When the steps are done, the program ends with code 0; a step that
//! fails or does not exist ends it with code 99.
//!
//! It has a `main` of its own kind because Rust's usual one ignores SIGPIPE, handles SIGSEGV and opens missing
//! standard descriptors: the child would then not show what it was given.
#![no_main]
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

mod dumps;
mod notify;
mod processes;
mod signals;
mod sockets;
mod steps;
mod text;

use steps::{Failure, State, Step};

/// Ends with this code when a step could not be done.
const STEP_FAILED: i32 = 99;

#[unsafe(no_mangle)]
extern "C" fn main(count: i32, arguments: *const *const libc::c_char) -> i32 {
    // SAFETY: they are libc's.
    let words = unsafe { launcher::sys::entry::arguments(count, arguments) };
    let words: Vec<String> = words.into_iter().skip(1).map(|word| word.into_string().unwrap_or_default()).collect();
    let done = steps::parse(&words).and_then(|steps| run(&steps, &mut State::default()));
    match done {
        Ok(()) => 0,
        Err(failure) => {
            text::write_line(2, &format!("child: {failure}"));
            text::say(&format!("child: {failure}"));
            STEP_FAILED
        }
    }
}

/// Does the steps in order.
fn run(steps: &[Step], state: &mut State) -> Result<(), Failure> {
    for step in steps {
        perform(step, state).map_err(|failure| Failure(format!("{} {}: {failure}", step.verb, step.rest)))?;
    }
    Ok(())
}

/// Does one step.
fn perform(step: &Step, state: &mut State) -> Result<(), Failure> {
    let rest = text::expand(&step.rest);
    match step.verb.as_str() {
        "exec" => processes::execute(&step.words)?,
        "print" => text::write_line(1, &rest),
        "eprint" => text::write_line(2, &rest),
        "say" => text::say(&rest),
        "exit" => std::process::exit(rest.parse()?),
        "wait" => signals::wait_for_ever(),
        "gate" | "read-file" => drop(std::fs::read(&rest)?),
        "read-line" => text::read_line()?,
        "nap" => std::thread::sleep(std::time::Duration::from_millis(rest.parse()?)),
        "busy" => signals::busy(),
        "on" => signals::on(&rest)?,
        "die" => signals::die(&rest)?,
        "block" => signals::block(&rest)?,
        "signal" => signals::send(&rest)?,
        "stop-self" => signals::stop_self()?,
        "fork" | "double-fork" | "setsid" | "setpgid" | "orphans" | "orphans-wait" | "wait-child" | "wait-children"
        | "fork-storm" | "lock-file" | "close-fds" | "hog-memory" => processes::perform(step, &rest, state)?,
        "notify" | "notify-by-crate" | "barrier" | "flood-notify" | "notify-fds" | "notify-storm" | "store"
        | "store-socket" | "notify-pidfd" => notify::perform(step, &rest)?,
        "listen" | "listen-fds" | "listen-polled" | "listen-twice" | "listen-v6only" | "listen-shared"
        | "serve-udp-shared" | "close-listeners" | "nonblocking" | "own-network" | "undumpable" | "deny-steering"
        | "bind" | "udp" | "serve" | "serve-one" | "connect" | "retry" | "ask" => {
            sockets::perform(step, &rest, state)?;
        }
        "dump-env" | "dump-fds" | "dump-signals" | "dump-ids" | "dump-listen" | "dump-stored" => dumps::perform(step)?,
        "generation" if text::variable("LAUNCHER_GENERATION") != rest => {}
        "first" if std::fs::File::create_new(&rest).is_err() => {}
        "generation" | "first" => run(&step.block, state)?,
        _ => return Err(Failure("no such step".into())),
    }
    Ok(())
}
