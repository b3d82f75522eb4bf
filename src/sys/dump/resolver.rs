//! What a look-up of a name asks for, and by which rules: the query that stands in the memory of the thread that waits for
//! its answer, and the files that the C library and Go's resolver go by.

use super::files;
use super::memory::{Memory, Stack};
use crate::core::facts::{FdFacts, ProcessFacts, ResolverFacts, SocketFacts, WaitingOn};

/// How much of a stack is looked through, in bytes: the resolver's own frames are the innermost ones.
const STACK: usize = 16 << 10;
/// The head of a query and the longest name with its type and class (RFC 1035, 4.1).
const QUERY: usize = 12 + 255 + 4;
/// Bytes of a file of settings that are read.
const SETTINGS: usize = 64 << 10;

/// Fills in the names that are asked for, where a thread waits for the answer of a name server.
pub fn fill_in<S: std::borrow::Borrow<Stack>>(waiting_on: &mut WaitingOn, stack: impl FnOnce() -> S, memory: &Memory) {
    let servers: Vec<&mut SocketFacts> = match waiting_on {
        WaitingOn::Receive { socket, .. } => vec![socket],
        WaitingOn::Poll { watched, .. } => {
            let sockets = watched.iter_mut().filter_map(|watched| match &mut watched.what {
                FdFacts::Socket(socket) => Some(socket),
                FdFacts::File(_) => None,
            });
            sockets.collect()
        }
        _ => return,
    };
    let mut servers: Vec<&mut SocketFacts> = servers.into_iter().filter(|socket| is_name_server(socket)).collect();
    // Which of several asks for what is not known.
    if let [server] = servers.as_mut_slice() {
        server.asks = asked(stack().borrow(), memory);
    }
}

/// Whether this is a connection to the port of DNS.
fn is_name_server(socket: &SocketFacts) -> bool {
    let port = socket.peer.as_deref().and_then(|peer| peer.rsplit_once(':')).map(|(_, port)| port);
    port == Some("53") && (socket.protocol.starts_with("udp") || socket.state == "established")
}

/// The name in the query that is nearest to the top of the stack: in it, or in what a word of it points to.
fn asked(stack: &Stack, memory: &Memory) -> Option<String> {
    let bytes = stack.bytes.get(..stack.bytes.len().min(STACK))?;
    let own = (0..bytes.len()).find_map(|at| question(bytes.get(at..)?));
    own.or_else(|| {
        bytes.chunks_exact(8).find_map(|word| {
            let address = u64::from_le_bytes(word.try_into().ok()?);
            // The stack itself has been looked through.
            let outside = !(stack.base..stack.base + stack.bytes.len() as u64).contains(&address);
            let query = (address > 0xffff && outside).then(|| pointed_to(memory, address)).flatten()?;
            // Go keeps it with room for the length that TCP has before it.
            question(&query).or_else(|| question(query.get(2..)?))
        })
    })
}

/// What an address points to, as much of it as can be read.
fn pointed_to(memory: &Memory, address: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; QUERY + 2];
    if memory.fill(address, &mut bytes) {
        return Some(bytes);
    }
    let bytes = memory.read_fresh(address, QUERY + 2);
    (bytes.len() >= 18).then_some(bytes)
}

/// The name that a query asks for, if these bytes are one: the head of a query that wants recursion and has one question,
/// a name, a usual type and the class of the Internet.
fn question(bytes: &[u8]) -> Option<String> {
    const HEADS: [[u8; 2]; 2] = [[1, 0], [1, 0x20]];
    let head = bytes.get(2..12)?;
    let is_query =
        HEADS.iter().any(|flags| head.starts_with(flags)) && head[2..9] == [0, 1, 0, 0, 0, 0, 0] && head[9] < 2;
    if !is_query {
        return None;
    }
    let (mut name, mut at) = (String::new(), 12);
    loop {
        let length = usize::from(*bytes.get(at)?);
        if length == 0 {
            break;
        }
        let label = bytes.get(at + 1..at + 1 + length).filter(|_| length < 64 && at + length < 12 + 255)?;
        if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)) {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|byte| char::from(*byte)));
        at += 1 + length;
    }
    // A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, HTTPS of class IN.
    let [high, kind, class_high, class] = *bytes.get(at + 1..at + 5)? else { return None };
    let known = high == 0 && [1, 2, 5, 6, 12, 15, 16, 28, 33, 65].contains(&kind) && (class_high, class) == (0, 1);
    (known && !name.is_empty()).then_some(name)
}

/// By which rules a process looks names up, if one of its threads or tasks may be about it.
pub fn settings(process: &ProcessFacts) -> Option<ResolverFacts> {
    let looks_up = |function: &str| {
        ["getaddrinfo", "gethostby", "getnameinfo", "_nss_", "lookupIP", "goLookup"]
            .iter()
            .any(|part| function.contains(part))
    };
    let named = |frame: &crate::core::facts::Frame| frame.function.as_deref().is_some_and(looks_up);
    let asks = process.sockets.iter().any(is_name_server)
        || process.threads.iter().any(|thread| thread.frames.iter().any(named))
        || process.tasks.iter().any(|task| task.frames.iter().any(named));
    asks.then(|| {
        let read = |file: &str| {
            let path = format!("/proc/{}/root/etc/{file}", process.pid);
            let text = files::text(&path).unwrap_or_default();
            text.get(..SETTINGS).map(str::to_owned).unwrap_or(text)
        };
        ResolverFacts::parse(&read("resolv.conf"), &read("nsswitch.conf"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query for the name, of this type.
    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut bytes = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.extend([0, 0, kind, 0, 1]);
        bytes
    }

    #[test]
    fn the_name_in_a_query() {
        assert_eq!(question(&query("db.shop.internal", 1)).as_deref(), Some("db.shop.internal"));
        assert_eq!(question(&query("_pg._tcp.shop", 33)).as_deref(), Some("_pg._tcp.shop"));
        assert_eq!(question(&query("db", 99)), None, "no type that anyone asks for");
        let answer =
            query("db", 1).iter().enumerate().map(|(at, byte)| if at == 2 { 0x81 } else { *byte }).collect::<Vec<u8>>();
        assert_eq!(question(&answer), None, "an answer");
        assert_eq!(question(&query("a b", 1)), None);
        let whole = query("db.shop.internal", 28);
        for cut in 0..whole.len() {
            assert_eq!(question(&whole[..cut]), None);
        }
    }

    #[test]
    fn a_query_is_found_in_a_stack_and_behind_a_pointer() {
        let memory = Memory::of(std::process::id() as i32);
        let mut bytes = vec![0x55; 100];
        bytes.extend(query("cache.shop", 28));
        assert_eq!(asked(&Stack { base: 0x1000, bytes }, &memory).as_deref(), Some("cache.shop"));
        let heap = [vec![0, 28], query("cache.shop", 1), vec![0; QUERY]].concat();
        let pointer = (heap.as_ptr() as u64).to_le_bytes();
        let bytes = [[0; 8], pointer].concat();
        assert_eq!(asked(&Stack { base: 0x1000, bytes }, &memory).as_deref(), Some("cache.shop"));
        assert_eq!(asked(&Stack { base: 0x1000, bytes: vec![7; 64] }, &memory), None);
    }
}
