//! People at the terminals of services: who is let in, and what they are told.

use crate::core::attach::End;
use crate::core::control::Answer;
use crate::core::service::{OutcomeCause, Service};
use crate::run::control::Reply;
use crate::run::output::Seat;

use super::Supervisor;

impl Supervisor {
    /// Lets somebody to the terminal of a service, if it has one.
    pub(super) fn attach(&self, name: &str) -> Reply {
        let refused = |code, text: String| Reply::Whole(Answer::text(code, text));
        let Some(id) = self.fleet.find(name) else {
            return refused(404, format!("there is no service {name}\n"));
        };
        let slot = &self.slots[id.0];
        if slot.single {
            return refused(
                409,
                format!("{name} has launcher's own descriptors: launcher run -i gives it the terminal\n"),
            );
        }
        if !slot.settings.terminal {
            let next = slot.coming.as_ref().is_some_and(|coming| coming.terminal);
            return refused(409, if next { no_terminal_yet(name) } else { no_terminal(name, &self.reloading.named()) });
        }
        match self.fleet.service(id) {
            Some(service) if !service.state().is_at_rest() || self.fleet.beside(id).is_some() => {
                slot.terminal.set_end(None);
                Reply::Attach(Seat::take(&slot.terminal))
            }
            Some(service) => {
                let state = service.state().name();
                refused(409, format!("{name} does not run ({state}): launcher start {name}\n"))
            }
            None => refused(409, format!("{name} does not run: {} has it no more\n", self.reloading.named())),
        }
    }

    /// Those who are attached to a service that has come to rest are told how, and leave.
    pub(super) fn look_at_terminals(&self) {
        for (id, service) in self.fleet.services() {
            let terminal = &self.slots[id.0].terminal;
            if terminal.is_watched() {
                let at_rest = service.state().is_at_rest() && self.fleet.beside(id).is_none();
                terminal.set_end(at_rest.then(|| end(service)));
            }
        }
    }
}

fn no_terminal(name: &str, file: &str) -> String {
    format!(
        "{name} has no terminal of its own: write terminal = true below [service.{name}] in {file}, then launcher \
         reload (launcher logs -f {name} shows what it writes)\n"
    )
}

fn no_terminal_yet(name: &str) -> String {
    format!("{name} has a terminal when it is started next: launcher restart {name}\n")
}

/// How a service has come to rest.
fn end(service: &Service) -> End {
    let name = &service.settings().name;
    let code = service.outcome().map_or(0, |outcome| outcome.code);
    let with = if code == 0 { String::new() } else { format!(", with exit code {code}") };
    let text = match service.outcome().map(|outcome| outcome.cause) {
        Some(OutcomeCause::Completed) => format!("{name} has done its work{with}"),
        Some(OutcomeCause::Failed(_)) => format!("{name} has failed{with}: launcher report {name} says why"),
        Some(OutcomeCause::Requested) | None => format!("{name} was stopped{with}"),
    };
    End { code, text }
}
