//! PHP: the frames that the executor keeps as a list in its own stack, found in the memory of a process whose PHP is built
//! without threads, as nearly all are.
//!
//! The records of PHP 7.4 to 8.4 differ in many places. What is the same in all is used as it is (`zend_execute_data`,
//! `zend_op`, the start of `zend_function`, `zend_string`); the rest is found by what must hold for it.

use std::time::Instant;

use super::super::memory::Memory;
use super::image::Image;
use super::{Subject, ThreadTold, Told, ToldStack, unread};
use crate::core::facts::{FoundBy, Frame};

/// Frames told at most.
const FRAMES: usize = 256;
/// How much of the executor's record is looked at, in bytes.
const RECORD: u64 = 4096;
/// Names and paths longer than this are none, in bytes.
const NAME: u64 = 4096;
/// What stands before PHP's version in its binary.
const VERSION: &[u8] = b"X-Powered-By: PHP/";

/// Reads the frames of the thread that runs PHP.
pub fn read(subject: &Subject) -> Told {
    let image = Image::of_file(subject.executable, subject.maps, subject.memory);
    let record = image.as_ref().and_then(|image| image.exported("executor_globals"));
    let Some(record) = record else {
        let threads = image.is_some_and(|image| image.exported("executor_globals_offset").is_some());
        let why = if threads { "this PHP is built with threads" } else { "its binary exports no executor_globals" };
        return unread::php(why);
    };
    let version = version(subject);
    let reader = Reader { memory: subject.memory };
    let told = Told { version, ..Told::default() };
    match reader.current(record) {
        Some(0) => told,
        Some(first) => {
            let stack = ToldStack::Beside(reader.frames(first, subject.deadline));
            Told { threads: vec![ThreadTold { tid: subject.pid, stack, ..ThreadTold::default() }], ..told }
        }
        None => Told { version: told.version, ..unread::php("its executor's record is not as in PHP 7.4 to 8.4") },
    }
}

/// PHP's version, by the header that it adds to every answer.
fn version(subject: &Subject) -> Option<String> {
    let own = subject.maps.all().iter().filter(|mapping| mapping.path == subject.executable && !mapping.execute);
    own.take(4).find_map(|mapping| {
        let length = (mapping.end - mapping.start).min(32 << 20) as usize;
        let bytes = subject.memory.read_fresh(mapping.start, length);
        let at = bytes.windows(VERSION.len()).position(|window| window == VERSION)? + VERSION.len();
        let rest = bytes.get(at..)?;
        let end = rest.iter().take(32).position(|byte| !(byte.is_ascii_alphanumeric() || b".-+~".contains(byte)))?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned()).filter(|version| !version.is_empty())
    })
}

struct Reader<'a> {
    memory: &'a Memory,
}

impl Reader<'_> {
    fn word(&self, address: u64, offset: u64) -> Option<u64> {
        self.memory.word(address.checked_add(offset)?)
    }

    fn half(&self, address: u64, offset: u64) -> Option<u32> {
        self.memory.read(address.checked_add(offset)?).map(u32::from_le_bytes)
    }

    /// The frame that is executed, 0 for none: it comes after the executor's stack in its record. That is three words:
    /// what is used of the newest page up to, where the page ends, and the page, which says that too.
    fn current(&self, record: u64) -> Option<u64> {
        for offset in (0..RECORD).step_by(8) {
            let [used, end, page, next, later] = [0, 8, 16, 24, 32].map(|further| self.word(record, offset + further));
            let (used, end, page) = (used?, end?, page?);
            let holds = page > 0xffff && page < used && used <= end && self.word(page, 8) == Some(end);
            if holds {
                // PHP 7.3 and later have the size of a page in between.
                let size = next? < 1 << 32 && next?.is_power_of_two();
                return if size { later } else { next };
            }
        }
        None
    }

    /// The frames from the one at `first` on, innermost first.
    fn frames(&self, first: u64, deadline: Instant) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut at = first;
        for _ in 0..FRAMES {
            if at == 0 || Instant::now() >= deadline {
                break;
            }
            let Some(next) = self.word(at, 48).filter(|next| *next != at) else { break };
            frames.extend(self.frame(at, next == 0));
            at = next;
        }
        frames
    }

    /// One frame; `None` for one that the executor made for itself.
    fn frame(&self, at: u64, last: bool) -> Option<Frame> {
        let function = self.word(at, 24).filter(|function| *function > 0xffff)?;
        let [kind] = self.memory.read::<1>(function)?;
        let name = self.word(function, 8).and_then(|name| self.string(name));
        let class = self.word(function, 16).filter(|class| *class > 0xffff);
        let class = class.and_then(|class| self.string(self.word(class, 8)?));
        let function_name = match (class, name) {
            (Some(class), Some(name)) => format!("{class}::{name}"),
            (None, Some(name)) => name,
            // The code of a file.
            (_, None) if last => "{main}".into(),
            (_, None) => "include".into(),
        };
        let frame = Frame {
            function: Some(function_name),
            language: Some("php".into()),
            found: FoundBy::Runtime,
            ..Frame::default()
        };
        match kind {
            1 => Some(frame),
            2 | 4 => {
                // It notes where it is when it calls.
                let line = self.word(at, 0).and_then(|line| self.half(line, 24));
                let file = self.file(function, line);
                Some(Frame { line: line.filter(|_| file.is_some()), file, ..frame })
            }
            _ => None,
        }
    }

    /// The file of a function: the string in its record that the lines follow which it begins and ends on.
    fn file(&self, function: u64, line: Option<u32>) -> Option<String> {
        let line = line?;
        (96..256u64).step_by(8).find_map(|offset| {
            let (first, last) = (self.half(function, offset + 8)?, self.half(function, offset + 12)?);
            (first <= line && line <= last && last < 1 << 28).then_some(())?;
            self.string(self.word(function, offset)?)
        })
    }

    /// A `zend_string`: its length is at 16, its bytes from 24 on.
    fn string(&self, at: u64) -> Option<String> {
        let length = self.word(at, 16).filter(|length| at > 0xffff && (1..=NAME).contains(length))?;
        let mut bytes = vec![0u8; length as usize + 1];
        let whole = self.memory.fill(at.checked_add(24)?, &mut bytes) && bytes.pop() == Some(0);
        let text = whole.then(|| String::from_utf8_lossy(&bytes).into_owned())?;
        // Functions that are made for one place have names with NUL and that place in them.
        text.split('\0').next().filter(|name| !name.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn noise_and_rings_do_no_harm(noise in prop::collection::vec((0u8..4, any::<u64>()), 256)) {
            let mut words = vec![0u64; noise.len()];
            let own = words.as_ptr() as u64;
            for (word, (kind, number)) in words.iter_mut().zip(&noise) {
                *word = if *kind == 0 { *number } else { own + 8 * (number % 256) };
            }
            let memory = Memory::of(std::process::id() as i32);
            let reader = Reader { memory: &memory };
            let _ = reader.current(own);
            for index in 0..words.len() as u64 {
                prop_assert!(reader.frames(own + 8 * index, Instant::now() + Duration::from_secs(60)).len() <= FRAMES);
            }
        }
    }
}
