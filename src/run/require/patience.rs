//! Waits for requirements that no service has: `launcher wait`, and what `launcher verify` expects.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use crate::core::facts::{RequirementFacts, Trouble};
use crate::core::requirement::{News, Order, Standing, Vigil};
use crate::core::settings::RequirementSettings;
use crate::sys::clock;

/// A requirement, and what came of a try.
type Tried = (usize, Result<(), Trouble>);

/// Tries all of them until they answer or the first deadline is missed; tells what is new on the way. To be called
/// inside of a `LocalSet`.
pub async fn until_met(settings: &[RequirementSettings], mut tell: impl FnMut(&News)) -> Vec<RequirementFacts> {
    let seed = u64::from_le_bytes(clock::random()[..8].try_into().unwrap_or_default());
    let mut vigil = Vigil::new(settings, None, seed);
    let (sender, mut tried) = unbounded_channel();
    attempt(settings, vigil.begin(clock::now()), &sender);
    loop {
        let now = clock::now();
        match vigil.standing(now) {
            Standing::Waiting => attempt(settings, vigil.due(now), &sender),
            Standing::Met | Standing::Failed => return vigil.facts(now),
        }
        let until = vigil.next_deadline().map_or(Duration::MAX, |at| at.since(now)).min(Duration::from_secs(3600));
        tokio::select! {
            Some((index, outcome)) = tried.recv() => {
                if let Some(news) = vigil.tried(clock::now(), index, outcome) {
                    tell(&news);
                }
            }
            () = sleep_until(Instant::now() + until) => {}
        }
    }
}

fn attempt(settings: &[RequirementSettings], orders: Vec<Order>, sender: &UnboundedSender<Tried>) {
    for Order { index, limit } in orders {
        let Some(requirement) = settings.get(index).cloned() else { continue };
        let sender = sender.clone();
        tokio::task::spawn_local(async move {
            let _ = sender.send((index, super::attempt(requirement, None, limit).await));
        });
    }
}
