//! The bytes of rates and special terms: in the journal, in CDRs, and packed in the store.

use std::sync::Arc;

use super::calendar::{Calendar, Date, Days, Period, PeriodChoice, Zone};
use super::special::{
    AfterCap, AppliedDiscount, AppliedSpecial, Cap, Exchange, ExchangeRate, OriginTerms, Percent,
    SpecialTerms, Step, Surcharge, SurchargeAmount, TimePrice, VersionChoice, Window,
};
use super::{AppliedRate, Price, Rate};
use crate::codec::{Code, DecodeError, Reader, code_enum, code_struct};

/// The layout of the bytes below; the first byte of what is packed.
const VERSION: u8 = 1;
/// Of special terms; 1 ended before the rounding of durations.
const TERMS_VERSION: u8 = 2;

fn to_bytes(value: &impl Code) -> Vec<u8> {
    let mut out = vec![VERSION];
    value.put(&mut out);
    out
}

fn from_bytes<T: Code>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut from = Reader::new(bytes);
    match from.byte()? {
        VERSION => {}
        other => return Err(DecodeError::Version(other)),
    }
    let value = T::take(&mut from)?;
    from.end()?;
    Ok(value)
}

impl Rate {
    /// Packed, with a version.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// The inverse; any input is safe.
    pub fn from_bytes(bytes: &[u8]) -> Result<Rate, DecodeError> {
        from_bytes(bytes)
    }
}

impl SpecialTerms {
    /// Packed, with a version.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![TERMS_VERSION];
        self.steps.put(&mut out);
        self.calendar.put(&mut out);
        self.surcharges.put(&mut out);
        self.origins.put(&mut out);
        self.cap.put(&mut out);
        self.line_rounding.put(&mut out);
        self.money_rounding.put(&mut out);
        self.duration_rounding.put(&mut out);
        self.versions.put(&mut out);
        out
    }

    /// The inverse; any input is safe, and what comes back is valid.
    pub fn from_bytes(bytes: &[u8]) -> Result<SpecialTerms, DecodeError> {
        let mut from = Reader::new(bytes);
        let version = from.byte()?;
        if !(VERSION..=TERMS_VERSION).contains(&version) {
            return Err(DecodeError::Version(version));
        }
        let mut terms = SpecialTerms {
            steps: Code::take(&mut from)?,
            calendar: Code::take(&mut from)?,
            surcharges: Code::take(&mut from)?,
            origins: Code::take(&mut from)?,
            cap: Code::take(&mut from)?,
            line_rounding: Code::take(&mut from)?,
            money_rounding: Code::take(&mut from)?,
            duration_rounding: None,
            versions: None,
        };
        if version >= 2 {
            terms.duration_rounding = Code::take(&mut from)?;
            terms.versions = Code::take(&mut from)?;
        }
        from.end()?;
        terms.validate().map_err(|_| DecodeError::Value("special terms"))?;
        Ok(terms)
    }
}

impl AppliedRate {
    /// Packed, with a version: a call can be priced again from this and its talk.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// The inverse; any input is safe, and what comes back is valid.
    pub fn from_bytes(bytes: &[u8]) -> Result<AppliedRate, DecodeError> {
        from_bytes(bytes)
    }
}

/// Lists of things larger than a byte.
macro_rules! code_lists {
    ($($name:ty),*) => { $(
        impl Code for Box<[$name]> {
            fn put(&self, out: &mut Vec<u8>) {
                crate::codec::put_list(self, out);
            }
            fn take(from: &mut Reader<'_>) -> Result<Box<[$name]>, DecodeError> {
                crate::codec::take_list(from).map(Vec::into_boxed_slice)
            }
        }
    )* };
}
code_lists!(Step, TimePrice, Surcharge, OriginTerms, Window, Period, Date, String);

/// Values with bounds of their own.
macro_rules! code_checked {
    ($($name:ident { $($field:ident),* } $word:literal),* $(,)?) => { $(
        impl Code for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $( self.$field.put(out); )*
            }
            fn take(from: &mut Reader<'_>) -> Result<$name, DecodeError> {
                let value = $name { $( $field: Code::take(from)?, )* };
                value.validate().map_err(|_| DecodeError::Value($word))?;
                Ok(value)
            }
        }
    )* };
}
code_checked!(
    AppliedSpecial {
        prices, windows, is_split, origin, surcharges, discount, cap, line_rounding, exchange
    } "applied terms",
);

code_struct!(Step { from_seconds, price, unit_seconds, increment });
code_struct!(TimePrice {
    name,
    connect_fee,
    price,
    unit_seconds,
    first_increment,
    next_increment,
    steps,
});
code_struct!(Surcharge { name, amount });
code_struct!(OriginTerms { name, prefixes, is_for_invalid, price, connect_fee, surcharges });
code_struct!(Cap { amount, after });
code_struct!(Window { from, price });
code_struct!(AppliedDiscount { name, percent });
code_struct!(Exchange { from, rate });
code_struct!(Period { days, from_second, till_second, price });
code_struct!(Calendar { zone, holidays, periods, choice });
code_enum!(AfterCap { Free = 0, Disconnect = 1 });
code_enum!(PeriodChoice { EachIncrement = 0, AtAnswer = 1 });
code_enum!(VersionChoice { AtStart = 0, EachIncrement = 1 });

impl Code for SurchargeAmount {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            SurchargeAmount::Fixed(price) => {
                out.push(0);
                price.put(out);
            }
            SurchargeAmount::Share(percent) => {
                out.push(1);
                percent.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<SurchargeAmount, DecodeError> {
        match from.byte()? {
            0 => Price::take(from).map(SurchargeAmount::Fixed),
            1 => Percent::take(from).map(SurchargeAmount::Share),
            _ => Err(DecodeError::Value("surcharge")),
        }
    }
}

impl Code for Percent {
    fn put(&self, out: &mut Vec<u8>) {
        self.hundredths().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Percent, DecodeError> {
        Percent::from_hundredths(u32::take(from)?).ok_or(DecodeError::Value("percentage"))
    }
}

impl Code for ExchangeRate {
    fn put(&self, out: &mut Vec<u8>) {
        self.rate().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<ExchangeRate, DecodeError> {
        ExchangeRate::new(Price::take(from)?).ok_or(DecodeError::Value("exchange rate"))
    }
}

impl Code for Date {
    fn put(&self, out: &mut Vec<u8>) {
        i64::from(self.day).put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Date, DecodeError> {
        let day = i32::try_from(i64::take(from)?).map_err(|_| DecodeError::Value("date"))?;
        Ok(Date { day })
    }
}

impl Code for Days {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }

    fn take(from: &mut Reader<'_>) -> Result<Days, DecodeError> {
        from.byte().map(Days)
    }
}

impl Code for Arc<Zone> {
    fn put(&self, out: &mut Vec<u8>) {
        self.name().to_owned().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Arc<Zone>, DecodeError> {
        Zone::named(&String::take(from)?).map_err(|_| DecodeError::Value("time zone"))
    }
}

/// What is shared is written out.
macro_rules! code_shared {
    ($($name:ident),*) => { $(
        impl Code for Arc<$name> {
            fn put(&self, out: &mut Vec<u8>) {
                self.as_ref().put(out);
            }
            fn take(from: &mut Reader<'_>) -> Result<Arc<$name>, DecodeError> {
                $name::take(from).map(Arc::new)
            }
        }
    )* };
}
code_shared!(Calendar, AppliedSpecial);
