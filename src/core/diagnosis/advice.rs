//! What is advised fits what the service is looked at for, whatever it waits for.

use crate::core::facts::{Facts, Occasion, StopLimitKey};

use super::{Cause, Confidence, Diagnosis};

/// Takes away what is only for a start, and adds what is for a stop or a watchdog.
pub fn fit(facts: &Facts, diagnosis: &mut Diagnosis) {
    if matches!(facts.occasion, Occasion::Requested | Occasion::StopTimeout | Occasion::Watchdog) {
        // No start is waited for, and it may be no service at all.
        let of_starts = |advice: &str| {
            ["start_timeout", "EXTEND_TIMEOUT", "extend_while", "--ready"].iter().any(|it| advice.contains(it))
        };
        for verdict in std::iter::once(&mut diagnosis.verdict).chain(&mut diagnosis.alternatives) {
            verdict.advice.retain(|advice| !of_starts(advice));
        }
    }
    let verdict = &mut diagnosis.verdict;
    match facts.occasion {
        Occasion::StopTimeout => verdict.advice.push(more_time_to_stop(facts).to_owned()),
        // What holds it is known otherwise.
        Occasion::Watchdog if verdict.confidence != Confidence::Certain => {
            let at = if verdict.cause == Cause::EventLoopIdle { 0 } else { verdict.advice.len() };
            verdict.advice.splice(at..at, WATCHED.map(str::to_owned));
        }
        _ => {}
    }
}

/// What keeps a service that is well from missing its watchdog.
const WATCHED: [&str; 2] = [
    "let it send WATCHDOG=1 to $NOTIFY_SOCKET more often than its watchdog asks for (sd_notify; in a script: launcher \
     notify WATCHDOG=1)",
    "if it cannot, raise watchdog, or leave it out",
];

/// What gives one more time that only takes long to stop.
fn more_time_to_stop(facts: &Facts) -> &'static str {
    match facts.stop_limit.map(|limit| limit.by) {
        Some(StopLimitKey::DrainTimeout) => "if it only takes long to end what it has begun, raise drain_timeout",
        Some(StopLimitKey::StopBudget) => "if it only takes long to stop, raise stop_budget (--stop-budget)",
        Some(StopLimitKey::StopTimeout) | None => "if it only takes long to stop, raise stop_timeout (--stop-timeout)",
    }
}
