//! What is set about the lines that a service writes.

use std::path::PathBuf;
use std::time::Duration;

use super::LogLevel;

/// `[service.NAME.log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// From which level on lines are passed on; those that say none always are. All of them are kept, and in the file.
    pub level: LogLevel,
    /// Whether lines are passed on to the launcher's own output at all.
    pub forward: bool,
    /// What happens when whoever reads the launcher's output is slower than the service.
    pub on_slow: OnSlow,
    /// Where lines are written as well.
    pub file: Option<FileLog>,
}

/// What happens when whoever reads the launcher's output is slower than the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnSlow {
    /// The service waits, as it would in a pipe.
    #[default]
    Block,
    /// The oldest lines that are not passed on yet are dropped, counted and told of.
    DropOldest,
}

/// A file that lines are written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLog {
    /// Its path.
    pub path: PathBuf,
    /// How lines are written.
    pub format: FileLogFormat,
    /// A file is put aside before it gets longer than so many bytes.
    pub max_size: u64,
    /// A file is put aside when it is older than this and something more is written.
    pub max_age: Option<Duration>,
    /// How many files that were put aside are kept.
    pub keep: usize,
    /// Whether those are compressed (gzip).
    pub compress: bool,
}

/// How lines are written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileLogFormat {
    /// As they are.
    #[default]
    Plain,
    /// One JSON object each.
    Json,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        LogSettings { level: LogLevel::Trace, forward: true, on_slow: OnSlow::Block, file: None }
    }
}

impl FileLog {
    /// The defaults of a file.
    pub fn new(path: PathBuf) -> FileLog {
        let format = FileLogFormat::Plain;
        FileLog { path, format, max_size: 10 << 20, max_age: None, keep: 5, compress: true }
    }
}
