//! TLS on both sides: our certificate for those who connect to us, and trust in those we connect
//! to.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use config::TlsFiles;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
use switch::directory::{ClientCertificate, Directory};
use switch::tls_peers::TlsPeers;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::x509;

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

/// Reads a chain and its key and makes the listener's side of TLS, with what the certificate says of
/// itself.
pub fn server_side(files: &TlsFiles) -> Result<(Arc<ServerConfig>, x509::Certificate), TlsError> {
    let TlsFiles { certificate, key, client_ca, needs_client_certificate } = files;
    let error = |file: &Path, what: String| TlsError { file: file.display().to_string(), what };
    let chain = read_certificates(certificate).map_err(|what| error(certificate, what))?;
    let own = x509::Certificate::read(&chain[0]);
    let own = own.map_err(|what| error(certificate, what.to_string()))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|what| error(key, in_words(what)))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_client_cert_verifier(match client_ca {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(file) => {
                peers_verifier(file, *needs_client_certificate).map_err(|what| error(file, what))?
            }
        })
        .with_single_cert(chain, key_der)
        .map_err(|what| error(certificate, what.to_string()))?;
    Ok((Arc::new(config), own))
}

/// Takes certificates that the authorities in this file vouch for.
fn peers_verifier(file: &Path, is_needed: bool) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in read_certificates(file)? {
        roots.add(authority).map_err(|error| error.to_string())?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = if is_needed { builder } else { builder.allow_unauthenticated() };
    builder.build().map(|verifier| verifier as _).map_err(|error| error.to_string())
}

/// Takes certificates that the authorities in this file vouch for, whatever they are for.
///
/// # Errors
///
/// If the file cannot be read, or has no certificate of an authority.
pub fn authorities(file: &Path) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let error = |what| TlsError { file: file.display().to_string(), what };
    peers_verifier(file, true).map_err(error)
}

/// Our certificate for a trunk: whom it is for, and when it expires.
pub fn read_client_certificate(ours: &ClientCertificate) -> Result<x509::Certificate, String> {
    let (chain, key) = client_chain(ours)?;
    let read = x509::Certificate::read(&chain[0]).map_err(|error| error.to_string())?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_root_certificates(RootCertStore::empty());
    config.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?;
    Ok(read)
}

type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_chain(ours: &ClientCertificate) -> Result<Chain, String> {
    let chain =
        CertificateDer::pem_slice_iter(ours.chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(in_words)?;
    if chain.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(ours.key.as_bytes());
    Ok((chain, key.map_err(|error| format!("its key: {}", in_words(error)))?))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn in_words(error: pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it is cut off: it begins and does not end".into(),
        pem::Error::NoItemsFound => "what is looked for is not in it".into(),
        other => other.to_string(),
    }
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(file).map_err(in_words)?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(in_words)?;
    if all.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(all) }
}

type Presenting = BTreeMap<String, (Arc<ClientCertificate>, Arc<ClientConfig>)>;

/// Our side when we connect to others: whom we trust, and the names behind addresses, since a
/// certificate names a host and a `Path` only an address.
#[derive(Clone)]
pub struct TlsClient {
    roots: Arc<RootCertStore>,
    /// For peers that we show no certificate.
    plain: Arc<ClientConfig>,
    /// For those at these hosts, in lower case and without brackets, we have one.
    presenting: Arc<ArcSwap<Presenting>>,
    names: Arc<Mutex<HashMap<SocketAddr, ServerName<'static>>>>,
    peers: Arc<TlsPeers>,
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
        let roots = Arc::new(roots);
        Ok(TlsClient {
            plain: Arc::new(client_config(&roots).with_no_client_auth()),
            roots,
            presenting: Arc::default(),
            names: Arc::default(),
            peers: Arc::default(),
        })
    }

    /// What we show the trunks of this directory from the next connection on.
    pub fn present(&self, directory: &Directory) {
        let before = self.presenting.load();
        let mut after = Presenting::new();
        for (trunk, ours) in directory.presenting_trunks() {
            let host = trunk.host.trim_matches(['[', ']']).to_ascii_lowercase();
            let known = before.get(&host).filter(|(its, _)| its == ours);
            let config = match known {
                Some((_, config)) => Ok(Arc::clone(config)),
                None => self.presenting(ours),
            };
            match config {
                Ok(config) => drop(after.insert(host, (Arc::clone(ours), config))),
                Err(error) => {
                    tracing::error!(trunk = trunk.name, "our certificate for it: {error}");
                }
            }
        }
        self.presenting.store(Arc::new(after));
    }

    fn presenting(&self, ours: &ClientCertificate) -> Result<Arc<ClientConfig>, String> {
        let (chain, key) = client_chain(ours)?;
        let config = client_config(&self.roots).with_client_auth_cert(chain, key);
        config.map(Arc::new).map_err(|error| error.to_string())
    }

    /// Our side towards peers that we show no certificate.
    pub(super) fn without_certificate(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.plain)
    }

    /// Whose certificate is refused, and why, is told here.
    #[must_use]
    pub fn telling(self, peers: &Arc<TlsPeers>) -> TlsClient {
        TlsClient { peers: Arc::clone(peers), ..self }
    }

    /// `address` was found by resolving `host`: its certificate must say so (RFC 5922).
    pub fn remember(&self, address: SocketAddr, host: &str) {
        if let Ok(name) = ServerName::try_from(host.to_ascii_lowercase()) {
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
        path: sip::transport::Path,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let remote = path.remote;
        let name = {
            let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.get(&remote).cloned()
        };
        let name = name.unwrap_or_else(|| ServerName::IpAddress(remote.ip().into()));
        let wanted = name.clone();
        let config = match self.presenting.load().get(&*wanted.to_str()) {
            Some((_, config)) => Arc::clone(config),
            None => Arc::clone(&self.plain),
        };
        match TlsConnector::from(config).connect(name, stream).await {
            Ok(stream) => {
                self.peers.not_refused(remote);
                // It has proved this name. What else its certificate says was signed by an authority
                // for carriers, and proves nothing about who calls us.
                let proved = matches!(wanted, ServerName::DnsName(_)).then(|| wanted.to_str());
                self.peers.named(path.connection, proved.iter().map(|n| (&**n).into()).collect());
                Ok(stream)
            }
            Err(error) => Err(self.failed(remote, error, &wanted)),
        }
    }

    fn failed(&self, remote: SocketAddr, error: io::Error, wanted: &ServerName<'_>) -> io::Error {
        let Some(why) = refusal(&error, wanted) else { return error };
        self.peers.refused(remote, &why);
        let text = format!("the peer's certificate is refused: {why}");
        io::Error::new(io::ErrorKind::PermissionDenied, text)
    }

    /// The peer of this connection has shown these certificates, and they are good.
    pub(super) fn shown(&self, connection: u32, certificates: Option<&[CertificateDer<'_>]>) {
        if certificates.is_some() {
            self.peers.named(connection, names_of(certificates));
        }
    }

    /// The connection is over.
    pub(super) fn gone(&self, connection: u32) {
        self.peers.gone(connection);
    }

    /// Nothing could be sent there, and not for its certificate.
    pub(super) fn unreachable(&self, remote: SocketAddr) {
        self.peers.not_refused(remote);
    }
}

fn client_config(
    roots: &Arc<RootCertStore>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_root_certificates(Arc::clone(roots))
}

/// The names of the certificate that the peer of this connection has shown.
fn names_of(shown: Option<&[CertificateDer<'_>]>) -> Vec<Box<str>> {
    let first = shown.and_then(<[_]>::first);
    let read = first.and_then(|first| x509::Certificate::read(first).ok());
    read.map_or_else(Vec::new, |certificate| certificate.sip_domains)
}

/// Why a certificate is refused, in the words of whoever must mend it; `None` if it is not that.
fn refusal(error: &io::Error, wanted: &ServerName<'_>) -> Option<String> {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(why)) = tls else { return None };
    let wanted = wanted.to_str();
    Some(match why {
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
    })
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

    fn path_to(remote: SocketAddr) -> sip::transport::Path {
        let transport = sip::transport::Transport::Tls;
        sip::transport::Path { transport, listener: 0, connection: 1, remote }
    }

    /// Connects to a peer with this certificate, of whom we know that it is `host`.
    #[track_caller]
    fn check(certificate: &str, host: &str, is_trusted: bool, expected: Result<(), &str>) {
        let file = |name: &str| Path::new(FILES).join(name);
        let files = TlsFiles {
            certificate: file(certificate),
            key: file("carrier.key"),
            client_ca: None,
            needs_client_certificate: false,
        };
        let acceptor = TlsAcceptor::from(server_side(&files).unwrap().0);
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
                client.connect(path_to(address), stream).await.map(drop)
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
