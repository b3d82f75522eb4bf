//! Looking until a service can be seen to be ready, and until it has handlers for its signals.
//!
//! Nothing in the kernel tells when a socket of another process begins to listen, so it is asked: often at first, when
//! most programs become ready, and ever less often after. A line of output and a line on a descriptor are waited for
//! without asking. A ready service is not looked at any more.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::core::net::{IpAddr, SocketAddr};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::core::config::expand;
use crate::core::facts::{ProbeFacts, RequirementProblem, Trouble};
use crate::core::report::mask;
use crate::core::requirement::{Place, Stream, Target, What};
use crate::core::settings::{ExecProbe, HttpProbe, Listen, Ready, RequirementSettings, ServiceSettings};
use crate::core::signal::SignalSet;
use crate::run::require;
use crate::sys::keeper::Keeper;
use crate::sys::{procfs, sock_diag};

/// The first look comes after this.
const SOONEST: Duration = Duration::from_millis(1);
/// Later ones come no further apart than this.
const LATEST: Duration = Duration::from_millis(100);
/// What is more than a look begins with this distance.
const FIRST_TRY: Duration = Duration::from_millis(20);
/// How long a connection to a probed address may take.
const CONNECT: Duration = Duration::from_secs(1);

/// What a generation is to be ready by, where the launcher does not find out by looking at its ports.
pub struct Sign {
    /// What came of it so far, for the report.
    pub facts: Rc<RefCell<ProbeFacts>>,
    kind: Kind,
}

enum Kind {
    /// What the service writes to its descriptor comes out here.
    Line(OwnedFd),
    /// Told when the line of output has come.
    Output(Arc<Notify>),
    Http(Box<HttpProbe>, Target),
    Exec(Box<ExecProbe>, Vec<String>),
}

impl Sign {
    /// What these settings ask for, when the ports have these numbers. `line` is the other end of the descriptor that
    /// the service has for it, `output` is told when the line has come: of the kinds that have these.
    pub fn new(
        ready: &Ready,
        ports: &BTreeMap<&str, u16>,
        line: Option<OwnedFd>,
        output: Option<Arc<Notify>>,
    ) -> Option<Sign> {
        let number = |name: &str| ports.get(name).copied();
        let mut address = None;
        let (wanted, kind) = match ready {
            Ready::Fd(number) => (format!("it writes a line to its descriptor {number}"), Kind::Line(line?)),
            Ready::Log(pattern) => (format!("a line of its output matches \"{pattern}\""), Kind::Output(output?)),
            Ready::Http(probe) => {
                // A placeholder without a number was refused with the settings.
                let target = probe.target(number).ok()?;
                address = address_of(&target);
                (format!("{} is answered", target.shown), Kind::Http(probe.clone(), target))
            }
            Ready::Exec(probe) => {
                let expanded = |word: &String| expand(word.as_ref(), number).unwrap_or_else(|_| word.into());
                let words = probe.command.iter().map(|word| expanded(word).to_string_lossy().into_owned());
                let words: Vec<String> = words.collect();
                (format!("{} ends with code 0", shown(&words)), Kind::Exec(probe.clone(), words))
            }
            _ => return None,
        };
        let facts = Rc::new(RefCell::new(ProbeFacts { wanted, address, ..ProbeFacts::default() }));
        Some(Sign { facts, kind })
    }

    /// Waits until it is there; for ever, when it will not come.
    pub async fn come(self, service: Arc<ServiceSettings>) {
        match self.kind {
            Kind::Line(end) => line(end, &self.facts).await,
            Kind::Output(come) => come.notified().await,
            Kind::Http(probe, target) => {
                let ca = probe.ca.clone();
                let settings = RequirementSettings { ca, ..RequirementSettings::new(target) };
                answered(&settings, service, (probe.timeout, probe.interval), &self.facts).await;
            }
            Kind::Exec(probe, words) => {
                let target = Target { shown: mask::line(&words), what: What::Exec(words) };
                let settings = RequirementSettings::new(target);
                answered(&settings, service, (probe.timeout, probe.interval), &self.facts).await;
            }
        }
    }
}

/// The words of a command, those with blanks in quotes.
fn shown(words: &[String]) -> String {
    let word = |word: &String| match word.is_empty() || word.contains(char::is_whitespace) {
        true => format!("'{word}'"),
        false => word.clone(),
    };
    mask::command(words).iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The address of a server that is named by one.
fn address_of(target: &Target) -> Option<SocketAddr> {
    let What::Stream(Stream { place: Place::Host(host, port), .. }) = &target.what else { return None };
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, *port))
}

/// Waits until a newline was written to the other end. A service that closes it without one will never be ready by it.
async fn line(end: OwnedFd, facts: &RefCell<ProbeFacts>) {
    let mut buffer = [0; 512];
    let problem = match Receiver::from_owned_fd(end) {
        Ok(mut end) => loop {
            match end.read(&mut buffer).await {
                Ok(0) => break "it has closed that without a line".to_owned(),
                Ok(length) if buffer[..length].contains(&b'\n') => return,
                Ok(_) => {}
                Err(problem) => break problem.to_string(),
            }
        },
        Err(problem) => problem.to_string(),
    };
    facts.borrow_mut().last_error = Some(problem);
    std::future::pending().await
}

/// Tries until it succeeds.
async fn answered(
    settings: &RequirementSettings,
    service: Arc<ServiceSettings>,
    (limit, interval): (Duration, Duration),
    facts: &RefCell<ProbeFacts>,
) {
    let mut pause = FIRST_TRY.min(interval);
    loop {
        let outcome = require::attempt(settings.clone(), Some(service.clone()), limit).await;
        let Err(Trouble { problem, message }) = outcome else { return };
        {
            let mut facts = facts.borrow_mut();
            facts.tries = facts.tries.saturating_add(1);
            facts.answered = problem == RequirementProblem::Answer;
            facts.last_error = Some(message);
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(interval);
    }
}

/// Looks until the answer is yes.
async fn until<F: Future<Output = bool>>(mut look: impl FnMut() -> F) {
    let mut pause = SOONEST;
    while !look().await {
        sleep(pause).await;
        pause = (pause + pause / 4 + Duration::from_micros(500)).min(LATEST);
    }
}

/// Waits until a process below the keeper listens on every one of the addresses.
pub async fn listening(keeper: Rc<Keeper>, listens: Vec<Listen>) {
    until(|| {
        let all = sock_diag::listening(&listens, || keeper.members()).into_iter().all(|listening| listening);
        std::future::ready(all)
    })
    .await;
}

/// Waits until a process below the keeper listens on one of the addresses.
pub async fn listening_anywhere(keeper: Rc<Keeper>, listens: Vec<Listen>) {
    until(|| {
        let any = sock_diag::listening(&listens, || keeper.members()).into_iter().any(|listening| listening);
        std::future::ready(any)
    })
    .await;
}

/// Waits until a TCP connection to the address succeeds.
pub async fn connected(address: SocketAddr) {
    until(|| async move { matches!(timeout(CONNECT, TcpStream::connect(address)).await, Ok(Ok(_))) }).await;
}

/// Calls `seen` with the signals that the process has handlers for, now and whenever they change, until it is gone.
pub async fn handlers(pid: i32, mut seen: impl FnMut(SignalSet)) {
    let mut last = None;
    let mut pause = SOONEST;
    while let Some(caught) = procfs::caught_signals(pid) {
        if last != Some(caught) {
            last = Some(caught);
            seen(caught);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LATEST);
    }
}
