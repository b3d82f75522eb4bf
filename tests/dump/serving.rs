//! A service that is dumped while it serves loses nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use launcher::sys::dump;

use crate::victim::{Victim, options};

/// Connections at the same time, and requests on each at least: 1000 a second when there is a CPU for them.
const CLIENTS: u64 = 4;
const REQUESTS: u64 = 750;
const EVERY: Duration = Duration::from_millis(4);
/// The service is asked until so many dumps are done, however slow the machine is.
const DUMPS: u64 = 10;

/// Sends the requests, one after the other at their times, and checks each answer. Gives how many there were.
fn client(port: u16, number: u64, dumps: &AtomicU64) -> u64 {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_nodelay(true).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let begun = Instant::now();
    let mut request = 0;
    while request < REQUESTS || dumps.load(Ordering::Relaxed) < DUMPS {
        let sent = (number << 32 | request).to_le_bytes();
        connection.write_all(&sent).unwrap();
        let mut answer = [0; 8];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(answer, sent);
        request += 1;
        std::thread::sleep((EVERY * request as u32).saturating_sub(begun.elapsed()));
    }
    request
}

#[test]
fn a_service_that_is_dumped_ten_times_a_second_loses_no_request() {
    let mut victim = Victim::start("server.c", &["-g", "-O1"]).ready(2);
    let port: u16 = victim.line().parse().unwrap();
    let pid = victim.pid();
    let (done, dumps) = (AtomicBool::new(false), AtomicU64::new(0));
    let answered: u64 = std::thread::scope(|scope| {
        let dumper = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let process = dump::dump(&[pid], &options()).remove(0);
                assert!(process.threads.len() >= 2 && process.dump_error.is_none(), "{:?}", process.dump_error);
                dumps.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(100).saturating_sub(begun.elapsed()));
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let dumps = &dumps;
                    move || client(port, number, dumps)
                })
            })
            .collect();
        let answered = clients.into_iter().map(|client| client.join().unwrap()).sum();
        done.store(true, Ordering::Relaxed);
        dumper.join().unwrap();
        answered
    });
    let dumps = dumps.into_inner();
    victim.tell("how many");
    let line = victim.line();
    println!("{answered} requests answered during {dumps} dumps; the server counts (served, interrupted) {line}");
    let (served, interrupted) = line.split_once(' ').unwrap();
    assert_eq!(served.parse(), Ok(answered));
    // Only a thread that was just running can be met on its way into a wait.
    assert!(interrupted.parse::<u64>().unwrap() <= dumps, "{interrupted} of {dumps}");
}
