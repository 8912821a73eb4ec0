//! TLS on both sides: our certificate for those who connect to us, and trust in those we connect
//! to.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
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
        let wanted = name.clone();
        self.connector.connect(name, stream).await.map_err(|error| explained(error, &wanted))
    }
}

/// A refused certificate in the words of whoever must mend it; any other error as it is.
fn explained(error: io::Error, wanted: &ServerName<'_>) -> io::Error {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(why)) = tls else { return error };
    let wanted = wanted.to_str();
    let what = match why {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "it is not for {wanted}: give the trunk the host name that its certificate names"
            )
        }
        CertificateError::UnknownIssuer => {
            "no authority that we trust has signed it: add the file of that authority to \
             `tls_trust` under [sip]"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired: its owner must renew it".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: look at this machine's clock".to_owned()
        }
        other => other.to_string(),
    };
    let text = format!("the peer's certificate is refused: {what}");
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

    /// Connects to a peer with this certificate, of whom we know that it is `host`.
    #[track_caller]
    fn check(certificate: &str, host: &str, is_trusted: bool, expected: Result<(), &str>) {
        let file = |name: &str| Path::new(FILES).join(name);
        let acceptor = acceptor(&file(certificate), &file("carrier.key")).unwrap();
        let authority = file("authority.pem");
        let trusted: &[&Path] = if is_trusted { &[&authority] } else { &[] };
        let client = TlsClient::new(trusted).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let found = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            client.remember(address, host);
            let peer = async {
                let (stream, _) = listener.accept().await.unwrap();
                let _ = acceptor.accept(stream).await;
            };
            let us = async {
                let stream = TcpStream::connect(address).await.unwrap();
                client.connect(address, stream).await.map(drop)
            };
            tokio::join!(peer, us).1
        });
        match (found, expected) {
            (Ok(()), Ok(())) => {}
            (Err(error), Err(words)) => {
                assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                assert!(error.to_string().contains(words), "{error}");
            }
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    /// RFC 5922: the certificate names the host that was asked for.
    #[test]
    fn a_certificate_is_verified_and_its_refusal_says_what_to_do() {
        check("carrier.pem", "carrier.test", true, Ok(()));
        check("carrier.pem", "other.test", true, Err("it is not for other.test"));
        check("carrier.pem", "carrier.test", false, Err("tls_trust"));
        check("expired.pem", "carrier.test", true, Err("it has expired"));
    }
}
