//! The taxes of a call: added to its price, contained in it, or left to a statement (R13).

use super::Note;
use crate::rating::AppliedRate;
use crate::tax::{AppliedTaxes, PostingTax, TaxedPrice};
use crate::{Money, MoneyError};

/// What is to be paid for a call of this price. As the price grows it does not decrease.
pub(super) fn taxed(
    applied: &AppliedRate,
    priced: Money,
    note: &mut Note<'_>,
) -> Result<Money, MoneyError> {
    let Some(taxes) = applied.taxes.as_deref() else { return Ok(priced) };
    match taxes.prices() {
        TaxedPrice::WithCharge => {
            let tax = taxes.on(priced, applied.money_rounding)?;
            note("tax", &|| format!("Taxes on {priced}: {}.", each(applied, taxes, tax)));
            priced.checked_add(tax)
        }
        TaxedPrice::Included => {
            note("tax", &|| {
                let tax = applied.tax_in(priced);
                format!("In {priced} are taxes: {}.", each(applied, taxes, tax))
            });
            Ok(priced)
        }
        TaxedPrice::OnStatement => {
            note("tax", &|| format!("A statement adds {}.", taxes.names()));
            Ok(priced)
        }
    }
}

/// `VAT 19 % 0.019000, Levy 2 % 0.002000`.
fn each(applied: &AppliedRate, taxes: &AppliedTaxes, tax: Money) -> String {
    let amounts = taxes.each(tax, applied.money_rounding).unwrap_or_default();
    let named = taxes.taxes().iter().zip(amounts).map(|(tax, amount)| match &tax.exempt {
        None => format!("{} {} % {amount}", tax.name, tax.rate),
        Some(why) => format!("{} {} % not taken ({why})", tax.name, tax.rate),
    });
    named.collect::<Vec<_>>().join(", ")
}

impl AppliedRate {
    /// What of an amount charged by this rate are taxes. Nothing of one too large to be split.
    pub fn tax_in(&self, amount: Money) -> Money {
        let taxes = self.taxes.as_deref();
        let tax = taxes.map(|taxes| taxes.contained(amount, self.money_rounding));
        tax.and_then(Result::ok).unwrap_or_default()
    }

    /// What is left to whoever is paid of an amount charged by this rate: without the taxes in it.
    pub fn net(&self, amount: Money) -> Money {
        Money(amount.0.saturating_sub(self.tax_in(amount).0))
    }

    /// The taxes of a posting of this amount.
    pub fn posting_tax(&self, amount: Money) -> Option<PostingTax> {
        let taxes = self.taxes.as_ref()?;
        Some(PostingTax::of(taxes, amount, self.money_rounding))
    }
}
