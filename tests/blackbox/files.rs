//! Files and variables that a service needs, and `launcher check`, which tells all that is wrong with them.

use std::net::TcpListener;

use crate::support::*;

/// `launcher check` of a launcher.toml with these files beside it, and more words.
fn check(text: &str, files: &[(&str, &str)], words: &[&str]) -> Ended {
    let setup = launcher().variable("DATABSE_URL", "postgres://db/shop");
    for (name, text) in files {
        setup.home().write(name, text);
    }
    let file = setup.home().write("launcher.toml", text).display().to_string();
    setup.verb(["check", "-c", &file].iter().chain(words)).ended()
}

const CONFIG: &str = "database:\n  host: ${DB_HOST}\n  port: \"\"\n  name:\nlog: [a, b\n";

#[test]
fn everything_that_is_wrong_is_told_with_its_place_and_code() {
    let text = "\
[service.api]
command = [\"true\"]
[[service.api.file]]
path = \"config.yaml\"
required = { \"database.port\" = \"port\", \"database.name\" = \"string\", \"database.user\" = \"string\" }
[[service.api.file]]
path = \"gone.json\"
[service.api.required_environment]
DATABASE_URL = \"the database to use\"
";
    let sound = CONFIG.replace("[a, b", "[a, b]");
    let ended = check(text, &[("config.yaml", &sound)], &[]);
    assert_eq!(ended.code, Some(71), "{:#?}", ended.err);
    for part in [
        "the variable DATABASE_URL is not set: the database to use [variable-missing]",
        "try DATABSE_URL is set: is it misspelt?",
        "config.yaml:2:9: database.host needs the variable DB_HOST, which is not set [placeholder-undefined]",
        "config.yaml:3:9: database.port is required, and is empty [key-empty]",
        "database.name is required, and is null [key-null]",
        "database.user is required, and is not there [key-missing]",
        "2 |   host: ${DB_HOST}",
        "|         ^^^^^^^^^^",
        "gone.json does not exist [file-missing]",
    ] {
        assert!(ended.complains(part), "{part:?} in {:#?}", ended.err);
    }
    let ended = check(text, &[("config.yaml", CONFIG)], &[]);
    assert!(ended.complains("this is not YAML"), "{:#?}", ended.err);
}

#[test]
fn an_empty_text_is_there_and_not_null() {
    let text = "[service.api]\ncommand = [\"true\"]\n[[service.api.file]]\npath = \"config.yaml\"\nrequired = [\"database.host\"]\n\
                [[service.api.file]]\npath = \".env\"\nrequired = [\"HOST\"]\n";
    let yaml = ("config.yaml", "database:\n  host: \"\"\n");
    let ended = check(text, &[yaml, (".env", "HOST=x\n")], &[]);
    assert_eq!(ended.code, Some(0), "{:#?}", ended.err);
    let ended = check(text, &[yaml, (".env", "HOST=\n")], &[]);
    assert_eq!(ended.code, Some(71), "{:#?}", ended.err);
    assert!(ended.complains("HOST is required, and is empty [key-empty]"), "{:#?}", ended.err);
    assert!(!ended.complains("database.host"), "{:#?}", ended.err);
}

const SCHEMA: &str = r#"{
  "type": "object",
  "required": ["database"],
  "additionalProperties": false,
  "properties": {
    "database": { "$ref": "parts/server.yaml" },
    "mode": { "enum": ["development", "production"] }
  }
}"#;

const SERVER: &str =
    "type: object\nrequired: [host]\nproperties:\n  host: {type: string}\n  port: {type: integer, maximum: 65535}\n";

#[test]
fn violations_of_a_schema_are_told_all_at_once_at_their_places() {
    let text = "[service.api]\ncommand = [\"true\"]\n[[service.api.file]]\npath = \"config.yaml\"\nschema = \"schema.json\"\n\
                [[service.api.file]]\npath = \".env\"\nschema = \"env.json\"\n";
    let with = |config: &str, schema: &str, words: &[&str]| {
        let setup = launcher();
        std::fs::create_dir(setup.home().path().join("parts")).unwrap();
        for (name, text) in [
            ("launcher.toml", text),
            ("schema.json", schema),
            ("parts/server.yaml", SERVER),
            ("config.yaml", config),
            ("env.json", "{\"properties\": {\"PORT\": {\"type\": \"integer\"}}}"),
            (".env", "PORT=8080\n"),
        ] {
            setup.home().write(name, text);
        }
        let file = setup.home().path().join("launcher.toml").display().to_string();
        setup.verb(["check", "-c", &file].iter().chain(words)).ended()
    };
    let ended = with("database:\n  hots: db\n  port: 70000\nmode: prodution\n", SCHEMA, &[]);
    assert_eq!(ended.code, Some(71), "{:#?}", ended.err);
    for part in [
        "config.yaml:2:3: database.host is required, and is not there [schema-violated]",
        "config.yaml:3:9: database.port must be at most 65535, and is 70000 [schema-violated]",
        "3 |   port: 70000",
        "config.yaml:4:7: mode must be one of \"development\", \"production\" [schema-violated]",
        "try did you mean \"production\"?",
    ] {
        assert!(ended.complains(part), "{part:?} in {:#?}", ended.err);
    }
    assert_eq!(with("database: {host: db}\n", SCHEMA, &[]).code, Some(0));
    let remote = SCHEMA.replace("parts/server.yaml", "https://example.com/server.json");
    let ended = with("database: {}\n", &remote, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&ended.out.join("\n")).unwrap();
    let finding = &json["services"][0]["findings"][0];
    assert_eq!((&finding["code"], &finding["line"]), (&"schema-remote".into(), &6.into()), "{json}");
}

#[test]
fn a_start_is_refused_for_a_schema_and_goes_on_when_it_is_kept_to() {
    let start = |config: &str, code: i32| {
        let setup = launcher();
        let schema = setup.home().write("schema.json", "{\"properties\": {\"port\": {\"type\": \"integer\"}}}");
        let config = setup.home().write("config.json", config);
        let text = format!(
            "[service.api]\ncommand = [\"CHILD\", \"exit 5\"]\nrestart.policy = \"never\"\n\
             [[service.api.file]]\npath = {config:?}\nschema = {schema:?}\n"
        );
        setup.file(&text).ends_with(code)
    };
    let ended = start("{\"port\": \"x\"}", 71);
    assert!(ended.complains("config.json:1:10: port must be a whole number, and is a text"), "{:?}", ended.err);
    start("{\"port\": 80}", 5);
}

#[test]
fn the_deepest_file_is_judged_by_a_schema_that_refers_to_itself() {
    let text =
        "[service.api]\ncommand = [\"true\"]\n[[service.api.file]]\npath = \"deep.json\"\nschema = \"schema.json\"\n";
    let schema = "{\"allOf\": [{\"type\": [\"object\", \"integer\"]}], \"additionalProperties\": {\"$ref\": \"#\"}}";
    let deepest = |leaf: &str| format!("{}{leaf}{}", "{\"a\": ".repeat(99), "}".repeat(99));
    let ended = check(text, &[("deep.json", &deepest("true")), ("schema.json", schema)], &[]);
    assert_eq!(ended.code, Some(71), "{:?}", ended.err);
    assert!(ended.complains(".a must be a whole number or a table, and is a boolean"), "{:?}", ended.err);
    assert_eq!(check(text, &[("deep.json", &deepest("1")), ("schema.json", schema)], &[]).code, Some(0));
    let schema = format!("{}true{}", "{\"not\": ".repeat(95), "}".repeat(95));
    let ended = check(text, &[("deep.json", "1"), ("schema.json", &schema)], &[]);
    assert!(matches!(ended.code, Some(0 | 71)), "{:?}", ended.err);
}

#[test]
fn a_start_is_refused_and_the_report_names_the_line() {
    let setup = launcher();
    let config = setup.home().write("config.toml", "[database]\nport = \"\"\n");
    let mut run = setup.file(&format!(
        "[service.api]\ncommand = [\"CHILD\", \"print started\"]\nrestart.policy = \"never\"\n\
         [[service.api.file]]\npath = {config:?}\nrequired = {{ \"database.port\" = \"port\" }}\n"
    ));
    let ended = run.ends_with(71);
    assert!(!ended.out.iter().any(|line| line.contains("started")), "{:?}", ended.out);
    assert!(ended.complains("config.toml:2:8: database.port is required, and is empty"), "{:?}", ended.err);
    let report = run.reports("api").remove(0);
    assert_eq!((report.text("/kind"), report.text("/verdict/cause")), ("preflight", "exec-failed"));
    assert!(report.text("/verdict/target").ends_with("config.toml:2"), "{}", report.text("/verdict/target"));
}

/// The advice can be followed literally, whatever the file is called.
#[test]
fn the_advice_to_check_names_the_file() {
    let setup = launcher();
    let config = setup.home().write("config.toml", "");
    let text = format!(
        "[service.api]\ncommand = [\"true\"]\nrestart.policy = \"never\"\n\
         [[service.api.file]]\npath = {config:?}\nrequired = [\"a\", \"b\"]\n"
    );
    setup.home().write("l.toml", &setup.home().settings(&text));
    setup.home().write("launcher.toml", &setup.home().settings(&text));
    let mut run = setup.verb(["run", "-c", "l.toml"]);
    let ended = run.ends_with(71);
    assert!(ended.complains("see all 2 problems: launcher check -c l.toml"), "{:?}", ended.err);
    let told = run.command(&["run"]);
    assert!(told.err.contains("see all 2 problems: launcher check") && !told.err.contains("check -c"), "{told:?}");
}

#[test]
fn what_is_as_it_must_be_is_started() {
    let setup = launcher().variable("TOKEN", "x");
    for (name, text) in [
        ("a.json", "{\"a\": {\"b\": 1}}"),
        ("b.properties", "a.b=${TOKEN}"),
        ("c.ini", "[a]\nb = 1\n"),
        ("d.env", "B=1\n"),
        ("e.yml", "a: &x {b: 1}\nc: *x\n"),
    ] {
        setup.home().write(name, text);
    }
    let folder = setup.home().path().display().to_string();
    let file = |name: &str, key: &str| {
        format!("[[service.api.file]]\npath = \"{folder}/{name}\"\nrequired = {{ {key:?} = \"string\" }}\n")
    };
    let files = [file("b.properties", "a.b"), file("c.ini", "a.b"), file("d.env", "B")].concat();
    let number = |name: &str, key: &str| file(name, key).replace("\"string\"", "\"integer\"");
    let numbers = [number("a.json", "a.b"), number("e.yml", "c.b")].concat();
    let mut run = setup.file(&format!(
        "[service.api]\ncommand = [\"CHILD\", \"exit 5\"]\nrestart.policy = \"never\"\n\
         required_environment = {{ TOKEN = \"to get in\" }}\n{files}{numbers}"
    ));
    run.ends_with(5);
}

#[test]
fn a_file_that_the_service_s_user_may_not_read_is_told() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root starts services as others");
        return;
    }
    let text = "[service.api]\ncommand = [\"true\"]\nuser = \"nobody\"\n[[service.api.file]]\npath = \"secret.yaml\"\n";
    let setup = launcher();
    let file = setup.home().write("launcher.toml", text).display().to_string();
    let secret = setup.home().write("secret.yaml", "a: 1\n");
    std::fs::set_permissions(secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let ended = setup.verb(["check", "-c", &file]).ends_with(71);
    assert!(ended.complains("nobody may not read") && ended.complains("(mode 0600)"), "{:?}", ended.err);
}

#[test]
fn check_writes_json_for_machines() {
    let address = Address::new();
    let _holder = TcpListener::bind(address.0).unwrap();
    let text = format!(
        "[service.a]\ncommand = [\"/no/such/program\"]\n[[service.a.port]]\nlisten = \"tcp://{address}\"\n\
         [service.b]\ncommand = [\"true\"]\n"
    );
    let ended = check(&text, &[], &["--json"]);
    assert_eq!(ended.code, Some(71));
    let json: serde_json::Value = serde_json::from_str(&ended.out.join("\n")).unwrap();
    assert_eq!((&json["schema"], &json["exit_code"]), (&"launcher-check/1".into(), &71.into()));
    let codes: Vec<_> = json["services"][0]["findings"].as_array().unwrap().iter().map(|of| &of["code"]).collect();
    assert_eq!(codes, ["program-missing", "port-taken"]);
    assert_eq!(json["services"][1]["findings"].as_array().unwrap().len(), 0);
    let ended = check("[service.a]\ncomand = [\"true\"]\n", &[], &["--json"]);
    assert_eq!(ended.code, Some(78));
    let json: serde_json::Value = serde_json::from_str(&ended.out.join("\n")).unwrap();
    assert_eq!(json["errors"].as_array().unwrap().len(), 1, "a misspelt key is one mistake: {json}");
    assert_eq!((&json["errors"][0]["line"], &json["errors"][0]["column"]), (&2.into(), &1.into()));
}

/// A machine that reads the JSON of a wrong file reads that of one that is not there in the same way.
#[test]
fn check_writes_json_of_a_file_that_cannot_be_read() {
    for (name, why) in [("nofile.toml", "there is no such file"), (".", "it is a folder")] {
        let ended = launcher().verb(["check", "-c", name, "--json"]).ends_with(78);
        let json: serde_json::Value = serde_json::from_str(&ended.out.join("\n")).unwrap();
        assert_eq!((&json["exit_code"], &json["services"]), (&78.into(), &serde_json::json!([])), "{json}");
        let error = &json["errors"][0];
        assert_eq!((&error["file"], &error["line"]), (&name.into(), &serde_json::Value::Null));
        assert!(error["summary"].as_str().unwrap().starts_with(&format!("cannot read {name}: {why}")), "{error}");
        let ended = launcher().verb(["verify", "-c", name, "--json"]).ends_with(78);
        assert!(ended.out.join("\n").contains(&format!("cannot read {name}: {why}")), "{:?}", ended.out);
    }
    let ended =
        launcher().verb(["check", "--json", "--debug", "no-such-program", "--", "no-such-program"]).ends_with(127);
    let json: serde_json::Value = serde_json::from_str(&ended.out.join("\n")).unwrap();
    assert_eq!(json["services"][0]["findings"][0]["code"], "debugger", "{json}");
}

#[test]
fn check_looks_at_the_address_of_http_and_at_log_files() {
    let address = Address::new();
    let holder = TcpListener::bind(address.0).unwrap();
    let text = format!(
        "[launcher]\nhttp = \"{address}\"\n[service.a]\ncommand = [\"true\"]\nlog.file = \"notes/a.log\"\n\
         [service.b]\ncommand = [\"true\"]\nlog.file = \"made/b.log\"\n"
    );
    // A folder is asked for where a file is.
    let ended = check(&text, &[("notes", "")], &[]);
    assert_eq!(ended.code, Some(71), "{:?}", ended.err);
    let taken = format!("✗ launcher: http = \"{address}\": tcp://{address} is taken: ");
    assert!(ended.complains(&taken) && ended.complains(&format!("pid {}", std::process::id())), "{:?}", ended.err);
    assert!(ended.complains("✗ a: the log file ") && ended.complains("[log-file]"), "{:?}", ended.err);
    assert!(ended.complains("✓ b: nothing is in the way"), "{:?}", ended.err);
    drop(holder);
    address.gets_free();
    let ended = check(&text, &[], &["--json"]);
    assert_eq!(ended.code, Some(0), "{:?}", ended.out);
    let json: serde_json::Value = serde_json::from_str(&ended.out.join("\n")).unwrap();
    assert_eq!(json["services"].as_array().unwrap().len(), 2, "{json}");
}

#[test]
fn warnings_fail_only_when_asked_for() {
    let text = "[launcher]\nstop_budget = \"5s\"\n[service.a]\ncommand = [\"true\"]\n";
    let ended = check(text, &[], &[]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.complains("[stop-cut-off]"), "{:?}", ended.err);
    assert_eq!(check(text, &[], &["--strict"]).code, Some(71));
}

#[test]
fn check_tries_requirements_once_unless_offline() {
    let gone = Address::new();
    let text = format!("[service.a]\ncommand = [\"true\"]\n[[service.a.require]]\nurl = \"tcp://{gone}\"\n");
    let ended = check(&text, &[], &[]);
    assert_eq!(ended.code, Some(69), "{:?}", ended.err);
    assert!(ended.complains("connection refused") && ended.complains("[requirement-refused]"), "{:?}", ended.err);
    assert_eq!(check(&text, &[], &["--offline"]).code, Some(0));
}

/// 20 services with 10 files each: the figure of the issue is 50 ms for a release build; that it ends within the tests'
/// patience only keeps it from becoming slow by orders of magnitude.
#[test]
fn many_files_take_no_time() {
    let config: String = (0..50).map(|n| format!("key{n}:\n  host: h{n}\n  port: {n}\n")).collect();
    let files: Vec<String> = (0..10).map(|n| format!("f{n}.yaml")).collect();
    let all: Vec<(&str, &str)> = files.iter().map(|name| (name.as_str(), config.as_str())).collect();
    let file = |name: &String, n| {
        format!("[[service.s{n}.file]]\npath = {name:?}\nrequired = [\"key1.host\", \"key49.port\"]\n")
    };
    let service = |n: i32| {
        let files: String = files.iter().map(|name| file(name, n)).collect();
        format!("[service.s{n}]\ncommand = [\"true\"]\n{files}")
    };
    let text: String = (0..20).map(service).collect();
    let ended = check(&text, &all, &[]);
    assert_eq!(ended.code, Some(0), "{:?}", ended.err);
}
