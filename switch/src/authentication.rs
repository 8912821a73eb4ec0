//! Digest at the door: challenges, and what a request's credentials prove. Nobody learns from our
//! answers, nor from the time they take, whether a name exists.

use std::sync::Arc;
use std::time::Duration;

use sip::auth::{DigestResponse, Ha1, Verdict, Verifier, VerifierConfig};
use sip::endpoint::ServerTx;
use sip::message::{HeaderName, Message, ResponseDraft};
use sip::transport::Path;
use vocabulary::Now;

use crate::directory::{DigestOwner, DigestSecret, Settings};
use crate::shard::{Shard, ShardConfig, Shared};

/// A phone that answers within this time needs no second challenge.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);
/// Stands in for the secret of a user that does not exist.
const NOBODYS: DigestSecret = DigestSecret { ha1_md5: [0; 16], ha1_sha256: [0; 32] };

/// As what we ask: a registrar asks with 401, on the way through with 407.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 401, WWW-Authenticate.
    Registrar,
    /// 407, Proxy-Authenticate.
    Proxy,
}

/// What a request's credentials prove.
#[derive(Debug)]
pub(crate) enum Authenticated {
    /// This is who it is.
    Right(DigestOwner, Box<str>),
    /// The name exists, the password is another.
    WrongPassword(Box<str>),
    /// Nobody has this name.
    UnknownUser(Box<str>),
    /// There were none, or they were for an old nonce: it has been asked.
    Challenged,
}

pub(crate) fn verifier(config: &ShardConfig, shared: &Shared, settings: &Settings) -> Verifier {
    Verifier::new(VerifierConfig {
        secret: config.nonce_secret,
        start: config.start,
        realm: settings.realm.clone(),
        algorithms: settings.algorithms.clone(),
        nonce_lifetime: NONCE_LIFETIME,
        counts: Arc::clone(&shared.nonces),
    })
}

impl Shard {
    /// Checks the credentials of a request; without usable ones, asks for them.
    pub(crate) fn authenticate(
        &mut self,
        now: Now,
        tx: ServerTx,
        message: &Message,
        path: Path,
        kind: Kind,
    ) -> Authenticated {
        let name = match kind {
            Kind::Registrar => HeaderName::Authorization,
            Kind::Proxy => HeaderName::ProxyAuthorization,
        };
        let realm = self.directory.settings().realm.as_bytes();
        // A phone may carry credentials for other realms on the way; those are not for us.
        let ours = message
            .headers(name)
            .filter_map(DigestResponse::parse)
            .find(|response| response.realm() == realm);
        let Some(response) = ours else {
            return self.challenge(now, tx, message, path, kind, false);
        };
        let username = String::from_utf8_lossy(response.username()).into_owned();
        let owner = self.directory.digest_owner(&username);
        if self.is_only_guessing(now, owner, path) {
            // As if it were wrong: nothing is learnt from being refused.
            return match owner {
                Some(_) => Authenticated::WrongPassword(username.into()),
                None => Authenticated::UnknownUser(username.into()),
            };
        }
        let secret = owner.and_then(|owner| self.directory.digest_secret(owner));
        let secret = secret.unwrap_or(&NOBODYS);
        let verdict = self.verifier.verify(
            now.monotonic,
            path.remote.ip(),
            &response,
            message.method().as_bytes(),
            message.request_uri(),
            Ha1 { md5: &secret.ha1_md5, sha256: &secret.ha1_sha256 },
        );
        match (verdict, owner) {
            (Verdict::Stale | Verdict::Replayed, _) => {
                self.challenge(now, tx, message, path, kind, true)
            }
            (Verdict::Right, Some(owner)) => {
                self.proven(now, path);
                Authenticated::Right(owner, username.into())
            }
            (Verdict::Right, None) | (Verdict::Wrong, None) => {
                self.wrong_credentials(now, path);
                Authenticated::UnknownUser(username.into())
            }
            (Verdict::Wrong, Some(_)) => {
                self.wrong_credentials(now, path);
                Authenticated::WrongPassword(username.into())
            }
        }
    }

    fn challenge(
        &mut self,
        now: Now,
        tx: ServerTx,
        message: &Message,
        path: Path,
        kind: Kind,
        is_stale: bool,
    ) -> Authenticated {
        self.stats.challenges += 1;
        self.unproven(now, path);
        let (status, phrase, name) = match kind {
            Kind::Registrar => (401, "Unauthorized", HeaderName::WwwAuthenticate),
            Kind::Proxy => (407, "Proxy Authentication Required", HeaderName::ProxyAuthenticate),
        };
        let mut response = ResponseDraft::to(message, status, phrase);
        for value in self.verifier.challenge(now.monotonic, path.remote.ip(), is_stale).values {
            response = response.header(name, value);
        }
        self.endpoint.respond(now.monotonic, tx, response);
        Authenticated::Challenged
    }
}
