//! Connections at a steady rate, whatever becomes of those before them, and what became of each.

use std::collections::HashSet;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

/// When a client gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of all connections.
#[derive(Default)]
pub struct Outcome {
    /// How long each took, from when it was due (not from when it was made: a generator that is late hides nothing)
    /// until its answer was whole. In order.
    pub answered: Vec<Duration>,
    /// `connect(2)` failed with ECONNREFUSED.
    pub refused: usize,
    /// Reset, or closed without a whole answer.
    pub reset: usize,
    /// No answer within ten seconds.
    pub timed_out: usize,
    /// Other errors, which are the generator's own: out of descriptors or addresses.
    pub failed: Vec<String>,
    /// Who has answered.
    pub servers: HashSet<String>,
}

impl Outcome {
    /// How many were not answered.
    pub fn lost(&self) -> usize {
        self.refused + self.reset + self.timed_out + self.failed.len()
    }

    /// The latency that this part of the answered ones did not exceed.
    pub fn percentile(&self, part: f64) -> Duration {
        let last = self.answered.len().saturating_sub(1);
        self.answered.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
    }

    fn add(&mut self, ended: Result<(Duration, String), Error>) {
        match ended {
            Ok((latency, server)) => {
                self.answered.push(latency);
                self.servers.insert(server);
            }
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused => self.refused += 1,
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => self.reset += 1,
                ErrorKind::TimedOut => self.timed_out += 1,
                _ => self.failed.push(error.to_string()),
            },
        }
    }
}

/// So many new connections a second, for so long. Blocks until the last one has its answer or has given up.
pub fn load(address: SocketAddr, rate: u32, time: Duration) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let began = Instant::now();
        let count = (f64::from(rate) * time.as_secs_f64()) as u32;
        let mut all = Vec::with_capacity(count as usize);
        for number in 0..count {
            let due = began + Duration::from_secs(1) * number / rate;
            // To the next millisecond: two are made at a time.
            sleep_until(due).await;
            all.push(tokio::spawn(async move {
                let answer = timeout(PATIENCE, ask(address)).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
                answer.map(|server| (due.elapsed(), server))
            }));
        }
        let mut outcome = Outcome::default();
        for connection in all {
            outcome.add(connection.await.expect("no panic"));
        }
        outcome.answered.sort_unstable();
        outcome
    })
}

/// One connection, one request; who has answered.
async fn ask(address: SocketAddr) -> Result<String, Error> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") && body.ends_with('\n') => Ok(body.trim().to_owned()),
        _ => Err(ErrorKind::UnexpectedEof.into()),
    }
}
