//! One line a service: its state, its time, and what it is waiting for right now.

use std::time::Duration;

use crate::core::fleet::Fleet;
use crate::core::report::mask;
use crate::core::report::text::{Paint, Style, clean, cut};
use crate::core::service::{Service, State};
use crate::core::settings::{PortMode, Ready, ServiceSettings, Until};
use crate::core::time::Moment;
use crate::core::units::human_duration;

use super::{StartUp, Track};

/// A name is not given more columns than this, so that what is waited for has room beside it.
const WIDEST_NAME: usize = 24;

/// A window of fewer columns has no room for state and time beside what is waited for.
const NARROW: usize = 60;

/// Names of services that are waited for, at most.
const MOST_NAMES: usize = 4;

impl StartUp {
    /// The table, in at most so many lines. When there are more services, those that serve are counted, not shown.
    pub fn lines(&self, now: Moment, fleet: &Fleet, style: Style, most: usize) -> Vec<String> {
        let rows: Vec<(&Track, &Service)> =
            self.tracks.iter().filter_map(|track| Some((track, fleet.service(track.id)?))).collect();
        let widest = rows.iter().map(|(track, _)| track.name.chars().count()).max().unwrap_or(0).min(WIDEST_NAME);
        let line = |(track, service): &(&Track, &Service)| self.line(now, fleet, track, service, style, widest);
        if rows.len() <= most {
            return rows.iter().map(line).collect();
        }
        let open: Vec<_> = rows.iter().filter(|(track, _)| track.served.is_none()).collect();
        let shown = open.len().min(most.saturating_sub(1));
        let mut lines: Vec<String> = open[..shown].iter().map(|row| line(row)).collect();
        let ready = rows.len() - open.len();
        let more = open.len() - shown;
        let more = if more > 0 { format!(", {more} more are on their way") } else { String::new() };
        let count = cut(&format!("  {ready} of {} are ready{more}", rows.len()), style.width.saturating_sub(1));
        lines.extend((most > 0).then_some(count));
        lines
    }

    fn line(
        &self,
        now: Moment,
        fleet: &Fleet,
        track: &Track,
        service: &Service,
        style: Style,
        widest: usize,
    ) -> String {
        let (sign, paint) = match service.state() {
            _ if track.served.is_some() => ("✓", Paint::Good),
            State::Failed => ("✗", Paint::Failure),
            State::BackingOff | State::Open => ("!", Paint::Warning),
            _ => ("·", Paint::Dim),
        };
        let state = if track.completed.is_some() { "done" } else { service.state().name() };
        let end = track.completed.or(track.served).unwrap_or(now);
        let time = track.free.map_or_else(String::new, |free| tenths(end.since(free)));
        let waits = self.waits_for(now, fleet, track).unwrap_or_default();
        let name = cut(&track.name, widest);
        let text = match style.width < NARROW {
            // What is waited for says more than the state does.
            true => format!("{name:widest$} {}", if waits.is_empty() { state } else { &waits }),
            false => format!("{name:widest$}  {state:<11}  {time:>7}  {waits}"),
        };
        let plain = cut(clean(&format!("{sign} {text}")).trim_end(), style.width.saturating_sub(1));
        match plain.strip_prefix(sign) {
            Some(rest) => format!("{}{rest}", style.paint(paint, sign)),
            None => plain,
        }
    }

    /// `db: waits for tcp://127.0.0.1:5432: connection refused`, of all that are not there yet.
    pub fn sentences(&self, now: Moment, fleet: &Fleet) -> Vec<(&str, String)> {
        let open = self.tracks.iter().filter(|track| track.served.is_none());
        open.filter_map(|track| Some((track.name.as_str(), self.waits_for(now, fleet, track)?))).collect()
    }

    /// What a service is waiting for right now, in words; `None` when it waits for nothing any more.
    fn waits_for(&self, now: Moment, fleet: &Fleet, track: &Track) -> Option<String> {
        let service = fleet.service(track.id)?;
        if track.served.is_some() {
            return None;
        }
        let again = track.retry.map(|(at, attempt)| {
            let attempt = attempt.map(|attempt| format!(" (attempt {attempt})")).unwrap_or_default();
            format!("is started again in {}{attempt}", tenths(at.since(now)))
        });
        match service.state() {
            State::Waiting if service.waits_for_others() => Some(others(fleet, track)),
            State::Waiting => Some(requirements(track)),
            State::Checking => Some("is being checked".to_owned()),
            State::Starting => Some(readiness(service)),
            State::Stopping => Some("waits for its processes to end".to_owned()),
            State::BackingOff => again,
            State::Open => Some(format!("has failed too often, and {}", again.unwrap_or_default())),
            State::Ready | State::Failed | State::Stopped => None,
        }
    }
}

fn others(fleet: &Fleet, track: &Track) -> String {
    let unmet: Vec<String> = fleet
        .unmet(track.id)
        .map(|(name, until)| match until {
            Until::Ready => name.to_owned(),
            Until::Exited => format!("the end of {name}"),
        })
        .collect();
    let more = unmet.len().saturating_sub(MOST_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("waits for {}{more}", unmet[..unmet.len().min(MOST_NAMES)].join(", "))
}

fn requirements(track: &Track) -> String {
    let missing: Vec<String> = track.missing.iter().map(|(url, error)| format!("{url}: {error}")).collect();
    match missing.is_empty() {
        true => "waits for what it requires".to_owned(),
        false => format!("waits for {}", missing.join("; ")),
    }
}

/// What a service that was executed has to do yet.
fn readiness(service: &Service) -> String {
    let settings = service.settings();
    let awaited = match &settings.ready {
        Ready::Notify => "waits for its READY=1".to_owned(),
        Ready::Auto => format!("waits for its READY=1, or for {}", own_ports(settings)),
        Ready::Listen => format!("waits for {}", own_ports(settings)),
        Ready::Tcp(address) => format!("waits for a connection to {address}"),
        Ready::Exited => "waits for its end".to_owned(),
        Ready::Started => "waits for its start".to_owned(),
        Ready::Fd(fd) => format!("waits for a line on its descriptor {fd}"),
        Ready::Log(pattern) => format!("waits for a line that matches {pattern:?}"),
        Ready::Http(probe) => format!("waits for an answer of {}", probe.url),
        Ready::Exec(probe) => format!("waits for {:?} to end with code 0", mask::line(&probe.command)),
    };
    match service.status() {
        Some(status) => format!("{awaited}; it says: {status}"),
        None => awaited,
    }
}

fn own_ports(settings: &ServiceSettings) -> String {
    let own = settings.ports.iter().filter(|port| port.mode != PortMode::Pass);
    let listens: Vec<String> = own.map(|port| port.listen.to_string()).collect();
    match listens.is_empty() {
        true => "its start".to_owned(),
        false => format!("{} to listen", listens.join(" and ")),
    }
}

/// A time that is seen to go on: with tenths of a second from the first moment on.
fn tenths(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("0.{} s", duration.subsec_millis() / 100),
        _ => human_duration(duration),
    }
}
