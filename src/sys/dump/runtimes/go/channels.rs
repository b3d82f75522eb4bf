//! The channels that a goroutine waits on: the list of its waits, and the channels' own records (`type sudog struct` in
//! `runtime/runtime2.go`, `type hchan struct` in `runtime/chan.go`).

use super::bytes::{Bytes, number_in, word_in};
use super::layout::Layout;
use crate::core::facts::ChannelFacts;

/// Channels of one `select`, at most.
const CHANNELS: usize = 64;
/// How far a list of those who wait is followed to its head.
const LIST: usize = 64;

/// The channels that the list of waits at `waiting` names. `sending` says it of a goroutine that waits on a single one;
/// of a `select` each channel tells it.
pub fn of(memory: &dyn Bytes, layout: &Layout, waiting: u64, sending: Option<bool>) -> Vec<ChannelFacts> {
    let mut channels = Vec::new();
    let mut wait = waiting;
    while wait != 0 && channels.len() < CHANNELS {
        let field = |offset: u64| memory.word(wait.checked_add(offset)?);
        let Some(address) = field(layout.channel).filter(|channel| *channel != 0) else { break };
        let Some(channel) = read(memory, layout, address, wait, sending) else { break };
        channels.push(channel);
        wait = field(layout.next).unwrap_or(0);
    }
    channels
}

fn read(memory: &dyn Bytes, layout: &Layout, address: u64, wait: u64, sending: Option<bool>) -> Option<ChannelFacts> {
    let record = memory.bytes(address, 96)?;
    let (length, capacity) = (word_in(&record, 0)?, word_in(&record, 8)?);
    // Never fuller than full, and closed or not.
    if length > capacity || number_in(&record, 28)? > 1 {
        return None;
    }
    let receivers = word_in(&record, layout.receivers as usize)?;
    let senders = word_in(&record, layout.receivers as usize + 16)?;
    let sending = sending.unwrap_or_else(|| is_in(memory, wait, senders, receivers));
    Some(ChannelFacts { address, sending, length, capacity })
}

/// Whether a wait is in the first of two lists, given by their heads, rather than in the other.
fn is_in(memory: &dyn Bytes, wait: u64, list: u64, other: u64) -> bool {
    if list == 0 || other == 0 {
        return list != 0;
    }
    let mut at = wait;
    for _ in 0..LIST {
        if at == list || at == other {
            break;
        }
        match at.checked_add(16).and_then(|before| memory.word(before)) {
            Some(before) if before != 0 => at = before,
            _ => break,
        }
    }
    at == list
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::bytes::testing::Noise;
    use super::super::layout::testing;
    use super::*;

    proptest! {
        #[test]
        fn lists_of_noise_end(seed in any::<u64>(), waiting in any::<u64>()) {
            let channels = of(&Noise::new(seed), &testing::layout(), waiting, None);
            prop_assert!(channels.len() <= CHANNELS);
            prop_assert!(channels.iter().all(|channel| channel.length <= channel.capacity));
        }
    }
}
