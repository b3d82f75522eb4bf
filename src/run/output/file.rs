//! The file of a service: whole lines are appended, and it is put aside when it is long or old enough.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use tracing::{info, warn};

use crate::core::output::rotate::{self, COMPRESSED, Written};
use crate::core::settings::FileLog;

/// How often it is looked whether somebody else has moved the file away (logrotate does).
const LOOK: Duration = Duration::from_secs(1);

/// The file of one service.
pub struct LogFile {
    service: String,
    settings: FileLog,
    open: Option<Open>,
    /// Whether writing has failed, which is told once.
    failed: bool,
}

/// The file that is being written.
struct Open {
    file: File,
    written: Written,
    looked: Instant,
}

impl LogFile {
    /// The file of this service; it is not opened yet.
    pub fn new(service: &str, settings: FileLog) -> LogFile {
        LogFile { service: service.to_owned(), settings, open: None, failed: false }
    }

    /// Opens it, and makes it and its folder where they are not there, unless it is open.
    ///
    /// # Errors
    /// Of making the folder or opening the file, with its path.
    pub fn open(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(open(&self.settings.path).map_err(|problem| self.at(&problem))?);
        }
        Ok(())
    }

    fn at(&self, problem: &io::Error) -> io::Error {
        io::Error::new(problem.kind(), format!("{}: {problem}", self.settings.path.display()))
    }

    /// Appends whole lines. What cannot be written is told once, and again when it can be.
    pub fn write(&mut self, lines: &[u8], now: Duration) {
        match self.try_write(lines, now) {
            Ok(()) if self.failed => {
                self.failed = false;
                info!(
                    service = self.service,
                    event = "log-file-written",
                    "lines of {} go to {} again",
                    self.service,
                    self.settings.path.display()
                );
            }
            Ok(()) => {}
            Err(problem) => {
                // To be tried anew with the next lines: the disk may have room then.
                self.open = None;
                if !std::mem::replace(&mut self.failed, true) {
                    let service = &self.service;
                    warn!(
                        service,
                        event = "log-file-failed",
                        "lines of {service} cannot be written to its file: {problem}"
                    );
                }
            }
        }
    }

    fn try_write(&mut self, lines: &[u8], now: Duration) -> io::Result<()> {
        let mut rest = lines;
        while !rest.is_empty() {
            self.look();
            self.open()?;
            let Some(open) = &mut self.open else { return Ok(()) };
            let step = rotate::step(rest, open.written, now, &self.settings);
            if step.rotate {
                self.put_aside(now)?;
                continue;
            }
            append(open, step.write).map_err(|problem| self.at(&problem))?;
            rest = step.rest;
        }
        Ok(())
    }

    /// Whether it is still the file of that name, looked at now and then; its size is taken anew, as somebody may have
    /// cut it.
    fn look(&mut self) {
        let Some(open) = self.open.as_mut().filter(|open| open.looked.elapsed() >= LOOK) else { return };
        open.looked = Instant::now();
        match (fs::metadata(&self.settings.path), open.file.metadata()) {
            (Ok(there), Ok(ours)) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
                open.written.size = ours.len();
            }
            _ => self.open = None,
        }
    }

    fn put_aside(&mut self, now: Duration) -> io::Result<()> {
        self.open = None;
        let path = &self.settings.path;
        let mut time = now;
        let mut aside = renamed(path, time);
        // Files of the same millisecond.
        while aside.exists() || with_ending(&aside, COMPRESSED).exists() {
            time += Duration::from_millis(1);
            aside = renamed(path, time);
        }
        fs::rename(path, &aside).map_err(|problem| self.at(&problem))?;
        tidy(path.clone(), self.settings.keep, self.settings.compress);
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<Open> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640);
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            options.open(path)?
        }
        opened => opened?,
    };
    let known = file.metadata()?;
    // A file system that does not know when it was made has it begin now.
    let since = known.created().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let since = since.unwrap_or_else(crate::run::log::now);
    Ok(Open { file, written: Written { size: known.len(), since }, looked: Instant::now() })
}

/// Appends lines whole or not at all, as far as the file system lets a part be taken back.
fn append(open: &mut Open, lines: &[u8]) -> io::Result<()> {
    match open.file.write_all(lines) {
        Ok(()) => {
            open.written.size += lines.len() as u64;
            Ok(())
        }
        Err(problem) => {
            let _ = open.file.set_len(open.written.size);
            Err(problem)
        }
    }
}

fn renamed(path: &Path, time: Duration) -> PathBuf {
    path.with_file_name(rotate::aside(&name(path), time))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Removes what is too old and compresses what is not yet, on a thread of its own: lines do not wait for it. What an
/// earlier launcher was killed at is done with it.
fn tidy(path: PathBuf, keep: usize, compress: bool) {
    let work = move || {
        if let Err(problem) = tidied(&path, keep, compress) {
            warn!(event = "log-file-failed", "what was put aside of {} could not be tidied: {problem}", path.display());
        }
    };
    if let Err(problem) = std::thread::Builder::new().name("compress".into()).spawn(work) {
        warn!("there is no thread to compress a log file: {problem}");
    }
}

fn tidied(path: &Path, keep: usize, compress: bool) -> io::Result<()> {
    /// Two services may put files aside at the same time, and one file twice in short order.
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names: Vec<String> = entries.collect();
    let aside = rotate::put_aside(&name(path), names.iter().map(String::as_str));
    let surplus = aside.len().saturating_sub(keep);
    for old in &aside[..surplus] {
        fs::remove_file(folder.join(old))?;
    }
    for name in aside[surplus..].iter().filter(|name| compress && !name.ends_with(COMPRESSED)) {
        gzip(&folder.join(name))?;
    }
    Ok(())
}

/// Compresses a file: the result is there whole or not at all, and the file goes when it is.
fn gzip(path: &Path) -> io::Result<()> {
    let unfinished = with_ending(path, ".unfinished");
    let mut from = File::open(path)?;
    let to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&unfinished)?;
    let mut encoder = GzEncoder::new(to, Compression::default());
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?;
    fs::rename(&unfinished, with_ending(path, COMPRESSED))?;
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_867_980);

    /// All lines of the folder's files, in the order in which they were put aside.
    fn all(folder: &Path) -> (usize, String) {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_by_key(|name| (name == "api.log", name.clone()));
        let mut text = String::new();
        for name in &names {
            let file = File::open(folder.join(name)).unwrap();
            if name.ends_with(COMPRESSED) {
                flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
            } else {
                { file }.read_to_string(&mut text).unwrap();
            }
        }
        (names.len(), text)
    }

    #[test]
    fn lines_are_in_files_that_were_put_aside_and_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/api.log");
        let settings = FileLog { max_size: 100, keep: 3, ..FileLog::new(path.clone()) };
        let mut file = LogFile::new("api", settings);
        let lines: Vec<String> = (0..30).map(|number| format!("line {number:04}\n")).collect();
        file.write(lines.concat().as_bytes(), NOW);
        drop(file);
        let folder = path.parent().unwrap();
        // The thread may not be there yet; the same once more does no harm.
        tidied(&path, 3, true).unwrap();
        let (count, text) = all(folder);
        assert_eq!((count, text.as_str()), (3, lines.concat().as_str()));
        tidied(&path, 1, true).unwrap();
        assert_eq!(all(folder), (2, lines[10..].concat()));
    }

    #[test]
    fn a_file_that_was_moved_away_or_cut_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.log");
        let mut file = LogFile::new("api", FileLog::new(path.clone()));
        file.write(b"one\n", NOW);
        fs::rename(&path, folder.path().join("api.log.1")).unwrap();
        file.open.as_mut().unwrap().looked -= LOOK;
        file.write(b"two\n", NOW);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        file.open.as_mut().unwrap().looked -= LOOK;
        file.write(b"three\n", NOW);
        assert_eq!(file.open.as_ref().unwrap().written.size, 6);
    }

    #[test]
    fn what_cannot_be_written_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file/api.log");
        fs::write(folder.path().join("file"), "").unwrap();
        let mut file = LogFile::new("api", FileLog::new(path.clone()));
        assert!(file.open().unwrap_err().to_string().contains("api.log"));
        file.write(b"lost\n", NOW);
        assert!(file.failed);
        fs::remove_file(folder.path().join("file")).unwrap();
        file.write(b"written\n", NOW);
        assert!(!file.failed);
        assert_eq!(fs::read_to_string(&path).unwrap(), "written\n");
    }
}
