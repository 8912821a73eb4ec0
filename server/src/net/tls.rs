//! TLS on both sides: our certificate for those who connect to us, and trust in those we connect
//! to.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Where Linux distributions keep the certificates they trust.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// Names remembered for addresses; beyond it all are forgotten and learnt again.
const NAMES_MAX: usize = 100_000;

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {what}")]
pub struct TlsError {
    file: String,
    what: String,
}

/// Reads a chain and its key and makes the listener's side of TLS.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let error = |file: &Path, what: String| TlsError { file: file.display().to_string(), what };
    let chain = read_certificates(certificate).map_err(|what| error(certificate, what))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|what| error(key, what.to_string()))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|what| error(certificate, what.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    if all.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(all) }
}

/// Our side when we connect to others: whom we trust, and the names behind addresses, since a
/// certificate names a host and a `Path` only an address.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    names: Arc<Mutex<HashMap<SocketAddr, ServerName<'static>>>>,
}

impl TlsClient {
    /// Trusts the system's certificate authorities and those in the files of `more`. An
    /// unreadable file is an error; a system without any is only no trust.
    pub fn new(more: &[&Path]) -> Result<TlsClient, TlsError> {
        let mut roots = RootCertStore::empty();
        for file in SYSTEM_ROOTS.iter().map(Path::new).filter(|file| file.exists()).take(1) {
            match read_certificates(file) {
                // Distributions ship a few that rustls does not take; they are left out.
                Ok(all) => drop(roots.add_parsable_certificates(all)),
                Err(error) => tracing::warn!(file = %file.display(), %error, "system trust"),
            }
        }
        for file in more {
            let error = |what| TlsError { file: file.display().to_string(), what };
            roots.add_parsable_certificates(read_certificates(file).map_err(error)?);
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring offers TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsClient { connector: TlsConnector::from(Arc::new(config)), names: Arc::default() })
    }

    /// `address` was found by resolving `host`: its certificate must say so (RFC 5922).
    pub fn remember(&self, address: SocketAddr, host: &str) {
        if let Ok(name) = ServerName::try_from(host.to_owned()) {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if names.len() >= NAMES_MAX {
                names.clear();
            }
            names.insert(address, name);
        }
    }

    /// The handshake, with the name under which the address was found, or the address itself.
    pub(super) async fn connect(
        &self,
        remote: SocketAddr,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = {
            let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.get(&remote).cloned()
        };
        let name = name.unwrap_or_else(|| ServerName::IpAddress(remote.ip().into()));
        self.connector.connect(name, stream).await
    }
}
