//! How it is said that a port is treated otherwise than asked for.

use super::{Reason, Way};
use crate::core::settings::Listen;

/// One line: what was asked for, what is done instead, why, and what helps.
pub fn fallback(service: &str, port: &str, listen: &Listen, from: Way, to: Way, why: &str) -> String {
    let (from, to) = (from.name(), to.name());
    format!("port {port} ({listen}) of {service} falls back from {from} to {to}: {why}")
}

/// What is said of a bind that finds its port in the hands of its own generation.
pub fn held_by_another(service: &str, listen: &Listen) -> String {
    format!("{service} binds {listen} a second time while it still has it: the second bind is left to the kernel")
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::OtherAddress(address) => {
                write!(f, "the program binds {address}; declare that address to have it held for it")
            }
            Reason::OtherFamily(address) if address.is_ipv6() => {
                write!(f, "the program binds {address} on an IPv6 socket; declare \"{address}\" to have it held for it")
            }
            Reason::OtherFamily(address) => {
                write!(f, "the program binds {address} on an IPv4 socket; declare \"{address}\" to have it held for it")
            }
            Reason::OnlyV6(true) => {
                f.write_str("the program's socket keeps to IPv6 (IPV6_V6ONLY), and the one that is held takes IPv4 too")
            }
            Reason::OnlyV6(false) => {
                f.write_str("the program's socket takes IPv4 too, and the one that is held keeps to IPv6")
            }
            Reason::OnlyV6Unknown => f.write_str("whether the program's socket keeps to IPv6 cannot be seen from here"),
            Reason::OtherNetwork => f.write_str("the program binds it in another network namespace"),
            Reason::Polled => f.write_str("the program has its socket in an epoll set before it is bound"),
            Reason::Shared => {
                f.write_str("the program has its socket under more than one descriptor before it is bound")
            }
            Reason::Unseen => f.write_str(
                "the memory and descriptors of the program may not be read (another user, or PR_SET_DUMPABLE is 0)",
            ),
            Reason::Narrow => f.write_str("the program is a 32-bit one, whose calls are not answered"),
            Reason::NotPlaced(errno) => write!(
                f,
                "the socket could not be put in the place of the program's own ({})",
                crate::core::errno::describe(*errno)
            ),
        }
    }
}
