mod example;
mod noise;
mod syntax;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::core::settings::*;
use crate::core::signal::Signal;

fn read(text: &str) -> Result<Settings, ConfigErrors> {
    parse("launcher.toml", text, Context { folder: Path::new(""), name: "shop" })
}

pub fn good(text: &str) -> Settings {
    read(text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn bad(text: &str) -> String {
    read(text).map(|settings| panic!("{settings:?}")).unwrap_err().to_string()
}

/// `line:column message` of every error.
pub fn places(text: &str) -> Vec<String> {
    let errors = read(text).unwrap_err();
    let shown = errors.errors().iter().map(|error| {
        let (line, column) = errors.position(error);
        format!("{line}:{column} {}", error.message)
    });
    shown.collect()
}

#[test]
fn all_errors_of_a_file_at_once_with_place_line_caret_and_hint() {
    assert_eq!(bad(include_str!("wrong.toml")), include_str!("wrong.txt"));
}

#[test]
fn a_service_without_a_command_is_one_mistake_misspelt_or_not() {
    assert_eq!(places("[service.a]\n"), ["1:10 service \"a\" has no command"]);
    assert_eq!(places("[service.a]\ncomand = ['a']\n"), ["2:1 unknown key \"comand\", did you mean \"command\"?"]);
}

#[test]
fn every_key_reaches_its_setting() {
    let settings = good(include_str!("whole.toml"));
    let launcher = LauncherSettings {
        name: "shop-1".into(),
        stop_budget: Duration::from_secs(20),
        stop_with_parent: true,
        map_exit: BTreeMap::from([(143, 0), (1, 255)]),
        report_dir: Some("/var/reports".into()),
        log_format: LogFormat::Json,
        log_level: LogLevel::Debug,
        log_times: true,
        http: Some("127.0.0.1:9900".parse().unwrap()),
        control: ControlPlace::At("launcher.sock".into()),
        ..LauncherSettings::new(String::new())
    };
    let api = ServiceSettings {
        name: "api".into(),
        command: vec!["./api".into(), "--listen".into(), "{port.http}".into()],
        directory: Some("sub".into()),
        environment: BTreeMap::from([("RUST_LOG".into(), "info".into())]),
        environment_files: vec![".env".into(), "more.env".into()],
        after: vec!["db".into()],
        on_failure: OnFailure::StopAll,
        user: Some("app".into()),
        process: ProcessSettings {
            group: Some("www".into()),
            groups: Some(vec!["audio".into(), "7".into()]),
            umask: Some(0o27),
            nice: Some(5),
            oom_score_adj: Some(-100),
            no_new_privs: true,
            capabilities: Some(crate::core::capability::CapabilitySet(1 << 10 | 1 << 5)),
            go_limits: true,
            limits: vec![
                (Resource::Core, Limit { soft: 0, hard: 0 }),
                (Resource::OpenFiles, Limit { soft: 1024, hard: 4096 }),
                (Resource::Stack, Limit { soft: 64 << 20, hard: 64 << 20 }),
            ],
            group_limits: GroupLimits { memory: Some(1 << 30), tasks: Some(64), millicpus: Some(500) },
        },
        ready: Ready::Notify,
        start_timeout: Duration::from_secs(90),
        extend_while_progressing: Some(Duration::from_secs(600)),
        on_timeout: OnTimeout::Exit,
        send_hup: Some(true),
        stop_signal: Signal::QUIT,
        stop_timeout: Duration::from_secs(3),
        on_stop: None,
        reload_signal: Signal::USR2,
        drain_timeout: Duration::from_secs(60),
        watchdog: Some(Duration::from_secs(10)),
        notify: NotifySettings {
            access: NotifyAccess::Main,
            socket: NotifyPlace::At("run/notify".into()),
            fd_store: 3,
            watchdog_signal: Signal::QUIT,
        },
        log: LogSettings::default(),
        pprof: Some("127.0.0.1:6060".parse().unwrap()),
        ports: vec![
            PortSettings {
                name: "http".into(),
                listen: Listen::Tcp("[::]:8080".parse().unwrap()),
                mode: PortMode::Pass,
                until: HoldUntil::Exec,
                by_flag: false,
                take_over: TakeOver::Own,
            },
            PortSettings {
                name: "2".into(),
                listen: Listen::Unix("run/api.sock".into()),
                mode: PortMode::Reserve,
                until: HoldUntil::Ready,
                by_flag: false,
                take_over: TakeOver::Never,
            },
        ],
        requirements: vec![],
        require_timeout: None,
        files: vec![],
        required_environment: vec![],
        signals: SignalSettings {
            hold: vec![Signal::HUP],
            hold_until: SignalHoldUntil::Handled,
            hold_limit: Duration::ZERO,
            rewrite: BTreeMap::from([(Signal::TERM, Some(Signal::QUIT))]),
            to: SignalTarget::Group,
        },
        restart: RestartSettings {
            policy: RestartPolicy::Always,
            backoff: Backoff {
                initial: Duration::from_millis(5),
                max: Duration::from_millis(50),
                factor: 3.0,
                jitter: Jitter::Equal,
            },
            reset_after: Duration::from_secs(7),
            success_codes: vec![0, 143],
            breaker: Some(BreakerSettings {
                failures: 2,
                within: Duration::from_secs(3),
                cooldown: Duration::from_secs(4),
                on_open: OnOpen::Exit,
            }),
            max_failures: Some(9),
        },
        interactive: true,
        terminal: false,
        debugged: None,
        watch: WatchSettings {
            folder: "".into(),
            patterns: vec!["src/**".into()],
            on_change: OnChange::Signal(Signal::HUP),
        },
    };
    let mut db = ServiceSettings::new("db".into(), vec!["postgres".into()]);
    db.ready = Ready::Tcp("127.0.0.1:5432".parse().unwrap());
    db.restart.breaker = None;
    db.restart.max_failures = None;
    assert_eq!(settings, Settings { launcher, services: vec![api, db], single_command: false });
}

#[test]
fn services_keep_their_order() {
    let text = "[service.z.restart]\npolicy = \"never\"\n[service.b]\ncommand = [\"b\"]\n[service.z]\ncommand = [\"z\"]\n\
                [service]\na.command = [\"a\"]";
    let names: Vec<String> = good(text).services.into_iter().map(|service| service.name).collect();
    // A service stands where its own header stands, not where one of its tables happens to.
    assert_eq!(names, ["b", "z", "a"]);
}

#[test]
fn paths_are_seen_from_the_files_folder() {
    let text = "[launcher]\nreport_dir = \"reports\"\n[service.a]\ncommand = [\"a\"]\ndirectory = \".\"\n\
                environment_files = [\".env\", \"/etc/env\"]\n\
                port = [{ listen = \"unix:a.sock\" }, { listen = \"unix:@a\" }]\n[service.b]\ncommand = [\"b\"]\n";
    let context = Context { folder: Path::new("/srv/shop"), name: "my shop" };
    let settings = parse("f", text, context).unwrap();
    assert_eq!(settings.launcher.name, "my-shop");
    assert_eq!(settings.launcher.report_dir, Some(PathBuf::from("/srv/shop/reports")));
    let a = &settings.services[0];
    assert_eq!(a.directory.as_deref().unwrap().as_os_str(), "/srv/shop");
    assert_eq!(a.environment_files, [PathBuf::from("/srv/shop/.env"), PathBuf::from("/etc/env")]);
    assert_eq!(a.ports[0].listen, Listen::Unix("/srv/shop/a.sock".into()));
    assert_eq!(a.ports[1].listen, Listen::Unix("@a".into()));
    assert_eq!(settings.services[1].directory, Some(PathBuf::from("/srv/shop")));
}

#[test]
fn nothing_is_not_a_configuration() {
    assert_eq!(places(""), ["1:1 there is no service"]);
    assert_eq!(places("[service]\n"), ["1:1 there is no service"]);
    assert_eq!(places("service = 5\n"), ["1:11 expected tables, found an integer"]);
    let errors = parse_bytes("f", b"[service.a]\nuser = \"\xff\"\n", Context { folder: Path::new(""), name: "" });
    let errors = errors.unwrap_err();
    assert_eq!(errors.position(&errors.errors()[0]), (2, 9));
    assert!(errors.to_string().contains("this is not UTF-8"));
}

#[test]
fn services_that_contradict_each_other() {
    let two = |a: &str, b: &str| {
        places(&format!("[service.a]\ncommand = [\"a\"]\n{a}\n[service.b]\ncommand = [\"b\"]\n{b}\n"))
    };
    let port = |listen: &str, mode: &str| format!("port = [{{ listen = {listen:?}, mode = {mode:?} }}]");
    let taken = two(&port("tcp://127.0.0.1:80", "pass"), &port("127.0.0.1:80", "reserve"));
    assert_eq!(taken, ["6:20 tcp://127.0.0.1:80 is already a port of service \"a\""]);
    let wide = two(&port("[::]:80", "pass"), &port("127.0.0.1:80", "reserve"));
    assert_eq!(wide, ["6:20 tcp://127.0.0.1:80 overlaps with tcp://[::]:80 of service \"a\""]);
    let both = |a: &str, b: &str, mode: &str| {
        read(&format!(
            "[service.a]\ncommand=[\"a\"]\n{}\n[service.b]\ncommand=[\"b\"]\n{}",
            port(a, mode),
            port(b, mode)
        ))
    };
    assert!(both("127.0.0.1:auto", "127.0.0.1:auto", "pass").is_ok());
    assert!(both("127.0.0.1:80", "127.0.0.1:80", "check").is_ok());
    assert!(both("127.0.0.1:80", "127.0.0.2:80", "pass").is_ok());
    assert!(both("127.0.0.1:80", "udp://127.0.0.1:80", "pass").is_ok());
    let interactive = two("interactive = true", "interactive = true");
    assert_eq!(interactive, ["6:15 service \"a\" already has the terminal"]);
    let terminals = two("terminal = true\ninteractive = true", "terminal = true");
    assert_eq!(terminals, ["3:12 a service has one terminal, and interactive gives it another one"]);
    assert_eq!(two("after = [\"b\"]", "after = [\"a\"]"), ["6:10 services wait for each other: a → b → a"]);
    assert_eq!(two("after = [\"a\"]", ""), ["3:10 service \"a\" cannot wait for itself"]);
    assert_eq!(two("after = [\"b\", \"b\"]", ""), ["3:15 \"b\" is here a second time"]);
    assert!(both("127.0.0.1:80", "127.0.0.1:81", "pass").is_ok());
}

#[test]
fn signals_are_rewritten_to_others_or_to_nothing() {
    let text = |pairs: &str| format!("[service.a]\ncommand = [\"a\"]\nsignals.rewrite = {{ {pairs} }}\n");
    let rewrite = |pairs: &str| places(&text(pairs));
    let good = good(&text("HUP = \"none\", WINCH = \"QUIT\""));
    let pairs = BTreeMap::from([(Signal::HUP, None), (Signal::WINCH, Some(Signal::QUIT))]);
    assert_eq!(good.services[0].signals.rewrite, pairs);
    let refused = rewrite("TERM = \"none\"");
    assert_eq!(refused, ["3:28 SIGTERM asks launcher to stop, so the service has to hear of it"]);
    assert_eq!(rewrite("HUP = \"non\""), ["3:27 unknown signal \"non\""]);
}

#[test]
fn a_port_is_named_once_and_known_where_it_is_used() {
    let service = |command: &str, ports: &str| places(&format!("[service.a]\ncommand = {command}\nport = [{ports}]\n"));
    let http = "{ name = \"http\", listen = \"127.0.0.1:80\" }";
    assert_eq!(service("[\"a\", \"{port.htp}\"]", http), ["2:17 unknown port \"htp\", did you mean \"http\"?"]);
    assert_eq!(
        service("[\"a\", \"{port.s}\"]", "{ name = \"s\", listen = \"unix:/s\" }"),
        ["2:17 port \"s\" is a Unix socket and has no number"]
    );
    let twice = format!("{http}, {{ name = \"HTTP\", listen = \"127.0.0.1:81\" }}");
    assert_eq!(service("[\"a\"]", &twice), ["3:62 ports \"http\" and \"HTTP\" would both be PORT_HTTP"]);
    let same = format!("{http}, {{ name = \"b\", listen = \"127.0.0.1:80\" }}");
    assert_eq!(service("[\"a\"]", &same), ["3:76 tcp://127.0.0.1:80 is already port \"http\""]);
    // Nothing is said about a port that is there, but wrong.
    let wrong = service("[\"a\", \"{port.http}\"]", "{ name = \"http\", listen = \"127.0.0.1:0\" }");
    assert_eq!(wrong, ["3:35 port 0 is not a port"]);
    let other = service("[\"a\", \"{port.a}\"]", "{ name = \"http\", listen = \"x\", take_over = 5 }");
    let expected =
        ["2:17 unknown port \"a\"", "3:35 \"x\" has no port", "3:52 expected true, false or \"any\", found an integer"];
    assert_eq!(other, expected);
    let unnamed = service("[\"a\", \"{port.a}\"]", "{ name = \"a b\", listen = \"80\" }");
    assert_eq!(unnamed, ["3:18 \"a b\" cannot be the name of a port"]);
    let both = format!("{http}, {{ name = \"http\", listen = \"127.0.0.1:80\" }}");
    let expected = ["3:62 two ports are called \"http\"", "3:79 tcp://127.0.0.1:80 is already port \"http\""];
    assert_eq!(service("[\"a\"]", &both), expected);
}

#[test]
fn only_the_services_named_and_what_they_need() {
    let text = "[service.a]\ncommand = [\"a\"]\n[service.b]\ncommand = [\"b\"]\nafter = [\"a\"]\n\
                [service.c]\ncommand = [\"c\"]\nafter = [\"b\"]\n[service.d]\ncommand = [\"d\"]\n";
    let names = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        select(good(text), &wanted).map(|s| s.services.into_iter().map(|s| s.name).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(names(&[]).unwrap(), "a b c d");
    assert_eq!(names(&["c"]).unwrap(), "a b c");
    assert_eq!(names(&["d", "a"]).unwrap(), "a d");
    assert_eq!(names(&["x", "a"]).unwrap_err().hint, "there are a, b, c, d");
}

#[test]
fn where_lines_go_is_read() {
    let text = r#"[service.api]
        command = ["x"]
        [service.api.log]
        level = "warn"
        forward = false
        on_slow = "drop-oldest"
        file = "logs/api.log"
        format = "json"
        max_size = "1MiB"
        max_age = "1d"
        keep = 0
        compress = false
        "#;
    let log = good(text).services.remove(0).log;
    let file = FileLog {
        path: "logs/api.log".into(),
        format: FileLogFormat::Json,
        max_size: 1 << 20,
        max_age: Some(Duration::from_secs(86_400)),
        keep: 0,
        compress: false,
    };
    let expected = LogSettings { level: LogLevel::Warn, forward: false, on_slow: OnSlow::DropOldest, file: Some(file) };
    assert_eq!(log, expected);
    let wrong = [
        ("log.max_size = \"1MiB\"", "is about a file"),
        ("log = { file = \"x\", max_size = \"1KiB\" }", "not put aside so soon"),
        ("log.on_slow = \"drop\"", "unknown on_slow"),
        ("log = \"api.log\"", "expected a table"),
        ("log.file = \"x\"\n[service.web]\ncommand = [\"x\"]\nlog.file = \"x\"", "already the file of service \"api\""),
    ];
    for (keys, message) in wrong {
        let shown = bad(&format!("[service.api]\ncommand = [\"x\"]\n{keys}\n"));
        assert!(shown.contains(message), "{shown}");
    }
}
