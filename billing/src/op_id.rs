//! The name of one movement of money, chosen by whoever asks for it, so that asking twice moves
//! it once.

use std::fmt;
use std::str::FromStr;

use vocabulary::{AccountId, CallId};

/// 128 bits: the top byte says who chose the rest, so that a caller from outside can never meet
/// an id that a call makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u128);

const CHARGE: u128 = 1 << 120;
const COST: u128 = 2 << 120;
const PLAN: u128 = 3 << 120;
const VOUCHER: u128 = 4 << 120;
const OPENING: u128 = 5 << 120;
const OUTSIDE: u128 = 0x10 << 120;
const CHOSEN: u128 = (1 << 120) - 1;

impl OpId {
    /// What a payer of this call is charged: level 0 is the account that calls, 1 its reseller.
    pub fn charge(call: CallId, level: u8) -> OpId {
        OpId(CHARGE | u128::from(call.0) << 8 | u128::from(level))
    }

    /// What the carrier on this leg is paid.
    pub fn cost(call: CallId, leg: u8) -> OpId {
        OpId(COST | u128::from(call.0) << 8 | u128::from(leg))
    }

    /// The same movement priced again (J-26): 0 is the id itself, each later pricing has its own.
    #[must_use]
    pub fn of_generation(self, generation: u32) -> OpId {
        OpId(self.0 | u128::from(generation) << 72)
    }

    /// What the same pricing gives back of what stood before, where that has other taxes (R13).
    #[must_use]
    pub(crate) fn taken_back(self) -> OpId {
        OpId(self.0 | 1 << 104)
    }

    /// A charge, a refund or a grant (`kind`) of one item of a subscription's plan, for what begins
    /// on a day.
    pub(crate) fn plan(kind: u8, subscription: u64, item: u16, day: i32) -> OpId {
        let day = u128::from(day.cast_unsigned());
        OpId(
            PLAN | u128::from(kind) << 112
                | u128::from(item) << 96
                | day << 64
                | u128::from(subscription),
        )
    }

    /// The same item and day of a plan as another kind of due.
    pub(crate) fn of_plan_kind(self, kind: u8) -> OpId {
        OpId(self.0 & !(0xff << 112) | u128::from(kind) << 112)
    }

    /// The one redemption of a voucher.
    pub fn voucher(voucher: u64) -> OpId {
        OpId(VOUCHER | u128::from(voucher))
    }

    /// The balance that an account was opened with.
    pub fn opening(account: AccountId) -> OpId {
        OpId(OPENING | u128::from(account.0))
    }

    /// The leg that a cost is of, or the level that a charge is of; `None` if no call made the id.
    pub fn call_part(self) -> Option<u8> {
        matches!(self.0 >> 120, 1 | 2).then_some(self.0 as u8)
    }

    /// A command from outside (top-up, adjustment): 120 bits of the caller's own choosing, e.g. of
    /// a hash of its idempotency key.
    pub fn outside(chosen: u128) -> OpId {
        OpId(OUTSIDE | (chosen & CHOSEN))
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpId({self})")
    }
}

impl FromStr for OpId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<OpId, Self::Err> {
        u128::from_str_radix(text, 16).map(OpId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_different_choosers_never_meet() {
        let call = CallId(u64::MAX);
        let ids = [OpId::charge(call, 0), OpId::charge(call, 1), OpId::cost(call, 1)];
        let outside = OpId::outside(ids[0].0);
        assert!(!ids.contains(&outside));
        let plans = [
            OpId::plan(1, u64::MAX, u16::MAX, -1),
            OpId::plan(2, u64::MAX, u16::MAX, -1),
            OpId::plan(1, u64::MAX, u16::MAX, i32::MAX),
            OpId::plan(1, u64::MAX, 0, -1),
            OpId::plan(1, 0, u16::MAX, -1),
            OpId::voucher(u64::MAX),
            OpId::opening(AccountId(u64::MAX)),
        ];
        let mut all: Vec<OpId> = ids.into_iter().chain(plans).chain([outside]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), ids.len() + plans.len() + 1);
        assert_eq!((ids[1].call_part(), outside.call_part()), (Some(1), None));
        assert_eq!(plans[0].of_plan_kind(2), plans[1]);
        assert!(ids[0] != ids[1] && ids[1] != ids[2]);
        let again = ids.map(|id| id.of_generation(u32::MAX));
        assert!(!ids.iter().any(|id| again.contains(id)));
        let back = again.map(OpId::taken_back);
        assert!(!ids.iter().chain(&again).any(|id| back.contains(id)));
        assert_eq!(back.map(OpId::call_part), ids.map(OpId::call_part));
        assert_eq!(ids.map(|id| id.of_generation(0)), ids);
        assert_eq!(outside.to_string().parse(), Ok(outside));
    }
}
