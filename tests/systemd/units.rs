//! The text of units.

/// A unit that runs `launcher run` with these flags and this command.
pub fn unit(run: &str, options: &str) -> String {
    service(&format!("/tb/launcher run {run}"), options)
}

/// A unit that runs `launcher run -c FILE`.
pub fn file(path: &str, options: &str) -> String {
    service(&format!("/tb/launcher run -c {path}"), options)
}

fn service(command: &str, options: &str) -> String {
    format!("[Service]\nType=notify\nNotifyAccess=main\nKillMode=mixed\nExecStart={command}\n{options}\n")
}

/// A shell that tells of its reloads itself, and does this meanwhile: written without single quotes.
pub fn reloading(meanwhile: &str) -> String {
    format!(
        r#"tell() {{ /tb/launcher notify "$@"; }}
        now() {{ echo $(($(cut -d. -f1 /proc/uptime) * 1000000)); }}
        trap 'tell RELOADING=1 MONOTONIC_USEC=$(now); {meanwhile}; tell READY=1' HUP
        tell READY=1
        while :; do sleep 60 & wait $!; done"#
    )
}
