//! Asks a Go service for its goroutine profile (`net/http/pprof`).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::core::errno;
use crate::core::facts::ProfileFacts;

/// So much of an answer is taken, in bytes: a report stays one that can be read.
const LIMIT: usize = 256 << 10;
/// Where profiles are, of those that `debug=1` gives as text.
const PATH: &str = "/debug/pprof/goroutine?debug=1";
/// It may take this long even when the time for the dump is up.
const LEAST: Duration = Duration::from_millis(100);

/// Fetches the profile from `address`, within `patience`.
pub fn fetch(address: SocketAddr, patience: Duration) -> ProfileFacts {
    let url = format!("http://{address}{PATH}");
    let until = Instant::now() + patience.max(LEAST);
    match answer(address, until) {
        Ok(answer) => ProfileFacts::parse(url, &answer, LIMIT),
        Err(error) => {
            let why = match error.raw_os_error() {
                Some(errno) => errno::describe(errno),
                None => "no answer in time".to_owned(),
            };
            ProfileFacts { url, error: Some(why), ..ProfileFacts::default() }
        }
    }
}

fn answer(address: SocketAddr, until: Instant) -> std::io::Result<Vec<u8>> {
    let left = || -> std::io::Result<Duration> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    };
    let timed_out = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => std::io::ErrorKind::TimedOut.into(),
        _ => error,
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    // HTTP/1.0: the answer ends with the connection, and is in one piece.
    stream.write_all(format!("GET {PATH} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).map_err(timed_out)?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 16 << 10]);
    while answer.len() < LIMIT {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer).map_err(timed_out)? {
            0 => break,
            count => answer.extend(buffer.iter().take(count.min(LIMIT - answer.len()))),
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_service_that_does_not_answer_is_left_alone_in_time() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let facts = fetch(address, Duration::from_millis(200));
        assert_eq!((facts.error.as_deref(), facts.goroutines), (Some("no answer in time"), None));
        drop(silent);
        // Held a moment longer by what another test is just starting.
        crate::sys::testing::comes_to_be(&true, || {
            let refused = fetch(address, Duration::from_secs(10));
            refused.error.is_some_and(|error| error.contains("ECONNREFUSED"))
        });
    }
}
