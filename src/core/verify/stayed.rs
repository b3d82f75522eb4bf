//! Services that keep to the port that they are declared with, though a trial has put it elsewhere (`--ports auto`): such
//! a one can never be seen ready, and need not be waited for until its deadline.

use std::time::Duration;

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::core::config::value::port_variable;
use crate::core::diagnosis::{Cause, Confidence, covers};
use crate::core::exit::code;
use crate::core::facts::ListeningFacts;
use crate::core::fleet::ServiceId;
use crate::core::listen::{port_of, with_ip};
use crate::core::settings::{Listen, PortMode, Ready, ServiceSettings, Settings};
use crate::core::time::Moment;
use crate::core::units::exact_duration;

use super::moved::{Move, address_of};
use super::{Failure, Order, Phase, Step, Trial};

/// How long a service has to listen on the right port, too, once it listens on the declared one: some listen on several.
const GRACE: Duration = Duration::from_secs(1);
/// The same of one that may also say READY=1 (`auto`), where the port does not matter: long enough for most that listen
/// first and warm up then, and well before the default `start_timeout`.
const SILENCE: Duration = Duration::from_secs(15);

impl Move {
    /// Whether this service is ready only when it listens where the port is tried. `service` is as it is declared. With
    /// `auto` that holds unless it says READY=1.
    fn is_awaited(&self, service: &ServiceSettings) -> bool {
        let port = service.ports.iter().find(|port| port.name == self.port);
        // What is passed listens from the start, whoever else does.
        if self.service != service.name || port.is_none_or(|port| port.mode == PortMode::Pass) {
            return false;
        }
        match &service.ready {
            Ready::Auto | Ready::Listen => true,
            Ready::Tcp(address) => self.number_for(*address).is_some(),
            Ready::Http(probe) => {
                let named = probe.url.contains(&format!("{{port.{}}}", self.port));
                named || address_of(&probe.url).is_some_and(|address| self.number_for(address).is_some())
            }
            Ready::Notify | Ready::Started | Ready::Exited | Ready::Fd(_) | Ready::Log(_) | Ready::Exec(_) => false,
        }
    }

    /// Whether this is the declared port, at whatever address.
    fn is_declared(&self, listen: &Listen) -> bool {
        let of_one_kind =
            matches!((listen, &self.declared), (Listen::Tcp(_), Listen::Tcp(_)) | (Listen::Udp(_), Listen::Udp(_)));
        of_one_kind && port_of(listen) == port_of(&self.declared)
    }

    /// Addresses to look at, to see whether anybody is at the declared port. With a wildcard also those that programs
    /// have instead.
    fn declared_places(&self) -> Vec<Listen> {
        let wild = match &self.declared {
            Listen::Tcp(address) | Listen::Udp(address) => address.ip().is_unspecified(),
            Listen::Unix(_) => false,
        };
        let instead: &[IpAddr] = match wild {
            true => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
            false => &[],
        };
        let instead = instead.iter().map(|ip| with_ip(&self.declared, *ip));
        std::iter::once(self.declared.clone()).chain(instead).collect()
    }

    fn failure(&self, held: &ListeningFacts, may_notify: bool) -> Failure {
        let Move { service, port, tried, .. } = self;
        let ListeningFacts { listen, pid } = held;
        let summary = format!(
            "{service} (pid {pid}) listens on {listen}, where its port {port} is declared, and not on {tried}, where \
             --ports auto has put it"
        );
        let variable = port_variable(port);
        Failure {
            service: Some(service.clone()),
            code: code::DEADLINE,
            confidence: Some(Confidence::Certain.name()),
            evidence: [
                format!("the kernel shows that it listens on {listen}"),
                format!("{} later it did not listen on {tried}", exact_duration(grace(may_notify))),
            ]
            .into_iter()
            .chain(may_notify.then(|| "it has said nothing on its notify socket by then".to_owned()))
            .collect(),
            advice: [
                format!(
                    "let {service} take its port from {variable} (or PORT, for the first one) or from {{port.{port}}}"
                ),
                "leave out --ports auto where the declared port is free".to_owned(),
            ]
            .into_iter()
            .chain(may_notify.then(|| {
                "if it says READY=1 when it is ready, tell so: ready = \"notify\" (--ready notify)".to_owned()
            }))
            .collect(),
            ..Failure::new(Phase::Ready, Cause::ListeningElsewhere.name(), summary)
        }
    }
}

/// How long after a service was seen at its declared port is judged.
fn grace(may_notify: bool) -> Duration {
    if may_notify { SILENCE } else { GRACE }
}

impl Trial {
    /// These ports are tried elsewhere than they are `declared`.
    pub fn with_moves(mut self, declared: &Settings, moves: &[Move]) -> Trial {
        for (member, service) in self.members.iter_mut().zip(&declared.services) {
            member.moves = moves.iter().filter(|moved| moved.is_awaited(service)).cloned().collect();
        }
        self
    }

    /// The places where a service may come to listen in spite of it: whether it does is answered by [`Trial::stayed`],
    /// [`Trial::grace`] later.
    pub fn declared_places(&self, id: ServiceId) -> Vec<Listen> {
        let moves = self.members.get(id.0).map_or(&[][..], |member| &member.moves);
        moves.iter().flat_map(Move::declared_places).collect()
    }

    /// How long a service has, once it listens at one of its declared places.
    pub fn grace(&self, id: ServiceId) -> Duration {
        grace(self.members.get(id.0).is_some_and(|member| member.may_notify))
    }

    /// All that the processes of a service listen on, as it was seen at a declared place a while ago; `spoke`: whether
    /// anything has come on its notify socket. One that uses that may still say READY=1.
    pub fn stayed(&mut self, now: Moment, id: ServiceId, listening: &[ListeningFacts], spoke: bool) -> Option<Order> {
        let member = self.members.get(id.0).filter(|member| member.phase == Some(Phase::Ready))?;
        if self.step != Step::Starting || (member.may_notify && spoke) {
            return None;
        }
        let stayed = |moved: &Move| {
            let there = listening.iter().any(|held| covers(&held.listen, &moved.tried));
            let held = listening.iter().find(|held| moved.is_declared(&held.listen));
            held.filter(|_| !there).map(|held| moved.failure(held, member.may_notify))
        };
        let failure = member.moves.iter().find_map(stayed)?;
        self.known(failure);
        Some(self.stop(now))
    }
}
