//! Taxes (R13): what is added to a net amount and what is contained in a gross one, exact until it is
//! rounded. Which taxes hold for an amount is found once, at its tax point, and kept with it: a rate
//! that changes later changes nothing that was charged before (docs/adr/0011).

mod account;
mod rate;

use std::sync::Arc;

use crate::codec::{Code, DecodeError, Reader, code_enum, code_struct, put_list, take_list};
use crate::rating::{MoneyRounding, rounded_ratio};
use crate::{Money, MoneyError};

pub use account::{AccountTaxes, Exemption, OnTop, Tax, TaxableKind};
pub use rate::{TaxError, TaxRate};

/// How an amount stands to its taxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaxedPrice {
    /// It contains them: the price was stated with them.
    Included,
    /// It contains them: they were added to a net price when it was charged.
    WithCharge,
    /// It does not: a statement adds them.
    OnStatement,
}

/// One tax as it holds for an amount.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppliedTax {
    /// What a statement calls it.
    pub name: String,
    /// How much.
    pub rate: TaxRate,
    /// Of the net amount and the taxes before it, instead of the net amount alone.
    pub is_compound: bool,
    /// Why it is not taken: the words of the certificate. It is named and comes to nothing.
    pub exempt: Option<String>,
}

/// The taxes of an amount, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppliedTaxes {
    prices: TaxedPrice,
    taxes: Box<[AppliedTax]>,
    /// For each tax, it and those before it, in parts of which a net amount has `whole`.
    sums: Box<[i64]>,
    whole: i64,
}

/// The most taxes that one amount has.
pub const TAXES_MAX: usize = 8;
/// So much of an amount of any size is still exact in 128 bits.
const PARTS_MAX: i128 = 1_000_000_000_000_000_000;

impl AppliedTaxes {
    /// Refuses what could not be calculated exactly.
    pub fn new(prices: TaxedPrice, taxes: Vec<AppliedTax>) -> Result<AppliedTaxes, TaxError> {
        if taxes.len() > TAXES_MAX {
            return Err(TaxError::TooMany);
        }
        let (mut sums, mut whole) = (Vec::with_capacity(taxes.len()), 1_i128);
        for tax in &taxes {
            let before = sums.last().copied().unwrap_or(0);
            let parts = if tax.exempt.is_some() { 0 } else { i128::from(tax.rate.parts()) };
            let base = if tax.is_compound { whole + before } else { whole };
            // At most 8 times: the bound below keeps each product within 128 bits.
            sums.push(before * TaxRate::WHOLE + base * parts);
            whole *= TaxRate::WHOLE;
            let last = sums.len() - 1;
            sums[..last].iter_mut().for_each(|sum| *sum *= TaxRate::WHOLE);
            let common = sums.iter().fold(whole, |a, b| gcd(a, *b));
            whole /= common;
            sums.iter_mut().for_each(|sum| *sum /= common);
            if whole + sums[last] > PARTS_MAX {
                return Err(TaxError::TooFine);
            }
        }
        let narrow = |parts: i128| i64::try_from(parts).expect("bounded by PARTS_MAX");
        let sums = sums.into_iter().map(narrow).collect();
        Ok(AppliedTaxes { prices, taxes: taxes.into(), sums, whole: narrow(whole) })
    }

    /// How the amount stands to them.
    pub fn prices(&self) -> TaxedPrice {
        self.prices
    }

    /// Each, in order.
    pub fn taxes(&self) -> &[AppliedTax] {
        &self.taxes
    }

    fn share(&self) -> i128 {
        self.sums.last().copied().unwrap_or(0).into()
    }

    /// What they are on a net amount, rounded once: all of them together. Of an amount given back it
    /// is given back too.
    pub fn on(&self, net: Money, rounding: MoneyRounding) -> Result<Money, MoneyError> {
        rounded_ratio(net, self.share(), self.whole.into(), rounding)
    }

    /// What of a gross amount they are: the inverse of `on`. Where there is no net amount that comes
    /// to this gross amount, the exact share of it, rounded.
    pub fn within(&self, gross: Money, rounding: MoneyRounding) -> Result<Money, MoneyError> {
        let share = self.share();
        if share == 0 {
            return Ok(Money::ZERO);
        }
        let tax = rounded_ratio(gross, share, share + i128::from(self.whole), rounding)?;
        let step = rounding.step_micros();
        for shift in [0, -step, step] {
            let near = tax.checked_add(Money(shift))?;
            let net = gross.checked_sub(near)?;
            if self.on(net, rounding)? == near {
                return Ok(near);
            }
        }
        Ok(tax)
    }

    /// What of an amount that was charged they are: nothing, if a statement adds them.
    pub fn contained(&self, charged: Money, rounding: MoneyRounding) -> Result<Money, MoneyError> {
        match self.prices {
            TaxedPrice::Included | TaxedPrice::WithCharge => self.within(charged, rounding),
            TaxedPrice::OnStatement => Ok(Money::ZERO),
        }
    }

    /// All of them together as each: their sum is `tax`, whatever was rounded.
    pub fn each(&self, tax: Money, rounding: MoneyRounding) -> Result<Vec<Money>, MoneyError> {
        let share = self.share();
        let mut before = Money::ZERO;
        let part = |sum: &i64| {
            let until = match i128::from(*sum) {
                sum if sum == share => tax,
                sum => rounded_ratio(tax, sum, share, rounding)?,
            };
            let part = until.checked_sub(before)?;
            before = until;
            Ok(part)
        };
        self.sums.iter().map(part).collect()
    }

    /// `VAT 19 %, Levy 2 % (exempt: …)`.
    pub fn names(&self) -> String {
        let named = |tax: &AppliedTax| match &tax.exempt {
            None => format!("{} {} %", tax.name, tax.rate),
            Some(why) => format!("{} {} % (exempt: {why})", tax.name, tax.rate),
        };
        self.taxes.iter().map(named).collect::<Vec<_>>().join(", ")
    }
}

fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The taxes of a posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingTax {
    /// What of its amount they are; nothing, if a statement adds them.
    pub contained: Money,
    /// Which.
    pub taxes: Arc<AppliedTaxes>,
}

impl PostingTax {
    /// Of an amount that was charged. One too large to be split contains nothing.
    pub fn of(taxes: &Arc<AppliedTaxes>, charged: Money, rounding: MoneyRounding) -> PostingTax {
        let contained = taxes.contained(charged, rounding).unwrap_or_default();
        PostingTax { contained, taxes: Arc::clone(taxes) }
    }
}

code_enum!(TaxedPrice { Included = 0, WithCharge = 1, OnStatement = 2 });
code_struct!(AppliedTax { name, rate, is_compound, exempt });
code_struct!(PostingTax { contained, taxes });

impl Code for TaxRate {
    fn put(&self, out: &mut Vec<u8>) {
        self.parts().put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<TaxRate, DecodeError> {
        TaxRate::from_parts(u32::take(from)?).ok_or(DecodeError::Value("tax rate"))
    }
}

impl Code for Arc<AppliedTaxes> {
    fn put(&self, out: &mut Vec<u8>) {
        self.prices.put(out);
        put_list(&self.taxes, out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Arc<AppliedTaxes>, DecodeError> {
        let (prices, taxes) = (TaxedPrice::take(from)?, take_list(from)?);
        let taxes = AppliedTaxes::new(prices, taxes);
        taxes.map(Arc::new).map_err(|_| DecodeError::Value("taxes"))
    }
}
