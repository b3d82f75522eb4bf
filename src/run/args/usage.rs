//! A command line that makes no sense.

use std::fmt;

use super::ArgsError;
use crate::core::config::value::ValueError;

/// All that is wrong with a command line; exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageError {
    problems: Vec<ValueError>,
    command: Option<&'static str>,
}

impl UsageError {
    /// One thing that is wrong, and what to do about it.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> UsageError {
        ValueError::new(message, hint).into()
    }

    /// The same, with a pointer to the help of this command.
    #[must_use]
    pub fn of(mut self, command: &'static str) -> UsageError {
        self.command = Some(command);
        self
    }

    /// Several things that are wrong; nothing when nothing is.
    pub(super) fn of_all(problems: Vec<ValueError>, command: &'static str) -> Result<(), UsageError> {
        match problems.is_empty() {
            true => Ok(()),
            false => Err(UsageError { problems, command: Some(command) }),
        }
    }
}

impl From<ValueError> for UsageError {
    fn from(error: ValueError) -> UsageError {
        UsageError { problems: vec![error], command: None }
    }
}

impl fmt::Display for UsageError {
    /// Lines for a person, the last one ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "launcher: {}\n  help: {}", problem.message, problem.hint)?;
        }
        match self.command {
            Some(command) => writeln!(f, "\nFor more information, try 'launcher {command} --help'."),
            None => writeln!(f, "\nFor more information, try 'launcher --help'."),
        }
    }
}

impl std::error::Error for UsageError {}

impl From<clap::Error> for ArgsError {
    fn from(error: clap::Error) -> ArgsError {
        ArgsError::Clap(Box::new(error))
    }
}
