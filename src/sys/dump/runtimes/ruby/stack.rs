//! The stack of a Ruby thread: its control frames, and the lines of their code.

use super::layout::Layout;
use super::values::{Symbols, Values};
use crate::core::facts::{FoundBy, Frame};

/// Frames of one thread at most.
const FRAMES: u64 = 512;
/// In the environment of a frame: its kind in these bits, and that of a C function.
const KIND: u64 = 0x7fff_0001;
const C_FUNCTION: u64 = 0x5555_0001;

/// Offsets in `rb_iseq_constant_body`, the same in all versions: size and start of the code, path and label.
const CODE_SIZE: u64 = 4;
const CODE: u64 = 8;
const PATH: u64 = 64;
const LABEL: u64 = 80;

/// Bits in the part of the table of lines that is looked up at once, and in each block after it.
const IMMEDIATE: u64 = 54;
const BLOCK: u64 = 512;
/// Bytes of the first part, and of each block: a rank, the ranks of its words, and its words.
const IMMEDIATE_BYTES: u64 = 48;
const BLOCK_BYTES: u64 = 80;

/// The stack of the execution context at `context`, innermost frame first.
pub fn of(values: &Values, symbols: Option<&Symbols>, context: u64) -> Option<Vec<Frame>> {
    let Layout { frame_size, .. } = values.layout;
    let (stack, words) = (values.at(context, 0)?, values.at(context, 8)?);
    // The outermost frame is none of a function: the stack begins with it.
    let end = stack.checked_add(words.checked_mul(8)?)?.checked_sub(frame_size)?;
    let mut at = values.at(context, 16)?;
    if at < stack {
        return None;
    }
    let mut frames = Vec::new();
    for _ in 0..FRAMES {
        if at.checked_add(frame_size)? > end {
            break;
        }
        frames.extend(frame(values, symbols, at));
        at += frame_size;
    }
    Some(frames)
}

/// The frame at `at`; `None` for one that is not a function's, as the outermost ones are.
fn frame(values: &Values, symbols: Option<&Symbols>, at: u64) -> Option<Frame> {
    let (counter, code, environment) = (values.at(at, 0)?, values.at(at, 16)?, values.at(at, 32)?);
    if code == 0 {
        let kind = values.memory.word(environment)? & KIND;
        return (kind == C_FUNCTION).then(|| c_function(values, symbols, environment));
    }
    if counter == 0 || !values.is_code(code) {
        return None;
    }
    let body = values.at(code, 16)?;
    let path = values.at(body, PATH)?;
    // Path and real path, or one for both. Code that was not read from a file has no real path.
    let names = [values.element(path, 1), values.element(path, 0), Some(path)];
    let file = names.into_iter().flatten().find_map(|name| values.string(name));
    Some(Frame { line: line(values, body, counter), file, ..named(values.string(values.at(body, LABEL)?)) })
}

fn named(function: Option<String>) -> Frame {
    Frame { function, language: Some("ruby".to_owned()), found: FoundBy::Runtime, ..Frame::default() }
}

/// A function in C: its name stands in its method.
fn c_function(values: &Values, symbols: Option<&Symbols>, environment: u64) -> Frame {
    let name = || {
        let method = values.memory.word(environment.checked_sub(16)?)?;
        let definition = values.is_method(method).then(|| values.at(method, 16))??;
        symbols?.name(values, values.at(definition, 32)?)
    };
    named(Some(name().unwrap_or_else(|| "<c function>".to_owned())))
}

/// The line of the place `counter` in the code `body`.
fn line(values: &Values, body: u64, counter: u64) -> Option<u32> {
    let place = counter.checked_sub(values.at(body, CODE)?)? / 8;
    if place > u64::from(values.half_at(body, CODE_SIZE)?) {
        return None;
    }
    // It points behind the instruction that is at work.
    let place = place.saturating_sub(1);
    let lines = body.checked_add(values.layout.lines)?;
    let (entries, count) = (values.at(lines, 0)?, u64::from(values.half_at(lines, 16)?));
    let index = match count {
        0 => return None,
        1 => 0,
        _ => rank(values, values.at(lines, 24)?, place)?.checked_sub(1)?,
    };
    if index >= count {
        return None;
    }
    values.half_at(entries, index.checked_mul(values.layout.line_size)?)
}

/// How many entries begin up to `place`: the table is a set of bits with counts in between (`succ_index_table` in
/// `iseq.c`).
fn rank(values: &Values, table: u64, place: u64) -> Option<u64> {
    if place < IMMEDIATE {
        // Nine counts of seven bits in each word.
        return Some(values.at(table, place / 9 * 8)? >> (place % 9 * 7) & 0x7f);
    }
    let place = place - IMMEDIATE;
    let block = table.checked_add(IMMEDIATE_BYTES)?.checked_add((place / BLOCK).checked_mul(BLOCK_BYTES)?)?;
    let (word, bit) = (place % BLOCK / 64, place % 64);
    // Seven counts of nine bits, for all words but the first.
    let before = match word {
        0 => 0,
        word => values.at(block, 8)? >> ((word - 1) * 9) & 0x1ff,
    };
    let bits = values.at(block, 16 + word * 8)? << (63 - bit);
    Some(u64::from(values.half_at(block, 0)?) + before + u64::from(bits.count_ones()))
}
