//! The command lines of what is asked of a running launcher.

use std::path::PathBuf;

use clap::Args;

/// Which running launcher is meant; the one of this folder when nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct WhichArgs {
    /// Its control socket [default: that of the launcher of this folder]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub control: Option<PathBuf>,
    /// The launcher of this name, whatever its folder
    #[arg(long, value_name = "NAME", conflicts_with = "control")]
    pub name: Option<String>,
}

/// `launcher start`, `stop`, `reload`, `promote` and `rollback`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ServiceArgs {
    /// The service; all of them when it is left out
    pub service: Option<String>,
    /// Do not wait until it has come about
    #[arg(long)]
    pub no_wait: bool,
    /// Which launcher.
    #[command(flatten)]
    pub which: WhichArgs,
}

/// `launcher restart`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RestartArgs {
    /// What every such command takes.
    #[command(flatten)]
    pub service: ServiceArgs,
    /// Give the new generation so much of new connections, beside the old one, until it is promoted or rolled back
    #[arg(long, value_name = "PERCENT")]
    pub canary: Option<String>,
}

/// `launcher signal`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct SignalArgs {
    /// The signal: HUP, USR1, 10
    pub signal: String,
    /// The service; all of them when it is left out
    pub service: Option<String>,
    /// Which launcher.
    #[command(flatten)]
    pub which: WhichArgs,
}

/// `launcher logs`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct LogsArgs {
    /// The service; all of them when it is left out
    pub service: Option<String>,
    /// Go on with what it writes from now on
    #[arg(short, long)]
    pub follow: bool,
    /// So many of the last lines [default: 100]
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Which launcher.
    #[command(flatten)]
    pub which: WhichArgs,
}

/// `launcher attach`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct AttachArgs {
    /// The service, which has terminal = true
    pub service: String,
    /// Typed one after the other they leave it [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Behind input that is no terminal, leave when nothing has come for so long [default: 500ms]
    #[arg(long, value_name = "DURATION")]
    pub linger: Option<String>,
    /// Which launcher.
    #[command(flatten)]
    pub which: WhichArgs,
}

/// `launcher status`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct StatusArgs {
    /// One service, with all that is known of it
    pub service: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Which launcher.
    #[command(flatten)]
    pub which: WhichArgs,
}
