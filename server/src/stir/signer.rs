//! Signing callers for those whom we call (RFC 8224 section 6.1).

use bytes::Bytes;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use switch::question::IdentityToSign;

use super::passport;
use crate::net::x509;

/// The key that is to sign cannot.
#[derive(Debug, thiserror::Error)]
#[error(
    "[stir] key {file}: {what}; it must be an ECDSA key of P-256 in PKCS#8, as \
     `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one"
)]
pub struct StirKeyError {
    /// The file.
    file: String,
    /// What is wrong with it.
    what: String,
}

/// The certificate of the key is not that.
#[derive(Debug, thiserror::Error)]
#[error("[stir] certificate {file}: {what}; it must be PEM with the certificate of `key` first")]
pub struct StirCertificateError {
    /// The file.
    file: String,
    /// What is wrong with it.
    what: String,
}

/// Our key, and where its certificate is.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
    certificate_url: String,
}

impl Signer {
    pub(crate) fn open(signing: &config::StirKey) -> Result<Signer, super::StirError> {
        let error = |what: String| StirKeyError { file: signing.key.display().to_string(), what };
        let read = PrivateKeyDer::from_pem_file(&signing.key);
        let key = match read.map_err(|what| error(what.to_string()))? {
            PrivateKeyDer::Pkcs8(key) => key,
            _ => return Err(error("it is not in PKCS#8".to_owned()).into()),
        };
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der(), &random)
            .map_err(|what| error(what.to_string()))?;
        if let Some(file) = &signing.certificate {
            let error =
                |what: String| StirCertificateError { file: file.display().to_string(), what };
            let leaf =
                CertificateDer::from_pem_file(file).map_err(|what| error(what.to_string()))?;
            if x509::p256_key(&leaf) != Some(key.public_key().as_ref()) {
                return Err(error("it is not that of the key".to_owned()).into());
            }
        }
        Ok(Signer { key, random, certificate_url: signing.certificate_url.clone() })
    }

    /// The value of an Identity header (RFC 8224 section 4), in its full form (RFC 8588 section 6).
    /// `None` if the system has no randomness.
    pub(crate) fn identity(&self, said: &IdentityToSign) -> Option<Bytes> {
        let url = &self.certificate_url;
        let token = passport::signed(&self.key, &self.random, url, said).ok()?;
        Some(format!("{token};info=<{url}>;alg=ES256;ppt=shaken").into())
    }
}
