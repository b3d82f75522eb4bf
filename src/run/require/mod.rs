//! Sees whether a requirement answers: one try. When to try, and what an answer means, is decided in
//! [`crate::core::requirement`].

mod exec;
pub mod patience;
mod resolve;
mod stream;
mod tls;

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::core::facts::{RequirementProblem, Trouble};
use crate::core::requirement::What;
use crate::core::settings::{RequirementSettings, ServiceSettings};
use crate::core::units::exact_duration;

/// What a try would fail with if its time were over now: it says how far it has come.
#[derive(Clone, Default)]
struct Stage(Rc<RefCell<Option<Trouble>>>);

impl Stage {
    /// From here on this is what is waited for.
    fn is(&self, problem: RequirementProblem, message: impl Into<String>) {
        *self.0.borrow_mut() = Some(Trouble::new(problem, message));
    }

    fn trouble(&self, limit: Duration) -> Trouble {
        let reached = self.0.borrow_mut().take();
        let mut trouble = reached.unwrap_or_else(|| Trouble::new(RequirementProblem::Timeout, "no answer"));
        trouble.message = format!("{} (within {})", trouble.message, exact_duration(rounded(limit)));
        trouble
    }
}

/// What is left until a deadline may be any number of nanoseconds; nobody wants to read them.
fn rounded(limit: Duration) -> Duration {
    Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
}

/// Tries a requirement once, for `limit` at most. A command is run as `service` says: its user, directory and
/// environment; without one as the launcher itself.
///
/// # Errors
/// Why it does not answer.
pub async fn attempt(
    settings: RequirementSettings,
    service: Option<Arc<ServiceSettings>>,
    limit: Duration,
) -> Result<(), Trouble> {
    let stage = Stage::default();
    match tokio::time::timeout(limit, ask(&settings, service.as_deref(), limit, &stage)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(stage.trouble(limit)),
    }
}

/// Runs a command until it ends, as the service is run, with its output where that of the service goes. It ends with
/// everything it has started when this is dropped.
///
/// # Errors
/// It could not be executed, or did not end with code 0.
pub async fn command(
    words: &[String],
    service: &ServiceSettings,
    ends: [Option<std::os::fd::OwnedFd>; 2],
) -> Result<(), Trouble> {
    exec::run_beside(words, service, ends).await
}

async fn ask(
    settings: &RequirementSettings,
    service: Option<&ServiceSettings>,
    limit: Duration,
    stage: &Stage,
) -> Result<(), Trouble> {
    match &settings.target.what {
        What::Dns(name) => resolve::addresses(name, stage).await.map(|_| ()),
        What::File(path) => file(path.clone(), stage).await,
        What::Exec(words) => exec::run(words, service, stage).await,
        What::Stream(stream) => stream::talk(stream, settings.ca.as_deref(), limit, stage).await,
    }
}

/// Whether a file is there. Looked at on a thread of its own: its file system may not answer.
async fn file(path: std::path::PathBuf, stage: &Stage) -> Result<(), Trouble> {
    stage.is(RequirementProblem::Timeout, format!("the file system of {} does not answer", path.display()));
    let looked = tokio::task::spawn_blocking(move || look(&path)).await;
    looked.unwrap_or_else(|problem| Err(Trouble::new(RequirementProblem::Other, problem.to_string())))
}

fn look(path: &Path) -> Result<(), Trouble> {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    let shown = path.display();
    std::fs::metadata(path).map(|_| ()).map_err(|problem| match problem.kind() {
        NotFound | NotADirectory => Trouble::new(RequirementProblem::Missing, format!("{shown} does not exist")),
        PermissionDenied => Trouble::new(RequirementProblem::NotPermitted, format!("not permitted to look at {shown}")),
        _ => Trouble::new(RequirementProblem::Other, format!("{shown} cannot be looked at: {problem}")),
    })
}
