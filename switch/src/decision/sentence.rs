//! The one sentence for an operator.

use std::fmt;
use std::time::Duration;

use vocabulary::{Direction, TrunkId};

use super::{Decision, End, Refusal};
use crate::admission::{Limit, NotAdmitted, Owner};
use crate::release::Cause;

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::ByCaller => write!(f, "The caller hung up."),
            End::ByCallee => write!(f, "The callee hung up."),
            End::OtherCall(cause) => {
                write!(f, "The call that it is joined to ended ({}).", cause.word())
            }
            End::CallerGaveUp => write!(f, "The caller gave up before anybody answered."),
            End::CreditUsedUp(talk) => {
                write!(f, "Cut after {} s: the money for the call was used up.", secs(*talk))
            }
            End::DurationLimit(limit) => {
                write!(f, "Cut after {} s, the longest that a call may last.", secs(*limit))
            }
            End::AccountDurationLimit(account, limit) => write!(
                f,
                "Cut after {} s, the longest that a call of account {account} may last.",
                secs(*limit)
            ),
            End::LegLost(side, cause) => {
                write!(f, "The {} was lost ({}).", party(*side), cause.word())
            }
            End::AnswerNotRecorded => write!(
                f,
                "The callee answered, but the journal could not be written in time; nobody was connected."
            ),
            End::MessageTaken => write!(f, "The message was taken."),
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
            Owner::Route(id) => write!(f, "Route {id}"),
            Owner::Prefix(id) => write!(f, "Route prefix {id}"),
            Owner::Pair(_) => write!(f, "A pair of numbers"),
            Owner::Did(id) => write!(f, "DID {id}"),
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
            Decision::TrunkSkipped(id, why) => why.write_about(*id, f),
            Decision::AllTrunksDown(id) => write!(
                f,
                "Every trunk that could carry the call is down; trunk {id}, the least bad, is tried."
            ),
            Decision::AllTrunksPoor(id) => write!(
                f,
                "Every trunk that could carry the call has poor quality or is down; trunk {id}, the \
                 least bad, is tried."
            ),
            Decision::TrunksGraded(grades) => fmt_grades(f, grades),
            Decision::TrunksDrawn(draw) => {
                write!(
                    f,
                    "Trunks that share calls by weight were drawn for their places, by {draw}."
                )
            }
            Decision::TrunksAccepted(trunks) => fmt_accepted(f, trunks),
            Decision::CallerId(decision) => decision.fmt(f),
            Decision::Did(decision) => decision.fmt(f),
            Decision::Forwarding(decision) => decision.fmt(f),
            Decision::Transfer(decision) => decision.fmt(f),
            Decision::Stir(decision) => decision.fmt(f),
            Decision::Interworking(decision) => decision.fmt(f),
            Decision::Location(decision) => decision.fmt(f),
            Decision::Number(decision) => decision.fmt(f),
            Decision::Fraud(decision) => decision.fmt(f),
            Decision::CertificateRefused(leg, why) => {
                write!(f, "The certificate of the peer of leg {leg} was refused: {why}.")
            }
            Decision::TrunkUnresolved(id, host) => {
                write!(f, "Trunk {id} was left out: {host} has no address.")
            }
            Decision::ContactUnresolved(id, uri) => {
                write!(f, "The contact {uri} of subscriber {id} has no usable address.")
            }
            Decision::GrantFinal(talk) => {
                write!(f, "The money lasts for {} s of talk and no more.", secs(*talk))
            }
            Decision::Billing(line) => f.write_str(&line.sentence),
            Decision::Refused(refusal) => refusal.fmt(f),
            Decision::Ended(end) => end.fmt(f),
            other => other.fmt_caller(f),
        }
    }
}

impl Decision {
    /// Who calls.
    fn fmt_caller(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            Decision::FromTrunkByCertificate(id, name) => {
                write!(f, "The caller is trunk {id}, by its certificate for {name}.")
            }
            Decision::NamedByGateway(trunk, id) => {
                write!(f, "The gateway, trunk {trunk}, sends a call of subscriber {id}.")
            }
            other => other.fmt_attempt(f),
        }
    }

    /// What was tried, and what came of it.
    fn fmt_attempt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decision::TriedTrunk(id, to) => write!(f, "Tried trunk {id} at {to}."),
            Decision::TriedContact(id, to) => write!(f, "Rang subscriber {id} at {to}."),
            Decision::Hunted(leg, status, cause) => {
                let cause = cause.word();
                write!(f, "Attempt {leg} failed with {status} ({cause}); another may follow.")
            }
            Decision::HuntStopped(leg, status, cause) => {
                let (cause, then) = (cause.word(), "no other is tried after that");
                write!(f, "Attempt {leg} failed with {status} ({cause}); {then}.")
            }
            Decision::CauseHeard(leg, status, meaning) => {
                write!(
                    f,
                    "Attempt {leg} ended with {status}, which from this trunk means {}.",
                    meaning.word()
                )
            }
            Decision::CauseTold(trunk, status, told) => {
                write!(f, "Trunk {trunk} is told {told} in place of {status}.")
            }
            Decision::RedirectFollowed(leg) => {
                write!(f, "Attempt {leg} was redirected and that was followed.")
            }
            Decision::Answered(leg) => write!(f, "Attempt {leg} was answered."),
            _ => f.write_str(self.code()),
        }
    }
}

fn fmt_grades(f: &mut fmt::Formatter<'_>, grades: &[(TrunkId, u8)]) -> fmt::Result {
    write!(f, "Trunks go by the percentage of their calls that they answer:")?;
    for (place, (trunk, grade)) in grades.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        write!(f, "{comma} trunk {trunk} {grade}")?;
    }
    write!(f, ".")
}

fn fmt_accepted(f: &mut fmt::Formatter<'_>, trunks: &[TrunkId]) -> fmt::Result {
    for (index, trunk) in trunks.iter().enumerate() {
        write!(f, "{}runk {trunk}", if index == 0 { "T" } else { ", t" })?;
    }
    write!(f, " may carry the call.")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Identity(why) => why.fmt(f),
            Refusal::Security(why) => why.fmt(f),
            Refusal::CallerId(why) => why.fmt(f),
            Refusal::Did(why) => why.fmt(f),
            Refusal::Forwarding(why) => why.fmt(f),
            Refusal::Stir(why) => why.fmt(f),
            Refusal::Replaces(why) => why.fmt(f),
            Refusal::Interworking(why) => why.fmt(f),
            Refusal::Lookup(why) => why.fmt(f),
            Refusal::Message(why) => why.fmt(f),
            Refusal::Number(why) => why.fmt(f),
            Refusal::Fraud(why) => why.fmt(f),
            Refusal::Billing(refused) => f.write_str(&refused.line().sentence),
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
            Refusal::DoNotDisturb(id) => {
                write!(f, "The callee, subscriber {id}, does not want to be disturbed.")
            }
            Refusal::TooManyHops => write!(f, "Max-Forwards was used up."),
            Refusal::Loop => write!(f, "The call has passed here before."),
            Refusal::Loops(why) => why.fmt(f),
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
