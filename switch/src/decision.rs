//! Why a call went as it did: each reason is a value while the call lives, and becomes a code and
//! one sentence for an operator (`tandem why`) when it ends. Every refusal knows its SIP status and
//! its cause.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use vocabulary::{AccountId, DecisionLine, Direction, Number, Refused, SubscriberId, TrunkId};

use crate::admission::{Limit, NotAdmitted, Owner};
use crate::release::Cause;
use crate::routing::PlanError;

/// One reason in the life of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The caller is a subscriber whose digest was right.
    FromSubscriber(SubscriberId, Box<str>),
    /// The caller is a trunk known by its address.
    FromTrunk(TrunkId, SocketAddr),
    /// The caller is a trunk whose digest was right.
    FromTrunkByDigest(TrunkId, Box<str>),
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
    /// A trunk was left out because it is switched off.
    TrunkSkippedInactive(TrunkId),
    /// A trunk was left out because the call came from it.
    TrunkSkippedLoop(TrunkId),
    /// A trunk was left out because it is full.
    TrunkSkippedFull(TrunkId, NotAdmitted),
    /// Neither its name nor its address led anywhere.
    TrunkUnresolved(TrunkId, Box<str>),
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

/// How a call that had begun to talk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The caller hung up.
    ByCaller,
    /// The callee hung up.
    ByCallee,
    /// The caller gave up before the answer.
    CallerGaveUp,
    /// The money was used up after this much talk.
    CreditUsedUp(Duration),
    /// The longest allowed duration.
    DurationLimit(Duration),
    /// A leg was lost: session timer, no ACK, transport.
    LegLost(Direction, Cause),
    /// The answer could not be journaled in time, so nobody was connected.
    AnswerNotRecorded,
    /// An operator.
    Operator,
    /// The switch is shutting down.
    Shutdown,
    /// A fault of ours.
    Fault,
}

/// Why a call was not let in, or found nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The answer to our challenge was wrong.
    WrongPassword(Box<str>),
    /// Nobody has this user name.
    UnknownUser(Box<str>),
    /// The credentials belong to another than the trunk that sent them.
    ForeignCredentials(TrunkId, Box<str>),
    /// A trunk with address and digest sent the digest from elsewhere.
    WrongAddress(TrunkId, SocketAddr),
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
    /// Max-Forwards is used up.
    TooManyHops,
    /// The call has been here before.
    Loop,
    /// The INVITE could not become a leg; the status says why.
    BadInvite(u16),
    /// Billing: the payer's account.
    BillingAccount(DecisionLine),
    /// Billing: no rate group.
    BillingNoRateGroup(DecisionLine),
    /// Billing: no rate.
    BillingNoRate(DecisionLine),
    /// Billing: no money.
    BillingCredit(DecisionLine),
    /// Billing: no carrier left.
    BillingNoCarrier(DecisionLine),
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
            Refusal::WrongPassword(_)
            | Refusal::UnknownUser(_)
            | Refusal::ForeignCredentials(..)
            | Refusal::WrongAddress(..) => Cause::Unauthenticated,
            Refusal::SubscriberInactive(_)
            | Refusal::TrunkInactive(_)
            | Refusal::AccountInactive(_)
            | Refusal::LocalNotAllowed(_)
            | Refusal::BillingAccount(_)
            | Refusal::BillingNoRateGroup(_) => Cause::Rejected,
            Refusal::CalleeAccountInactive(_)
            | Refusal::CalleeInactive(_)
            | Refusal::NotRegistered(_) => Cause::Absent,
            Refusal::Limit(_) => Cause::NoCircuit,
            Refusal::NoTrunkUsable(_) | Refusal::BillingNoCarrier(_) => Cause::NoCircuit,
            Refusal::DomainNotServed(_) | Refusal::NoRoute(_) => Cause::NoRoute,
            Refusal::BillingNoRate(_) => Cause::NoRoute,
            Refusal::UnsupportedUri | Refusal::NoNumber | Refusal::InvalidNumber(..) => {
                Cause::InvalidNumber
            }
            Refusal::UnknownName(_) => Cause::UnallocatedNumber,
            Refusal::TooManyHops | Refusal::Loop => Cause::ExchangeRoutingError,
            Refusal::BadInvite(status) => Cause::from_sip_status(*status),
            Refusal::BillingCredit(_) => Cause::NoCredit,
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
            Refusal::Loop => 482,
            Refusal::BadInvite(status) => *status,
            // A caller must not be asked for a password that only concerns us and the carrier.
            Refusal::AttemptsExhausted(_, 401 | 407, cause)
            | Refusal::CalleeRefused(_, 401 | 407, cause) => cause.sip_status(),
            Refusal::AttemptsExhausted(_, status @ 400.., _)
            | Refusal::CalleeRefused(_, status @ 400.., _)
            | Refusal::CalleeUnreachable(_, status @ 400.., _) => *status,
            other => other.cause().sip_status(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Refusal::WrongPassword(_) => "wrong_password",
            Refusal::UnknownUser(_) => "unknown_user",
            Refusal::ForeignCredentials(..) => "foreign_credentials",
            Refusal::WrongAddress(..) => "wrong_address",
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
            Refusal::TooManyHops => "too_many_hops",
            Refusal::Loop => "loop",
            Refusal::BadInvite(_) => "bad_invite",
            Refusal::BillingAccount(line)
            | Refusal::BillingNoRateGroup(line)
            | Refusal::BillingNoRate(line)
            | Refusal::BillingCredit(line)
            | Refusal::BillingNoCarrier(line) => line.code,
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
    }
}

impl Decision {
    /// The stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Decision::FromSubscriber(..) => "from_subscriber",
            Decision::FromTrunk(..) => "from_trunk",
            Decision::FromTrunkByDigest(..) => "from_trunk_by_digest",
            Decision::NumberTranslated(..) => "number_translated",
            Decision::ToSubscriber(..) => "to_subscriber",
            Decision::RoutesFound { .. } => "routes_found",
            Decision::TrunkSkippedInactive(_) => "trunk_skipped_inactive",
            Decision::TrunkSkippedLoop(_) => "trunk_skipped_loop",
            Decision::TrunkSkippedFull(..) => "trunk_skipped_full",
            Decision::TrunkUnresolved(..) => "trunk_unresolved",
            Decision::ContactUnresolved(..) => "contact_unresolved",
            Decision::TriedTrunk(..) => "tried_trunk",
            Decision::TriedContact(..) => "tried_contact",
            Decision::Hunted(..) => "hunted",
            Decision::HuntStopped(..) => "hunt_stopped",
            Decision::RedirectFollowed(_) => "redirect_followed",
            Decision::Answered(_) => "answered",
            Decision::GrantFinal(_) => "grant_final",
            Decision::Billing(line) => line.code,
            Decision::Refused(refusal) => refusal.code(),
            Decision::Ended(end) => end.code(),
        }
    }

    /// Code and sentence.
    pub fn line(&self) -> DecisionLine {
        match self {
            Decision::Billing(line) => line.clone(),
            other => DecisionLine { code: other.code(), sentence: other.to_string() },
        }
    }
}

impl End {
    fn code(&self) -> &'static str {
        match self {
            End::ByCaller => "ended_by_caller",
            End::ByCallee => "ended_by_callee",
            End::CallerGaveUp => "caller_gave_up",
            End::CreditUsedUp(_) => "credit_used_up",
            End::DurationLimit(_) => "duration_limit",
            End::LegLost(..) => "leg_lost",
            End::AnswerNotRecorded => "answer_not_recorded",
            End::Operator => "ended_by_operator",
            End::Shutdown => "ended_by_shutdown",
            End::Fault => "internal_fault",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::ByCaller => write!(f, "The caller hung up."),
            End::ByCallee => write!(f, "The callee hung up."),
            End::CallerGaveUp => write!(f, "The caller gave up before anybody answered."),
            End::CreditUsedUp(talk) => {
                write!(f, "Cut after {} s: the money for the call was used up.", secs(*talk))
            }
            End::DurationLimit(limit) => {
                write!(f, "Cut after {} s, the longest that a call may last.", secs(*limit))
            }
            End::LegLost(side, cause) => {
                write!(f, "The {} was lost ({}).", party(*side), cause.word())
            }
            End::AnswerNotRecorded => write!(
                f,
                "The callee answered, but the journal could not be written in time; nobody was connected."
            ),
            End::Operator => write!(f, "An operator ended the call."),
            End::Shutdown => write!(f, "The switch was shut down and the call was ended."),
            End::Fault => write!(f, "A fault inside the switch ended this one call."),
        }
    }
}

fn secs(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}", duration.as_secs())
    } else {
        format!("{:.1}", duration.as_secs_f64())
    }
}

fn party(side: Direction) -> &'static str {
    match side {
        Direction::Ingress => "caller",
        Direction::Egress => "callee",
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Account(id) => write!(f, "Account {id}"),
            Owner::Trunk(id) => write!(f, "Trunk {id}"),
            Owner::Subscriber(id) => write!(f, "Subscriber {id}"),
        }
    }
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.direction {
            Direction::Ingress => "placing",
            Direction::Egress => "receiving",
        };
        match self.limit {
            Limit::Concurrent(0) | Limit::PerSecond(0) => {
                write!(f, "{} has 0 as its limit on {way} calls", self.owner)
            }
            Limit::Concurrent(limit) => {
                write!(f, "{} is {way} {limit} calls already, as many as it may", self.owner)
            }
            Limit::PerSecond(limit) => write!(
                f,
                "{} is {way} more than the {limit} calls per second that it may",
                self.owner
            ),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::FromSubscriber(id, name) => {
                write!(f, "The caller is subscriber {id} ({name}), by digest.")
            }
            Decision::FromTrunk(id, from) => {
                write!(f, "The caller is trunk {id}, known by its address {from}.")
            }
            Decision::FromTrunkByDigest(id, name) => {
                write!(f, "The caller is trunk {id}, by digest as {name}.")
            }
            Decision::NumberTranslated(dialled, number) if **dialled == *number.as_str() => {
                write!(f, "Dialled {dialled}.")
            }
            Decision::NumberTranslated(dialled, number) => {
                write!(f, "Dialled {dialled}, which is {}.", number.as_str())
            }
            Decision::ToSubscriber(id, contacts) => {
                write!(f, "The callee is subscriber {id}, registered at {contacts} contact(s).")
            }
            Decision::RoutesFound { prefix_length, trunks } => {
                write!(f, "The first {prefix_length} digits lead to {trunks} trunk(s).")
            }
            Decision::TrunkSkippedInactive(id) => write!(f, "Trunk {id} is switched off."),
            Decision::TrunkSkippedLoop(id) => {
                write!(f, "Trunk {id} was left out: the call came from it.")
            }
            Decision::TrunkSkippedFull(id, why) => write!(f, "Trunk {id} was left out: {why}."),
            Decision::TrunkUnresolved(id, host) => {
                write!(f, "Trunk {id} was left out: {host} has no address.")
            }
            Decision::ContactUnresolved(id, uri) => {
                write!(f, "The contact {uri} of subscriber {id} has no usable address.")
            }
            Decision::TriedTrunk(id, to) => write!(f, "Tried trunk {id} at {to}."),
            Decision::TriedContact(id, to) => write!(f, "Rang subscriber {id} at {to}."),
            Decision::Hunted(leg, status, cause) => {
                write!(
                    f,
                    "Attempt {leg} failed with {status} ({}); another may follow.",
                    cause.word()
                )
            }
            Decision::HuntStopped(leg, status, cause) => write!(
                f,
                "Attempt {leg} failed with {status} ({}); no other is tried after that.",
                cause.word()
            ),
            Decision::RedirectFollowed(leg) => {
                write!(f, "Attempt {leg} was redirected and that was followed.")
            }
            Decision::Answered(leg) => write!(f, "Attempt {leg} was answered."),
            Decision::GrantFinal(talk) => {
                write!(f, "The money lasts for {} s of talk and no more.", secs(*talk))
            }
            Decision::Billing(line) => f.write_str(&line.sentence),
            Decision::Refused(refusal) => refusal.fmt(f),
            Decision::Ended(end) => end.fmt(f),
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        match refused {
            Refused::AccountInactive(line) => Refusal::BillingAccount(line),
            Refused::NoRateGroup(line) => Refusal::BillingNoRateGroup(line),
            Refused::NoRate(line) => Refusal::BillingNoRate(line),
            Refused::InsufficientCredit(line) => Refusal::BillingCredit(line),
            Refused::NoCarrier(line) => Refusal::BillingNoCarrier(line),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::WrongPassword(name) => write!(f, "The password of {name} was wrong."),
            Refusal::UnknownUser(name) => write!(f, "There is no user {name}."),
            Refusal::ForeignCredentials(id, name) => {
                write!(f, "Trunk {id} sent the credentials of {name}, which are not its own.")
            }
            Refusal::WrongAddress(id, from) => {
                write!(f, "Trunk {id} may not send from {from}.")
            }
            Refusal::SubscriberInactive(id) => write!(f, "Subscriber {id} is switched off."),
            Refusal::TrunkInactive(id) => write!(f, "Trunk {id} is switched off."),
            Refusal::AccountInactive(id) => write!(f, "Account {id} is switched off."),
            Refusal::CalleeAccountInactive(id) => {
                write!(f, "The callee's account {id} is switched off.")
            }
            Refusal::CalleeInactive(id) => {
                write!(f, "The callee, subscriber {id}, is switched off.")
            }
            Refusal::Limit(limit) => write!(f, "{limit}."),
            Refusal::DomainNotServed(host) => write!(f, "The host {host} is not served here."),
            Refusal::UnsupportedUri => {
                write!(f, "The Request-URI is neither sip, sips nor a global tel URI.")
            }
            Refusal::NoNumber => write!(f, "The Request-URI names nobody to call."),
            Refusal::InvalidNumber(dialled, why) => {
                write!(f, "Dialled {dialled:?}, which is no number: {why}.")
            }
            Refusal::UnknownName(name) => write!(f, "There is no subscriber {name:?}."),
            Refusal::NoRoute(number) => write!(f, "No route covers {}.", number.as_str()),
            Refusal::NoTrunkUsable(number) => write!(
                f,
                "Routes cover {}, but none of their trunks may be used now.",
                number.as_str()
            ),
            Refusal::LocalNotAllowed(id) => {
                write!(f, "Account {id} may not call other subscribers.")
            }
            Refusal::NotRegistered(id) => {
                write!(f, "The callee, subscriber {id}, is not registered.")
            }
            Refusal::TooManyHops => write!(f, "Max-Forwards was used up."),
            Refusal::Loop => write!(f, "The call has passed here before."),
            Refusal::BillingAccount(line)
            | Refusal::BillingNoRateGroup(line)
            | Refusal::BillingNoRate(line)
            | Refusal::BillingCredit(line)
            | Refusal::BillingNoCarrier(line) => f.write_str(&line.sentence),
            Refusal::Unresolved => write!(f, "No way to the callee has an address."),
            Refusal::BadInvite(status) => fmt_bad_invite(f, *status),
            Refusal::Draining => write!(f, "The switch is going down and takes no new calls."),
            other => other.fmt_attempts(f),
        }
    }
}

fn fmt_bad_invite(f: &mut fmt::Formatter<'_>, status: u16) -> fmt::Result {
    match status {
        420 => write!(f, "The INVITE requires an extension that is not supported here."),
        422 => write!(f, "The INVITE asks for a session interval that is too small."),
        _ => write!(f, "The INVITE was answered with {status} because of what it asks for."),
    }
}

impl Refusal {
    /// What came of the attempts.
    fn fmt_attempts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::RingTimeout(limit) => {
                write!(f, "It rang for {} s and nobody answered.", secs(*limit))
            }
            Refusal::AttemptsExhausted(attempts, status, cause) => write!(
                f,
                "None of {attempts} attempts got through; the decisive one ended with {status} ({}).",
                cause.word()
            ),
            Refusal::CalleeUnreachable(leg, _, Cause::NoResponse) => {
                write!(
                    f,
                    "Attempt {leg} got no answer at all: nobody listens there, or it is lost."
                )
            }
            Refusal::CalleeUnreachable(leg, ..) => {
                write!(f, "Attempt {leg} could not be delivered: the callee cannot be reached.")
            }
            Refusal::NoProgress(leg, limit) => write!(
                f,
                "Attempt {leg} was taken and then neither rang nor was refused for {} s.",
                secs(*limit)
            ),
            Refusal::CalleeRefused(leg, status, cause) => {
                write!(f, "The callee refused attempt {leg} with {status} ({}).", cause.word())
            }
            Refusal::RedirectRefused(status) => {
                write!(f, "The callee sent the call elsewhere with {status}; that is not followed.")
            }
            _ => f.write_str(self.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn line(code: &'static str) -> DecisionLine {
        DecisionLine { code, sentence: "Because.".into() }
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
        let from = "192.0.2.9:5060".parse().unwrap();
        let plan = PlanError::OnlyPrefix;
        vec![
            (Refusal::WrongPassword("alice".into()), 403, 21),
            (Refusal::UnknownUser("mallory".into()), 403, 21),
            (Refusal::ForeignCredentials(trunk, "other".into()), 403, 21),
            (Refusal::WrongAddress(trunk, from), 403, 21),
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
            (Refusal::DomainNotServed("example.org".into()), 404, 3),
            (Refusal::UnsupportedUri, 416, 28),
            (Refusal::NoNumber, 404, 28),
            (Refusal::InvalidNumber("00".into(), plan), 484, 28),
            (Refusal::UnknownName("nobody".into()), 404, 1),
            (Refusal::NoRoute(number), 404, 3),
            (Refusal::NoTrunkUsable(number), 503, 34),
            (Refusal::LocalNotAllowed(account), 403, 21),
            (Refusal::NotRegistered(subscriber), 480, 20),
            (Refusal::TooManyHops, 483, 25),
            (Refusal::Loop, 482, 25),
            (Refusal::BadInvite(420), 420, 127),
            (Refusal::BillingAccount(line("account_blocked")), 403, 21),
            (Refusal::BillingNoRateGroup(line("no_rate_group")), 403, 21),
            (Refusal::BillingNoRate(line("no_rate")), 404, 3),
            (Refusal::BillingCredit(line("insufficient_credit")), 402, 21),
            (Refusal::BillingNoCarrier(line("no_carrier")), 503, 34),
            (Refusal::RingTimeout(Duration::from_secs(60)), 480, 19),
            (Refusal::AttemptsExhausted(3, 503, Cause::Congestion), 503, 42),
            (Refusal::CalleeRefused(1, 486, Cause::Busy), 486, 17),
            (Refusal::CalleeUnreachable(1, 408, Cause::NoResponse), 408, 18),
            (Refusal::NoProgress(1, Duration::from_secs(20)), 408, 18),
            (Refusal::Draining, 503, 41),
            (Refusal::RedirectRefused(302), 480, 23),
            (Refusal::Unresolved, 502, 27),
        ]
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
