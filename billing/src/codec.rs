//! How values become journal bytes: hand-written, versioned by the record's first byte, and safe
//! on any input. Whole numbers are LEB128 (signed ones zigzag), texts and lists carry their length.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use vocabulary::{
    AccountId, Attestation, CallId, CallKind, DidId, Direction, Jurisdiction, Location, Number,
    Party, RateChoice, SiteId, SubscriberId, TrunkId, Utc,
};

use crate::rating::{
    AppliedRate, DurationRounding, MoneyMode, MoneyRounding, Price, Rate, RateGroupId,
};
use crate::{BundleId, Currency, DestinationSetId, Money, OpId, PostingKind};

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a later release.
    #[error("written by a later release (version {0})")]
    Version(u8),
    /// Cut short.
    #[error("cut short")]
    Short,
    /// A value that cannot be.
    #[error("{0} is out of bounds")]
    Value(&'static str),
    /// Bytes remain after the end.
    #[error("{0} bytes too many")]
    Long(usize),
}

/// Reads values from the front.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    /// The version that a journal record begins with.
    version: u8,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, version: crate::journal::VERSION }
    }

    /// What follows was written by this version.
    pub(crate) fn of_version(&mut self, version: u8) {
        self.version = version;
    }

    /// A field that records have since this version, and its default in older ones.
    pub(crate) fn since<T: Code + Default>(&mut self, version: u8) -> Result<T, DecodeError> {
        if self.version < version { Ok(T::default()) } else { T::take(self) }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.bytes.split_first().ok_or(DecodeError::Short)?;
        self.bytes = rest;
        Ok(*first)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (slice, rest) = self.bytes.split_at_checked(length).ok_or(DecodeError::Short)?;
        self.bytes = rest;
        Ok(slice)
    }

    /// A length that what remains can hold, one byte an item at least.
    fn length(&mut self) -> Result<usize, DecodeError> {
        let length = usize::try_from(u64::take(self)?).map_err(|_| DecodeError::Short)?;
        if length > self.bytes.len() { Err(DecodeError::Short) } else { Ok(length) }
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(DecodeError::Long(self.bytes.len())) }
    }
}

/// A value that can be written and read back.
pub(crate) trait Code: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// Structs, field by field in the order given; fields that came later behind the version that
/// brought them.
macro_rules! code_struct {
    ($name:ident { $($field:ident),* $(,)? } $( since $version:literal { $($later:ident),* } )*) => {
        impl $crate::codec::Code for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $( $crate::codec::Code::put(&self.$field, out); )*
                $( $( $crate::codec::Code::put(&self.$later, out); )* )*
            }
            fn take(
                from: &mut $crate::codec::Reader<'_>,
            ) -> Result<$name, $crate::codec::DecodeError> {
                Ok($name {
                    $( $field: $crate::codec::Code::take(from)?, )*
                    $( $( $later: from.since($version)?, )* )*
                })
            }
        }
    };
}
pub(crate) use code_struct;

/// Enums without contents, as one byte.
macro_rules! code_enum {
    ($name:ident { $($variant:ident = $number:literal),* $(,)? }) => {
        impl $crate::codec::Code for $name {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $( $name::$variant => $number, )* });
            }
            fn take(
                from: &mut $crate::codec::Reader<'_>,
            ) -> Result<$name, $crate::codec::DecodeError> {
                match from.byte()? {
                    $( $number => Ok($name::$variant), )*
                    _ => Err($crate::codec::DecodeError::Value(stringify!($name))),
                }
            }
        }
    };
}

pub(crate) use code_enum;

impl Code for u128 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn take(from: &mut Reader<'_>) -> Result<u128, DecodeError> {
        let mut value: u128 = 0;
        for shift in (0..128).step_by(7) {
            let byte = from.byte()?;
            let bits = u128::from(byte & 0x7F);
            if shift > 121 && bits >> (128 - shift) != 0 {
                return Err(DecodeError::Value("number"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Value("number"))
    }
}

impl Code for u64 {
    #[inline]
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn take(from: &mut Reader<'_>) -> Result<u64, DecodeError> {
        u64::try_from(u128::take(from)?).map_err(|_| DecodeError::Value("number"))
    }
}

macro_rules! code_small {
    ($($name:ident),*) => { $(
        impl Code for $name {
            fn put(&self, out: &mut Vec<u8>) {
                u64::from(*self).put(out);
            }
            fn take(from: &mut Reader<'_>) -> Result<$name, DecodeError> {
                $name::try_from(u64::take(from)?).map_err(|_| DecodeError::Value("number"))
            }
        }
    )* };
}
code_small!(u8, u16, u32);

impl Code for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        (((self << 1) ^ (self >> 63)) as u64).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<i64, DecodeError> {
        let folded = u64::take(from)?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }
}

impl Code for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<bool, DecodeError> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Value("flag")),
        }
    }
}

impl Code for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        out.extend_from_slice(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
        let length = from.length()?;
        from.slice(length).map(<[u8]>::to_vec)
    }
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    (text.len() as u64).put(out);
    out.extend_from_slice(text.as_bytes());
}

impl Code for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<String, DecodeError> {
        let length = from.length()?;
        let text = std::str::from_utf8(from.slice(length)?);
        text.map(str::to_owned).map_err(|_| DecodeError::Value("text"))
    }
}

impl Code for Cow<'static, str> {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Cow<'static, str>, DecodeError> {
        String::take(from).map(Cow::Owned)
    }
}

impl<T: Code> Code for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        if bool::take(from)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

/// A list of things larger than a byte. (`Vec<u8>` has its own form.)
pub(crate) fn put_list<T: Code>(list: &[T], out: &mut Vec<u8>) {
    (list.len() as u64).put(out);
    for item in list {
        item.put(out);
    }
}

pub(crate) fn take_list<T: Code>(from: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
    let length = from.length()?;
    // Not reserved ahead: the length is not believed before the items are there.
    let mut list = Vec::new();
    for _ in 0..length {
        list.push(T::take(from)?);
    }
    Ok(list)
}

macro_rules! code_wrapper {
    ($($name:ident),*) => { $(
        impl Code for $name {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(from: &mut Reader<'_>) -> Result<$name, DecodeError> {
                Code::take(from).map($name)
            }
        }
    )* };
}
code_wrapper!(
    AccountId,
    SubscriberId,
    TrunkId,
    SiteId,
    DidId,
    CallId,
    Utc,
    Money,
    OpId,
    RateGroupId
);
code_wrapper!(BundleId, DestinationSetId);

impl Code for Duration {
    /// In microseconds; what is below was never measured.
    fn put(&self, out: &mut Vec<u8>) {
        u64::try_from(self.as_micros()).unwrap_or(u64::MAX).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Duration, DecodeError> {
        u64::take(from).map(Duration::from_micros)
    }
}

impl Code for Number {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self.as_str(), out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Number, DecodeError> {
        let length = from.length()?;
        let text = std::str::from_utf8(from.slice(length)?).ok();
        text.and_then(|text| text.parse().ok()).ok_or(DecodeError::Value("telephone number"))
    }
}

impl Code for SocketAddr {
    fn put(&self, out: &mut Vec<u8>) {
        match self.ip() {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(6);
                out.extend_from_slice(&ip.octets());
            }
        }
        self.port().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<SocketAddr, DecodeError> {
        let ip: IpAddr = match from.byte()? {
            4 => Ipv4Addr::from(*from.slice(4)?.first_chunk().ok_or(DecodeError::Short)?).into(),
            6 => {
                let octets: [u8; 16] = *from.slice(16)?.first_chunk().ok_or(DecodeError::Short)?;
                Ipv6Addr::from(octets).into()
            }
            _ => return Err(DecodeError::Value("address family")),
        };
        Ok(SocketAddr::new(ip, u16::take(from)?))
    }
}

impl Code for Currency {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.code().as_bytes());
        out.push(self.decimals());
    }

    fn take(from: &mut Reader<'_>) -> Result<Currency, DecodeError> {
        let letters = std::str::from_utf8(from.slice(3)?).ok();
        let decimals = from.byte()?;
        letters
            .and_then(|letters| Currency::new(letters, decimals).ok())
            .ok_or(DecodeError::Value("currency"))
    }
}

impl Code for Price {
    fn put(&self, out: &mut Vec<u8>) {
        self.nanos().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Price, DecodeError> {
        Price::from_nanos(i64::take(from)?).ok_or(DecodeError::Value("price"))
    }
}

impl Code for Rate {
    fn put(&self, out: &mut Vec<u8>) {
        for price in [self.price, self.connect_fee, self.minimum_charge] {
            price.put(out);
        }
        for seconds in [
            self.first_increment,
            self.next_increment,
            self.grace_seconds,
            self.free_seconds,
            self.minimum_seconds,
            self.unit_seconds,
        ] {
            seconds.put(out);
        }
        self.is_blocked.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Rate, DecodeError> {
        let (price, connect_fee, minimum_charge) =
            (Price::take(from)?, Price::take(from)?, Price::take(from)?);
        let rate = Rate {
            price,
            connect_fee,
            minimum_charge,
            first_increment: u32::take(from)?,
            next_increment: u32::take(from)?,
            grace_seconds: u32::take(from)?,
            free_seconds: u32::take(from)?,
            minimum_seconds: u32::take(from)?,
            unit_seconds: u32::take(from)?,
            is_blocked: bool::take(from)?,
        };
        // An increment of zero would divide by zero later.
        rate.validate().map_err(|_| DecodeError::Value("rate"))?;
        Ok(rate)
    }
}

code_enum!(DurationRounding { Up = 0, Nearest = 1, Down = 2 });
code_enum!(MoneyMode { Up = 0, Down = 1, HalfUp = 2, HalfEven = 3 });

impl Code for CallKind {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            CallKind::Local => out.push(0),
            CallKind::Egress => out.push(1),
            CallKind::Inbound(did) => {
                out.push(2);
                did.put(out);
            }
            CallKind::Internal => out.push(3),
            CallKind::Message => out.push(4),
            CallKind::LocalMessage => out.push(5),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<CallKind, DecodeError> {
        match from.byte()? {
            0 => Ok(CallKind::Local),
            1 => Ok(CallKind::Egress),
            2 => Ok(CallKind::Inbound(DidId::take(from)?)),
            3 => Ok(CallKind::Internal),
            4 => Ok(CallKind::Message),
            5 => Ok(CallKind::LocalMessage),
            _ => Err(DecodeError::Value("CallKind")),
        }
    }
}

code_enum!(Attestation { Full = 0, Partial = 1, Gateway = 2 });
code_enum!(RateChoice { Usual = 0, NonCli = 1 });
code_enum!(Jurisdiction { Inter = 0, Intra = 1, Undetermined = 2 });
code_struct!(Location { lrn, jurisdiction });
code_enum!(Direction { Ingress = 0, Egress = 1 });
code_enum!(Party { Caller = 0, Callee = 1, Switch = 2 });
code_enum!(PostingKind {
    Charge = 0,
    Cost = 1,
    TopUp = 2,
    Adjustment = 3,
    ChargeRaised = 4,
    ChargeLowered = 5,
    CostRaised = 6,
    CostLowered = 7,
    Payout = 8,
    Fee = 16,
    FeeRefund = 17,
    CreditNote = 18,
    Voucher = 19,
});
code_struct!(MoneyRounding { mode, decimals });

/// What follows a plain rate, as bits of one byte. Before version 6 there was only the first.
const HAS_SPECIAL: u8 = 1;
const HAS_TAXES: u8 = 2;
const IS_BY_LRN: u8 = 4;

impl Code for AppliedRate {
    fn put(&self, out: &mut Vec<u8>) {
        self.rate.put(out);
        self.duration_rounding.put(out);
        self.money_rounding.put(out);
        self.currency.put(out);
        self.group.put(out);
        self.sheet_version.put(out);
        self.prefix_length.put(out);
        let special = if self.special.is_some() { HAS_SPECIAL } else { 0 };
        let taxes = if self.taxes.is_some() { HAS_TAXES } else { 0 };
        let by_lrn = if self.is_by_lrn { IS_BY_LRN } else { 0 };
        out.push(special | taxes | by_lrn);
        if let Some(special) = &self.special {
            special.put(out);
        }
        if let Some(taxes) = &self.taxes {
            taxes.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<AppliedRate, DecodeError> {
        let mut applied = AppliedRate {
            rate: Code::take(from)?,
            duration_rounding: Code::take(from)?,
            money_rounding: Code::take(from)?,
            currency: Code::take(from)?,
            group: Code::take(from)?,
            sheet_version: Code::take(from)?,
            prefix_length: Code::take(from)?,
            is_by_lrn: false,
            special: None,
            taxes: None,
        };
        let follows = from.byte()?;
        if follows & !(HAS_SPECIAL | HAS_TAXES | IS_BY_LRN) != 0 {
            return Err(DecodeError::Value("what follows a rate"));
        }
        applied.is_by_lrn = follows & IS_BY_LRN != 0;
        if follows & HAS_SPECIAL != 0 {
            applied.special = Some(Code::take(from)?);
        }
        if follows & HAS_TAXES != 0 {
            applied.taxes = Some(Code::take(from)?);
        }
        Ok(applied)
    }
}
