//! The JVM: the full thread dump that HotSpot gives by its attach protocol, as `jstack` shows it.
//!
//! The JVM brings its threads to a safepoint for it, which takes it about a millisecond; a thread that is blocked in a
//! system call is not touched. The JVM is asked in its own namespaces and in its own user's name.

mod attach;
mod identity;
mod options;
mod text;

use std::collections::HashMap;
use std::io;
use std::time::Instant;

use self::attach::{Failure, Jvm};
use self::identity::Identity;
use self::options::Tables;
use self::text::Dump;
use super::{Subject, ThreadTold, Told, ToldStack, exported, namespace};
use crate::core::facts::{TaskFacts, ThreadFacts};
use crate::sys::dump::files;
use crate::sys::procfs::Stat;

/// Up to how much resident memory a JVM is asked who holds its `java.util.concurrent` locks, in bytes: it walks its whole
/// heap for that while nothing else runs. Measured with Java 17: 50 ms at 168 MB, 290 ms at 600 MB; 0.2 ms without it.
const SEARCHED: u64 = 256 << 20;

/// Reads the stacks of all threads of a JVM.
pub fn read(subject: &Subject) -> Told {
    if exported::mapped(subject, "libj9vm").is_some() {
        let error = format!("threads of Eclipse OpenJ9 are not read: `jcmd {} Thread.print` shows them", subject.pid);
        return Told { error: Some(error), ..Told::default() };
    }
    // The other half of the time is for what comes after: a JVM that does not answer must not cost the native names.
    let now = Instant::now();
    let until = now + subject.deadline.saturating_duration_since(now) / 2;
    match dump(subject, until) {
        Ok(dump) => tell(subject, dump),
        Err(reason) => {
            let version = Tables::of(subject).and_then(|tables| tables.version());
            let version = version.map(|version| text::public_version(&version));
            let error = Some(format!("the JVM did not tell its stacks: {reason}"));
            Told { version, disturbed: true, error, ..Told::default() }
        }
    }
}

/// The thread dump; else why there is none, and the remedy.
fn dump(subject: &Subject, until: Instant) -> Result<Dump, String> {
    if Stat::of(subject.via).is_some_and(|stat| matches!(stat.state, 'T' | 't')) {
        let pid = subject.pid;
        return Err(format!("it is stopped by a signal or a tracer, and cannot answer until `kill -CONT {pid}`"));
    }
    let jvm = Jvm::of(subject.pid, subject.via).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "it has no /tmp, where its socket would be: give its container one".to_owned(),
        _ => format!("its /tmp cannot be looked into: {error}"),
    })?;
    let answer = match jvm.ask("threaddump", "", until) {
        Err(Failure::NotListening) => {
            open(subject, &jvm, until)?;
            jvm.ask("threaddump", "", until)
        }
        answer => answer,
    };
    let dump = Dump::parse(&answer.map_err(|failure| explain(&jvm, failure))?);
    if dump.misses_holder()
        && resident(subject.via) <= SEARCHED
        && let Ok(text) = jvm.ask("threaddump", "-l", until)
    {
        return Ok(Dump::parse(&text));
    }
    Ok(dump)
}

/// Has the JVM open its socket, by a file and SIGQUIT.
fn open(subject: &Subject, jvm: &Jvm, until: Instant) -> Result<(), String> {
    let flag = |name: &str| Tables::of(subject).and_then(|tables| tables.flag(name));
    if flag("DisableAttachMechanism") == Some(true) {
        return Err("it was started with -XX:+DisableAttachMechanism: leave that out".to_owned());
    }
    let _announcement = jvm.announce(until).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied if error.raw_os_error() != Some(libc::EPERM) => {
            format!("its user {} may not write to its /tmp, where its socket would be", jvm.identity.user)
        }
        io::ErrorKind::ReadOnlyFilesystem => "its /tmp is read-only: mount one where it can make its socket".to_owned(),
        _ => explain(jvm, error.into()),
    })?;
    attach::send_quit(subject.pid).map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported => {
            "it has not come so far in its start that it could answer: it has no handler for \
            SIGQUIT yet, by which it is asked, and would be ended by it; its native stacks show what it is at"
                .to_owned()
        }
        _ => format!("SIGQUIT, by which it is asked for its socket, could not be sent: {error}"),
    })?;
    jvm.wait_for_socket(until).map_err(|error| explain(jvm, error.into()))
}

fn explain(jvm: &Jvm, failure: Failure) -> String {
    let Identity { user, group } = jvm.identity;
    match failure {
        Failure::NotListening => "it has closed its socket again".to_owned(),
        Failure::Refused => format!("it did not accept a request of its own user {user} and group {group}"),
        Failure::Foreign => {
            format!("{} in its /tmp is not its own: remove that", format_args!(".java_pid{}", jvm.inner))
        }
        Failure::Answered(text) => format!("it answered with an error: {text}"),
        Failure::Io(error) if error.kind() == io::ErrorKind::TimedOut => format!(
            "it did not answer in time: its threads may not have come to a safepoint (a long garbage collection or \
             loop), or its start hangs; `jhsdb jstack --pid {}` stops it and reads them by force",
            jvm.pid
        ),
        Failure::Io(error) if error.raw_os_error() == Some(libc::EPERM) && Identity::own() != jvm.identity => format!(
            "it serves user {user} and group {group} only, whose ids the launcher may not take: let it have \
             CAP_SETUID and CAP_SETGID, or run both as one user"
        ),
        Failure::Io(error) => format!("its socket in /tmp cannot be used: {error}"),
    }
}

fn tell(subject: &Subject, dump: Dump) -> Told {
    let tids = namespace::tids(subject);
    let by_tid: HashMap<i32, &ThreadFacts> = subject.threads.iter().map(|thread| (thread.tid, thread)).collect();
    let mut told = Told { version: dump.version, disturbed: true, ..Told::default() };
    let mut virtual_threads = false;
    for thread in dump.threads {
        virtual_threads |= thread.carried.is_some() || thread.name.starts_with("VirtualThread-un");
        let tid = tids.get(&thread.inner).copied();
        // A thread of the dump that is none of the process has begun since.
        let Some(facts) = tid.and_then(|tid| by_tid.get(&tid)) else { continue };
        let mut frames = thread.frames;
        if let Some(carried) = thread.carried {
            told.tasks.push(TaskFacts {
                id: carried.id,
                state: "mounted".to_owned(),
                thread: tid,
                frames: carried.frames.clone().into(),
                ..TaskFacts::default()
            });
            frames.splice(..0, carried.frames);
        }
        told.threads.push(ThreadTold {
            tid: facts.tid,
            name: Some(thread.name).filter(|name| *name != facts.name),
            state: thread.state,
            locks: thread.locks,
            stack: ToldStack::Beside(frames),
        });
    }
    if virtual_threads {
        let command = format!("jcmd {} Thread.dump_to_file -format=json FILE", subject.pid);
        told.error = Some(format!("virtual threads that are not running are not listed: `{command}` writes them"));
    }
    told
}

/// Resident memory of a process, in bytes.
fn resident(pid: i32) -> u64 {
    let status = files::record(&format!("/proc/{pid}/status")).unwrap_or_default();
    files::number(&status, "VmRSS").map_or(u64::MAX, |kilobytes| kilobytes.saturating_mul(1024))
}
