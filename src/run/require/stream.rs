//! A connection to a server, and the conversation on it.

use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::core::facts::{RequirementProblem, Trouble};
use crate::core::requirement::dialogue::LONGEST;
use crate::core::requirement::words::connect_trouble;
use crate::core::requirement::{Dialogue, Place, Protocol, Stream, Turn};

use super::{Stage, resolve, tls};

/// A connection of any kind.
trait Connection: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Connection for T {}

/// How long a server may take to accept what is said to it in the end.
const FAREWELL: Duration = Duration::from_millis(100);

/// Connects, and speaks the protocol until it is clear whether the server answers as it should.
///
/// # Errors
/// Why it does not.
pub async fn talk(stream: &Stream, ca: Option<&Path>, limit: Duration, stage: &Stage) -> Result<(), Trouble> {
    match &stream.place {
        Place::Unix(path) => {
            let shown = path.display().to_string();
            stage.is(RequirementProblem::Timeout, format!("{shown} does not accept the connection"));
            let connected = UnixStream::connect(system_path(path)).await;
            let connection = connected.map_err(|problem| not_connected(&shown, &problem))?;
            converse(Box::new(connection), stream, &shown, stage).await
        }
        Place::Host(host, port) => {
            let addresses = resolve::addresses(host, stage).await?;
            let share = limit / u32::try_from(addresses.len()).unwrap_or(1).max(1);
            let mut worst: Option<Trouble> = None;
            for ip in addresses {
                let address = SocketAddr::new(ip, *port);
                let one = talk_to(address, host, stream, ca, stage);
                let trouble = match timeout(share, one).await {
                    Ok(Ok(())) => return Ok(()),
                    Ok(Err(trouble)) => trouble,
                    Err(_) => stage.trouble(share),
                };
                // Of several addresses the one that came furthest says most.
                if worst.as_ref().is_none_or(|worst| distance(&trouble) > distance(worst)) {
                    worst = Some(trouble);
                }
            }
            Err(worst.unwrap_or_else(|| Trouble::new(RequirementProblem::Dns, format!("{host} has no address"))))
        }
    }
}

/// How far a try has come.
fn distance(trouble: &Trouble) -> u8 {
    match trouble.problem {
        RequirementProblem::Answer | RequirementProblem::Closed => 4,
        RequirementProblem::Tls => 3,
        RequirementProblem::Timeout => 2,
        RequirementProblem::Refused => 1,
        _ => 0,
    }
}

async fn talk_to(
    address: SocketAddr,
    host: &str,
    stream: &Stream,
    ca: Option<&Path>,
    stage: &Stage,
) -> Result<(), Trouble> {
    // The name is in the URL; the address is what was connected to.
    let shown = address.to_string();
    stage.is(RequirementProblem::Timeout, format!("{shown} does not answer the connection"));
    let connection = TcpStream::connect(address).await.map_err(|problem| not_connected(&shown, &problem))?;
    // A port of this host from which connections begin can connect to itself when nobody listens there.
    if connection.local_addr().is_ok_and(|local| local == address) {
        return Err(connect_trouble(&shown, 111, ""));
    }
    if !stream.tls {
        return converse(Box::new(connection), stream, &shown, stage).await;
    }
    stage.is(RequirementProblem::Tls, format!("{shown} does not answer the TLS handshake"));
    let http2 = matches!(stream.protocol, Protocol::Grpc(_));
    let connection = tls::secure(connection, host, &shown, ca, http2).await?;
    converse(Box::new(connection), stream, &shown, stage).await
}

fn not_connected(shown: &str, problem: &io::Error) -> Trouble {
    connect_trouble(shown, problem.raw_os_error().unwrap_or(0), &problem.to_string())
}

/// A path as the kernel takes it: a leading `@` stands for the NUL of the abstract namespace.
fn system_path(path: &Path) -> std::path::PathBuf {
    match path.as_os_str().as_bytes().split_first() {
        Some((b'@', name)) => std::ffi::OsStr::from_bytes(&[b"\0", name].concat()).into(),
        _ => path.to_owned(),
    }
}

async fn converse(
    mut connection: Box<dyn Connection>,
    stream: &Stream,
    shown: &str,
    stage: &Stage,
) -> Result<(), Trouble> {
    let Some(mut dialogue) = stream.dialogue() else { return Ok(()) };
    stage.is(RequirementProblem::Timeout, format!("{shown} is connected, but says nothing"));
    match speak(&mut connection, dialogue.as_mut()).await {
        Ok(Turn::Good(farewell)) => {
            if !farewell.is_empty() {
                // It answers: whether it hears the last word does not matter.
                let _ = timeout(FAREWELL, connection.write_all(&farewell)).await;
            }
            Ok(())
        }
        Ok(Turn::Bad(trouble)) => Err(Trouble { message: format!("{} ({shown})", trouble.message), ..trouble }),
        Ok(Turn::More | Turn::Say(_)) => {
            Err(Trouble::new(RequirementProblem::Answer, format!("{shown} says too much")))
        }
        Err(problem) if problem.raw_os_error().is_some() => {
            let trouble = not_connected(shown, &problem);
            Err(Trouble { problem: RequirementProblem::Closed, ..trouble })
        }
        Err(problem) => Err(tls::trouble(shown, &problem)),
    }
}

async fn speak(connection: &mut Box<dyn Connection>, dialogue: &mut dyn Dialogue) -> io::Result<Turn> {
    let opening = dialogue.opening();
    if !opening.is_empty() {
        connection.write_all(&opening).await?;
        connection.flush().await?;
    }
    let mut heard = Vec::new();
    let mut buffer = vec![0; 8192];
    loop {
        let length = match connection.read(&mut buffer).await {
            Ok(length) => length,
            // Many servers leave without the farewell that TLS asks for.
            Err(problem) if problem.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(problem) => return Err(problem),
        };
        heard.extend_from_slice(&buffer[..length]);
        // What is answered at once may have come with more behind it.
        loop {
            match dialogue.hear(&heard, length == 0) {
                Turn::Say(words) => {
                    connection.write_all(&words).await?;
                    connection.flush().await?;
                }
                Turn::More => break,
                turn => return Ok(turn),
            }
        }
        if length == 0 || heard.len() > LONGEST {
            return Ok(Turn::More);
        }
    }
}
