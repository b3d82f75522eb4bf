//! From a name to its addresses: `/etc/hosts`, then the nameservers of `/etc/resolv.conf`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::core::facts::{RequirementProblem, Trouble};
use crate::core::requirement::dns::{self, A, AAAA, Answer, ResolvConf};
use crate::sys::clock;

use super::Stage;

/// No answer by UDP is longer.
const LONGEST: usize = 4096;
/// glibc waits 5 s for one nameserver; a try has no time for that, and is repeated anyway.
const PATIENCE: Duration = Duration::from_secs(1);

/// The addresses of a name, IPv4 first.
///
/// # Errors
/// The name does not exist, or no nameserver says anything about it.
pub async fn addresses(name: &str, stage: &Stage) -> Result<Vec<IpAddr>, Trouble> {
    let known = dns::without_asking(name);
    if !known.is_empty() {
        return Ok(known);
    }
    // Both files are small, and on the root file system of any host that works.
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let known = dns::in_hosts(&hosts, name);
    if !known.is_empty() {
        return Ok(known);
    }
    let conf = ResolvConf::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    ask_all(name, &conf, stage).await
}

async fn ask_all(name: &str, conf: &ResolvConf, stage: &Stage) -> Result<Vec<IpAddr>, Trouble> {
    let mut told = None;
    for candidate in conf.names(name) {
        match ask_servers(&candidate, conf, stage).await {
            Ok(Some(addresses)) if !addresses.is_empty() => return Ok(addresses),
            Ok(Some(_)) => told = Some(dns_trouble(format!("{name} has no address"))),
            Ok(None) => {}
            // Nobody answers: asking for further names would take as long again.
            Err(trouble) => return Err(trouble),
        }
    }
    Err(told.unwrap_or_else(|| dns_trouble(format!("the name {name} does not exist"))))
}

fn dns_trouble(message: String) -> Trouble {
    Trouble::new(RequirementProblem::Dns, message)
}

/// `None` when there is no such name.
async fn ask_servers(name: &str, conf: &ResolvConf, stage: &Stage) -> Result<Option<Vec<IpAddr>>, Trouble> {
    let mut last = dns_trouble(format!("{name} cannot be asked for"));
    for _ in 0..conf.attempts {
        for server in &conf.servers {
            let ip = server.ip();
            stage.is(RequirementProblem::Dns, format!("the nameserver {ip} does not answer, asked for {name}"));
            match timeout(conf.timeout.min(PATIENCE), ask(name, *server)).await {
                Ok(Ok(Answer::Addresses(addresses))) => return Ok(Some(addresses)),
                Ok(Ok(Answer::NoSuchName)) => return Ok(None),
                Ok(Ok(Answer::Truncated)) => last = dns_trouble(format!("the answer of {ip} for {name} is cut off")),
                Ok(Ok(Answer::Failed(why))) => last = dns_trouble(format!("the nameserver {ip} says {why} to {name}")),
                Ok(Err(problem)) if problem.kind() == io::ErrorKind::ConnectionRefused => {
                    last = dns_trouble(format!("nothing answers as a nameserver at {ip}, asked for {name}"));
                }
                Ok(Err(problem)) => {
                    last = dns_trouble(format!("the nameserver {ip} cannot be asked for {name}: {problem}"));
                }
                Err(_) => last = dns_trouble(format!("the nameserver {ip} does not answer, asked for {name}")),
            }
        }
    }
    Err(last)
}

/// Asks one nameserver for both kinds of addresses.
async fn ask(name: &str, server: SocketAddr) -> io::Result<Answer> {
    let [a, b, c, d, ..] = clock::random();
    let ids = [(u16::from_be_bytes([a, b]), A), (u16::from_be_bytes([c, d]) ^ 1, AAAA)];
    let mut asked = Vec::new();
    for (id, kind) in ids {
        let question = dns::question(id, name, kind).ok_or(io::ErrorKind::InvalidInput)?;
        asked.push((id, question));
    }
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    for (_, question) in &asked {
        socket.send(question).await?;
    }
    let mut found = Vec::new();
    let mut missing = 0;
    let mut buffer = vec![0; LONGEST];
    while !asked.is_empty() {
        let length = socket.recv(&mut buffer).await?;
        let heard = &buffer[..length];
        let Some(at) = asked.iter().position(|(id, _)| dns::answer(*id, heard).is_some()) else { continue };
        let (id, question) = asked.swap_remove(at);
        match dns::answer(id, heard) {
            Some(Answer::Addresses(addresses)) => found.extend(addresses),
            Some(Answer::Truncated) => {
                if let Answer::Addresses(addresses) = ask_by_tcp(id, &question, server).await? {
                    found.extend(addresses);
                }
            }
            Some(Answer::NoSuchName) => missing += 1,
            // A nameserver that fails for one kind may know the other.
            Some(failed) if asked.is_empty() && found.is_empty() && missing == 0 => return Ok(failed),
            _ => {}
        }
    }
    found.sort_by_key(IpAddr::is_ipv6);
    Ok(if found.is_empty() && missing > 0 { Answer::NoSuchName } else { Answer::Addresses(found) })
}

/// The same by TCP: each message has its length before it (RFC 1035, 4.2.2).
async fn ask_by_tcp(id: u16, question: &[u8], server: SocketAddr) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    dns::answer(id, &message).ok_or_else(|| io::ErrorKind::InvalidData.into())
}
