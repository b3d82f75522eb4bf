//! What people ask of the running launcher: its doors, and the answers.

use ::core::net::SocketAddr;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::core::control::status::PortStatus;
use crate::core::control::{About, Answer, Finding, Ledger, Request, Seen, Status, health, metrics, page};
use crate::core::exit::{Ending, code};
use crate::core::facts::{Occasion, PortFailure};
use crate::core::fleet::ServiceId;
use crate::core::port_words::{self, Asker, RawPortFailure};
use crate::core::report::Report;
use crate::core::service::Generation;
use crate::core::settings::{ControlPlace, Listen, Ready, Settings};
use crate::core::time::Moment;
use crate::run::control::place::{self, Held};
use crate::run::control::{Asked, Entrance, Porter, Reply, log_text};
use crate::run::{log, reports};
use crate::sys::control_socket::OwnFile;
use crate::sys::{clock, port, procfs, sock_diag};

use super::Supervisor;
use super::act::Waiting;
use super::inbox::{Explained, Happening, Task};
use super::slot::Slot;

/// The control socket is opened so long after the first services were started, unless all is ready before: it costs no
/// start anything, and a command that is over by then needs none.
const LATER: Duration = Duration::from_millis(5);

/// How many lines of a log are sent when nothing is said.
const LINES: usize = 1000;

/// The address of `http`, listened on.
pub struct Http {
    listener: TcpListener,
    address: SocketAddr,
}

impl Http {
    /// What keeps the address from being had now. Nothing is kept.
    pub fn examine(address: SocketAddr) -> Option<PortFailure> {
        port::examine(&Listen::Tcp(address)).err().map(|raw| Http::failure(address, &raw))
    }

    fn failure(address: SocketAddr, raw: &RawPortFailure) -> PortFailure {
        let listen = Listen::Tcp(address);
        let mut failure = port_words::failure(Asker::Http, "", &listen, raw, port::owner(&listen, None));
        failure.summary = format!("http = \"{address}\": {}", failure.summary);
        failure
    }

    /// Listens there.
    ///
    /// # Errors
    /// What is in the way, and what to do about it, for a person.
    pub fn listen(address: SocketAddr) -> Result<Http, String> {
        let listen = Listen::Tcp(address);
        let held = port::listen(&listen).map_err(|raw| {
            let failure = Http::failure(address, &raw);
            let advice: Vec<String> = failure.advice.iter().map(|advice| format!("\n  try {advice}")).collect();
            format!("{}{}", failure.summary, advice.concat())
        })?;
        let socket = held.descriptor().ok_or(io::ErrorKind::InvalidData.into());
        let listener = socket.and_then(|socket| socket.try_clone_to_owned()).and_then(|socket| {
            let listener = TcpListener::from(socket);
            listener.set_nonblocking(true)?;
            Ok(Http { address: listener.local_addr()?, listener })
        });
        listener.map_err(|problem: io::Error| format!("http = \"{address}\": {problem}"))
    }
}

/// The doors, and what is remembered for those who ask.
pub struct Control {
    /// What has happened to the services.
    pub ledger: Ledger,
    /// When the control socket is to be opened.
    pub opens: Option<Instant>,
    /// Those who wait for what they asked to come about.
    pub waiting: Waiting,
    /// One for each dump that is being taken, and this one.
    pub dumps: Arc<()>,
    place: ControlPlace,
    about: About,
    began: Moment,
    porter: Porter,
    /// The doors of the control socket: where somebody chose it, and where commands look for one.
    sockets: Vec<(Task, OwnFile)>,
    _http: Option<Task>,
}

impl Control {
    /// The address is answered on from now on; the control socket comes later.
    ///
    /// # Errors
    /// Of watching the listener.
    pub fn new(settings: &Settings, http: Option<Http>, outbox: &UnboundedSender<Happening>) -> io::Result<Control> {
        let began = clock::now();
        let launcher = &settings.launcher;
        let about = About {
            name: launcher.name.clone(),
            single_command: settings.single_command,
            http: http.as_ref().map(|http| http.address.to_string()),
            ..About::default()
        };
        let mut porter = Porter::new(outbox.clone());
        let http = match http {
            Some(http) => {
                let entrance = Entrance::Http(tokio::net::TcpListener::from_std(http.listener)?, http.address);
                info!(event = "http", address = %http.address, "status is served on http://{}/", http.address);
                Some(porter.open(entrance))
            }
            None => None,
        };
        Ok(Control {
            ledger: Ledger::new(settings.services.len(), began),
            opens: (launcher.control != ControlPlace::Off).then(|| Instant::now() + LATER),
            waiting: Waiting::default(),
            dumps: Arc::default(),
            place: launcher.control.clone(),
            about,
            began,
            porter,
            sockets: Vec::new(),
            _http: http,
        })
    }

    /// A report was made.
    pub fn explained(&mut self, id: ServiceId, generation: Generation, explained: &Explained) {
        let report = &explained.report;
        let finding = Finding {
            generation,
            kind: report.kind,
            cause: report.verdict.cause.name(),
            summary: report.verdict.summary.clone(),
            time: report.time.clone(),
            path: explained.path.as_ref().ok().map(|path| path.display().to_string()),
            exit_code: exit_code(report),
        };
        self.ledger.explained(id, finding);
    }

    /// People are let in by this socket from now on; the first is the one that is told of.
    fn let_in(&mut self, Held { path, listener, file }: Held) {
        let path = path.display().to_string();
        debug!(event = "control", path, "launcher is controlled at {path}");
        self.about.control.get_or_insert(path);
        let door = self.porter.open(Entrance::Socket(listener));
        self.sockets.push((door, file));
    }

    /// Nobody is let in by the control socket any more, and its files are gone.
    pub fn close(&mut self) {
        self.sockets.clear();
    }

    /// The last thing before the launcher ends: those who are in get what they still wait for.
    pub async fn see_out(&self) {
        self.porter.see_out().await;
    }
}

impl Supervisor {
    /// Whoever is told that all is ready finds the control socket: it is opened before that is said. A command that
    /// counts as ready because it was started may be over in a moment, and waits for no socket.
    pub(super) fn open_control_for_ready(&mut self) {
        let may_be_short = |ready: &Ready| matches!(ready, Ready::Auto | Ready::Started | Ready::Exited);
        let is_short = self.settings.single_command && may_be_short(&self.settings.services[0].ready);
        if self.control.opens.is_some()
            && (!is_short || self.manager.is_there())
            && self.fleet.wanted().all(|(_, service)| service.serves())
        {
            self.open_control();
        }
    }

    /// Opens the control socket. One that cannot be opened keeps nothing from running.
    pub(super) fn open_control(&mut self) {
        self.control.opens = None;
        let chosen = match &self.control.place {
            ControlPlace::Off => return,
            ControlPlace::At(path) => Some(place::at(path)),
            ControlPlace::Usual => None,
        };
        let is_chosen = chosen.is_some();
        match chosen {
            Some(Ok(held)) => self.control.let_in(held),
            Some(Err(problem)) => warn!(event = "control-failed", "the control socket could not be opened: {problem}"),
            None => {}
        }
        // Beside one that somebody chose, too: a command that knows the name or the folder alone looks there.
        match place::usual(&self.settings.launcher.name) {
            Ok(held) => self.control.let_in(held),
            Err(problem) if is_chosen => {
                debug!(event = "control-failed", "launcher is not found by its name or folder: {problem}");
            }
            Err(problem) => info!(
                event = "control-failed",
                "there is no control socket, so launcher status finds nothing: {problem}"
            ),
        }
    }

    /// Answers what somebody asks.
    pub(super) fn asked(&mut self, asked: Asked) {
        let Asked { request, reply } = asked;
        let answer = match request {
            Request::Livez => Reply::Whole(health::livez()),
            Request::Healthz => Reply::Whole(health::healthz(&self.status(false))),
            Request::Readyz => Reply::Whole(health::readyz(&self.status(false))),
            Request::Metrics => Reply::Whole(metrics::metrics(&self.status(true))),
            Request::Status => Reply::Whole(Answer::json(200, self.status(true).to_json())),
            Request::Page => Reply::Whole(page::page(&self.status(true))),
            Request::Reports => self.reports(),
            Request::LatestReport(service) => self.latest_report(&service),
            Request::Logs { service, lines, follow } => self.logs(&service, lines, follow),
            Request::Attach { service } => self.attach(&service),
            Request::Command { service, verb, wait } => return self.command(&service, verb, wait, reply),
            Request::Reload { wait } => return self.reload(Some((reply, wait))),
            Request::StopAll { wait } => return self.stop_all(wait, reply),
        };
        // Whoever asked may have gone away.
        let _ = reply.send(answer);
    }

    /// How everything stands. `whole` is with what has to be looked for in every process.
    fn status(&mut self, whole: bool) -> Status {
        self.complete_about();
        let control = &self.control;
        let seen = self.fleet.services().map(|(id, _)| seen(&self.slots[id.0], whole)).collect();
        Status::of(clock::now(), control.began, &control.about, &self.fleet, &control.ledger, seen)
    }

    /// What no start has to wait for.
    fn complete_about(&mut self) {
        let about = &mut self.control.about;
        if !about.version.is_empty() {
            return;
        }
        let running = clock::now().since(self.control.began);
        about.version = env!("CARGO_PKG_VERSION").to_owned();
        about.pid = std::process::id();
        about.started = log::utc_before(running);
        let folder = self.settings.launcher.folder.clone().or_else(|| std::env::current_dir().ok());
        about.folder = folder.map(|folder| folder.display().to_string()).unwrap_or_default();
        let reports = std::path::absolute(self.store.root());
        about.report_dir = reports.map(|folder| folder.display().to_string()).unwrap_or_default();
    }

    /// The services that have reports, and where the newest of each is.
    fn reports(&self) -> Reply {
        let store = self.store.clone();
        Reply::OnThread(Box::new(move || match store.services() {
            Ok(names) => {
                let report =
                    |name: &String| serde_json::json!({ "service": name, "latest": format!("/reports/{name}/latest") });
                let all: Vec<_> = names.iter().map(report).collect();
                Answer::json(200, format!("{:#}\n", serde_json::json!({ "reports": all })))
            }
            Err(problem) => Answer::text(500, format!("the reports cannot be listed: {problem}\n")),
        }))
    }

    fn latest_report(&self, service: &str) -> Reply {
        let path = self.store.latest(service);
        let service = service.to_owned();
        Reply::OnThread(Box::new(move || match reports::read(&path) {
            Ok(text) => Answer::json(200, text),
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => {
                Answer::text(404, format!("there is no report of {service}\n"))
            }
            Err(problem) => Answer::text(500, format!("the report of {service} cannot be read: {problem}\n")),
        }))
    }

    fn logs(&self, service: &str, lines: Option<usize>, follow: bool) -> Reply {
        let Some(slot) = self.fleet.find(service).map(|id| &self.slots[id.0]) else {
            return Reply::Whole(Answer::text(404, format!("there is no service {service}\n")));
        };
        if !slot.output.is_seen() {
            let text = format!("what {service} writes goes to launcher's own terminal, and nothing of it is kept\n");
            return Reply::Whole(Answer::text(409, text));
        }
        let memory = slot.output.memory();
        let begin = memory.last(lines.unwrap_or(LINES));
        match follow {
            true => Reply::Follow { memory, begin },
            false => Reply::Whole(Answer::text(200, log_text(&begin))),
        }
    }
}

/// The exit code with which the launcher would tell what a report tells (DESIGN §2).
fn exit_code(report: &Report) -> i32 {
    match (report.kind, report.exit.code, report.exit.signal) {
        (Occasion::Requirement, ..) => code::REQUIREMENT,
        (Occasion::Preflight, ..) => code::PREFLIGHT,
        (Occasion::ExecFailed, ..) => code::NOT_EXECUTABLE,
        (Occasion::StartTimeout | Occasion::Watchdog, ..) => code::DEADLINE,
        (_, Some(code), _) => code,
        (_, None, Some(signal)) => Ending::Signal(signal).exit_code(),
        (_, None, None) => code::INTERNAL,
    }
}

/// What is to be looked at of one service.
fn seen(slot: &Slot, whole: bool) -> Seen {
    let pids = slot.lives().flat_map(|live| live.keeper.members()).collect::<Vec<_>>();
    let listens = |listen: &Listen| {
        let all = sock_diag::listening(std::slice::from_ref(listen), || pids.clone());
        all.first().is_some_and(|listening| *listening)
    };
    let port = |(name, listen, held): (&str, &Listen, bool)| PortStatus {
        name: name.to_owned(),
        listen: listen.to_string(),
        listening: held || listens(listen),
    };
    let ports = slot.ports.shown().map(port).collect();
    let memory = whole.then(|| pids.iter().filter_map(|pid| own_memory(*pid)).sum()).filter(|_| !pids.is_empty());
    Seen { processes: pids.len(), memory, ports }
}

/// Memory that a process shares with nobody, in bytes (`RssAnon` of `proc_pid_status(5)`, in KiB).
fn own_memory(pid: i32) -> Option<u64> {
    let field = procfs::status_field(pid, "RssAnon")?;
    field.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
