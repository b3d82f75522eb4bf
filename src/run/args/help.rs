//! The longer texts of the help: what the commands are for, by example.

pub(super) const HELP: &str = "\
Examples:
  launcher run -- ./server                      run it, pass signals on, leave with its exit code
  launcher run --port http=8080 --ready listen --restart on-failure -- ./server
  launcher run                                  all services of ./launcher.toml
  launcher check                                what would keep them from starting
  launcher dump 4711                            what is process 4711 waiting for?
  launcher port 8080                            who has this port?

launcher -- COMMAND is short for launcher run -- COMMAND. More: launcher COMMAND --help, launcher man";

pub(super) const RUN_HELP: &str = "\
Durations are written 250ms, 30s, 1m30s. In COMMAND, {port.NAME} stands for the number of a port.

Examples:
  launcher run -- ./server --verbose
  launcher run --port 127.0.0.1:8080,pass --ready notify --start-timeout 3s --restart on-failure -- ./server
  launcher run --port http=auto -- ./server --listen 127.0.0.1:{port.http}
  launcher run -c shop.toml api                 the service api and what it needs

Exit codes: the command's own; 128+n ended by signal n; 2 wrong command line; 71 preflight failed; 78 wrong
launcher.toml; 124 not ready in time; 125 launcher failed; 126 not executable; 127 not found";

pub(super) const CHECK_HELP: &str = "\
Nothing is started. Every finding is listed, not just the first; the exit code is 0 when there is none.

Examples:
  launcher check
  launcher check --port 8080 -- ./server";

pub(super) const DUMP_HELP: &str = "\
The processes are not stopped while they wait, and nothing is asked of them.

Examples:
  launcher dump 4711
  launcher dump --all 4711
  launcher dump --json api";

pub(super) const PORT_HELP: &str = "\
ADDRESS is tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, HOST:PORT, or PORT on all addresses.

Examples:
  launcher port 8080
  launcher port udp://127.0.0.1:53 --json";

pub(super) const NOTIFY_HELP: &str = "\
For scripts that launcher, or systemd, started with a NOTIFY_SOCKET.

Examples:
  launcher notify READY=1 STATUS='serving on port 8080'
  launcher notify EXTEND_TIMEOUT_USEC=30000000
  launcher notify STOPPING=1";

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  launcher completions bash > /etc/bash_completion.d/launcher
  launcher completions fish > ~/.config/fish/completions/launcher.fish";

pub(super) const PORT_FLAG: &str = "\
Where it listens; may be repeated. ADDRESS is [tcp://]HOST:PORT,
udp://HOST:PORT or unix:PATH, PORT a number, or auto for a free one,
MODE check, reserve or pass [default: reserve]";

pub(super) const READY_FLAG: &str = "\
How it is known to be ready: auto, notify, listen, started, exited
or tcp://HOST:PORT [default: auto]";

pub(super) const RUN_ABOUT: &str = "Run the services of launcher.toml, or one command";
