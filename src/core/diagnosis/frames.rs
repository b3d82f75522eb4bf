//! Which frame of a stack is the user's own code: not libc's, not the runtime's, not a library's.

use crate::core::facts::{FoundBy, Frame};

use super::{VerdictFrame, words};

/// The innermost frame of the user's own code; a library's when there is none; `None` when only the C library's and the
/// runtime's frames are known.
pub fn users(frames: &[Frame]) -> Option<VerdictFrame> {
    // `min_by_key` keeps the first, thus innermost, of the equally good.
    frames
        .iter()
        .filter(|frame| frame.function.as_deref().is_some_and(|name| !name.is_empty()))
        .map(|frame| (kind(frame), frame))
        .filter(|(kind, _)| *kind != Kind::Runtime)
        .min_by_key(|(kind, _)| *kind)
        .and_then(|(_, frame)| VerdictFrame::of(frame))
}

/// Whether any frame's function is one of these; a versioned or inlined name (`getaddrinfo@@GLIBC_2.2.5`) counts.
pub fn passes_through(frames: &[Frame], functions: &[&str]) -> bool {
    frames.iter().filter_map(|frame| frame.function.as_deref()).any(|name| {
        let name = name.split('@').next().unwrap_or(name);
        functions.contains(&name)
    })
}

/// The innermost frames that have a name, for evidence: at most `count`.
pub fn innermost(frames: &[Frame], count: usize) -> Vec<String> {
    frames.iter().filter(|frame| frame.function.is_some()).take(count).map(words::frame_line).collect()
}

/// Whose code a frame is, the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The user's, with file and line.
    Own,
    /// The user's, as far as it can be told.
    OwnUnplaced,
    /// A library's.
    Library,
    /// The C library's, the loader's, or the runtime's.
    Runtime,
}

fn kind(frame: &Frame) -> Kind {
    let function = frame.function.as_deref().unwrap_or_default();
    let file = frame.file.as_deref().unwrap_or_default();
    let module = frame.module.as_deref().unwrap_or_default();
    if is_runtime_file(file) || (frame.found != FoundBy::Runtime && is_runtime_module(module)) {
        return Kind::Runtime;
    }
    if is_runtime_function(function) || (file.is_empty() && is_libc_function(function)) {
        return Kind::Runtime;
    }
    if is_library_file(file) || (file.is_empty() && is_library_module(module)) {
        return Kind::Library;
    }
    if !file.is_empty() && frame.line.is_some() { Kind::Own } else { Kind::OwnUnplaced }
}

/// The C library, the loader, language runtimes as shared objects, and interpreters as programs.
fn is_runtime_module(module: &str) -> bool {
    const LIBRARIES: [&str; 22] = [
        "libc.so",
        "libc-2",
        "ld-linux",
        "ld-musl",
        "ld-2",
        "libpthread",
        "libm.so",
        "libdl.so",
        "librt.so",
        "libresolv",
        "libnss_",
        "libstdc++",
        "libgcc_s",
        "libpython",
        "libjvm",
        "libjava",
        "libjli",
        "libnet.so",
        "libnio.so",
        "libruby",
        "libnode",
        "libuv",
    ];
    const PROGRAMS: [&str; 9] = ["python", "node", "ruby", "java", "perl", "php", "bash", "dash", "busybox"];
    let name = words::base(module);
    // CPython's own extension modules.
    let python_own = module.contains("/lib-dynload/");
    python_own
        || module.starts_with("[v")
        || name.starts_with("linux-vdso")
        || name == "sh"
        || LIBRARIES.iter().any(|library| name.starts_with(library))
        || PROGRAMS.iter().any(|program| {
            // `python3.11`, `ruby3.1`, but not `node_exporter` or `javafmt`.
            name.strip_prefix(program).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
        })
}

/// Sources of the C library and of runtimes, as debug information and the runtimes' own tables name them.
fn is_runtime_file(file: &str) -> bool {
    const STARTS: [&str; 12] = [
        "../sysdeps/",
        "./sysdeps/",
        "../nptl/",
        "./nptl/",
        "./io/",
        "./misc/",
        "./posix/",
        "/rustc/",
        "library/std/",
        "library/core/",
        "node:",
        "<frozen ",
    ];
    const PARTS: [&str; 8] = [
        "/glibc",
        "/sysdeps/unix/",
        "/usr/local/go/src/",
        "/lib/go/src/",
        "/rustlib/src/rust/",
        "/libexec/go/",
        "/lib/ruby/",
        "internal/modules/",
    ];
    let python_own = file.contains("/lib/python3") && !file.contains("-packages/");
    let go_own = file.contains("/usr/lib/go-") && file.contains("/src/");
    python_own
        || go_own
        || STARTS.iter().any(|start| file.starts_with(start))
        || PARTS.iter().any(|part| file.contains(part))
}

/// Sources of libraries that package managers bring.
fn is_library_file(file: &str) -> bool {
    const PARTS: [&str; 9] = [
        "/site-packages/",
        "/dist-packages/",
        "/.cargo/registry/",
        "/.cargo/git/",
        "/pkg/mod/",
        "/node_modules/",
        "/gems/",
        "/vendor/",
        "/.m2/",
    ];
    file.starts_with("node_modules/") || PARTS.iter().any(|part| file.contains(part))
}

/// Shared objects where a distribution puts them.
fn is_library_module(module: &str) -> bool {
    (module.starts_with("/lib") || module.starts_with("/usr/lib") || module.starts_with("/opt/"))
        && words::base(module).contains(".so")
}

/// Functions of runtimes, told by their names: for static binaries, where one file holds all.
fn is_runtime_function(function: &str) -> bool {
    const STARTS: [&str; 27] = [
        "__",
        "_dl_",
        "_IO_",
        "_nss_",
        "_start",
        "std::",
        "core::",
        "alloc::",
        "tokio::",
        "mio::",
        "futures::",
        "futures_util::",
        "futures_executor::",
        "async_std::",
        "smol::",
        "hyper::",
        "runtime.",
        "syscall.",
        "internal/",
        "net.(*netFD)",
        "net.(*Dialer)",
        "java.",
        "jdk.",
        "sun.",
        "uv_",
        "uv__",
        "PyEval_",
    ];
    // `<std::net::TcpStream as …>::f`, `<&mut core::…>`, `&std::…`
    let bare = function.trim_start_matches(['<', '&']);
    let bare = bare.strip_prefix("mut ").unwrap_or(bare);
    STARTS.iter().any(|start| bare.starts_with(start)) || bare == "rust_begin_unwind" || bare == "lang_start"
}

/// The C library's wrappers of blocking calls, which have no `__` in a static binary; sorted.
const WRAPPERS: [&str; 61] = [
    "accept",
    "accept4",
    "clock_nanosleep",
    "clone",
    "clone3",
    "connect",
    "epoll_pwait",
    "epoll_wait",
    "fcntl",
    "fcntl64",
    "fgets",
    "flock",
    "fread",
    "fscanf",
    "getaddrinfo",
    "getc",
    "getchar",
    "getline",
    "getrandom",
    "gethostbyname",
    "lockf",
    "lockf64",
    "mq_receive",
    "msgrcv",
    "nanosleep",
    "open",
    "open64",
    "openat",
    "pause",
    "poll",
    "ppoll",
    "pread",
    "pread64",
    "pselect",
    "read",
    "readv",
    "recv",
    "recvfrom",
    "recvmsg",
    "scanf",
    "select",
    "sem_timedwait",
    "sem_wait",
    "semop",
    "send",
    "sendmsg",
    "sendto",
    "sigsuspend",
    "sigwait",
    "sigwaitinfo",
    "sleep",
    "start_thread",
    "syscall",
    "system",
    "usleep",
    "vfork",
    "wait",
    "wait4",
    "waitid",
    "waitpid",
    "write",
];

/// Whether it is one of the C library's own.
fn is_libc_function(function: &str) -> bool {
    let name = function.split('@').next().unwrap_or(function);
    name.starts_with("pthread_")
        || name.starts_with("lll_")
        || name.starts_with("futex_")
        || WRAPPERS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str, line: u32, module: &str) -> Frame {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Frame {
            function: text(function),
            file: text(file),
            line: (line > 0).then_some(line),
            module: text(module),
            ..Frame::default()
        }
    }

    fn chosen(frames: &[Frame]) -> Option<String> {
        users(frames).map(|frame| frame.function)
    }

    #[test]
    fn skips_the_c_library_and_takes_the_innermost_own_frame_with_a_line() {
        let frames = [
            frame("connect", "", 0, "/usr/lib/x86_64-linux-gnu/libc.so.6"),
            frame("helper", "", 0, "/srv/api"),
            frame("open_db", "db.c", 42, "/srv/api"),
            frame("main", "main.c", 7, "/srv/api"),
            frame("__libc_start_main", "", 0, "/usr/lib/x86_64-linux-gnu/libc.so.6"),
        ];
        assert_eq!(chosen(&frames).as_deref(), Some("open_db"));
    }

    #[test]
    fn a_static_binary_is_told_apart_by_the_names_of_functions() {
        let api = "/srv/api";
        let frames = [
            frame("__libc_connect", "", 0, api),
            frame("connect", "", 0, api),
            frame("std::sys::net::connection::socket::TcpStream::connect", "library/std/src/net.rs", 12, api),
            frame("<std::net::TcpStream as core::fmt::Debug>::fmt", "", 0, api),
            frame("api::redis::init", "src/redis.rs", 20, api),
            frame("api::main", "src/main.rs", 5, api),
        ];
        assert_eq!(chosen(&frames).as_deref(), Some("api::redis::init"));
    }

    #[test]
    fn a_library_is_named_only_when_nothing_of_the_users_is_known() {
        let library = frame("PQconnectdb", "", 0, "/usr/lib/x86_64-linux-gnu/libpq.so.5");
        let poll = frame("poll", "", 0, "/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(chosen(&[poll.clone(), library.clone()]).as_deref(), Some("PQconnectdb"));
        let own = frame("main", "", 0, "/srv/api");
        assert_eq!(chosen(&[poll.clone(), library, own]).as_deref(), Some("main"));
        assert_eq!(chosen(&[poll]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn frames_of_interpreted_languages_beat_their_interpreter() {
        let python = |function, file, line| Frame {
            found: FoundBy::Runtime,
            language: Some("python".to_owned()),
            ..frame(function, file, line, "/usr/bin/python3.11")
        };
        let frames = [
            frame("sock_connect", "", 0, "/usr/bin/python3.11"),
            python("create_connection", "/usr/lib/python3.11/socket.py", 850),
            python("connect", "/srv/venv/lib/python3.11/site-packages/redis/connection.py", 300),
            python("init_redis", "/srv/app.py", 12),
        ];
        assert_eq!(chosen(&frames).as_deref(), Some("init_redis"));
    }

    #[test]
    fn names_of_wrapped_calls_are_sorted_for_the_search() {
        for name in ["accept", "clock_nanosleep", "gethostbyname", "lockf", "write", "start_thread", "fcntl64"] {
            assert!(is_libc_function(name), "{name}");
        }
        assert!(!is_libc_function("write_config"));
        assert!(is_runtime_module("/usr/bin/python3.11"));
        assert!(!is_runtime_module("/usr/bin/node_exporter"));
    }
}
