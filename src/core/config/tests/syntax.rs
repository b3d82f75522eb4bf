//! Errors of TOML itself: each is told, and hides none of the others.

use super::*;

#[test]
fn syntax_is_explained_too_and_does_not_hide_the_rest() {
    let text = "[service.api]\ncommand = [\"a\"\nready = notify\n";
    assert_eq!(places(text), ["2:11 this array is not closed", "3:9 a string needs quotes"]);
    let text = "[service.api]\ncommand: [\"a\"]\n";
    assert_eq!(places(text), ["2:8 a key and its value are joined by \"=\""]);
    let text = "[service.api\ncommand = [\"a\"]\n[launcher]\nnmae = 1\n";
    assert_eq!(places(text), ["1:13 unclosed table", "4:1 unknown key \"nmae\", did you mean \"name\"?"]);
    let text = "[service.a]\ncommand = [\"a\"]\nready = notify\nstart_timeout = 30s\ninteractive = True\nuser = 5\n";
    let expected = [
        "3:9 a string needs quotes",
        "4:17 a string needs quotes",
        "5:15 True is not a boolean",
        "6:8 expected a string, found an integer",
    ];
    assert_eq!(places(text), expected);
    let text = "[service.a]\ncommand = [\"a\"]\nuser = \"x\nuser = \"y\"\n";
    assert_eq!(places(text), ["3:10 this string is not closed", "4:1 \"user\" is here a second time"]);
    assert!(bad("[service.a]\nuser = 'x").contains("help: close it with '\n"));
}

/// A file with three keys that are not known, and a line, the third, that is not TOML.
fn with_line(line: &str) -> String {
    let (b, launcher) = ("[service.b]\ncommand = [\"true\"]\nnic = 1", "[launcher]\nhtp = 1");
    format!("[service.api]\ncommand = [\"true\"]\n{line}\nnic = 1\n{b}\n{launcher}\n")
}

#[test]
fn a_line_that_cannot_be_read_hides_no_other_error() {
    let rest = ["4:1 unknown key \"nic\"", "7:1 unknown key \"nic\"", "9:1 unknown key \"htp\""];
    for (line, error) in [
        ("foo", "3:4 this key has no value"),
        ("nice: 3", "3:5 a key and its value are joined by \"=\""),
        ("nice 3", "3:6 a key and its value are joined by \"=\""),
        ("// c", "3:1 a comment begins with #"),
        ("- x", "3:3 this key has no value"),
        ("\"a\" \"b\"", "3:5 this key has no value"),
        ("\"", "3:2 this key has no value"),
        ("foo = bar", "3:7 a string needs quotes"),
        (".", "3:1 unquoted keys cannot be empty"),
        ("after = [\"b\"", "3:9 this array is not closed"),
        ("after = [\"b]", "3:10 this string is not closed"),
        ("after = ['b\"]", "3:10 this string is not closed"),
        ("after = [\"b\"}", "3:9 this array is not closed"),
        ("environment = { A = \"b\"", "3:15 this table is not closed"),
        ("ready.http = { url = \"http://h/\", status = [200 }", "3:44 this array is not closed"),
    ] {
        let told = places(&with_line(line));
        let same = |known: &&str| told.iter().any(|one| one.starts_with(*known));
        assert!(told.len() == 4 && told[0] == error && rest.iter().all(same), "{line}: {told:#?}");
    }
    // Where a text of several lines was to end nobody can know: what comes below the next header is told.
    let text = places(&with_line("user = \"\"\"x"));
    assert_eq!((text.len(), text[0].as_str()), (3, "3:8 this string is not closed"));
    let two = places(&with_line("foo\nbar\nafter = [\nafter = [\n"));
    assert_eq!(two.len(), 7, "{two:#?}");
}

#[test]
fn headers_that_are_not_closed_or_there_twice_hide_only_what_belongs_to_them() {
    let a = "[service.a]\ncommand = [\"a\"]\n";
    let port = "[[service.a.port]]\nlisten = \"x\"\n";
    let unclosed = places(&format!("{a}[service.a.restart\npolcy = 1\n{port}"));
    assert_eq!(unclosed, ["3:19 unclosed table", "6:10 \"x\" has no port"]);
    let twice = places(&format!("{a}{a}nic = 1\n"));
    assert_eq!(twice.len(), 3, "{twice:#?}");
    assert!(twice[2].starts_with("5:1 unknown key \"nic\""), "{twice:#?}");
}

#[test]
fn what_cannot_be_read_is_not_said_to_be_missing() {
    let text = "[service.a]\ncommand = [\"a\", \"{port.http}\"]\nready = \"listen\"\nport = [{ name = \"http\"\n\
                [service.b]\ncommand = [\"b\"]\nready.http = \"http://127.0.0.1:{port.http}/\"\nport = [\n";
    assert_eq!(places(text), ["4:9 this table is not closed", "8:8 this array is not closed"]);
    let text = "[service.a]\ncommand = [\"a\"]\nstart_timeout: \"1s\"\nextend_while_progressing = \"10s\"\n";
    assert_eq!(places(text), ["3:14 a key and its value are joined by \"=\""]);
    let text = "[service.a]\ncommand = [\"a\"]\nrestart.backoff.initial: \"1ms\"\nrestart.backoff.max = \"9ms\"\n";
    assert_eq!(places(text).len(), 1);
    let text = "[service.a]\ncommand = [\"a\"]\nwatch: []\non_change = \"restart\"\nlog.file: \"x\"\nlog.keep = 3\n";
    assert_eq!(places(text).len(), 2);
}

#[test]
fn what_a_hint_says_is_taken() {
    let hint = |line: &str| {
        let errors = read(&format!("[service.a]\ncommand = [\"a\"]\n{line}\n")).unwrap_err();
        assert_eq!(errors.errors().len(), 1, "{errors}");
        errors.errors()[0].hint.clone().unwrap_or_default()
    };
    for (line, expected) in [
        ("nice =", "write one after \"=\", or leave the key out"),
        ("nice = # 3", "write one after \"=\", or leave the key out"),
        ("nice = 3;", "leave it out"),
        ("interactive = true;", "leave it out"),
        ("user = \"a\";", "leave it out"),
        ("user = a;", "write \"a\""),
        ("watchdog = \"0\"", "write \"off\""),
        ("watchdog = 0", "write \"off\""),
        ("start_timeout = 0", "write \"30s\""),
        ("extend_while_progressing = 0", "write how long the start may take in all, or \"off\""),
        ("start_timeout = \"1m 30s\"", "write \"1m30s\""),
        ("stop_timeout = true", "units are ms, s, m, h and d: 250ms, 30s, 1m30s"),
        ("stop_timeout = 5", "write \"5s\""),
        ("user = 5", "write \"5\""),
        ("stop_signal = 15", "write \"15\""),
        ("stop_signal = true", "write a name such as TERM or HUP, or a number from 1 to 64"),
        ("signals.hold = [true]", "write a name such as TERM or HUP, or a number from 1 to 64"),
        ("limits.nproc = 1.5", "write a number, \"unlimited\", or two of them: \"1024:4096\""),
        ("limits.rtprio = true", "write a number, \"unlimited\", or two of them: \"1024:4096\""),
        ("limits.core = 1.5", "write \"1.5B\" or \"1.5KiB\""),
        ("limits.memory = \"64k\"", "write \"64KiB\""),
        ("limits.memory = true", "units are B, KiB, MiB and GiB: 64KiB"),
        ("log = { file = \"x\", max_size = 5000 }", "write \"5000B\" or \"5000KiB\""),
    ] {
        assert_eq!(hint(line), expected, "{line}");
    }
    assert!(hint("ready = true").starts_with("one of auto, notify, listen"));
}
