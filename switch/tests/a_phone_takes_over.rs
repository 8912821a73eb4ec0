//! An INVITE with Replaces (RFC 3891): a phone takes the place of another of its account, or of its own
//! other call. The call that was there goes on and is paid as before; the new one costs nothing.
#![allow(clippy::unwrap_used)] // in a test it is an assertion

mod support;

use sip::auth;
use sip::message::{HeaderName, Message, Method};
use sip::transport::{Path, Transport};
use support::*;
use switch::admission::Owner;
use switch::directory::{AccountRow, Limits};
use switch::registrar::StoredBinding;
use switch::{Effect, Input};
use vocabulary::{AccountId, CallKind, Direction, SettleRequest, SubscriberId};

const BOBS: &str = "4930555";
const BOBS_PHONE: &str = PHONES[0];
const BOBS_TAG: &str = "callee-10.2.0.1:5060";

struct Talk {
    /// The call that is there is in the first, what takes over comes to the last.
    worlds: Vec<World>,
    /// What Bob's phone got.
    invite: Message,
    /// What the customer got.
    answer: Message,
}

/// The customer talks with Bob for 5 seconds.
fn talk(mut worlds: Vec<World>) -> Talk {
    let w = &mut worlds[0];
    w.bob_at(&[BOBS_PHONE]);
    w.call(BOBS);
    w.grant(600, false);
    let invite = w.expect(BOBS_PHONE, "INVITE");
    w.reply_with_sdp(BOBS_PHONE, &invite, "200 OK");
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c1", &answer));
    w.forget();
    worlds.iter_mut().for_each(|w| w.pass_secs(5));
    Talk { worlds, invite, answer }
}

fn one_world() -> Vec<World> {
    vec![World::new()]
}

impl Talk {
    fn first(&mut self) -> &mut World {
        &mut self.worlds[0]
    }

    fn last(&mut self) -> &mut World {
        self.worlds.last_mut().expect("there is one")
    }

    fn replaces(&self, more: &str) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        format!(
            "Replaces: {};to-tag={};from-tag={BOBS_TAG}{more}\n",
            text(self.invite.call_id()),
            text(self.invite.from_tag().expect("ours"))
        )
    }

    /// Alice's phone calls, with these lines besides.
    fn alice_calls(&mut self, lines: &str) {
        let w = self.last();
        w.receive(ALICE, &invite(ALICE, "a1", BOBS, 1, lines));
        let challenge = w.expect_soon(ALICE, "SIP/2.0 407");
        let ours = auth::Credentials::new("alice", "secret");
        let uri = format!("sip:{BOBS}@192.0.2.1");
        let uri = uri.as_bytes();
        let proof = auth::answer_challenge(&challenge, &ours, Method::Invite, uri, 7, false);
        let proof = proof.expect("it can be answered");
        w.receive(ALICE, &ack(ALICE, "a1", &challenge));
        let lines = format!("{lines}{}: {}\n", proof.name, proof.value);
        w.receive(ALICE, &invite(ALICE, "a1", BOBS, 2, &lines));
    }

    /// The shards hand over what their calls say to each other.
    fn exchange(&mut self) {
        let is_joint = |effect: &Effect| matches!(effect, Effect::Relay { .. });
        while let Some((n, place)) = self
            .worlds
            .iter()
            .enumerate()
            .find_map(|(n, w)| Some((n, w.effects.iter().position(is_joint)?)))
        {
            if let Some(Effect::Relay { to, from, said }) = self.worlds[n].effects.remove(place) {
                let input = Input::Relayed { to: to.key, from, said };
                self.worlds[usize::from(to.shard)].input(input);
            }
        }
    }

    /// Alice is refused so, and the call that was there goes on.
    #[track_caller]
    fn alice_hears(&mut self, status: u16, code: &str) {
        self.exchange();
        let refused = self.last().expect_soon(ALICE, &format!("SIP/2.0 {status}"));
        self.last().receive(ALICE, &ack(ALICE, "a1", &refused));
        let settled = self.last().settlement();
        assert_eq!(settled.facts.legs[0].release.sip_status, status);
        assert_eq!(codes(&settled).last(), Some(&code));
        self.first().expect_nothing(BOBS_PHONE);
        let bye = in_dialog(CUSTOMER, "c1", &self.answer, "BYE", 2);
        self.first().receive(CUSTOMER, &bye);
        let bye = self.first().expect_soon(BOBS_PHONE, "BYE");
        self.first().reply(BOBS_PHONE, &bye, "200 OK", "");
        self.first().settled.clear();
        self.worlds.iter_mut().for_each(World::check_empty);
    }
}

#[test]
fn a_phone_takes_the_place_of_another_of_its_account() {
    let two = (0..2).map(|shard| World::in_shard(Rows::default(), shard, 2)).collect();
    for worlds in [one_world(), two] {
        let mut talk = talk(worlds);
        let replaces = talk.replaces("");
        talk.alice_calls(&format!("Require: replaces\n{replaces}"));
        // It is no call to Bob: part of a call that is paid already.
        let asked = talk.last().asked_by(LOCAL_ACCOUNT);
        assert_eq!((asked.kind, asked.candidates.len()), (CallKind::Internal, 0));
        talk.last().grant(600, false);
        talk.exchange();
        let reinvite = talk.first().expect_soon(CUSTOMER, "INVITE");
        assert_eq!(reinvite.body_bytes(), SDP.as_bytes(), "what Alice offers");
        let theirs = SDP.replace("4000", "4444");
        talk.first().receive(CUSTOMER, &response(CUSTOMER, &reinvite, "200 OK", "", &theirs));
        talk.first().expect_soon(CUSTOMER, "ACK");
        talk.exchange();
        talk.last().record();
        let answer = talk.last().expect_soon(ALICE, "SIP/2.0 200");
        assert_eq!(answer.body_bytes(), theirs.as_bytes());
        assert_eq!(header(&answer, HeaderName::Supported), "100rel, replaces, timer");
        talk.last().receive(ALICE, &ack(ALICE, "a1", &answer));
        let bye = talk.first().expect_soon(BOBS_PHONE, "BYE");
        talk.first().reply(BOBS_PHONE, &bye, "200 OK", "");
        talk.worlds.iter_mut().for_each(|w| w.pass_secs(20));
        talk.last().receive(ALICE, &in_dialog(ALICE, "a1", &answer, "BYE", 3));
        talk.exchange();
        let bye = talk.first().expect_soon(CUSTOMER, "BYE");
        talk.first().reply(CUSTOMER, &bye, "200 OK", "");

        let mut settled: Vec<_> =
            talk.worlds.iter_mut().flat_map(|w| std::mem::take(&mut w.settled)).collect();
        settled.sort_by_key(|request| codes(request).contains(&"replaces_party"));
        let [call, place] = <[SettleRequest; 2]>::try_from(settled).unwrap();
        let talked = |request: &SettleRequest| -> Vec<_> {
            request.facts.legs.iter().map(|leg| leg.talked.as_secs()).collect()
        };
        // The customer pays for all of its call, to Bob and then to Alice.
        assert_eq!((talked(&call), talked(&place)), (vec![25, 5, 20], vec![20, 20]));
        assert_eq!(place.facts.kind, Some(CallKind::Internal));
        assert!(codes(&call).contains(&"party_replaced"), "{:?}", codes(&call));
        assert!(codes(&place).contains(&"transferred_as"), "{:?}", codes(&place));
        talk.worlds.iter_mut().for_each(World::check_empty);
    }
}

/// An offer comes back, and its answer in the ACK.
#[test]
fn a_phone_may_want_to_be_offered_something() {
    let mut talk = talk(one_world());
    let lines = talk.replaces("");
    let w = talk.last();
    // Without a body.
    let text = |cseq, lines: &str| {
        let text = invite(ALICE, "a1", BOBS, cseq, lines);
        let (head, _) = text.split_once("Content-Type").unwrap();
        format!("{head}Content-Length: 0\n\n")
    };
    w.receive(ALICE, &text(1, &lines));
    let challenge = w.expect_soon(ALICE, "SIP/2.0 407");
    let ours = auth::Credentials::new("alice", "secret");
    let uri = format!("sip:{BOBS}@192.0.2.1");
    let uri = uri.as_bytes();
    let proof = auth::answer_challenge(&challenge, &ours, Method::Invite, uri, 7, false).unwrap();
    w.receive(ALICE, &ack(ALICE, "a1", &challenge));
    w.receive(ALICE, &text(2, &format!("{lines}{}: {}\n", proof.name, proof.value)));
    w.grant(600, false);
    let reinvite = w.expect_soon(CUSTOMER, "INVITE");
    assert!(reinvite.body_bytes().is_empty());
    w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
    w.record();
    let answer = w.expect_soon(ALICE, "SIP/2.0 200");
    assert_eq!(answer.body_bytes(), SDP.as_bytes());
    let ours = SDP.replace("4000", "4444");
    let typed = format!("Content-Type: application/sdp\nContent-Length: {}\n\n{ours}", ours.len());
    w.receive(ALICE, &ack(ALICE, "a1", &answer).replace("Content-Length: 0\n\n", &typed));
    let ack = w.expect_soon(CUSTOMER, "ACK");
    assert_eq!(ack.body_bytes(), ours.as_bytes());
    w.expect_soon(BOBS_PHONE, "BYE");
}

#[test]
fn a_dialog_that_is_not_there_is_481() {
    let mut talk = talk(one_world());
    let wrong = talk.replaces("").replace(BOBS_TAG, "another");
    talk.alice_calls(&wrong);
    talk.last().grant(600, false);
    talk.alice_hears(481, "replaces_no_dialog");
}

#[test]
fn a_dialog_that_was_never_ours_is_481() {
    let mut talk = talk(one_world());
    talk.alice_calls("Replaces: x@elsewhere;to-tag=1;from-tag=2\n");
    talk.last().grant(600, false);
    talk.alice_hears(481, "replaces_no_dialog");
}

/// A call is answered, and an early one was to be picked up.
#[test]
fn early_only_is_486_for_a_call_that_is_up() {
    let mut talk = talk(one_world());
    let replaces = talk.replaces(";early-only");
    talk.alice_calls(&replaces);
    talk.last().grant(600, false);
    talk.alice_hears(486, "replaces_answered");
}

#[test]
fn a_party_of_another_account_is_403() {
    let mut rows = Rows::default();
    rows.accounts.push(AccountRow::new(AccountId(4), "other"));
    rows.subscribers[0].account = AccountId(4);
    let mut talk = talk(vec![World::with(rows)]);
    let replaces = talk.replaces("");
    talk.alice_calls(&replaces);
    talk.last().grant(600, false);
    talk.alice_hears(403, "replaces_not_its_own");
}

#[test]
fn what_cannot_be_read_is_400_and_a_trunk_is_403() {
    let mut talk = talk(one_world());
    let mut w = talk.worlds.remove(0);
    w.receive(CUSTOMER, &invite(CUSTOMER, "c2", BOBS, 1, &talk_line(&talk.invite)));
    let refused = w.expect_soon(CUSTOMER, "SIP/2.0 403");
    w.receive(CUSTOMER, &ack(CUSTOMER, "c2", &refused));
    assert_eq!(codes(&w.settlement()).last(), Some(&"trunk_may_not_replace"));
    talk.worlds.push(w);
    talk.alice_calls("Replaces: x@elsewhere\n");
    talk.alice_hears(400, "replaces_unreadable");
}

fn talk_line(invite: &Message) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let tag = text(invite.from_tag().unwrap());
    format!("Replaces: {};to-tag={tag};from-tag={BOBS_TAG}\n", text(invite.call_id()))
}

/// Whoever stays does not take what is offered: all is as before.
#[test]
fn a_session_that_is_refused_changes_nothing() {
    let mut talk = talk(one_world());
    let replaces = talk.replaces("");
    talk.alice_calls(&replaces);
    talk.last().grant(600, false);
    let reinvite = talk.first().expect_soon(CUSTOMER, "INVITE");
    talk.first().reply(CUSTOMER, &reinvite, "488 Not Acceptable Here", "");
    talk.alice_hears(488, "replaces_session_refused");
}

/// The new one hangs up while the party that stays thinks about its offer: that party, which takes it in the
/// end, is brought back to whom it talked with.
#[test]
fn who_gives_up_too_early_leaves_both_talking() {
    for takes_it in [true, false] {
        let mut talk = talk(one_world());
        let replaces = talk.replaces("");
        talk.alice_calls(&replaces);
        let w = talk.last();
        w.grant(600, false);
        let reinvite = w.expect_soon(CUSTOMER, "INVITE");
        w.receive(ALICE, &cancel(ALICE, "a1", BOBS, 2));
        w.expect_soon(ALICE, "SIP/2.0 200");
        let refused = w.expect_soon(ALICE, "SIP/2.0 487");
        w.receive(ALICE, &ack(ALICE, "a1", &refused));
        w.expect_nothing(BOBS_PHONE);
        if takes_it {
            w.reply_with_sdp(CUSTOMER, &reinvite, "200 OK");
            w.expect_soon(CUSTOMER, "ACK");
            let asked = w.expect_soon(CUSTOMER, "INVITE");
            assert!(asked.body_bytes().is_empty(), "an offer is asked for");
            let offer = SDP.replace("4000", "5555");
            w.receive(CUSTOMER, &response(CUSTOMER, &asked, "200 OK", "", &offer));
            let bobs = w.expect_soon(BOBS_PHONE, "INVITE");
            assert_eq!(bobs.body_bytes(), offer.as_bytes());
            let answer = SDP.replace("4000", "4444");
            w.receive(BOBS_PHONE, &response(BOBS_PHONE, &bobs, "200 OK", "", &answer));
            w.expect_soon(BOBS_PHONE, "ACK");
            let ack = w.expect_soon(CUSTOMER, "ACK");
            assert_eq!(ack.body_bytes(), answer.as_bytes());
        } else {
            w.reply(CUSTOMER, &reinvite, "488 Not Acceptable Here", "");
            w.expect_soon(CUSTOMER, "ACK");
        }
        w.expect_nothing(CUSTOMER);
        w.expect_nothing(BOBS_PHONE);
        w.settled.clear();
        let bye = in_dialog(CUSTOMER, "c1", &talk.answer, "BYE", 2);
        let w = talk.last();
        w.receive(CUSTOMER, &bye);
        let bye = w.expect_soon(BOBS_PHONE, "BYE");
        w.reply(BOBS_PHONE, &bye, "200 OK", "");
        assert!(codes(&w.settlement()).contains(&"transfer_failed"));
        w.check_empty();
    }
}

/// who takes a place needs no other one, and who has left has none.
#[test]
fn the_place_of_the_one_who_leaves_is_taken() {
    let mut rows = Rows::default();
    let one = Limits { concurrent: Some(1), per_second: None };
    rows.account(LOCAL_ACCOUNT).ingress = one;
    rows.account(LOCAL_ACCOUNT).egress = one;
    rows.subscribers.iter_mut().for_each(|row| row.ingress = one);
    let mut w = World::with(rows);
    // Bob calls, and talks.
    let calls = |w: &mut World, from: &str, user: &str, id: &str, cld: &str, lines: &str| {
        w.receive(from, &invite(from, id, cld, 1, lines));
        let challenge = w.expect_soon(from, "SIP/2.0 407");
        w.receive(from, &ack(from, id, &challenge));
        let ours = auth::Credentials::new(user, "secret");
        let uri = format!("sip:{cld}@192.0.2.1");
        let method = Method::Invite;
        let proof = auth::answer_challenge(&challenge, &ours, method, uri.as_bytes(), 7, false);
        let proof = proof.expect("it can be answered");
        let lines = format!("{lines}{}: {}\n", proof.name, proof.value);
        w.receive(from, &invite(from, id, cld, 2, &lines));
    };
    calls(&mut w, BOBS_PHONE, "bob", "b1", "4930123456", "");
    w.grant(600, false);
    let sent = w.expect_soon(CARRIERS[0], "INVITE");
    w.reply_with_sdp(CARRIERS[0], &sent, "200 OK");
    w.record();
    let answer = w.expect_soon(BOBS_PHONE, "SIP/2.0 200");
    w.receive(BOBS_PHONE, &ack(BOBS_PHONE, "b1", &answer));
    w.expect_soon(CARRIERS[0], "ACK");
    w.pass_secs(5);
    let live = |w: &World, owner| w.shared.admission.live(owner, Direction::Ingress);
    let [account, bob, alice] = [
        Owner::Account(LOCAL_ACCOUNT),
        Owner::Subscriber(SubscriberId(21)),
        Owner::Subscriber(SubscriberId(20)),
    ];
    assert_eq!([account, bob, alice].map(|owner| live(&w, owner)), [1, 1, 0]);
    // The account is full, but for whoever takes Bob's place.
    calls(&mut w, ALICE, "alice", "a0", "4930123456", "");
    let refused = w.expect_soon(ALICE, "SIP/2.0 503");
    w.receive(ALICE, &ack(ALICE, "a0", &refused));
    w.settled.clear();
    let tag = header(&answer, HeaderName::To);
    let (_, tag) = tag.split_once("tag=").unwrap();
    let lines = format!("Replaces: b1;to-tag={tag};from-tag=ft-b1\n");
    calls(&mut w, ALICE, "alice", "a1", "4930123456", &lines);
    w.grant(600, false);
    let reinvite = w.expect_soon(CARRIERS[0], "INVITE");
    w.reply_with_sdp(CARRIERS[0], &reinvite, "200 OK");
    w.record();
    let alices = w.expect_soon(ALICE, "SIP/2.0 200");
    w.receive(ALICE, &ack(ALICE, "a1", &alices));
    let bye = w.expect_soon(BOBS_PHONE, "BYE");
    w.reply(BOBS_PHONE, &bye, "200 OK", "");
    assert_eq!([account, bob, alice].map(|owner| live(&w, owner)), [1, 0, 1]);
    w.receive(ALICE, &in_dialog(ALICE, "a1", &alices, "BYE", 3));
    let bye = w.expect_soon(CARRIERS[0], "BYE");
    w.reply(CARRIERS[0], &bye, "200 OK", "");
    assert_eq!(w.settled.len(), 2);
    w.settled.clear();
    w.check_empty();
}

/// RFC 3261 section 26.2.2: what was called by `sips:` goes on by TLS, whoever takes a place in it.
#[test]
fn a_sips_call_is_taken_over_by_tls_only() {
    let tls = |remote: &str, connection| Path {
        transport: Transport::Tls,
        listener: 2,
        connection,
        remote: address(remote),
    };
    let mut w = World::new();
    w.shared.bindings.restore(
        BOB,
        vec![StoredBinding {
            uri: format!("sip:bob@{BOBS_PHONE}"),
            path: Vec::new(),
            q: 1000,
            expires_at: w.now.utc.plus(std::time::Duration::from_secs(86400)),
            call_id: "reg".to_owned(),
            cseq: 1,
            transport: Transport::Tls,
            listener: 2,
            remote: address(BOBS_PHONE),
            is_behind_nat: false,
        }],
    );
    let sips = invite(CUSTOMER, "c1", BOBS, 1, "").replace("INVITE sip:", "INVITE sips:");
    w.receive_on(tls(CUSTOMER, 5), &sips);
    w.grant(600, false);
    let sent = w.expect_on(tls(BOBS_PHONE, 0), "INVITE");
    w.receive_on(tls(BOBS_PHONE, 0), &response(BOBS_PHONE, &sent, "200 OK", "", SDP));
    w.record();
    let answer = w.expect_soon(CUSTOMER, "SIP/2.0 200");
    w.receive_on(tls(CUSTOMER, 5), &ack(CUSTOMER, "c1", &answer));
    w.forget();
    let lines = talk_line(&sent);
    let calls = |w: &mut World, path: Path, id: &str| {
        w.receive_on(path, &invite(ALICE, id, BOBS, 1, &lines));
        let challenge = w.expect_soon(ALICE, "SIP/2.0 407");
        w.receive_on(path, &ack(ALICE, id, &challenge));
        let ours = auth::Credentials::new("alice", "secret");
        let uri = format!("sip:{BOBS}@192.0.2.1");
        let method = Method::Invite;
        let proof = auth::answer_challenge(&challenge, &ours, method, uri.as_bytes(), 7, false);
        let proof = proof.expect("it can be answered");
        let lines = format!("{lines}{}: {}\n", proof.name, proof.value);
        w.receive_on(path, &invite(ALICE, id, BOBS, 2, &lines));
        w.grant(600, false);
    };
    calls(&mut w, path(ALICE), "a1");
    let refused = w.expect_soon(ALICE, "SIP/2.0 403");
    w.receive(ALICE, &ack(ALICE, "a1", &refused));
    assert_eq!(codes(&w.settlement()).last(), Some(&"replaces_insecure"));
    w.expect_nothing(CUSTOMER);
    calls(&mut w, tls(ALICE, 7), "a2");
    w.expect_on(tls(CUSTOMER, 5), "INVITE");
}
