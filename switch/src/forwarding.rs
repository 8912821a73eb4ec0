//! Subscribers who have their calls go on to a number: all of them, or those that find them busy, away
//! or not answering. That is a call of its own, which the forwarder places and pays for: a caller never
//! pays for where a callee has moved to. And what a subscriber wants of the calls to its own phones.

use std::fmt;
use std::time::Duration;

use vocabulary::{CallId, SubscriberId};

use crate::decision::{Decision, Refusal};
use crate::directory::Directory;
use crate::release::Cause;
use crate::routing::Source;

/// A call is sent on no more often than this, what trusted peers tell of it included.
pub const FORWARDS_MAX: u8 = 5;

/// Where a subscriber's calls go on to: dialled as the subscriber dials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwards {
    /// All of them, instead of to its phones.
    pub always: Option<Box<str>>,
    /// Those that find it busy: its phones say so, it has as many calls as it may, or it does not want
    /// to be disturbed.
    pub busy: Option<Box<str>>,
    /// Those that it does not answer.
    pub no_answer: Option<NoAnswer>,
    /// Those that find none of its phones registered, or reach none.
    pub offline: Option<Box<str>>,
}

/// Where calls go that are not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// To this.
    pub to: Box<str>,
    /// After its phones have rung for so long.
    pub after: Duration,
}

/// What a subscriber wants of the calls to its own phones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// None.
    pub do_not_disturb: bool,
    /// So many at once, ringing or up; `None`: any number, one more is knocking.
    pub calls_max: Option<u32>,
}

/// Why a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All calls do.
    Always,
    /// The callee does not want to be disturbed.
    DoNotDisturb,
    /// The callee is busy.
    Busy,
    /// The callee does not answer.
    NoAnswer,
    /// The callee's phones are not there.
    Offline,
}

impl Condition {
    fn target(self, forwards: &Forwards) -> Option<&str> {
        match self {
            Condition::Always => forwards.always.as_deref(),
            Condition::DoNotDisturb | Condition::Busy => forwards.busy.as_deref(),
            Condition::NoAnswer => forwards.no_answer.as_ref().map(|no_answer| &*no_answer.to),
            Condition::Offline => forwards.offline.as_deref(),
        }
    }

    /// `reason` of a Diversion (RFC 5806 section 4).
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Condition::Always => "unconditional",
            Condition::DoNotDisturb => "do-not-disturb",
            Condition::Busy => "user-busy",
            Condition::NoAnswer => "no-answer",
            Condition::Offline => "unavailable",
        }
    }

    /// `cause` of a target in History-Info (RFC 4458 section 2). It has no value for a callee who does
    /// not want to be disturbed, who counts as busy.
    pub(crate) fn history_cause(self) -> u16 {
        match self {
            Condition::Always => 302,
            Condition::DoNotDisturb | Condition::Busy => 486,
            Condition::NoAnswer => 408,
            Condition::Offline => 503,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Condition::Always => "forwarded_always",
            Condition::DoNotDisturb => "forwarded_do_not_disturb",
            Condition::Busy => "forwarded_busy",
            Condition::NoAnswer => "forwarded_no_answer",
            Condition::Offline => "forwarded_offline",
        }
    }
}

/// Who has sent a call on, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DivertedBy {
    /// A trunk only transfers.
    pub(crate) by: Source,
    /// `None` if it has not forwarded the call but transferred it.
    pub(crate) why: Option<Condition>,
}

/// What forwarding did with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardingDecision {
    /// The callee's calls go on to this.
    To(Condition, SubscriberId, Box<str>),
    /// They would, but this one may not.
    Not(ForwardingRefusal),
    /// The callee's phones have as many calls as it wants.
    Occupied(SubscriberId, u32),
    /// They go on as this call.
    As(CallId),
    /// This call goes on for a subscriber that was called by that one.
    For(SubscriberId, CallId),
}

impl ForwardingDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            ForwardingDecision::To(condition, ..) => condition.code(),
            ForwardingDecision::Not(_) => "not_forwarded",
            ForwardingDecision::Occupied(..) => "callee_occupied",
            ForwardingDecision::As(_) => "forwarded_as",
            ForwardingDecision::For(..) => "forwarded_for",
        }
    }
}

impl fmt::Display for ForwardingDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardingDecision::To(condition, id, to) => {
                let which = match condition {
                    Condition::Always => "forwards all calls",
                    Condition::DoNotDisturb => {
                        "does not want to be disturbed and forwards such calls"
                    }
                    Condition::Busy => "is busy and forwards such calls",
                    Condition::NoAnswer => "does not answer and forwards such calls",
                    Condition::Offline => "cannot be reached and forwards such calls",
                };
                write!(f, "The callee, subscriber {id}, {which} to {to}, in a call that it pays.")
            }
            ForwardingDecision::Not(why) => write!(f, "The call is not forwarded: {}", why),
            ForwardingDecision::Occupied(id, calls) => {
                write!(
                    f,
                    "The phones of subscriber {id} have {calls} call(s) already, as many as it wants."
                )
            }
            ForwardingDecision::As(call) => write!(f, "It goes on as call {call}."),
            ForwardingDecision::For(id, call) => {
                write!(f, "This is call {call} going on, which subscriber {id} forwards.")
            }
        }
    }
}

/// Why a call is not sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardingRefusal {
    /// It has been sent on by this subscriber before.
    Loop(SubscriberId),
    /// It has been sent on as often as a call may be.
    TooOften(u8),
}

impl ForwardingRefusal {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            ForwardingRefusal::Loop(_) => "forwarding_loop",
            ForwardingRefusal::TooOften(_) => "forwarded_too_often",
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        Cause::ExchangeRoutingError
    }
}

impl fmt::Display for ForwardingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardingRefusal::Loop(id) => {
                write!(f, "Subscriber {id} has forwarded this call before.")
            }
            ForwardingRefusal::TooOften(times) => {
                write!(f, "The call has been forwarded {times} times, as often as it may.")
            }
        }
    }
}

/// The call as forwarding sees it: what has become of it so far.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    /// Those who sent it on here, in their order.
    pub(crate) by: &'a [DivertedBy],
    /// How often it was diverted before it came to us.
    pub(crate) before: u8,
}

impl Sent<'_> {
    /// Whether this subscriber may send it on.
    pub(crate) fn may_go_on(&self, callee: SubscriberId) -> Result<(), ForwardingRefusal> {
        if self.by.iter().any(|by| by.by == Source::Subscriber(callee)) {
            return Err(ForwardingRefusal::Loop(callee));
        }
        if self.by.len() + usize::from(self.before) >= usize::from(FORWARDS_MAX) {
            return Err(ForwardingRefusal::TooOften(FORWARDS_MAX));
        }
        Ok(())
    }
}

/// Where a call that has met this condition goes on to, if the callee wants it to and it may.
pub(crate) fn goes_on(
    directory: &Directory,
    callee: SubscriberId,
    condition: Condition,
    sent: Sent<'_>,
    decisions: &mut Vec<Decision>,
) -> Option<Box<str>> {
    let row = directory.subscriber(callee)?;
    let to = condition.target(&row.forwards)?;
    let decision = match sent.may_go_on(callee) {
        Ok(()) => ForwardingDecision::To(condition, callee, to.into()),
        Err(why) => ForwardingDecision::Not(why),
    };
    let goes_on = matches!(decision, ForwardingDecision::To(..)).then(|| to.into());
    decisions.push(Decision::Forwarding(decision));
    goes_on
}

/// Where a call goes on to before it could ring the callee's phones; `is_there`: it has any.
pub(crate) fn instead_of_ringing(
    directory: &Directory,
    callee: SubscriberId,
    is_there: bool,
    sent: Sent<'_>,
    decisions: &mut Vec<Decision>,
) -> Result<Option<(Condition, Box<str>)>, Refusal> {
    let Some(row) = directory.subscriber(callee) else { return Ok(None) };
    let condition = if row.forwards.always.is_some() {
        // It is not at its phones: a call that may not go on has nowhere to go.
        sent.may_go_on(callee).map_err(Refusal::Forwarding)?;
        Condition::Always
    } else if row.availability.do_not_disturb {
        Condition::DoNotDisturb
    } else if !is_there {
        Condition::Offline
    } else {
        return Ok(None);
    };
    match goes_on(directory, callee, condition, sent, decisions) {
        Some(to) => Ok(Some((condition, to))),
        None if condition == Condition::DoNotDisturb => Err(Refusal::DoNotDisturb(callee)),
        None => Err(Refusal::NotRegistered(callee)),
    }
}

#[cfg(test)]
mod tests {
    use vocabulary::AccountId;

    use super::*;
    use crate::directory::{AccountRow, DigestSecret, DirectoryBuilder, Settings, SubscriberRow};

    fn directory(of_each: impl Fn(u64, &mut SubscriberRow)) -> Directory {
        let mut builder = DirectoryBuilder::new(Settings::default(), 1)
            .account(AccountRow::new(AccountId(1), "a"));
        for id in 1..=7 {
            let secret = DigestSecret { ha1_md5: [0; 16], ha1_sha256: [0; 32] };
            let name = format!("s{id}");
            let mut row = SubscriberRow::new(SubscriberId(id), AccountId(1), &name, secret);
            of_each(id, &mut row);
            builder = builder.subscriber(row);
        }
        builder.build().unwrap()
    }

    fn by(ids: &[u64]) -> Vec<DivertedBy> {
        let of = |id: &u64| DivertedBy {
            by: Source::Subscriber(SubscriberId(*id)),
            why: Some(Condition::Busy),
        };
        ids.iter().map(of).collect()
    }

    #[test]
    fn a_call_is_sent_on_by_each_once_and_five_times_at_most() {
        let directory = directory(|id, row| {
            row.forwards.always = (id != 7).then(|| "49170".into());
        });
        let sent_on = |callee, diverted: &[u64], before| {
            let (by, decisions) = (by(diverted), &mut Vec::new());
            let sent = Sent { by: &by, before };
            instead_of_ringing(&directory, SubscriberId(callee), true, sent, decisions)
        };
        let ask = |callee, by| sent_on(callee, by, 0);
        let goes_on = Ok(Some((Condition::Always, "49170".into())));
        let refused = |why| Err(Refusal::Forwarding(why));
        assert_eq!(ask(1, &[]), goes_on);
        assert_eq!(ask(5, &[1, 2, 3, 4]), goes_on);
        assert_eq!(ask(6, &[1, 2, 3, 4, 5]), refused(ForwardingRefusal::TooOften(5)));
        assert_eq!(ask(2, &[1, 2]), refused(ForwardingRefusal::Loop(SubscriberId(2))));
        assert_eq!(ask(7, &[1, 2, 3, 4, 5]), Ok(None));
        assert_eq!(sent_on(3, &[1, 2], 2), goes_on);
        for before in [3, u8::MAX] {
            assert_eq!(sent_on(3, &[1, 2], before), refused(ForwardingRefusal::TooOften(5)));
        }
    }

    #[test]
    fn the_first_condition_that_holds_decides() {
        #[track_caller]
        fn check(
            of_each: impl Fn(&mut SubscriberRow),
            (is_there, diverted): (bool, &[u64]),
            expected: Result<Option<(Condition, &str)>, Refusal>,
            codes: &[&str],
        ) {
            let directory = directory(|_, row| of_each(row));
            let (by, mut decisions) = (by(diverted), Vec::new());
            let sent = Sent { by: &by, before: 0 };
            let found =
                instead_of_ringing(&directory, SubscriberId(1), is_there, sent, &mut decisions);
            assert_eq!(found, expected.map(|to| to.map(|(why, to)| (why, to.into()))));
            assert_eq!(decisions.iter().map(Decision::code).collect::<Vec<_>>(), codes);
        }
        let all = |row: &mut SubscriberRow| {
            row.forwards = Forwards {
                always: None,
                busy: Some("1".into()),
                no_answer: Some(NoAnswer { to: "2".into(), after: Duration::from_secs(9) }),
                offline: Some("3".into()),
            };
        };
        let quiet = |row: &mut SubscriberRow| row.availability.do_not_disturb = true;
        let always = |row: &mut SubscriberRow| row.forwards.always = Some("0".into());
        let to = |why, to| Ok(Some((why, to)));
        let callee = SubscriberId(1);
        check(|_| {}, (true, &[]), Ok(None), &[]);
        check(|_| {}, (false, &[]), Err(Refusal::NotRegistered(callee)), &[]);
        check(all, (true, &[]), Ok(None), &[]);
        check(all, (false, &[]), to(Condition::Offline, "3"), &["forwarded_offline"]);
        check(quiet, (true, &[]), Err(Refusal::DoNotDisturb(callee)), &[]);
        let both = |row: &mut SubscriberRow| (all(row), quiet(row)).0;
        let busy = to(Condition::DoNotDisturb, "1");
        check(both, (true, &[]), busy.clone(), &["forwarded_do_not_disturb"]);
        check(both, (false, &[]), busy, &["forwarded_do_not_disturb"]);
        check(both, (true, &[1]), Err(Refusal::DoNotDisturb(callee)), &["not_forwarded"]);
        check(all, (false, &[1]), Err(Refusal::NotRegistered(callee)), &["not_forwarded"]);
        let every = |row: &mut SubscriberRow| (both(row), always(row)).0;
        check(every, (true, &[]), to(Condition::Always, "0"), &["forwarded_always"]);
    }
}
