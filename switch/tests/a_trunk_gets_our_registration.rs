//! Registration towards a trunk: challenge, refresh, back-off, and its end when the row goes.

mod support;

use std::sync::Arc;

use sip::message::HeaderName;
use support::*;
use switch::Input;
use switch::directory::{Credentials, TrunkRegistration};
use switch::token::shard_of;

fn rows() -> Rows {
    let mut rows = Rows::default();
    let trunk = rows.trunk(1);
    trunk.credentials = Some(Credentials { username: "us".into(), password: "pw".into() });
    trunk.registration = Some(TrunkRegistration {
        username: "us".into(),
        domain: String::new(),
        expires: std::time::Duration::from_secs(600),
    });
    rows
}

const CHALLENGE: &str =
    "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\n";

fn registered() -> World {
    let mut w = World::with(rows());
    w.input(Input::Timeout);
    let register = w.expect(CARRIERS[0], "REGISTER sip:10.1.0.1");
    assert_eq!(header(&register, HeaderName::Contact), "<sip:us@192.0.2.1:5060>");
    w.reply(CARRIERS[0], &register, "401 Unauthorized", CHALLENGE);
    let again = w.expect(CARRIERS[0], "REGISTER");
    assert!(header(&again, HeaderName::Authorization).contains("username=\"us\""));
    assert_eq!(again.call_id(), register.call_id());
    assert!(again.cseq().0 > register.cseq().0);
    w.reply(CARRIERS[0], &again, "200 OK", "Expires: 300\n");
    assert_eq!(w.shard.stats().upstream_registered, 1);
    w
}

#[test]
fn it_is_refreshed_before_it_expires() {
    let mut w = registered();
    w.pass_secs(239);
    w.expect_nothing(CARRIERS[0]);
    w.pass_secs(2);
    w.expect(CARRIERS[0], "REGISTER");
}

#[test]
fn a_failure_backs_off_and_doubles() {
    let mut w = World::with(rows());
    w.input(Input::Timeout);
    let register = w.expect(CARRIERS[0], "REGISTER");
    w.reply(CARRIERS[0], &register, "403 Forbidden", "");
    assert_eq!(w.shard.stats().upstream_failures, 1);
    w.pass_secs(29);
    w.expect_nothing(CARRIERS[0]);
    w.pass_secs(10);
    let register = w.expect(CARRIERS[0], "REGISTER");
    w.forget();
    w.reply(CARRIERS[0], &register, "403 Forbidden", "");
    w.pass_secs(59);
    w.expect_nothing(CARRIERS[0]);
    w.pass_secs(20);
    w.expect(CARRIERS[0], "REGISTER");
}

#[test]
fn a_shorter_interval_than_the_registrar_takes_is_raised() {
    let mut w = World::with(rows());
    w.input(Input::Timeout);
    let register = w.expect(CARRIERS[0], "REGISTER");
    w.reply(CARRIERS[0], &register, "423 Interval Too Brief", "Min-Expires: 1800\n");
    let again = w.expect(CARRIERS[0], "REGISTER");
    assert_eq!(header(&again, HeaderName::Expires), "1800");
}

#[test]
fn it_ends_with_its_row_and_stays_when_others_change() {
    let mut w = registered();
    let mut other = rows();
    other.trunk(2).is_active = false;
    w.input(Input::Directory(Arc::new(other.build())));
    assert_eq!(w.shard.stats().upstream_registered, 1);
    w.expect_nothing(CARRIERS[0]);
    w.input(Input::Directory(Arc::new(Rows::default().build())));
    assert_eq!(w.shard.stats().upstream_registered, 0);
    w.pass_secs(700);
    w.expect_nothing(CARRIERS[0]);
}

/// Each trunk belongs to one shard, and what the trunk answers is dispatched by its Call-ID.
#[test]
fn its_answers_come_to_the_shard_that_registers() {
    for shards in 1..=8 {
        let mut registering = 0;
        for shard in 0..shards {
            let mut w = World::in_shard(rows(), shard, shards);
            w.input(Input::Timeout);
            if let Some((_, register)) = w.outbox.pop_front() {
                assert_eq!(shard_of(register.call_id(), shards), shard, "of {shards}");
                registering += 1;
            }
        }
        assert_eq!(registering, 1, "of {shards}");
    }
}
