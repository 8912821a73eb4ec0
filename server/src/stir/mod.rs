//! Signing callers and verifying them (S5; RFC 8224, RFC 8225, RFC 8226, RFC 8588): keys and certificates
//! are here and not in the pure crates, because a signature draws randomness and a certificate is fetched.

mod base64url;
mod credential;
mod passport;
mod shelf;
mod signer;
mod tn_auth_list;
mod verifier;

use switch::Answer;
use switch::question::{IdentityToSign, IdentityToVerify};

use crate::net::http::HttpClient;
use crate::net::tls::{self, TlsError};

pub use signer::{StirCertificateError, StirKeyError};

use signer::Signer;
use verifier::{Verifier, Web};

/// Callers can neither be signed nor verified as the configuration wants it.
#[derive(Debug, thiserror::Error)]
pub enum StirError {
    /// The key.
    #[error(transparent)]
    Key(#[from] StirKeyError),
    /// Its certificate.
    #[error(transparent)]
    Certificate(#[from] StirCertificateError),
    /// Whom we believe.
    #[error("[stir] roots: {0}")]
    Roots(TlsError),
}

/// Who answers calls that ask whether a caller is true, or that we say so.
pub(crate) struct Stir {
    signer: Option<Signer>,
    verifier: Verifier,
}

impl Stir {
    /// As the configuration wants it; certificates are fetched by `client`.
    pub(crate) fn open(config: &config::Stir, client: HttpClient) -> Result<Stir, StirError> {
        let authorities = config.roots.as_deref().map(tls::authorities).transpose();
        let web = Web { client, private_hosts: config.private_hosts.clone().into() };
        Ok(Stir {
            signer: config.signing.as_ref().map(Signer::open).transpose()?,
            verifier: Verifier::new(web, authorities.map_err(StirError::Roots)?),
        })
    }

    /// To [`switch::Question::Sign`].
    pub(crate) fn sign(&self, said: &IdentityToSign) -> Answer {
        let identity = self.signer.as_ref().and_then(|signer| signer.identity(said));
        identity.map_or(Answer::Nothing, Answer::Signed)
    }

    /// To [`switch::Question::Verify`].
    pub(crate) async fn verify(&self, asked: &IdentityToVerify) -> Answer {
        Answer::Verified(self.verifier.verify(asked).await)
    }
}
