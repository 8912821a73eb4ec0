//! Identifiers. Small integers, so that they are cheap to copy, hash and journal.

use std::fmt;
use std::str::FromStr;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

integer_id!(
    /// Who pays or is paid: a customer, a reseller or a carrier.
    AccountId,
    u64
);
integer_id!(
    /// A device or person that registers; belongs to an account.
    SubscriberId,
    u64
);
integer_id!(
    /// A configured SIP peer. Belongs to the account that pays for what it sends us and is paid
    /// for what we send it.
    TrunkId,
    u64
);

integer_id!(
    /// A place of an account, where calls come from (J-18).
    SiteId,
    u64
);
integer_id!(
    /// A number of ours that calls come in to, sold to an account.
    DidId,
    u64
);

/// One call, unique over all starts of all nodes that share a data directory.
///
/// From the top: 20 bits start number (counted up at each start), 8 bits shard, 36 bits sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

const SEQUENCE_BITS: u32 = 36;
const SHARD_BITS: u32 = 8;

impl CallId {
    /// `sequence` counts from 0 within one start of one shard and must stay below 2^36.
    pub fn new(start: u32, shard: u8, sequence: u64) -> CallId {
        debug_assert!(start < 1 << 20 && sequence < 1 << SEQUENCE_BITS);
        CallId(
            u64::from(start) << (SEQUENCE_BITS + SHARD_BITS)
                | u64::from(shard) << SEQUENCE_BITS
                | sequence,
        )
    }

    /// The shard that owns the call.
    pub fn shard(self) -> u8 {
        (self.0 >> SEQUENCE_BITS) as u8
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

impl FromStr for CallId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<CallId, Self::Err> {
        u64::from_str_radix(text, 16).map(CallId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_id_carries_its_shard_and_prints_back() {
        let call = CallId::new(3, 7, 42);
        assert_eq!(call.shard(), 7);
        assert_eq!(call.to_string().parse(), Ok(call));
        assert!(CallId::new(3, 7, 43) > call);
        assert!(CallId::new(4, 0, 0) > call);
    }
}
