//! Generations that could not start, and those that ended.

use super::*;
use crate::core::facts::Kin;

#[test]
fn a_program_that_cannot_be_executed() {
    let mut facts = Facts::new("api", Occasion::ExecFailed);
    facts.command = vec!["./api".to_owned()];
    facts.refusal = Some(Refusal::Exec(ExecFailure {
        problem: ExecProblem::LoaderMissing,
        summary: "./api needs the loader /lib/ld-musl-x86_64.so.1, which is missing".to_owned(),
        advice: vec!["install musl".to_owned()],
        errno: Some(2),
    }));
    let found = expect(&facts, Cause::ExecFailed, Confidence::Certain);
    assert_eq!(found.target.as_deref(), Some("./api"));
    says(&found.evidence[0], &["loader is missing (errno 2)"]);
}

#[test]
fn what_goes_on_after_the_main_process_has_stopped_is_what_a_stop_waits_for() {
    let mut facts = Facts::new("api", Occasion::StopTimeout);
    facts.ending = Some(Ending::Signal(Signal::TERM));
    facts.processes = vec![process(7, 1, "worker", vec![thread(7, "worker", Some(connecting("10.0.0.5:6379")))])];
    let found = expect(&facts, Cause::ConnectWait, Confidence::Certain);
    says(
        &found.summary,
        &["api has ended on SIGTERM, but one of its processes goes on: worker (pid 7)", "10.0.0.5:6379"],
    );
    says(&found.advice.join("\n"), &["raise stop_timeout"]);
    assert!(!found.advice.iter().any(|advice| advice.contains("start_timeout")), "{:?}", found.advice);
    // With nothing left there is only how it ended.
    facts.processes[0].zombie = true;
    expect(&facts, Cause::Crashed, Confidence::Certain);
}

#[test]
fn memory_that_ran_out_is_told_beside_what_goes_on() {
    let mut facts = Facts::new("api", Occasion::StopTimeout);
    facts.ending = Some(Ending::Signal(Signal::KILL));
    facts.memory = Some(MemoryFacts { limit: Some(64 << 20), peak: Some(64 << 20), kills: 1, own: true });
    facts.processes = vec![process(7, 1, "worker", vec![thread(7, "worker", Some(connecting("10.0.0.5:6379")))])];
    let Diagnosis { verdict, alternatives } = diagnose(&facts);
    assert_eq!(verdict.cause, Cause::ConnectWait, "{verdict:#?}");
    let memory = alternatives.iter().find(|other| other.cause == Cause::OutOfMemory).unwrap();
    assert_eq!(memory.confidence, Confidence::Certain);
    says(&memory.summary, &["limit 64.0 MiB"]);
    // With nothing else that is known of what goes on, it is all there is to say.
    facts.processes = vec![process(7, 1, "worker", Vec::new())];
    let alone = expect(&facts, Cause::OutOfMemory, Confidence::Certain);
    says(&alone.summary, &["api has ended on SIGKILL, but one of its processes goes on: api was killed by the memory"]);
}

fn owner() -> OwnerFacts {
    let command = vec!["nginx".to_owned(), "-g".to_owned()];
    let holder = HolderFacts {
        pid: 812,
        command,
        running: Some(Duration::from_secs(7500)),
        leftover: true,
        ..HolderFacts::default()
    };
    OwnerFacts { holders: vec![holder], uid: Some(0), ..OwnerFacts::default() }
}

#[test]
fn a_port_that_is_taken() {
    let mut facts = Facts::new("api", Occasion::Preflight);
    facts.refusal = Some(Refusal::Port(PortFailure {
        name: "http".to_owned(),
        listen: Listen::Tcp("0.0.0.0:8080".parse().unwrap()),
        problem: PortProblem::Taken,
        owner: Some(owner()),
        errno: Some(98),
        summary: "port http (tcp://0.0.0.0:8080) is taken by nginx (pid 812)".to_owned(),
        advice: vec!["stop it: kill 812".to_owned()],
    }));
    let found = expect(&facts, Cause::PortTaken, Confidence::Certain);
    assert_eq!(found.target.as_deref(), Some("tcp://0.0.0.0:8080"));
    says(&found.evidence.join("\n"), &["held by pid 812: nginx -g, running for 2 h 5 min, a leftover of this service"]);
}

#[test]
fn the_owner_is_told_without_its_secrets() {
    let mut owner = owner();
    owner.holders[0].command = ["holder", "--password", "HoldPw1", "--api-key", "K3"].map(str::to_owned).to_vec();
    let mut facts = ended(Ending::Code(1), "listen EADDRINUSE: address already in use 0.0.0.0:8080\n");
    facts.ports = vec![port("0.0.0.0:8080", false)];
    facts.ports[0].owner = Some(owner);
    let found = expect(&facts, Cause::PortTaken, Confidence::Likely);
    for text in [found.summary, found.evidence.join("\n")] {
        says(&text, &["holder --password *** --api-key ***"]);
    }
}

#[test]
fn a_bind_that_failed_in_the_program_itself() {
    let mut facts = Facts::new("api", Occasion::Exited);
    facts.ending = Some(Ending::Code(1));
    facts.output_tail = "Error: listen EADDRINUSE: address already in use 0.0.0.0:8080\n".to_owned();
    let found = expect(&facts, Cause::PortTaken, Confidence::Likely);
    assert_eq!(found.target.as_deref(), Some("0.0.0.0:8080"));
    facts.in_use = Some(owner());
    let found = expect(&facts, Cause::PortTaken, Confidence::Likely);
    says(&found.summary, &["api could not bind 0.0.0.0:8080, which pid 812 (nginx -g) holds"]);
    says(&found.evidence.join("\n"), &["held by pid 812: nginx -g"]);
    facts.in_use = Some(OwnerFacts { holders: Vec::new(), user: Some("www".to_owned()), ..owner() });
    says(&expect(&facts, Cause::PortTaken, Confidence::Likely).summary, &["which a process of www holds"]);
    facts.in_use = Some(owned_by_another_service());
    let found = expect(&facts, Cause::PortTaken, Confidence::Likely);
    says(&found.summary, &["which the service db of this launcher (pid 12) holds"]);
    assert_eq!(found.advice[0], "stop it: launcher stop db", "launcher itself is not to be stopped");
    facts.in_use = Some(OwnerFacts { holders: owned_by_another_service().holders[..1].to_vec(), ..owner() });
    let found = expect(&facts, Cause::PortTaken, Confidence::Likely);
    assert_eq!(found.advice[0], "see who holds it: launcher port 0.0.0.0:8080");
    facts.ports = vec![port("0.0.0.0:8080", false)];
    facts.ports[0].owner = Some(owner());
    says(&expect(&facts, Cause::PortTaken, Confidence::Likely).summary, &["which pid 812 (nginx -g) holds"]);
}

/// The launcher holds its socket, and it has it too.
fn owned_by_another_service() -> OwnerFacts {
    let launcher = HolderFacts { pid: 7, kin: Kin::Above, ..owner().holders.remove(0) };
    let service = Some("db".to_owned());
    let child = HolderFacts { pid: 12, kin: Kin::Child, service, launcher: Some(7), ..launcher.clone() };
    OwnerFacts { holders: vec![launcher, child], ..owner() }
}

fn ended(ending: Ending, tail: &str) -> Facts {
    let mut facts = Facts::new("api", Occasion::Exited);
    facts.elapsed = Duration::from_millis(1200);
    facts.ending = Some(ending);
    facts.output_tail = tail.to_owned();
    facts.processes = vec![ProcessFacts { pid: 4711, zombie: true, ..ProcessFacts::default() }];
    facts
}

#[test]
fn exits_with_its_last_words() {
    let found = expect(&ended(Ending::Code(3), "loading\nFATAL: no license\n"), Cause::Exited, Confidence::Certain);
    assert_eq!(found.summary, "api exited with code 3 before it was ready, after 1.2 s: FATAL: no license");
    let shell = expect(&ended(Ending::Code(139), ""), Cause::Exited, Confidence::Certain);
    says(&shell.evidence.join("\n"), &["ended by SIGSEGV"]);
    let python =
        "Traceback (most recent call last):\n  File \"/srv/app.py\", line 5, in main\n    x\nKeyError: 'URL'\n";
    let found = expect(&ended(Ending::Code(1), python), Cause::Exited, Confidence::Certain);
    assert_eq!(found.frame.unwrap().file.as_deref(), Some("/srv/app.py"));
}

#[test]
fn crashes_name_the_signal_and_memory_kills_need_the_counter() {
    let found = expect(&ended(Ending::Signal(Signal::SEGV), ""), Cause::Crashed, Confidence::Certain);
    assert_eq!(found.summary, "api was ended by SIGSEGV before it was ready, after 1.2 s (segmentation fault)");
    let mut facts = ended(Ending::Signal(Signal::KILL), "");
    says(&expect(&facts, Cause::Crashed, Confidence::Certain).evidence.join("\n"), &["who sent it is not known"]);
    facts.memory = Some(MemoryFacts { limit: Some(64 << 20), peak: Some(64 << 20), kills: 1, own: false });
    let killed = expect(&facts, Cause::OutOfMemory, Confidence::Certain);
    assert_eq!(killed.summary, "api was killed by the memory limit: limit 64.0 MiB, peak 64.0 MiB");
    says(&killed.advice.join("\n"), &["its container or unit"]);
    facts.memory = Some(MemoryFacts { limit: Some(64 << 20), peak: Some(64 << 20), kills: 1, own: true });
    let own = expect(&facts, Cause::OutOfMemory, Confidence::Certain);
    says(&own.advice.join("\n"), &["raise memory of [service.api.limits], or let it"]);
}

#[test]
fn memory_at_its_limit_is_no_proof() {
    let mut facts = ended(Ending::Signal(Signal::KILL), "");
    facts.memory = Some(MemoryFacts { limit: Some(64 << 20), peak: Some(64 << 20), kills: 0, own: false });
    let Diagnosis { verdict, alternatives } = diagnose(&facts);
    let found = std::iter::once(&verdict).chain(&alternatives).find(|v| v.cause == Cause::OutOfMemory).unwrap();
    assert_eq!(found.confidence, Confidence::Likely);
}

#[test]
fn a_signal_that_the_launcher_sent_is_told_as_its_own() {
    let ended = |signal, sent: Option<(u64, SentFor)>| {
        let mut facts = Facts::new("api", Occasion::Crashed);
        facts.ending = Some(Ending::Signal(signal));
        let sent = sent.map(|(ago, why)| SentFacts { signal, ago: Duration::from_millis(ago), why });
        facts.sent = sent.into_iter().collect();
        let found = expect(&facts, Cause::Crashed, Confidence::Certain);
        (found.evidence.join("\n"), found.advice.join("\n"))
    };
    let usr1: Signal = "USR1".parse().unwrap();
    for (signal, why, how) in [
        (Signal::KILL, SentFor::Asked, "as it was asked to (launcher signal"),
        (Signal::HUP, SentFor::PassedOn, "passed on what it was sent itself"),
        (usr1, SentFor::Change, "a watched file had changed"),
    ] {
        let (evidence, advice) = ended(signal, Some((3, why)));
        says(&evidence, &[&format!("the launcher sent it {signal} 3 ms before"), how]);
        let wrong = ["did not", "OOM", "from outside", "core dump"];
        assert!(!wrong.iter().any(|words| evidence.contains(words) || advice.contains(words)), "{evidence}\n{advice}");
        // Long before is not this one.
        assert!(ended(signal, Some((60_000, why))).0.contains("did not"));
        assert!(ended(signal, None).0.contains("did not"));
    }
    assert!(!ended(usr1, None).1.contains("core dump"), "it makes none");
    says(&ended("SEGV".parse().unwrap(), None).1, &["core dump"]);
    says(&ended("PIPE".parse().unwrap(), None).0, &["nobody reads"]);
}
