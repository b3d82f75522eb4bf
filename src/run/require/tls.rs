//! TLS, for `https`, `rediss`, `grpcs` and `amqps`. Nothing of it is touched unless such a requirement is tried.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::core::facts::{RequirementProblem, Trouble};

/// Where distributions keep the certificates of the authorities that they trust.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Secures a connection: the server's certificate must be for `host`, by an authority in `ca` (else one that the system
/// trusts).
///
/// # Errors
/// Of kind `Tls`: no secure connection came about.
pub async fn secure(
    connection: TcpStream,
    host: &str,
    shown: &str,
    ca: Option<&Path>,
    http2: bool,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Trouble::new(RequirementProblem::Tls, format!("no certificate can be for the name {host:?}")))?;
    let ca = ca.map(Path::to_owned);
    // A bundle has some 140 certificates: read beside the loop.
    let config = tokio::task::spawn_blocking(move || config(ca.as_deref(), http2)).await;
    let config = config.unwrap_or_else(|problem| Err(Trouble::new(RequirementProblem::Tls, problem.to_string())))?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, connection).await.map_err(|problem| trouble(shown, &problem))
}

fn config(ca: Option<&Path>, http2: bool) -> Result<ClientConfig, Trouble> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|problem| Trouble::new(RequirementProblem::Tls, problem.to_string()))?;
    let mut config = builder.with_root_certificates(trusted(ca)?).with_no_client_auth();
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    Ok(config)
}

fn trusted(ca: Option<&Path>) -> Result<RootCertStore, Trouble> {
    let system = || {
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        named.into_iter().chain(BUNDLES.map(PathBuf::from)).find(|file| file.is_file())
    };
    let Some(file) = ca.map(Path::to_owned).or_else(system) else {
        let message = "no authority is trusted here: there is no /etc/ssl/certs/ca-certificates.crt; install \
                       ca-certificates, or name a file by \"ca\" or SSL_CERT_FILE";
        return Err(Trouble::new(RequirementProblem::Tls, message));
    };
    let unreadable = |problem: String| {
        let message = format!("the certificates in {} cannot be read: {problem}", file.display());
        Trouble::new(RequirementProblem::Tls, message)
    };
    let mut store = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&file).map_err(|problem| unreadable(problem.to_string()))?;
    store.add_parsable_certificates(certificates.filter_map(Result::ok));
    match store.is_empty() {
        true => Err(unreadable("there is none in it".to_owned())),
        false => Ok(store),
    }
}

/// Why a certificate is refused.
fn refused(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => "it is by an authority that is not trusted here".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is not for this name".to_owned()
        }
        CertificateError::Other(other) => format!("it breaks a rule of certificates ({:?})", other.0),
        other => other.to_string(),
    }
}

/// A failure on a secured connection, or on the way to one.
pub fn trouble(shown: &str, problem: &io::Error) -> Trouble {
    let inner = problem.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let message = match inner {
        Some(rustls::Error::InvalidMessage(_)) => format!("{shown} does not speak TLS"),
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("the certificate of {shown} is refused: {}", refused(why))
        }
        Some(rustls::Error::AlertReceived(alert)) => format!("{shown} breaks off the TLS handshake: {alert:?}"),
        Some(other) => format!("no TLS with {shown}: {other}"),
        None if problem.kind() == io::ErrorKind::UnexpectedEof => {
            format!("{shown} closed the connection during the TLS handshake")
        }
        None => format!("no TLS with {shown}: {problem}"),
    };
    Trouble::new(RequirementProblem::Tls, message)
}
