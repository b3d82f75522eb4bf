//! Capabilities by name (`capabilities(7)`).

/// All of Linux 5.9 and later, by number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Several capabilities, a bit for each number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// This set with one more.
    #[must_use]
    pub fn with(self, number: u32) -> CapabilitySet {
        CapabilitySet(self.0 | 1_u64.checked_shl(number).unwrap_or(0))
    }
}

/// The number of a capability, written with or without `CAP_`, in letters of any case.
pub fn number(name: &str) -> Option<u32> {
    let upper = name.to_ascii_uppercase();
    let plain = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|known| *known == plain).and_then(|number| u32::try_from(number).ok())
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> + Clone {
    NAMES.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_numbers() {
        assert_eq!([number("CHOWN"), number("cap_net_bind_service"), number("CAP_BPF")], [Some(0), Some(10), Some(39)]);
        assert_eq!(number("NET"), None);
        assert_eq!(CapabilitySet::default().with(10).with(0).0, 0b100_0000_0001);
    }
}
