//! The arguments of `launcher init`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// `launcher init`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct InitArgs {
    /// What it is made from [default: what is there of compose.yaml, Procfile, Dockerfile]
    #[arg(value_name = "SOURCE", value_hint = clap::ValueHint::FilePath)]
    pub source: Option<PathBuf>,
    /// The command to run, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Whether `--` was there.
    #[arg(skip)]
    pub dashes: bool,
    /// Where it is written; - for stdout
    #[arg(short, long, value_name = "FILE", default_value = "launcher.toml", value_hint = clap::ValueHint::FilePath)]
    pub output: PathBuf,
    /// Overwrite a file that is there
    #[arg(long)]
    pub force: bool,
}
