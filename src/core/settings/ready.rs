//! How a service is known to be ready (DESIGN §6).

use std::path::PathBuf;
use std::time::Duration;

use ::core::net::SocketAddr;

use crate::core::config::expand;
use crate::core::config::value::ValueError;
use crate::core::requirement::Target;
use crate::core::requirement::http::HttpExpectation;

/// How a service is known to be ready.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ready {
    /// READY=1 if the child sends it, else every declared port in LISTEN, else started.
    #[default]
    Auto,
    /// READY=1 on the notify socket.
    Notify,
    /// Every declared port in LISTEN by a process of this service.
    Listen,
    /// A TCP connection to this address succeeds.
    Tcp(SocketAddr),
    /// The program was executed.
    Started,
    /// The program ended with a success code.
    Exited,
    /// The program writes a line to its descriptor of this number, as services of s6 do (`notification-fd`).
    Fd(i32),
    /// A URL is answered as it should be.
    Http(Box<HttpProbe>),
    /// A line of its output matches this regular expression.
    Log(String),
    /// A command ends with code 0.
    Exec(Box<ExecProbe>),
}

/// The descriptor that `fd` means when no other is named: the first that is not one of the standard ones.
pub const READY_FD: i32 = 3;

/// `ready.http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// As it was written: `{port.NAME}` stands for the number of a port.
    pub url: String,
    /// What the answer must be.
    pub expected: HttpExpectation,
    /// A file with the certificates of the authorities that are trusted; those of the system when absent.
    pub ca: Option<PathBuf>,
    /// How long one try may take.
    pub timeout: Duration,
    /// How long is waited between two tries at most.
    pub interval: Duration,
}

impl HttpProbe {
    /// The defaults for this URL.
    pub fn new(url: String) -> HttpProbe {
        HttpProbe {
            url,
            expected: HttpExpectation::default(),
            ca: None,
            timeout: Duration::from_secs(3),
            interval: Duration::from_millis(250),
        }
    }

    /// What is asked, when the ports have these numbers.
    ///
    /// # Errors
    /// In what way the URL is wrong, or which port it names that has no number.
    pub fn target(&self, port: impl Fn(&str) -> Option<u16>) -> Result<Target, ValueError> {
        let url = expand(self.url.as_ref(), port).map_err(|unknown| ValueError::new(unknown.to_string(), ""))?;
        let mut target = Target::parse(&url.to_string_lossy())?;
        match target.http() {
            Some(request) => request.expected.clone_from(&self.expected),
            None => {
                let hint = "write http://127.0.0.1:8080/readyz; for a connection alone there is tcp";
                return Err(ValueError::new(format!("{:?} is not the URL of an HTTP server", self.url), hint));
            }
        }
        Ok(target)
    }
}

/// `ready.exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecProbe {
    /// The program and its arguments; never empty. `{port.NAME}` stands for the number of a port.
    pub command: Vec<String>,
    /// How long one try may take.
    pub timeout: Duration,
    /// How long is waited between two tries at most.
    pub interval: Duration,
}

impl ExecProbe {
    /// The defaults for this command.
    pub fn new(command: Vec<String>) -> ExecProbe {
        ExecProbe { command, timeout: Duration::from_secs(10), interval: Duration::from_secs(1) }
    }
}

impl Ready {
    /// The texts in it that may have a `{port.NAME}`.
    pub fn texts(&self) -> &[String] {
        match self {
            Ready::Http(probe) => std::slice::from_ref(&probe.url),
            Ready::Exec(probe) => &probe.command,
            _ => &[],
        }
    }
}
