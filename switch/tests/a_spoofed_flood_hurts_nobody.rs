//! S7: whoever writes other people's addresses on datagrams bans nobody and mutes nobody who has
//! shown who it is.

mod strangers;
mod support;

use proptest::prelude::*;
use sip::transport::Path;
use strangers::*;
use support::*;

/// Alice's phone; the attacker knows even its port.
const VICTIM: &str = "203.0.113.5:5062";
/// The attacker's own address, where it hears what is sent there.
const OWN: &str = "198.51.100.9:5066";

/// A datagram with a forged source.
#[derive(Clone, Copy, Debug)]
enum Forged {
    Probe(Probe),
    /// Wrong credentials with a nonce that the attacker was given at its own address.
    StolenNonce,
    /// Wrong credentials with a nonce that it has made up.
    MadeUpNonce,
}

/// Whose address is on it: the phone's, another port of the phone's address, or any.
#[derive(Clone, Copy, Debug)]
enum Source {
    Exact,
    Port(u16),
    Any(u32, u16),
}

#[derive(Clone, Debug)]
enum Step {
    Flood(Vec<(Forged, Source)>),
    PassMillis(u64),
    /// The phone registers again, and the phone calls.
    Register,
    Call,
}

fn forged() -> impl Strategy<Value = Forged> {
    let probe = prop_oneof![
        Just(Probe::Options),
        Just(Probe::Register),
        Just(Probe::Invite),
        Just(Probe::Bye),
        Just(Probe::Garbage),
    ];
    prop_oneof![
        3 => probe.prop_map(Forged::Probe),
        1 => Just(Forged::StolenNonce),
        1 => Just(Forged::MadeUpNonce),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        4 => Just(Source::Exact),
        2 => (1u16..).prop_map(Source::Port),
        1 => (any::<u32>(), 1u16..).prop_map(|(address, port)| Source::Any(address, port)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec((forged(), source()), 1..60).prop_map(Step::Flood),
        2 => (1u64..5000).prop_map(Step::PassMillis),
        1 => Just(Step::Register),
        1 => Just(Step::Call),
    ]
}

fn path_of(source: Source) -> Path {
    let victim = address(VICTIM);
    let remote = match source {
        Source::Exact => victim,
        Source::Port(port) => (victim.ip(), port).into(),
        // Not the attacker's own, nor a trunk's.
        Source::Any(address, port) => {
            let [_, b, c, d] = address.to_be_bytes();
            ([100, b, c, d], port).into()
        }
    };
    Path { remote, ..path(VICTIM) }
}

fn send(w: &mut World, what: Forged, from: Path) {
    let mut forger = Stranger::new(from);
    match what {
        Forged::Probe(kind) => forger.probe(w, kind),
        Forged::StolenNonce => {
            if let Some(challenge) = Stranger::new(path(OWN)).challenge(w, "alice") {
                let line = credentials(&challenge, "alice", "guess");
                forger.request(w, "REGISTER", "alice", &line);
            }
        }
        Forged::MadeUpNonce => {
            let line = "Authorization: Digest username=\"alice\", realm=\"example.net\", \
                        nonce=\"0011\", uri=\"sip:example.net\", response=\"00\"\n";
            forger.request(w, "REGISTER", "alice", line);
        }
    }
}

/// An INVITE is challenged: the phone would answer that, and be let through likewise.
fn calls(w: &mut World, phone: &mut Stranger) -> bool {
    w.forget();
    phone.request(w, "INVITE", "alice", "");
    w.outbox.iter().any(|(path, message)| {
        path.remote == address(VICTIM) && start(message).starts_with("SIP/2.0 407")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_spoofed_flood_never_bans_anybody_nor_mutes_who_is_proven(
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let mut w = World::new();
        let mut phone = Stranger::new(path(VICTIM));
        prop_assert_eq!(phone.register(&mut w, "alice", Some("secret")), 200);
        for step in steps {
            match step {
                Step::Flood(flood) => {
                    for (what, source) in flood {
                        send(&mut w, what, path_of(source));
                    }
                }
                Step::PassMillis(millis) => w.pass(std::time::Duration::from_millis(millis)),
                Step::Register => {
                    w.forget();
                    // A phone is not limited in this test by how often it registers.
                    w.pass_secs(1);
                    prop_assert_eq!(phone.register(&mut w, "alice", Some("secret")), 200);
                }
                Step::Call => prop_assert!(calls(&mut w, &mut phone)),
            }
            prop_assert!(banned(&mut w).is_empty());
        }
        prop_assert_eq!(w.shared.guard.banned(), 0);
        prop_assert_eq!(w.shard.stats().authentication_failures, 0);
        prop_assert_eq!(w.shard.stats().guesses_refused, 0);
        prop_assert!(calls(&mut w, &mut phone));
    }
}
