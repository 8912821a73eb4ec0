//! Verifying the callers of others (RFC 8224 section 6.2).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use rustls::server::danger::ClientCertVerifier;
use sip::message::header::Identity;
use switch::question::IdentityToVerify;
use switch::stir::{Attestation, IdentityFault};

use super::credential::Credential;
use super::passport::Passport;
use super::shelf::{Fetched, Shelf};
use crate::net::http::{FetchError, FetchLimits, HttpClient, Reach, Request, Response, Url};

/// Less than a call waits for its answer, so that a server that is away is found out and remembered.
const FETCH_LIMITS: FetchLimits = FetchLimits { time: Duration::from_secs(2), body_max: 64 * 1024 };

/// Where certificates are fetched from.
pub(crate) trait Fetch: Sync {
    /// GET within the limits of [`FETCH_LIMITS`].
    fn fetch(&self, url: &Url) -> impl Future<Output = Result<Response, FetchError>> + Send;
}

/// The web, and the hosts of our own network that the operator allows.
pub(crate) struct Web {
    pub(crate) client: HttpClient,
    pub(crate) private_hosts: Box<[String]>,
}

impl Fetch for Web {
    async fn fetch(&self, url: &Url) -> Result<Response, FetchError> {
        let is_allowed = self.private_hosts.iter().any(|host| **host == *url.host());
        let reach = if is_allowed { Reach::Anywhere } else { Reach::Public };
        self.client.fetch(&Request::get(url.clone(), reach), FETCH_LIMITS).await
    }
}

/// Verifies, with the certificates that it keeps.
pub(crate) struct Verifier<F = Web> {
    fetch: F,
    /// Who vouches for certificates; `None` if nobody is believed.
    authorities: Option<Arc<dyn ClientCertVerifier>>,
    shelf: Shelf,
}

impl<F: Fetch> Verifier<F> {
    pub(crate) fn new(fetch: F, authorities: Option<Arc<dyn ClientCertVerifier>>) -> Verifier<F> {
        Verifier { fetch, authorities, shelf: Shelf::default() }
    }

    /// Whether an Identity header is true of a call. What costs a fetch comes after what does not.
    pub(crate) async fn verify(
        &self,
        asked: &IdentityToVerify,
    ) -> Result<Attestation, IdentityFault> {
        let identity = Identity::parse(&asked.value).ok_or(IdentityFault::Malformed)?;
        let passport = Passport::read(&identity)?;
        passport.is_about(asked)?;
        let authorities = self.authorities.as_ref().ok_or(IdentityFault::CertificateUntrusted)?;
        let url = certificate_url(&identity, &passport).ok_or(IdentityFault::BadInfo)?;
        let fetch = || self.fetched(&url, authorities, asked);
        let credential = self.shelf.get(&url, asked.at, fetch).await?;
        credential.has_signed(&passport, &asked.caller, asked.at)?;
        Ok(passport.attestation)
    }

    async fn fetched(
        &self,
        url: &Url,
        authorities: &Arc<dyn ClientCertVerifier>,
        asked: &IdentityToVerify,
    ) -> Fetched {
        let answer = match self.fetch.fetch(url).await {
            Ok(answer) if answer.status == StatusCode::OK => answer,
            other => {
                let status = other.as_ref().ok().map(|answer| answer.status);
                let error = other.err().map(|error| error.to_string());
                tracing::info!(%url, ?status, error, "a certificate for signed callers is away");
                return Fetched::missed(IdentityFault::CertificateAway, asked.at);
            }
        };
        match Credential::read(&answer.body, authorities, asked.at) {
            Ok(credential) => Fetched::kept(credential, &answer.headers, asked.at),
            Err(fault) => Fetched::missed(fault, asked.at),
        }
    }
}

/// Where the certificate is: an HTTPS URL, the same in the header and in what is signed.
fn certificate_url(identity: &Identity<'_>, passport: &Passport<'_>) -> Option<Url> {
    let info = std::str::from_utf8(identity.info).ok()?;
    let url = Url::parse(info).ok()?;
    (passport.x5u == info && url.is_secure()).then_some(url)
}

#[cfg(test)]
mod tests;
