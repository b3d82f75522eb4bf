//! The command line of `launcher dump`.

use std::ffi::OsString;

use clap::Args;

use super::running::WhichArgs;
use super::usage::UsageError;

/// When to use colours.
const COLORS: [&str; 3] = ["auto", "always", "never"];

/// `launcher dump`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct DumpArgs {
    /// A process, with all below it, or a service of a running launcher
    #[arg(value_name = "PID|SERVICE")]
    pub target: String,
    /// As JSON, in the form of a report
    #[arg(long)]
    pub json: bool,
    /// Every thread and every frame for itself, also those that say little
    #[arg(long)]
    pub all: bool,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = COLORS, num_args = 0..=1, default_missing_value = COLORS[1])]
    pub color: String,
    /// Of which launcher the service is.
    #[command(flatten)]
    pub which: WhichArgs,
}

/// What is to be dumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpTarget {
    /// A process and all below it.
    Pid(i32),
    /// A service of a running launcher.
    Service(String),
}

impl DumpArgs {
    /// What is to be dumped: digits are a process, for no service may be called so.
    pub fn target(&self) -> Result<DumpTarget, UsageError> {
        let digits = !self.target.is_empty() && self.target.bytes().all(|byte| byte.is_ascii_digit());
        match (digits, self.target.parse()) {
            (true, Ok(pid)) if pid > 0 => Ok(DumpTarget::Pid(pid)),
            (true, _) => {
                let message = format!("{} is not a process id", self.target);
                Err(UsageError::new(message, "a process id is a number from 1 on; ps shows them").of("dump"))
            }
            (false, _) => match crate::core::config::value::name(&self.target) {
                Ok(name) => Ok(DumpTarget::Service(name)),
                Err(error) => {
                    Err(UsageError::new(error.message, "write a process id, or the name of a service").of("dump"))
                }
            },
        }
    }
}

/// `--color` without a word is `--color=always`, also in front of what is to be dumped.
pub(super) fn bare_color(arguments: &mut [OsString]) {
    for index in 0..arguments.len() {
        let next = arguments.get(index + 1).and_then(|next| next.to_str()).unwrap_or_default();
        if arguments[index] == "--color" && !COLORS.contains(&next) {
            arguments[index] = "--color=always".into();
        }
    }
}
