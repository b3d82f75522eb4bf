//! `launcher wait`: waits for requirements as a service would, without one.

use std::time::Duration;

use crate::core::config::requirements;
use crate::core::config::value;
use crate::core::exit::code;
use crate::core::facts::RequirementFacts;
use crate::core::requirement::{News, words};
use crate::core::settings::{LogFormat, LogLevel, RequirementSettings};
use crate::run::args::{UsageError, WaitArgs};
use crate::run::log;
use crate::run::require::patience;

/// By when all must answer when nothing is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Waits, and returns the exit code: 0 when all have answered, 69 when one did not in time.
pub fn wait(args: &WaitArgs) -> i32 {
    let settings = match settings(args) {
        Ok(settings) => settings,
        Err(error) => {
            eprint!("{error}");
            return code::USAGE;
        }
    };
    log::start(LogFormat::Text, LogLevel::Info, false);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(problem) => {
            eprintln!("launcher: the event loop could not be made: {problem}");
            return code::INTERNAL;
        }
    };
    let exit = tokio::task::LocalSet::new().block_on(&runtime, watch(&settings, args.quiet));
    // A thread that looks at a file system that does not answer is not waited for.
    runtime.shutdown_background();
    exit
}

fn settings(args: &WaitArgs) -> Result<Vec<RequirementSettings>, UsageError> {
    let mut problems = Vec::new();
    let timeout = args.timeout.as_deref().map_or(Ok(TIMEOUT), |text| {
        value::positive_duration(text).map_err(|error| error.about(&format!("--timeout {text}")))
    });
    let timeout = timeout.unwrap_or_else(|error| {
        problems.push(error);
        TIMEOUT
    });
    let mut settings = Vec::new();
    for url in &args.urls {
        match requirements::from_url(url, Some(timeout)) {
            Ok(requirement) => settings.push(requirement),
            Err(error) => problems.push(error),
        }
    }
    match problems.into_iter().next() {
        Some(error) => Err(UsageError::from(error).of("wait")),
        None => Ok(settings),
    }
}

async fn watch(settings: &[RequirementSettings], quiet: bool) -> i32 {
    let facts = patience::until_met(settings, |news| {
        if !quiet {
            tell(news);
        }
    });
    end(settings, &facts.await)
}

fn tell(news: &News) {
    let text = words::news(None, news);
    match news {
        News::Met { url, .. } => {
            log::progress(url, None);
            tracing::info!("{text}");
        }
        News::Missing { url, due, slower, .. } => {
            let drawn = log::progress(url, Some(&text));
            if (*due && !drawn) || slower.is_some() {
                tracing::info!("{text}");
            }
        }
    }
}

fn end(settings: &[RequirementSettings], facts: &[RequirementFacts]) -> i32 {
    log::clear_progress();
    if facts.iter().all(|fact| fact.met) {
        return 0;
    }
    for (requirement, fact) in settings.iter().zip(facts) {
        let sign = if fact.met { '✓' } else { '✗' };
        eprintln!("{sign} {}", words::line(fact));
        if !fact.met {
            eprintln!("    try {}", words::remedy(&requirement.target, fact.problem));
        }
    }
    code::REQUIREMENT
}
