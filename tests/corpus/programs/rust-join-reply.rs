use std::io::Read;
use std::net::TcpStream;

fn fetch_catalogue() {
    let mut stream = TcpStream::connect(std::env::var("CORPUS_PEER").unwrap()).unwrap();
    let _ = stream.read(&mut [0; 16]);
}

fn main() {
    std::thread::spawn(fetch_catalogue).join().unwrap();
}
