//! PASSporTs of the kind `shaken` (RFC 8225, RFC 8588): who calls whom, when, and how sure the signer is of
//! it, as a JSON Web Signature in its compact form (RFC 7515) with ES256.

use ring::rand::SystemRandom;
use ring::signature::EcdsaKeyPair;
use serde_json::{Value, json};
use sip::message::header::Identity;
use switch::question::{IdentityToSign, IdentityToVerify};
use switch::stir::{Attestation, IdentityFault};
use vocabulary::CallId;

use super::base64url::{decoded, encoded};

/// A PASSporT is this old at most, or this young, in seconds (RFC 8224 section 6.2, ATIS-1000074).
const FRESH_S: i64 = 60;
/// Longer tokens are not read.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Signs what is said of a call; the certificate of the key is found at `x5u`.
pub(super) fn signed(
    key: &EcdsaKeyPair,
    random: &SystemRandom,
    x5u: &str,
    said: &IdentityToSign,
) -> Result<String, ring::error::Unspecified> {
    // RFC 8225 section 9: keys in lexicographic order, no white space.
    let header = json!({ "alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": x5u });
    let payload = json!({
        "attest": said.attestation.letter(),
        "dest": { "tn": [said.called.as_str()] },
        "iat": said.at.seconds(),
        "orig": { "tn": said.caller.as_str() },
        "origid": origid(said.call),
    });
    let mut token = encoded(header.to_string().as_bytes());
    token.push('.');
    token.push_str(&encoded(payload.to_string().as_bytes()));
    let signature = key.sign(random, token.as_bytes())?;
    token.push('.');
    token.push_str(&encoded(signature.as_ref()));
    Ok(token)
}

/// A UUID of a form of our own (RFC 9562 section 5.8) that is the call's id: whoever traces a call back
/// names it, and it is found. The id is what remains without the fields of version and variant.
fn origid(call: CallId) -> String {
    let (high, middle, low) = (call.0 >> 32, call.0 >> 16 & 0xffff, call.0 & 0xffff);
    format!("{high:08x}-{middle:04x}-8000-8000-{low:012x}")
}

/// One that came in, read and not believed yet.
#[derive(Debug)]
pub(super) struct Passport<'a> {
    /// What is signed.
    pub(super) signed: &'a [u8],
    /// By whom, as RFC 7518 section 3.4 writes it: 64 bytes.
    pub(super) signature: Vec<u8>,
    /// Where the certificate is.
    pub(super) x5u: String,
    pub(super) attestation: Attestation,
    claims: Value,
}

impl<'a> Passport<'a> {
    /// Reads the token of an Identity header.
    pub(super) fn read(identity: &Identity<'a>) -> Result<Passport<'a>, IdentityFault> {
        if identity.token.starts_with(b"..") {
            return Err(IdentityFault::Compact);
        }
        read(identity).ok_or(IdentityFault::Malformed)
    }

    /// Whether it is about this call, of now (RFC 8224 section 6.2).
    pub(super) fn is_about(&self, asked: &IdentityToVerify) -> Result<(), IdentityFault> {
        let claims = &self.claims;
        // RFC 8224 section 8.3: numbers are written as we have them, with the country's code and without
        // anything but digits.
        let is_from = claims["orig"]["tn"].as_str() == Some(asked.caller.as_str());
        let all = claims["dest"]["tn"].as_array();
        let is_called = |one: &Value| one.as_str() == Some(asked.called.as_str());
        if !is_from || !all.is_some_and(|all| all.iter().any(is_called)) {
            return Err(IdentityFault::OtherNumbers);
        }
        let iat = claims["iat"].as_i64().ok_or(IdentityFault::Malformed)?;
        let age = asked.at.seconds().checked_sub(iat);
        let is_fresh = age.is_some_and(|age| (-FRESH_S..=FRESH_S).contains(&age));
        if is_fresh { Ok(()) } else { Err(IdentityFault::Stale) }
    }
}

fn read<'a>(identity: &Identity<'a>) -> Option<Passport<'a>> {
    let token = identity.token;
    let is_kind = &*identity.algorithm() == b"ES256"
        && identity.extension().as_deref() == Some(b"shaken")
        && token.len() <= TOKEN_BYTES_MAX;
    let mut parts = token.split(|byte| *byte == b'.').map(decoded);
    let (header, claims, signature) = (parts.next()??, parts.next()??, parts.next()??);
    let header: Value = serde_json::from_slice(&header).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let is_kind = is_kind
        && parts.next().is_none()
        && header["alg"] == "ES256"
        && header["ppt"] == "shaken"
        && header["typ"] == "passport"
        && signature.len() == 64;
    // RFC 8588 section 5: both must be there.
    let attestation = Attestation::from_letter(claims["attest"].as_str()?)?;
    let has_origin = claims["origid"].as_str().is_some_and(|origin| !origin.is_empty());
    let has_claims = has_origin && claims["iat"].is_i64();
    let x5u = header["x5u"].as_str()?.to_owned();
    let signed = &token[..token.iter().rposition(|byte| *byte == b'.')?];
    let passport = Passport { signed, signature, x5u, attestation, claims };
    (is_kind && has_claims).then_some(passport)
}

#[cfg(test)]
mod tests {
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, KeyPair, UnparsedPublicKey,
    };
    use vocabulary::Utc;

    use super::*;

    const X5U: &str = "https://cert.example.org/passport.cer";
    const AT: i64 = 1_443_208_345;

    fn key() -> EcdsaKeyPair {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()
    }

    fn token(key: &EcdsaKeyPair) -> String {
        let said = IdentityToSign {
            call: CallId(0x0001_0203_0405_0607),
            caller: "12155551212".parse().unwrap(),
            called: "12125551213".parse().unwrap(),
            attestation: Attestation::Full,
            at: Utc(AT * 1_000_000 + 999_999),
        };
        signed(key, &SystemRandom::new(), X5U, &said).unwrap()
    }

    /// S5; RFC 8588 section 5.2: as the RFC writes it, but for the numbers' origin.
    #[test]
    fn claims_are_written_as_the_rfc_writes_them() {
        let token = token(&key());
        let parts: Vec<&str> = token.split('.').collect();
        let header = format!(r#"{{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"{X5U}"}}"#);
        assert_eq!(decoded(parts[0].as_bytes()).unwrap(), header.as_bytes());
        let payload = concat!(
            r#"{"attest":"A","dest":{"tn":["12125551213"]},"iat":1443208345,"#,
            r#""orig":{"tn":"12155551212"},"origid":"00010203-0405-8000-8000-000000000607"}"#,
        );
        assert_eq!(decoded(parts[1].as_bytes()).unwrap(), payload.as_bytes());
    }

    /// RFC 7515 appendix A.3: header and payload as they are sent, signed with ES256.
    #[test]
    fn the_signature_is_that_of_the_key() {
        let (ours, other) = (key(), key());
        let token = token(&ours);
        let (said, signature) = token.rsplit_once('.').unwrap();
        let is_of = |key: &EcdsaKeyPair| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref())
                .verify(said.as_bytes(), &decoded(signature.as_bytes()).unwrap())
                .is_ok()
        };
        assert!(is_of(&ours) && !is_of(&other));
    }

    const HEADER: &str = r#"{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://a"}"#;
    const CLAIMS: &str = r#"{"attest":"B","dest":{"tn":["12125551213","12125551214"]},"iat":1443208345,"orig":{"tn":"12155551212"},"origid":"x"}"#;

    /// What becomes of a header with these parts, at this second.
    fn found(
        header: &str,
        claims: &str,
        params: &str,
        at: i64,
    ) -> Result<Attestation, IdentityFault> {
        let parts = [header.as_bytes(), claims.as_bytes(), &[7; 64]].map(encoded);
        let value = format!("{};info=<https://a>{params}", parts.join("."));
        let passport = Passport::read(&Identity::parse(value.as_bytes()).unwrap())?;
        let asked = IdentityToVerify {
            value: value.clone().into(),
            caller: "12155551212".parse().unwrap(),
            called: "12125551213".parse().unwrap(),
            at: Utc(at * 1_000_000),
        };
        passport.is_about(&asked).map(|()| passport.attestation)
    }

    /// S5; RFC 8224 section 6.2.
    #[test]
    fn what_is_claimed_must_be_true_of_the_call() {
        use IdentityFault::{Malformed, OtherNumbers, Stale};
        let shaken = ";ppt=shaken";
        let check = |from: &str, to: &str, expected| {
            assert!(HEADER.contains(from) || CLAIMS.contains(from), "{from}");
            let (header, claims) = (HEADER.replace(from, to), CLAIMS.replace(from, to));
            assert_eq!(found(&header, &claims, shaken, AT), expected, "{to} for {from}");
        };
        check("x", "x", Ok(Attestation::Partial));
        check("\"ES256\"", "\"RS256\"", Err(Malformed));
        check("\"ES256\"", "\"none\"", Err(Malformed));
        check("\"shaken\"", "\"div\"", Err(Malformed));
        check("\"passport\"", "\"JWT\"", Err(Malformed));
        check(r#","x5u":"https://a""#, "", Err(Malformed));
        check("{", "", Err(Malformed));
        check("\"B\"", "\"D\"", Err(Malformed));
        check("\"attest\":\"B\",", "", Err(Malformed));
        check(",\"origid\":\"x\"", "", Err(Malformed));
        check("\"iat\":1443208345,", "", Err(Malformed));
        check("1443208345", "\"1443208345\"", Err(Malformed));
        check("12155551212", "12155551213", Err(OtherNumbers));
        check("12155551212", "+12155551212", Err(OtherNumbers));
        check("12125551213", "12125551215", Err(OtherNumbers));
        check("\"dest\":{\"tn\"", "\"dest\":{\"uri\"", Err(OtherNumbers));
        for (late, expected) in [(60, None), (61, Some(Stale)), (-60, None), (-61, Some(Stale))] {
            assert_eq!(found(HEADER, CLAIMS, shaken, AT + late).err(), expected, "{late}");
        }
        // The header's own parameters have to say the same.
        for params in ["", ";ppt=div", ";ppt=shaken;alg=RS256"] {
            assert_eq!(found(HEADER, CLAIMS, params, AT), Err(Malformed), "{params}");
        }
        let value = b"..c2ln;info=<https://a>;ppt=shaken";
        let compact = Passport::read(&Identity::parse(value).unwrap());
        assert_eq!(compact.unwrap_err(), IdentityFault::Compact);
    }
}
