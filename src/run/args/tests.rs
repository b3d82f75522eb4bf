use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::core::config::{self, Context};
use crate::core::settings::{PortMode, RestartPolicy, Settings};

fn command(line: &[&str]) -> Result<Command, ArgsError> {
    parse(std::iter::once("launcher").chain(line.iter().copied()).map(OsString::from))
}

fn run(line: &[&str]) -> RunArgs {
    match command(line) {
        Ok(Command::Run(run)) => *run,
        other => panic!("{line:?}: {other:?}"),
    }
}

fn settings(flags: &[&str]) -> Result<Settings, String> {
    let line: Vec<&str> = [&["run"], flags, &["--", "/bin/api", "-x", "{}"]].concat();
    settings_from_flags(&run(&line)).map_err(|error| error.to_string())
}

/// What was printed, and the exit code.
fn refused(line: &[&str]) -> (String, i32) {
    match command(line).unwrap_err() {
        ArgsError::Usage(error) => (error.to_string(), code::USAGE),
        ArgsError::Clap(error) => (error.to_string(), error.exit_code()),
    }
}

/// Flags, and the lines of `[launcher]` and of the service that say the same.
const SAME: &[(&[&str], &str, &str)] = &[
    (&[], "", ""),
    (
        &["--port", "http=127.0.0.1:8080,pass"],
        "",
        "port = [{ name = 'http', listen = 'tcp://127.0.0.1:8080', mode = 'pass' }]",
    ),
    (
        &["--port", "udp://[::]:53", "--port", "unix:/a,check"],
        "",
        "port = [{ listen = 'udp://[::]:53' }, { listen = 'unix:/a', mode = 'check' }]",
    ),
    (&["--take-over", "--port", "80"], "", "port = [{ listen = '80', take_over = true }]"),
    (&["--port", "80", "--take-over=any"], "", "port = [{ listen = '80', take_over = 'any' }]"),
    (&["--ready", "notify"], "", "ready = 'notify'"),
    (&["--ready", "tcp://127.0.0.1:80"], "", "ready.tcp = '127.0.0.1:80'"),
    (&["--start-timeout", "1m30s"], "", "start_timeout = '90s'"),
    (&["--on-timeout", "exit"], "", "on_timeout = 'exit'"),
    (&["--stop-signal", "SIGQUIT"], "", "stop_signal = 'QUIT'"),
    (&["--rewrite", "TERM=QUIT", "--rewrite", "1=none"], "", "signals = { rewrite = { TERM = 'QUIT', HUP = 'none' } }"),
    (&["--signals-to", "group"], "", "signals = { to = 'group' }"),
    (&["--stop-timeout", "0s"], "", "stop_timeout = '0s'"),
    (&["--stop-budget", "1s"], "stop_budget = '1s'", ""),
    (&["--stop-with-parent"], "stop_with_parent = true", ""),
    (&["--map-exit", "143=0", "--map-exit", "1=255"], "map_exit = { 143 = 0, 1 = 255 }", ""),
    (&["--restart", "always"], "", "restart = { policy = 'always', breaker = 'off', max_failures = 5 }"),
    (
        &["--restart", "on-failure", "--backoff", "1ms..2s", "--max-failures", "7"],
        "",
        "restart = { breaker = 'off', backoff = { initial = '1ms', max = '2s' }, max_failures = 7 }",
    ),
    (&["--restart", "on-failure", "--max-failures", "0"], "", "restart = { breaker = 'off', max_failures = 0 }"),
    (&["--env-file", ".env", "--env-file", "/b"], "", "environment_files = ['.env', '/b']"),
    (
        &["--require", "tcp://db:1", "--require", "redis://c"],
        "",
        "require = [{ url = 'tcp://db:1' }, { url = 'redis://c' }]",
    ),
    (
        &["--require", "tcp://db:1", "--require-timeout", "2m"],
        "",
        "require = [{ url = 'tcp://db:1' }]\nrequire_timeout = '2m'",
    ),
    (&["--user", "app"], "", "user = 'app'"),
    (&["--directory", "sub"], "", "directory = 'sub'"),
    (&["-i"], "", "interactive = true"),
    (&["--interactive"], "", "interactive = true"),
    (&["--report-dir", "r"], "report_dir = 'r'", ""),
    (&["--log-format", "json"], "log_format = 'json'", ""),
    (&["--log-level", "trace"], "log_level = 'trace'", ""),
    (&["--name", "api"], "name = 'api'", ""),
    (&["--http", "127.0.0.2:9900"], "http = '127.0.0.2:9900'", ""),
    (&["--control", "c.sock"], "control = 'c.sock'", ""),
    (&["--control", "off"], "control = 'off'", ""),
];

#[test]
fn every_flag_says_what_its_key_says() {
    for (flags, launcher, service) in SAME {
        let never = if service.contains("restart = ") { "" } else { "restart = { policy = 'never', breaker = 'off' }" };
        let text = format!(
            "[launcher]\n{launcher}\n[service.api]\ncommand = ['/bin/api', '-x', '{{}}']\n{never}\n{service}\n"
        );
        let file = config::parse("f", &text, Context { folder: Path::new(""), name: "api" });
        let mut file = file.unwrap_or_else(|errors| panic!("{errors}"));
        // Advice is for where it was written.
        file.services[0].ports.iter_mut().for_each(|port| port.by_flag = true);
        assert_eq!(settings(flags), Ok(Settings { single_command: true, ..file }), "{flags:?}");
    }
    for arg in RunCli::command().get_arguments().filter(|arg| !arg.is_hide_set()) {
        // Which file, and what is done with it this once, are no settings.
        let Some(long) = arg.get_long().filter(|long| !matches!(*long, "config" | "debug")) else { continue };
        let flag = format!("--{long}");
        assert!(SAME.iter().any(|(flags, ..)| flags.contains(&flag.as_str())), "{flag} has no key beside it");
    }
}

#[test]
fn a_flag_is_refused_in_the_words_of_its_key() {
    let pairs = [
        ("--start-timeout", "start_timeout", "0s"),
        ("--stop-signal", "stop_signal", "TREM"),
        ("--ready", "ready", "fd:2"),
        ("--ready", "ready", "log:("),
        ("--ready", "ready", "lisen"),
        ("--on-timeout", "on_timeout", "stop"),
        ("--port", "port.0.listen", "tcp://0.0.0.0:99999"),
    ];
    for (flag, key, value) in pairs {
        let line = match key {
            "port.0.listen" => format!("port = [{{ listen = {value:?} }}]"),
            _ => format!("{key} = {value:?}"),
        };
        let text = format!("[service.api]\ncommand = ['x']\n{line}\n");
        let errors = config::parse("f", &text, Context { folder: Path::new(""), name: "" }).unwrap_err();
        let error = &errors.errors()[0];
        let flags = settings(&[flag, value]).unwrap_err();
        assert!(flags.contains(&format!("launcher: {flag} {value}: {}\n", error.message)), "{flags}");
    }
}

#[test]
fn without_a_file_nothing_is_restarted_unless_asked_for() {
    let plain = settings(&[]).unwrap();
    let service = &plain.services[0];
    assert_eq!((plain.launcher.name.as_str(), service.name.as_str()), ("api", "api"));
    assert_eq!((service.restart.policy, service.restart.max_failures), (RestartPolicy::Never, None));
    assert_eq!(service.start_timeout.as_secs(), 30);
    let restarted = settings(&["--restart", "on-failure"]).unwrap();
    assert_eq!(restarted.services[0].restart.max_failures, Some(5));
    assert_eq!(restarted.services[0].restart.breaker, None);
}

#[test]
fn all_wrong_flags_at_once() {
    let error = settings(&["--start-timeout", "30", "--port", "x=80,pas", "--backoff", "2s..1s", "--http", "x"]);
    let expected = "\
launcher: --start-timeout 30: a duration needs a unit
  help: write 30s
launcher: --port x=80,pas: unknown mode \"pas\", did you mean \"pass\"?
  help: one of check, reserve, pass, share, capture, adopt
launcher: --backoff 2s..1s: the longest backoff (1s) is shorter than the first (2s)
  help: make max at least 2s, or initial at most 1s
launcher: --backoff does nothing without --restart
  help: add --restart on-failure
launcher: --http x: \"x\" has no port
  help: write 127.0.0.1:8080

For more information, try 'launcher run --help'.
";
    assert_eq!(error.unwrap_err(), expected);
    assert!(settings(&["--require", "tcp://x"]).unwrap_err().contains("--require tcp://x: \"tcp://x\" has no port"));
    assert!(settings(&["--control", "@x"]).unwrap_err().contains("--control @x: a name in the abstract namespace"));
    for (flag, value) in [("--max-failures", "-1"), ("--max-failures", "+1"), ("--user", "")] {
        assert!(settings(&["--restart", "always", &format!("{flag}={value}")]).unwrap_err().contains(flag), "{flag}");
    }
    assert_eq!(refused(&["run", "--directory=", "--", "x"]).1, 2);
    assert!(settings(&["--ready", "listen"]).unwrap_err().contains("no port is declared"));
    assert!(settings(&["--port", "80", "--port", "80"]).unwrap_err().contains("is already port \"1\""));
}

#[test]
fn the_command_is_everything_behind_the_dashes() {
    let args = run(&["--", "./server", "--port", "80", "--", "x"]);
    assert_eq!(args.command, ["./server", "--port", "80", "--", "x"].map(OsString::from));
    assert_eq!(args, run(&["run", "--", "./server", "--port", "80", "--", "x"]));
    assert_eq!(run(&["-i", "--", "sh"]), run(&["run", "-i", "--", "sh"]));
    assert_eq!(run(&["--", "stop"]).command, ["stop"]);
    // The short way past clap gives what clap gives.
    for words in [&["run", "--", "a"][..], &["run", "--", "--", "-i", "--help"], &["run", "--", "", "--", "x"]] {
        let by_clap = RunArgs { dashes: true, ..RunCli::try_parse_from(words).unwrap().run };
        assert_eq!(run(words), by_clap, "{words:?}");
    }
    let strange = OsString::from_vec(b"\xff\xfe/\xffsrv".to_vec());
    let args = parse(["launcher".into(), "--".into(), strange.clone()]).unwrap();
    let Command::Run(args) = args else { panic!("{args:?}") };
    let settings = settings_from_flags(&args).unwrap();
    assert_eq!(settings.services[0].command, [strange]);
    assert_eq!(settings.services[0].name, "srv");
    for args in [run(&["run", "--"]), run(&["--"]), run(&["--", ""])] {
        let error = load(&args).unwrap_err();
        assert!(error.to_string().starts_with("launcher: there is no command after --"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    let error = load(&run(&["run", "-c", "f", "--", "x"])).unwrap_err();
    assert!(error.to_string().contains("do not go together"));
    let error = load(&run(&["run", "--", "x", "{port.http}"])).unwrap_err();
    assert!(error.to_string().contains("unknown port \"http\""), "{error}");
}

#[test]
fn a_slip_is_answered_with_what_was_meant() {
    let (text, exit) = refused(&["run", "--prot", "80", "--", "x"]);
    assert!(text.contains("a similar argument exists: '--port'"), "{text}");
    assert_eq!(exit, 2);
    assert!(refused(&["chek"]).0.contains("'check'"));
    assert_eq!(refused(&[]).1, 2);
    assert_eq!(refused(&["--help"]).1, 0);
    assert_eq!(refused(&["run", "--help"]).1, 0);
    assert_eq!(refused(&["--version"]), (format!("launcher {}\n", env!("CARGO_PKG_VERSION")), 0));
}

#[test]
fn a_file_is_found_read_and_reduced_to_what_is_asked_for() {
    let folder = tempfile::Builder::new().prefix("my shop").tempdir().unwrap();
    let file = folder.path().join("l.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "[service.a]\ncommand = ['a']\n[service.b]\ncommand = ['b']\n").unwrap();
    let settings = load(&run(&["run", "-c", path, "b", "--log-level", "debug", "--name", "other"])).unwrap();
    assert_eq!(settings.services.len(), 1);
    assert_eq!(settings.services[0].directory.as_deref(), Some(folder.path()));
    assert_eq!((settings.launcher.name.as_str(), settings.single_command), ("other", false));
    assert!(load(&run(&["run", "-c", path])).unwrap().launcher.name.starts_with("my-shop"));
    let fails = |line: &[&str]| {
        let error = load(&run(line)).unwrap_err();
        (error.render(false), error.exit_code())
    };
    assert!(fails(&["run", "-c", path, "c"]).0.contains("unknown service \"c\""));
    for flags in [&["--port", "80"][..], &["--restart", "always"], &["-i"], &["--user", "x"]] {
        let (text, exit) = fails(&[&["run", "-c", path][..], flags].concat());
        assert!(text.contains("does not say which service of the file it is for"), "{text}");
        assert_eq!(exit, 2);
    }
    std::fs::write(&file, "[service.a]\ncomand = ['a']\n").unwrap();
    let (text, exit) = fails(&["run", "-c", path]);
    assert!(
        text.contains("unknown key \"comand\", did you mean \"command\"?") && text.contains("l.toml:2:1"),
        "{text}"
    );
    assert_eq!(exit, 78);
    let (text, exit) = fails(&["run", "-c", folder.path().to_str().unwrap()]);
    assert!(text.contains("cannot read") && exit == 78, "{text}");
    assert!(fails(&["run", "-c", "/dev/zero"]).0.contains("more than 4 MiB"));
    let (text, exit) = fails(&["run", "-c", "/nowhere/l.toml"]);
    assert!(text.contains("cannot read /nowhere/l.toml") && text.contains("-c") && exit == 78, "{text}");
    // The tests run in the package's folder, which has an example, but no launcher.toml.
    let (text, exit) = fails(&["run", "./server"]);
    assert!(text.contains("there is no launcher.toml in this folder") && text.contains("launcher run -- ./server"));
    assert_eq!(exit, 2);
}

#[test]
fn the_other_commands() {
    let target = |text: &str| match command(&["dump", text]) {
        Ok(Command::Dump(args)) => args.target().map_err(|error| error.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(target("4711"), Ok(DumpTarget::Pid(4711)));
    assert_eq!(target("api"), Ok(DumpTarget::Service("api".into())));
    for bad in ["0", "99999999999", "a/b", ""] {
        assert!(target(bad).is_err(), "{bad}");
    }
    assert!(
        matches!(command(&["port", "8080", "--json"]), Ok(Command::Port(args)) if args.address == "8080" && args.json)
    );
    assert!(matches!(command(&["check", "--port", "80,check", "--", "x"]), Ok(Command::Check(args))
        if settings_from_flags(&args.run).unwrap().services[0].ports[0].mode == PortMode::Check));
    assert!(matches!(command(&["report", "api", "--report-dir", "d"]), Ok(Command::Report(args))
        if args.service.as_deref() == Some("api") && args.report_dir == Some("d".into())));
}

#[test]
fn the_manual_and_the_completions_know_every_command_and_flag() {
    let mut page = Vec::new();
    man::write(&mut page).unwrap();
    let page = String::from_utf8(page).unwrap().replace("\\-", "-");
    for section in
        ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES", "EXAMPLES"]
    {
        assert!(page.contains(&format!(".SH {section}\n")), "{section}");
    }
    let flags: Vec<String> = RunCli::command()
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = String::from_utf8(completions(shell)).unwrap();
        for flag in &flags {
            let name = if shell == Shell::Fish { flag.trim_start_matches("--") } else { flag };
            assert!(script.contains(name), "{shell} {flag}");
        }
        assert!(script.contains("on-failure"));
    }
    for flag in &flags {
        assert!(page.contains(&format!("\\fB{flag}\\fR")), "{flag}");
    }
    for sub in described().get_subcommands() {
        assert!(page.contains(&format!("launcher {}", sub.get_name())), "{}", sub.get_name());
    }
}

proptest! {
    #[test]
    fn no_command_line_panics(
        words in proptest::collection::vec("--(port|ready|backoff|restart|name|max-failures)|-i|--|run|-c|\\PC{0,8}|[0-9.:a-z=,]{0,12}", 0..8),
    ) {
        let line: Vec<&str> = words.iter().map(String::as_str).collect();
        let run = match command(&line) {
            Ok(Command::Run(args)) => Some(args),
            Ok(Command::Check(args)) => Some(Box::new(args.run)),
            _ => None,
        };
        if let Some(args) = run {
            let _ = settings_from_flags(&args);
        }
    }
}

/// What docs/ci.md shows can be pasted: it is YAML, and every command of ours in it is one.
#[test]
fn what_the_page_about_ci_calls_is_there() {
    let page = include_str!("../../../docs/ci.md");
    let mut commands = 0;
    for block in page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let node = crate::core::files::yaml::read(block).unwrap();
        for (_, leaf) in node.leaves() {
            let crate::core::files::tree::Value::Text(text) = &leaf.value else { continue };
            for line in text.replace("\\\n", " ").lines().filter(|line| line.starts_with("launcher ")) {
                let words = line.split_whitespace().map(|word| word.trim_matches('\'').into());
                assert!(parse(words).is_ok(), "{line}");
                commands += 1;
            }
        }
    }
    assert_eq!(commands, 6);
}

#[test]
fn a_program_in_the_place_of_a_command_is_told_how_it_is_started() {
    let (text, code) = refused(&["./api", "--listen"]);
    assert!(text.contains("unrecognized subcommand './api'") && text.contains("launcher run -- ./api"), "{text}");
    assert_eq!(code, code::USAGE);
    // What is nearly a command is not lost by that.
    assert!(refused(&["stauts"]).0.contains("'status'"), "{}", refused(&["stauts"]).0);
}

#[test]
fn a_negative_number_is_a_wrong_value_and_no_flag() {
    let error = settings(&["--restart", "always", "--max-failures", "-1"]).unwrap_err();
    assert!(error.contains("--max-failures -1"), "{error}");
}
