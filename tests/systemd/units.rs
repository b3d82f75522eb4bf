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
