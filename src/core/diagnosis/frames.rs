//! Which frame of a stack is the user's own code: not libc's, not the runtime's, not a library's.

mod go;
mod java;

use crate::core::facts::Frame;

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

/// The frames between the user's own code and where the thread stands: of the runtime and of libraries. All of them when
/// none is the user's.
pub fn above_users(frames: &[Frame]) -> &[Frame] {
    let is_users = |frame: &Frame| {
        frame.function.as_deref().is_some_and(|name| !name.is_empty())
            && matches!(kind(frame), Kind::Own | Kind::OwnUnplaced)
    };
    let end = frames.iter().position(is_users).unwrap_or(frames.len());
    &frames[..end]
}

/// Whether any frame is in the user's own code, as far as it can be told.
pub fn has_own(frames: &[Frame]) -> bool {
    let named = |frame: &&Frame| frame.function.as_deref().is_some_and(|name| !name.is_empty());
    frames.iter().filter(named).any(|frame| kind(frame) <= Kind::OwnUnplaced)
}

/// Whether its runtime has told any of the frames: it runs code of the program or of its libraries.
pub fn has_told(frames: &[Frame]) -> bool {
    frames.iter().any(Frame::is_told)
}

/// Whether any frame's function has this within its name.
pub fn passes_within(frames: &[Frame], part: &str) -> bool {
    frames.iter().filter_map(|frame| frame.function.as_deref()).any(|name| name.contains(part))
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
    if frame.is_told() && frame.language.as_deref() == Some("python") {
        return kind_of_python(frame);
    }
    let function = frame.function.as_deref().unwrap_or_default();
    if frame.language.as_deref() == Some("java") {
        return java::kind(function, frame.line.is_some());
    }
    let file = frame.file.as_deref().unwrap_or_default();
    if frame.language.as_deref() == Some("go") {
        return go::kind(function, file, frame.line);
    }
    let module = frame.module.as_deref().unwrap_or_default();
    if is_runtime_file(file) || (!frame.is_told() && is_runtime_module(module)) {
        return Kind::Runtime;
    }
    // In a scripting language any function may have any name: `__init__`, `read`.
    let scripted = matches!(frame.language.as_deref(), Some("javascript" | "php" | "python" | "ruby"));
    // Its functions without a file are built into the interpreter.
    if scripted && file.is_empty() {
        return Kind::Runtime;
    }
    if !scripted && (is_runtime_function(function) || (file.is_empty() && is_libc_function(function))) {
        return Kind::Runtime;
    }
    if is_library_file(file) || (file.is_empty() && is_library_module(module)) {
        return Kind::Library;
    }
    if !file.is_empty() && frame.line.is_some() { Kind::Own } else { Kind::OwnUnplaced }
}

/// A frame of Python is told by its file alone: functions may have any name, `__enter__` is the user's own, too.
fn kind_of_python(frame: &Frame) -> Kind {
    // Code without a file that a person wrote; other such names are those of generated code.
    const WRITTEN: [&str; 4] = ["<string>", "<stdin>", "<console>", "<unknown>"];
    let file = frame.file.as_deref().unwrap_or("<unknown>");
    if file.starts_with("<frozen ") || is_python_library(file) {
        return Kind::Runtime;
    }
    if is_library_file(file) || (file.starts_with('<') && !WRITTEN.contains(&file)) {
        return Kind::Library;
    }
    if frame.line.is_some() { Kind::Own } else { Kind::OwnUnplaced }
}

/// Whether a file is of Python's own library: `/usr/lib/python3.11/socket.py`, `/app/python311.zip/socket.py`.
fn is_python_library(file: &str) -> bool {
    // `11`, `14t`; in front of a slash.
    let is_version = |folder: &str| {
        let digits = folder.trim_end_matches('t');
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
    };
    let version = |(_, rest): (&str, &str)| rest.split_once('/').is_some_and(|(folder, _)| is_version(folder));
    let in_folder =
        ["/lib/python3.", "/lib64/python3."].iter().any(|start| file.split_once(start).is_some_and(version));
    let archive = |(_, rest): (&str, &str)| rest.split_once(".zip/").is_some_and(|(folder, _)| is_version(folder));
    (in_folder && !file.contains("-packages/")) || file.split_once("/python3").is_some_and(archive)
}

/// The C library, the loader, language runtimes as shared objects, and interpreters as programs.
fn is_runtime_module(module: &str) -> bool {
    const LIBRARIES: [&str; 28] = [
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
        "libcoreclr",
        "libclrjit",
        "libhostfxr",
        "libhostpolicy",
        "libSystem.Native",
        "System.Native",
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
    const STARTS: [&str; 14] = [
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
        "internal/modules/",
        "<frozen ",
        "<internal:",
    ];
    const PARTS: [&str; 6] =
        ["/glibc", "/sysdeps/unix/", "/usr/local/go/src/", "/lib/go/src/", "/rustlib/src/rust/", "/libexec/go/"];
    let ruby_own = file.contains("/lib/ruby/") && !file.contains("/gems/");
    let go_own = file.contains("/usr/lib/go-") && file.contains("/src/");
    ruby_own
        || go_own
        || is_python_library(file)
        || STARTS.iter().any(|start| file.starts_with(start))
        || PARTS.iter().any(|part| file.contains(part))
}

/// Sources of libraries that package managers bring.
fn is_library_file(file: &str) -> bool {
    const PARTS: [&str; 10] = [
        "/site-packages/",
        "/__pypackages__/",
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
    let installed = module.contains("/site-packages/") || module.contains("/dist-packages/");
    installed
        || (module.starts_with("/lib") || module.starts_with("/usr/lib") || module.starts_with("/opt/"))
            && words::base(module).contains(".so")
}

/// Without the type of the result, with which functions made from a template of C++ are named:
/// `void std::this_thread::sleep_for<long>(…)`.
fn without_result(function: &str) -> &str {
    let (mut depth, mut begins) = (0, 0);
    for (at, c) in function.char_indices() {
        match c {
            '<' | '{' | '[' => depth += 1,
            '>' | '}' | ']' => depth -= 1,
            '(' if depth == 0 => break,
            ' ' if depth == 0 => begins = at + 1,
            _ => {}
        }
    }
    // `operator()`, `operator bool`, and what stands in brackets of its own.
    let named = &function[begins..];
    if named.is_empty() || named.starts_with('(') || function[..begins].ends_with("operator ") {
        function
    } else {
        named
    }
}

/// Functions of runtimes, told by their names: for static binaries, where one file holds all.
fn is_runtime_function(function: &str) -> bool {
    const STARTS: [&str; 29] = [
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
        "PyObject_",
        "_Py",
    ];
    // `<std::net::TcpStream as …>::f`, `<&mut core::…>`, `&std::…`
    let bare = without_result(function).trim_start_matches(['<', '&']);
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
    use crate::core::facts::FoundBy;

    pub(super) fn frame(function: &str, file: &str, line: u32, module: &str) -> Frame {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Frame {
            function: text(function),
            file: text(file),
            line: (line > 0).then_some(line),
            module: text(module),
            ..Frame::default()
        }
    }

    pub(super) fn chosen(frames: &[Frame]) -> Option<String> {
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
    fn templates_of_cpp_are_named_with_their_result() {
        let sleep =
            "void std::this_thread::sleep_for<long, std::ratio<1l, 1000l> >(std::chrono::duration<long> const&)";
        assert_eq!(
            chosen(&[frame(sleep, "/usr/include/c++/12/thread", 80, "/srv/api"), frame("dial", "a.cc", 3, "")]),
            Some("dial".into())
        );
        for (function, bare) in [
            (
                "std::cv_status std::condition_variable::wait_until<int>(int)",
                "std::condition_variable::wait_until<int>(int)",
            ),
            ("std::vector<int, a<b> > shop::load<int>(int)", "shop::load<int>(int)"),
            ("<T as core::ops::Fn>::call", "<T as core::ops::Fn>::call"),
            ("(anonymous namespace)::work(int)", "(anonymous namespace)::work(int)"),
            ("shop::S::operator bool()", "shop::S::operator bool()"),
            ("main.(*Pool).Get", "main.(*Pool).Get"),
        ] {
            assert_eq!(without_result(function), bare, "{function}");
        }
    }

    #[test]
    fn rubys_own_files_are_told_from_gems() {
        let ruby = |function, file| Frame { found: FoundBy::Runtime, ..frame(function, file, 3, "") };
        let frames = [
            Frame { found: FoundBy::Runtime, ..frame("sleep", "", 0, "") },
            ruby("loop", "<internal:kernel>"),
            ruby("connect", "/usr/lib/ruby/3.1.0/net/http.rb"),
            ruby("call", "/usr/lib/ruby/gems/3.1.0/gems/redis-5.0.8/lib/redis.rb"),
            ruby("init_redis", "/srv/app.rb"),
        ];
        assert_eq!(chosen(&frames).as_deref(), Some("init_redis"));
        assert_eq!(kind(&frames[3]), Kind::Library);
        assert!(frames[1..3].iter().all(|frame| kind(frame) == Kind::Runtime));
    }

    #[test]
    fn javascript_is_told_from_node_itself_and_from_packages() {
        let javascript = |function, file, line| Frame {
            found: FoundBy::Runtime,
            language: Some("javascript".to_owned()),
            ..frame(function, file, line, "")
        };
        let node = "/usr/bin/node";
        let frames = [
            frame("uv_fs_open", "/home/iojs/build/ws/deps/uv/src/unix/fs.c", 1967, node),
            frame("Builtins_CEntry_Return1_ArgvOnStack_BuiltinExit", "", 0, node),
            javascript("readFileSync", "node:fs", 440),
            javascript("load", "/srv/app/node_modules/dotenv/lib/main.js", 12),
            javascript("__read", "/srv/app/internal/modules/config.js", 7),
            javascript("<anonymous>", "/srv/app/server.js", 3),
            javascript("Module._compile", "node:internal/modules/cjs/loader", 1521),
        ];
        assert_eq!(chosen(&frames).as_deref(), Some("__read"));
        let [.., package, _, _, inside] = &frames;
        assert_eq!(chosen(&[package.clone(), inside.clone()]).as_deref(), Some("load"));
        assert_eq!(chosen(&frames[..3]), None);
    }

    #[test]
    fn python_is_told_by_its_files_alone() {
        let of = |function: &str, file: &str| {
            let frame = frame(function, file, 7, "");
            kind(&Frame { found: FoundBy::Runtime, language: Some("python".to_owned()), ..frame })
        };
        let own = [
            "/srv/app.py",
            "app.py",
            "<string>",
            "<stdin>",
            "/opt/lib/python3_client/main.py",
            "/srv/glibc-tools/main.py",
            "/srv/lib/python3.11.py",
            "/srv/vendors/main.py",
        ];
        for file in own {
            for function in ["__enter__", "runtime.start", "connect", "std::odd", "<module>"] {
                assert_eq!(of(function, file), Kind::Own, "{function} in {file}");
            }
        }
        let runtime = [
            "/usr/lib/python3.11/threading.py",
            "/root/.pyenv/versions/3.13.0/lib/python3.13/asyncio/tasks.py",
            "/usr/lib64/python3.9/socket.py",
            "/usr/local/lib/python3.14t/queue.py",
            "/app/python311.zip/socket.py",
            "<frozen importlib._bootstrap>",
        ];
        for file in runtime {
            assert_eq!(of("wait", file), Kind::Runtime, "{file}");
        }
        let libraries = [
            "/srv/venv/lib/python3.11/site-packages/redis/connection.py",
            "/usr/lib/python3/dist-packages/gunicorn/arbiter.py",
            "/srv/__pypackages__/3.11/lib/uvicorn/main.py",
            "<attrs generated init shop.Order>",
            "<decorator-gen-7>",
        ];
        for file in libraries {
            assert_eq!(of("wait", file), Kind::Library, "{file}");
        }
    }

    #[test]
    fn an_extension_module_is_a_library_where_a_package_manager_put_it() {
        let wait = frame("rd_kafka_poll", "", 0, "/srv/venv/lib/python3.11/site-packages/kafka.cpython-311.so");
        assert_eq!(kind(&wait), Kind::Library);
        assert_eq!(kind(&frame("shop_poll", "", 0, "/srv/shop.cpython-311.so")), Kind::OwnUnplaced);
        let select = frame("select_poll", "", 0, "/root/.pyenv/lib/python3.11/lib-dynload/select.cpython-311.so");
        assert_eq!(kind(&select), Kind::Runtime);
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
