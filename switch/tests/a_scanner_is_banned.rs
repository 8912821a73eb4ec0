//! Who is kept out, and who is only slowed down (S7): sources whose address is proven are banned
//! within 20 packets, those that may be forged are muted, and nobody behind a known address suffers.

mod strangers;
mod support;

use std::sync::Arc;

use sip::transport::Path;
use strangers::*;
use support::*;
use switch::guard::{BanReason, GuardRows};
use switch::{Input, Stats};
use vocabulary::SubscriberId;

const SCANNER: &str = "198.51.100.9:5066";

/// Guesses Alice's password until a ban: the packets that it took.
fn guesses(w: &mut World, from: Path, user: &str, packets_max: usize) -> Option<usize> {
    let mut guesser = Stranger::new(from);
    while guesser.sent + 2 <= packets_max {
        guesser.register(w, user, Some("guess"));
        if !banned(w).is_empty() {
            return Some(guesser.sent);
        }
    }
    None
}

#[track_caller]
fn check_guesser(from: Path, user: &str) {
    let mut w = World::new();
    let sent = guesses(&mut w, from, user, 20).expect("it is banned within 20 packets");
    assert!(sent <= 20);
    assert!(w.shared.guard.is_banned(from.remote));
    assert_eq!(w.shard.stats().sources_banned, 1);
    assert_eq!(w.shard.stats().authentication_failures, 8);
}

#[test]
fn a_digest_guesser_is_banned_within_20_packets() {
    check_guesser(path(SCANNER), "alice");
    check_guesser(path(SCANNER), "nobody");
    check_guesser(tcp(SCANNER, 3), "alice");
    check_guesser(path("[2001:db8::7]:5060"), "alice");
}

#[test]
fn a_guesser_that_changes_its_port_is_the_same() {
    let mut w = World::new();
    for port in 2000..2008 {
        let from = format!("198.51.100.9:{port}");
        assert!(banned(&mut w).is_empty());
        Stranger::new(path(&from)).register(&mut w, "alice", Some("guess"));
    }
    let bans = banned(&mut w);
    assert_eq!(bans.len(), 1);
    assert_eq!(bans[0].network.to_string(), "198.51.100.9");
    assert_eq!(bans[0].reason, BanReason::WrongCredentials);
    assert_eq!(bans[0].until.since(bans[0].since).as_secs(), 3600);
}

/// Too slow a guesser is no use to anybody, and may be a phone with an old password.
#[test]
fn a_phone_that_tries_a_wrong_password_now_and_then_is_not_banned() {
    let mut w = World::new();
    let mut phone = Stranger::new(path(ALICE));
    for _ in 0..100 {
        phone.register(&mut w, "alice", Some("old"));
        w.pass_secs(90);
    }
    assert!(banned(&mut w).is_empty());
}

#[test]
fn probes_over_a_connection_ban_within_20_packets() {
    for kind in [Probe::Options, Probe::Bye, Probe::Garbage] {
        let mut w = World::new();
        let mut scanner = Stranger::new(tcp(SCANNER, 3));
        while banned(&mut w).is_empty() {
            scanner.probe(&mut w, kind);
            assert!(scanner.sent <= 20, "{kind:?}");
        }
        assert!(w.shared.guard.is_banned(address(SCANNER)), "{kind:?}");
    }
}

/// Its address may be forged: it is not banned, but neither answered nor remembered any more.
#[test]
fn probes_by_datagrams_are_muted_within_20_packets() {
    for kind in [Probe::Options, Probe::Register, Probe::Invite, Probe::Bye, Probe::Garbage] {
        let mut w = World::new();
        let mut scanner = Stranger::new(path(SCANNER));
        for _ in 0..20 {
            scanner.probe(&mut w, kind);
        }
        w.forget();
        let before = w.shard.stats();
        for _ in 0..1000 {
            scanner.probe(&mut w, kind);
        }
        assert!(w.outbox.is_empty(), "{kind:?} is answered: {:?}", w.outbox);
        assert_eq!(w.shard.stats().messages_muted - before.messages_muted, 1000, "{kind:?}");
        assert!(banned(&mut w).is_empty(), "{kind:?}");
        // It is heard again when it calms down.
        w.pass_secs(60);
        w.forget();
        scanner.probe(&mut w, Probe::Options);
        w.expect(SCANNER, "SIP/2.0 200");
    }
}

#[test]
fn many_ports_of_one_address_have_a_share_together() {
    let mut w = World::new();
    for port in 1..=1000 {
        Stranger::new(path(&format!("198.51.100.9:{port}"))).probe(&mut w, Probe::Options);
    }
    assert_eq!(w.outbox.len(), 400);
    Stranger::new(path("198.51.100.10:5060")).probe(&mut w, Probe::Options);
    assert_eq!(w.outbox.len(), 401, "its neighbour is not to blame");
}

#[test]
fn behind_a_known_address_only_the_guesser_is_refused() {
    let mut w = World::new();
    let mut alice = Stranger::new(path("198.51.100.9:1024"));
    assert_eq!(alice.register(&mut w, "alice", Some("secret")), 200);
    // Another machine behind the same address.
    let other = path("198.51.100.9:2048");
    assert_eq!(guesses(&mut w, other, "bob", 200), None);
    assert!(!w.shared.guard.is_banned(other.remote));
    let Stats { authentication_failures, guesses_refused, .. } = w.shard.stats();
    assert_eq!(authentication_failures, 8, "and then none is looked at");
    assert_eq!(guesses_refused, 8, "and then even its share of challenges is used up");
    // Even the right password would not be found out now; but she goes on.
    let third = path("198.51.100.9:4096");
    assert_eq!(Stranger::new(third).register(&mut w, "bob", Some("secret")), 403);
    assert_eq!(alice.register(&mut w, "alice", Some("secret")), 200);
    // After a while it is forgotten.
    w.pass_secs(600);
    assert_eq!(Stranger::new(other).register(&mut w, "bob", Some("secret")), 200);
}

#[test]
fn trunks_and_allowed_sources_are_never_banned_or_muted() {
    let mut rows = Rows::default();
    rows.guard.allow("198.51.100.0/24".parse().unwrap());
    let mut w = World::with(rows);
    for from in [SCANNER, CUSTOMER] {
        assert_eq!(guesses(&mut w, path(from), "alice", 100), None);
        assert_eq!(guesses(&mut w, tcp(from, 3), "alice", 100), None);
        let mut peer = Stranger::new(path(from));
        for _ in 0..100 {
            peer.probe(&mut w, Probe::Options);
            w.expect_soon(from, "SIP/2.0 200");
        }
    }
    assert_eq!(w.shard.stats().messages_muted, 0);
}

#[test]
fn who_is_let_in_again_begins_anew() {
    let mut w = World::new();
    assert!(guesses(&mut w, path(SCANNER), "alice", 20).is_some());
    // The server has stored the ban, and an operator lifts it.
    let mut rows = Rows::default();
    rows.guard.ban("198.51.100.9".parse().unwrap(), None);
    w.input(Input::Directory(Arc::new(rows.build())));
    assert!(w.shared.guard.is_banned(address(SCANNER)));
    w.input(Input::Directory(Arc::new(Rows::default().build())));
    assert!(!w.shared.guard.is_banned(address(SCANNER)));
    assert_eq!(guesses(&mut w, path(SCANNER), "alice", 14), None, "one word is not enough");
    assert!(guesses(&mut w, path(SCANNER), "alice", 20).is_some());
}

#[test]
fn a_ban_ends_by_itself() {
    let mut w = World::new();
    guesses(&mut w, path(SCANNER), "alice", 20).unwrap();
    w.pass_secs(3599);
    assert!(w.shared.guard.is_banned(address(SCANNER)));
    w.pass_secs(2);
    assert!(!w.shared.guard.is_banned(address(SCANNER)));
    // It may have been a phone whose user has found the right password meanwhile.
    assert_eq!(Stranger::new(path(SCANNER)).register(&mut w, "alice", Some("secret")), 200);
}

#[test]
fn thresholds_are_settings() {
    let mut rows = Rows::default();
    rows.guard.limits.offences_max = 3;
    let mut w = World::with(rows);
    let sent = guesses(&mut w, path(SCANNER), "alice", 20).unwrap();
    assert_eq!(w.shard.stats().authentication_failures, 3, "after {sent} packets");

    let mut rows = Rows::default();
    rows.guard.limits.offences_max = 0;
    let mut w = World::with(rows);
    assert_eq!(guesses(&mut w, path(SCANNER), "alice", 100), None, "switched off");
}

#[test]
fn a_subscriber_registers_only_so_often_in_a_minute() {
    let mut rows = Rows::default();
    rows.guard.limits.registers_of_subscriber_max = 6;
    let mut w = World::with(rows);
    let mut phone = Stranger::new(path(ALICE));
    for _ in 0..6 {
        assert_eq!(phone.register(&mut w, "alice", Some("secret")), 200);
    }
    assert_eq!(phone.register(&mut w, "alice", Some("secret")), 503);
    assert_eq!(w.shard.stats().registrations_limited, 1);
    // Others are not concerned, and ten seconds later there is room for one more.
    assert_eq!(Stranger::new(path(PHONES[0])).register(&mut w, "bob", Some("secret")), 200);
    w.pass_secs(10);
    assert_eq!(phone.register(&mut w, "alice", Some("secret")), 200);
    assert_eq!(phone.register(&mut w, "alice", Some("secret")), 503);
}

#[test]
fn a_source_registers_only_so_often_in_a_minute() {
    let mut rows = Rows::default();
    rows.guard.limits.registers_of_source_max = 4;
    let mut w = World::with(rows);
    for (from, expected) in
        [("10.9.0.1:1", 200), ("10.9.0.1:2", 200), ("10.9.0.1:3", 503), ("10.9.0.2:1", 200)]
    {
        // Each is two REGISTERs.
        assert_eq!(Stranger::new(path(from)).register(&mut w, "alice", Some("secret")), expected);
    }
}

/// A phone that is registered is known after a restart too, before it has said anything.
#[test]
fn a_registered_phone_is_heard_though_its_address_is_flooded() {
    let mut w = World::new();
    w.is_at(SubscriberId(20), "alice", &[ALICE]);
    let mut flood = Stranger::new(path(ALICE));
    for _ in 0..100 {
        flood.probe(&mut w, Probe::Options);
    }
    assert!(w.shard.stats().messages_muted > 80);
    assert_eq!(Stranger::new(path(ALICE)).register(&mut w, "alice", Some("secret")), 200);
}

#[test]
fn rows_of_a_directory_say_who_is_allowed() {
    let mut rows = GuardRows::default();
    assert!(!rows.is_allowed(address(SCANNER)));
    rows.allow("198.51.100.0/24".parse().unwrap());
    assert!(rows.is_allowed(address(SCANNER)) && !rows.is_allowed(address(ALICE)));
}
