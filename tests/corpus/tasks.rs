//! A tokio program that hangs at start, in the way that its first argument says. An example, because it needs a crate.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Mutex, oneshot};

fn peer() -> String {
    std::env::var("CORPUS_PEER").unwrap_or_default()
}

async fn connect_to_database() {
    TcpStream::connect(peer()).await.unwrap();
}

async fn wait_for_settings() {
    let (_sender, settings) = oneshot::channel::<String>();
    settings.await.unwrap();
}

async fn lock_twice() {
    let lock = Arc::new(Mutex::new(0));
    let _first = lock.lock().await;
    let _second = lock.lock().await;
}

async fn wait_for_cache() {
    while TcpStream::connect(peer()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}

async fn read_settings(settings: oneshot::Receiver<String>) -> usize {
    settings.await.unwrap().len()
}

async fn refresh() {
    std::future::pending::<()>().await;
}

/// The main line waits for a task, beside which others wait that nobody does.
async fn spawn_and_wait() {
    let (_sender, settings) = oneshot::channel();
    for _ in 0..3 {
        tokio::spawn(refresh());
    }
    tokio::spawn(read_settings(settings)).await.unwrap();
}

async fn run(kind: String) {
    match kind.as_str() {
        "connect" => connect_to_database().await,
        "channel" => wait_for_settings().await,
        "mutex" => lock_twice().await,
        "spawned" => spawn_and_wait().await,
        _ => wait_for_cache().await,
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let mut builder = match arguments.next().as_deref() {
        Some("multi") => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder.worker_threads(2).enable_all().build().unwrap().block_on(run(kind));
}
