//! Rate groups by jurisdiction: calls within a state are priced by other rates than those that leave it
//! (T7).

use vocabulary::Jurisdiction;

use super::RateGroupId;

/// The groups that count instead of the usual one, which is that of calls from state to state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupsOfSide {
    /// For calls within a state.
    pub intra: Option<RateGroupId>,
    /// For calls of which it is not known whether they are.
    pub undetermined: Option<RateGroupId>,
}

impl GroupsOfSide {
    pub(super) fn of(self, jurisdiction: Option<Jurisdiction>) -> Option<RateGroupId> {
        match jurisdiction? {
            Jurisdiction::Inter => None,
            Jurisdiction::Intra => self.intra,
            Jurisdiction::Undetermined => self.undetermined,
        }
    }
}

/// The groups of an account by jurisdiction (T7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JurisdictionGroups {
    /// What it pays for its calls.
    pub customer: GroupsOfSide,
    /// What it takes for calls that it carries for us.
    pub carrier: GroupsOfSide,
}

impl JurisdictionGroups {
    /// All of them.
    pub(super) fn all(&self) -> [Option<RateGroupId>; 4] {
        let JurisdictionGroups { customer, carrier } = *self;
        [customer.intra, customer.undetermined, carrier.intra, carrier.undetermined]
    }
}
