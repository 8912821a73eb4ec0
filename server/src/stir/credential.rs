//! The certificate of whoever signs callers (RFC 8226), as it is fetched, and whether it is believed.

use std::sync::Arc;
use std::time::Duration;

use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use switch::stir::IdentityFault;
use vocabulary::{Number, Utc};

use super::passport::Passport;
use super::tn_auth_list;
use crate::net::x509;

/// The certificate and those above it; longer chains are not read.
const CHAIN_MAX: usize = 8;

/// A certificate of P-256 that an authority of ours vouches for.
#[derive(Debug)]
pub(super) struct Credential {
    leaf: CertificateDer<'static>,
    /// From the latest beginning to the earliest end of those in its chain.
    valid: (Utc, Utc),
}

impl Credential {
    /// Reads what was fetched, PEM with the signer's certificate first (RFC 7515 section 4.1.5), and
    /// verifies the chain as of `at`.
    pub(super) fn read(
        pem: &[u8],
        authorities: &Arc<dyn ClientCertVerifier>,
        at: Utc,
    ) -> Result<Credential, IdentityFault> {
        let chain =
            CertificateDer::pem_slice_iter(pem).take(CHAIN_MAX).collect::<Result<Vec<_>, _>>();
        let mut chain = chain.map_err(|_| IdentityFault::CertificateAway)?;
        if chain.is_empty() {
            return Err(IdentityFault::CertificateAway);
        }
        let above = chain.split_off(1);
        let leaf = chain.remove(0);
        let mut valid = (Utc(i64::MIN), Utc(i64::MAX));
        for certificate in [&leaf].into_iter().chain(&above) {
            let read = x509::Certificate::read(certificate);
            let read = read.map_err(|_| IdentityFault::CertificateAway)?;
            valid = (valid.0.max(read.not_before), valid.1.min(read.not_after));
        }
        let seconds = u64::try_from(at.seconds()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        if let Err(error) = authorities.verify_client_cert(&leaf, &above, now) {
            tracing::info!(%error, "a certificate for signed callers is not believed");
            return Err(IdentityFault::CertificateUntrusted);
        }
        Ok(Credential { leaf, valid })
    }

    /// No longer than that may it be kept.
    pub(super) fn valid_until(&self) -> Utc {
        self.valid.1
    }

    /// Whether it has signed this, and may for a caller with this number.
    pub(super) fn has_signed(
        &self,
        passport: &Passport<'_>,
        caller: &Number,
        at: Utc,
    ) -> Result<(), IdentityFault> {
        let is_valid = self.valid.0 <= at && at <= self.valid.1;
        // RFC 8226 section 9: without a list it is for something else than callers.
        let may_sign = tn_auth_list::allows(&self.leaf, caller) == Some(true);
        let key = x509::p256_key(&self.leaf).filter(|_| is_valid && may_sign);
        let key = key.ok_or(IdentityFault::CertificateUntrusted)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
            .verify(passport.signed, &passport.signature)
            .map_err(|_| IdentityFault::Signature)
    }
}
