//! `launcher run`: from settings to an exit code.

use tracing::error;

use crate::core::exit::code;
use crate::core::fleet::Fleet;
use crate::core::settings::Settings;
use crate::run::args::{RunArgs, load};
use crate::run::log;
use crate::run::supervisor::{Http, Source, Supervisor};
use crate::sys::signals::Signals;
use crate::sys::{clock, inherited, keeper, memory, open_files};

/// With no more services than this the usual limit of open files is enough.
const FEW: usize = 50;

/// So many files are opened for a service, and some more: its pipes, keeper, sockets, ports.
const FILES_OF_EACH: u64 = 16;

/// Runs what the settings say until it has ended, and returns the launcher's exit code. `signals` were blocked as the
/// very first thing the process did, so that none is lost.
pub fn run(settings: Settings, args: &RunArgs, signals: Signals) -> i32 {
    let source = (!settings.single_command).then(|| source(args));
    supervise(settings, signals, async |mut supervisor| {
        if let Some(source) = source {
            supervisor.reload_from(source);
        }
        // The process ends here: taking the loop apart piece by piece would only take time.
        std::process::exit(supervisor.run().await)
    })
}

/// Makes everything ready to run what the settings say, and hands it to `act`, which gives the exit code.
pub fn supervise(settings: Settings, signals: Signals, act: impl AsyncFnOnce(Supervisor) -> i32) -> i32 {
    let launcher = &settings.launcher;
    log::start(launcher.log_format, launcher.log_level, launcher.log_times);
    memory::share_one_heap();
    keeper::become_subreaper();
    make_room(settings.services.len());
    let inherited = inherited::take(signals.fd());
    let fleet = match Fleet::new(&settings, clock::seed()) {
        Ok(fleet) => fleet,
        Err(problem) => {
            error!("{problem}");
            return code::CONFIG;
        }
    };
    let http = match settings.launcher.http.map(Http::listen).transpose() {
        Ok(http) => http,
        Err(problem) => {
            error!("{problem}");
            return code::PREFLIGHT;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(problem) => {
            error!("the event loop could not be made: {problem}");
            return code::INTERNAL;
        }
    };
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        match Supervisor::new(settings, fleet, signals, inherited, http) {
            Ok(supervisor) => act(supervisor).await,
            Err(problem) => {
                error!("the launcher could not start: {problem}");
                code::INTERNAL
            }
        }
    })
}

/// So many services need more open files than usual.
pub fn make_room(services: usize) {
    if services > FEW {
        open_files::raise(services as u64 * FILES_OF_EACH);
    }
}

/// Where the settings of these arguments are read again.
fn source(args: &RunArgs) -> Source {
    let args = args.clone();
    Source { file: load::file(&args).to_owned(), load: Box::new(move || load::load(&args)) }
}
