//! Where reports are kept: `REPORT_DIR/<service>/<UTC time>-g<generation>.json`, `latest.json` beside it, and the first
//! 4 KiB of the text in the termination message of Kubernetes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::core::report::{Report, name};

/// Where Kubernetes looks for the last words of a container.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// The most that is read of one report, in bytes: ten thousand goroutines take tens of megabytes.
const LARGEST: u64 = 256 << 20;

/// A folder of reports.
#[derive(Debug, Clone)]
pub struct ReportStore {
    root: PathBuf,
    /// The newest generation of each service that `latest.json` was pointed at; locked while it is.
    newest: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl ReportStore {
    /// Reports below this folder, or below the state directory that systemd made (`StateDirectory=`), or the user's
    /// (`$XDG_STATE_HOME/launcher`, `~/.local/state/launcher`; `/var/lib/launcher` when the user has no home).
    pub fn at(root: Option<&Path>) -> ReportStore {
        ReportStore { root: root.map(Path::to_owned).unwrap_or_else(state_directory), newest: Arc::default() }
    }

    /// The folder of all reports.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one service.
    pub fn folder(&self, service: &str) -> PathBuf {
        self.root.join(name::directory(service))
    }

    /// The newest report of a service.
    pub fn latest(&self, service: &str) -> PathBuf {
        self.folder(service).join(name::LATEST)
    }

    /// The services that have a report here, with when each last got one, the newest first.
    ///
    /// # Errors
    /// Of reading the folder; a folder that is not there has no services.
    pub fn services(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let written = fs::metadata(entry.path().join(name::LATEST)).ok()?.modified().ok()?;
                Some((written, entry.file_name().into_string().ok()?))
            })
            .collect();
        found.sort();
        Ok(found.into_iter().rev().map(|(_, name)| name).collect())
    }

    /// Writes a report whole or not at all, points `latest.json` at it, and lets go of the oldest beyond twenty.
    /// Returns its path.
    ///
    /// # Errors
    /// Of making the folder or writing the file; nothing half written is left.
    pub fn write(&self, report: &Report) -> io::Result<PathBuf> {
        let folder = self.folder(&report.service);
        fs::create_dir_all(&folder)?;
        let file = name::file(&report.time, report.generation);
        let path = folder.join(&file);
        write_whole(&path, report.to_json().as_bytes())?;
        self.point_latest_at(&folder, &file, report)?;
        prune(&folder);
        Ok(path)
    }

    /// Makes `latest.json` a link to the newest report, by a rename so that it always names one. Reports are written by
    /// several threads: one that is overtaken by that of a later generation leaves it as it is.
    fn point_latest_at(&self, folder: &Path, file: &str, report: &Report) -> io::Result<()> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.get(&report.service).is_some_and(|generation| *generation > report.generation) {
            return Ok(());
        }
        let next = folder.join(format!("latest.partial-{}", std::process::id()));
        let _ = fs::remove_file(&next);
        std::os::unix::fs::symlink(file, &next)?;
        fs::rename(&next, folder.join(name::LATEST))?;
        newest.insert(report.service.clone(), report.generation);
        Ok(())
    }
}

/// A report as it was written. Its name may be a link, and nothing larger than any report is read.
///
/// # Errors
/// Of reading it.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes the first 4 KiB of a report's text where `kubectl describe pod` shows it. Nothing is created: outside
/// Kubernetes there is no such file, and that is no error.
pub fn write_termination_message(text: &str) {
    if let Ok(mut file) = fs::OpenOptions::new().write(true).truncate(true).open(TERMINATION_LOG) {
        let _ = file.write_all(text.as_bytes());
    }
}

/// The user's state directory for the launcher.
fn state_directory() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // `systemd.exec(5)`: several are separated by colons.
    let of_unit = std::env::var("STATE_DIRECTORY").ok().and_then(|all| Some(PathBuf::from(all.split(':').next()?)));
    if let Some(directory) = of_unit.filter(|path| path.is_absolute()) {
        return directory.join("reports");
    }
    match (absolute("XDG_STATE_HOME"), absolute("HOME")) {
        (Some(state), _) => state.join("launcher"),
        (None, Some(home)) if home != Path::new("/") => home.join(".local/state/launcher"),
        _ => PathBuf::from("/var/lib/launcher"),
    }
}

/// Writes beside the path and renames, so that a reader sees all of it or nothing.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let written = fs::File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_data()
    });
    let renamed = written.and_then(|()| fs::rename(&partial, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&partial);
    }
    renamed
}

/// Removes the oldest reports beyond [`Report::KEPT`]. A failure only leaves a file too many.
fn prune(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    for old in name::superfluous(names) {
        let _ = fs::remove_file(folder.join(old));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::diagnosis::diagnose;
    use crate::core::facts::{Facts, Occasion};
    use crate::core::report::Meta;

    fn report(generation: u64) -> Report {
        let facts = Facts::new("api".to_owned(), Occasion::Exited);
        let time = format!("2026-11-23T12:33:00.{generation:03}Z");
        Report::assemble(&facts, diagnose(&facts), Meta { generation, attempt: 1, time, timeline: Vec::new() })
    }

    /// Two attempts in quick succession are reported on by two threads.
    #[test]
    fn a_report_that_is_overtaken_does_not_become_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let store = ReportStore::at(Some(folder.path()));
        let [first, second, third] = [1, 2, 3].map(report);
        let latest = |store: &ReportStore| fs::canonicalize(store.latest("api")).unwrap();
        for (written, newest) in [(&second, 2), (&first, 2), (&third, 3)] {
            store.clone().write(written).unwrap();
            let name = name::file(&report(newest).time, newest);
            assert!(latest(&store).ends_with(&name), "{:?} is not {name}", latest(&store));
        }
    }
}
