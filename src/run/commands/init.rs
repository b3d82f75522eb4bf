//! `launcher init`: writes a first launcher.toml.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::core::config::{self, Context};
use crate::core::exit::code;
use crate::core::init::{self, Draft, Files, InitError, NAMES, Source};
use crate::run::args::InitArgs;
use crate::run::print;
use crate::sys::files::read_regular;

/// Makes it and writes it. Returns the exit code: 2 for a command line that names nothing to go from, or a file that is
/// there already; 78 for a source that says nothing of use; 71 for what cannot be read or written.
pub fn init(args: &InitArgs) -> i32 {
    match make(args).and_then(|(origin, draft)| save(args, &origin, &draft)) {
        Ok(exit) => exit,
        Err((exit, InitError { message, hint })) => {
            eprintln!("launcher: {message}\n  help: {hint}");
            exit
        }
    }
}

/// Why not, with the exit code that stands for it.
type Refused = (i32, InitError);

fn refused(exit: i32, message: String, hint: &str) -> Refused {
    (exit, InitError { message, hint: hint.to_owned() })
}

/// The draft, and what it was made from.
fn make(args: &InitArgs) -> Result<(String, Draft), Refused> {
    if args.dashes {
        return of_command(args);
    }
    let (path, source) = source(args)?;
    let shown = path.display().to_string();
    let text = read_regular(&path).map_err(|problem| {
        refused(code::PREFLIGHT, format!("{shown} cannot be read: {problem}"), "name another file: launcher init FILE")
    })?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let beside = Beside(folder.clone());
    let draft = match source {
        Source::Procfile => init::from_procfile(&text, &beside),
        Source::Compose => init::from_compose(&text, &beside),
        Source::Dockerfile => init::from_dockerfile(&text, &folder_name(&folder)),
    };
    let wrong =
        |error: InitError| (code::CONFIG, InitError { message: format!("{shown}: {}", error.message), ..error });
    Ok((shown.clone(), draft.map_err(wrong)?))
}

/// The draft for a command.
fn of_command(args: &InitArgs) -> Result<(String, Draft), Refused> {
    if args.source.is_some() {
        let hint = "leave out one of the two";
        return Err(refused(code::USAGE, "a source and a command after -- do not go together".to_owned(), hint));
    }
    let text = |word: &OsString| {
        word.to_str().map(str::to_owned).ok_or_else(|| {
            let hint = "let the program take it from a file, or run it without one: launcher run -- COMMAND";
            refused(code::USAGE, format!("{word:?} is not UTF-8, and no launcher.toml can hold it"), hint)
        })
    };
    let words = args.command.iter().map(text).collect::<Result<Vec<String>, Refused>>()?;
    let Some(first) = words.first().filter(|first| !first.is_empty()) else {
        let hint = "write launcher init -- ./program ARGUMENTS";
        return Err(refused(code::USAGE, "there is no command after --".to_owned(), hint));
    };
    Ok((format!("the command {first}"), init::from_command(&words)))
}

/// The file that is named, or the first of those that are looked for.
fn source(args: &InitArgs) -> Result<(PathBuf, Source), Refused> {
    if let Some(path) = &args.source {
        let kind = Source::of(path).ok_or_else(|| {
            let hint = "call it so: launcher init Procfile, Dockerfile or compose.yaml";
            refused(code::USAGE, format!("what {} is cannot be seen from its name", path.display()), hint)
        })?;
        return Ok((path.clone(), kind));
    }
    let found = NAMES.iter().find(|(name, _)| Path::new(name).exists());
    found.map(|(name, kind)| (PathBuf::from(name), *kind)).ok_or_else(|| {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        let message = format!("there is nothing to go from in this folder: no {}", names.join(", no "));
        refused(
            code::USAGE,
            message,
            "name a file, launcher init FILE, or a command: launcher init -- ./server --port 8080",
        )
    })
}

fn folder_name(folder: &Path) -> String {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let full = std::fs::canonicalize(here).unwrap_or_default();
    full.file_name().map_or_else(|| "app".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The files in the source's folder.
struct Beside(PathBuf);

impl Files for Beside {
    fn text(&self, path: &str) -> Option<String> {
        read_regular(&self.0.join(path)).ok()
    }
}

/// Writes the file whole; one that is there stays as it is, unless it may be overwritten. Returns the exit code.
fn save(args: &InitArgs, origin: &str, draft: &Draft) -> Result<i32, Refused> {
    let text = init::write(draft, origin);
    look_again(&text)?;
    let output = &args.output;
    let shown = output.display();
    if output.as_os_str() == "-" {
        return Ok(print::whole(text, 0));
    }
    let open = OpenOptions::new().write(true).create(true).create_new(!args.force).truncate(args.force).open(output);
    let written = open.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|problem| match problem.kind() {
        io::ErrorKind::AlreadyExists => {
            let hint = "overwrite it with --force, or write another: --output FILE";
            refused(code::USAGE, format!("{shown} is there already"), hint)
        }
        _ => refused(code::PREFLIGHT, format!("{shown} cannot be written: {problem}"), "name another: --output FILE"),
    })?;
    let names: Vec<&str> = draft.services.iter().map(|service| service.name.as_str()).collect();
    let file = if output.as_os_str() == "launcher.toml" { String::new() } else { format!(" -c {shown}") };
    eprintln!("launcher: {shown} was written from {origin}: {}", names.join(", "));
    eprintln!("  next: read what was guessed in it, then launcher check{file} and launcher verify{file}");
    Ok(0)
}

/// What is written is looked at as `check` would: a source may say what no launcher.toml can.
fn look_again(text: &str) -> Result<(), Refused> {
    let context = Context { folder: Path::new(""), name: "launcher" };
    config::parse_bytes("launcher.toml", text.as_bytes(), context).map(|_| ()).map_err(|errors| {
        let hint = "write the file by hand: launcher.toml.example shows every key";
        refused(code::CONFIG, format!("what was made of it would not be taken:\n{errors}"), hint)
    })
}
