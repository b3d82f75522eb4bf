use std::net::TcpStream;

fn connect_database() -> std::io::Result<TcpStream> {
    TcpStream::connect(std::env::var("CORPUS_PEER").unwrap())
}

fn main() {
    connect_database().unwrap();
}
