//! Signals by number and name (`signal(7)`), and sets of them.

use std::fmt;
use std::str::FromStr;

/// A signal number, 1 to 64 (`signal(7)`; the numbers are those of x86_64 and aarch64 Linux).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// Names of the standard signals; the index is the number less one.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// The first real-time signal that programs may use with glibc (`SIGRTMIN`).
const RTMIN: u8 = 34;
/// The last signal (`SIGRTMAX`).
const RTMAX: u8 = 64;

#[allow(missing_docs)]
impl Signal {
    pub const HUP: Signal = Signal(1);
    pub const INT: Signal = Signal(2);
    pub const QUIT: Signal = Signal(3);
    pub const ABRT: Signal = Signal(6);
    pub const KILL: Signal = Signal(9);
    pub const USR1: Signal = Signal(10);
    pub const SEGV: Signal = Signal(11);
    pub const USR2: Signal = Signal(12);
    pub const PIPE: Signal = Signal(13);
    pub const TERM: Signal = Signal(15);
    pub const CHLD: Signal = Signal(17);
    pub const CONT: Signal = Signal(18);
    pub const STOP: Signal = Signal(19);
    pub const TSTP: Signal = Signal(20);
    pub const TTIN: Signal = Signal(21);
    pub const TTOU: Signal = Signal(22);
    pub const WINCH: Signal = Signal(28);
}

impl Signal {
    /// The signal with this number, if 1 to 64.
    pub fn from_number(number: i32) -> Option<Signal> {
        u8::try_from(number).ok().filter(|n| (1..=RTMAX).contains(n)).map(Signal)
    }

    /// Its number.
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// Its name without `SIG`: `TERM`, `RTMIN+3`.
    pub fn name(self) -> String {
        match NAMES.get(usize::from(self.0) - 1) {
            Some(name) => (*name).to_owned(),
            None if self.0 == RTMIN => "RTMIN".to_owned(),
            None if self.0 == RTMAX => "RTMAX".to_owned(),
            None if self.0 > RTMIN => format!("RTMIN+{}", self.0 - RTMIN),
            None => self.0.to_string(),
        }
    }

    /// Whether it asks a program to end: INT, TERM or QUIT (DESIGN §7).
    pub fn is_stop_request(self) -> bool {
        matches!(self, Signal::INT | Signal::TERM | Signal::QUIT)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if usize::from(self.0) <= NAMES.len() || self.0 >= RTMIN {
            write!(f, "SIG{}", self.name())
        } else {
            write!(f, "signal {}", self.0)
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Signal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Signal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Signal, D::Error> {
        let name = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchSignal(pub String);

impl fmt::Display for NoSuchSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no signal is called {:?}: use a name such as TERM or SIGHUP, or a number from 1 to 64", self.0)
    }
}

impl std::error::Error for NoSuchSignal {}

impl FromStr for Signal {
    type Err = NoSuchSignal;

    /// Takes `TERM`, `SIGTERM`, `term`, `15`, `RTMIN+3` and `RTMAX-1`.
    fn from_str(text: &str) -> Result<Signal, NoSuchSignal> {
        let wrong = || NoSuchSignal(text.to_owned());
        if let Ok(number) = text.parse::<i32>() {
            return Signal::from_number(number).ok_or_else(wrong);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(index) = NAMES.iter().position(|known| *known == name) {
            return Signal::from_number(index as i32 + 1).ok_or_else(wrong);
        }
        let offset = |digits: &str| if digits.is_empty() { Some(0) } else { digits[1..].parse::<u8>().ok() };
        let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
            (Some(rest), _) if rest.is_empty() || rest.starts_with('+') => {
                offset(rest).and_then(|n| RTMIN.checked_add(n))
            }
            (_, Some(rest)) if rest.is_empty() || rest.starts_with('-') => {
                offset(rest).and_then(|n| RTMAX.checked_sub(n))
            }
            _ => None,
        };
        number.filter(|n| (RTMIN..=RTMAX).contains(n)).map(Signal).ok_or_else(wrong)
    }
}

/// A set of signals, as the kernel writes one in `SigCgt:` of `/proc/PID/status` (bit 0 is signal 1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// Whether the signal is in the set.
    pub fn contains(self, signal: Signal) -> bool {
        self.0 & (1 << (signal.0 - 1)) != 0
    }

    /// The set with this signal in it.
    #[must_use]
    pub fn with(self, signal: Signal) -> SignalSet {
        SignalSet(self.0 | (1 << (signal.0 - 1)))
    }

    /// The set with this signal not in it.
    #[must_use]
    pub fn without(self, signal: Signal) -> SignalSet {
        SignalSet(self.0 & !(1 << (signal.0 - 1)))
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> SignalSet {
        signals.into_iter().fold(SignalSet::default(), SignalSet::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_by_its_name() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.name().parse(), Ok(signal), "{number}");
        }
    }

    #[test]
    fn takes_the_forms_people_write() {
        for text in ["TERM", "SIGTERM", "sigterm", "term", "15"] {
            assert_eq!(text.parse(), Ok(Signal::TERM), "{text}");
        }
        assert_eq!("RTMIN+3".parse(), Ok(Signal(37)));
        assert_eq!("RTMAX-1".parse(), Ok(Signal(63)));
    }

    #[test]
    fn refuses_what_is_no_signal() {
        for text in ["", "0", "65", "-1", "TREM", "RTMIN-1", "RTMIN+31", "RTMAX-31", "RTMIN+", "RTMINX", "RTMIN+é"] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
    }
}
