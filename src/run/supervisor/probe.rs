//! Looking until a service can be seen to be ready, and until it has handlers for its signals.
//!
//! Nothing in the kernel tells when a socket of another process begins to listen, so it is asked: often at first, when
//! most programs become ready, and ever less often after. A ready service is not looked at any more.

use std::future::Future;
use std::time::Duration;

use ::core::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::core::settings::Listen;
use crate::core::signal::SignalSet;
use crate::sys::keeper::Keeper;
use crate::sys::{procfs, sock_diag};
use std::rc::Rc;

/// The first look comes after this.
const SOONEST: Duration = Duration::from_millis(1);
/// Later ones come no further apart than this.
const LATEST: Duration = Duration::from_millis(100);
/// How long a connection to a probed address may take.
const CONNECT: Duration = Duration::from_secs(1);

/// Looks until the answer is yes.
async fn until<F: Future<Output = bool>>(mut look: impl FnMut() -> F) {
    let mut pause = SOONEST;
    while !look().await {
        sleep(pause).await;
        pause = (pause + pause / 4 + Duration::from_micros(500)).min(LATEST);
    }
}

/// Waits until a process below the keeper listens on every one of the addresses.
pub async fn listening(keeper: Rc<Keeper>, listens: Vec<Listen>) {
    until(|| {
        let all = sock_diag::listening(&listens, || keeper.members()).into_iter().all(|listening| listening);
        std::future::ready(all)
    })
    .await;
}

/// Waits until a TCP connection to the address succeeds.
pub async fn connected(address: SocketAddr) {
    until(|| async move { matches!(timeout(CONNECT, TcpStream::connect(address)).await, Ok(Ok(_))) }).await;
}

/// Calls `seen` with the signals that the process has handlers for, now and whenever they change, until it is gone.
pub async fn handlers(pid: i32, mut seen: impl FnMut(SignalSet)) {
    let mut last = None;
    let mut pause = SOONEST;
    while let Some(caught) = procfs::caught_signals(pid) {
        if last != Some(caught) {
            last = Some(caught);
            seen(caught);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LATEST);
    }
}
