//! A conversation with a server, as data: what is said, and what an answer means.

use crate::core::facts::{RequirementProblem, Trouble};

/// No answer that is waited for is longer than this; what is longer is judged by its beginning.
pub const LONGEST: usize = 64 * 1024;

/// One conversation. It is given all bytes that were received so far, each time there are more.
pub trait Dialogue {
    /// What is sent as soon as the connection is there; nothing, when the server speaks first.
    fn opening(&mut self) -> Vec<u8>;

    /// What follows from `received`, which is everything since the beginning. `closed` tells that no more will come.
    fn hear(&mut self, received: &[u8], closed: bool) -> Turn;
}

/// What comes next in a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// More must be heard.
    More,
    /// This is to be sent.
    Say(Vec<u8>),
    /// It answers as it should. This is sent before the connection is closed, so that the server's log stays clean.
    Good(Vec<u8>),
    /// It does not.
    Bad(Trouble),
}

/// A server that answers, but not as it should.
pub fn wrong(message: impl Into<String>) -> Turn {
    Turn::Bad(Trouble::new(RequirementProblem::Answer, message))
}

/// What to do with an answer that is not complete: wait for the rest, unless there is none.
pub fn more(closed: bool, speaks: &str) -> Turn {
    match closed {
        false => Turn::More,
        true => Turn::Bad(Trouble::new(
            RequirementProblem::Closed,
            format!("it closed the connection before it had answered as {speaks} does"),
        )),
    }
}

/// The words of a server, fit to be shown in one line: at most 200 characters, control characters left out.
pub fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(800)]);
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    plain.trim().to_owned()
}

/// The beginning of an answer that makes no sense, as text where it is text.
pub fn beginning(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(24)];
    let readable = head.iter().all(|byte| byte.is_ascii_graphic() || b" \r\n\t".contains(byte));
    match readable {
        true => format!("{:?}", quoted(head)),
        false => head.iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Hears the bytes one after the other, as a slow network would bring them, and gives the first turn that is not
    /// "more". Whole at once must give the same.
    pub fn hear(dialogue: &mut dyn Dialogue, bytes: &[u8]) -> Turn {
        let first = (0..=bytes.len()).map(|end| dialogue.hear(&bytes[..end], false)).find(|turn| *turn != Turn::More);
        first.unwrap_or_else(|| dialogue.hear(bytes, true))
    }

    /// The message of a turn that is bad.
    pub fn bad(turn: Turn) -> String {
        match turn {
            Turn::Bad(trouble) => trouble.message,
            turn => panic!("{turn:?}"),
        }
    }
}
