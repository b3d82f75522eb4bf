//! Steps as data.

use std::fmt;
use std::os::fd::OwnedFd;

use nix::unistd::Pid;

/// One step: a verb, what follows it in the same argument, and the block up to `end` where it has one.
pub struct Step {
    /// Its first word.
    pub verb: String,
    /// What follows.
    pub rest: String,
    /// The steps up to `end`.
    pub block: Vec<Step>,
    /// All arguments that follow `exec`, which are no steps.
    pub words: Vec<String>,
}

/// What steps leave behind for later ones.
#[derive(Default)]
pub struct State {
    /// Sockets that listen.
    pub listeners: Vec<OwnedFd>,
    /// Sockets and files that are only held.
    pub held: Vec<OwnedFd>,
    /// Processes that were forked.
    pub children: Vec<Pid>,
}

/// Why a step could not be done.
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure(error.to_string())
    }
}

/// Verbs that begin a block.
const BLOCKS: [&str; 4] = ["fork", "double-fork", "generation", "first"];

/// Makes steps of the arguments.
pub fn parse(words: &[String]) -> Result<Vec<Step>, Failure> {
    let mut words = words.iter();
    let steps = parse_until_end(&mut words, 0)?;
    Ok(steps)
}

fn parse_until_end(words: &mut std::slice::Iter<'_, String>, depth: usize) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    while let Some(word) = words.next() {
        let (verb, rest) = word.split_once(' ').unwrap_or((word, ""));
        if verb == "end" && depth > 0 {
            return Ok(steps);
        }
        let block = if BLOCKS.contains(&verb) { parse_until_end(words, depth + 1)? } else { Vec::new() };
        let program = if verb == "exec" { words.by_ref().cloned().collect() } else { Vec::new() };
        steps.push(Step { verb: verb.into(), rest: rest.into(), block, words: program });
    }
    if depth == 0 { Ok(steps) } else { Err(Failure("a block has no end".into())) }
}
