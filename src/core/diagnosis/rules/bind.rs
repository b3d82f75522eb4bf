//! `port-taken`, where the program says itself that it could not bind.

use crate::core::facts::{Kin, OwnerFacts, PortFacts};
use crate::core::listen::parse_question;
use crate::core::port_words::stop_it;
use crate::core::report::mask;

use super::super::candidate::{Candidate, Grip};
use super::super::view::View;
use super::super::{Cause, Confidence};
use super::endings::owner_evidence;
use super::output;

/// The address that the last lines of output say could not be bound, as it is to be asked about.
pub fn bind_refused(tail: &str) -> Option<String> {
    output::bound_in(&output::address_in_use(tail)?)
}

/// It could not bind, as it says itself; the owner is the one that was seen.
pub fn bind_failed<'a>(view: &View<'a>) -> Option<Candidate> {
    let line = output::address_in_use(&view.facts.output_tail)?;
    let taken = |port: &&PortFacts| port.owner.is_some() && !port.listening;
    let port = view.facts.ports.iter().find(taken);
    let target = port.map(|port| port.listen.to_string()).or_else(|| output::bound_in(&line));
    let owner = port.and_then(|port| port.owner.as_ref()).or(view.facts.in_use.as_ref());
    let holder = owner.and_then(OwnerFacts::holder);
    let by = holder.map(|holder| match (&holder.service, holder.kin) {
        (Some(service), Kin::Child) => {
            format!(", which the service {service} of this launcher (pid {}) holds", holder.pid)
        }
        _ => format!(", which pid {} ({}) holds", holder.pid, mask::line(&holder.command)),
    });
    let user = owner.and_then(|owner| owner.user.clone().or(owner.uid.map(|uid| format!("uid {uid}"))));
    let by = by.or_else(|| user.map(|user| format!(", which a process of {user} holds")));
    let summary = format!(
        "{} could not bind {}{}",
        view.facts.service,
        target.as_deref().unwrap_or("its address"),
        by.unwrap_or_else(|| ": it is in use".to_owned())
    );
    let grip = if view.facts.ending.is_some() { Grip::Firm } else { Grip::Hard };
    let mut candidate = Candidate::new(Cause::PortTaken, Confidence::Likely, grip, summary)
        .evidence(format!("its output says: \"{line}\""))
        .evidence_all(owner.into_iter().flat_map(owner_evidence));
    let asked = target.as_ref().and_then(|target| parse_question(target).ok()?.into_iter().next());
    // Launcher itself, which has it for a service that cannot be told, is not to be stopped.
    let owner_to_stop = owner.filter(|_| holder.is_none_or(|holder| holder.kin != Kin::Above));
    let stop = owner_to_stop.zip(asked.as_ref()).map(|(owner, listen)| stop_it(owner, listen));
    candidate = candidate.advice(stop.unwrap_or_else(|| match &target {
        Some(target) => format!("see who holds it: launcher port {}", target.trim_start_matches("tcp://")),
        None => "see who holds its port: launcher port ADDRESS".to_owned(),
    }));
    candidate = candidate.advice("or give this service another port");
    Some(match target {
        Some(target) => candidate.target(target),
        None => candidate,
    })
}
