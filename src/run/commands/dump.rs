//! `launcher dump`: stacks and verdict of any process tree, now, without harm to it.

use std::io::Write as _;

use crate::core::diagnosis::diagnose;
use crate::core::exit::code;
use crate::core::facts::{Facts, Occasion};
use crate::core::report::{mask, text};
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
    let pids = dump::tree(pid);
    if !procfs::exists(pid) {
        eprintln!("launcher: there is no process {pid}");
        return code::PREFLIGHT;
    }
    let mut facts =
        Facts::new(procfs::stat(pid).map(|stat| stat.name).unwrap_or_else(|| pid.to_string()), Occasion::Requested);
    facts.listening = sock_diag::all_listening_of(&pids);
    facts.processes = dump::dump(&pids, &dump::Options::default());
    facts.processes.iter_mut().for_each(mask::process);
    let out = if args.json {
        let mut json = serde_json::to_string_pretty(&facts.processes).unwrap_or_default();
        json.push('\n');
        json
    } else {
        text::dump(&facts.processes, &diagnose(&facts), log::style(&std::io::stdout()))
    };
    let _ = std::io::stdout().lock().write_all(out.as_bytes());
    0
}
