//! `launcher report`: the last report of a service, as text or as it was written.

use std::io;
use std::path::{Path, PathBuf};

use crate::core::exit::code;
use crate::core::report::{Report, text};
use crate::run::args::{LoadError, ReportArgs, RunArgs, load};
use crate::run::control::find::{self, Found};
use crate::run::reports::{self, ReportStore};
use crate::run::{log, print};

/// Prints the newest report of a service, or of the one that got one last. Returns the exit code.
pub fn report(args: &ReportArgs) -> i32 {
    let found = Places::of(args).and_then(|places| places.find(args.service.as_deref()));
    match found.and_then(|text| shown(text, args.json)) {
        Ok(text) => print::whole(text, 0),
        Err(problem) => {
            eprintln!("launcher: {problem}");
            code::PREFLIGHT
        }
    }
}

/// Where is looked, the first place first.
#[derive(Default)]
struct Places {
    stores: Vec<ReportStore>,
    /// Why another one is not known.
    unknown: Option<String>,
}

impl Places {
    /// The folder that is named, or that of the launcher that is; else those that a launcher of this folder would use.
    fn of(args: &ReportArgs) -> Result<Places, String> {
        let mut places = Places::default();
        if let Some(folder) = &args.report_dir {
            places.add(Some(folder));
        } else if args.which.control.is_some() || args.which.name.is_some() {
            let found = find::find(&args.which)
                .map_err(|problem| format!("{problem}\n  help: of one that runs no more: launcher report SERVICE"))?;
            places.add(folder_of(&found).as_deref());
        } else {
            places.add_running(args)?;
            places.add_of_file();
            places.add(None);
        }
        Ok(places)
    }

    /// The launchers of this folder may be several; that matters only where each has reports in a folder of its own.
    fn add_running(&mut self, args: &ReportArgs) -> Result<(), String> {
        for found in find::of_this_folder() {
            self.add(folder_of(&found).as_deref());
        }
        match self.stores.len() {
            0 | 1 => Ok(()),
            _ => find::find(&args.which).map(drop),
        }
    }

    /// The one that launcher.toml names. After a start that has failed no launcher tells it any more.
    fn add_of_file(&mut self) {
        match load(&RunArgs::default()) {
            Ok(settings) => {
                if let Some(folder) = &settings.launcher.report_dir {
                    self.add(Some(folder));
                }
            }
            // There is no such file.
            Err(LoadError::Usage(_)) => {}
            Err(_) => {
                self.unknown = Some("launcher.toml is wrong, so the report_dir it may name was not looked into".into());
            }
        }
    }

    fn add(&mut self, folder: Option<&Path>) {
        let store = ReportStore::at(folder);
        let absolute = |store: &ReportStore| std::path::absolute(store.root()).ok();
        if !self.stores.iter().any(|other| absolute(other) == absolute(&store)) {
            self.stores.push(store);
        }
    }

    /// The newest report's JSON text, of the first place that has one.
    fn find(&self, service: Option<&str>) -> Result<String, String> {
        let mut known = Vec::new();
        for (place, store) in self.stores.iter().enumerate() {
            let names = store.services().map_err(|problem| format!("the reports cannot be listed: {problem}"))?;
            if let Some(service) = service.or(names.first().map(String::as_str)) {
                let path = store.latest(service);
                match reports::read(&path) {
                    Ok(text) => {
                        self.tell_other_place(place);
                        return Ok(text);
                    }
                    Err(problem) if problem.kind() == io::ErrorKind::NotFound => {}
                    Err(problem) => return Err(format!("{} cannot be read: {problem}", path.display())),
                }
            }
            known.extend(names);
        }
        Err(self.none(service, &known))
    }

    /// A report of another place than the first may be of another launcher's service of that name.
    fn tell_other_place(&self, place: usize) {
        let at = |place: usize| self.stores[place].root().display();
        if place > 0 {
            eprintln!("launcher: there is none in {}: this one is in {}", at(0), at(place));
        }
    }

    fn none(&self, service: Option<&str>, known: &[String]) -> String {
        let all: Vec<String> = self.stores.iter().map(|store| store.root().display().to_string()).collect();
        let all = all.join(", nor in ");
        let mut text = match service {
            None => format!("there is no report in {all}: no service failed there, or --report-dir was another one"),
            Some(service) if known.is_empty() => format!("there is no report of {service} in {all}"),
            Some(service) => {
                format!("there is no report of {service} in {all}; there are reports of {}", known.join(", "))
            }
        };
        if let Some(unknown) = &self.unknown {
            text.push_str(&format!("\n  also: {unknown}"));
        }
        text
    }
}

/// Where a launcher keeps its reports; an older one does not say, and most have them in the usual place.
fn folder_of(found: &Found) -> Option<PathBuf> {
    let folder = &found.status.launcher.about.report_dir;
    Some(PathBuf::from(folder)).filter(|folder| !folder.as_os_str().is_empty())
}

fn shown(json: String, as_json: bool) -> Result<String, String> {
    if as_json {
        return Ok(json);
    }
    let report = Report::from_json(&json).map_err(|problem| format!("the report cannot be shown: {problem}"))?;
    Ok(text::full(&report, log::style(&io::stdout())))
}
