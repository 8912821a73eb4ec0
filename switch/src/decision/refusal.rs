//! Why a call is not let in or finds nobody: with its cause, its SIP status and its word.

use std::time::Duration;

use vocabulary::{AccountId, Direction, Number, Refused, SubscriberId, TrunkId};

use super::identity::IdentityRefusal;
use super::security::SecurityRefusal;
use crate::admission::{Limit, NotAdmitted, Owner};
use crate::caller_id::CallerIdRefusal;
use crate::did::DidRefusal;
use crate::forwarding::ForwardingRefusal;
use crate::fraud::FraudRefusal;
use crate::interworking::InterworkingRefusal;
use crate::lookup::LookupRefusal;
use crate::message_refusal::MessageRefusal;
use crate::numbers::NumberRefusal;
use crate::release::Cause;
use crate::routing::{LoopRefusal, PlanError};
use crate::stir::StirRefusal;
use crate::transfer::ReplacesRefusal;

/// Why a call was not let in, or found nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The sender did not prove who it is.
    Identity(IdentityRefusal),
    /// It was to be secure, and cannot be.
    Security(SecurityRefusal),
    /// The caller's number.
    CallerId(CallerIdRefusal),
    /// The called DID takes no call.
    Did(DidRefusal),
    /// The callee forwards its calls, and this one no further.
    Forwarding(ForwardingRefusal),
    /// Who calls is not verified, and had to be.
    Stir(StirRefusal),
    /// It does not take the place of a party.
    Replaces(ReplacesRefusal),
    /// A peer may not use what is offered.
    Interworking(InterworkingRefusal),
    /// Where the called number is served is not known, and had to be.
    Lookup(LookupRefusal),
    /// It is a message, and none is taken there.
    Message(MessageRefusal),
    /// Number rules or lists.
    Number(NumberRefusal),
    /// Fraud rules.
    Fraud(FraudRefusal),
    /// The subscriber is switched off.
    SubscriberInactive(SubscriberId),
    /// The trunk is switched off.
    TrunkInactive(TrunkId),
    /// The caller's account is switched off.
    AccountInactive(AccountId),
    /// The callee's account is switched off.
    CalleeAccountInactive(AccountId),
    /// The callee is switched off.
    CalleeInactive(SubscriberId),
    /// A limit was reached.
    Limit(NotAdmitted),
    /// The Request-URI names a host that we do not serve.
    DomainNotServed(Box<str>),
    /// The Request-URI is of a kind that we cannot route.
    UnsupportedUri,
    /// The Request-URI names nobody to call.
    NoNumber,
    /// What was dialled is not a number under the plan.
    InvalidNumber(Box<str>, PlanError),
    /// No subscriber has this name.
    UnknownName(Box<str>),
    /// No route covers the number.
    NoRoute(Number),
    /// Routes there are, but no trunk that may be used.
    NoTrunkUsable(Number),
    /// The account may not call subscribers.
    LocalNotAllowed(AccountId),
    /// The callee has no valid contact.
    NotRegistered(SubscriberId),
    /// The callee does not want to be disturbed.
    DoNotDisturb(SubscriberId),
    /// Max-Forwards is used up.
    TooManyHops,
    /// The call has been here before.
    Loop,
    /// It seems to have been, by its numbers.
    Loops(LoopRefusal),
    /// The INVITE could not become a leg; the status says why.
    BadInvite(u16),
    /// What billing says.
    Billing(Refused),
    /// It rang too long.
    RingTimeout(Duration),
    /// Every attempt failed; the last or best outcome is given.
    AttemptsExhausted(u8, u16, Cause),
    /// The callee refused.
    CalleeRefused(u8, u16, Cause),
    /// The callee sent the call elsewhere and that is not followed.
    RedirectRefused(u16),
    /// Nothing came back from the callee, or nothing could be sent there.
    CalleeUnreachable(u8, u16, Cause),
    /// The callee's side took the call and then neither rang nor refused in this time.
    NoProgress(u8, Duration),
    /// The name of every trunk or contact led nowhere.
    Unresolved,
    /// The switch is going down.
    Draining,
}

impl Refusal {
    /// The cause, with its Q.850 value.
    pub fn cause(&self) -> Cause {
        match self {
            Refusal::Identity(why) => why.cause(),
            Refusal::Security(why) => why.cause(),
            Refusal::CallerId(why) => why.cause(),
            Refusal::Did(why) => why.cause(),
            Refusal::Forwarding(why) => why.cause(),
            Refusal::Stir(why) => why.cause(),
            Refusal::Replaces(why) => why.cause(),
            Refusal::Interworking(why) => why.cause(),
            Refusal::Lookup(why) => why.cause(),
            Refusal::Message(why) => why.cause(),
            Refusal::Number(why) => why.cause(),
            Refusal::Fraud(why) => why.cause(),
            Refusal::Billing(refused) => cause_of(refused),
            Refusal::SubscriberInactive(_)
            | Refusal::TrunkInactive(_)
            | Refusal::AccountInactive(_)
            | Refusal::LocalNotAllowed(_) => Cause::Rejected,
            Refusal::CalleeAccountInactive(_)
            | Refusal::CalleeInactive(_)
            | Refusal::NotRegistered(_) => Cause::Absent,
            // As many calls as its phones want: to the caller it is busy.
            Refusal::Limit(NotAdmitted {
                owner: Owner::Subscriber(_),
                direction: Direction::Egress,
                ..
            })
            | Refusal::DoNotDisturb(_) => Cause::Busy,
            Refusal::Limit(_) | Refusal::NoTrunkUsable(_) => Cause::NoCircuit,
            Refusal::DomainNotServed(_) | Refusal::NoRoute(_) => Cause::NoRoute,
            Refusal::UnsupportedUri | Refusal::NoNumber | Refusal::InvalidNumber(..) => {
                Cause::InvalidNumber
            }
            Refusal::UnknownName(_) => Cause::UnallocatedNumber,
            Refusal::TooManyHops | Refusal::Loop => Cause::ExchangeRoutingError,
            Refusal::Loops(why) => why.cause(),
            Refusal::BadInvite(status) => Cause::from_sip_status(*status),
            Refusal::RingTimeout(_) => Cause::NoAnswer,
            Refusal::AttemptsExhausted(_, _, cause)
            | Refusal::CalleeRefused(_, _, cause)
            | Refusal::CalleeUnreachable(_, _, cause) => *cause,
            Refusal::NoProgress(..) => Cause::NoResponse,
            Refusal::Draining => Cause::Shutdown,
            Refusal::RedirectRefused(_) => Cause::Redirected,
            Refusal::Unresolved => Cause::DestinationOutOfOrder,
        }
    }

    /// The status for the caller.
    pub fn sip_status(&self) -> u16 {
        match self {
            Refusal::UnsupportedUri => 416,
            Refusal::InvalidNumber(_, PlanError::NotANumber(_)) | Refusal::NoNumber => 404,
            Refusal::Loop | Refusal::Loops(_) => 482,
            Refusal::BadInvite(status) => *status,
            Refusal::Stir(why) => why.sip_status(),
            Refusal::Replaces(why) => why.sip_status(),
            Refusal::Message(why) => why.sip_status(),
            // A caller must not be asked for a password that only concerns us and the carrier.
            Refusal::AttemptsExhausted(_, 401 | 407, cause)
            | Refusal::CalleeRefused(_, 401 | 407, cause) => cause.sip_status(),
            Refusal::AttemptsExhausted(_, status @ 400.., _)
            | Refusal::CalleeRefused(_, status @ 400.., _)
            | Refusal::CalleeUnreachable(_, status @ 400.., _) => *status,
            other => other.cause().sip_status(),
        }
    }

    pub(super) fn code(&self) -> &'static str {
        match self {
            Refusal::Identity(why) => why.code(),
            Refusal::Security(why) => why.code(),
            Refusal::CallerId(why) => why.code(),
            Refusal::Did(why) => why.code(),
            Refusal::Forwarding(why) => why.code(),
            Refusal::Stir(why) => why.code(),
            Refusal::Replaces(why) => why.code(),
            Refusal::Interworking(why) => why.code(),
            Refusal::Lookup(why) => why.code(),
            Refusal::Message(why) => why.code(),
            Refusal::Number(why) => why.code(),
            Refusal::Fraud(why) => why.code(),
            Refusal::Billing(refused) => refused.line().code,
            Refusal::SubscriberInactive(_) => "subscriber_inactive",
            Refusal::TrunkInactive(_) => "trunk_inactive",
            Refusal::AccountInactive(_) => "account_inactive",
            Refusal::CalleeAccountInactive(_) => "callee_account_inactive",
            Refusal::CalleeInactive(_) => "callee_inactive",
            Refusal::Limit(limit) => limit_code(limit),
            Refusal::DomainNotServed(_) => "domain_not_served",
            Refusal::UnsupportedUri => "unsupported_uri",
            Refusal::NoNumber => "no_number",
            Refusal::InvalidNumber(..) => "invalid_number",
            Refusal::UnknownName(_) => "unknown_name",
            Refusal::NoRoute(_) => "no_route",
            Refusal::NoTrunkUsable(_) => "no_trunk_usable",
            Refusal::LocalNotAllowed(_) => "local_not_allowed",
            Refusal::NotRegistered(_) => "not_registered",
            Refusal::DoNotDisturb(_) => "do_not_disturb",
            Refusal::TooManyHops => "too_many_hops",
            Refusal::Loop => "loop",
            Refusal::Loops(why) => why.code(),
            Refusal::BadInvite(_) => "bad_invite",
            Refusal::RingTimeout(_) => "ring_timeout",
            Refusal::AttemptsExhausted(..) => "attempts_exhausted",
            Refusal::CalleeRefused(..) => "callee_refused",
            Refusal::CalleeUnreachable(..) => "callee_unreachable",
            Refusal::NoProgress(..) => "no_progress",
            Refusal::Draining => "draining",
            Refusal::RedirectRefused(_) => "redirect_refused",
            Refusal::Unresolved => "unresolved",
        }
    }
}

fn limit_code(refused: &NotAdmitted) -> &'static str {
    use Direction::{Egress, Ingress};
    match (refused.owner, refused.direction, refused.limit) {
        (Owner::Account(_), Ingress, Limit::Concurrent(_)) => "account_concurrency_exceeded",
        (Owner::Account(_), Ingress, Limit::PerSecond(_)) => "account_cps_exceeded",
        (Owner::Account(_), Egress, Limit::Concurrent(_)) => "account_egress_concurrency_exceeded",
        (Owner::Account(_), Egress, Limit::PerSecond(_)) => "account_egress_cps_exceeded",
        (Owner::Trunk(_), Ingress, Limit::Concurrent(_)) => "trunk_concurrency_exceeded",
        (Owner::Trunk(_), Ingress, Limit::PerSecond(_)) => "trunk_cps_exceeded",
        (Owner::Trunk(_), Egress, Limit::Concurrent(_)) => "trunk_egress_concurrency_exceeded",
        (Owner::Trunk(_), Egress, Limit::PerSecond(_)) => "trunk_egress_cps_exceeded",
        (Owner::Subscriber(_), _, Limit::Concurrent(_)) => "subscriber_concurrency_exceeded",
        (Owner::Subscriber(_), _, Limit::PerSecond(_)) => "subscriber_cps_exceeded",
        (Owner::Route(_), _, Limit::Concurrent(_)) => "route_concurrency_exceeded",
        (Owner::Route(_), _, Limit::PerSecond(_)) => "route_cps_exceeded",
        (Owner::Prefix(_), _, Limit::Concurrent(_)) => "prefix_concurrency_exceeded",
        (Owner::Prefix(_), _, Limit::PerSecond(_)) => "prefix_cps_exceeded",
        (Owner::Pair(_), ..) => "pair_concurrency_exceeded",
        (Owner::Did(_), _, Limit::Concurrent(_)) => "did_concurrency_exceeded",
        (Owner::Did(_), _, Limit::PerSecond(_)) => "did_cps_exceeded",
    }
}

fn cause_of(refused: &Refused) -> Cause {
    match refused {
        Refused::AccountInactive(_) | Refused::NoRateGroup(_) => Cause::Rejected,
        Refused::NoRate(_) => Cause::NoRoute,
        Refused::InsufficientCredit(_) => Cause::NoCredit,
        Refused::NoCarrier(_) => Cause::NoCircuit,
    }
}
