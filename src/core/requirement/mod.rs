//! Requirements: what must answer before a service is started, and how it is known to answer.
//!
//! - [`target`]: what a URL stands for;
//! - [`vigil`]: when each is tried, until when, and what is said meanwhile;
//! - [`dialogue`] and a file for each protocol: the first bytes that are sent, and what the answer means;
//! - [`dns`]: names to addresses, since the program is static and has no NSS;
//! - [`words`]: what is said to a person.
//!
//! None of it opens a socket: `src/run/require` does, and hands over the bytes.

pub mod amqp;
pub mod dialogue;
pub mod dns;
pub mod grpc;
pub mod http;
pub mod kafka;
pub mod mysql;
pub mod postgres;
pub mod redis;
pub mod target;
pub mod vigil;
pub mod words;

pub use dialogue::{Dialogue, Turn};
pub use target::{Place, Protocol, Stream, Target, What};
pub use vigil::{News, Order, Standing, Vigil};
