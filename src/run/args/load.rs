//! The settings of `run` and `check`, from flags or from a file.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::RunArgs;
use super::flags::{flags_over_file, settings_from_flags};
use super::usage::UsageError;
use crate::core::config::{self, ConfigErrors, Context};
use crate::core::exit::code;
use crate::core::settings::{LauncherSettings, Settings};
use crate::run::debugger;
use crate::sys::files::open_written;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "launcher.toml";

/// The most that is read of a file: who names a disk instead is told so.
const LARGEST_FILE: u64 = 4 << 20;

/// How long somebody may take to begin to write into a FIFO that is read: `-c <(generate)`.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there are no settings.
#[derive(Debug)]
pub enum LoadError {
    /// The command line is wrong; exit code 2.
    Usage(UsageError),
    /// The file is wrong; exit code 78.
    Config(ConfigErrors),
    /// The file cannot be read; exit code 78.
    Unreadable {
        /// The file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// A service that is to be debugged cannot be; exit code 126 or 127.
    Debugger {
        /// Which one.
        service: String,
        /// Why not.
        reason: String,
        /// What to do about it.
        remedy: String,
        /// The exit code.
        exit_code: i32,
    },
}

impl LoadError {
    /// The exit code that stands for it.
    pub fn exit_code(&self) -> i32 {
        match self {
            LoadError::Usage(_) => code::USAGE,
            LoadError::Config(_) | LoadError::Unreadable { .. } => code::CONFIG,
            LoadError::Debugger { exit_code, .. } => *exit_code,
        }
    }

    /// The text for a person, its last line ended; with the colours of a terminal if asked for.
    pub fn render(&self, colour: bool) -> String {
        match self {
            LoadError::Config(errors) => errors.render(colour),
            _ => self.to_string(),
        }
    }
    /// The text for a person whose launcher runs already, without colours.
    pub fn render_again(&self) -> String {
        match self {
            LoadError::Config(errors) => errors.render_with(false, "nothing was changed"),
            _ => self.to_string(),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Usage(error) => error.fmt(f),
            LoadError::Config(errors) => errors.fmt(f),
            LoadError::Unreadable { file, reason } => writeln!(f, "launcher: cannot read {file}: {reason}"),
            LoadError::Debugger { service, reason, remedy, .. } => {
                writeln!(f, "launcher: {service} cannot be debugged: {reason}\n  try {remedy}")
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl From<UsageError> for LoadError {
    fn from(error: UsageError) -> LoadError {
        LoadError::Usage(error)
    }
}

/// The settings that a command line asks for: those of its command, else those of the file it names, else those of
/// launcher.toml in this folder.
pub fn load(args: &RunArgs) -> Result<Settings, LoadError> {
    loaded(args).map_err(|error| match error {
        LoadError::Usage(error) => LoadError::Usage(error.of(args.command_name())),
        error => error,
    })
}

fn loaded(args: &RunArgs) -> Result<Settings, LoadError> {
    if args.dashes || !args.command.is_empty() {
        let mut settings = settings_from_flags(args)?;
        debugger::put_under(&mut settings, &args.debug)?;
        return Ok(settings);
    }
    let path = file(args);
    let shown = path.display().to_string();
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        // A file that was named and is not there is a wrong configuration; with none named there is nothing to do.
        Err(error) if error.kind() == io::ErrorKind::NotFound && args.config.is_none() => {
            return Err(LoadError::Usage(missing(args, &shown)));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let reason = "there is no such file, check the path after -c".to_owned();
            return Err(LoadError::Unreadable { file: shown, reason });
        }
        Err(error) => return Err(LoadError::Unreadable { file: shown, reason: error.to_string() }),
    };
    // What is wrong with the command line is said before anything about the file.
    flags_over_file(args, &mut LauncherSettings::new(String::new()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let named = std::fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let name = named.as_ref().ok().and_then(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()));
    let context = Context { folder, name: name.as_deref().unwrap_or("launcher") };
    let settings = config::parse_bytes(&shown, &bytes, context).map_err(LoadError::Config)?;
    let mut settings =
        config::select(settings, &args.services).map_err(|error| UsageError::from(error.about(&shown)))?;
    flags_over_file(args, &mut settings.launcher)?;
    settings.launcher.folder = named.ok();
    settings.launcher.file.clone_from(&args.config);
    debugger::put_under(&mut settings, &args.debug)?;
    Ok(settings)
}

/// The file that is read for these arguments, when they have no command.
pub fn file(args: &RunArgs) -> &Path {
    args.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
}

/// What to say when no file is named and there is none in this folder.
fn missing(args: &RunArgs, file: &str) -> UsageError {
    let name = args.command_name();
    let hint = match args.services.first() {
        Some(first) => format!("to {name} the command {first}: launcher {name} -- {first}"),
        None => format!("write launcher {name} -- COMMAND, or name a file with -c"),
    };
    UsageError::new(format!("there is no {file} in this folder, and no command after --"), hint)
}

/// The bytes of a file, if it is of a reasonable size.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.is_dir() {
        return Err(io::Error::other("it is a folder, not a file"));
    }
    open_written(path, PATIENCE)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST_FILE {
        true => Err(io::Error::other("it has more than 4 MiB, which no launcher.toml has")),
        false => Ok(bytes),
    }
}
