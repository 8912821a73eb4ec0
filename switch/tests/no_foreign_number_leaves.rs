//! Whatever an INVITE says of its caller: a pool that replaces or refuses lets no foreign number out
//! and nobody who is not trusted learns who wants to stay unknown
//! (RFC 3323, RFC 3325).

mod support;

use proptest::prelude::*;
use sip::message::{HeaderName, Message};
use support::*;
use switch::Effect;
use switch::caller_id::{CliPool, DefaultCaller, DiversionHeaders, IdentityHeader, TrunkCallerId};
use switch::directory::SubscriberRow;
use vocabulary::{AuthorizeRequest, Number, RateChoice, SubscriberId};

const IDENTITY: [HeaderName<'static>; 3] =
    [HeaderName::PAssertedIdentity, HeaderName::PPreferredIdentity, HeaderName::RemotePartyId];
/// A DID of the account, one stored for it, one of another account, one of nobody here.
const NUMBERS: [&str; 4] = ["4989001", "4989002", "4930555", "33140001"];

#[derive(Clone, Debug)]
struct Said {
    /// Of `NUMBERS`; beyond them it is no number.
    from: usize,
    asserted: Option<usize>,
    preferred: Option<usize>,
    remote: Option<(usize, bool)>,
    privacy: Option<&'static str>,
    is_anonymous: bool,
}

impl Said {
    fn invite(&self) -> String {
        let user = |n: usize| NUMBERS.get(n).copied().unwrap_or("desk");
        let mut lines = format!("Diversion: <sip:{}@a.example>\n", NUMBERS[3]);
        for (name, number) in
            [("P-Asserted-Identity", self.asserted), ("P-Preferred-Identity", self.preferred)]
        {
            if let Some(n) = number {
                lines += &format!("{name}: \"{0}\" <sip:+{0}@a.example>\n", user(n));
            }
        }
        if let Some((n, is_full)) = self.remote {
            let privacy = if is_full { "full" } else { "off" };
            lines += &format!("Remote-Party-ID: <sip:{}@a.example>;privacy={privacy}\n", user(n));
        }
        if let Some(privacy) = self.privacy {
            lines += &format!("Privacy: {privacy}\n");
        }
        let from = if self.is_anonymous { "anonymous" } else { user(self.from) };
        let from = format!("\"{0}\" <sip:{from}@10.0.0.1>", user(self.from));
        let invite = invite(CUSTOMER, "c1", "4930123456", 1, &lines);
        invite.replace("\"Caller\" <sip:4989777@10.0.0.1:5060>", &from)
    }

    /// All numbers that it says.
    fn numbers(&self) -> impl Iterator<Item = Number> {
        let remote = self.remote.map(|(n, _)| n);
        let all = [Some(self.from), self.asserted, self.preferred, remote];
        all.into_iter().flatten().filter_map(|n| NUMBERS.get(n)).map(|text| number(text))
    }

    fn is_private(&self) -> bool {
        matches!(self.privacy, Some("id" | "user" | "header;session"))
    }
}

fn said() -> impl Strategy<Value = Said> {
    let number = || 0..NUMBERS.len();
    let privacy = prop::sample::select(vec!["id", "user", "header;session", "none", "session"]);
    (
        0..=NUMBERS.len(),
        prop::option::of(number()),
        prop::option::of(number()),
        prop::option::of((number(), any::<bool>())),
        prop::option::of(privacy),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(from, asserted, preferred, remote, privacy, is_anonymous)| Said {
            from,
            asserted,
            preferred,
            remote,
            privacy,
            is_anonymous,
        })
}

/// What billing is asked, and the INVITE that leaves; nothing if the call is refused.
fn call(rows: Rows, said: &Said) -> Option<(AuthorizeRequest, Message)> {
    let mut w = World::with(rows);
    w.receive(CUSTOMER, &said.invite());
    if !w.settled.is_empty() {
        return None;
    }
    let request = w.asked();
    w.effects.push_back(Effect::Authorize(request.clone()));
    w.grant(60, false);
    Some((request, w.expect(CARRIERS[0], "INVITE")))
}

fn rows(pool: CliPool, trusts: (bool, bool), caller_id: TrunkCallerId, has_default: bool) -> Rows {
    let mut rows = Rows::default();
    let phone = subscriber(30, "phone", secret("phone", "secret"));
    rows.subscribers.push(SubscriberRow { account: CUSTOMER_ACCOUNT, ..phone });
    rows.numbers.push((number(NUMBERS[0]), SubscriberId(30)));
    let policy = &mut rows.account(CUSTOMER_ACCOUNT).caller_id;
    policy.pool = pool;
    policy.stored = [number(NUMBERS[1])].into();
    let default = DefaultCaller { number: Some(number(NUMBERS[1])), name: "Globex".into() };
    policy.default = has_default.then(|| Box::new(default));
    rows.trunk(10).is_trusted = trusts.0;
    rows.trunk(1).is_trusted = trusts.1;
    rows.trunk(1).caller_id = caller_id;
    rows
}

/// The numbers that a pool lets out, if it does not let out all.
fn let_out(pool: CliPool) -> Option<Vec<Number>> {
    let own: &[usize] = match pool {
        CliPool::ReplaceUnlessDid | CliPool::RejectUnlessDid => &[0],
        CliPool::ReplaceUnlessStored | CliPool::RejectUnlessStored => &[1],
        CliPool::RejectUnlessEither => &[0, 1],
        _ => return None,
    };
    Some(own.iter().map(|&n| number(NUMBERS[n])).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_foreign_number_leaves(
        said in said(),
        pool in prop::sample::select(CliPool::ALL.to_vec()),
        trusts: (bool, bool),
        identity in prop::sample::select(IdentityHeader::ALL.to_vec()),
        diversions in prop::sample::select(DiversionHeaders::ALL.to_vec()),
        sends_names: bool,
        has_default: bool,
    ) {
        let caller_id =
            TrunkCallerId { identity, diversions, sends_names, ..TrunkCallerId::default() };
        let rows = rows(pool, trusts, caller_id, has_default);
        let Some((request, invite)) = call(rows, &said) else {
            let rejects = [
                CliPool::RejectUnlessDid,
                CliPool::RejectUnlessStored,
                CliPool::RejectUnlessEither,
            ];
            prop_assert!(rejects.contains(&pool), "{pool:?} refused a call");
            return Ok(());
        };
        let text = String::from_utf8_lossy(invite.bytes()).into_owned();
        let from = header(&invite, HeaderName::From);
        let is_hidden = from.contains("anonymous.invalid");
        prop_assert_eq!(request.origin.is_withheld, is_hidden);
        prop_assert!(is_hidden || !said.is_private(), "{text}");
        prop_assert_eq!(header(&invite, HeaderName::Privacy), if is_hidden { "id" } else { "" });

        // Whom billing knows is whom the carrier is told of, wherever it is told.
        let told: Vec<String> = IDENTITY.map(|name| header(&invite, name)).into_iter().collect();
        let told: Vec<&String> = told.iter().filter(|value| !value.is_empty()).collect();
        prop_assert!(told.len() <= usize::from(trusts.1), "{text}");
        if let Some(cli) = request.cli {
            let address = format!("<sip:{}@", cli.as_str());
            prop_assert!(told.iter().all(|value| value.contains(&address)), "{text}");
            prop_assert!(is_hidden || from.contains(&address), "{text}");
        } else {
            prop_assert!(told.is_empty(), "{text}");
        }
        if let Some(own) = let_out(pool) {
            prop_assert!(request.cli.is_some_and(|cli| own.contains(&cli)), "{:?}", request.cli);
        }
        // Where a number took another's place, nothing else of the caller is left, a name that is a
        // number least of all.
        let is_replaced = |own: &[Number]| said.numbers().all(|number| !own.contains(&number));
        if let CliPool::ReplaceUnlessDid | CliPool::ReplaceUnlessStored = pool
            && let_out(pool).is_some_and(|own| is_replaced(&own))
        {
            prop_assert!(!text.contains(NUMBERS[2]), "{text}");
        }
        let is_own = request.cli.is_some_and(|cli| NUMBERS[..2].contains(&cli.as_str()));
        let is_dear = pool == CliPool::NonCliUnlessEither && !is_own;
        prop_assert!(!is_dear || request.rate_choice == RateChoice::NonCli);

        if !trusts.1 {
            prop_assert_eq!(header(&invite, HeaderName::Diversion), "");
            if is_hidden {
                for number in NUMBERS {
                    prop_assert!(!text.contains(number), "{text}");
                }
            }
        }
    }
}
