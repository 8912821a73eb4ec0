//! Subscribers who have their calls go on to a number. That is a call of its own, which the
//! forwarder places and pays for: a caller never pays for where a callee has moved to.

use std::fmt;

use vocabulary::{CallId, SubscriberId};

use crate::decision::Decision;
use crate::directory::Directory;
use crate::release::Cause;

/// A call is sent on no more often than this, what trusted peers tell of it included.
pub const FORWARDS_MAX: u8 = 5;

/// Where a subscriber's calls go instead of to its phones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwards {
    /// All of them, to this: dialled as the subscriber dials.
    pub always: Option<Box<str>>,
}

/// What forwarding did with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardingDecision {
    /// The callee's calls go on to this.
    Always(SubscriberId, Box<str>),
    /// They go on as this call.
    As(CallId),
    /// This call goes on for a subscriber that was called by that one.
    For(SubscriberId, CallId),
}

impl ForwardingDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            ForwardingDecision::Always(..) => "forwarded_always",
            ForwardingDecision::As(_) => "forwarded_as",
            ForwardingDecision::For(..) => "forwarded_for",
        }
    }
}

impl fmt::Display for ForwardingDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardingDecision::Always(id, to) => write!(
                f,
                "The callee, subscriber {id}, forwards all calls to {to}, in a call that it pays."
            ),
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

/// Where a call to this subscriber goes on to, if it does. `diverted_by` are those who sent it on
/// here before, and `before` is how often it was diverted before it came to us.
pub(crate) fn goes_on(
    directory: &Directory,
    callee: SubscriberId,
    diverted_by: &[SubscriberId],
    before: u8,
    decisions: &mut Vec<Decision>,
) -> Result<Option<Box<str>>, ForwardingRefusal> {
    let row = directory.subscriber(callee);
    let Some(to) = row.and_then(|row| row.forwards.always.as_ref()) else { return Ok(None) };
    if diverted_by.contains(&callee) {
        return Err(ForwardingRefusal::Loop(callee));
    }
    if diverted_by.len() + usize::from(before) >= usize::from(FORWARDS_MAX) {
        return Err(ForwardingRefusal::TooOften(FORWARDS_MAX));
    }
    decisions.push(Decision::Forwarding(ForwardingDecision::Always(callee, to.clone())));
    Ok(Some(to.clone()))
}

#[cfg(test)]
mod tests {
    use vocabulary::AccountId;

    use super::*;
    use crate::directory::{AccountRow, DigestSecret, DirectoryBuilder, Settings, SubscriberRow};

    #[test]
    fn a_call_is_sent_on_by_each_once_and_five_times_at_most() {
        let mut builder = DirectoryBuilder::new(Settings::default(), 1)
            .account(AccountRow::new(AccountId(1), "a"));
        for id in 1..=7 {
            let secret = DigestSecret { ha1_md5: [0; 16], ha1_sha256: [0; 32] };
            let name = format!("s{id}");
            let mut row = SubscriberRow::new(SubscriberId(id), AccountId(1), &name, secret);
            row.forwards.always = (id != 7).then(|| "49170".into());
            builder = builder.subscriber(row);
        }
        let directory = builder.build().unwrap();
        let ids = |ids: &[u64]| ids.iter().copied().map(SubscriberId).collect::<Vec<_>>();
        let sent_on = |callee, by: &[u64], before| {
            goes_on(&directory, SubscriberId(callee), &ids(by), before, &mut Vec::new())
        };
        let ask = |callee, by| sent_on(callee, by, 0);
        assert_eq!(ask(1, &[]), Ok(Some("49170".into())));
        assert_eq!(ask(5, &[1, 2, 3, 4]), Ok(Some("49170".into())));
        assert_eq!(ask(6, &[1, 2, 3, 4, 5]), Err(ForwardingRefusal::TooOften(5)));
        assert_eq!(ask(2, &[1, 2]), Err(ForwardingRefusal::Loop(SubscriberId(2))));
        assert_eq!(ask(7, &[1, 2, 3, 4, 5]), Ok(None));
        assert_eq!(sent_on(3, &[1, 2], 2), Ok(Some("49170".into())));
        for before in [3, u8::MAX] {
            assert_eq!(sent_on(3, &[1, 2], before), Err(ForwardingRefusal::TooOften(5)));
        }
    }
}
