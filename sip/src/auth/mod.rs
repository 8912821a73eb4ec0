//! Digest access authentication (RFC 7616, for SIP RFC 8760): MD5 and SHA-256, qop=auth, both as
//! the one who asks and as the one who is asked. Passwords are needed in clear only by the latter.

mod client;
mod digest;
mod nonce;
mod verifier;

pub use client::{Credentials, CredentialsHeader, answer_challenge};
pub use digest::{Algorithm, ha1_md5, ha1_sha256};
pub use nonce::NonceCounts;
pub use verifier::{Challenge, DigestResponse, Ha1, Verdict, Verifier, VerifierConfig};
