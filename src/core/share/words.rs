//! Why connections are not steered, for a person.

use std::fmt;

use super::Unshared;
use crate::core::errno;

impl fmt::Display for Unshared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unshared::Exclusive => {
                write!(f, "its program binds it without SO_REUSEPORT, so only one process can listen")
            }
            Unshared::Stranger => write!(f, "a process that does not belong to the service listens there, too"),
            Unshared::Unseen => write!(f, "no process of the service is seen to listen there"),
            Unshared::Unsure => {
                write!(f, "both generations have opened and closed sockets there at the same time")
            }
            Unshared::Denied(number) => {
                write!(
                    f,
                    "the kernel does not let launcher steer them (SO_ATTACH_REUSEPORT_CBPF: {})",
                    errno::name(*number)
                )
            }
        }
    }
}
