//! What decides. Nothing in here does I/O, reads a clock or draws a random number: time comes in as
//! [`Moment`](time::Moment), randomness as a seed, and what is to be done goes out as data.

pub mod config;
pub mod diagnosis;
pub mod errno;
pub mod exec_words;
pub mod exit;
pub mod facts;
pub mod fleet;
pub mod listen;
pub mod notify;
pub mod port_words;
pub mod report;
pub mod service;
pub mod settings;
pub mod signal;
pub mod time;
pub mod units;
