//! How everything stands at one moment, as `/status` writes it and `launcher status` reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::fleet::{Fleet, Percent, ServiceId};
use crate::core::service::State;
use crate::core::time::Moment;

use super::ledger::{Entry, Ledger};
use super::waiting;

/// Everything.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The launcher itself.
    pub launcher: LauncherStatus,
    /// Its services, in the order in which they were written.
    pub services: Vec<ServiceStatus>,
}

/// The launcher itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LauncherStatus {
    /// Which launcher, and where it is found.
    #[serde(flatten)]
    pub about: About,
    /// For how long it has run, in milliseconds.
    pub uptime_ms: u64,
    /// Whether every service is ready.
    pub ready: bool,
    /// Whether no service has failed and no breaker is open.
    pub healthy: bool,
    /// Whether all services are being stopped.
    pub stopping: bool,
}

/// Which launcher it is, and where it is found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The folder of its launcher.toml; of a single command, the one it was started in.
    pub folder: String,
    /// The folder in which it keeps reports.
    pub report_dir: String,
    /// Whether it runs one command, without a file.
    pub single_command: bool,
    /// When it was started, UTC.
    pub started: String,
    /// Its control socket, if it has one.
    pub control: Option<String>,
    /// Where it answers HTTP, if it does.
    pub http: Option<String>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its state, as DESIGN §1 writes it.
    pub state: String,
    /// For how long it has been in it, in milliseconds.
    pub since_ms: u64,
    /// Whether those that come after it may run: it is ready, or has done what it was for.
    pub ready: bool,
    /// Its current generation, or the last one; 0 before the first.
    pub generation: u64,
    /// Which attempt that is.
    pub attempt: u32,
    /// The generation beside it, while there is one.
    pub beside: Option<BesideStatus>,
    /// Its main process, while that runs.
    pub pid: Option<i32>,
    /// How many processes it has.
    pub processes: usize,
    /// How much memory they have of their own, in bytes (`RssAnon` of `proc_pid_status(5)`).
    pub memory_bytes: Option<u64>,
    /// What it waits for right now, each a phrase; nothing when it is ready or at rest.
    pub waits_for: Vec<String>,
    /// What it last said by STATUS=.
    pub status: Option<String>,
    /// How often it was executed.
    pub starts: u64,
    /// How often it became ready.
    pub readies: u64,
    /// Failed generations in a row.
    pub failures_in_a_row: u32,
    /// Whether its breaker is open: it is not started for a while.
    pub breaker_open: bool,
    /// How often its breaker opened.
    pub breaker_opened: u64,
    /// How long its last start took until it was ready, in milliseconds.
    pub start_took_ms: Option<u64>,
    /// How many reports of each kind there were.
    pub reports: BTreeMap<String, u64>,
    /// The exit code it was left with, while it is at rest.
    pub exit_code: Option<i32>,
    /// What the newest report found.
    pub verdict: Option<VerdictStatus>,
    /// Its ports.
    pub ports: Vec<PortStatus>,
}

/// The generation beside the one that serves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BesideStatus {
    /// Its number.
    pub generation: u64,
    /// What it is: `successor`, `canary` or `leaving`.
    pub part: String,
    /// Its state.
    pub state: String,
    /// Its main process, while that runs.
    pub pid: Option<i32>,
    /// Of so many percent of the new connections, if it is a canary or is to be one.
    pub percent: Option<u8>,
}

/// What a report found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictStatus {
    /// Of which generation.
    pub generation: u64,
    /// Why there is a report.
    pub kind: String,
    /// The verdict's cause.
    pub cause: String,
    /// The verdict in one sentence.
    pub summary: String,
    /// When, UTC.
    pub time: String,
    /// Where the report is.
    pub report: Option<String>,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// Its name.
    pub name: String,
    /// Where it is: `tcp://127.0.0.1:8080`.
    pub listen: String,
    /// Whether somebody listens there: a process of the service, or the launcher for it.
    pub listening: bool,
}

/// What has to be looked at in the system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// How many processes the service has.
    pub processes: usize,
    /// How much memory they have of their own, in bytes.
    pub memory: Option<u64>,
    /// Its ports.
    pub ports: Vec<PortStatus>,
}

impl Status {
    /// How everything stands now. `began` is when the launcher was started, `seen` what was seen of each service, by its
    /// place.
    pub fn of(now: Moment, began: Moment, about: &About, fleet: &Fleet, ledger: &Ledger, seen: Vec<Seen>) -> Status {
        let mut seen = seen.into_iter();
        let mut service = |id| service(now, fleet, id, ledger.of(id), seen.next().unwrap_or_default());
        let services: Vec<ServiceStatus> = fleet.services().map(|(id, _)| service(id)).collect();
        let stopping = fleet.is_going_down();
        let failed =
            |(_, service): (_, &crate::core::service::Service)| matches!(service.state(), State::Failed | State::Open);
        let launcher = LauncherStatus {
            about: about.clone(),
            uptime_ms: millis(now.since(began)),
            ready: !stopping && fleet.wanted().all(|(_, service)| service.serves()),
            healthy: !fleet.services().any(failed),
            stopping,
        };
        Status { launcher, services }
    }

    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&ServiceStatus> {
        self.services.iter().find(|service| service.name == name)
    }

    /// As it is sent.
    pub fn to_json(&self) -> String {
        // Nothing in it can fail to serialise: there are no maps with odd keys.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl ServiceStatus {
    /// As it is sent.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn service(now: Moment, fleet: &Fleet, id: ServiceId, entry: Entry, seen: Seen) -> ServiceStatus {
    let Some(service) = fleet.service(id) else { return ServiceStatus::default() };
    let waits_for = waiting::waits_for(now, fleet, id, &seen.ports);
    let finding = entry.finding.map(|finding| VerdictStatus {
        generation: finding.generation.0,
        kind: finding.kind.name().to_owned(),
        cause: finding.cause.to_owned(),
        summary: finding.summary,
        time: finding.time,
        report: finding.path,
    });
    ServiceStatus {
        name: service.settings().name.clone(),
        state: service.state().name().to_owned(),
        since_ms: millis(now.since(entry.since)),
        ready: service.serves(),
        generation: service.generation().map_or(0, |generation| generation.0),
        attempt: service.attempt(),
        beside: beside(fleet, id),
        pid: service.main_pid(),
        processes: seen.processes,
        memory_bytes: seen.memory,
        waits_for,
        status: service.status().filter(|status| !status.is_empty()).map(str::to_owned),
        starts: entry.starts,
        readies: entry.readies,
        failures_in_a_row: service.failures(),
        breaker_open: service.state() == State::Open,
        breaker_opened: entry.breaker_opened,
        start_took_ms: entry.start_took.map(millis),
        reports: entry.reports.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect(),
        exit_code: service.outcome().map(|outcome| outcome.code),
        verdict: finding,
        ports: seen.ports,
    }
}

fn beside(fleet: &Fleet, id: ServiceId) -> Option<BesideStatus> {
    let (service, part, percent) = fleet.beside(id)?;
    Some(BesideStatus {
        generation: service.generation().map_or(0, |generation| generation.0),
        part: part.name().to_owned(),
        state: service.state().name().to_owned(),
        pid: service.main_pid(),
        percent: percent.map(Percent::get),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
