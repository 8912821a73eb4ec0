//! A statement of a period: sums of postings, rounded as an invoice rounds, with the taxes that are in
//! them and those that come on top (R7, R13). Nothing is booked by it, and what it rounds away is
//! stated: lines, difference and total add up, and the lines before rounding are the postings.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rating::MoneyRounding;
use crate::tax::{AppliedTax, AppliedTaxes, TaxedPrice};
use crate::{Money, MoneyError};

/// On what taxes are calculated and rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TaxRounding {
    /// On each line; totals are the sums of the rounded lines.
    Line,
    /// On the exact sum of all lines that have the same taxes; lines are rounded only to be shown.
    #[default]
    Total,
}

/// How a statement rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementRounding {
    /// Lines, taxes and totals.
    pub money: MoneyRounding,
    /// On what.
    pub taxes: TaxRounding,
}

/// The sum of some postings with the same taxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementLine {
    /// What was posted, exactly: charged if above 0, given back if below.
    pub posted: Money,
    /// What of it were taxes when it was posted: what counts where they were added to a price.
    pub tax: Money,
    /// Their taxes, and whether they are in it.
    pub taxes: Option<Arc<AppliedTaxes>>,
}

/// Net, taxes, and both together: `net + tax == gross`, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sums {
    /// Without taxes.
    pub net: Money,
    /// Taxes.
    pub tax: Money,
    /// With taxes.
    pub gross: Money,
}

impl Sums {
    fn add(&mut self, other: Sums) -> Result<(), MoneyError> {
        self.net = self.net.checked_add(other.net)?;
        self.tax = self.tax.checked_add(other.tax)?;
        self.gross = self.gross.checked_add(other.gross)?;
        Ok(())
    }

    fn less(self, other: Sums) -> Result<Sums, MoneyError> {
        Ok(Sums {
            net: self.net.checked_sub(other.net)?,
            tax: self.tax.checked_sub(other.tax)?,
            gross: self.gross.checked_sub(other.gross)?,
        })
    }
}

/// A line as it is shown.
pub type StatedLine = Sums;

/// One tax over all lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedTax {
    /// Which, and why it is not taken.
    pub tax: AppliedTax,
    /// What it was calculated on: net amounts, and for a compound tax those before it.
    pub base: Money,
    /// How much it is.
    pub amount: Money,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stated {
    /// The lines, in the order given.
    pub lines: Vec<StatedLine>,
    /// The taxes, by name and rate. Their amounts are the total's tax.
    pub taxes: Vec<StatedTax>,
    /// Total less lines: what rounding each line would have made other than it is.
    pub rounding: Sums,
    /// What is owed for the period.
    pub total: Sums,
    /// The postings of all lines, exactly.
    pub posted: Money,
    /// Of the total's tax, what no posting has taken: it comes on top.
    pub tax_on_top: Money,
    /// What rounding to the statement's decimals made of the postings: the total is `posted`, with
    /// `tax_on_top` and this.
    pub rounded_off: Money,
}

/// Sums up the lines of a period.
pub fn state(lines: &[StatementLine], rounding: StatementRounding) -> Result<Stated, MoneyError> {
    let mut stated = Stated::default();
    let mut taxes = Taxes::default();
    let mut shown = Sums::default();
    let mut groups: Vec<(Option<&AppliedTaxes>, Money, Money)> = Vec::new();
    for line in lines {
        let terms = line.taxes.as_deref();
        stated.posted = stated.posted.checked_add(line.posted)?;
        let sums = split(line.posted, line.tax, terms, rounding.money)?;
        shown.add(sums)?;
        stated.lines.push(sums);
        match groups.iter_mut().find(|(known, ..)| *known == terms) {
            Some((_, sum, tax)) => {
                *sum = sum.checked_add(line.posted)?;
                *tax = tax.checked_add(line.tax)?;
            }
            None => groups.push((terms, line.posted, line.tax)),
        }
    }
    let mut count = |terms: Option<&AppliedTaxes>, sums: Sums| {
        stated.total.add(sums)?;
        let Some(terms) = terms else { return Ok(()) };
        if terms.prices() == TaxedPrice::OnStatement {
            stated.tax_on_top = stated.tax_on_top.checked_add(sums.tax)?;
        }
        taxes.add(terms, sums, rounding.money)
    };
    match rounding.taxes {
        TaxRounding::Line => {
            for (line, sums) in lines.iter().zip(&stated.lines) {
                count(line.taxes.as_deref(), *sums)?;
            }
        }
        TaxRounding::Total => {
            for (terms, posted, tax) in groups {
                count(terms, split(posted, tax, terms, rounding.money)?)?;
            }
        }
    }
    stated.rounding = stated.total.less(shown)?;
    let taken = stated.posted.checked_add(stated.tax_on_top)?;
    stated.rounded_off = stated.total.gross.checked_sub(taken)?;
    stated.taxes = taxes.0.into_values().collect();
    Ok(stated)
}

/// The amount rounded, and its taxes: those that were charged with it, or out of it, or on top of it.
fn split(
    posted: Money,
    charged: Money,
    taxes: Option<&AppliedTaxes>,
    rounding: MoneyRounding,
) -> Result<Sums, MoneyError> {
    let rounded = posted.rounded(rounding)?;
    let Some(taxes) = taxes else {
        return Ok(Sums { net: rounded, tax: Money::ZERO, gross: rounded });
    };
    match taxes.prices() {
        TaxedPrice::OnStatement => {
            let tax = taxes.on(rounded, rounding)?;
            Ok(Sums { net: rounded, tax, gross: rounded.checked_add(tax)? })
        }
        TaxedPrice::Included | TaxedPrice::WithCharge => {
            let tax = match taxes.prices() {
                TaxedPrice::WithCharge => charged.rounded(rounding)?,
                _ => taxes.within(rounded, rounding)?,
            };
            Ok(Sums { net: rounded.checked_sub(tax)?, tax, gross: rounded })
        }
    }
}

/// By name, rate, and why it is not taken.
#[derive(Default)]
struct Taxes(BTreeMap<(String, u32, Option<String>, bool), StatedTax>);

impl Taxes {
    fn add(
        &mut self,
        terms: &AppliedTaxes,
        sums: Sums,
        rounding: MoneyRounding,
    ) -> Result<(), MoneyError> {
        let mut with_taxes = sums.net;
        for (tax, amount) in terms.taxes().iter().zip(terms.each(sums.tax, rounding)?) {
            let base = if tax.is_compound { with_taxes } else { sums.net };
            with_taxes = with_taxes.checked_add(amount)?;
            let key = (tax.name.clone(), tax.rate.parts(), tax.exempt.clone(), tax.is_compound);
            let none = || StatedTax { tax: tax.clone(), base: Money::ZERO, amount: Money::ZERO };
            let stated = self.0.entry(key).or_insert_with(none);
            stated.base = stated.base.checked_add(base)?;
            stated.amount = stated.amount.checked_add(amount)?;
        }
        Ok(())
    }
}
