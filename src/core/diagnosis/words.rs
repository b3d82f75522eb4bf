//! How the diagnosis writes times, names and addresses.

use std::time::Duration;

use ::core::net::SocketAddr;

use crate::core::facts::{FileFacts, FileKind, Frame, ProcessFacts, ProcessName, SocketFacts, TaskFacts};

use super::VerdictFrame;

/// A time that passed, for a person: `412 ms`, `29.8 s`, `3 min 20 s`, `2 h 5 min`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        // Rounding to tenths must not show 60.0 s.
        1..=59 => format!("{}.{} s", seconds, time.subsec_millis() / 100),
        60..=3599 => two(seconds / 60, "min", seconds % 60, "s"),
        _ => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

/// A time as it is set in launcher.toml: `250ms`, `30s`, `2m`.
pub fn setting(time: Duration) -> String {
    let millis = time.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if !millis.is_multiple_of(1000) => format!("{millis}ms"),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ => format!("{}s", millis / 1000),
    }
}

/// A number of bytes for a person: `512 B`, `64.0 KiB`, `1.5 GiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A share of CPUs for a person: `0.1 CPUs`, `1 CPU`.
pub fn cpus(count: f64) -> String {
    let text = format!("{count:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} {}", if text == "1" { "CPU" } else { "CPUs" })
}

/// The file name at the end of a path.
pub fn base(path: &str) -> &str {
    path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

/// A process by name and number: `python3 (pid 4712)`.
pub fn process(process: &ProcessFacts) -> String {
    format!("{} (pid {})", process_name(process), process.pid)
}

/// The name of a process: its program's file name, or its main thread's name.
pub fn process_name(process: &ProcessFacts) -> &str {
    let command = process.command.first().map(|program| base(program)).filter(|name| !name.is_empty());
    command.or_else(|| process.threads.first().map(|thread| thread.name.as_str())).unwrap_or("process")
}

/// A task in its runtime's terms: `goroutine 1`, ``task `Task-3` ``.
pub fn task(process: &ProcessFacts, task: &TaskFacts) -> String {
    match (process.runtime.as_str(), &task.name) {
        ("go", _) => format!("goroutine {}", task.id),
        (_, Some(name)) => format!("task `{name}`"),
        (_, None) => format!("task {}", task.id),
    }
}

/// Some processes by name and number; the rest as a count.
pub fn processes(names: &[ProcessName]) -> String {
    const SHOWN: usize = 3;
    let mut text = names.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// `does not` of one process, `do not` of several.
pub fn do_not(names: &[ProcessName]) -> &'static str {
    if names.len() == 1 { "does not" } else { "do not" }
}

/// A frame as a sentence has it: `lock_b() at deadlock.c:23`.
pub fn frame(frame: &VerdictFrame) -> String {
    let function = function(&frame.function);
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{function} at {}:{line}", base(file)),
        (Some(file), None) => format!("{function} in {}", base(file)),
        _ => function,
    }
}

/// A frame as a line of a list has it: `main.initRedis  /src/app/main.go:42`.
pub fn frame_line(frame: &Frame) -> String {
    let function = frame.function.clone().unwrap_or_else(|| format!("{:#x}", frame.address));
    match (&frame.file, frame.line, &frame.module) {
        (Some(file), Some(line), _) => format!("{function}  {file}:{line}"),
        (Some(file), None, _) => format!("{function}  {file}"),
        (None, _, Some(module)) => format!("{function}  ({})", base(module)),
        _ => function,
    }
}

/// A function's name with its parentheses, unless it has some already.
fn function(name: &str) -> String {
    if name.contains('(') || name.contains('<') { name.to_owned() } else { format!("{name}()") }
}

/// The other end of a socket, or the socket itself when it has none: `127.0.0.1:6379`, `/run/db.sock`.
pub fn peer(socket: &SocketFacts) -> String {
    match (&socket.peer, &socket.local) {
        (Some(peer), _) if !peer.is_empty() => peer.clone(),
        (_, Some(local)) if !local.is_empty() => format!("the peer of {local}"),
        _ => format!("an unnamed {} peer", protocol(socket)),
    }
}

/// `tcp` for both `tcp` and `tcp6`, and so on.
pub fn protocol(socket: &SocketFacts) -> &str {
    let name = socket.protocol.trim_end_matches('6');
    if name.is_empty() { "socket" } else { name }
}

/// The port at the end of an address such as `10.0.0.5:6379` or `[::1]:53`.
pub fn port(address: &str) -> Option<u16> {
    if let Ok(address) = address.parse::<SocketAddr>() {
        return Some(address.port());
    }
    let (host, port) = address.rsplit_once(':')?;
    port.parse().ok().filter(|port| *port != 0 && !host.is_empty())
}

/// What usually listens on a well-known port.
pub fn usual_service(port: u16) -> Option<&'static str> {
    Some(match port {
        22 => "SSH",
        25 | 465 | 587 => "SMTP",
        53 => "DNS",
        80 | 8080 => "HTTP",
        88 => "Kerberos",
        389 | 636 => "LDAP",
        443 | 8443 => "HTTPS",
        1433 => "SQL Server",
        1521 => "Oracle",
        1883 | 8883 => "MQTT",
        2181 => "ZooKeeper",
        2375 | 2376 => "Docker",
        2379 | 2380 => "etcd",
        3306 => "MySQL",
        4222 => "NATS",
        4317 | 4318 => "OpenTelemetry",
        5432 => "PostgreSQL",
        5671 | 5672 => "RabbitMQ (AMQP)",
        6379 => "Redis",
        6443 => "Kubernetes",
        6432 => "PgBouncer",
        7687 => "Neo4j",
        8086 => "InfluxDB",
        8125 => "StatsD",
        8200 => "Vault",
        8500 => "Consul",
        9000 => "ClickHouse, MinIO or PHP-FPM",
        9042 => "Cassandra",
        9092 => "Kafka",
        9200 | 9300 => "Elasticsearch",
        11211 => "memcached",
        26257 => "CockroachDB",
        27017 => "MongoDB",
        _ => return None,
    })
}

/// ` (usually Redis)` for an address with a well-known port, else nothing.
pub fn usually(address: &str) -> String {
    port(address).and_then(usual_service).map(|name| format!(" (usually {name})")).unwrap_or_default()
}

/// A file that is read or written: `the terminal /dev/pts/3`, `a pipe`.
pub fn file(file: &FileFacts) -> String {
    match file.kind {
        FileKind::Terminal => format!("the terminal {}", file.path),
        FileKind::Pipe => "a pipe".to_owned(),
        FileKind::Fifo => format!("the FIFO {}", file.path),
        FileKind::Device => format!("the device {}", file.path),
        FileKind::Directory => format!("the directory {}", file.path),
        FileKind::Regular | FileKind::Anonymous => file.path.clone(),
    }
}

/// What a read of such a file waits for, where it is there to tell of something: `waits for a timer (timerfd)`.
pub fn event(file: &FileFacts, call: Option<&str>) -> Option<String> {
    if call.is_some_and(|call| call.starts_with("mq_timedreceive")) {
        return Some(format!("waits for a message in the queue {}", file.path));
    }
    let path = file.path.strip_prefix("anon_inode:").filter(|_| file.kind == FileKind::Anonymous)?;
    let (kind, signals) = path.split_once(" of ").unwrap_or((path, ""));
    Some(match kind.trim_matches(['[', ']']) {
        "eventfd" => "waits for an event (eventfd) that nobody has signalled".to_owned(),
        "timerfd" => "waits for a timer (timerfd)".to_owned(),
        "signalfd" if signals.is_empty() => "waits for a signal (signalfd)".to_owned(),
        "signalfd" => format!("waits for a signal (signalfd: {signals})"),
        "inotify" => "waits for a change of a file (inotify)".to_owned(),
        "fanotify" => "waits for a change of a file (fanotify)".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_people() {
        let text = |millis| span(Duration::from_millis(millis));
        assert_eq!(text(0), "0 ms");
        assert_eq!(text(412), "412 ms");
        assert_eq!(text(29_849), "29.8 s");
        assert_eq!(text(59_999), "59.9 s");
        assert_eq!(text(60_000), "1 min");
        assert_eq!(text(200_000), "3 min 20 s");
        assert_eq!(text(7_500_000), "2 h 5 min");
        assert_eq!(setting(Duration::from_millis(1500)), "1500ms");
        assert_eq!(setting(Duration::from_secs(30)), "30s");
        assert_eq!(setting(Duration::from_secs(120)), "2m");
    }

    #[test]
    fn ports_are_read_from_addresses() {
        assert_eq!(port("10.0.0.5:6379"), Some(6379));
        assert_eq!(port("[::1]:53"), Some(53));
        assert_eq!(port("db:5432"), Some(5432));
        assert_eq!(port("/run/db.sock"), None);
        assert_eq!(port(":"), None);
        assert_eq!(usually("db:5432"), " (usually PostgreSQL)");
        assert_eq!(usually("db:1"), "");
    }

    #[test]
    fn files_that_tell_of_something_are_named_for_people() {
        let of =
            |path: &str, kind, call| event(&FileFacts { kind, path: path.to_owned(), ..FileFacts::default() }, call);
        let anonymous = |path| of(path, FileKind::Anonymous, Some("read(fd 3)"));
        let eventfd = "waits for an event (eventfd) that nobody has signalled";
        assert_eq!(anonymous("anon_inode:[eventfd]").as_deref(), Some(eventfd));
        assert_eq!(anonymous("anon_inode:[timerfd]").as_deref(), Some("waits for a timer (timerfd)"));
        let signals = anonymous("anon_inode:[signalfd] of HUP, TERM");
        assert_eq!(signals.as_deref(), Some("waits for a signal (signalfd: HUP, TERM)"));
        assert_eq!(anonymous("anon_inode:inotify").as_deref(), Some("waits for a change of a file (inotify)"));
        assert_eq!(anonymous("anon_inode:[bpf-map]"), None);
        let queue = of("/jobs", FileKind::Regular, Some("mq_timedreceive(fd 3) from /jobs"));
        assert_eq!(queue.as_deref(), Some("waits for a message in the queue /jobs"));
    }

    #[test]
    fn sizes_are_written_for_people() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(65_536), "64.0 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }
}
