//! Looks up addresses in the file of a module and in what belongs to it: its debug file, its symbols.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{CodeInfo, Input, Symbolized, Symbolizer};

use super::debug_file::{self, Origin};
use super::{perf_map, rights, unpacked};

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

/// What an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// A module, by its index: the address is one in its file's own terms.
    Module(usize),
    /// A process, by its pid: the address is in code that it made while it ran.
    Process(i32),
}

/// Addresses of one place, and what is needed to look them up without anything else.
#[derive(Debug)]
pub struct Job {
    /// The place.
    pub site: Site,
    /// A process that maps it: its rights and its files are used.
    pub pid: i32,
    /// The module's file; nothing for code made at run time.
    pub file: Option<File>,
    /// Where its debug information may be.
    pub origin: Origin,
    /// The file's size, in bytes.
    pub size: u64,
    /// Whether lines are asked for, and what was inlined.
    pub lines: bool,
    /// The addresses.
    pub addresses: BTreeSet<u64>,
}

/// Names by address, innermost inlined function first.
pub type Batch = Vec<(u64, Vec<Name>)>;

/// What looks names up. Files stay open and read: their addresses may come in several jobs.
pub struct Lookup {
    symbolizer: Symbolizer,
    /// Whether debug information is asked for.
    debug: bool,
    opened: RefCell<HashMap<Site, Rc<Opened>>>,
}

/// The files of a module, opened when they are needed, in the order in which they are asked.
#[derive(Default)]
struct Opened {
    debug: OnceCell<Option<Plain>>,
    own: OnceCell<Option<Plain>>,
    mini: OnceCell<Option<Plain>>,
}

/// A file in which names can be looked up, and its path.
struct Plain {
    path: PathBuf,
    /// What the path leads to lives as long as this.
    _file: Option<File>,
}

impl Lookup {
    /// With debug information, or by symbols alone.
    pub fn new(debug: bool) -> Lookup {
        // Debug files are found by us, and are those of the process's own file system first.
        let no_directories: Option<[&Path; 0]> = Some([]);
        let symbolizer = Symbolizer::builder().set_debug_dirs(no_directories).enable_demangling(false).build();
        Lookup { symbolizer, debug, opened: RefCell::default() }
    }

    /// The names that can be found.
    pub fn batch(&self, job: &Job) -> Batch {
        let _rights = rights::take(job.pid);
        let Some(file) = &job.file else { return of_perf_map(job) };
        let opened = Rc::clone(self.opened.borrow_mut().entry(job.site).or_default());
        let mut out = Batch::new();
        let mut left: Vec<u64> = job.addresses.iter().copied().collect();
        let lines = self.debug && job.lines;
        if self.debug {
            let find = || debug_file::find(file, &job.origin).map(|(path, found)| Plain::of(found, &path, lines));
            left = self.ask(opened.debug.get_or_init(find), lines, left, &mut out);
        }
        if !left.is_empty() {
            let open = || Some(Plain::of(file.try_clone().ok()?, &job.origin.reached(), lines));
            left = self.ask(opened.own.get_or_init(open), lines, left, &mut out);
        }
        if !left.is_empty() {
            let open = || unpacked::mini_symbols(file).map(Plain::open);
            self.ask(opened.mini.get_or_init(open), false, left, &mut out);
        }
        out
    }

    /// Looks `left` up in a file; what stays unknown.
    fn ask(&self, file: &Option<Plain>, debug: bool, left: Vec<u64>, out: &mut Batch) -> Vec<u64> {
        let Some(file) = file else { return left };
        take_names(&look_up_in(&self.symbolizer, &file.path, &left, debug), left, out)
    }
}

impl Plain {
    /// A file that is, or was, at `path`, with its sections made plain if its lines are asked for.
    fn of(file: File, path: &Path, lines: bool) -> Plain {
        if !lines {
            return Plain::open(file);
        }
        let mut package = path.as_os_str().to_owned();
        package.push(".dwp");
        match unpacked::sections(&file) {
            Some(unpacked) => Plain::open(unpacked),
            // A package of split debug information is looked for beside the path that is given.
            None if Path::new(&package).is_file() && debug_file::leads_to(path, &file) => {
                Plain { path: path.to_owned(), _file: None }
            }
            None => Plain::open(file),
        }
    }

    fn open(file: File) -> Plain {
        Plain { path: own_path(&file), _file: Some(file) }
    }
}

/// Keeps the names that were found; the addresses without one.
fn take_names(found: &[Symbolized], addresses: Vec<u64>, out: &mut Batch) -> Vec<u64> {
    let mut unknown = Vec::new();
    for (address, symbol) in addresses.into_iter().zip(found) {
        match names_of(symbol) {
            Some(names) => out.push((address, names)),
            None => unknown.push(address),
        }
    }
    unknown
}

fn look_up_in<'a>(symbolizer: &'a Symbolizer, path: &Path, addresses: &[u64], debug_syms: bool) -> Vec<Symbolized<'a>> {
    let mut elf = Elf::new(path);
    elf.debug_syms = debug_syms;
    match symbolizer.symbolize(&Source::from(elf), Input::VirtOffset(addresses)) {
        Ok(symbols) => symbols,
        // Debug information that is broken, or a debug file of another build: the symbols alone are still good.
        Err(_) if debug_syms => look_up_in(symbolizer, path, addresses, false),
        Err(_) => addresses.iter().map(|_| Symbolized::Unknown(blazesym::symbolize::Reason::MissingSyms)).collect(),
    }
}

fn own_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Names of code made at run time, as the runtime wrote them down.
fn of_perf_map(job: &Job) -> Batch {
    let Some(map) = perf_map::open(job.pid) else { return Batch::new() };
    let name = |(address, function)| (address, vec![Name { function, ..Name::default() }]);
    perf_map::names(map, &job.addresses).into_iter().map(name).collect()
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
    let plain = demangled(function);
    let language = file.as_deref().and_then(|file| language_of_file(file, &plain));
    let language = language.or_else(|| language_of_symbol(function));
    Name { function: plain, line: code.and_then(|code| code.line), file, language }
}

/// A symbol as its language writes it. Only what has the mark of a mangled name is one: to a demangler the C functions `w`
/// and `run` are C++ types, `wchar_t` among them.
fn demangled(symbol: &str) -> String {
    let rust = || rustc_demangle::try_demangle(symbol).ok().map(|name| format!("{name:#}"));
    let cpp = || cpp_demangle::Symbol::new(symbol).ok()?.demangle().ok();
    let mangled = ["_Z", "__Z", "_R"].iter().any(|mark| symbol.starts_with(mark));
    let name = if mangled { rust().or_else(cpp) } else { None };
    name.unwrap_or_else(|| symbol.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mangled_names_are_demangled() {
        for name in ["w", "v", "i", "f", "main", "St", "Z1fv", "R", "_init", "_Z"] {
            assert_eq!(demangled(name), name);
        }
        assert_eq!(demangled("_ZN4shop7connectEi"), "shop::connect(int)");
        assert_eq!(demangled("_ZN4core9panicking9panic_fmt17h5f1a6fd39197ad62E"), "core::panicking::panic_fmt");
        assert_eq!(demangled("_RNvC3foo3bar"), "foo::bar");
    }

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
