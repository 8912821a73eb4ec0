//! REGISTER: bindings come, are refreshed, and go; NAT and Path are kept.

mod support;

use std::time::Duration;

use sip::auth;
use sip::message::{HeaderName, Message, Method};
use support::*;
use switch::attribution::{Attribution, Following};
use switch::{Effect, Input};
use vocabulary::SubscriberId;

const ALICE_ID: SubscriberId = SubscriberId(20);

struct Phone {
    from: &'static str,
    via: &'static str,
    call_id: &'static str,
    cseq: u32,
}

impl Phone {
    fn new(from: &'static str) -> Phone {
        Phone { from, via: from, call_id: "r1", cseq: 0 }
    }

    fn text(&mut self, user: &str, lines: &str) -> String {
        self.cseq += 1;
        format!(
            "REGISTER sip:example.net SIP/2.0\n\
             Via: SIP/2.0/UDP {};branch=z9hG4bK{}-{};rport\n\
             Max-Forwards: 70\n\
             From: <sip:{user}@example.net>;tag=r\n\
             To: <sip:{user}@example.net>\n\
             Call-ID: {}\n\
             CSeq: {} REGISTER\n\
             {lines}Content-Length: 0\n\n",
            self.via, self.call_id, self.cseq, self.call_id, self.cseq
        )
    }

    /// Registers, answering the challenge; the final response.
    fn register(&mut self, w: &mut World, user: &str, password: &str, lines: &str) -> Message {
        let text = self.text(user, lines);
        w.receive(self.from, &text);
        let challenge = w.expect_soon(self.from, "SIP/2.0 401");
        let ours = auth::Credentials::new("alice", password);
        let answer = auth::answer_challenge(
            &challenge,
            &ours,
            Method::Register,
            b"sip:example.net",
            u64::from(self.cseq),
            false,
        )
        .expect("a challenge that can be answered");
        let line = format!("{}: {}\n{lines}", answer.name, answer.value);
        let text = self.text(user, &line);
        w.receive(self.from, &text);
        keep(w);
        w.expect_soon(self.from, "SIP/2.0")
    }
}

/// The journal has all bindings so far.
fn keep(w: &mut World) {
    let mut answers = Vec::new();
    for effect in &mut w.effects {
        if let Effect::BindingChanged { answer, .. } = effect {
            answers.extend(answer.take());
        }
    }
    for answer in answers {
        w.input(Input::BindingKept { answer });
    }
}

fn changed(w: &mut World) -> Option<usize> {
    let place = w.effects.iter().position(|e| matches!(e, Effect::BindingChanged { .. }))?;
    match w.effects.remove(place) {
        Some(Effect::BindingChanged { subscriber: ALICE_ID, bindings, .. }) => Some(bindings.len()),
        _ => None,
    }
}

#[test]
fn a_contact_is_bound_refreshed_and_removed() {
    let mut w = World::new();
    let mut phone = Phone::new(ALICE);
    let contact = "Contact: <sip:alice@10.3.0.1:5060>;expires=600\n";
    let ok = phone.register(&mut w, "alice", "secret", contact);
    assert_eq!(ok.status(), 200);
    assert_eq!(header(&ok, HeaderName::Contact), "<sip:alice@10.3.0.1:5060>;expires=600");
    assert_eq!(changed(&mut w), Some(1));
    assert_eq!(w.shared.bindings.contacts(ALICE_ID, w.now.utc).len(), 1);
    let none = phone.register(&mut w, "alice", "secret", "");
    assert_eq!(none.contacts().count(), 1);
    assert_eq!(changed(&mut w), None);
    let gone = phone.register(&mut w, "alice", "secret", "Contact: *\nExpires: 0\n");
    assert_eq!(gone.contacts().count(), 0);
    assert_eq!(changed(&mut w), Some(0));
    assert!(w.shared.bindings.is_empty());
}

/// A kill within 0.1 s of the 200 once lost a registration.
#[test]
fn a_phone_hears_200_only_when_the_journal_has_its_binding() {
    let mut w = World::new();
    for (cseq, lines) in [
        (10, "Contact: <sip:a@10.3.0.1>;expires=600\n"),
        (20, "Contact: <sip:a@10.3.0.1>;expires=0\n"),
    ] {
        let mut phone = Phone::new(ALICE);
        phone.cseq = cseq;
        let text = phone.text("alice", lines);
        w.receive(ALICE, &text);
        let challenge = w.expect_soon(ALICE, "SIP/2.0 401");
        let ours = auth::Credentials::new("alice", "secret");
        let uri = b"sip:example.net";
        let answer = auth::answer_challenge(&challenge, &ours, Method::Register, uri, 1, false);
        let answer = answer.unwrap();
        let text = phone.text("alice", &format!("{}: {}\n{lines}", answer.name, answer.value));
        w.receive(ALICE, &text);
        w.expect_nothing(ALICE);
        // A repetition is absorbed meanwhile.
        w.receive(ALICE, &text);
        w.expect_nothing(ALICE);
        keep(&mut w);
        w.expect(ALICE, "SIP/2.0 200");
        w.expect_nothing(ALICE);
    }
    assert!(w.shared.bindings.is_empty());
}

#[test]
fn an_extension_that_a_registrar_lacks_is_named() {
    let mut w = World::new();
    let mut phone = Phone::new(ALICE);
    let text = phone.text("alice", "Require: path, gruu\nRequire: outbound\n");
    w.receive(ALICE, &text);
    let refused = w.expect_soon(ALICE, "SIP/2.0 420");
    assert_eq!(header(&refused, HeaderName::Unsupported), "gruu, outbound");
    let text = phone.text("alice", "Require: path\n");
    w.receive(ALICE, &text);
    w.expect_soon(ALICE, "SIP/2.0 401");
}

#[test]
fn expiry_has_limits() {
    let mut w = World::new();
    let mut phone = Phone::new(ALICE);
    let brief =
        phone.register(&mut w, "alice", "secret", "Contact: <sip:a@10.3.0.1>\nExpires: 5\n");
    assert_eq!(brief.status(), 423);
    assert_eq!(brief.min_expires(), Some(60));
    let long =
        phone.register(&mut w, "alice", "secret", "Contact: <sip:a@10.3.0.1>\nExpires: 999999\n");
    assert_eq!(header(&long, HeaderName::Contact), "<sip:a@10.3.0.1>;expires=7200");
}

#[test]
fn a_binding_expires_by_itself_and_the_store_hears_of_it() {
    let mut w = World::new();
    let mut phone = Phone::new(ALICE);
    phone.register(&mut w, "alice", "secret", "Contact: <sip:a@10.3.0.1>;expires=60\n");
    changed(&mut w);
    w.pass(Duration::from_secs(61));
    assert!(w.shared.bindings.contacts(ALICE_ID, w.now.utc).is_empty());
    w.pass(Duration::from_secs(70));
    assert_eq!(changed(&mut w), Some(0));
    assert!(w.shared.bindings.is_empty());
}

#[test]
fn wrong_passwords_and_foreign_addresses_are_refused() {
    let mut w = World::new();
    let contact = "Contact: <sip:a@10.3.0.1>\n";
    let mut phone = Phone::new(ALICE);
    assert_eq!(phone.register(&mut w, "alice", "wrong", contact).status(), 403);
    assert_eq!(phone.register(&mut w, "bob", "secret", contact).status(), 403);
    assert!(w.shared.bindings.is_empty());
    assert!(w.settled.is_empty());
}

#[test]
fn a_star_stands_alone() {
    let mut w = World::new();
    let mut phone = Phone::new(ALICE);
    let response = phone.register(&mut w, "alice", "secret", "Contact: *\nExpires: 60\n");
    assert_eq!(response.status(), 400);
}

#[test]
fn a_phone_behind_nat_is_called_where_it_came_from() {
    let mut w = World::new();
    let mut phone = Phone::new("198.51.100.7:33333");
    phone.via = "192.168.1.5:5060";
    phone.register(&mut w, "alice", "secret", "Contact: <sip:alice@192.168.1.5:5060>\n");
    w.call("alice");
    w.grant(60, false);
    let invite = w.expect_soon("198.51.100.7:33333", "INVITE");
    assert_eq!(invite.request_uri(), b"sip:alice@192.168.1.5:5060");
}

/// OPTIONS that came for this phone.
fn asked(w: &mut World, phone: &str) -> Vec<Message> {
    let sent: Vec<_> = w.outbox.drain(..).collect();
    let (theirs, others) =
        sent.into_iter().partition::<Vec<_>, _>(|(path, _)| path.remote == address(phone));
    w.outbox.extend(others);
    theirs.into_iter().map(|(_, message)| message).collect()
}

/// NAT: the router forgets a phone from which nothing comes, so it is asked something.
#[test]
fn a_phone_behind_nat_is_kept_reachable() {
    let (hidden, open) = ("198.51.100.7:33333", "10.3.0.1:5060");
    let mut rows = Rows::default();
    rows.settings.nat_keep_alive = Some(Duration::from_secs(25));
    let mut w = World::with(rows);
    let mut phone = Phone::new(hidden);
    phone.via = "192.168.1.5:5060";
    phone.register(&mut w, "alice", "secret", "Contact: <sip:alice@192.168.1.5:5060>\n");
    Phone::new(open).register(&mut w, "bob", "secret", &format!("Contact: <sip:bob@{open}>\n"));
    w.forget();
    for minute in 0..3 {
        w.pass_secs(50);
        let asked = asked(&mut w, hidden);
        assert_eq!(asked.len(), 2, "{minute}: {asked:?}");
        for options in asked {
            assert!(start(&options).starts_with("OPTIONS sip:alice@192.168.1.5:5060 SIP/2.0"));
            w.reply(hidden, &options, "200 OK", "");
        }
        // Nothing comes back for that, and whoever can be reached anyway is left in peace.
        w.expect_nothing(hidden);
        w.expect_nothing(open);
    }
}

/// linphone and others register the address that `received` and `rport` told them.
#[test]
fn a_phone_that_knows_its_routers_address_is_kept_reachable() {
    let hidden = "198.51.100.7:33333";
    let mut rows = Rows::default();
    rows.settings.nat_keep_alive = Some(Duration::from_secs(25));
    let mut w = World::with(rows);
    let mut phone = Phone::new(hidden);
    phone.via = "192.168.1.5:5060";
    phone.register(&mut w, "alice", "secret", &format!("Contact: <sip:alice@{hidden}>\n"));
    w.forget();
    w.pass_secs(50);
    assert_eq!(asked(&mut w, hidden).len(), 2);
}

#[test]
fn a_path_is_kept_echoed_and_used() {
    let mut w = World::new();
    let mut phone = Phone::new("10.9.0.1:5060");
    let lines = "Supported: path\nPath: <sip:10.9.0.1;lr>\nContact: <sip:alice@172.16.0.9:5060>\n";
    let ok = phone.register(&mut w, "alice", "secret", lines);
    assert_eq!(header(&ok, HeaderName::Path), "<sip:10.9.0.1;lr>");
    w.call("alice");
    w.grant(60, false);
    let invite = w.expect_soon("10.9.0.1:5060", "INVITE sip:alice@172.16.0.9:5060");
    assert_eq!(header(&invite, HeaderName::Route), "<sip:10.9.0.1;lr>");
}

#[test]
fn q_values_are_kept() {
    let mut w = World::new();
    let mut phone = Phone::new(ALICE);
    let lines = "Contact: <sip:a@10.3.0.1>;q=0.5, <sip:a@10.3.0.2>\n";
    let ok = phone.register(&mut w, "alice", "secret", lines);
    assert_eq!(ok.contacts().count(), 2);
    let order: Vec<u16> =
        w.shared.bindings.contacts(ALICE_ID, w.now.utc).iter().map(|b| b.q).collect();
    assert_eq!(order, [1000, 500]);
}

#[test]
fn whose_a_registration_is_is_said_while_somebody_follows() {
    // V-39
    let mut w = World::new();
    w.input(Input::Follow(Following::Everything));
    Phone::new(ALICE).register(&mut w, "alice", "secret", "Contact: <sip:alice@10.3.0.1>\n");
    let said = w.effects.iter().find_map(|effect| match effect {
        Effect::Attributed(one) => Some((**one).clone()),
        _ => None,
    });
    let expected = Attribution {
        sip_call_id: b"r1"[..].into(),
        call: None,
        account: Some(LOCAL_ACCOUNT),
        trunk: None,
        remote: Some(address(ALICE).ip()),
    };
    assert_eq!(said, Some(expected));
}
