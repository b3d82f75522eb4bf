//! Which runtime runs a process: by its executable's name and what it maps. The stacks of the runtimes themselves are
//! not read here.

use super::maps::Maps;
use super::memory::Memory;

/// What stands at the start of a Go program's build information.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
/// How much of a program's data is searched for it, in bytes.
const GO_SPAN: usize = 256 << 10;

/// The name of the runtime: `go`, `cpython`, `jvm`, `node`, `ruby`, `php`, `erlang`, or `native`.
pub fn recognise(executable: &str, maps: &Maps, memory: &Memory) -> &'static str {
    let mapped = |prefix: &str| maps.all().iter().any(|mapping| file_name(&mapping.path).starts_with(prefix));
    let name = file_name(executable);
    let versioned = |stem: &str| {
        name.strip_prefix(stem).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-')))
    };
    if versioned("python") || versioned("pypy") || mapped("libpython") {
        "cpython"
    } else if mapped("libjvm.so") {
        "jvm"
    } else if versioned("node") || versioned("nodejs") || mapped("libnode.so") {
        "node"
    } else if versioned("ruby") || mapped("libruby") {
        "ruby"
    } else if versioned("php") || versioned("php-fpm") {
        "php"
    } else if name == "beam.smp" {
        "erlang"
    } else if is_go(executable, maps, memory) {
        "go"
    } else {
        "native"
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Go's linker puts its build information at the start of the first writable segment, aligned to 16 bytes.
fn is_go(executable: &str, maps: &Maps, memory: &Memory) -> bool {
    let own = maps.all().iter().filter(|mapping| mapping.path == executable && !mapping.execute);
    own.take(8).any(|mapping| {
        let length = ((mapping.end - mapping.start) as usize).min(GO_SPAN);
        let bytes = memory.read_fresh(mapping.start, length);
        bytes.chunks(16).any(|chunk| chunk.starts_with(GO_MAGIC))
    })
}
