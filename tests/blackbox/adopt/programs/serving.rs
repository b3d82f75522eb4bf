//! Answers HTTP on the address of its first argument, on tokio: what axum and hyper do with a socket, and no more. As with
//! axum's graceful shutdown, what was accepted is answered when it is told to stop.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

use std::sync::Arc;

use nix::sys::signal::{SigSet, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut part = [0; 1024];
        match stream.read(&mut part).await? {
            0 => return Ok(()),
            count => request.extend_from_slice(&part[..count]),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n").await
}

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
        let mut begun = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => drop(begun.spawn(answer(accepted.unwrap().0))),
                Some(_) = begun.join_next() => {}
                () = told.notified() => break,
            }
        }
        drop(listener);
        while begun.join_next().await.is_some() {}
    });
}
