//! The longer texts of the help: what the commands are for, by example.

pub(super) const HELP: &str = "\
Examples:
  launcher run -- ./server                      run it, pass signals on, leave with its exit code
  launcher run --port http=8080 --ready listen --restart on-failure -- ./server
  launcher run                                  all services of ./launcher.toml
  launcher init                                 write launcher.toml from a Procfile and the like
  launcher check                                what would keep them from starting
  launcher verify                               do they start? for a CI gate
  launcher status                               how those services are, from another terminal
  launcher dump 4711                            what is process 4711 waiting for?
  launcher wait postgres://db:5432              wait until the database takes sessions
  launcher port 8080                            who has this port?

launcher -- COMMAND is short for launcher run -- COMMAND. More: launcher COMMAND --help, launcher man";

pub(super) const RUN_HELP: &str = "\
Durations are written 250ms, 30s, 1m30s. In COMMAND, {port.NAME} stands for the number of a port.
With a file, on a terminal: r restarts, l shows the lines of one service alone, d dumps one, q stops, ? says so.

Examples:
  launcher run -- ./server --verbose
  launcher run --port 127.0.0.1:8080,pass --ready notify --start-timeout 3s --restart on-failure -- ./server
  launcher run --port http=auto -- ./server --listen 127.0.0.1:{port.http}
  launcher run -c shop.toml api                 the service api and what it needs
  launcher run --debug api                      all of launcher.toml, api under dlv, gdbserver, debugpy, node or JDWP

Exit codes: the command's own (--map-exit); 128+n ended by signal n; 2 wrong command line; 69 a requirement did not
answer; 71 preflight failed; 78 wrong launcher.toml; 124 not ready in time; 125 launcher failed; 126 not executable; 127 not found";

pub(super) const CHECK_HELP: &str = "\
Nothing is started; requirements are tried once. Every finding is listed with its code, not just the first.

Exit codes: 0 nothing is in the way; 69 only requirements are; 126 or 127 only programs are; 71 all else; 78 wrong
launcher.toml

Examples:
  launcher check
  launcher check --offline --strict --json      in the build of a container
  launcher check --port 8080 -- ./server";

pub(super) const VERIFY_HELP: &str = "\
Everything is started as run would, with one attempt each, and must become ready; then it is stopped. The phases config,
preflight, requirements, start, ready and stop are told with their times; the first that fails gives the exit code, and
its verdict is shown. A service that cannot show that it is ready is watched for a second.

With --ports auto, {port.NAME}, PORT, ready.tcp, ready.http, and the URLs of requirements and of --expect follow a port
that is put on a free one; a number that is written elsewhere does not. Several services may have a port of one name:
{port.SERVICE.NAME}.

Exit codes: 0 all phases passed; 69 a requirement did not answer; 71 preflight; 78 wrong launcher.toml; 124 not ready in
time, or not as expected; else the code that the failed service would give launcher run

Examples:
  launcher verify
  launcher verify --ports auto --for 10s --expect http://127.0.0.1:{port.http}/healthz=200 --junit verify.xml
  launcher verify --port http=auto -- ./server --listen 127.0.0.1:{port.http}";

pub(super) const DUMP_HELP: &str = "\
The processes are not stopped while they wait, and nothing is asked of them but of a JVM (by its attach protocol).

Examples:
  launcher dump 4711
  launcher dump api                             a service of the launcher of this folder
  launcher dump --all 4711
  launcher dump --json 4711";

pub(super) const WAIT_HELP: &str = "\
URL is one of
  tcp://HOST:PORT         a connection is accepted         unix:PATH   the same of a Unix socket
  http://HOST[:PORT]/PATH status 200 to 399, also https    dns:NAME    the name has an address
  postgres://HOST/DB      a session begins                 file:PATH   the file is there
  mysql://HOST/DB         the handshake succeeds           exec:WORDS  the command ends with code 0
  redis://HOST            PING is answered, also rediss    kafka://HOST:PORT
  grpc://HOST:PORT/NAME   the health check says SERVING    amqp://HOST

Exit codes: 0 all have answered; 2 wrong command line; 69 one did not in time

Examples:
  launcher wait postgres://db:5432 redis://cache:6379 --timeout 1m
  launcher wait 'exec:test -s /run/migrated'";

pub(super) const PORT_HELP: &str = "\
ADDRESS is tcp://HOST:PORT, udp://HOST:PORT, unix:PATH, HOST:PORT, or PORT on all addresses.

Examples:
  launcher port 8080
  launcher port udp://127.0.0.1:53 --json";

pub(super) const STATUS_HELP: &str = "\
Exit codes: 0 it was shown; 2 wrong command line; 71 no such launcher or service

Examples:
  launcher status                               of the launcher that runs in this folder
  launcher status api                           everything about one service
  launcher status --name shop --json";

pub(super) const LOGS_HELP: &str = "\
Of several services each line begins with the service's name. Ctrl-C ends -f; so does the end of the launcher.

Examples:
  launcher logs api
  launcher logs -f -n 20";

pub(super) const ATTACH_HELP: &str = "\
For a service with terminal = true in launcher.toml. What you type is for the service, Ctrl-C too; Ctrl-P Ctrl-Q leaves it,
and it goes on. Several may be attached at a time; the size is that of whoever came last. When the service is restarted you
stay. Input that is no terminal is typed to its end; what comes of it is shown until nothing has come for half a second
(--linger), or for ten times that where it never is quiet.

Exit codes: 0 you have left, or it was stopped; 2 wrong command line; 71 no such launcher or service, or it has no terminal;
125 launcher was killed; else the code with which the service ended for good; 128+n signal n has ended launcher attach

Examples:
  launcher attach api
  launcher attach --detach-keys 'ctrl-],q' api
  echo save-all | launcher attach game";

pub(super) const STOP_HELP: &str = "\
A service of a launcher.toml stays stopped until launcher start, and launcher stays with it. Without SERVICE all are
stopped and launcher ends, as with Ctrl-C.";

pub(super) const RESTART_HELP: &str = "\
It waits until the service is ready, or says why it is not.

With --canary the new generation gets that part of new connections, and the old one the rest, until launcher promote or
launcher rollback. All ports of the service must have mode \"share\", and its program set SO_REUSEPORT. A canary that fails
is reported and removed, and the old generation gets all again. launcher status shows it.

Examples:
  launcher restart api
  launcher restart api --canary 10%             then: launcher promote api, or launcher rollback api

Exit codes: 0 it is ready; 69 a requirement did not answer; 71 no such launcher or service, or preflight failed; 124 not
ready in time; 126 not executable; else the code with which it ended, 128+n by signal n";

pub(super) const PROMOTE_HELP: &str = "\
New connections all go to the generation that launcher restart SERVICE --canary 10% has started; the old one ends what it
has begun, within drain_timeout. One that is not ready yet does so when it is. Without SERVICE every service that has a
canary is meant.

Exit codes: 0 it serves; 71 no such launcher or service, or no canary; else as launcher restart";

pub(super) const ROLLBACK_HELP: &str = "\
New connections all go to the old generation again; the canary ends what it has begun, within drain_timeout. A restart
that is under way, and not ready yet, is taken back in the same way. Without SERVICE every service that has a canary is
meant.

Exit codes: 0 the old generation serves on; 71 no such launcher or service, or nothing to take back";

pub(super) const RELOAD_HELP: &str = "\
Without a service launcher.toml is read again: what is different is told, services that are gone are stopped, new ones
started, and those restarted whose processes must be started anew for it, as by launcher restart: beside the old one where
two can serve, which stays as it was if the new one is not ready. Others go on. A file with an error changes
nothing; all errors are shown, and the exit code is 78. It is read again by itself where a service has `watch`.

A service that is named reads its own configuration again: it is sent its reload_signal, HUP by default. One that
says RELOADING=1 and READY=1 (sd_notify) is waited for. One that has no handler for the signal, which
would end it, is restarted beside itself where two can serve; else nothing is done.

Exit codes: 0 all is as the file says; 71 no such launcher, or it has no file; 78 the file is wrong; 126, 127 a program
cannot be executed or found, and nothing was changed; else as that of restart for the first service that is not ready";

pub(super) const REPORT_HELP: &str = "\
The report is looked for where a running launcher of this folder keeps its reports, then in the report_dir of the
launcher.toml here, then in the user's state directory. With --name or --control only that launcher's are meant, with
--report-dir only those in that folder.

Examples:
  launcher report api
  launcher report --name shop api
  launcher report --json | jq -r .verdict.summary

Exit codes: 0 there is one; 2 wrong command line; 71 there is none, or no such launcher";

pub(super) const NOTIFY_HELP: &str = "\
For scripts that launcher, or systemd, started with a NOTIFY_SOCKET.

Examples:
  launcher notify READY=1 STATUS='serving on port 8080'
  launcher notify EXTEND_TIMEOUT_USEC=30000000
  launcher notify STOPPING=1";

pub(super) const INIT_HELP: &str = "\
Comments in it explain each guess. What a compose file only has as an image (a database) becomes a requirement of the
services that depend on it.

Examples:
  launcher init
  launcher init Dockerfile --output -
  launcher init -- ./server --port 8080";

pub(super) const COMPLETIONS_HELP: &str = "\
Examples:
  launcher completions bash > /etc/bash_completion.d/launcher
  launcher completions fish > ~/.config/fish/completions/launcher.fish";

pub(super) const PORT_FLAG: &str = "\
Where it listens; may be repeated. ADDRESS is [tcp://]HOST:PORT,
udp://HOST:PORT or unix:PATH, PORT a number, or auto for a free one,
MODE check, reserve, pass, share, capture or adopt [default: reserve]";

pub(super) const READY_FLAG: &str = "\
How it is known to be ready: auto, notify, listen, started, exited,
fd (or fd:NUMBER), tcp://ADDRESS:PORT, http://ADDRESS:PORT/PATH,
log:REGEX, exec:COMMAND [default: auto]";

pub(super) const RUN_ABOUT: &str = "Run the services of launcher.toml, or one command";
