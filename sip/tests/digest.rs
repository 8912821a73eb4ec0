//! Digest both ways: what we ask, what we answer, and what we refuse.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip::auth::{
    Algorithm, Credentials, DigestResponse, Ha1, NonceCounts, Verdict, Verifier, VerifierConfig,
    answer_challenge, ha1_md5, ha1_sha256,
};
use sip::message::{Message, Method};

const LIFETIME: Duration = Duration::from_secs(60);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn verifier(counts: &Arc<NonceCounts>) -> Verifier {
    verifier_of_start(1, counts)
}

fn verifier_of_start(start: u32, counts: &Arc<NonceCounts>) -> Verifier {
    verifier_of(&[Algorithm::Md5, Algorithm::Sha256], start, counts)
}

fn verifier_of(algorithms: &[Algorithm], start: u32, counts: &Arc<NonceCounts>) -> Verifier {
    Verifier::new(VerifierConfig {
        secret: [9; 32],
        start,
        realm: "tandem.test".into(),
        algorithms: algorithms.to_vec(),
        nonce_lifetime: LIFETIME,
        counts: Arc::clone(counts),
    })
}

fn challenged(values: &[&str]) -> Message {
    let mut text =
        "SIP/2.0 407 X\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                    To: <sip:b@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
            .to_string();
    for value in values {
        text.push_str(&format!("Proxy-Authenticate: {value}\r\n"));
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    Message::parse(Bytes::from(text)).expect("a good response")
}

fn check_password(verifier: &Verifier, now: Duration, header: &str, password: &str) -> Verdict {
    let response = DigestResponse::parse(header.as_bytes()).expect("a digest");
    let md5 = ha1_md5("al\"ice", "tandem.test", password);
    let sha256 = ha1_sha256("al\"ice", "tandem.test", password);
    let ha1 = Ha1 { md5: &md5, sha256: &sha256 };
    verifier.verify(now, HERE, &response, b"INVITE", b"sip:b@tandem.test", ha1)
}

fn answer(challenge: &[&str], is_again: bool) -> Option<String> {
    let ours = Credentials::new("al\"ice", "secret");
    let message = challenged(challenge);
    let uri = b"sip:b@tandem.test";
    answer_challenge(&message, &ours, Method::Invite, uri, 42, is_again).map(|header| header.value)
}

#[test]
fn what_we_ask_we_can_answer_with_either_hash() {
    let counts = Arc::new(NonceCounts::new(64));
    let verifier = verifier(&counts);
    let now = Duration::from_secs(100);
    for index in 0..2 {
        let challenge = verifier.challenge(now, HERE, false);
        let header = answer(&[&challenge.values[index]], false).expect("answerable");
        assert_eq!(check_password(&verifier, now, &header, "other"), Verdict::Wrong);
        assert_eq!(check_password(&verifier, now, &header, "secret"), Verdict::Right);
        assert_eq!(check_password(&verifier, now, &header, "secret"), Verdict::Replayed);
    }
    let both = verifier.challenge(now, HERE, false);
    let header = answer(&[&both.values[1], &both.values[0]], false).expect("answerable");
    assert!(header.contains("algorithm=SHA-256"), "the strongest is chosen");
}

#[test]
fn only_the_algorithms_asked_for_are_taken() {
    let counts = Arc::new(NonceCounts::new(64));
    let (md5, both) = (verifier_of(&[Algorithm::Md5], 1, &counts), verifier(&counts));
    let now = Duration::from_secs(100);
    let values = md5.challenge(now, HERE, false).values;
    assert!(values.len() == 1 && values[0].contains("algorithm=MD5"), "{values:?}");
    let by_sha256 =
        answer(&[&both.challenge(now, HERE, false).values[1]], false).expect("answerable");
    assert_eq!(check_password(&md5, now, &by_sha256, "secret"), Verdict::Wrong);
    assert_eq!(check_password(&both, now, &by_sha256, "secret"), Verdict::Right);
}

#[test]
fn an_old_a_forgotten_and_a_foreign_nonce_are_stale() {
    let counts = Arc::new(NonceCounts::new(16));
    let verifier = verifier(&counts);
    let now = Duration::from_secs(100);
    let header =
        answer(&[&verifier.challenge(now, HERE, false).values[0]], false).expect("answerable");
    let later = now + LIFETIME + Duration::from_millis(1);
    assert_eq!(check_password(&verifier, later, &header, "secret"), Verdict::Stale);
    let earlier_start = Duration::from_secs(1);
    assert_eq!(check_password(&verifier, earlier_start, &header, "secret"), Verdict::Stale);
    for _ in 0..16 {
        verifier.challenge(now, HERE, false);
    }
    assert_eq!(check_password(&verifier, now, &header, "secret"), Verdict::Stale);
    let foreign = "Digest realm=\"tandem.test\",nonce=\"abc\",algorithm=MD5,qop=\"auth\"";
    let header = answer(&[foreign], false).expect("answerable");
    assert_eq!(check_password(&verifier, now, &header, "secret"), Verdict::Stale);
}

#[test]
fn another_target_or_realm_is_wrong() {
    let counts = Arc::new(NonceCounts::new(64));
    let verifier = verifier(&counts);
    let now = Duration::from_secs(100);
    let header =
        answer(&[&verifier.challenge(now, HERE, false).values[0]], false).expect("answerable");
    let response = DigestResponse::parse(header.as_bytes()).expect("a digest");
    let (md5, sha256) = (ha1_md5("al\"ice", "tandem.test", "secret"), [0; 32]);
    let ha1 = Ha1 { md5: &md5, sha256: &sha256 };
    let verdict = verifier.verify(now, HERE, &response, b"INVITE", b"sip:other@tandem.test", ha1);
    assert_eq!(verdict, Verdict::Wrong);
}

#[test]
fn credentials_are_tried_again_only_for_a_stale_nonce() {
    let fresh = "Digest realm=\"r\",nonce=\"n\",qop=\"auth\"";
    let stale = "Digest realm=\"r\",nonce=\"n\",qop=\"auth\",stale=TRUE";
    assert!(answer(&[fresh], false).is_some());
    assert!(answer(&[fresh], true).is_none());
    assert!(answer(&[stale], true).is_some());
}

#[test]
fn what_we_cannot_do_is_not_answered() {
    for value in [
        "Basic realm=\"r\"",
        "Digest realm=\"r\",nonce=\"n\",qop=\"auth-int\"",
        "Digest realm=\"r\",nonce=\"n\",algorithm=MD5-sess,qop=\"auth\"",
        "Digest realm=\"r\",nonce=\"n\",algorithm=SHA-512-256",
        "Digest realm=\"r\"",
    ] {
        assert!(answer(&[value], false).is_none(), "{value}");
    }
    assert!(answer(&["Digest realm=\"r\",nonce=\"n\""], false).is_some(), "RFC 2069 still works");
}

/// The peer's answer to a challenge, with this nonce count or without qop.
fn counted(verifier: &Verifier, challenge: &str, nc: Option<&str>) -> String {
    let nonce = challenge.split("nonce=\"").nth(1).expect("a nonce");
    let nonce = nonce.split('"').next().expect("its end");
    let hash = |text: String| {
        // H(text) with one colon in it is what an HA1 is of two parts.
        let (user, rest) = text.split_once(':').expect("two parts at least");
        let (realm, rest) = rest.split_once(':').unwrap_or((rest, ""));
        let bytes = ha1_md5(user, realm, rest);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let realm = verifier.realm();
    let ha1 = hash(format!("al\"ice:{realm}:secret"));
    // MD5(INVITE:sip:b@tandem.test) has exactly two colons.
    let ha2 = hash("INVITE:sip:b@tandem.test".to_string());
    let (middle, more) = match nc {
        Some(nc) => (format!("{nc}:xyz:auth:"), format!(",qop=auth,nc={nc},cnonce=\"xyz\"")),
        None => (String::new(), String::new()),
    };
    let response = hash(format!("{ha1}:{nonce}:{middle}{ha2}"));
    format!(
        "Digest username=\"al\\\"ice\", realm=\"{realm}\", nonce=\"{nonce}\", \
         uri=\"sip:b@tandem.test\", response=\"{response}\"{more}"
    )
}

#[test]
fn a_nonce_count_may_be_skipped_but_never_repeated_in_any_shard() {
    let counts = Arc::new(NonceCounts::new(64));
    let (one, other) = (verifier(&counts), verifier(&counts));
    let now = Duration::from_secs(100);
    let challenge = one.challenge(now, HERE, false).values[1].clone();
    let check = |verifier: &Verifier, nc: &str| {
        let header = counted(verifier, &challenge, Some(nc));
        check_password(verifier, now, &header, "secret")
    };
    assert_eq!(check(&one, "00000001"), Verdict::Right);
    assert_eq!(check(&other, "00000001"), Verdict::Replayed);
    assert_eq!(check(&other, "00000005"), Verdict::Right);
    assert_eq!(check(&one, "00000004"), Verdict::Replayed);
    assert_eq!(check(&one, "0000000a"), Verdict::Right);
    for nonsense in ["00000000", "1", "0000000g", "+0000011", "000000011"] {
        assert_eq!(check(&one, nonsense), Verdict::Wrong, "{nonsense}");
    }
}

/// S7: whoever uses a nonce has received it at the address that it uses it from.
#[test]
fn a_nonce_is_good_only_where_it_was_received() {
    let counts = Arc::new(NonceCounts::new(64));
    let verifier = verifier(&counts);
    let now = Duration::from_secs(100);
    let nonce = verifier.challenge(now, HERE, false).values[1].clone();
    let header = counted(&verifier, &nonce, Some("00000001"));
    let response = DigestResponse::parse(header.as_bytes()).expect("a digest");
    let (md5, sha256) = ([0; 16], ha1_sha256("al\"ice", "tandem.test", "guess"));
    let ha1 = Ha1 { md5: &md5, sha256: &sha256 };
    let from =
        |source| verifier.verify(now, source, &response, b"INVITE", b"sip:b@tandem.test", ha1);
    let there = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));
    let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped());
    for (source, is_received) in
        [(HERE, true), (mapped, true), (there, false), (IpAddr::V6(Ipv6Addr::LOCALHOST), false)]
    {
        assert_eq!(verifier.has_received(now, source, &response), is_received, "{source}");
        // A wrong password tells against an address only if it is proven.
        let verdict = if is_received { Verdict::Wrong } else { Verdict::Stale };
        assert_eq!(from(source), verdict, "{source}");
    }
    assert!(!verifier.has_received(now + LIFETIME * 2, HERE, &response));
}

#[test]
fn without_qop_a_nonce_is_good_for_one_request() {
    let counts = Arc::new(NonceCounts::new(64));
    let verifier = verifier(&counts);
    let now = Duration::from_secs(100);
    let header = counted(&verifier, &verifier.challenge(now, HERE, false).values[1], None);
    assert_eq!(check_password(&verifier, now, &header, "secret"), Verdict::Right);
    assert_eq!(check_password(&verifier, now, &header, "secret"), Verdict::Replayed);
}

#[test]
fn a_wrong_password_does_not_use_up_a_nonce_count() {
    let counts = Arc::new(NonceCounts::new(64));
    let verifier = verifier(&counts);
    let now = Duration::from_secs(100);
    let header =
        counted(&verifier, &verifier.challenge(now, HERE, false).values[1], Some("00000001"));
    assert_eq!(check_password(&verifier, now, &header, "guess"), Verdict::Wrong);
    assert_eq!(check_password(&verifier, now, &header, "secret"), Verdict::Right);
}

#[test]
fn credentials_of_an_earlier_start_cannot_be_replayed() {
    let now = Duration::from_secs(100);
    let counts = Arc::new(NonceCounts::new(64));
    let before = verifier_of_start(1, &counts);
    let header = counted(&before, &before.challenge(now, HERE, false).values[1], Some("00000001"));
    assert_eq!(check_password(&before, now, &header, "secret"), Verdict::Right);
    // The same secret, the same moment after the start, and counts that know nothing.
    let counts = Arc::new(NonceCounts::new(64));
    let after = verifier_of_start(2, &counts);
    after.challenge(now, HERE, false);
    assert_eq!(check_password(&after, now, &header, "secret"), Verdict::Stale);
}

#[test]
fn what_we_cannot_check_is_no_digest() {
    let whole = "Digest username=\"a\",realm=\"r\",nonce=\"n\",uri=\"sip:b\",response=\"0\"";
    assert!(DigestResponse::parse(whole.as_bytes()).is_some());
    for more in [",qop=auth-int,nc=1,cnonce=\"c\"", ",qop=auth", ",algorithm=MD5-sess"] {
        assert!(DigestResponse::parse(format!("{whole}{more}").as_bytes()).is_none(), "{more}");
    }
    assert!(DigestResponse::parse(b"Basic YTpi").is_none());
    for missing in ["username", "realm", "nonce", "uri", "response"] {
        let partial = whole.replace(&format!("{missing}="), "x=");
        assert!(DigestResponse::parse(partial.as_bytes()).is_none(), "{missing}");
    }
}

#[test]
fn nothing_secret_is_in_debug_output() {
    assert!(!format!("{:?}", Credentials::new("al", "secret")).contains("secret"));
}
