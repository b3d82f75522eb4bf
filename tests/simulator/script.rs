//! What is left to chance in a run: how services are set, and how their generations behave.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use launcher::core::exit::Ending;
use launcher::core::facts::{ExecFailure, ExecProblem, PortFailure, PortProblem, Refusal};
use launcher::core::notify::{Message, WatchdogPing};
use launcher::core::requirement::Target;
use launcher::core::settings::*;
use launcher::core::signal::{Signal, SignalSet};

use crate::random::Random;

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Signals that may arrive.
pub const SIGNALS: [Signal; 6] = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH, Signal::TERM, Signal::QUIT];

fn port(mode: PortMode) -> PortSettings {
    let listen = Listen::Tcp("127.0.0.1:8080".parse().unwrap());
    PortSettings { mode, ..PortSettings::new("http".to_owned(), listen) }
}

fn ready(random: &mut Random) -> Ready {
    match random.below(12) {
        0..=2 => Ready::Auto,
        3..=5 => Ready::Notify,
        6 => Ready::Listen,
        7 => Ready::Tcp("127.0.0.1:1".parse().unwrap()),
        8 => Ready::Started,
        9 => Ready::Fd(3),
        10 => Ready::Log("up".to_owned()),
        _ => Ready::Exited,
    }
}

fn signals(random: &mut Random) -> SignalSettings {
    let usual = vec![Signal::HUP, Signal::INT, Signal::TERM, Signal::QUIT, Signal::USR1, Signal::USR2];
    let pairs = [
        (Signal::TERM, Some(Signal::QUIT)),
        (Signal::HUP, Some(Signal::USR2)),
        (Signal::WINCH, Some(Signal::USR1)),
        (Signal::HUP, None),
    ];
    SignalSettings {
        hold: if random.percent(70) { usual } else { vec![Signal::HUP, Signal::USR1] },
        hold_until: random.pick(&[SignalHoldUntil::Ready, SignalHoldUntil::Ready, SignalHoldUntil::Handled]),
        hold_limit: random.pick(&[ms(0), ms(500), ms(5000)]),
        rewrite: if random.percent(30) { BTreeMap::from([random.pick(&pairs)]) } else { BTreeMap::new() },
        to: SignalTarget::Main,
    }
}

fn restart(random: &mut Random) -> RestartSettings {
    let jitter = random.pick(&[Jitter::Full, Jitter::Equal, Jitter::None]);
    let breaker = random.maybe(40, |random| BreakerSettings {
        failures: 1 + random.below(4) as u32,
        within: random.pick(&[ms(1000), ms(10_000)]),
        cooldown: random.pick(&[ms(500), ms(5000)]),
        on_open: random.pick(&[OnOpen::Cooldown, OnOpen::Cooldown, OnOpen::Exit]),
    });
    RestartSettings {
        policy: random.pick(&[RestartPolicy::Never, RestartPolicy::OnFailure, RestartPolicy::Always]),
        backoff: Backoff { initial: random.pick(&[ms(0), ms(200), ms(200)]), max: ms(3000), factor: 2.0, jitter },
        reset_after: random.pick(&[ms(0), ms(1000), ms(60_000)]),
        success_codes: random.pick(&[vec![0], vec![0, 3]]),
        breaker,
        max_failures: random.pick(&[None, Some(1), Some(3), Some(5)]),
    }
}

fn notify(random: &mut Random) -> NotifySettings {
    let access = random.pick(&[NotifyAccess::All, NotifyAccess::All, NotifyAccess::Main, NotifyAccess::None]);
    NotifySettings { access, fd_store: random.pick(&[0, 64]), ..NotifySettings::default() }
}

fn requirements(random: &mut Random) -> Vec<RequirementSettings> {
    let count = random.pick(&[0, 0, 1, 2]);
    let one = |_| {
        let target = DATABASE.clone();
        let breaker = random.maybe(50, |random| RequirementBreaker {
            failures: 1 + random.below(5) as u32,
            cooldown: random.pick(&[ms(0), ms(300), ms(1000)]),
        });
        let backoff =
            Backoff { initial: random.pick(&[ms(1), ms(100)]), max: ms(500), factor: 2.0, jitter: Jitter::Full };
        let timeout = random.pick(&[ms(300), ms(2000)]);
        RequirementSettings { timeout, try_timeout: ms(200), backoff, breaker, ..RequirementSettings::new(target) }
    };
    (0..count).map(one).collect()
}

/// An entry of `after`.
pub fn wait_for(random: &mut Random, need: usize) -> After {
    After { service: format!("s{need}"), until: random.pick(&[Until::Ready, Until::Ready, Until::Exited]) }
}

/// URLs are parsed once for all runs.
static DATABASE: LazyLock<Target> = LazyLock::new(|| Target::parse("tcp://db:5432").expect("a good URL"));
static FAREWELL: LazyLock<Target> = LazyLock::new(|| Target::parse("http://127.0.0.1:1/quit").expect("a good URL"));

/// A service that is set at random.
pub fn settings(random: &mut Random, name: String, after: Vec<After>) -> ServiceSettings {
    let modes = [
        vec![],
        vec![],
        vec![PortMode::Reserve],
        vec![PortMode::Pass],
        vec![PortMode::Pass, PortMode::Check],
        vec![PortMode::Share],
        vec![PortMode::Pass, PortMode::Share],
    ];
    ServiceSettings {
        name,
        command: vec!["program".into()],
        directory: None,
        environment: BTreeMap::new(),
        environment_files: vec![],
        after,
        on_failure: random.pick(&[OnFailure::StopAll, OnFailure::StopDependents, OnFailure::Keep]),
        user: None,
        process: ProcessSettings::default(),
        ready: ready(random),
        start_timeout: random.pick(&[ms(300), ms(2000), ms(10_000)]),
        extend_while_progressing: random.pick(&[None, None, Some(ms(3000)), Some(ms(20_000))]),
        on_timeout: random.pick(&[OnTimeout::Restart, OnTimeout::Restart, OnTimeout::Exit]),
        stop_signal: random.pick(&[Signal::TERM, Signal::TERM, Signal::QUIT]),
        stop_timeout: random.pick(&[ms(0), ms(500), ms(3000)]),
        send_hup: random.pick(&[None, None, Some(true)]),
        on_stop: random.pick(&[false, true]).then(|| OnStop::new(FAREWELL.clone())),
        reload_signal: Signal::HUP,
        pprof: None,
        log: launcher::core::settings::LogSettings::default(),
        drain_timeout: random.pick(&[ms(0), ms(700), ms(9000)]),
        watchdog: random.pick(&[None, None, Some(ms(700))]),
        notify: notify(random),
        ports: random.pick(&modes).into_iter().map(port).collect(),
        requirements: requirements(random),
        files: vec![],
        required_environment: vec![],
        require_timeout: random.pick(&[None, None, Some(ms(400))]),
        signals: signals(random),
        restart: restart(random),
        interactive: false,
        terminal: false,
        debugged: None,
        watch: WatchSettings::default(),
    }
}

/// The same service set otherwise: in what it takes over as it runs, or in anything. What comes after what stays.
pub fn changed(random: &mut Random, old: &ServiceSettings) -> ServiceSettings {
    let other = settings(random, old.name.clone(), old.after.clone());
    if random.percent(30) {
        let (signals, restart, on_stop) = (other.signals, other.restart, other.on_stop);
        let (stop_timeout, drain_timeout) = (other.stop_timeout, other.drain_timeout);
        return ServiceSettings { signals, restart, on_stop, stop_timeout, drain_timeout, ..old.clone() };
    }
    let ports = if random.percent(70) { old.ports.clone() } else { other.ports };
    let command = vec![format!("program {}", random.below(1000)).into()];
    ServiceSettings { ports, command, ..other }
}

/// How one generation behaves.
pub struct Script {
    pub preflight: (Duration, Option<Refusal>),
    /// Its requirements answer so long after its preflight; never when absent.
    pub requirements: [Option<Duration>; 2],
    pub spawn: (Duration, Option<ExecFailure>),
    /// What its processes say, after the spawn; the flag tells whether it is the main one, another one, or a stranger.
    pub says: Vec<(Duration, u8, Message)>,
    /// Its ports listen so long after they are looked for.
    pub listens: Option<Duration>,
    pub handlers: Vec<(Duration, SignalSet)>,
    /// It visibly gets on so long after it is first looked at for that.
    pub gets_on: Vec<Duration>,
    /// Its main process ends by itself.
    pub ends: Option<(Duration, Ending)>,
    /// Its main process ends on a stop signal; ignores it when absent. Without an ending of its own: by that signal.
    pub stops: Option<(Duration, Option<Ending>)>,
    /// For each further process, how soon it ends on a signal after the main one has gone; never when absent.
    pub rest: Vec<Option<Duration>>,
    /// Its keeper is lost, and everything with it, without a word on how the main process ended.
    pub vanishes: Option<Duration>,
    /// The report is written so long after it is asked for; never when absent.
    pub explains: Option<Duration>,
    /// SIGKILL ends it so soon; late when it hangs in the kernel.
    pub dies: Duration,
}

fn exec_failure() -> ExecFailure {
    ExecFailure { problem: ExecProblem::NotFound, summary: String::new(), advice: vec![], errno: Some(2) }
}

fn refusal(random: &mut Random) -> Refusal {
    if random.percent(50) {
        return Refusal::Exec(exec_failure());
    }
    let port = port(PortMode::Reserve);
    Refusal::Port(PortFailure {
        name: port.name,
        listen: port.listen,
        problem: PortProblem::Taken,
        owner: None,
        errno: Some(98),
        summary: String::new(),
        advice: vec![],
    })
}

pub fn ending(random: &mut Random) -> Ending {
    match random.below(5) {
        0 | 1 => Ending::Code(0),
        2 => Ending::Code(3),
        3 => Ending::Code(1),
        _ => Ending::Signal(random.pick(&[Signal::SEGV, Signal::TERM, Signal::KILL])),
    }
}

/// A message that says one or several things.
pub fn message(random: &mut Random) -> Message {
    let mut message = Message::default();
    for _ in 0..=random.below(2) {
        match random.below(15) {
            0 | 1 => message.ready = true,
            2 => message.reloading = true,
            3 => message.stopping = true,
            4 => message.status = Some(random.pick(&["", "connecting", "serving"]).to_owned()),
            5 => message.attached.main = Some((random.below(4) as i32, random.percent(80))),
            6 | 7 => message.watchdog = Some(WatchdogPing::Alive),
            8 => message.watchdog = Some(WatchdogPing::Trigger),
            9 => message.watchdog_period = Some(random.pick(&[ms(0), ms(500), Duration::MAX])),
            10 => {
                message.store = true;
                message.attached.descriptors = random.below(3) as usize;
            }
            11 => {
                message.unstore = true;
                message.fd_name = random.pick(&[None, Some("stored".to_owned())]);
            }
            12 => message.access = Some(random.pick(&NotifyAccess::NAMES).1),
            _ => message.extend_timeout = Some(random.pick(&[ms(0), ms(1000), ms(4000)])),
        }
    }
    message
}

fn some_handlers(random: &mut Random) -> SignalSet {
    SIGNALS.into_iter().filter(|_| random.percent(50)).collect()
}

/// A generation that behaves at random, well more often than not.
pub fn script(random: &mut Random) -> Script {
    let long = Duration::from_secs(5);
    let mut says = Vec::new();
    if random.percent(70) {
        says.push((random.delay(ms(3000)), 0, Message { ready: true, ..Message::default() }));
    }
    for _ in 0..random.pick(&[0, 0, 1, 4]) {
        says.push((random.delay(long), random.below(3) as u8, message(random)));
    }
    Script {
        preflight: (random.delay(ms(100)), random.maybe(8, refusal)),
        requirements: [(); 2].map(|()| random.maybe(85, |random| random.delay(ms(1000)))),
        spawn: (random.delay(ms(50)), random.maybe(5, |_| exec_failure())),
        says,
        listens: random.maybe(80, |random| random.delay(ms(3000))),
        handlers: (0..random.below(3)).map(|_| (random.delay(ms(1000)), some_handlers(random))).collect(),
        gets_on: (0..random.pick(&[0, 0, 2, 6])).map(|_| random.delay(long)).collect(),
        ends: random.maybe(60, |random| (random.delay(long), ending(random))),
        stops: random.maybe(80, |random| (random.delay(ms(2000)), random.percent(40).then(|| ending(random)))),
        rest: (0..random.pick(&[0, 0, 1, 3])).map(|_| random.maybe(60, |random| random.delay(ms(1500)))).collect(),
        vanishes: random.maybe(3, |random| random.delay(long)),
        explains: random.maybe(95, |random| random.delay(ms(2500))),
        dies: if random.percent(2) { ms(60_000) } else { random.delay(ms(30)) },
    }
}
