//! What came of looking whether a service is ready, where it is asked (`ready.http`, `ready.exec`) or listened to
//! (`ready.fd`, `ready.log`).

use ::core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// A probe of readiness that has not succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFacts {
    /// When the service would be ready, as the rest of a sentence: `http://127.0.0.1:8080/readyz is answered`.
    pub wanted: String,
    /// Where a server is asked, when that is an address.
    #[serde(skip)]
    pub address: Option<SocketAddr>,
    /// How often it was tried, where it is tried.
    pub tries: u32,
    /// Whether the last try was answered, only otherwise than is wanted.
    pub answered: bool,
    /// What came of the last try, or what speaks against it ever succeeding.
    pub last_error: Option<String>,
}
