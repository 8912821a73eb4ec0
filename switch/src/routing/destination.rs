//! From who calls and who is called to where the call may go. Pure: asked by a call and by
//! `tandem simulate` alike, so that both always say the same.

use std::fmt;
use std::sync::Arc;

use vocabulary::{AccountId, CallKind, Candidate, DidId, Number, SubscriberId, TrunkId};

use super::candidates::{Asking, candidates};
use super::conditions::Conditions;
use super::order::RoutePolicy;
use super::{NumberPlan, RouteTarget};
use crate::decision::{Decision, Refusal};
use crate::did::{self, DidRow, Group};
use crate::directory::{Directory, SubscriberRow, TrunkRole};
use crate::forwarding::Condition;
use crate::numbers::Called;
use crate::transfer::ReplacedDialog;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A subscriber.
    Subscriber(SubscriberId),
    /// A trunk.
    Trunk(TrunkId),
}

impl Source {
    /// The subscriber, if it is one.
    pub fn subscriber(self) -> Option<SubscriberId> {
        if let Source::Subscriber(id) = self { Some(id) } else { None }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Subscriber(id) => write!(f, "Subscriber {id}"),
            Source::Trunk(id) => write!(f, "Trunk {id}"),
        }
    }
}

/// Where a call may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To a subscriber of ours.
    Subscriber(SubscriberId),
    /// On, as a call of a subscriber who forwards its calls.
    Forwarded {
        /// Who forwards, and pays for it.
        by: SubscriberId,
        /// Why.
        why: Condition,
        /// What it has its calls go to, as it dials.
        to: Box<str>,
    },
    /// To the subscribers that a DID rings.
    Group(Arc<Group>),
    /// To the trunk that a DID leads to: nobody is paid for that.
    Trunk(TrunkId),
    /// Into a call that is up, in the place of one of its parties.
    Place(Arc<ReplacedDialog>),
    /// Out, by one of these trunks.
    Trunks(Vec<Candidate>),
}

/// A destination and what billing needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Where it goes.
    pub destination: Destination,
    /// The called number; for a subscriber without one, `*` and its id.
    pub cld: Number,
    /// Who pays: who calls, or the account that has the DID.
    pub payer: AccountId,
    /// How it is priced.
    pub kind: CallKind,
    /// The DID that was called, whoever pays.
    pub did: Option<DidId>,
}

impl Routed {
    /// The trunks it may leave by.
    pub fn candidates(&self) -> &[Candidate] {
        match &self.destination {
            Destination::Trunks(candidates) => candidates,
            Destination::Subscriber(_)
            | Destination::Forwarded { .. }
            | Destination::Group(_)
            | Destination::Trunk(_)
            | Destination::Place(_) => &[],
        }
    }
}

/// Whose calls these are, whether or not it may call.
pub fn owner(directory: &Directory, source: Source) -> Option<AccountId> {
    match source {
        Source::Subscriber(id) => directory.subscriber(id).map(|row| row.account),
        Source::Trunk(id) => directory.trunk(id).map(|row| row.account),
    }
}

/// Whether the caller may call at all, and who pays.
pub fn payer(directory: &Directory, source: Source) -> Result<AccountId, Refusal> {
    let account = match source {
        Source::Subscriber(id) => {
            let row = directory.subscriber(id).filter(|row| row.is_active);
            row.ok_or(Refusal::SubscriberInactive(id))?.account
        }
        Source::Trunk(id) => {
            let row = directory.trunk(id).filter(|row| row.is_active);
            row.ok_or(Refusal::TrunkInactive(id))?.account
        }
    };
    active(directory, account)
}

/// Whether the account may call at all.
pub(super) fn active(directory: &Directory, account: AccountId) -> Result<AccountId, Refusal> {
    match directory.account(account) {
        Some(row) if row.is_active => Ok(account),
        _ => Err(Refusal::AccountInactive(account)),
    }
}

/// How the caller writes numbers; `None` is an account that is only thought to call.
pub fn plan(directory: &Directory, source: Option<Source>) -> &NumberPlan {
    let own = source.and_then(|source| match source {
        Source::Subscriber(id) => directory.subscriber(id).and_then(|row| row.plan.as_ref()),
        Source::Trunk(id) => directory.trunk(id).map(|row| &row.ingress_plan),
    });
    own.unwrap_or(&directory.settings().plan)
}

/// Where the call goes; `source` as in [`plan`].
pub fn destination(
    directory: &Directory,
    source: Option<Source>,
    account: AccountId,
    called: Called,
    conditions: &Conditions<'_>,
    decisions: &mut Vec<Decision>,
) -> Result<Routed, Refusal> {
    let number = match called {
        Called::Subscriber(id) => {
            let row = directory.subscriber(id).ok_or(Refusal::CalleeInactive(id))?;
            return to_subscriber(directory, source, account, row, None);
        }
        Called::Number(number) => number,
    };
    if let Some(did) = directory.did_by_number(&number) {
        return to_did(directory, source, account, did, conditions, decisions);
    }
    if let Some(row) = directory.subscriber_by_number(&number) {
        return to_subscriber(directory, source, account, row, Some(number));
    }
    let (prefix_length, targets) = directory.routes(&number).ok_or(Refusal::NoRoute(number))?;
    decisions.push(Decision::RoutesFound {
        prefix_length: prefix_length as u8,
        trunks: u8::try_from(targets.len()).unwrap_or(u8::MAX),
    });
    let policy = directory.route_prefix(&number).map(|row| row.policy);
    let asking = Asking { directory, source, cld: &number, conditions, is_routed: true };
    let candidates = candidates(&asking, targets, policy.unwrap_or_default(), decisions);
    if candidates.is_empty() {
        return Err(Refusal::NoTrunkUsable(number));
    }
    let destination = Destination::Trunks(candidates);
    Ok(Routed { destination, cld: number, payer: account, kind: CallKind::Egress, did: None })
}

fn to_did(
    directory: &Directory,
    source: Option<Source>,
    account: AccountId,
    row: &DidRow,
    conditions: &Conditions<'_>,
    decisions: &mut Vec<Decision>,
) -> Result<Routed, Refusal> {
    may_call_ours(directory, source, account)?;
    let (payer, kind) = did::terms(directory, source, account, row);
    let destination = did::leads_to(directory, row, decisions)?;
    let cld = row.number;
    if let Destination::Trunk(trunk) = destination {
        let target = [RouteTarget::only(trunk)];
        let asking = Asking { directory, source, cld: &cld, conditions, is_routed: false };
        if candidates(&asking, &target, RoutePolicy::default(), decisions).is_empty() {
            return Err(Refusal::NoTrunkUsable(cld));
        }
    }
    Ok(Routed { destination, cld, payer, kind, did: Some(row.id) })
}

/// The permission is about subscribers calling each other; a call that a trunk delivers to one of our
/// numbers is not that.
fn may_call_ours(
    directory: &Directory,
    source: Option<Source>,
    account: AccountId,
) -> Result<(), Refusal> {
    let is_allowed = directory.account(account).is_some_and(|a| a.allows_local);
    if matches!(source, Some(Source::Trunk(_))) || is_allowed {
        return Ok(());
    }
    Err(Refusal::LocalNotAllowed(account))
}

fn to_subscriber(
    directory: &Directory,
    source: Option<Source>,
    account: AccountId,
    row: &SubscriberRow,
    dialled: Option<Number>,
) -> Result<Routed, Refusal> {
    may_call_ours(directory, source, account)?;
    if !row.is_active {
        return Err(Refusal::CalleeInactive(row.id));
    }
    if !directory.account(row.account).is_some_and(|a| a.is_active) {
        return Err(Refusal::CalleeAccountInactive(row.account));
    }
    let stand_in = || format!("*{}", row.id).parse().expect("an id has at most 20 digits");
    let cld = dialled.or(row.number).unwrap_or_else(stand_in);
    let is_equipment = |id| directory.trunk(id).is_some_and(|t| t.role == TrunkRole::Equipment);
    let kind = match source {
        Some(Source::Trunk(id)) if is_equipment(id) => CallKind::Internal,
        _ => CallKind::Local,
    };
    let destination = Destination::Subscriber(row.id);
    Ok(Routed { destination, cld, payer: account, kind, did: None })
}
