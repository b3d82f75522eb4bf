//! The same facts from `/proc/net/{tcp,tcp6,udp,udp6,unix}` (`proc_net(5)`), for where netlink is denied. They lack the
//! cgroup, the backlog limit, v6only, Unix peers and sockets that are bound but neither listen nor connect.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Filter, InetSocket, Protocol, State, UnixKind, UnixName, UnixSocket};

/// The sockets that pass the filter.
pub fn inet_sockets(filter: &Filter) -> io::Result<Vec<InetSocket>> {
    let files = match filter.protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let mut found = Vec::new();
    for (index, file) in files.into_iter().enumerate() {
        let text = match std::fs::read_to_string(file) {
            // Without IPv6 there is no second file.
            Err(_) if index == 1 => break,
            other => other?,
        };
        let sockets = text.lines().skip(1).filter_map(|line| parse_inet(line, filter.protocol));
        found.extend(sockets.filter(|socket| {
            filter.states & socket.state.bit() != 0 && filter.port.is_none_or(|port| port == socket.local.port())
        }));
    }
    if v6only_by_default() {
        found.iter_mut().for_each(|socket| socket.v6only = socket.local.is_ipv6());
    }
    Ok(found)
}

fn v6only_by_default() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv6/bindv6only").is_ok_and(|text| text.trim() == "1")
}

/// `sl local remote st tx:rx tr:when retrnsmt uid timeout inode …`
fn parse_inet(line: &str, protocol: Protocol) -> Option<InetSocket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (send, receive) = fields.get(4)?.split_once(':')?;
    Some(InetSocket {
        protocol,
        local: parse_address(fields.get(1)?)?,
        remote: parse_address(fields.get(2)?)?,
        state: State::from_number(u8::from_str_radix(fields.get(3)?, 16).ok()?),
        inode: fields.get(9)?.parse().ok()?,
        uid: fields.get(7)?.parse().ok()?,
        cgroup: None,
        v6only: false,
        receive_queue: u32::from_str_radix(receive, 16).ok()?,
        send_queue: u32::from_str_radix(send, 16).ok()?,
        retransmits: u8::try_from(u32::from_str_radix(fields.get(6)?, 16).ok()?).unwrap_or(u8::MAX),
        times: None,
    })
}

/// `0100007F:1F90`: words of 32 bits in host order, the port as a number.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| {
        let digits = address.get(index * 8..index * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (index, bytes) in octets.chunks_exact_mut(4).enumerate() {
                bytes.copy_from_slice(&word(index)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The Unix sockets in one of these states.
pub fn unix_sockets(states: u32) -> io::Result<Vec<UnixSocket>> {
    let text = std::fs::read("/proc/net/unix")?;
    let text = String::from_utf8_lossy(&text);
    let sockets = text.lines().skip(1).filter_map(parse_unix);
    Ok(sockets.filter(|socket| states & socket.state.bit() != 0).collect())
}

/// `Num RefCount Protocol Flags Type St Inode Path`
fn parse_unix(line: &str) -> Option<UnixSocket> {
    // The path may hold blanks: it is the rest of the line.
    let mut rest = line;
    let mut fields = [""; 7];
    for field in &mut fields {
        rest = rest.trim_start();
        let end = rest.find(' ').unwrap_or(rest.len());
        (*field, rest) = rest.split_at(end);
    }
    const SO_ACCEPTCON: u32 = 1 << 16;
    let listens = u32::from_str_radix(fields[3], 16).ok()? & SO_ACCEPTCON != 0;
    let name = rest.strip_prefix(' ').unwrap_or(rest);
    Some(UnixSocket {
        kind: match fields[4] {
            "0002" => UnixKind::Datagram,
            "0005" => UnixKind::SequentialPacket,
            _ => UnixKind::Stream,
        },
        state: match (listens, fields[5]) {
            (true, _) => State::Listen,
            (false, "03") => State::Established,
            _ => State::Closed,
        },
        inode: fields[6].parse().ok()?,
        name: match name.strip_prefix('@') {
            Some(name) => Some(UnixName::Abstract(name.as_bytes().to_vec())),
            None => UnixName::from_bytes(name.as_bytes()),
        },
        file: None,
        peer: None,
        uid: None,
        receive_queue: 0,
        send_queue: 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_words_in_host_order() {
        assert_eq!(parse_address("0100007F:1F90"), Some("127.0.0.1:8080".parse().unwrap()));
        assert_eq!(parse_address("00000000000000000000000001000000:0050"), Some("[::1]:80".parse().unwrap()));
        assert_eq!(
            parse_address("0000000000000000FFFF00000100007F:0050"),
            Some("[::ffff:127.0.0.1]:80".parse().unwrap())
        );
    }

    #[test]
    fn a_path_with_blanks_is_whole() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/a b.sock";
        let socket = parse_unix(line).unwrap();
        assert_eq!((socket.state, socket.inode), (State::Listen, 4711));
        assert_eq!(socket.name, Some(UnixName::Path("/run/a b.sock".into())));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "\\PC{0,200}") {
            let _ = parse_inet(&line, Protocol::Tcp);
            let _ = parse_unix(&line);
            let _ = parse_address(&line);
        }
    }
}
