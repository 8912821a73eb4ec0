//! Against certificates that openssl has made (`tests/stir/make.sh`).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use bytes::Bytes;
use hyper::header::HeaderMap;
use switch::question::IdentityToSign;
use vocabulary::{CallId, Utc};

use super::*;
use crate::net::tls;
use crate::stir::base64url::{decoded, encoded};
use crate::stir::signer::Signer;

const X5U: &str = "https://cert.example/a.pem";
/// In 2027, when the certificates are valid.
const AT: Utc = Utc(1_800_000_000_000_000);
const CALLER: &str = "12155551212";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stir").join(name)
}

fn pem(names: &[&str]) -> Bytes {
    let all: Vec<_> = names.iter().map(|name| std::fs::read(file(name)).unwrap()).collect();
    all.concat().into()
}

/// A web of a few pages, which notes what was asked.
#[derive(Default)]
struct Pages {
    pages: HashMap<&'static str, Bytes>,
    asked: Mutex<Vec<String>>,
}

impl Pages {
    fn with(names: &[&str]) -> Pages {
        Pages { pages: HashMap::from([(X5U, pem(names))]), ..Pages::default() }
    }
}

impl Fetch for Pages {
    async fn fetch(&self, url: &Url) -> Result<Response, FetchError> {
        self.asked.lock().unwrap().push(url.to_string());
        let page = self.pages.get(&*url.to_string());
        let status = if page.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let body = page.cloned().unwrap_or_default();
        Ok(Response { status, headers: HeaderMap::new(), body })
    }
}

fn signer(url: &str) -> Signer {
    let key = config::StirKey {
        certificate_url: url.to_owned(),
        key: file("signer.key"),
        certificate: Some(file("provider.pem")),
    };
    Signer::open(&key).unwrap()
}

/// An Identity header about a call at `at`.
fn signed(caller: &str, url: &str, at: Utc) -> String {
    let said = IdentityToSign {
        call: CallId(7),
        caller: caller.parse().unwrap(),
        called: "442079460000".parse().unwrap(),
        attestation: Attestation::Full,
        at,
    };
    String::from_utf8(signer(url).identity(&said).unwrap().to_vec()).unwrap()
}

fn asked(value: &str, caller: &str, at: Utc) -> IdentityToVerify {
    IdentityToVerify {
        value: value.to_owned().into(),
        caller: caller.parse().unwrap(),
        called: "442079460000".parse().unwrap(),
        at,
    }
}

type Outcome = Result<Attestation, IdentityFault>;

fn verify(verifier: &Verifier<Pages>, asked: &IdentityToVerify) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(verifier.verify(asked))
}

fn verifier(pages: Pages) -> Verifier<Pages> {
    Verifier::new(pages, Some(tls::authorities(&file("root.pem")).unwrap()))
}

/// What becomes of a true signature if these files are what is fetched.
#[track_caller]
fn check(chain: &[&str], caller: &str, at: Utc, expected: Outcome) {
    let verifier = verifier(Pages::with(chain));
    let found = verify(&verifier, &asked(&signed(caller, X5U, at), caller, at));
    assert_eq!(found, expected, "{chain:?} for {caller} at {at:?}");
}

/// S5; RFC 8226.
#[test]
fn a_certificate_must_be_vouched_for_and_be_for_the_number() {
    let untrusted = Err(IdentityFault::CertificateUntrusted);
    let away = Err(IdentityFault::CertificateAway);
    let chain = ["provider.pem", "below.pem"];
    check(&chain, CALLER, AT, Ok(Attestation::Full));
    check(&["provider.pem"], CALLER, AT, untrusted);
    check(&["itself.pem"], CALLER, AT, untrusted);
    check(&["no-list.pem"], CALLER, AT, untrusted);
    check(&["wrong-curve.pem"], CALLER, AT, untrusted);
    check(&["number.pem"], CALLER, AT, Ok(Attestation::Full));
    check(&["number.pem"], "12155551213", AT, untrusted);
    check(&["range.pem"], "12155551399", AT, Ok(Attestation::Full));
    check(&["range.pem"], "12155551400", AT, untrusted);
    // Before and after its time.
    check(&chain, CALLER, Utc(1_000_000_000_000_000), untrusted);
    check(&chain, CALLER, Utc(7_000_000_000_000_000), untrusted);
    check(&[], CALLER, AT, away);
    check(&["make.sh"], CALLER, AT, away);
    check(&["signer.key"], CALLER, AT, away);
}

/// A signature is only that of what it signs, by the key of its certificate.
#[test]
fn a_changed_token_is_not_what_was_signed() {
    let chain = ["provider.pem", "below.pem"];
    let value = signed(CALLER, X5U, AT);
    let parts: Vec<&str> = value.splitn(3, ['.', ';']).collect();
    let claims = String::from_utf8(decoded(parts[1].as_bytes()).unwrap()).unwrap();
    let claims = encoded(claims.replace("\"A\"", "\"B\"").as_bytes());
    let better = value.replace(parts[1], &claims);
    assert_ne!(better, value);
    let verifier = verifier(Pages::with(&chain));
    let found = verify(&verifier, &asked(&better, CALLER, AT));
    assert_eq!(found, Err(IdentityFault::Signature));
    assert_eq!(verify(&verifier, &asked(&value, CALLER, AT)), Ok(Attestation::Full));
}

/// Nothing is fetched for what cannot be true, and a certificate only once.
#[test]
fn a_certificate_is_fetched_when_it_is_needed() {
    let verifier = verifier(Pages::with(&["provider.pem", "below.pem"]));
    let value = signed(CALLER, X5U, AT);
    let minute = |n: i64| Utc(AT.0 + n * 60_000_000);
    let count = || verifier.fetch.asked.lock().unwrap().len();
    for (value, caller, at, fault) in [
        ("nonsense", CALLER, AT, IdentityFault::Malformed),
        ("..c2ln;info=<https://cert.example/a.pem>;ppt=shaken", CALLER, AT, IdentityFault::Compact),
        (&*value, "12155551213", AT, IdentityFault::OtherNumbers),
        (&*value, CALLER, minute(2), IdentityFault::Stale),
        (&*value.replace("/a.pem>", "/b.pem>"), CALLER, AT, IdentityFault::BadInfo),
    ] {
        assert_eq!(verify(&verifier, &asked(value, caller, at)), Err(fault), "{value}");
        assert_eq!(count(), 0);
    }
    for _ in 0..2 {
        assert_eq!(verify(&verifier, &asked(&value, CALLER, AT)), Ok(Attestation::Full));
    }
    assert_eq!(count(), 1);
    // It says nothing of how long it is good: an hour.
    let later = minute(60);
    let again = signed(CALLER, X5U, later);
    assert_eq!(verify(&verifier, &asked(&again, CALLER, later)), Ok(Attestation::Full));
    assert_eq!(count(), 2);
    // Who is not there is not asked at each call.
    let away = signed(CALLER, "https://away.example/", AT);
    for _ in 0..2 {
        let found = verify(&verifier, &asked(&away, CALLER, AT));
        assert_eq!(found, Err(IdentityFault::CertificateAway));
    }
    assert_eq!(count(), 3);
}

/// RFC 8225 section 4.3: `x5u` is an HTTPS URL.
#[test]
fn a_certificate_comes_by_https_alone() {
    let verifier = verifier(Pages::default());
    for url in ["http://cert.example/a.pem", "ftp://cert.example/a", "https://me@cert.example/"] {
        let found = verify(&verifier, &asked(&signed(CALLER, url, AT), CALLER, AT));
        assert_eq!(found, Err(IdentityFault::BadInfo), "{url}");
    }
    assert!(verifier.fetch.asked.lock().unwrap().is_empty());
}

#[test]
fn without_authorities_nobody_is_believed() {
    let verifier = Verifier::new(Pages::with(&["provider.pem", "below.pem"]), None);
    let found = verify(&verifier, &asked(&signed(CALLER, X5U, AT), CALLER, AT));
    assert_eq!(found, Err(IdentityFault::CertificateUntrusted));
}

/// S5: openssl finds our signature good, with the public key of the certificate.
#[test]
fn openssl_agrees_with_our_signature() {
    let value = signed(CALLER, X5U, AT);
    let (token, _) = value.split_once(';').unwrap();
    let (said, signature) = token.rsplit_once('.').unwrap();
    let signature = decoded(signature.as_bytes()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl").args(args).current_dir(dir.path()).output().unwrap();
        (output.status.success(), output.stdout)
    };
    let certificate = file("provider.pem");
    let certificate = certificate.to_str().unwrap();
    let (is_read, key) = openssl(&["x509", "-in", certificate, "-noout", "-pubkey"]);
    assert!(is_read);
    std::fs::write(path("key.pem"), key).unwrap();
    // RFC 3279 section 2.2.3: openssl wants both numbers in DER.
    let number = |bytes: &[u8]| {
        let bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = if bytes[0] & 0x80 == 0 { vec![] } else { vec![0] };
        let length = u8::try_from(sign.len() + bytes.len()).unwrap();
        [vec![2, length], sign, bytes].concat()
    };
    let both = [number(&signature[..32]), number(&signature[32..])].concat();
    let der = [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat();
    std::fs::write(path("signature"), der).unwrap();
    for (text, is_good) in [(said.to_owned(), true), (format!("{said}x"), false)] {
        std::fs::write(path("said"), text).unwrap();
        let verify = ["dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "said"];
        assert_eq!(openssl(&verify).0, is_good);
    }
}

#[test]
fn a_key_and_its_certificate_are_looked_at_when_they_are_opened() {
    let opened = |key: &str, certificate: &str| {
        let (key, certificate) = (file(key), Some(file(certificate)));
        let key = config::StirKey { certificate_url: X5U.to_owned(), key, certificate };
        Signer::open(&key).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(opened("signer.key", "number.pem"), Ok(()));
    for (key, certificate, expected) in [
        ("signer.key", "root.pem", "root.pem: it is not that of the key"),
        ("signer.key", "wrong-curve.pem", "it is not that of the key"),
        ("signer.key", "signer.key", "[stir] certificate"),
        ("root.pem", "root.pem", "[stir] key"),
        ("away.key", "root.pem", "away.key"),
    ] {
        let error = opened(key, certificate).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
