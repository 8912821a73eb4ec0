//! DIDs: numbers of ours that calls come in to. Where each leads, whose it is, and how many calls it
//! may have. What it costs is billing's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vocabulary::{AccountId, CallKind, DidId, Number, SubscriberId, TrunkId};

use crate::admission::NotAdmitted;
use crate::decision::{Decision, Refusal};
use crate::directory::{Directory, Limits, TrunkRole};
use crate::registrar::Bindings;
use crate::release::Cause;
use crate::routing::{Destination, Source};

/// A DID leads to no more phones than this.
pub const MEMBERS_MAX: usize = 16;

/// A DID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DidRow {
    /// Which.
    pub id: DidId,
    /// E.164 without `+`.
    pub number: Number,
    /// Whose; pays for what comes in to it from outside.
    pub account: AccountId,
    /// Off means that it takes no calls.
    pub is_active: bool,
    /// Where its calls go.
    pub target: DidTarget,
    /// Calls to it.
    pub limits: Limits,
}

/// Where the calls to a DID go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DidTarget {
    /// To a subscriber, or where that forwards its calls.
    Subscriber(SubscriberId),
    /// To several subscribers.
    Group(Arc<Group>),
    /// To a trunk, such as a telephone system of the account. Nobody is paid for that.
    Trunk(TrunkId),
}

/// Subscribers that a DID rings. Whether one of them forwards its calls is not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The DID.
    pub did: DidId,
    /// Who, in their order; none twice.
    pub members: Box<[SubscriberId]>,
    /// When.
    pub order: RingOrder,
}

/// When the members of a group ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingOrder {
    /// All at the same time; who answers first has the call.
    AtOnce,
    /// One after the other, each for so long; whoever refuses or is not there is passed over.
    InOrder(Duration),
}

/// What a DID did with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DidDecision {
    /// The number is this DID of this account, and it leads there.
    Found(DidId, AccountId, Lead),
    /// A member of its group was left out.
    MemberSkipped(SubscriberId, MemberSkip),
}

/// Where a DID leads, in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// To a subscriber.
    Subscriber(SubscriberId),
    /// To so many subscribers at once.
    AtOnce(u8),
    /// To so many in order.
    InOrder(u8),
    /// To a trunk.
    Trunk(TrunkId),
}

/// Why a member of a group does not ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberSkip {
    /// It is switched off.
    Inactive,
    /// It does not want to be disturbed.
    DoNotDisturb,
    /// It has no valid contact.
    NotRegistered,
    /// The call wants TLS (`sips:`), which reaches none of its phones.
    Insecure,
    /// It has as many calls as it may.
    Full(NotAdmitted),
    /// The call has rung as many phones as one may.
    TooManyPhones,
}

impl DidDecision {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            DidDecision::Found(..) => "did_found",
            DidDecision::MemberSkipped(_, MemberSkip::Inactive) => "member_skipped_inactive",
            DidDecision::MemberSkipped(_, MemberSkip::DoNotDisturb) => {
                "member_skipped_do_not_disturb"
            }
            DidDecision::MemberSkipped(_, MemberSkip::NotRegistered) => {
                "member_skipped_not_registered"
            }
            DidDecision::MemberSkipped(_, MemberSkip::Insecure) => "member_skipped_insecure",
            DidDecision::MemberSkipped(_, MemberSkip::Full(_)) => "member_skipped_full",
            DidDecision::MemberSkipped(_, MemberSkip::TooManyPhones) => "member_skipped_too_many",
        }
    }
}

impl fmt::Display for DidDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DidDecision::Found(did, account, lead) => {
                write!(f, "The number is DID {did} of account {account}, which leads to ")?;
                match lead {
                    Lead::Subscriber(id) => write!(f, "subscriber {id}."),
                    Lead::AtOnce(members) => write!(f, "{members} subscribers at once."),
                    Lead::InOrder(members) => {
                        write!(f, "{members} subscribers, one after the other.")
                    }
                    Lead::Trunk(id) => write!(f, "trunk {id}."),
                }
            }
            DidDecision::MemberSkipped(id, why) => {
                write!(f, "Subscriber {id} was left out: ")?;
                match why {
                    MemberSkip::Inactive => f.write_str("it is switched off."),
                    MemberSkip::DoNotDisturb => f.write_str("it does not want to be disturbed."),
                    MemberSkip::NotRegistered => f.write_str("it is not registered."),
                    MemberSkip::Insecure => f.write_str("TLS reaches none of its phones."),
                    MemberSkip::Full(full) => write!(f, "{full}."),
                    MemberSkip::TooManyPhones => {
                        f.write_str("the call has rung as many phones as one may.")
                    }
                }
            }
        }
    }
}

/// Why a DID takes no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DidRefusal {
    /// It is switched off.
    Inactive(DidId),
    /// None of the phones that it leads to is registered.
    NobodyRegistered(DidId),
}

impl DidRefusal {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            DidRefusal::Inactive(_) => "did_inactive",
            DidRefusal::NobodyRegistered(_) => "did_nobody_registered",
        }
    }

    pub(crate) fn cause(&self) -> Cause {
        Cause::Absent
    }
}

impl fmt::Display for DidRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DidRefusal::Inactive(did) => write!(f, "DID {did} is switched off."),
            DidRefusal::NobodyRegistered(did) => {
                write!(f, "None of the subscribers that DID {did} leads to is registered.")
            }
        }
    }
}

#[cfg(test)]
pub(crate) fn samples() -> [DidRefusal; 2] {
    [DidRefusal::Inactive(DidId(4)), DidRefusal::NobodyRegistered(DidId(4))]
}

/// Who pays for a call from there to this DID, and how it is priced: a caller of ours pays as for any
/// call to our own, and what comes from outside is paid by the account that has the DID.
pub(crate) fn terms(
    directory: &Directory,
    source: Option<Source>,
    account: AccountId,
    did: &DidRow,
) -> (AccountId, CallKind) {
    let role = match source {
        Some(Source::Trunk(id)) => directory.trunk(id).map(|row| row.role),
        Some(Source::Subscriber(_)) | None => None,
    };
    match role {
        Some(TrunkRole::Peer) => (did.account, CallKind::Inbound(did.id)),
        Some(TrunkRole::Equipment) => (account, CallKind::Internal),
        Some(TrunkRole::Customer) | None => (account, CallKind::Local),
    }
}

/// Where its calls go, unless it takes none. A trunk is not looked at yet.
pub(crate) fn leads_to(
    directory: &Directory,
    did: &DidRow,
    decisions: &mut Vec<Decision>,
) -> Result<Destination, Refusal> {
    let (destination, lead) = match &did.target {
        DidTarget::Subscriber(id) => (Destination::Subscriber(*id), Lead::Subscriber(*id)),
        DidTarget::Trunk(id) => (Destination::Trunk(*id), Lead::Trunk(*id)),
        DidTarget::Group(group) => {
            let members = u8::try_from(group.members.len()).unwrap_or(u8::MAX);
            let lead = match group.order {
                RingOrder::AtOnce => Lead::AtOnce(members),
                RingOrder::InOrder(_) => Lead::InOrder(members),
            };
            (Destination::Group(Arc::clone(group)), lead)
        }
    };
    decisions.push(Decision::Did(DidDecision::Found(did.id, did.account, lead)));
    if !did.is_active {
        return Err(Refusal::Did(DidRefusal::Inactive(did.id)));
    }
    if !directory.account(did.account).is_some_and(|account| account.is_active) {
        return Err(Refusal::CalleeAccountInactive(did.account));
    }
    if let DidTarget::Subscriber(id) = did.target
        && !directory.subscriber(id).is_some_and(|row| row.is_active)
    {
        return Err(Refusal::CalleeInactive(id));
    }
    Ok(destination)
}

impl Group {
    /// The contacts of a member, unless it does not ring.
    pub(crate) fn contacts_of(
        directory: &Directory,
        bindings: &Bindings,
        member: SubscriberId,
        now: vocabulary::Utc,
    ) -> Result<usize, MemberSkip> {
        let row = directory.subscriber(member).filter(|row| row.is_active);
        let row = row.ok_or(MemberSkip::Inactive)?;
        if row.availability.do_not_disturb {
            return Err(MemberSkip::DoNotDisturb);
        }
        match bindings.contacts(member, now).len() {
            0 => Err(MemberSkip::NotRegistered),
            contacts => Ok(contacts),
        }
    }

    /// Whether any of its phones can ring.
    pub(crate) fn is_there(
        &self,
        directory: &Directory,
        bindings: &Bindings,
        now: vocabulary::Utc,
    ) -> Result<(), Refusal> {
        let rings =
            |member: &SubscriberId| Group::contacts_of(directory, bindings, *member, now).is_ok();
        match self.members.iter().any(rings) {
            true => Ok(()),
            false => Err(Refusal::Did(DidRefusal::NobodyRegistered(self.did))),
        }
    }
}
