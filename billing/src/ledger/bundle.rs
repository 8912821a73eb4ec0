//! Seconds that an account was given beforehand, for some destinations and some time: free minutes
//! of a plan, a bonus, an add-on (V-04, V-05, P-004, P-008, R14). Their balances live beside the
//! account's money, under the same lock, so that no second is spent twice.

use vocabulary::{AccountId, Utc};

use super::{Leased, LedgerError, Seconds};
use crate::OpId;

/// One grant of seconds to one account. Positive in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId(pub u64);

/// A set of destinations, by its prefixes in the rate book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationSetId(pub u32);

impl std::fmt::Display for BundleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::fmt::Display for DestinationSetId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What an account is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleGrant {
    /// The id of the giving; a second one of the same id is none.
    pub op: OpId,
    /// The bundle; never used before.
    pub bundle: BundleId,
    /// To whom.
    pub account: AccountId,
    /// For calls to these.
    pub destinations: DestinationSetId,
    /// How much.
    pub seconds: u32,
    /// Seconds are taken in multiples of this; at least 1.
    pub increment: u32,
    /// Higher is used first; among equals what ends first (P-008).
    pub precedence: u16,
    /// For calls that come in from this moment on,
    pub valid_from: Utc,
    /// and before this one; a call that came in before it may use it up later.
    pub valid_till: Option<Utc>,
    /// When it was given.
    pub at: Utc,
    /// What it is, in an operator's words, e.g. the plan's name.
    pub note: String,
}

/// Seconds of one bundle that a call holds or has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleShare {
    /// Which.
    pub bundle: BundleId,
    /// How many.
    pub seconds: u32,
}

/// A bundle as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Which.
    pub id: BundleId,
    /// For calls to these.
    pub destinations: DestinationSetId,
    /// Higher is used first.
    pub precedence: u16,
    /// Seconds are taken in multiples of this; at least 1.
    pub increment: u32,
    /// For calls that come in from this moment on,
    pub valid_from: Utc,
    /// and before this one.
    pub valid_till: Option<Utc>,
    /// How much there was.
    pub granted: u32,
    /// How much of it is used.
    pub used: u32,
    /// How much live calls hold.
    pub pending: u32,
    /// With other nodes on the same database: this node's part. What is used is then as it was at the
    /// start and as this node has used since. Boxed, for a Tandem alone has many bundles and no leases.
    pub lease: Option<Box<Leased<Seconds>>>,
}

impl Bundle {
    /// Not used yet, held by live calls or not; with other nodes, as far as this one has heard.
    pub fn left(&self) -> u32 {
        match &self.lease {
            Some(leased) => seconds(leased.left),
            None => self.granted.saturating_sub(self.used),
        }
    }

    /// Neither used nor held; with other nodes, what this one may hold without asking.
    pub fn free(&self) -> u32 {
        match &self.lease {
            Some(leased) => seconds(leased.available(self.pending.into())),
            None => self.left().saturating_sub(self.pending),
        }
    }

    /// May a call get seconds of it, from this node's part or, with other nodes, from what is not heard
    /// to be used?
    pub fn may_pay(&self) -> bool {
        self.left() > self.pending
    }

    /// As one of several nodes keeps it: nothing of it is leased yet.
    pub(super) fn leased_if(self, is_shared: bool) -> Bundle {
        let left = self.granted.saturating_sub(self.used);
        let lease = is_shared.then(|| Box::new(Leased::of_left(left.into())));
        Bundle { lease, ..self }
    }

    /// May a call that comes in at this moment use it?
    pub fn is_valid_at(&self, at: Utc) -> bool {
        self.valid_from <= at && self.valid_till.is_none_or(|till| at < till)
    }

    fn use_up(&mut self, seconds: u32) {
        self.used = self.used.saturating_add(seconds);
        if let Some(leased) = &mut self.lease {
            leased.used_up(seconds);
        }
    }

    /// The order in which bundles are used.
    fn rank(&self) -> (std::cmp::Reverse<u16>, Utc, BundleId) {
        let till = self.valid_till.unwrap_or(Utc(i64::MAX));
        (std::cmp::Reverse(self.precedence), till, self.id)
    }
}

impl From<&BundleGrant> for Bundle {
    fn from(grant: &BundleGrant) -> Bundle {
        Bundle {
            id: grant.bundle,
            destinations: grant.destinations,
            precedence: grant.precedence,
            increment: grant.increment.max(1),
            valid_from: grant.valid_from,
            valid_till: grant.valid_till,
            granted: grant.seconds,
            used: 0,
            pending: 0,
            lease: None,
        }
    }
}

fn seconds(seconds: Seconds) -> u32 {
    u32::try_from(seconds.0.max(0)).unwrap_or(u32::MAX)
}

/// The bundles of one account, in the order in which they are used.
#[derive(Clone, Debug, Default)]
pub(super) struct Bundles(Vec<Bundle>);

/// A used-up or long expired bundle is forgotten when the next is given, this long after its end.
const KEPT_MICROS: i64 = 7 * 86_400 * 1_000_000;

impl Bundles {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bundle> {
        self.0.iter()
    }

    pub(super) fn get(&self, id: BundleId) -> Option<&Bundle> {
        self.0.iter().find(|bundle| bundle.id == id)
    }

    pub(super) fn get_mut(&mut self, id: BundleId) -> Option<&mut Bundle> {
        self.0.iter_mut().find(|bundle| bundle.id == id)
    }

    /// Puts a bundle in its place, over an older state of itself.
    pub(super) fn put(&mut self, bundle: Bundle) {
        self.0.retain(|known| known.id != bundle.id);
        let place = self.0.partition_point(|known| known.rank() < bundle.rank());
        self.0.insert(place, bundle);
    }

    /// Forgets what no call will ask for again, and no other node waits for.
    pub(super) fn forget(&mut self, now: Utc) {
        self.0.retain(|bundle| {
            let till = bundle.valid_till.map_or(i64::MAX, |till| till.0);
            let is_over = till.saturating_add(KEPT_MICROS) < now.0;
            let is_leased = bundle.lease.as_ref().is_some_and(|leased| leased.is_in_use());
            bundle.pending > 0 || is_leased || (bundle.left() > 0 && !is_over)
        });
    }

    /// Are these many seconds there?
    pub(super) fn check(&self, shares: &[BundleShare]) -> Result<(), LedgerError> {
        for share in shares {
            let free = self.get(share.bundle).map_or(0, Bundle::free);
            if share.seconds > free {
                let bundle = share.bundle;
                return Err(LedgerError::ExceedsBundle { bundle, free, asked: share.seconds });
            }
        }
        Ok(())
    }

    /// Holds seconds for a call.
    pub(super) fn hold(&mut self, share: &BundleShare) {
        if let Some(bundle) = self.get_mut(share.bundle) {
            bundle.pending = bundle.pending.saturating_add(share.seconds);
        }
    }

    /// Takes what was used of held seconds and gives the rest back.
    pub(super) fn release(&mut self, held: &BundleShare, used: u32) {
        if let Some(bundle) = self.get_mut(held.bundle) {
            bundle.pending = bundle.pending.saturating_sub(held.seconds);
            bundle.use_up(used);
        }
    }

    /// Uses that a record tells of, whose holding was never seen.
    pub(super) fn add_used(&mut self, used: &BundleShare) {
        if let Some(bundle) = self.get_mut(used.bundle) {
            bundle.use_up(used.seconds);
        }
    }

    /// Is nothing left in any of these?
    pub(super) fn are_used_up(&self, shares: &[BundleShare]) -> bool {
        shares.iter().all(|share| self.get(share.bundle).is_none_or(|b| b.left() == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(id: u64, precedence: u16, till: Option<i64>, seconds: u32) -> Bundle {
        Bundle {
            id: BundleId(id),
            destinations: DestinationSetId(1),
            precedence,
            increment: 1,
            valid_from: Utc(0),
            valid_till: till.map(Utc),
            granted: seconds,
            used: 0,
            pending: 0,
            lease: None,
        }
    }

    #[test]
    fn the_higher_precedence_and_the_earlier_end_come_first() {
        let mut bundles = Bundles::default();
        for bundle in [
            bundle(1, 1, None, 10),
            bundle(2, 9, Some(500), 10),
            bundle(3, 1, Some(400), 10),
            bundle(4, 9, Some(300), 10),
        ] {
            bundles.put(bundle);
        }
        let order: Vec<u64> = bundles.iter().map(|bundle| bundle.id.0).collect();
        assert_eq!(order, [4, 2, 3, 1]);
    }

    #[test]
    fn a_held_second_is_not_free_and_an_unused_one_comes_back() {
        let mut bundles = Bundles::default();
        bundles.put(bundle(1, 1, None, 100));
        let share = |seconds| BundleShare { bundle: BundleId(1), seconds };
        bundles.hold(&share(70));
        assert!(bundles.check(&[share(31)]).is_err());
        bundles.release(&share(70), 20);
        let left = bundles.get(BundleId(1)).unwrap();
        assert_eq!((left.left(), left.free(), left.pending), (80, 80, 0));
    }

    #[test]
    fn a_call_may_use_what_is_valid_when_it_comes_in() {
        let bundle = Bundle { valid_from: Utc(10), ..bundle(1, 1, Some(20), 5) };
        let valid: Vec<i64> = (8..23).filter(|at| bundle.is_valid_at(Utc(*at))).collect();
        assert_eq!(valid, (10..20).collect::<Vec<_>>());
    }
}
