//! The rules on facts as a dump records them.

mod children;
mod connections;
mod endings;
mod listening;
mod locks;
mod runtimes;
mod states;

use std::time::Duration;

use crate::core::exit::Ending;
use crate::core::facts::{
    AttemptFacts, ChannelFacts, ExecFailure, ExecProblem, Facts, FdFacts, FileFacts, FileKind, FoundBy, Frame,
    FutexKind, HolderFacts, LockFacts, MemoryFacts, Occasion, OwnerFacts, PortFailure, PortProblem, ProcessFacts,
    QuotaFacts, Refusal, ResolverFacts, SentFacts, SentFor, SocketFacts, StopLimit, StopLimitKey, TaskFacts,
    ThreadFacts, Tried, WaitingOn,
};
use crate::core::settings::{Listen, Ready};
use crate::core::signal::Signal;

use super::testing::*;
use super::{Cause, Confidence, Diagnosis, Verdict, diagnose};

fn verdict(facts: &Facts) -> Verdict {
    diagnose(facts).verdict
}

fn expect(facts: &Facts, cause: Cause, confidence: Confidence) -> Verdict {
    let Diagnosis { verdict, alternatives } = diagnose(facts);
    assert_eq!((verdict.cause, verdict.confidence), (cause, confidence), "{verdict:#?}\n{alternatives:#?}");
    assert!(!verdict.summary.is_empty() && !verdict.summary.ends_with('.'), "{}", verdict.summary);
    assert!(!verdict.evidence.is_empty(), "{verdict:#?}");
    assert!(!verdict.advice.is_empty(), "{verdict:#?}");
    verdict
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

fn tree(last: Option<WaitingOn>) -> Facts {
    let shell = process(4711, 4700, "sh start.sh", vec![thread(4711, "sh", Some(child(4712, "python3")))]);
    let mut worker = thread(4712, "python3", last);
    worker.frames = stack("migrate", "migrate.py", 7);
    facts(vec![shell, process(4712, 4711, "python3 migrate.py", vec![worker])])
}

#[test]
fn nothing_known_is_unknown() {
    let found = verdict(&Facts::new("api", Occasion::StartTimeout));
    assert_eq!((found.cause, found.confidence), (Cause::Unknown, Confidence::Possible));
    let mut blind = facts(vec![process(4711, 4700, "./api", vec![])]);
    blind.processes[0].dump_error = Some("not permitted".to_owned());
    says(&verdict(&blind).evidence.join("\n"), &["the dump of api (pid 4711) is not whole: not permitted"]);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_the_facts_are_there_is_a_verdict(seed: u64) {
        let found = diagnose(&random(seed, true));
        proptest::prop_assert!(!found.verdict.summary.is_empty());
        proptest::prop_assert!(found.alternatives.len() <= super::ALTERNATIVES);
    }

    #[test]
    fn nothing_is_certain_without_the_kernels_word(seed: u64) {
        let Diagnosis { verdict, alternatives } = diagnose(&random(seed, false));
        for found in std::iter::once(&verdict).chain(&alternatives) {
            proptest::prop_assert!(found.confidence < Confidence::Certain, "{found:#?}");
        }
    }
}

#[test]
fn ten_thousand_threads_are_looked_at_in_time() {
    let threads = (0..10_000).map(|n| thread(4711 + n, "worker", Some(futex(FutexKind::Lock, 9, None)))).collect();
    let facts = facts(vec![process(4711, 4700, "./api", threads)]);
    assert_eq!(verdict(&facts).cause, Cause::LockWait);
}
