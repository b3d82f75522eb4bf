//! Answers HTTP on the address of its first argument, with axum, and shuts down as its documentation shows: requests that
//! have come are answered when it is told to stop.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use nix::sys::signal::{SigSet, Signal};
use tokio::net::TcpListener;
use tokio::sync::Notify;

fn main() {
    let address = std::env::args().nth(1).expect("an address");
    let mut term = SigSet::empty();
    term.add(Signal::SIGTERM);
    // In all threads: one of them waits for it.
    term.thread_block().unwrap();
    let told = Arc::new(Notify::new());
    let tells = told.clone();
    std::thread::spawn(move || {
        term.wait().unwrap();
        tells.notify_one();
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.unwrap();
        let app = Router::new().route("/", get(async || "hello\n"));
        axum::serve(listener, app).with_graceful_shutdown(async move { told.notified().await }).await.unwrap();
    });
}
