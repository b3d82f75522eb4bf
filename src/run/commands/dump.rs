//! `launcher dump`: stacks and verdict of any process tree, now, without harm to it.

use std::io::Write;
use std::os::unix::fs::MetadataExt as _;

use crate::core::control::Outcome;
use crate::core::diagnosis::{Diagnosis, diagnose};
use crate::core::exit::code;
use crate::core::facts::{Facts, Occasion};
use crate::core::report::text::Style;
use crate::core::report::{Meta, Report, text};
use crate::run::args::{DumpArgs, DumpTarget};
use crate::run::control::client::ask;
use crate::run::control::find;
use crate::run::{log, print};
use crate::sys::{dump, procfs, sock_diag};

/// Dumps the process and everything below it. Returns the exit code: 0 when there was something to look at.
pub fn dump(args: &DumpArgs) -> i32 {
    let pid = match args.target() {
        Ok(DumpTarget::Pid(pid)) => pid,
        Ok(DumpTarget::Service(name)) => return of_service(&name, args),
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
    let name = pids.first().and_then(|first| procfs::Stat::of(*first)).map(|stat| stat.name);
    let mut facts = Facts::new(name.unwrap_or_else(|| pid.to_string()), Occasion::Requested);
    facts.listening = sock_diag::all_listening_of(&pids);
    facts.processes = dump::dump(&pids, &dump::Options::default());
    facts.command = facts.processes.first().map(|process| process.command.clone()).unwrap_or_default();
    for (name, value) in pids.iter().flat_map(|pid| procfs::environment(*pid)) {
        facts.secrets.variable(&name, &value);
    }
    let diagnosis = diagnose(&facts);
    let meta = Meta { generation: 0, attempt: 0, time: log::utc_now(), timeline: Vec::new() };
    show(Report::assemble(&facts, diagnosis, meta), args)
}

/// Has the running launcher dump its service: it may look into its processes where nobody else may (Yama).
fn of_service(name: &str, args: &DumpArgs) -> i32 {
    let dumped = find::find(&args.which).and_then(|found| {
        if found.status.service(name).is_none() {
            return Err(find::no_service(&found.status, name));
        }
        let answered = ask(&found.socket, "POST", &format!("/services/{name}/dump"), None);
        let unreachable = |problem| find::unreachable(&found.socket, &problem);
        let answered = answered.map_err(unreachable)?;
        let code = answered.code;
        let text = answered.text().map_err(unreachable)?;
        match (code, serde_json::from_str::<Outcome>(&text)) {
            (200, _) => Report::from_json(&text).map_err(|problem| format!("the dump cannot be read: {problem}")),
            (_, Ok(outcome)) => Err(outcome.message),
            _ => Err(text.trim_end().to_owned()),
        }
    });
    match dumped {
        Ok(report) => show(report, args),
        Err(problem) => {
            eprintln!("launcher: {problem}");
            code::PREFLIGHT
        }
    }
}

/// Prints what was found, and returns the exit code. It was masked where it was made.
fn show(report: Report, args: &DumpArgs) -> i32 {
    let style = log::style_asked(&std::io::stdout(), &args.color);
    let mut out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    print::ended(write(report, args, &mut out, style).and_then(|()| out.flush()), 0)
}

fn write(report: Report, args: &DumpArgs, out: &mut dyn Write, style: Style) -> std::io::Result<()> {
    if args.json {
        return report.write_json(out);
    }
    let Report { verdict, alternatives, processes, .. } = report;
    out.write_all(text::dump(&processes, &Diagnosis { verdict, alternatives }, args.all, style).as_bytes())
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
