//! From the text of one value to the value: the same for a key of launcher.toml and for a flag, so that both take the
//! same and refuse it in the same words.

use std::time::Duration;

use super::suggest;
use crate::core::fleet::Percent;
use crate::core::settings::{
    Backoff, ControlPlace, HoldUntil, Jitter, Listen, LogFormat, LogLevel, NotifyAccess, NotifyPlace, OnFailure,
    OnOpen, OnTimeout, PortMode, RestartPolicy, SignalHoldUntil, SignalTarget, TakeOver, Until,
};
use crate::core::signal::Signal;
use crate::core::units;

/// A value that is wrong: in what way, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError {
    /// In what way.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl ValueError {
    /// A wrong value, and what to write instead.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> ValueError {
        ValueError { message: message.into(), hint: hint.into() }
    }

    /// The same, of what was named to the person: a flag with its text, or a file.
    #[must_use]
    pub fn about(self, what: &str) -> ValueError {
        ValueError { message: format!("{what}: {}", self.message), ..self }
    }
}

impl From<units::UnitError> for ValueError {
    fn from(error: units::UnitError) -> ValueError {
        ValueError { message: error.message, hint: error.hint }
    }
}

/// A duration; zero is one.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    Ok(units::parse_duration(text)?)
}

/// A duration longer than zero.
pub fn positive_duration(text: &str) -> Result<Duration, ValueError> {
    match duration_or_zero(text)? {
        Duration::ZERO => Err(ValueError::new("this must be longer than zero", "write 30s")),
        duration => Ok(duration),
    }
}

/// A duration where zero is refused: without a unit, too, as to give it one would be of no use.
fn duration_or_zero(text: &str) -> Result<Duration, ValueError> {
    let zero = text.contains('0') && text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if zero { Ok(Duration::ZERO) } else { duration(text) }
}

/// How long a start may take in all while it gets on: `off`, or a time.
pub fn extension(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == "off" { Ok(None) } else { duration_or_zero(text).map(Some) }
}

/// Refuses a longest start that the start deadline would not let come about.
pub fn beyond(most: Duration, start_timeout: Duration) -> Result<Duration, ValueError> {
    if most > start_timeout {
        return Ok(most);
    }
    let limit = units::exact_duration(start_timeout);
    Err(ValueError::new(
        format!("this is not longer than start_timeout ({limit}), so the deadline would never move"),
        "write how long the start may take in all, or \"off\"",
    ))
}

/// The period of a watchdog: `off`, or longer than zero.
pub fn watchdog(text: &str) -> Result<Option<Duration>, ValueError> {
    match extension(text)? {
        Some(Duration::ZERO) => Err(ValueError::new("a watchdog's period must be longer than zero", "write \"off\"")),
        period => Ok(period),
    }
}

/// A signal by name (`TERM`, `SIGTERM`) or number.
pub fn signal(text: &str) -> Result<Signal, ValueError> {
    text.parse().map_err(|_| {
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let names: Vec<String> = (1..=31).filter_map(Signal::from_number).map(Signal::name).collect();
        let message = match suggest::closest(bare, names.iter().map(String::as_str)) {
            Some(name) => format!("unknown signal {text:?}, did you mean {name:?}?"),
            None => format!("unknown signal {text:?}"),
        };
        ValueError::new(message, "write a name such as TERM or HUP, or a number from 1 to 64")
    })
}

/// A signal that can be kept back or rewritten: not one that the kernel, or launcher itself, needs.
pub fn caught_signal(text: &str) -> Result<Signal, ValueError> {
    let signal = signal(text)?;
    match signal {
        Signal::KILL | Signal::STOP => Err(ValueError::new(
            format!("{signal} cannot be caught by any program"),
            "leave it out: it always acts at once",
        )),
        // `signal(7)`: 17 is SIGCHLD on the architectures launcher runs on.
        _ if signal.number() == 17 => Err(ValueError::new(
            format!("{signal} is how launcher learns that a process ended"),
            "leave it out: it is never passed on",
        )),
        _ => Ok(signal),
    }
}

/// One of a few words.
fn choice<T: Copy, const N: usize>(what: &str, text: &str, choices: [(&'static str, T); N]) -> Result<T, ValueError> {
    choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names = choices.map(|(name, _)| name);
        ValueError::new(suggest::unknown(what, text, names), format!("one of {}", names.join(", ")))
    })
}

/// `check`, `reserve`, `pass`, `share`, `capture` or `adopt`.
pub fn port_mode(text: &str) -> Result<PortMode, ValueError> {
    choice("mode", text, PortMode::NAMES)
}

/// The part of a canary: `10%`, or `10`.
pub fn percent(text: &str) -> Result<Percent, ValueError> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    let number = if digits.starts_with('+') { None } else { digits.parse().ok() };
    number.and_then(Percent::new).ok_or_else(|| {
        ValueError::new(
            format!("a canary cannot get {text:?} of new connections"),
            "write a whole number from 1% to 99%; launcher restart without --canary gives all to the new generation",
        )
    })
}

/// Whether a port in this mode may be at this address.
pub fn mode_fits(mode: PortMode, listen: &Listen) -> Result<(), ValueError> {
    match (mode, listen) {
        (PortMode::Adopt | PortMode::Capture, Listen::Unix(_)) => Err(ValueError::new(
            "a Unix socket cannot be adopted or captured: its file is made by the bind itself",
            "write mode = \"pass\" for a program that knows LISTEN_FDS, or leave the mode out",
        )),
        (PortMode::Share, Listen::Unix(_)) => Err(ValueError::new(
            "a Unix socket cannot be shared: two processes cannot bind one path",
            "write mode = \"pass\" for a program that knows LISTEN_FDS, or leave the mode out",
        )),
        (PortMode::Capture, Listen::Udp(_)) => Err(ValueError::new(
            "a UDP socket never listens, so there is no moment at which it could be captured",
            "write mode = \"adopt\", or leave the mode out",
        )),
        _ => Ok(()),
    }
}

/// Until when a reserved port is held.
pub fn port_until(text: &str) -> Result<HoldUntil, ValueError> {
    choice("moment", text, [("exec", HoldUntil::Exec), ("ready", HoldUntil::Ready)])
}

/// Whose processes are ended for a port.
pub fn take_over(text: &str) -> Result<TakeOver, ValueError> {
    choice("owner", text, [("own", TakeOver::Own), ("any", TakeOver::Any)])
}

/// Until when signals are kept back.
pub fn hold_until(text: &str) -> Result<SignalHoldUntil, ValueError> {
    choice("moment", text, [("ready", SignalHoldUntil::Ready), ("handled", SignalHoldUntil::Handled)])
}

/// What is sent in place of a signal: another, or nothing for `none`. A stop request is none of those that can be dropped.
pub fn rewritten(from: Option<Signal>, text: &str) -> Result<Option<Signal>, ValueError> {
    match (text, from) {
        ("none", Some(from)) if from.is_stop_request() => Err(ValueError::new(
            format!("{from} asks launcher to stop, so the service has to hear of it"),
            "write the signal by which it is to stop; only what is no stop request can be dropped",
        )),
        ("none", _) => Ok(None),
        _ => signal(text).map(Some),
    }
}

/// `TERM=QUIT`, a signal that arrives and what is sent in its place.
pub fn rewrite(text: &str) -> Result<(Signal, Option<Signal>), ValueError> {
    let hint = "write FROM=TO: TERM=QUIT, or HUP=none to drop one";
    let pair = text.split_once('=');
    let (from, to) = pair.ok_or_else(|| ValueError::new(format!("{text:?} are not two signals"), hint))?;
    let from = caught_signal(from)?;
    Ok((from, rewritten(Some(from), to)?))
}

/// To whom signals are sent.
pub fn signal_target(text: &str) -> Result<SignalTarget, ValueError> {
    choice("target", text, SignalTarget::NAMES)
}

/// Until when another service is waited for.
pub fn until(text: &str) -> Result<Until, ValueError> {
    choice("moment", text, [("ready", Until::Ready), ("exited", Until::Exited)])
}

/// What happens to others when a service has failed for good.
pub fn on_failure(text: &str) -> Result<OnFailure, ValueError> {
    choice("on_failure", text, OnFailure::NAMES)
}

/// What happens when the start deadline is missed.
pub fn on_timeout(text: &str) -> Result<OnTimeout, ValueError> {
    choice("on_timeout", text, [("restart", OnTimeout::Restart), ("exit", OnTimeout::Exit)])
}

/// After which endings a service is started again.
pub fn restart_policy(text: &str) -> Result<RestartPolicy, ValueError> {
    choice(
        "restart policy",
        text,
        [("never", RestartPolicy::Never), ("on-failure", RestartPolicy::OnFailure), ("always", RestartPolicy::Always)],
    )
}

/// How much of a backoff is left to chance.
pub fn jitter(text: &str) -> Result<Jitter, ValueError> {
    choice("jitter", text, [("full", Jitter::Full), ("equal", Jitter::Equal), ("none", Jitter::None)])
}

/// What an opened breaker means.
pub fn on_open(text: &str) -> Result<OnOpen, ValueError> {
    choice("on_open", text, [("cooldown", OnOpen::Cooldown), ("exit", OnOpen::Exit)])
}

/// Whose messages on the notify socket are heard.
pub fn notify_access(text: &str) -> Result<NotifyAccess, ValueError> {
    choice("notify access", text, NotifyAccess::NAMES)
}

/// Where the notify socket is: `auto`, `abstract`, or a path.
pub fn notify_socket(text: &str) -> Result<NotifyPlace, ValueError> {
    match text {
        "auto" => Ok(NotifyPlace::Usual),
        "abstract" => Ok(NotifyPlace::Abstract),
        _ if text.starts_with('@') => Err(ValueError::new(
            "a name in the abstract namespace is chosen anew for every start",
            "write \"abstract\", or a path",
        )),
        // `unix(7)`: sun_path has 108 bytes, a NUL at its end among them.
        _ if text.len() > 107 => Err(ValueError::new("no socket can have so long a path", "write at most 107 bytes")),
        _ => not_empty(text).map(|path| NotifyPlace::At(path.into())),
    }
}

/// Where the control socket is: a path, or `off`.
pub fn control(text: &str) -> Result<ControlPlace, ValueError> {
    match text {
        "off" => Ok(ControlPlace::Off),
        _ if text.starts_with('@') => Err(ValueError::new(
            "a name in the abstract namespace is open to every user",
            "write a path, or \"off\"; ./@name for a file of that name",
        )),
        _ if text.len() > 107 => Err(ValueError::new("no socket can have so long a path", "write at most 107 bytes")),
        _ => not_empty(text).map(|path| ControlPlace::At(path.into())),
    }
}

/// How the launcher writes its own lines.
pub fn log_format(text: &str) -> Result<LogFormat, ValueError> {
    choice("log format", text, [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)])
}

/// From which level on it writes them.
pub fn log_level(text: &str) -> Result<LogLevel, ValueError> {
    choice(
        "log level",
        text,
        [
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ],
    )
}

/// Text that may stand where a name or a path is asked for: anything but nothing.
pub fn not_empty(text: &str) -> Result<String, ValueError> {
    match text {
        "" => Err(ValueError::new("this is empty", "write something, or leave the key out")),
        _ => Ok(text.to_owned()),
    }
}

/// The name of a service or of the launcher: it is part of file names, of log lines and of commands.
pub fn name(text: &str) -> Result<String, ValueError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    let message = match text {
        "" => "a name is not empty".to_owned(),
        _ if text.len() > 64 => "a name has at most 64 characters".to_owned(),
        _ if !text.chars().all(fits) || text.starts_with(['.', '-']) => format!("{text:?} cannot be a name"),
        _ if text.bytes().all(|b| b.is_ascii_digit()) => format!("{text:?} cannot be a name: it reads as a process id"),
        _ => return Ok(text.to_owned()),
    };
    Err(ValueError::new(message, "use letters, digits, '-', '_', '.' and '@', the first no '.' or '-'"))
}

/// What is left of any text when it is to be a name: for a name that nobody chose, such as a command's file name.
pub fn name_from(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    let plain: String = text.chars().take(64).map(|c| if fits(c) { c } else { '-' }).collect();
    let plain = plain.trim_matches(['-', '.']);
    match name(plain) {
        Ok(name) => name,
        Err(_) if plain.is_empty() => "service".to_owned(),
        // Only digits: a pid to `launcher dump`.
        Err(_) => format!("_{}", &plain[..plain.len().min(63)]),
    }
}

/// The name of a port: it is part of `PORT_<NAME>` and of LISTEN_FDNAMES, where a colon separates.
pub fn port_name(text: &str) -> Result<String, ValueError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err(ValueError::new(
        format!("{text:?} cannot be the name of a port"),
        "use letters, digits, '-' and '_', at most 64",
    ))
}

/// The variable a port's number is passed in: `PORT_HTTP` for `http`.
pub fn port_variable(name: &str) -> String {
    format!("PORT_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// `INITIAL..MAX`, as `--backoff` takes it.
pub fn backoff_range(text: &str) -> Result<(Duration, Duration), ValueError> {
    let (initial, max) = text
        .split_once("..")
        .ok_or_else(|| ValueError::new(format!("{text:?} is not a backoff"), "write INITIAL..MAX: 200ms..30s"))?;
    Ok((duration(initial)?, duration(max)?))
}

/// How many failed generations in a row are enough; `None`, written 0, is never.
pub fn max_failures(text: &str) -> Result<Option<u32>, ValueError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse().ok().filter(|_| digits) {
        Some(0) => Ok(None),
        Some(failures) => Ok(Some(failures)),
        None => {
            Err(ValueError::new(format!("{text:?} is not a number of failures"), "write a whole number, 0 for never"))
        }
    }
}

/// An exit code, 0 to 255.
pub fn exit_code(text: &str) -> Result<u8, ValueError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let code = text.parse().ok().filter(|_| digits);
    code.ok_or_else(|| ValueError::new(format!("{text:?} is not an exit code"), "write a number from 0 to 255"))
}

/// `FROM=TO`, as `--map-exit` takes it.
pub fn exit_pair(text: &str) -> Result<(u8, u8), ValueError> {
    let hint = "write FROM=TO: 143=0 ends launcher with 0 where the program has ended with 143";
    let pair = text.split_once('=');
    let (from, to) = pair.ok_or_else(|| ValueError::new(format!("{text:?} are not two exit codes"), hint))?;
    Ok((exit_code(from)?, exit_code(to)?))
}

/// Refuses a backoff that contradicts itself; the error is about its `max`.
pub fn check_backoff(backoff: &Backoff) -> Result<(), ValueError> {
    if backoff.max >= backoff.initial {
        return Ok(());
    }
    let (initial, max) = (units::exact_duration(backoff.initial), units::exact_duration(backoff.max));
    Err(ValueError::new(
        format!("the longest backoff ({max}) is shorter than the first ({initial})"),
        format!("make max at least {initial}, or initial at most {max}"),
    ))
}

/// Refuses a factor that makes a backoff shorter, or so much longer that it is no backoff.
pub fn check_factor(factor: f64) -> Result<f64, ValueError> {
    if (1.0..=1000.0).contains(&factor) {
        return Ok(factor);
    }
    Err(ValueError::new(
        format!("a backoff cannot change by a factor of {factor}"),
        "write a number from 1.0 (always the same) to 1000.0; 2.0 doubles it each time",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_meant() {
        let message = |error: ValueError| error.message;
        assert_eq!(
            signal("SIGTREM").map_err(message),
            Err("unknown signal \"SIGTREM\", did you mean \"TERM\"?".into())
        );
        assert_eq!(signal("USER1").map_err(message), Err("unknown signal \"USER1\", did you mean \"USR1\"?".into()));
        assert_eq!(port_mode("pas").map_err(message), Err("unknown mode \"pas\", did you mean \"pass\"?".into()));
        assert_eq!(restart_policy("onfailure").map_err(message).unwrap_err().matches("on-failure").count(), 1);
    }

    #[test]
    fn a_canary_gets_a_part() {
        assert_eq!(percent("10%").unwrap().get(), 10);
        assert_eq!((percent("1").unwrap().get(), percent("99%").unwrap().get()), (1, 99));
        for wrong in ["0", "0%", "100%", "101", "-1", "+5", "10.5%", "10%%", "%", "", "256", "ten", " 5"] {
            assert!(percent(wrong).unwrap_err().message.contains(&format!("{wrong:?}")), "{wrong}");
        }
    }

    #[test]
    fn takes_every_word_there_is() {
        assert_eq!(watchdog("off"), Ok(None));
        assert_eq!((extension("off"), extension("5m")), (Ok(None), Ok(Some(Duration::from_secs(300)))));
        assert_eq!(watchdog("10s"), Ok(Some(Duration::from_secs(10))));
        assert!(watchdog("0s").is_err() && positive_duration("0s").is_err() && duration("0s").is_ok());
        assert_eq!(
            (watchdog("0").unwrap_err().hint, positive_duration("0").unwrap_err().hint),
            ("write \"off\"".into(), "write 30s".into())
        );
        assert_eq!(backoff_range("200ms..30s"), Ok((Duration::from_millis(200), Duration::from_secs(30))));
        assert!(backoff_range("200ms").is_err() && backoff_range("1..2").is_err());
    }

    #[test]
    fn names_fit_into_file_names_and_variables() {
        for good in ["api", "web-1", "a.b", "getty@tty1", "7zip"] {
            assert_eq!(name(good).as_deref(), Ok(good));
            assert_eq!(name_from(good), good);
        }
        for bad in ["", ".", "..", "a/b", "-x", "1234", "a b", "é", "a\nb", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad:?}");
            assert!(name(&name_from(bad)).is_ok(), "{bad:?} became {:?}", name_from(bad));
        }
        assert_eq!(name_from("1234"), "_1234");
        assert!(name(&name_from(&"1".repeat(100))).is_ok());
        assert_eq!(port_variable("my-http"), "PORT_MY_HTTP");
        assert!(port_name("a:b").is_err() && port_name("").is_err() && port_name("http").is_ok());
    }

    #[test]
    fn signals_that_cannot_be_held_are_refused() {
        assert!(caught_signal("KILL").is_err() && caught_signal("STOP").is_err() && caught_signal("CHLD").is_err());
        assert_eq!(caught_signal("HUP"), Ok(Signal::HUP));
    }

    #[test]
    fn a_backoff_that_contradicts_itself_is_refused() {
        for factor in [0.5, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(check_factor(factor).is_err(), "{factor}");
        }
        let mut backoff = Backoff::default();
        assert!(check_backoff(&backoff).is_ok());
        backoff.max = Duration::from_millis(1);
        assert!(check_backoff(&backoff).unwrap_err().message.contains("(1ms) is shorter than the first (200ms)"));
    }
}
