//! What the URL of a requirement stands for.

use std::path::PathBuf;

use crate::core::config::suggest;
use crate::core::config::value::ValueError;
use crate::core::report::mask;

use super::amqp::Amqp;
use super::dialogue::Dialogue;
use super::grpc::Grpc;
use super::http::{Http, HttpExpectation};
use super::kafka::Kafka;
use super::mysql::Mysql;
use super::postgres::Postgres;
use super::redis::Redis;

/// Something that must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its URL as it is shown: without passwords.
    pub shown: String,
    /// What it is.
    pub what: What,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A name that must resolve.
    Dns(String),
    /// A file, directory or socket that must be there.
    File(PathBuf),
    /// A command that must end with code 0.
    Exec(Vec<String>),
    /// A server that must be reached, and answer.
    Stream(Stream),
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Where it is.
    pub place: Place,
    /// Whether the connection is secured.
    pub tls: bool,
    /// What is spoken on it.
    pub protocol: Protocol,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A host, by name or address, and a port.
    Host(String, u16),
    /// A Unix socket; a leading `@` stands for the abstract namespace.
    Unix(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Host(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Host(host, port) => write!(f, "{host}:{port}"),
            Place::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What is spoken on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing: that it is accepted is enough.
    Bare,
    /// HTTP/1.1.
    Http(HttpRequest),
    /// PostgreSQL's protocol 3.0.
    Postgres(Login),
    /// MySQL's and MariaDB's.
    Mysql(Login),
    /// Redis' and Valkey's.
    Redis(Login),
    /// `grpc.health.v1.Health/Check` for this service; the server as a whole when empty.
    Grpc(String),
    /// Kafka's.
    Kafka,
    /// AMQP 0-9-1, as RabbitMQ speaks it.
    Amqp,
}

/// What is asked of an HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Path and query.
    pub path: String,
    /// Whether it is a POST, without a body; a GET otherwise.
    pub post: bool,
    /// `USER:PASSWORD`, if the URL has one.
    pub credentials: Option<String>,
    /// What the answer must be.
    pub expected: HttpExpectation,
}

/// As whom, and to what, one logs in. Only what the URL says: what it does not say is not asked of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The database.
    pub database: Option<String>,
}

/// What a scheme means: its default port, whether it is secured, and what is done.
struct Scheme {
    name: &'static str,
    port: Option<u16>,
    tls: bool,
    tried: &'static str,
}

const fn scheme(name: &'static str, port: Option<u16>, tls: bool, tried: &'static str) -> Scheme {
    Scheme { name, port, tls, tried }
}

/// Schemes of servers.
const SCHEMES: [Scheme; 14] = [
    scheme("tcp", None, false, "a TCP connection"),
    scheme("http", Some(80), false, "an HTTP request"),
    scheme("https", Some(443), true, "an HTTPS request"),
    scheme("postgres", Some(5432), false, "PostgreSQL's start of a session"),
    scheme("postgresql", Some(5432), false, "PostgreSQL's start of a session"),
    scheme("mysql", Some(3306), false, "MySQL's handshake"),
    scheme("mariadb", Some(3306), false, "MySQL's handshake"),
    scheme("redis", Some(6379), false, "Redis' PING"),
    scheme("rediss", Some(6379), true, "Redis' PING over TLS"),
    scheme("grpc", None, false, "gRPC's health check"),
    scheme("grpcs", None, true, "gRPC's health check over TLS"),
    scheme("kafka", Some(9092), false, "Kafka's ApiVersions request"),
    scheme("amqp", Some(5672), false, "AMQP's protocol header"),
    scheme("amqps", Some(5671), true, "AMQP's protocol header over TLS"),
];

/// All schemes, for messages.
const ALL: &str = "tcp://, http://, https://, unix:, dns:, file:, exec:, postgres://, mysql://, redis://, rediss://, \
                   grpc://, grpcs://, kafka://, amqp:// and amqps://";

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// In what way it is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Target, ValueError> {
        if text.chars().any(char::is_control) {
            return Err(ValueError::new("a URL has no control characters", "take them out"));
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(ValueError::new(format!("{text:?} is not a URL"), format!("write one of {ALL}")));
        };
        let local = rest.strip_prefix("//").unwrap_or(rest);
        let what = match scheme {
            "unix" => {
                let place = Place::Unix(path(text, local)?);
                What::Stream(Stream { place, tls: false, protocol: Protocol::Bare })
            }
            "dns" => What::Dns(name(text, local)?),
            "file" => What::File(path(text, local)?),
            "exec" => What::Exec(words(text, local)?),
            _ => return server(text, scheme, rest),
        };
        let shown = if scheme == "exec" { mask::text(text) } else { text.to_owned() };
        Ok(Target { shown, what })
    }

    /// What is done to see whether it answers.
    pub fn tried(&self) -> String {
        match &self.what {
            What::Dns(name) => format!("{name} was asked for at the resolver"),
            What::File(path) => format!("{} was looked for", path.display()),
            What::Exec(words) => format!("{} was run", mask::line(words)),
            What::Stream(Stream { place: Place::Unix(path), protocol: Protocol::Bare, .. }) => {
                format!("a connection to {}", path.display())
            }
            What::Stream(stream) => {
                let scheme = self.shown.split(':').next().unwrap_or_default();
                let tried = SCHEMES.iter().find(|known| known.name == scheme).map_or("a connection", |of| of.tried);
                format!("{tried} to {}", stream.place)
            }
        }
    }

    /// Whether the URL is one of HTTP, to which `status` and `body` belong.
    pub fn http(&mut self) -> Option<&mut HttpRequest> {
        match &mut self.what {
            What::Stream(Stream { protocol: Protocol::Http(request), .. }) => Some(request),
            _ => None,
        }
    }
}

impl Stream {
    /// The conversation by which it is known to answer; none when a connection is enough.
    pub fn dialogue(&self) -> Option<Box<dyn Dialogue>> {
        match &self.protocol {
            Protocol::Bare => None,
            Protocol::Http(request) => Some(Box::new(Http::new(request, &self.place, self.tls))),
            Protocol::Postgres(login) => Some(Box::new(Postgres::new(login))),
            Protocol::Mysql(login) => Some(Box::new(Mysql::new(login))),
            Protocol::Redis(login) => Some(Box::new(Redis::new(login))),
            Protocol::Grpc(service) => Some(Box::new(Grpc::new(service, &self.place))),
            Protocol::Kafka => Some(Box::new(Kafka)),
            Protocol::Amqp => Some(Box::new(Amqp)),
        }
    }
}

/// The part of a URL behind its scheme, in pieces.
struct Pieces {
    user: Option<String>,
    password: Option<String>,
    host: String,
    port: Option<u16>,
    /// Path and query, as written.
    path: String,
}

fn server(text: &str, scheme: &str, rest: &str) -> Result<Target, ValueError> {
    let Some(known) = SCHEMES.iter().find(|known| known.name == scheme) else {
        let others = ["unix", "dns", "file", "exec"];
        let names = SCHEMES.iter().map(|known| known.name).chain(others);
        return Err(ValueError::new(suggest::unknown("scheme", scheme, names), format!("there are {ALL}")));
    };
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(ValueError::new(format!("{text:?} is not a URL"), format!("write {scheme}://{rest}")));
    };
    let pieces = pieces(text, rest)?;
    let query = pieces.path.split_once('?').map_or("", |(_, query)| query);
    let socket = parameter(query, "host").filter(|host| host.starts_with('/') && scheme.starts_with("postgres"));
    let Some(port) = pieces.port.or(known.port) else {
        let hint = format!("write {scheme}://{}:PORT", pieces.host);
        return Err(ValueError::new(format!("{text:?} has no port"), hint));
    };
    let place = match socket {
        // `libpq-connect`: a host that is a path names the directory of the socket.
        Some(directory) => Place::Unix(format!("{}/.s.PGSQL.{port}", directory.trim_end_matches('/')).into()),
        None if pieces.host.is_empty() => {
            return Err(ValueError::new(format!("{text:?} names no host"), format!("write {scheme}://HOST:{port}")));
        }
        None => Place::Host(pieces.host.clone(), port),
    };
    let shown = shown(scheme, &pieces, rest);
    let protocol = protocol(scheme, pieces);
    Ok(Target { shown, what: What::Stream(Stream { place, tls: known.tls, protocol }) })
}

fn protocol(scheme: &str, pieces: Pieces) -> Protocol {
    let Pieces { user, password, path, .. } = pieces;
    let bare = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    let database = Some(decoded(bare)).filter(|name| !name.is_empty());
    match scheme {
        "http" | "https" => {
            let credentials = user.map(|user| format!("{user}:{}", password.unwrap_or_default()));
            let path = path.split('#').next().unwrap_or_default();
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            Protocol::Http(HttpRequest { path, post: false, credentials, expected: HttpExpectation::default() })
        }
        "postgres" | "postgresql" => Protocol::Postgres(Login { user, password, database }),
        "mysql" | "mariadb" => Protocol::Mysql(Login { user, password, database }),
        "redis" | "rediss" => Protocol::Redis(Login { user, password, database }),
        "grpc" | "grpcs" => Protocol::Grpc(bare.to_owned()),
        "kafka" => Protocol::Kafka,
        "amqp" | "amqps" => Protocol::Amqp,
        _ => Protocol::Bare,
    }
}

/// The URL without the password; what stands for a token in a query is left out too.
fn shown(scheme: &str, pieces: &Pieces, rest: &str) -> String {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let user = pieces.user.as_ref().filter(|user| !user.is_empty()).map(|user| format!("{user}@")).unwrap_or_default();
    let path = pieces.path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{user}{host}{path}")
}

fn pieces(text: &str, rest: &str) -> Result<Pieces, ValueError> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (login, address) = match authority.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, authority),
    };
    let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, "")) => (Some(decoded(user)), None),
        Some((user, password)) => (Some(decoded(user)), Some(decoded(password))),
        None => (None, None),
    };
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => {
            if host.parse::<::core::net::Ipv6Addr>().is_err() {
                return Err(ValueError::new(format!("{host:?} is not an IPv6 address"), "write [::1]:8080"));
            }
            (host, port.strip_prefix(':'))
        }
        None => match address.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                let message = format!("{text:?}: an IPv6 address goes in brackets");
                return Err(ValueError::new(message, "write [::1]:8080"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = port.map(|port| match port.parse::<u16>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(ValueError::new(format!("{port:?} is not a port"), "write a number from 1 to 65535")),
    });
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':') || !c.is_ascii();
    if !host.chars().all(fits) {
        return Err(ValueError::new(format!("{host:?} is not the name of a host"), "write its name or its address"));
    }
    Ok(Pieces { user, password, host: host.to_owned(), port: port.transpose()?, path: path.to_owned() })
}

/// A parameter of a query.
fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, v)| decoded(v))
}

/// The text with `%41` in place of its characters; what is no such thing stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(decoded) => {
                plain.push(decoded);
                at += 3;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn path(text: &str, path: &str) -> Result<PathBuf, ValueError> {
    match path {
        "" => Err(ValueError::new(format!("{text:?} names no path"), "write file:/run/ready or unix:/run/db.sock")),
        _ => Ok(PathBuf::from(path)),
    }
}

fn name(text: &str, name: &str) -> Result<String, ValueError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match !name.is_empty() && name.len() <= 253 && name.chars().all(fits) {
        true => Ok(name.to_owned()),
        false => Err(ValueError::new(format!("{text:?} names no host"), "write dns:db.example.com")),
    }
}

/// The words of a command. Single and double quotes keep blanks together; no shell reads it.
fn words(text: &str, command: &str) -> Result<Vec<String>, ValueError> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut begun, mut quote) = (String::new(), false, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => (quote, begun) = (Some(c), true),
            (None, ' ') if begun => {
                words.push(std::mem::take(&mut word));
                begun = false;
            }
            (None, ' ') => {}
            (None, c) => {
                word.push(c);
                begun = true;
            }
        }
    }
    if quote.is_some() {
        return Err(ValueError::new(format!("{text:?}: a quote is not closed"), "close it"));
    }
    if begun {
        words.push(word);
    }
    match words.is_empty() {
        true => Err(ValueError::new(format!("{text:?} names no command"), "write exec:pg_isready -h db")),
        false => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str) -> Stream {
        match Target::parse(text).unwrap_or_else(|error| panic!("{error:?}")).what {
            What::Stream(stream) => stream,
            what => panic!("{what:?}"),
        }
    }

    fn login(user: &str, password: Option<&str>, database: &str) -> Login {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Login { user: text(user), password: password.map(str::to_owned), database: text(database) }
    }

    #[test]
    fn servers_by_their_schemes() {
        let host = |name: &str, port| Place::Host(name.to_owned(), port);
        for (text, place, tls, protocol) in [
            ("tcp://db:5432", host("db", 5432), false, Protocol::Bare),
            ("tcp://[::1]:80", host("::1", 80), false, Protocol::Bare),
            ("postgres://db", host("db", 5432), false, Protocol::Postgres(Login::default())),
            (
                "postgresql://app:s%40p@db:6000/shop?sslmode=require",
                host("db", 6000),
                false,
                Protocol::Postgres(login("app", Some("s@p"), "shop")),
            ),
            (
                "postgres:///shop?host=/run/postgresql",
                Place::Unix("/run/postgresql/.s.PGSQL.5432".into()),
                false,
                Protocol::Postgres(login("", None, "shop")),
            ),
            ("mysql://db/shop", host("db", 3306), false, Protocol::Mysql(login("", None, "shop"))),
            (
                "rediss://:pw@cache",
                host("cache", 6379),
                true,
                Protocol::Redis(Login { user: Some(String::new()), password: Some("pw".to_owned()), database: None }),
            ),
            ("grpc://a:50051/my.Service", host("a", 50051), false, Protocol::Grpc("my.Service".to_owned())),
            ("kafka://k", host("k", 9092), false, Protocol::Kafka),
            ("amqps://mq", host("mq", 5671), true, Protocol::Amqp),
            ("unix:/run/x.sock", Place::Unix("/run/x.sock".into()), false, Protocol::Bare),
            ("unix:///run/x.sock", Place::Unix("/run/x.sock".into()), false, Protocol::Bare),
        ] {
            assert_eq!(stream(text), Stream { place, tls, protocol }, "{text}");
        }
        let Protocol::Http(request) = stream("https://u:p@api/healthz?full=1#x").protocol else { panic!() };
        assert_eq!((request.path.as_str(), request.credentials.as_deref()), ("/healthz?full=1", Some("u:p")));
        let Protocol::Http(request) = stream("http://api:8080").protocol else { panic!() };
        assert_eq!(request.path, "/");
    }

    #[test]
    fn what_is_no_server() {
        let what = |text: &str| Target::parse(text).unwrap().what;
        assert_eq!(what("dns:db.example.com"), What::Dns("db.example.com".to_owned()));
        assert_eq!(what("file:/run/ready"), What::File("/run/ready".into()));
        assert_eq!(what("file:///run/ready"), What::File("/run/ready".into()));
        assert_eq!(what("file:ready"), What::File("ready".into()));
        let words = ["sh", "-c", "exit 0", ""].map(str::to_owned).to_vec();
        assert_eq!(what("exec:sh  -c 'exit 0' \"\""), What::Exec(words));
    }

    #[test]
    fn what_is_shown_has_no_password() {
        let shown = |text: &str| Target::parse(text).unwrap().shown;
        assert_eq!(shown("postgres://app:secret@db:5432/shop?password=secret"), "postgres://app@db:5432/shop");
        assert_eq!(shown("redis://:secret@cache:6379"), "redis://cache:6379");
        assert_eq!(shown("http://h/x?token=secret"), "http://h/x");
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_right() {
        let wrong = |text: &str| Target::parse(text).map(|target| panic!("{target:?}")).unwrap_err();
        assert_eq!(wrong("postgre://db").message, "unknown scheme \"postgre\", did you mean \"postgres\"?");
        assert_eq!(wrong("tcp://db").hint, "write tcp://db:PORT");
        assert_eq!(wrong("tcp:db:5432").hint, "write tcp://db:5432");
        for text in [
            "",
            "db",
            "tcp://:80",
            "tcp://a:0",
            "tcp://a:99999",
            "tcp://::1:80",
            "http://a b/",
            "dns:",
            "exec:",
            "exec:'a",
            "file:",
            "unix:",
            "tcp://[x]:1",
            "grpc://a",
            "tcp://a:80\n",
        ] {
            assert!(!wrong(text).hint.is_empty(), "{text}");
        }
    }
}
