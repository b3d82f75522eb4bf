//! The variables that launcher sets for a child (DESIGN §4).

/// Those that speak of one process and its supervisor. What launcher inherited of them is not the child's, and no
/// settings may set them. LISTEN_PIDFDID goes with LISTEN_PID (systemd 259, `sd_listen_fds(3)`).
pub const OWN_VARIABLES: [&str; 9] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDNAMES",
    "LAUNCHER_SERVICE",
    "LAUNCHER_GENERATION",
];

/// Whether a variable is one that launcher sets for its children, and so never passes on from its own parent: its own,
/// and those that name ports.
pub fn is_set_by_launcher(name: &[u8]) -> bool {
    let own = OWN_VARIABLES.iter().any(|own| own.as_bytes() == name);
    own || name == b"PORT" || name.starts_with(b"PORT_")
}

/// A port's name as the end of a variable's name: `http-admin` gives `HTTP_ADMIN`.
pub fn variable_name(port: &str) -> String {
    port.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}
