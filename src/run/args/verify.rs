//! The arguments of `launcher verify`.

use std::path::PathBuf;

use clap::Args;

use super::RunArgs;

/// `launcher verify`.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct VerifyArgs {
    /// What is started.
    #[command(flatten)]
    pub run: RunArgs,
    /// Where declared ports are tried: as declared, or auto for free ones
    #[arg(long = "ports", value_name = "WHERE", default_value = "declared", value_parser = ["declared", "auto"])]
    pub where_ports: String,
    /// All must stay ready for so long
    #[arg(long = "for", value_name = "DURATION")]
    pub hold: Option<String>,
    /// What must be answered once all is ready; {port.NAME} is a port's number; repeatable
    #[arg(long, value_name = "URL=STATUS", value_hint = clap::ValueHint::Url)]
    pub expect: Vec<String>,
    /// Write what came of each phase to this file, as JUnit XML
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub junit: Option<PathBuf>,
    /// Write what came of each phase to stdout, as JSON; what services write goes to stderr then
    #[arg(long)]
    pub json: bool,
}
