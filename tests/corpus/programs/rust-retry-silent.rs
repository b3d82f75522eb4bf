use std::net::TcpStream;
use std::time::Duration;

fn wait_for_cache(peer: &str) -> TcpStream {
    loop {
        match TcpStream::connect_timeout(&peer.parse().unwrap(), Duration::from_secs(1)) {
            Ok(stream) => return stream,
            Err(_) => std::thread::sleep(Duration::from_millis(400)),
        }
    }
}

fn main() {
    wait_for_cache(&std::env::var("CORPUS_PEER").unwrap());
}
