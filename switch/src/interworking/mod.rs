//! What is done for peers that want less, or other things, than who they talk with (S8): which codecs
//! pass in session descriptions, what becomes of early media, and whether provisional responses are
//! reliable. By trunk; codecs also by account.

mod codecs;
mod reason;
mod sdp;

use std::sync::Arc;

use vocabulary::SubscriberId;

pub use codecs::{CodecError, Codecs};
#[cfg(test)]
pub(crate) use reason::samples;
pub use reason::{InterworkingDecision, InterworkingRefusal, Talker};
pub use sdp::{Narrowed, narrow};

use crate::directory::{Directory, TrunkRow};
use crate::leg::event::Body;
use crate::routing::Source;

/// What of the early media of a trunk's callees their callers get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EarlyMedia {
    /// All of it: provisional responses pass with their session descriptions.
    #[default]
    Pass,
    /// That it rings: 180 without a session description.
    Ringing,
    /// Nothing: a provisional response with a session description is not passed on.
    Suppress,
}

impl EarlyMedia {
    /// All of them.
    pub const ALL: [EarlyMedia; 3] = [EarlyMedia::Pass, EarlyMedia::Ringing, EarlyMedia::Suppress];

    /// The word in the database and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            EarlyMedia::Pass => "pass",
            EarlyMedia::Ringing => "ringing",
            EarlyMedia::Suppress => "suppress",
        }
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<EarlyMedia> {
        EarlyMedia::ALL.into_iter().find(|one| one.word() == word)
    }
}

/// Whether provisional responses between a trunk and us are reliable (RFC 3262).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reliability {
    /// If both sides know how, and early media or the peer wants it.
    #[default]
    Supported,
    /// Always: an INVITE of ours requires 100rel, and one of the trunk that does not support it is
    /// refused with 421.
    Required,
    /// Never: it is not offered, and an INVITE that requires it is refused with 420.
    Off,
}

impl Reliability {
    /// All of them.
    pub const ALL: [Reliability; 3] =
        [Reliability::Supported, Reliability::Required, Reliability::Off];

    /// The word in the database and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Reliability::Supported => "supported",
            Reliability::Required => "required",
            Reliability::Off => "off",
        }
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<Reliability> {
        Reliability::ALL.into_iter().find(|one| one.word() == word)
    }
}

/// What a trunk wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interworking {
    /// The codecs that pass to it and from it; `None`: all, in the order of whoever offers them.
    pub codecs: Option<Arc<Codecs>>,
    /// What becomes of the early media of its callees.
    pub early_media: EarlyMedia,
    /// Whether provisional responses are reliable.
    pub reliability: Reliability,
    /// Whether it may transfer calls (REFER). Its account pays for those that follow.
    pub may_transfer: bool,
}

/// Whether the peer may have one party take the place of another (RFC 3891): phones, and trunks that may
/// transfer calls, by `Replaces` in a REFER.
pub(crate) fn may_replace(directory: &Directory, peer: Source) -> bool {
    match peer {
        Source::Subscriber(_) => true,
        Source::Trunk(id) => {
            directory.trunk(id).is_some_and(|trunk| trunk.interworking.may_transfer)
        }
    }
}

/// What the leg of a peer goes by. Most legs have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegPolicy {
    /// Of its trunk and of its account: a codec has to be in each list that there is.
    pub codecs: [Option<Arc<Codecs>>; 2],
    /// Whether provisional responses are reliable.
    pub reliability: Reliability,
}

impl LegPolicy {
    /// For a leg of this trunk; `None` if nothing is special.
    pub(crate) fn of_trunk(directory: &Directory, trunk: &TrunkRow) -> Option<Box<LegPolicy>> {
        let Interworking { codecs, reliability, .. } = &trunk.interworking;
        let of_account = directory.account(trunk.account).and_then(|row| row.codecs.as_ref());
        LegPolicy::boxed([codecs.as_ref(), of_account], *reliability)
    }

    /// For a leg of this subscriber; `None` if nothing is special.
    pub(crate) fn of_subscriber(
        directory: &Directory,
        subscriber: SubscriberId,
    ) -> Option<Box<LegPolicy>> {
        let account = directory.account(directory.subscriber(subscriber)?.account)?;
        LegPolicy::boxed([None, account.codecs.as_ref()], Reliability::default())
    }

    /// For a leg of whoever calls.
    pub(crate) fn of_source(directory: &Directory, source: Source) -> Option<Box<LegPolicy>> {
        match source {
            Source::Trunk(id) => LegPolicy::of_trunk(directory, directory.trunk(id)?),
            Source::Subscriber(id) => LegPolicy::of_subscriber(directory, id),
        }
    }

    fn boxed(
        codecs: [Option<&Arc<Codecs>>; 2],
        reliability: Reliability,
    ) -> Option<Box<LegPolicy>> {
        let is_special =
            codecs.iter().any(Option::is_some) || reliability != Reliability::default();
        is_special
            .then(|| Box::new(LegPolicy { codecs: codecs.map(|list| list.cloned()), reliability }))
    }

    /// What is left of a body for this peer, or from it; `None`: all of it. What is no session
    /// description passes as it is.
    pub(crate) fn narrow(&self, body: &Body) -> Option<Narrowed> {
        let [of_trunk, of_account] = &self.codecs;
        let mut lists = of_trunk.iter().chain(of_account);
        let first = lists.next()?;
        if !body.is_sdp() {
            return None;
        }
        narrow(&body.bytes, first, lists.next().map(|list| &**list))
    }
}
