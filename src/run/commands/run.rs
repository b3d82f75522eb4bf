//! `launcher run`: from settings to an exit code.

use tracing::error;

use crate::core::exit::code;
use crate::core::fleet::Fleet;
use crate::core::settings::Settings;
use crate::run::log;
use crate::run::supervisor::Supervisor;
use crate::sys::signals::Signals;
use crate::sys::{clock, keeper, memory};

/// Runs what the settings say until it has ended, and returns the launcher's exit code. `signals` were blocked as the
/// very first thing the process did, so that none is lost.
pub fn run(settings: Settings, signals: Signals) -> i32 {
    log::start(settings.launcher.log_format, settings.launcher.log_level);
    memory::share_one_heap();
    keeper::become_subreaper();
    let fleet = match Fleet::new(&settings, seed()) {
        Ok(fleet) => fleet,
        Err(problem) => {
            error!("{problem}");
            return code::CONFIG;
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
        match Supervisor::new(settings, fleet, signals) {
            // The process ends here: taking the loop apart piece by piece would only take time.
            Ok(mut supervisor) => std::process::exit(supervisor.run().await),
            Err(problem) => {
                error!("the launcher could not start: {problem}");
                code::INTERNAL
            }
        }
    })
}

/// What the jitter of backoffs begins with.
fn seed() -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = clock::random();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
