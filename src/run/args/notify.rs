//! The arguments of `launcher notify`.

use std::ffi::OsString;

use clap::Args;

/// `launcher notify`.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct NotifyArgs {
    /// What to tell, as sd_notify(3) has it: READY=1, STATUS=…
    #[arg(required = true, value_name = "KEY=VALUE")]
    pub assignments: Vec<OsString>,
    /// Do not wait until it has been taken in
    #[arg(long)]
    pub no_block: bool,
}
