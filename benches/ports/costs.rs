//! What the port mode `adopt` costs a program, beside the same program on its own and below the launcher without a filter.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Binds of each kind.
const BINDS: u32 = 5_000;
/// Other system calls.
const CALLS: u32 = 2_000_000;
/// How long a server is loaded, each time, in each of the rounds.
const LOAD: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;
/// Connections at once.
const CLIENTS: usize = 16;

/// What the programs are run below.
const BELOW: [(&str, Option<&str>); 3] = [("nothing", None), ("check", Some("check")), ("adopt", Some("adopt"))];

/// Measures binds, other calls and the throughput of a server.
pub fn measure() {
    println!("nanoseconds a call: {BINDS} binds each (10th percentile, median), {CALLS} calls of getppid (mean)");
    println!("{:>9} {:>16} {:>16} {:>9}", "below", "bind elsewhere", "bind declared", "getppid");
    for (name, mode) in BELOW {
        let declared = address();
        let elsewhere = format!("127.0.0.1:{}", free_port());
        let told = |words: &[&str]| figure(&mut start(mode, &declared, words));
        let (other, own, call) = (told(&["bind", &elsewhere]), told(&["bind", &declared]), told(&["calls"]));
        println!("{name:>9} {other:>16} {own:>16} {call:>9}");
    }
    println!(
        "\nrequests a second of an axum server with two threads, {CLIENTS} connections, median of {ROUNDS} rounds"
    );
    println!("{:>9} {:>16} {:>20}", "below", "kept alive", "one each connection");
    let mut seen = vec![(Vec::new(), Vec::new()); BELOW.len()];
    for _ in 0..ROUNDS {
        for ((_, mode), (kept, each)) in BELOW.iter().zip(&mut seen) {
            let declared = address();
            let mut server = start(*mode, &declared, &["serve", &declared]);
            let mut line = String::new();
            BufReader::new(server.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            let at: SocketAddr = declared.parse().unwrap();
            kept.push(load(at, true));
            each.push(load(at, false));
        }
    }
    for ((name, _), (kept, each)) in BELOW.iter().zip(seen) {
        println!("{name:>9} {:>16.0} {:>20.0}", median(kept), median(each));
    }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

/// What runs, stopped with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// This program in another role, on its own or below the launcher.
fn start(mode: Option<&str>, declared: &str, words: &[&str]) -> Running {
    let own = std::env::current_exe().unwrap();
    let mut command = match mode {
        None => Command::new(&own),
        Some(mode) => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_launcher"));
            command.args(["run", "--ready", "started", "--port", &format!("{declared},{mode}"), "--"]).arg(&own);
            command
        }
    };
    Running(command.args(words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

fn figure(running: &mut Running) -> String {
    let mut text = String::new();
    running.0.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
    text.trim().to_owned()
}

/// Binds many times; prints the nanoseconds that one takes.
pub fn bind(address: SocketAddr) {
    let one = |_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let began = Instant::now();
        socket.bind(&address.into()).unwrap();
        began.elapsed().as_nanos()
    };
    let mut all: Vec<u128> = (0..BINDS).map(one).collect();
    all.sort_unstable();
    println!("{} {}", all[all.len() / 10], all[all.len() / 2]);
}

/// Makes many calls that nobody answers; prints the nanoseconds that one takes.
pub fn calls() {
    let began = Instant::now();
    for _ in 0..CALLS {
        std::hint::black_box(nix::unistd::getppid());
    }
    println!("{:.0}", began.elapsed().as_nanos() as f64 / f64::from(CALLS));
}

/// What it answers with.
const ANSWER: &[u8] = b"hello\n";

/// Answers HTTP until it is killed.
pub fn serve(address: &str) {
    use axum::routing::get;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        println!("up");
        let app = axum::Router::new().route("/", get(async || ANSWER));
        axum::serve(listener, app).await.unwrap();
    });
}

/// Reads an answer to its end.
fn read_answer(stream: &mut TcpStream) {
    let (mut answer, mut length) = ([0; 1024], 0);
    while !answer[..length].ends_with(ANSWER) {
        match stream.read(&mut answer[length..]).unwrap() {
            0 => panic!("an answer was cut short"),
            count => length += count,
        }
    }
}

/// Requests a second.
fn load(address: SocketAddr, kept: bool) -> f64 {
    let until = Instant::now() + LOAD;
    let client = move || {
        let mut done = 0_u64;
        let mut stream = TcpStream::connect(address).unwrap();
        while Instant::now() < until {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            read_answer(&mut stream);
            done += 1;
            if !kept {
                // Reset when closed: ports in TIME_WAIT would run out.
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
                stream = TcpStream::connect(address).unwrap();
            }
        }
        done
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| std::thread::spawn(client)).collect();
    let done: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    done as f64 / LOAD.as_secs_f64()
}
