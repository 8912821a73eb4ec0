//! Why a call went as it did: each reason is a value while the call lives, and becomes a code and
//! one sentence for an operator (`tandem why`) when it ends. Every refusal knows its SIP status and
//! its cause.

mod ended;
mod identity;
mod model;
mod packed;
mod reasons;
mod refusal;
mod security;
mod sentence;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use vocabulary::{DecisionLine, Number, SubscriberId, TrunkId};

use crate::caller_id::CallerIdDecision;
use crate::did::DidDecision;
use crate::forwarding::ForwardingDecision;
use crate::fraud::FraudDecision;
use crate::interworking::InterworkingDecision;
use crate::lookup::LocationDecision;
use crate::numbers::NumberDecision;
use crate::release::Cause;
use crate::routing::Skip;
use crate::stir::StirDecision;
use crate::transfer::TransferDecision;

pub use ended::End;
pub use identity::IdentityRefusal;
pub(crate) use reasons::Reasons;
pub use refusal::Refusal;
pub use security::SecurityRefusal;

/// One reason in the life of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The caller is a subscriber whose digest was right.
    FromSubscriber(SubscriberId, Box<str>),
    /// The caller is a trunk known by its address.
    FromTrunk(TrunkId, SocketAddr),
    /// The caller is a trunk whose digest was right.
    FromTrunkByDigest(TrunkId, Box<str>),
    /// The caller is a trunk whose TLS certificate has this name.
    FromTrunkByCertificate(TrunkId, Box<str>),
    /// That trunk is a gateway, and names this subscriber as the caller.
    NamedByGateway(TrunkId, SubscriberId),
    /// The dialled text became this number.
    NumberTranslated(Box<str>, Number),
    /// The destination is a subscriber of ours.
    ToSubscriber(SubscriberId, u8),
    /// Routes were found.
    RoutesFound {
        /// How much of the number the prefix covers.
        prefix_length: u8,
        /// How many trunks it may go to.
        trunks: u8,
    },
    /// A trunk was left out.
    TrunkSkipped(TrunkId, Skip),
    /// All trunks that could take the call are down; this one is tried all the same.
    AllTrunksDown(TrunkId),
    /// The calls of all trunks that could take the call are poor; this one is tried all the same.
    AllTrunksPoor(TrunkId),
    /// Trunks go by how many of their calls they answer: percent, in steps.
    TrunksGraded(Box<[(TrunkId, u8)]>),
    /// Trunks share calls, and the order of these was drawn by this.
    TrunksDrawn(u32),
    /// The trunks that nothing in routing speaks against.
    TrunksAccepted(Box<[TrunkId]>),
    /// The called number is a DID.
    Did(DidDecision),
    /// What forwarding did with it.
    Forwarding(ForwardingDecision),
    /// What became of a party's wish to transfer it.
    Transfer(TransferDecision),
    /// What the caller's number means for the call.
    CallerId(CallerIdDecision),
    /// What was found of a signed caller, or signed.
    Stir(StirDecision),
    /// What was changed for a peer.
    Interworking(InterworkingDecision),
    /// What was found of where it goes (T7). Boxed: most calls go without.
    Location(Box<LocationDecision>),
    /// What number rules and lists did. Boxed: it is seldom, and a call keeps its decisions.
    Number(Box<NumberDecision>),
    /// What fraud rules have found.
    Fraud(Box<FraudDecision>),
    /// Neither its name nor its address led anywhere.
    TrunkUnresolved(TrunkId, Box<str>),
    /// The peer of this leg showed a certificate that was refused for this reason.
    CertificateRefused(u8, Arc<str>),
    /// A contact could not be resolved or was unusable.
    ContactUnresolved(SubscriberId, Box<str>),
    /// An attempt was made over a trunk.
    TriedTrunk(TrunkId, SocketAddr),
    /// An attempt was made at a contact.
    TriedContact(SubscriberId, SocketAddr),
    /// An attempt failed; the next is tried.
    Hunted(u8, u16, Cause),
    /// An attempt failed and that ends the hunt.
    HuntStopped(u8, u16, Cause),
    /// What an attempt ended with means something else from its trunk (S6).
    CauseHeard(u8, u16, Cause),
    /// The caller's trunk is told another status (S6).
    CauseTold(TrunkId, u16, u16),
    /// A redirection was followed.
    RedirectFollowed(u8),
    /// The callee answered.
    Answered(u8),
    /// Billing granted the last there is.
    GrantFinal(Duration),
    /// What billing says, in its own words.
    Billing(DecisionLine),
    /// The call was not let in, or not let out.
    Refused(Refusal),
    /// How it ended after the answer.
    Ended(End),
}

impl Decision {
    /// The stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Decision::FromSubscriber(..) => "from_subscriber",
            Decision::FromTrunk(..) => "from_trunk",
            Decision::FromTrunkByDigest(..) => "from_trunk_by_digest",
            Decision::FromTrunkByCertificate(..) => "from_trunk_by_certificate",
            Decision::NamedByGateway(..) => "named_by_gateway",
            Decision::NumberTranslated(..) => "number_translated",
            Decision::ToSubscriber(..) => "to_subscriber",
            Decision::RoutesFound { .. } => "routes_found",
            Decision::TrunkSkipped(_, why) => why.code(),
            Decision::AllTrunksDown(_) => "all_trunks_down",
            Decision::AllTrunksPoor(_) => "all_trunks_poor",
            Decision::TrunksGraded(_) => "trunks_graded",
            Decision::TrunksDrawn(_) => "trunks_drawn",
            Decision::TrunksAccepted(_) => "trunks_accepted",
            Decision::CallerId(decision) => decision.code(),
            Decision::Did(decision) => decision.code(),
            Decision::Forwarding(decision) => decision.code(),
            Decision::Transfer(decision) => decision.code(),
            Decision::Stir(decision) => decision.code(),
            Decision::Interworking(decision) => decision.code(),
            Decision::Location(decision) => decision.code(),
            Decision::Number(decision) => decision.code(),
            Decision::Fraud(decision) => decision.code(),
            Decision::TrunkUnresolved(..) => "trunk_unresolved",
            Decision::CertificateRefused(..) => "certificate_refused",
            Decision::ContactUnresolved(..) => "contact_unresolved",
            Decision::TriedTrunk(..) => "tried_trunk",
            Decision::TriedContact(..) => "tried_contact",
            Decision::Hunted(..) => "hunted",
            Decision::HuntStopped(..) => "hunt_stopped",
            Decision::CauseHeard(..) => "cause_heard",
            Decision::CauseTold(..) => "cause_told",
            Decision::RedirectFollowed(_) => "redirect_followed",
            Decision::Answered(_) => "answered",
            Decision::GrantFinal(_) => "grant_final",
            Decision::Billing(line) => line.code,
            Decision::Refused(refusal) => refusal.code(),
            Decision::Ended(end) => end.code(),
        }
    }

    /// Code and sentence.
    pub fn into_line(self) -> DecisionLine {
        match self {
            Decision::Billing(line) => line,
            other => DecisionLine { code: other.code(), sentence: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vocabulary::{AccountId, DidId, Direction, Refused};

    use super::*;
    use crate::admission::{Limit, NotAdmitted, Owner};
    use crate::caller_id;
    use crate::forwarding::ForwardingRefusal;
    use crate::lookup::{LookupId, LookupRefusal};
    use crate::message_refusal::MessageRefusal;
    use crate::routing::{LoopRefusal, PlanError, PrefixId, RouteId};

    fn billing(refused: fn(DecisionLine) -> Refused, code: &'static str) -> Refusal {
        Refusal::Billing(refused(DecisionLine { code, sentence: "Because.".into() }))
    }

    fn limit(owner: Owner, direction: Direction, limit: Limit) -> Refusal {
        Refusal::Limit(NotAdmitted { owner, direction, limit })
    }

    /// Every refusal, with the SIP status and the Q.850 value that the caller gets.
    fn all() -> Vec<(Refusal, u16, u8)> {
        use Direction::{Egress, Ingress};
        let number: Number = "4930123456".parse().unwrap();
        let (account, trunk) = (AccountId(1), TrunkId(2));
        let subscriber = SubscriberId(3);
        let plan = PlanError::OnlyPrefix;
        let mut all = vec![
            (Refusal::SubscriberInactive(subscriber), 403, 21),
            (Refusal::TrunkInactive(trunk), 403, 21),
            (Refusal::AccountInactive(account), 403, 21),
            (Refusal::CalleeAccountInactive(account), 480, 20),
            (Refusal::CalleeInactive(subscriber), 480, 20),
            (limit(Owner::Account(account), Ingress, Limit::Concurrent(3)), 503, 34),
            (limit(Owner::Account(account), Ingress, Limit::PerSecond(3)), 503, 34),
            (limit(Owner::Account(account), Egress, Limit::Concurrent(3)), 503, 34),
            (limit(Owner::Account(account), Egress, Limit::PerSecond(3)), 503, 34),
            (limit(Owner::Trunk(trunk), Ingress, Limit::Concurrent(3)), 503, 34),
            (limit(Owner::Trunk(trunk), Ingress, Limit::PerSecond(3)), 503, 34),
            (limit(Owner::Trunk(trunk), Egress, Limit::Concurrent(3)), 503, 34),
            (limit(Owner::Trunk(trunk), Egress, Limit::PerSecond(3)), 503, 34),
            (limit(Owner::Did(DidId(4)), Egress, Limit::Concurrent(3)), 503, 34),
            (limit(Owner::Did(DidId(4)), Egress, Limit::PerSecond(3)), 503, 34),
            (Refusal::DomainNotServed("example.org".into()), 404, 3),
            (Refusal::UnsupportedUri, 416, 28),
            (Refusal::NoNumber, 404, 28),
            (Refusal::InvalidNumber("00".into(), plan), 484, 28),
            (Refusal::UnknownName("nobody".into()), 404, 1),
            (Refusal::NoRoute(number), 404, 3),
            (Refusal::NoTrunkUsable(number), 503, 34),
            (Refusal::LocalNotAllowed(account), 403, 21),
            (Refusal::NotRegistered(subscriber), 480, 20),
            (Refusal::DoNotDisturb(subscriber), 486, 17),
            (limit(Owner::Subscriber(subscriber), Egress, Limit::Concurrent(1)), 486, 17),
            (Refusal::TooManyHops, 483, 25),
            (Refusal::Loop, 482, 25),
            (Refusal::Lookup(LookupRefusal(LookupId(1))), 500, 41),
            (Refusal::Loops(LoopRefusal::SentBack(trunk)), 482, 25),
            (Refusal::Loops(LoopRefusal::Repeated(trunk, 10)), 482, 25),
            (limit(Owner::Route(RouteId(1)), Egress, Limit::Concurrent(3)), 503, 34),
            (limit(Owner::Route(RouteId(1)), Egress, Limit::PerSecond(3)), 503, 34),
            (limit(Owner::Prefix(PrefixId(1)), Egress, Limit::Concurrent(3)), 503, 34),
            (limit(Owner::Prefix(PrefixId(1)), Egress, Limit::PerSecond(3)), 503, 34),
            (Refusal::BadInvite(420), 420, 127),
            (Refusal::Message(MessageRefusal::NotFromTrunk(trunk)), 403, 21),
            (Refusal::Message(MessageRefusal::NoTrunk(number)), 404, 3),
            (Refusal::Forwarding(ForwardingRefusal::Loop(subscriber)), 483, 25),
            (Refusal::Forwarding(ForwardingRefusal::TooOften(5)), 483, 25),
            (billing(Refused::AccountInactive, "account_blocked"), 403, 21),
            (billing(Refused::NoRateGroup, "no_rate_group"), 403, 21),
            (billing(Refused::NoRate, "no_rate"), 404, 3),
            (billing(Refused::InsufficientCredit, "insufficient_credit"), 402, 21),
            (billing(Refused::NoCarrier, "no_carrier"), 503, 34),
            (Refusal::RingTimeout(Duration::from_secs(60)), 480, 19),
            (Refusal::AttemptsExhausted(3, 503, Cause::Congestion), 503, 42),
            (Refusal::CalleeRefused(1, 486, Cause::Busy), 486, 17),
            (Refusal::CalleeUnreachable(1, 408, Cause::NoResponse), 408, 18),
            (Refusal::NoProgress(1, Duration::from_secs(20)), 408, 18),
            (Refusal::Draining, 503, 41),
            (Refusal::RedirectRefused(302), 480, 23),
            (Refusal::Unresolved, 502, 27),
        ];
        let topics = identity::samples().into_iter().map(Refusal::Identity);
        let dids = crate::did::samples().into_iter();
        all.extend(dids.map(|refusal| (Refusal::Did(refusal), 480, 20)));
        let topics = topics.chain(caller_id::samples().into_iter().map(Refusal::CallerId));
        all.extend(topics.map(|refusal| (refusal, 403, 21)));
        let secure = security::samples().into_iter().map(Refusal::Security);
        all.extend(secure.map(|refusal| (refusal, 480, 20)));
        let stir = crate::stir::samples().into_iter();
        all.extend(stir.map(|(refusal, status)| (Refusal::Stir(refusal), status, 21)));
        let media = crate::interworking::samples().into_iter();
        all.extend(media.map(|refusal| (Refusal::Interworking(refusal), 488, 65)));
        let replaces = crate::transfer::samples().into_iter();
        all.extend(replaces.map(|(why, status, q850)| (Refusal::Replaces(why), status, q850)));
        let fraud = crate::fraud::samples().into_iter().map(Refusal::Fraud);
        all.extend(fraud.map(|refusal| (refusal, 403, 21)));
        let numbers = crate::numbers::samples().into_iter();
        all.extend(numbers.map(|(refusal, status, q850)| (Refusal::Number(refusal), status, q850)));
        all
    }

    #[test]
    fn every_refusal_has_a_code_a_status_a_cause_and_a_sentence_of_its_own() {
        let all = all();
        for (refusal, status, q850) in &all {
            assert_eq!(refusal.sip_status(), *status, "{refusal:?}");
            assert_eq!(refusal.cause().q850(), *q850, "{refusal:?}");
            let sentence = refusal.to_string();
            let is_one = sentence.ends_with('.') && !sentence.contains(". ");
            assert!(is_one && sentence.starts_with(char::is_uppercase), "{sentence}");
        }
        let codes: BTreeSet<_> = all.iter().map(|(refusal, ..)| refusal.code()).collect();
        assert_eq!(codes.len(), all.len());
        assert!(codes.len() >= 20);
    }

    #[test]
    fn sentences_name_what_an_operator_must_look_at() {
        let (account, trunk) = (Owner::Account(AccountId(7)), Owner::Trunk(TrunkId(9)));
        let check = |refusal: Refusal, expected: &str| assert_eq!(refusal.to_string(), expected);
        check(
            limit(account, Direction::Ingress, Limit::Concurrent(30)),
            "Account 7 is placing 30 calls already, as many as it may.",
        );
        check(
            limit(trunk, Direction::Egress, Limit::PerSecond(5)),
            "Trunk 9 is receiving more than the 5 calls per second that it may.",
        );
        check(Refusal::NoRoute("34600".parse().unwrap()), "No route covers 34600.");
        check(
            limit(account, Direction::Ingress, Limit::Concurrent(0)),
            "Account 7 has 0 as its limit on placing calls.",
        );
        check(
            Refusal::CalleeUnreachable(1, 503, Cause::DestinationOutOfOrder),
            "Attempt 1 could not be delivered: the callee cannot be reached.",
        );
        check(Refusal::BadInvite(422), "The INVITE asks for a session interval that is too small.");
    }

    #[test]
    fn a_carriers_challenge_is_not_handed_to_the_caller() {
        let refused = Refusal::CalleeRefused(1, 407, Cause::EgressAuthentication);
        assert_eq!(refused.sip_status(), 503);
    }
}
