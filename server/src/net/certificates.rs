//! The certificates of our TLS listeners, read again while calls run. A connection keeps what its
//! handshake began with; the next one gets the newest that could be read. A file that cannot be used
//! changes nothing but what is told about it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::Certificate;
use arc_swap::ArcSwap;
use config::TlsFiles;
use metrics::{counter, gauge};
use rustls::ServerConfig;
use tokio::signal::unix::Signal;
use tokio_rustls::TlsAcceptor;
use vocabulary::Utc;

use super::tls::{self, TlsError};
use super::x509;
use crate::clock::Clock;

/// How often it is looked whether files have changed.
const LOOK_EACH: Duration = Duration::from_secs(10);
/// From so long before its end on, a certificate is named in the log each day.
const RENEW_BEFORE: Duration = Duration::from_secs(14 * 86_400);
const DAY: Duration = Duration::from_secs(86_400);

/// What was in a listener's files; `None` for one that could not be read. They are small, and their
/// times tell too little: two changes may be closer than a file system's clock is fine.
type Contents = Vec<Option<Vec<u8>>>;

/// One listener's side of TLS.
pub struct ListenerTls {
    /// For people: `tls 0.0.0.0:5061`.
    name: String,
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
    state: Mutex<State>,
}

struct State {
    certificate: x509::Certificate,
    /// The files as they were when they were last read, be it in vain.
    seen: Contents,
    /// Why the files as they are now are not in use.
    problem: Option<String>,
}

impl ListenerTls {
    /// Reads the files. One that has expired is taken all the same: who starts with it may have no
    /// other, and it is told.
    pub fn read(name: &str, files: &TlsFiles) -> Result<ListenerTls, TlsError> {
        let seen = contents(files);
        let (config, certificate) = tls::server_side(files)?;
        let state = State { certificate, seen, problem: None };
        Ok(ListenerTls {
            name: name.to_owned(),
            files: files.clone(),
            config: ArcSwap::from(config),
            state: Mutex::new(state),
        })
    }

    /// For the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again: the next connections get what is in them, if that can be used.
    fn read_again(&self, now: Utc) {
        // Before they are read: what is written meanwhile is looked at again.
        let seen = contents(&self.files);
        let outcome = tls::server_side(&self.files).map_err(|error| error.to_string());
        let outcome = outcome.and_then(|(config, certificate)| {
            if certificate.not_after <= now {
                let file = self.files.certificate.display();
                return Err(format!("{file}: it has expired; renew it"));
            }
            Ok((config, certificate))
        });
        let mut state = self.state();
        state.seen = seen;
        match outcome {
            Ok((config, certificate)) => {
                self.config.store(config);
                state.certificate = certificate;
                state.problem = None;
                counter!("tandem_tls_reloads_total", "outcome" => "taken").increment(1);
                tracing::info!(listener = self.name, "certificate read again");
            }
            Err(problem) => {
                counter!("tandem_tls_reloads_total", "outcome" => "refused").increment(1);
                tracing::error!(
                    listener = self.name,
                    "the certificate in use stays, because the new one cannot be used: {problem}"
                );
                state.problem = Some(problem);
            }
        }
    }

    fn view(&self) -> Certificate {
        let state = self.state();
        Certificate {
            listener: self.name.clone(),
            file: self.files.certificate.display().to_string(),
            domains: state.certificate.sip_domains.clone(),
            valid_from: state.certificate.not_before,
            expires_at: state.certificate.not_after,
            problem: state.problem.clone(),
        }
    }
}

/// Those of all listeners.
#[derive(Default)]
pub struct Certificates(Vec<Arc<ListenerTls>>);

impl Certificates {
    /// Of these listeners.
    pub fn new(listeners: Vec<Arc<ListenerTls>>) -> Certificates {
        Certificates(listeners)
    }

    /// What is in use.
    pub fn all(&self) -> Vec<Certificate> {
        self.0.iter().map(|listener| listener.view()).collect()
    }

    /// Reads all of them again, whether they have changed or not.
    pub fn read_again(&self, now: Utc) {
        self.0.iter().for_each(|listener| listener.read_again(now));
    }

    /// Reads those again whose files have changed.
    pub fn look(&self, now: Utc) {
        for listener in &self.0 {
            let seen = contents(&listener.files);
            if listener.state().seen != seen {
                listener.read_again(now);
            }
        }
    }

    /// For the metrics: when each expires.
    pub fn publish(&self) {
        for Certificate { listener, expires_at, .. } in self.all() {
            gauge!("tandem_tls_certificate_expiry_timestamp_seconds", "listener" => listener)
                .set(expires_at.seconds() as f64);
        }
    }

    /// Names in the log what must be renewed.
    fn remind(&self, now: Utc) {
        for Certificate { listener, file, expires_at, .. } in self.all() {
            let left = expires_at.since(now);
            if left.is_zero() {
                tracing::error!(listener, file, "the certificate has expired: peers refuse it");
            } else if left < RENEW_BEFORE {
                let days_left = left.as_secs() / DAY.as_secs();
                tracing::warn!(listener, file, days_left, "the certificate expires soon");
            }
        }
    }

    /// Looks at the files, and reads them at once when `hangup` (SIGHUP) asks for it. For ever.
    pub async fn watch(self: Arc<Self>, clock: Clock, mut hangup: Signal) {
        let mut look = tokio::time::interval(LOOK_EACH);
        let mut remind = tokio::time::interval(DAY);
        loop {
            let now = || clock.now().utc;
            tokio::select! {
                _ = look.tick() => tokio::task::block_in_place(|| self.look(now())),
                _ = remind.tick() => self.remind(now()),
                Some(()) = hangup.recv() => {
                    tracing::info!("SIGHUP: certificates are read again");
                    tokio::task::block_in_place(|| self.read_again(now()));
                }
            }
            self.publish();
        }
    }
}

fn contents(files: &TlsFiles) -> Contents {
    let all = [&files.certificate, &files.key].into_iter().chain(&files.client_ca);
    all.map(|file| std::fs::read(file).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Utc = Utc(1_800_000_000_000_000);

    struct World {
        dir: tempfile::TempDir,
        certificates: Certificates,
    }

    impl World {
        /// Begins with a certificate that expired in 2021.
        fn new() -> World {
            let dir = tempfile::tempdir().unwrap();
            let files = TlsFiles {
                certificate: dir.path().join("own.pem"),
                key: dir.path().join("own.key"),
                client_ca: None,
                needs_client_certificate: false,
            };
            let world = World { dir, certificates: Certificates::default() };
            world.put("expired.pem", "own.pem");
            world.put("carrier.key", "own.key");
            let listener = ListenerTls::read("tls 127.0.0.1:5061", &files).unwrap();
            World { certificates: Certificates::new(vec![Arc::new(listener)]), ..world }
        }

        fn put(&self, from: &str, to: &str) {
            let from = format!("{}/tests/tls/{from}", env!("CARGO_MANIFEST_DIR"));
            self.write(to, &std::fs::read(from).unwrap());
        }

        fn write(&self, to: &str, bytes: &[u8]) {
            std::fs::write(self.dir.path().join(to), bytes).unwrap();
        }

        fn acceptor(&self) -> Arc<ServerConfig> {
            self.certificates.0[0].config.load_full()
        }

        /// What is told after a look at the files.
        #[track_caller]
        fn check(&self, is_expired: bool, problem: Option<&str>) {
            let Certificate { expires_at, problem: found, .. } = self.certificates.all().remove(0);
            assert_eq!(expires_at < NOW, is_expired);
            match problem {
                Some(words) => assert!(found.as_deref().unwrap().contains(words), "{found:?}"),
                None => assert_eq!(found, None),
            }
        }
    }

    /// S8: a renewed certificate is taken, one that cannot be used changes nothing and is told.
    #[test]
    fn files_that_changed_are_read_again_and_bad_ones_change_nothing() {
        let world = World::new();
        world.check(true, None);
        let first = world.acceptor();
        world.certificates.look(NOW);
        assert!(Arc::ptr_eq(&first, &world.acceptor()), "nothing has changed");

        world.write("own.pem", b"-----BEGIN CERTIFICATE-----");
        world.certificates.look(NOW);
        world.check(true, Some("own.pem: it is cut off"));
        world.write("own.pem", b"nothing");
        world.certificates.look(NOW);
        world.check(true, Some("own.pem: no certificate in it"));
        assert!(Arc::ptr_eq(&first, &world.acceptor()));

        world.put("carrier.pem", "own.pem");
        world.certificates.look(NOW);
        world.check(false, None);
        assert!(!Arc::ptr_eq(&first, &world.acceptor()));

        let good = world.acceptor();
        world.put("renewed.pem", "own.pem");
        world.certificates.look(NOW);
        world.check(false, None);
        assert!(!Arc::ptr_eq(&good, &world.acceptor()));
        let good = world.acceptor();
        world.put("expired.pem", "own.pem");
        world.certificates.look(NOW);
        world.check(false, Some("it has expired"));
        // A command says it again, though no file has changed.
        world.certificates.read_again(NOW);
        world.check(false, Some("it has expired"));
        world.put("authority.pem", "own.pem");
        world.certificates.look(NOW);
        world.check(false, Some("own.pem: "));
        std::fs::remove_file(world.dir.path().join("own.key")).unwrap();
        world.certificates.look(NOW);
        world.check(false, Some("own.key: "));
        assert!(Arc::ptr_eq(&good, &world.acceptor()));
    }
}
