//! `launcher dump`: stacks and verdict of any process tree, now, without harm to it.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use crate::core::diagnosis::diagnose;
use crate::core::exit::code;
use crate::core::facts::{Facts, Occasion};
use crate::core::report::{Meta, Report, mask, text};
use crate::run::args::{DumpArgs, DumpTarget};
use crate::run::log;
use crate::sys::{dump, procfs, sock_diag};

/// Dumps the process and everything below it. Returns the exit code: 0 when there was something to look at.
pub fn dump(args: &DumpArgs) -> i32 {
    let pid = match args.target() {
        Ok(DumpTarget::Pid(pid)) => pid,
        Ok(DumpTarget::Service(name)) => {
            eprintln!(
                "launcher: finding the service {name:?} of a running launcher by its name is not in this version yet: \
                 give the pid of its process, or of the launcher itself"
            );
            return code::USAGE;
        }
        Err(error) => {
            eprint!("{error}");
            return code::USAGE;
        }
    };
    if !procfs::exists(pid) {
        eprintln!("launcher: there is no process {pid}");
        return code::PREFLIGHT;
    }
    let pids = without_launchers(dump::tree(pid));
    let name = pids.first().and_then(|first| procfs::stat(*first)).map(|stat| stat.name);
    let mut facts = Facts::new(name.unwrap_or_else(|| pid.to_string()), Occasion::Requested);
    facts.listening = sock_diag::all_listening_of(&pids);
    facts.processes = dump::dump(&pids, &dump::Options::default());
    facts.command = facts.processes.first().map(|process| process.command.clone()).unwrap_or_default();
    let diagnosis = diagnose(&facts);
    let out = if args.json {
        let meta = Meta { generation: 0, attempt: 0, time: log::utc_now(), timeline: Vec::new() };
        Report::assemble(&facts, diagnosis, meta).to_json()
    } else {
        facts.processes.iter_mut().for_each(mask::process);
        text::dump(&facts.processes, &diagnosis, args.all, log::style(&std::io::stdout()))
    };
    let _ = std::io::stdout().lock().write_all(out.as_bytes());
    0
}

/// The processes without a launcher on top and its keepers: they wait for the service, and what that waits for is asked.
/// All of them when there is nothing else.
fn without_launchers(pids: Vec<i32>) -> Vec<i32> {
    let own = identity("/proc/self/exe");
    let is_launcher = |pid: &i32| own.is_some() && identity(&format!("/proc/{pid}/exe")) == own;
    let others: Vec<i32> = pids.iter().copied().filter(|pid| !is_launcher(pid)).collect();
    if others.is_empty() { pids } else { others }
}

/// Which file a program was executed from: device and inode.
fn identity(link: &str) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(link).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
