//! Names for addresses: functions with those inlined into them, files and lines, and the language.
//!
//! They are looked up by the file that was mapped (kept open, so neither another mount namespace nor a deleted file nor
//! the process's end matters), or by its debug file; aside, while threads are still being looked at.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use super::debug_file::Origin;
use super::lookup::{Batch, Job, Lookup};
use super::module::Module;
use super::shrunk;
use super::unwind::Modules;

pub use super::lookup::{Name, Site};

/// A file larger than this is first looked up without its debug information, which may take long to read.
const LARGE: u64 = 64 << 20;

/// Names by place, innermost inlined function first.
pub type Names = HashMap<(Site, u64), Vec<Name>>;

/// What a worker has found.
enum Message {
    /// Names of the job with this number, and whether it is done with that.
    Names(usize, Batch, bool),
    /// All jobs are done.
    Done,
}

/// A worker that looks names up while more are asked for. A look-up cannot be interrupted and a debug file may be huge,
/// or hang: at the deadline the worker is left behind.
pub struct Symbols {
    jobs: Vec<Arc<Job>>,
    asked: HashSet<(Site, u64)>,
    names: Names,
    /// Jobs with their numbers; `None` when the worker could not be started.
    work: Option<mpsc::Sender<(usize, Arc<Job>)>>,
    send: mpsc::Sender<Message>,
    receive: mpsc::Receiver<Message>,
}

impl Symbols {
    /// Starts the worker.
    pub fn start() -> Symbols {
        let (send, receive) = mpsc::channel();
        let (work, jobs) = mpsc::channel();
        let started = aside(&send, move |send| run(&jobs, send));
        let work = started.then_some(work);
        Symbols { jobs: Vec::new(), asked: HashSet::new(), names: Names::new(), work, send, receive }
    }

    /// Asks for names of these addresses, as far as they have not been asked for, for the process `pid`.
    pub fn ask(&mut self, modules: &Modules, pid: i32, addresses: impl Iterator<Item = (Site, u64)>) {
        let mut wanted: HashMap<Site, BTreeSet<u64>> = HashMap::new();
        for (site, address) in addresses {
            if self.asked.insert((site, address)) {
                wanted.entry(site).or_default().insert(address);
            }
        }
        let mut jobs: Vec<Job> = wanted
            .into_iter()
            .filter_map(|(site, addresses)| match site {
                Site::Module(index) => {
                    let module = modules.get(index)?;
                    in_image(module, site, &addresses, &mut self.names);
                    job_of(module, site, pid, addresses)
                }
                Site::Process(_) => {
                    Some(Job { site, pid, file: None, origin: Origin::default(), size: 0, lines: false, addresses })
                }
            })
            .collect();
        // What takes long comes last.
        jobs.sort_by_key(|job| (job.size, job.site));
        for job in jobs {
            let job = Arc::new(job);
            if let Some(work) = &self.work {
                let _ = work.send((self.jobs.len(), Arc::clone(&job)));
            }
            self.jobs.push(job);
        }
    }

    /// Waits for all that was asked for. What is not done at `deadline` is left out; the second value says whether it is
    /// all there. Half way another worker begins that asks for no debug information, so that what is behind a file that
    /// hangs has names, too.
    pub fn finish(mut self, deadline: Instant) -> (Names, bool) {
        if self.work.take().is_none() {
            return (self.names, self.jobs.is_empty());
        }
        let now = Instant::now();
        let mut until = now + deadline.saturating_duration_since(now) / 2;
        let mut done = HashSet::new();
        loop {
            match self.receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
                // Names with less to them that come late replace none.
                Ok(Message::Names(job, batch, whole)) if whole || !done.contains(&job) => {
                    let Some(site) = self.jobs.get(job).map(|job| job.site) else { continue };
                    self.names.extend(batch.into_iter().map(|(address, names)| ((site, address), names)));
                    if whole {
                        done.insert(job);
                    }
                }
                Ok(Message::Names(..)) => {}
                Ok(Message::Done) => return (self.names, true),
                Err(_) if until < deadline => {
                    until = deadline;
                    let numbered = self.jobs.iter().cloned().enumerate();
                    let left: Vec<_> =
                        numbered.filter(|(index, job)| !done.contains(index) && job.size <= LARGE).collect();
                    aside(&self.send, move |send| symbols_alone(&left, send));
                }
                Err(_) => return (self.names, false),
            }
        }
    }
}

fn job_of(module: &Module, site: Site, pid: i32, addresses: BTreeSet<u64>) -> Option<Job> {
    let file = Some(module.file.as_ref()?.try_clone().ok()?);
    let (path, root) = (PathBuf::from(&module.name), module.root.clone());
    let origin = Origin { path, root, build_id: module.build_id.clone() };
    Some(Job { site, pid, file, origin, size: module.size, lines: !is_c_library(&module.name), addresses })
}

/// Whether a module is the C library or its loader. Every stack ends there, their lines tell a reader nothing, and to
/// find them takes more time and memory than all the rest of a dump: 40 ms and 10 MB for glibc's debug file.
fn is_c_library(path: &str) -> bool {
    const STARTS: [&str; 5] = ["libc.so.", "libc-2.", "ld-linux", "ld-2.", "libpthread"];
    let name = path.rsplit('/').next().unwrap_or(path);
    STARTS.iter().any(|start| name.starts_with(start))
}

/// Starts a worker; whether it could be.
fn aside(send: &mpsc::Sender<Message>, work: impl FnOnce(&mpsc::Sender<Message>) + Send + 'static) -> bool {
    let send = send.clone();
    let guarded = move || shrunk::guarded(|| work(&send));
    std::thread::Builder::new().name("dump-symbols".into()).spawn(guarded).is_ok()
}

/// Does jobs as they come, until no more do or nobody wants to know.
fn run(jobs: &mpsc::Receiver<(usize, Arc<Job>)>, send: &mpsc::Sender<Message>) {
    let (plain, whole) = (Lookup::new(false), Lookup::new(true));
    for (number, job) in jobs {
        let first = job.size > LARGE && send.send(Message::Names(number, plain.batch(&job), false)).is_err();
        if first || send.send(Message::Names(number, whole.batch(&job), true)).is_err() {
            return;
        }
    }
    let _ = send.send(Message::Done);
}

fn symbols_alone(jobs: &[(usize, Arc<Job>)], send: &mpsc::Sender<Message>) {
    let plain = Lookup::new(false);
    for (number, job) in jobs {
        if send.send(Message::Names(*number, plain.batch(job), false)).is_err() {
            return;
        }
    }
}

/// Names in an image that has no file.
fn in_image(module: &Module, site: Site, addresses: &BTreeSet<u64>, names: &mut Names) {
    for &address in addresses {
        let after = module.functions.partition_point(|(start, ..)| *start <= address);
        if let Some((start, size, function)) = module.functions[..after].last()
            && address - start < (*size).max(1)
        {
            names.insert((site, address), vec![Name { function: function.clone(), ..Name::default() }]);
        }
    }
}
