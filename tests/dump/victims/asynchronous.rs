//! A tokio program whose tasks wait: for a connection, a channel, a time, a task. The first argument is the runtime, the
//! second the port of a listener that does not answer.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::sleep;

async fn connect_to_the_database(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).await.unwrap() // in connect_to_the_database
}

async fn load_settings(port: u16) -> TcpStream {
    connect_to_the_database(port).await // in load_settings
}

async fn wait_for_a_word(word: oneshot::Receiver<String>) -> usize {
    word.await.unwrap().len() // in wait_for_a_word
}

async fn tick() {
    loop {
        sleep(Duration::from_secs(1000)).await; // in tick
    }
}

async fn answer() -> u64 {
    tokio::task::yield_now().await;
    42
}

/// Three tasks of one kind, one of another, one that is only known as a future, some that have ended, and one whose end is
/// awaited beside those of the first kind.
async fn serve(port: u16) {
    let channels: Vec<_> = (0..3).map(|_| oneshot::channel()).collect();
    let (_speakers, words): (Vec<_>, Vec<_>) = channels.into_iter().unzip();
    let settings = tokio::spawn(load_settings(port));
    let mut listeners: Vec<_> = words.into_iter().map(|word| tokio::spawn(wait_for_a_word(word))).collect();
    tokio::spawn(tick());
    let boxed: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(std::future::pending());
    tokio::spawn(boxed);
    let _kept: Vec<_> = (0..4).map(|_| tokio::spawn(answer())).collect();
    for _ in 0..4 {
        tokio::spawn(answer()).await.unwrap();
    }
    println!("ready");
    let _ = tokio::join!(settings, listeners.remove(0));
}

/// The same, without a thread of their own.
async fn serve_locally() {
    let (_speaker, word) = oneshot::channel();
    let task = tokio::task::spawn_local(wait_for_a_word(word));
    tokio::task::yield_now().await;
    println!("ready");
    let _ = task.await;
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let port = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let mut builder = match kind.as_str() {
        "multi" => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    match kind.as_str() {
        "local" => tokio::task::LocalSet::new().block_on(&runtime, serve_locally()),
        _ => runtime.block_on(serve(port)),
    }
}
