//! `launcher completions`.

use clap_complete::Shell;

/// The completion script of a shell.
pub fn completions(shell: Shell) -> Vec<u8> {
    // The words a flag takes are checked by the core; a shell is told them here.
    let words: [(&str, &[&'static str]); 7] = [
        ("ready", &["auto", "notify", "listen", "started", "exited", "fd"]),
        ("on_timeout", &["restart", "exit"]),
        ("restart", &["never", "on-failure", "always"]),
        ("log_format", &["auto", "text", "json"]),
        ("log_level", &["error", "warn", "info", "debug", "trace"]),
        ("stop_signal", &["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "KILL"]),
        ("signals_to", &["main", "group"]),
    ];
    let mut command = super::described();
    for name in ["run", "check", "verify"] {
        command = command.mut_subcommand(name, |mut command| {
            for (flag, words) in words {
                command =
                    command.mut_arg(flag, |arg| arg.value_parser(clap::builder::PossibleValuesParser::new(words)));
            }
            command
        });
    }
    // Into memory: what generates it panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "launcher", &mut script);
    script
}
