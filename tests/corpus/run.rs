//! One case through the real launcher.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::build;
use crate::case::Case;
use crate::score::Outcome;
use crate::surroundings::Surroundings;

/// Names a folder in which each program's report and what the launcher wrote are kept.
const REPORTS: &str = "LAUNCHER_CORPUS_REPORTS";

/// The example with programs that need a crate.
pub fn tasks() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_launcher")).with_file_name("examples").join("tasks")
}

/// Builds the case, sets up what is around it, runs it to its deadline and reads the report.
pub fn run(case: &Case) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let built = build::build(case, folder.path());
    let around = Surroundings::of(&case.expected.surroundings, folder.path());
    let fill = |words: &[String]| words.iter().map(|word| around.fill(word)).collect::<Vec<String>>();
    let command = match &case.expected.command {
        Some(words) => {
            let program = built.last().cloned().unwrap_or_default();
            let source = case.source.display().to_string();
            let tasks = tasks().display().to_string();
            let own = |word: &String| {
                let word = word.replace("{SELF}", &std::env::current_exe().unwrap().display().to_string());
                word.replace("{PROGRAM}", &program).replace("{SOURCE}", &source).replace("{TASKS}", &tasks)
            };
            fill(&words.iter().map(own).collect::<Vec<String>>())
        }
        None => built,
    };
    let reports = folder.path().join("reports");
    let mut words = around.wrapper.clone();
    words.push(env!("CARGO_BIN_EXE_launcher").to_owned());
    words.extend(["run", "--name", "api", "--log-format", "text", "--report-dir"].map(str::to_owned));
    words.push(reports.display().to_string());
    let deadline = deadline(case.expected.deadline.as_deref().unwrap_or("2s"));
    words.extend(["--start-timeout".to_owned(), format!("{}ms", deadline.as_millis())]);
    let flags = case.expected.flags.clone().unwrap_or_else(|| ["--ready", "notify"].map(str::to_owned).to_vec());
    words.extend(fill(&flags));
    // Those that take the stop signal and stay are not what this is about.
    words.extend(["--stop-timeout", "1s"].map(str::to_owned));
    words.push("--".to_owned());
    words.extend(command);
    let mut launcher = Command::new(&words[0]);
    launcher.args(&words[1..]).current_dir(folder.path()).stdin(Stdio::null());
    for (name, value) in &around.names {
        launcher.env(format!("CORPUS_{name}"), value);
    }
    launcher.envs(case.expected.environment.iter().map(|(name, value)| (name, around.fill(value))));
    let (begun, began) = (Instant::now(), SystemTime::now());
    let output = launcher.output().unwrap_or_else(|error| panic!("{words:?}: {error}"));
    let latest = std::fs::read(reports.join("api/latest.json")).ok();
    let report: Value = latest.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
    let written = written_after(&reports.join("api/latest.json"), began);
    let missed = report.pointer("/kind").and_then(Value::as_str) == Some("start-timeout");
    let answered = written.filter(|_| missed).and_then(|written| written.checked_sub(deadline));
    if let Some(kept) = std::env::var_os(REPORTS) {
        std::fs::create_dir_all(&kept).unwrap();
        std::fs::write(Path::new(&kept).join(format!("{}.json", case.name)), report.to_string()).unwrap();
        std::fs::write(Path::new(&kept).join(format!("{}.txt", case.name)), &output.stderr).unwrap();
    }
    let target = case.expected.target.as_ref().map(|target| around.fill(target));
    Outcome {
        case: case.clone(),
        target,
        report,
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: begun.elapsed(),
        answered,
    }
}

/// The deadline for a program that has `usual` to come to where it hangs: more on a machine that has much else to do, by
/// what an interpreter takes to start there just now.
fn deadline(usual: &str) -> Duration {
    const USUAL: Duration = Duration::from_millis(200);
    const MOST: f64 = 6.0;
    let begun = Instant::now();
    let started = Command::new("python3").args(["-c", "import asyncio"]).stdin(Stdio::null()).status();
    let busy = if started.is_ok() { begun.elapsed().as_secs_f64() / USUAL.as_secs_f64() } else { 1.0 };
    duration(usual).mul_f64(busy.clamp(1.0, MOST))
}

/// How long after `began` the report was written.
fn written_after(report: &Path, began: SystemTime) -> Option<Duration> {
    std::fs::metadata(report).ok()?.modified().ok()?.duration_since(began).ok()
}

/// `2s` or `1500ms`.
fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(millis) => Duration::from_millis(millis.parse().unwrap()),
        None => Duration::from_secs(text.strip_suffix('s').unwrap().parse().unwrap()),
    }
}
