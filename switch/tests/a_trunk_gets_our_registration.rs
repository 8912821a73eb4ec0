//! Registration towards a trunk: challenge, refresh, back-off, and its end when the row goes.

mod support;

use std::sync::Arc;

use sip::message::HeaderName;
use support::*;
use switch::Input;
use switch::directory::{Credentials, TrunkRegistration};
use switch::token::shard_of;
use switch::upstream::{UpstreamState, UpstreamStatus};
use vocabulary::Utc;

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

/// What V-37 shows: state, since, last answer, failures, seconds until expiry and the next REGISTER.
type Shown = (UpstreamState, Option<i64>, Option<String>, u32, Option<i64>, Option<i64>);

fn shown(w: &World) -> Shown {
    let all = w.shard.upstreams(w.now);
    let [status] = all[..] else { panic!("one trunk registers: {all:?}") };
    let secs = |at: Utc| (at.0 - w.now.utc.0) / 1_000_000;
    let last = status.last.map(|(_, outcome)| outcome.to_string());
    let UpstreamStatus { state, since, failures, expires_at, next_at, .. } = status;
    (state, since.map(secs), last, failures, expires_at.map(secs), next_at.map(secs))
}

#[test]
fn its_status_says_how_it_stands_and_what_comes_next() {
    // V-37
    use UpstreamState::{Failed, Registered, Registering};
    let mut w = World::with(rows());
    assert_eq!(shown(&w), (Registering, None, None, 0, None, Some(0)));
    w.input(Input::Timeout);
    // Under way: nothing is due.
    assert_eq!(shown(&w), (Registering, None, None, 0, None, None));
    let register = w.expect(CARRIERS[0], "REGISTER");
    w.reply(CARRIERS[0], &register, "403 Forbidden", "");
    let (state, since, last, failures, expires, next) = shown(&w);
    let last = (state, since, last.as_deref(), failures, expires);
    assert_eq!(last, (Failed, Some(0), Some("403"), 1, None));
    assert!((30..38).contains(&next.unwrap()), "{next:?}");
    assert_eq!((w.shard.stats().upstream_failed, w.shard.stats().upstream_registered), (1, 0));

    w.pass_secs(40);
    let register = w.expect(CARRIERS[0], "REGISTER");
    // A repeat does not begin the failure anew, nor does an attempt end it.
    assert_eq!(shown(&w).0, Failed);
    w.reply(CARRIERS[0], &register, "200 OK", "Expires: 300\n");
    assert_eq!(shown(&w), (Registered, Some(0), Some("200".into()), 0, Some(300), Some(240)));
    assert_eq!((w.shard.stats().upstream_failed, w.shard.stats().upstream_registered), (0, 1));
    w.pass_secs(100);
    assert_eq!(shown(&w), (Registered, Some(-100), Some("200".into()), 0, Some(200), Some(140)));
}

#[test]
fn a_registrar_that_says_nothing_or_has_no_address_is_told_apart() {
    // V-37
    let mut w = World::with(rows());
    w.input(Input::Timeout);
    w.expect(CARRIERS[0], "REGISTER");
    w.pass_secs(33);
    assert_eq!(shown(&w).2.as_deref(), Some("no answer"));
    let mut named = rows();
    named.trunk(1).host = "carrier.example".into();
    let mut w = World::with(named);
    w.input(Input::Timeout);
    w.pass_secs(31);
    assert_eq!(shown(&w).2.as_deref(), Some("its host has no address"));
}
