//! Which runtime runs a process: by its executable's name and what it maps.

use super::super::maps::Maps;
use super::super::memory::Memory;

/// What stands at the start of a Go program's build information.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
/// How much of a program's data is searched for it, in bytes.
const GO_SPAN: usize = 256 << 10;

/// The name of the runtime: `go`, `cpython`, `jvm`, `node`, `ruby`, `php`, `erlang`,
/// `dotnet`, `perl`, or `native`.
pub fn recognise(executable: &str, maps: &Maps, memory: &Memory) -> &'static str {
    let mapped = |prefix: &str| maps.all().iter().any(|mapping| file_name(&mapping.path).starts_with(prefix));
    let name = file_name(executable);
    let versioned = |stem: &str| {
        name.strip_prefix(stem).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-')))
    };
    // Builds of their own kind have a letter: `python3.13t`, `python3.11d`.
    let python = name.trim_end_matches("-dbg").trim_end_matches(['d', 'm', 't']);
    let is_python =
        python.strip_prefix("python").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'));
    if is_python || versioned("pypy") || mapped("libpython") {
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
    } else if mapped("libcoreclr.so") {
        "dotnet"
    } else if versioned("perl") {
        "perl"
    } else if is_go(executable, maps, memory) {
        "go"
    } else {
        "native"
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether there is build information of Go.
fn is_go(executable: &str, maps: &Maps, memory: &Memory) -> bool {
    go_build_information(executable, maps, memory).is_some()
}

/// Where a program's build information lies: Go's linker puts it near the start of the first writable segment, aligned
/// to 16 bytes.
pub fn go_build_information(executable: &str, maps: &Maps, memory: &Memory) -> Option<u64> {
    let own = maps.all().iter().filter(|mapping| mapping.path == executable && !mapping.execute);
    own.take(8).find_map(|mapping| {
        let length = ((mapping.end - mapping.start) as usize).min(GO_SPAN);
        let bytes = memory.read_fresh(mapping.start, length);
        let place = bytes.chunks(16).position(|chunk| chunk.starts_with(GO_MAGIC))?;
        Some(mapping.start + 16 * place as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_told_by_their_names() {
        let memory = Memory::of(0);
        let told = |executable: &str| recognise(executable, &Maps::default(), &memory);
        for (executable, name) in [
            ("/usr/lib/erlang/erts-13.1.5/bin/beam.smp", "erlang"),
            ("/usr/bin/php8.2", "php"),
            ("/usr/sbin/php-fpm8.2", "php"),
            ("/usr/bin/perl5.36-x86_64-linux-gnu", "native"),
            ("/usr/bin/perl", "perl"),
            ("/usr/bin/perl5.36.0", "perl"),
            ("/usr/bin/node", "node"),
            ("/usr/bin/node_exporter", "native"),
            ("/usr/bin/python3.11", "cpython"),
        ] {
            assert_eq!(told(executable), name, "{executable}");
        }
    }
}
