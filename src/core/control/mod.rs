//! What is asked of a running launcher, by HTTP on its control socket or its address (DESIGN §9): which request it is,
//! what the answer says, and when what a person asked for has come about.
//!
//! - `route`: from method, path and query to a [`Request`];
//! - `origin`: who may ask at all;
//! - `command`: what is asked of one service, and when it has come about;
//! - `ledger`: what is remembered of the services for those who ask;
//! - `status`: how everything stands at one moment, as data; `waiting`: what a service waits for right now;
//! - `choose`: which of several launchers is meant;
//! - `health`, `metrics`, `page`, `table`: the same for a probe, for Prometheus, for a browser, for a terminal.

pub mod choose;
pub mod command;
pub mod health;
pub mod ledger;
pub mod metrics;
pub mod origin;
pub mod page;
pub mod route;
pub mod status;
pub mod table;
pub mod waiting;

pub use command::{Before, Outcome, Pending, Verb};
pub use ledger::{Finding, Ledger};
pub use route::{Door, Refusal, Request, route};
pub use status::{About, Seen, Status};

/// An answer in HTTP: everything but the lines that every answer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// The methods that the path takes, for 405.
    pub allow: Option<&'static str>,
}

impl Answer {
    /// Lines for a person or a probe.
    pub fn text(code: u16, body: impl Into<String>) -> Answer {
        Answer { code, content_type: "text/plain; charset=utf-8", body: body.into(), allow: None }
    }

    /// JSON.
    pub fn json(code: u16, body: impl Into<String>) -> Answer {
        Answer { code, content_type: "application/json", body: body.into(), allow: None }
    }
}
