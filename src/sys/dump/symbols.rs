//! Names for addresses: functions with those inlined into them, files and lines, and the language.
//!
//! All addresses of a module are looked up in one batch, by the file that was mapped (kept open, so neither another
//! mount namespace nor a deleted file nor the process's end matters), or by its debug file, found by build id.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{CodeInfo, Input, Symbolized, Symbolizer};

use super::module::Module;
use super::unwind::Modules;

/// Where distributions put debug files.
const DEBUG_DIRECTORY: &str = "usr/lib/debug/.build-id";
/// A file larger than this is first looked up without its debug information, which may take long to read.
const LARGE: u64 = 64 << 20;

/// One function at an address; several when some are inlined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    /// The function, demangled.
    pub function: String,
    /// The source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// The language.
    pub language: Option<&'static str>,
}

/// Names by module and address in it, innermost inlined function first.
pub type Names = HashMap<(usize, u64), Vec<Name>>;

/// A module's addresses, and what is needed to look them up without the modules themselves.
struct Job {
    module: usize,
    file: File,
    debug: Option<File>,
    size: u64,
    addresses: Vec<u64>,
}

/// Looks up the addresses `wanted` of each module. What is not done at `deadline` is left out; the second value says
/// whether it is all there.
pub fn look_up(modules: &Modules, wanted: &HashMap<usize, BTreeSet<u64>>, deadline: Instant) -> (Names, bool) {
    let mut names = Names::new();
    let mut jobs = Vec::new();
    for (&index, addresses) in wanted {
        let Some(module) = modules.get(index) else { continue };
        in_image(module, index, addresses, &mut names);
        let Some(file) = module.file.as_ref().and_then(|file| file.try_clone().ok()) else { continue };
        let debug = debug_file(module);
        let size = debug.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |data| data.len()).max(module.size);
        jobs.push(Job { module: index, file, debug, size, addresses: addresses.iter().copied().collect() });
    }
    jobs.sort_by_key(|job| (job.size, job.module));
    let (send, receive) = mpsc::channel();
    // A lookup cannot be interrupted and a debug file may be huge, or hang: it is done aside, and left behind at the
    // deadline.
    let aside = std::thread::Builder::new().name("dump-symbols".into()).spawn(move || run(&jobs, &send));
    if aside.is_err() {
        return (names, false);
    }
    loop {
        match receive.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Some(batch)) => names.extend(batch),
            Ok(None) => return (names, true),
            Err(_) => return (names, false),
        }
    }
}

type Batch = Vec<((usize, u64), Vec<Name>)>;

fn run(jobs: &[Job], send: &mpsc::Sender<Option<Batch>>) {
    let symbolizer = Symbolizer::new();
    let raw = Symbolizer::builder().enable_demangling(false).build();
    let passes = jobs.iter().filter(|job| job.size > LARGE).map(|job| (job, false));
    for (job, debug_syms) in passes.chain(jobs.iter().map(|job| (job, true))) {
        let names = batch(&symbolizer, &raw, job, debug_syms);
        if send.send(Some(names)).is_err() {
            return;
        }
    }
    let _ = send.send(None);
}

fn batch(symbolizer: &Symbolizer, raw: &Symbolizer, job: &Job, debug_syms: bool) -> Batch {
    let mut out = Batch::new();
    let mut left = job.addresses.clone();
    for file in job.debug.iter().chain([&job.file]) {
        let looked_up = look_up_in(symbolizer, file, &left, debug_syms);
        let mut unknown = Vec::new();
        for (address, symbol) in left.into_iter().zip(looked_up) {
            match names_of(&symbol) {
                Some(names) => out.push(((job.module, address), names)),
                None => unknown.push(address),
            }
        }
        left = unknown;
        if left.is_empty() {
            break;
        }
    }
    tell_languages(raw, job, &mut out);
    out
}

fn look_up_in<'a>(symbolizer: &'a Symbolizer, file: &File, addresses: &[u64], debug_syms: bool) -> Vec<Symbolized<'a>> {
    let path = own_path(file);
    let mut elf = Elf::new(&path);
    elf.debug_syms = debug_syms;
    match symbolizer.symbolize(&Source::from(elf), Input::VirtOffset(addresses)) {
        Ok(symbols) => symbols,
        // Debug information that is broken, or a debug file of another build: the symbols alone are still good.
        Err(_) if debug_syms => look_up_in(symbolizer, file, addresses, false),
        Err(_) => addresses.iter().map(|_| Symbolized::Unknown(blazesym::symbolize::Reason::MissingSyms)).collect(),
    }
}

fn own_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The names that a symbol stands for, innermost inlined function first.
fn names_of(symbol: &Symbolized) -> Option<Vec<Name>> {
    let symbol = symbol.as_sym()?;
    if symbol.name.is_empty() {
        return None;
    }
    let inlined = symbol.inlined.iter().rev().map(|inlined| name(&inlined.name, inlined.code_info.as_ref()));
    Some(inlined.chain([name(&symbol.name, symbol.code_info.as_deref())]).collect())
}

fn name(function: &str, code: Option<&CodeInfo>) -> Name {
    let file = code.map(|code| code.to_path().to_string_lossy().into_owned()).filter(|file| !file.is_empty());
    let language = file.as_deref().and_then(|file| language_of_file(file, function));
    Name { function: function.to_owned(), line: code.and_then(|code| code.line), file, language }
}

/// The language that a source file's ending tells.
fn language_of_file(file: &str, function: &str) -> Option<&'static str> {
    Some(match Path::new(file).extension()?.to_str()? {
        "rs" => "rust",
        "c" => "c",
        "h" if function.contains("::") => "c++",
        "h" => "c",
        "cc" | "cpp" | "cxx" | "C" | "c++" | "hh" | "hpp" | "hxx" | "tcc" | "ipp" => "c++",
        "go" => "go",
        "S" | "s" | "asm" => "assembly",
        "zig" => "zig",
        "d" => "d",
        "f" | "f90" | "F90" => "fortran",
        _ => return None,
    })
}

/// Tells the language of names without a file by how the symbol was mangled.
fn tell_languages(raw: &Symbolizer, job: &Job, names: &mut Batch) {
    let untold = |list: &Vec<Name>| list.iter().any(|name| name.language.is_none() && name.function.contains(':'));
    let addresses: Vec<u64> = names.iter().filter(|(_, list)| untold(list)).map(|((_, at), _)| *at).collect();
    if addresses.is_empty() {
        return;
    }
    let mangled: HashMap<u64, &'static str> = addresses
        .iter()
        .zip(look_up_in(raw, &job.file, &addresses, false))
        .filter_map(|(at, symbol)| Some((*at, language_of_symbol(&symbol.as_sym()?.name)?)))
        .collect();
    for ((_, address), list) in names {
        for name in list.iter_mut().filter(|name| name.language.is_none()) {
            name.language = mangled.get(address).copied();
        }
    }
}

/// The language that a mangled symbol tells: Rust's legacy scheme is Itanium's with a hash at the end.
fn language_of_symbol(symbol: &str) -> Option<&'static str> {
    let hash = |rest: &str| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let legacy =
        |symbol: &str| symbol.strip_suffix('E').and_then(|s| s.rsplit_once("17h")).is_some_and(|(_, h)| hash(h));
    match symbol {
        s if s.starts_with("_R") => Some("rust"),
        s if s.starts_with("_ZN") && legacy(s.split('.').next().unwrap_or(s)) => Some("rust"),
        s if s.starts_with("_Z") => Some("c++"),
        _ => None,
    }
}

/// Names in an image that has no file.
fn in_image(module: &Module, index: usize, addresses: &BTreeSet<u64>, names: &mut Names) {
    for &address in addresses {
        let after = module.functions.partition_point(|(start, ..)| *start <= address);
        if let Some((start, size, function)) = module.functions[..after].last()
            && address - start < (*size).max(1)
        {
            names.insert((index, address), vec![Name { function: function.clone(), ..Name::default() }]);
        }
    }
}

/// The module's debug file, by its build id: in the process's own file system, or in ours.
fn debug_file(module: &Module) -> Option<File> {
    let hex: String = module.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, rest) = hex.split_at_checked(2).filter(|(_, rest)| !rest.is_empty())?;
    [module.root.as_path(), Path::new("/")].iter().find_map(|root| {
        let path = root.join(DEBUG_DIRECTORY).join(first).join(format!("{rest}.debug"));
        std::fs::metadata(&path).ok()?.is_file().then(|| File::open(path).ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_by_mangling_and_by_file() {
        assert_eq!(language_of_symbol("_RNvC3foo3bar"), Some("rust"));
        assert_eq!(language_of_symbol("_ZN4core9panicking9panic_fmt17h5f1a6fd39197ad62E"), Some("rust"));
        assert_eq!(language_of_symbol("_ZN4core9panicking9panic_fmt17h5f1a6fd39197ad62E.llvm.12"), Some("rust"));
        assert_eq!(language_of_symbol("_ZNSt6vectorIiSaIiEE9push_backEOi"), Some("c++"));
        assert_eq!(language_of_symbol("main"), None);
        assert_eq!(language_of_file("/a/b.cc", "f"), Some("c++"));
        assert_eq!(language_of_file("nptl/x.c", "f"), Some("c"));
        assert_eq!(language_of_file("/a/vector.h", "std::f"), Some("c++"));
        assert_eq!(language_of_file("noise", "f"), None);
    }
}
