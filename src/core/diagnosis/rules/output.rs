//! What the last lines of output tell: where a program fell over, and what it could not reach.

mod address;
mod java;
mod scripts;

pub use address::{address_in, bound_in};

use crate::core::diagnosis::{VerdictFrame, frames};
use crate::core::facts::{FoundBy, Frame};

/// How far back lines are looked at; those of stack traces, which are indented, do not count.
const LINES: usize = 60;

/// The words a program ended with, as far as they can be told from the rest of its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWords {
    /// The line that says what happened.
    pub text: String,
    /// Where in the program it happened, if the lines say so.
    pub frame: Option<VerdictFrame>,
    /// Whether a panic, an exception or a failed assertion was recognised, not just the last line.
    pub recognised: bool,
}

/// Finds a Rust panic, a Go panic, a Python traceback, an exception of Java, Node, C++, Ruby, PHP or Perl, or a failed assertion in
/// the last lines; else takes the last line that says anything.
pub fn last_words(tail: &str) -> Option<LastWords> {
    let all: Vec<&str> = tail.lines().map(str::trim_end).collect();
    let counted = |index: &usize| !all[*index].starts_with([' ', '\t']);
    let lines = &all[(0..all.len()).rev().filter(counted).nth(LINES - 1).unwrap_or(0)..];
    let known = [
        rust_panic,
        go_panic,
        python,
        java::exception,
        java::refusal,
        node,
        assertion,
        terminate,
        memory,
        ruby,
        scripts::php,
        scripts::perl,
    ];
    known.iter().find_map(|find| find(lines)).or_else(|| {
        let mut said = lines.iter().rev().filter(|line| line.chars().any(char::is_alphanumeric));
        let line = said.clone().find(|line| !is_hint(line)).or_else(|| said.next())?;
        Some(LastWords { text: line.trim().to_owned(), frame: None, recognised: false })
    })
}

/// Whether a line only tells where help is, as programs do below what they say is wrong.
fn is_hint(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    let points = ["try ", "usage:", "see ", "run ", "for more information", "for more help", "use "];
    let help = ["--help", " -h", "'help'", "usage:", " help "];
    points.iter().any(|start| line.starts_with(start)) && help.iter().any(|word| line.contains(word))
}

fn recognised(text: &str, frame: Option<VerdictFrame>) -> Option<LastWords> {
    Some(LastWords { text: text.trim().to_owned(), frame, recognised: true })
}

fn frame(function: &str, place: &str) -> Option<VerdictFrame> {
    // `src/main.rs:42:5`, `main.go:42 +0x1d`, `App.java:12`
    let place = place.split_whitespace().next().unwrap_or(place);
    let mut parts = place.split(':');
    let file = parts.next().filter(|file| !file.is_empty())?;
    let line = parts.next().and_then(|line| line.parse().ok());
    Some(VerdictFrame { function: function.trim().to_owned(), file: Some(file.to_owned()), line })
}

/// `thread 'main' panicked at src/main.rs:42:5:` and the message on the next line.
fn rust_panic(lines: &[&str]) -> Option<LastWords> {
    let index = lines.iter().rposition(|line| line.contains("' panicked at ") || line.contains(") panicked at "))?;
    let (_, place) = lines[index].split_once(" panicked at ")?;
    // Before Rust 1.73 the message came first: 'message', src/main.rs:42:5
    if let Some((message, place)) = place.rsplit_once("', ") {
        return recognised(&format!("panic: {}", message.trim_start_matches('\'')), frame("panic", place));
    }
    let message = lines.get(index + 1).filter(|line| !line.starts_with("note:")).copied().unwrap_or_default();
    recognised(&format!("panic: {message}"), frame("panic", place.trim_end_matches(':')))
}

/// `panic: …` or `fatal error: …`, then goroutines with `main.f(…)` and `\t/src/main.go:42 +0x1d`.
fn go_panic(lines: &[&str]) -> Option<LastWords> {
    let start = |line: &&str| line.starts_with("panic: ") || line.starts_with("fatal error: ");
    let index = lines.iter().rposition(start)?;
    let rest = &lines[index + 1..];
    if !rest.iter().any(|line| line.starts_with("goroutine ")) {
        return None;
    }
    let called = rest.windows(2).filter(|pair| {
        pair[1].starts_with('\t') && pair[1].contains(".go:") && !pair[0].starts_with('\t') && !pair[0].is_empty()
    });
    let frames: Vec<Frame> = called
        .filter_map(|pair| {
            // `main.(*Pool).Get(...)`, `created by main.main in goroutine 1`
            let function = pair[0].strip_prefix("created by ").unwrap_or(pair[0]);
            let function = function.split(" in goroutine ").next().unwrap_or(function);
            let function = function.rsplit_once('(').filter(|_| function.ends_with(')')).map_or(function, |it| it.0);
            written("go", frame(function, pair[1].trim_start())?)
        })
        .collect();
    recognised(lines[index], frames::users(&frames))
}

/// A frame that the output tells, as the rules on whose code it is take it.
fn written(language: &str, frame: VerdictFrame) -> Option<Frame> {
    Some(Frame {
        function: Some(frame.function),
        file: frame.file,
        line: frame.line,
        language: Some(language.to_owned()),
        found: FoundBy::Runtime,
        ..Frame::default()
    })
}

/// `terminate called after throwing an instance of 'std::runtime_error'`, and `  what():  …` on the next line.
fn terminate(lines: &[&str]) -> Option<LastWords> {
    const GNU: &str = "terminate called after throwing an instance of '";
    const LLVM: &str = "terminating due to uncaught exception of type ";
    let begins = |line: &&str| line.contains("terminate called ") || line.contains(LLVM);
    let index = lines.iter().rposition(begins)?;
    let line = lines[index];
    if let Some((_, exception)) = line.split_once(LLVM) {
        return recognised(&format!("uncaught exception {exception}"), None);
    }
    let Some((_, class)) = line.split_once(GNU) else { return recognised(line, None) };
    let class = class.trim_end_matches('\'');
    let what = lines.get(index + 1).and_then(|line| line.trim_start().strip_prefix("what():"));
    let what = what.map(|what| format!(": {}", what.trim())).unwrap_or_default();
    recognised(&format!("uncaught exception {class}{what}"), None)
}

/// What glibc says of the heap or the stack before it aborts: `double free or corruption (!prev)`.
fn memory(lines: &[&str]) -> Option<LastWords> {
    const BEGINS: [&str; 10] = [
        "double free or corruption",
        "corrupted size vs. prev_size",
        "corrupted double-linked list",
        "*** stack smashing detected ***",
        "*** buffer overflow detected ***",
        "free(): ",
        "malloc(): ",
        "malloc_consolidate(): ",
        "realloc(): ",
        "munmap_chunk(): ",
    ];
    // It is the last that the process itself says.
    let line = lines.iter().rev().find(|line| !line.is_empty())?;
    BEGINS.iter().any(|begin| line.starts_with(begin)).then(|| recognised(line, None))?
}

/// ``app.rb:2:in `fetch': key not found: :url (KeyError)``, then `\tfrom app.rb:9:in …`.
fn ruby(lines: &[&str]) -> Option<LastWords> {
    let first = |line: &&str| {
        !line.starts_with(char::is_whitespace)
            && line.ends_with(')')
            && ruby_frame(line).is_some_and(|it| !it.1.is_empty())
    };
    let index = lines.iter().rposition(first)?;
    let (innermost, message) = ruby_frame(lines[index])?;
    let from = lines[index + 1..].iter().map_while(|line| line.trim_start().strip_prefix("from "));
    let called: Vec<VerdictFrame> =
        std::iter::once(innermost).chain(from.filter_map(|line| Some(ruby_frame(line)?.0))).collect();
    // A method that is built in is told with the place of its caller.
    let place = |frame: &VerdictFrame| (frame.file.clone(), frame.line);
    let built_in = |at: usize| called.get(at + 1).is_some_and(|caller| place(caller) == place(&called[at]));
    let own = (0..called.len()).filter(|at| !built_in(*at)).map(|at| called[at].clone());
    let frames: Vec<Frame> = own.filter_map(|frame| written("ruby", frame)).collect();
    recognised(message, frames::users(&frames))
}

/// The frame, and what follows it.
fn ruby_frame(line: &str) -> Option<(VerdictFrame, &str)> {
    let (place, rest) = line.split_once(":in ")?;
    let (file, number) = place.rsplit_once(':')?;
    let (function, rest) = rest.strip_prefix(['`', '\''])?.split_once('\'')?;
    let message = rest.strip_prefix(": ").unwrap_or_default();
    let frame =
        VerdictFrame { function: function.to_owned(), file: Some(file.to_owned()), line: Some(number.parse().ok()?) };
    Some((frame, message))
}

/// `Traceback (most recent call last):` … `  File "app.py", line 3, in f` … `ValueError: …`.
fn python(lines: &[&str]) -> Option<LastWords> {
    let start = lines.iter().rposition(|line| line.starts_with("Traceback (most recent call last)"))?;
    let rest = &lines[start + 1..];
    let message = rest.iter().find(|line| !line.is_empty() && !line.starts_with(' '))?;
    let end = rest.iter().position(|line| line == message).unwrap_or(rest.len());
    let frames = || rest[..end].iter().rev().filter_map(|line| python_frame(line));
    let library = |frame: &VerdictFrame| {
        let file = frame.file.as_deref().unwrap_or_default();
        file.contains("/lib/python") || file.starts_with('<')
    };
    recognised(message, frames().find(|frame| !library(frame)).or_else(|| frames().next()))
}

fn python_frame(line: &str) -> Option<VerdictFrame> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once("\", line ")?;
    let (number, function) = rest.split_once(", in ").unwrap_or((rest, "<module>"));
    Some(VerdictFrame { function: function.to_owned(), file: Some(file.to_owned()), line: number.parse().ok() })
}

/// `Error: …` (or another `…Error:`), then `    at f (/srv/app.js:10:5)`.
fn node(lines: &[&str]) -> Option<LastWords> {
    let at = |line: &str| line.starts_with("    at ");
    let first = (1..lines.len()).rev().find(|index| at(lines[*index]) && !at(lines[index - 1]))?;
    let message = lines[..first].iter().rev().find(|line| line.contains("Error"))?;
    let own = lines[first..].iter().take_while(|line| at(line)).find_map(|line| {
        let line = line.trim_start().strip_prefix("at ")?;
        let (function, place) = match line.split_once(" (") {
            Some((function, place)) => (function, place.trim_end_matches(')')),
            None => ("<anonymous>", line),
        };
        let runtime = place.starts_with("node:") || place.contains("/node_modules/") || !place.contains(':');
        let place = place.strip_prefix("file://").unwrap_or(place);
        if runtime { None } else { frame(function, place) }
    });
    recognised(message, own)
}

/// glibc's `prog: file.c:12: function: Assertion `x' failed.`
fn assertion(lines: &[&str]) -> Option<LastWords> {
    let line = lines.iter().rev().find(|line| line.contains(": Assertion `") && line.contains("' failed"))?;
    let (before, _) = line.split_once(": Assertion `")?;
    let mut parts = before.rsplit(": ");
    let function = parts.next()?;
    let found = parts.next().and_then(|place| frame(function, place.rsplit(' ').next().unwrap_or(place)));
    recognised(line, found)
}

/// Something that could not be reached, as the output says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// The address, if a line names one: `127.0.0.1:5432`, `db:5432`.
    pub address: Option<String>,
    /// The last line that says so.
    pub line: String,
    /// How many of the last lines say so.
    pub times: usize,
    /// What went wrong, in the words of `errno(3)`: `refused`, `timed out`, …
    pub how: &'static str,
}

/// What the errors of a connection look like in the output of programs, in small letters.
const FAILURES: [(&str, &str); 38] = [
    ("connection refused", "refused"),
    ("connectionrefused", "refused"),
    ("econnrefused", "refused"),
    ("actively refused", "refused"),
    ("connection timed out", "timed out"),
    // In the words of musl, as on Alpine; so are those below that are like another one.
    ("operation timed out", "timed out"),
    ("etimedout", "timed out"),
    ("connect timeout", "timed out"),
    ("i/o timeout", "timed out"),
    ("no route to host", "no route"),
    ("ehostunreach", "no route"),
    ("host is unreachable", "no route"),
    ("network is unreachable", "no route"),
    ("network unreachable", "no route"),
    ("enetunreach", "no route"),
    ("connection reset", "reset"),
    ("econnreset", "reset"),
    ("name or service not known", "no such name"),
    ("name does not resolve", "no such name"),
    ("name has no usable address", "no such name"),
    ("temporary failure in name resolution", "no such name"),
    ("enotfound", "no such name"),
    ("eai_again", "no such name"),
    ("no such host", "no such name"),
    ("could not connect", "failed"),
    ("failed to connect", "failed"),
    ("cannot connect", "failed"),
    ("can't connect", "failed"),
    ("unable to connect", "failed"),
    ("connection failed", "failed"),
    ("connect failed", "failed"),
    ("fetch failed", "failed"),
    ("service unavailable", "unavailable"),
    ("is unavailable", "failed"),
    ("not available", "failed"),
    ("bad gateway", "unavailable"),
    ("gateway timeout", "unavailable"),
    ("http error 503", "unavailable"),
];

/// Words of one who tries again, in small letters: said several times over they tell the same.
const AGAIN: [&str; 9] = [
    "retry",
    "attempt",
    "try again",
    "trying again",
    "next try",
    "not ready yet",
    "not up yet",
    "still waiting",
    "waiting for",
];
/// So often a line comes again, but for its numbers, before its words count.
const SAID: usize = 3;

/// The last lines that say that something could not be reached.
pub fn unreached(tail: &str) -> Option<Unreached> {
    let all: Vec<&str> = tail.lines().collect();
    let lines = &all[all.len().saturating_sub(20)..];
    let failure = |line: &str| {
        let line = line.to_lowercase();
        FAILURES.iter().find(|(text, _)| line.contains(text)).map(|(_, how)| *how)
    };
    let failed: Vec<usize> = (0..lines.len()).filter(|index| failure(lines[*index]).is_some()).collect();
    let Some(last) = failed.last().copied() else { return again(lines) };
    // An address may stand in the line itself, or just before or after it.
    let near = [last, last.saturating_sub(1), last + 1];
    let address = near.iter().filter_map(|index| lines.get(*index)).find_map(|line| address_in(line));
    Some(Unreached {
        address,
        line: lines[last].trim().to_owned(),
        times: failed.len(),
        how: failure(lines[last]).unwrap_or("failed"),
    })
}

/// A line that speaks of trying again and has come several times, but for its numbers.
fn again(lines: &[&str]) -> Option<Unreached> {
    let shape = |line: &str| line.to_lowercase().chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    // Who waits for a lock is told by who has it.
    let tries = |line: &str| AGAIN.iter().any(|words| line.contains(words)) && !line.contains("lock");
    let last = lines.iter().rposition(|line| tries(&line.to_lowercase()))?;
    let same = shape(lines[last]);
    let times = lines.iter().filter(|line| shape(line) == same).count();
    (times >= SAID).then(|| Unreached {
        address: address_in(lines[last]),
        line: lines[last].trim().to_owned(),
        times,
        how: "failed",
    })
}

/// Whether the output says that an address is in use: the last line that names one, else the last that says so.
pub fn address_in_use(tail: &str) -> Option<String> {
    let says = |line: &&str| {
        let line = line.to_lowercase();
        // The second is musl's.
        [
            "address already in use",
            "address in use",
            "eaddrinuse",
            "addrinuse",
            "port is already allocated",
            "port already in use",
        ]
        .iter()
        .any(|text| line.contains(text))
    };
    let lines = || tail.lines().rev().take(LINES).filter(says);
    // Node prints the error's code on a line of its own below the one that names the address.
    let line = lines().find(|line| address_in(line).is_some()).or_else(|| lines().next())?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::address::port_in;
    use super::*;

    fn place(words: &LastWords) -> (&str, &str, u32) {
        let frame = words.frame.as_ref().unwrap();
        (&frame.function, frame.file.as_deref().unwrap(), frame.line.unwrap())
    }

    #[test]
    fn a_rust_panic_is_read_in_both_forms() {
        let new =
            "starting\nthread 'main' panicked at src/main.rs:42:5:\nno DATABASE_URL\nnote: run with `RUST_BACKTRACE=1`";
        let words = last_words(new).unwrap();
        assert_eq!(words.text, "panic: no DATABASE_URL");
        assert_eq!(place(&words), ("panic", "src/main.rs", 42));
        let newest = "\nthread 'main' (4711) panicked at src/main.rs:2:5:\nboom";
        assert_eq!(last_words(newest).unwrap().text, "panic: boom");
        let old = last_words("thread 'main' panicked at 'boom', src/main.rs:7:3").unwrap();
        assert_eq!((old.text.as_str(), place(&old)), ("panic: boom", ("panic", "src/main.rs", 7)));
    }

    #[test]
    fn a_go_panic_is_placed_in_the_users_code() {
        let tail = "panic: no config\n\ngoroutine 1 [running]:\nos.Exit(...)\n\t/usr/local/go/src/os/proc.go:10\n\
                    main.load(0x0)\n\t/src/app/main.go:42 +0x1d\nmain.main()\n\t/src/app/main.go:7 +0x1\nexit status 2";
        let words = last_words(tail).unwrap();
        assert_eq!(words.text, "panic: no config");
        assert_eq!(place(&words), ("main.load", "/src/app/main.go", 42));
    }

    #[test]
    fn a_go_panic_is_never_placed_in_the_runtime_wherever_that_is_installed() {
        let tail = "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\n\
                    sync.runtime_notifyListWait(0xc0, 0x0)\n\t/usr/lib/go-1.19/src/runtime/sema.go:517 +0x14c\n\
                    main.(*Pool).Get(...)\n\t/srv/pool.go:17\nmain.main()\n\t/srv/pool.go:29 +0x1f\n";
        assert_eq!(place(&last_words(tail).unwrap()), ("main.(*Pool).Get", "/srv/pool.go", 17));
        let created = "panic: no\n\ngoroutine 7 [running]:\nsync.f()\n\t/sdk/src/sync/m.go:1\n\
                       created by shop.Start in goroutine 1\n\t/srv/shop.go:3 +0x1\n";
        assert_eq!(place(&last_words(created).unwrap()), ("shop.Start", "/srv/shop.go", 3));
    }

    #[test]
    fn an_exception_that_nobody_catches_in_cpp_gives_its_class_and_text() {
        let tail = "terminate called after throwing an instance of 'std::runtime_error'\n  what():  KEY is not set\n";
        let words = last_words(tail).unwrap();
        assert_eq!(
            (words.text.as_str(), words.recognised),
            ("uncaught exception std::runtime_error: KEY is not set", true)
        );
        let without = "terminate called after throwing an instance of 'int'\n";
        assert_eq!(last_words(without).unwrap().text, "uncaught exception int");
        let joinable = last_words("terminate called without an active exception").unwrap();
        assert_eq!(
            (joinable.text.as_str(), joinable.recognised),
            ("terminate called without an active exception", true)
        );
        let llvm = "libc++abi: terminating due to uncaught exception of type std::runtime_error: KEY is not set";
        assert_eq!(last_words(llvm).unwrap().text, "uncaught exception std::runtime_error: KEY is not set");
    }

    #[test]
    fn an_exception_of_ruby_gives_its_message_and_own_frame() {
        let tail = "/srv/app.rb:2:in `fetch': key not found: :url (KeyError)\n\tfrom /srv/app.rb:2:in `connect'\n\
                    \tfrom /srv/app.rb:5:in `<main>'\n";
        let words = last_words(tail).unwrap();
        assert_eq!(words.text, "key not found: :url (KeyError)");
        assert_eq!(place(&words), ("connect", "/srv/app.rb", 2));
        let newer = "/usr/lib/ruby/3.4.0/json.rb:9:in 'JSON.parse': unexpected end (JSON::ParserError)\n\
                     \tfrom /srv/app.rb:7:in 'Object#load'\n";
        assert_eq!(place(&last_words(newer).unwrap()), ("Object#load", "/srv/app.rb", 7));
    }

    #[test]
    fn a_python_traceback_gives_its_last_line_and_own_frame() {
        let tail = "Traceback (most recent call last):\n  File \"/srv/app.py\", line 9, in <module>\n    main()\n  \
                    File \"/srv/app.py\", line 5, in main\n    int('x')\n  \
                    File \"/usr/lib/python3.11/json.py\", line 1, in f\n\
                    ValueError: invalid literal\n";
        let words = last_words(tail).unwrap();
        assert_eq!(words.text, "ValueError: invalid literal");
        assert_eq!(place(&words), ("main", "/srv/app.py", 5));
    }

    #[test]
    fn exceptions_of_java_and_node_and_assertions_are_read() {
        let java = "Exception in thread \"main\" java.lang.IllegalStateException: no url\n\
                    \tat java.base/java.util.Objects.x(Objects.java:1)\n\
                    \tat shop.Db.open(Db.java:12)\n\tat shop.App.main(App.java:5)";
        let words = last_words(java).unwrap();
        assert!(words.text.contains("no url"));
        assert_eq!(place(&words), ("shop.Db.open", "Db.java", 12));
        let node = "/srv/app.js:10\n  throw new Error('x')\n  ^\n\nError: no url\n    \
                    at open (/srv/app.js:10:9)\n    at node:internal/main:1:1\n\nNode.js v20";
        let words = last_words(node).unwrap();
        assert_eq!((words.text.as_str(), place(&words)), ("Error: no url", ("open", "/srv/app.js", 10)));
        let words = last_words("api: db.c:12: open_db: Assertion `url != NULL' failed.").unwrap();
        assert_eq!(place(&words), ("open_db", "db.c", 12));
    }

    #[test]
    fn without_any_of_these_it_is_the_last_line_that_says_something() {
        let words = last_words("loading\nFATAL: no license\n\n---\n").unwrap();
        assert_eq!((words.text.as_str(), words.recognised), ("FATAL: no license", false));
        assert_eq!(last_words("\n \n"), None);
        let hint = "ls: unrecognized option '--x'\nTry 'ls --help' for more information.\n";
        assert_eq!(last_words(hint).unwrap().text, "ls: unrecognized option '--x'");
        assert_eq!(last_words("usage: api FILE\n").unwrap().text, "usage: api FILE");
        assert_eq!(last_words("error: no FILE\nusage: api FILE\n").unwrap().text, "error: no FILE");
    }

    #[test]
    fn what_the_c_library_says_of_memory_is_why_it_aborts() {
        let words = last_words("loading routes\ndouble free or corruption (!prev)\n").unwrap();
        assert_eq!((words.text.as_str(), words.recognised), ("double free or corruption (!prev)", true));
        assert!(!last_words("free(): is called at the end\nready\n").unwrap().recognised);
    }

    #[test]
    fn of_lines_that_say_an_address_is_in_use_one_that_names_it_counts() {
        let node = "Error: listen EADDRINUSE: address already in use 10.0.0.5:8080\n  code: 'EADDRINUSE',\n";
        let line = address_in_use(node).unwrap();
        assert_eq!(address_in(&line).as_deref(), Some("10.0.0.5:8080"));
        assert_eq!(
            address_in_use("java.net.BindException: Address already in use\n").as_deref(),
            Some("java.net.BindException: Address already in use")
        );
        let musl = "listen tcp 10.0.0.5:8080: Address in use";
        assert_eq!(address_in_use(musl).as_deref(), Some(musl));
        assert_eq!(address_in_use("listening on 10.0.0.5:8080"), None);
        let go = "listen tcp :8080: bind: address already in use";
        assert_eq!((address_in(go), port_in(go).as_deref()), (None, Some("0.0.0.0:8080")));
        assert_eq!(port_in("Error: listen EADDRINUSE: address already in use :::3000").as_deref(), Some("[::]:3000"));
        assert_eq!(port_in("12:30:01 x: :no :0"), None);
    }

    #[test]
    fn addresses_are_found_in_what_programs_print() {
        let found = |line| address_in(line);
        assert_eq!(found("dial tcp 127.0.0.1:5432: connect: connection refused").as_deref(), Some("127.0.0.1:5432"));
        assert_eq!(found("Error: connect ECONNREFUSED ::1:5432 [::1]:5432").as_deref(), Some("[::1]:5432"));
        assert_eq!(found("12:33:01 cannot reach redis://u:p@cache:6379/0: refused").as_deref(), Some("cache:6379"));
        let libpq = "connection to server at \"localhost\" (127.0.0.1), port 5432 failed: Connection refused";
        assert_eq!(found(libpq).as_deref(), Some("127.0.0.1:5432"));
        assert_eq!(found("12:33 main.go:42: connection refused"), None);
    }

    #[test]
    fn repeated_failures_are_counted() {
        let tail = "try 1: db:5432: Connection refused\nsleeping\ntry 2: db:5432: Connection refused\nsleeping";
        let found = unreached(tail).unwrap();
        assert_eq!((found.times, found.address.as_deref(), found.how), (2, Some("db:5432"), "refused"));
        assert_eq!(unreached("all is well"), None);
        let how = |words: &str| unreached(&format!("db:5432: {words}")).unwrap().how;
        let musl = ["Operation timed out", "Host is unreachable", "Network unreachable", "Name does not resolve"];
        assert_eq!(musl.map(how), ["timed out", "no route", "no route", "no such name"]);
    }

    #[test]
    fn what_is_said_again_and_again_of_trying_counts_whatever_failed() {
        let lines = |range: std::ops::Range<u32>| range.map(|n| format!("attempt {n}: no luck\n")).collect::<String>();
        let found = unreached(&lines(8..12)).unwrap();
        assert_eq!((found.times, found.how, found.line.as_str()), (4, "failed", "attempt 11: no luck"));
        assert_eq!(unreached(&lines(1..3)), None);
        assert_eq!(unreached("applied step 1 of 3\napplied step 2 of 3\napplied step 3 of 3\n"), None);
        assert_eq!(unreached(&"Waiting for cache lock: held by 12\n".repeat(4)), None);
        let busy = unreached("WARN config: HTTP Error 503: Service Unavailable, next in 1 s").unwrap();
        assert_eq!(busy.how, "unavailable");
    }
}
