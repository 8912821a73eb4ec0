//! Which taxes an account pays on what, and when.

use std::sync::Arc;

use vocabulary::Utc;

use super::{AppliedTax, AppliedTaxes, TaxError, TaxRate, TaxedPrice};

/// What a tax may be on. Payments are never taxed, nor are corrections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaxableKind {
    /// Calls.
    Usage,
    /// Fees of a period, and what is given back of them.
    Recurring,
    /// Fees that are charged once.
    OneTime,
    /// Credit notes: the tax is given back with the amount.
    CreditNote,
}

impl TaxableKind {
    /// All of them.
    pub const ALL: [TaxableKind; 4] =
        [TaxableKind::Usage, TaxableKind::Recurring, TaxableKind::OneTime, TaxableKind::CreditNote];
}

/// A tax as an operator states it. A rate that changes is a second one with the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tax {
    /// What a statement calls it.
    pub name: String,
    /// How much.
    pub rate: TaxRate,
    /// Of the net amount and the taxes before it, instead of the net amount alone.
    pub is_compound: bool,
    /// On what.
    pub applies_to: Box<[TaxableKind]>,
    /// For what is supplied from then on; `None`: always was.
    pub valid_from: Option<Utc>,
    /// For what is supplied before; `None`: open.
    pub valid_till: Option<Utc>,
}

/// A tax that an account does not pay, or all of them. A reverse charge is one too: nothing is taken,
/// and its words stand on the statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exemption {
    /// Which, by its name; `None`: all.
    pub tax: Option<String>,
    /// The certificate, or the words that the law wants.
    pub reason: String,
    /// For what is supplied from then on; `None`: always was.
    pub valid_from: Option<Utc>,
    /// For what is supplied before; `None`: open.
    pub valid_till: Option<Utc>,
}

/// Where taxes go that come on top of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum OnTop {
    /// A statement adds them to the sums of a period.
    #[default]
    Statement,
    /// They are charged with each amount: reserved and taken from the balance with it.
    Balance,
}

/// Taxes on top of prices, and taxes in them; `None`: none.
type OnTopOrIncluded = [Option<Arc<AppliedTaxes>>; 2];

/// The taxes of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountTaxes {
    taxes: Box<[Tax]>,
    exemptions: Box<[Exemption]>,
    on_top: OnTop,
    /// On calls, from each moment at which something changes: for prices that contain them, and for
    /// others. The first holds from ever.
    usage: Box<[(Utc, OnTopOrIncluded)]>,
}

fn holds(from: Option<Utc>, till: Option<Utc>, at: Utc) -> bool {
    from.is_none_or(|from| from <= at) && till.is_none_or(|till| at < till)
}

impl AccountTaxes {
    /// Checks that the taxes make sense at every moment.
    pub fn new(
        taxes: Vec<Tax>,
        exemptions: Vec<Exemption>,
        on_top: OnTop,
    ) -> Result<AccountTaxes, TaxError> {
        let mut built = AccountTaxes {
            taxes: taxes.into(),
            exemptions: exemptions.into(),
            on_top,
            usage: Box::default(),
        };
        built.check_names()?;
        let mut usage = Vec::new();
        for at in built.changes() {
            for kind in TaxableKind::ALL {
                let both = [false, true].map(|is_included| built.find(kind, at, is_included));
                let [on_top, included] = both;
                let both = [on_top?, included?].map(|taxes| taxes.map(Arc::new));
                if kind == TaxableKind::Usage {
                    usage.push((at, both));
                }
            }
        }
        built.usage = usage.into();
        Ok(built)
    }

    fn check_names(&self) -> Result<(), TaxError> {
        let is_backwards =
            |from: Option<Utc>, till: Option<Utc>| from.zip(till).is_some_and(|(a, b)| b <= a);
        for (index, tax) in self.taxes.iter().enumerate() {
            if is_backwards(tax.valid_from, tax.valid_till) {
                return Err(TaxError::Backwards(tax.name.clone()));
            }
            if tax.applies_to.is_empty() {
                return Err(TaxError::OfNothing(tax.name.clone()));
            }
            let meets = |other: &Tax| {
                other.valid_from.zip(tax.valid_till).is_none_or(|(from, till)| from < till)
                    && tax.valid_from.zip(other.valid_till).is_none_or(|(from, till)| from < till)
                    && other.applies_to.iter().any(|kind| tax.applies_to.contains(kind))
            };
            if self.taxes[..index].iter().any(|other| other.name == tax.name && meets(other)) {
                return Err(TaxError::Twice(tax.name.clone()));
            }
        }
        for exemption in &self.exemptions {
            if is_backwards(exemption.valid_from, exemption.valid_till) {
                return Err(TaxError::Backwards(exemption.reason.clone()));
            }
            let Some(name) = &exemption.tax else { continue };
            if !self.taxes.iter().any(|tax| tax.name == *name) {
                let names: Vec<&str> = self.taxes.iter().map(|tax| tax.name.as_str()).collect();
                return Err(TaxError::Unknown(name.clone(), names.join(", ")));
            }
        }
        Ok(())
    }

    /// The moments from which on something else may hold.
    fn changes(&self) -> Vec<Utc> {
        let taxes = self.taxes.iter().flat_map(|tax| [tax.valid_from, tax.valid_till]);
        let exempt = self.exemptions.iter().flat_map(|e| [e.valid_from, e.valid_till]);
        let mut moments: Vec<Utc> = taxes.chain(exempt).flatten().collect();
        moments.push(Utc(i64::MIN));
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    fn find(
        &self,
        kind: TaxableKind,
        at: Utc,
        is_included: bool,
    ) -> Result<Option<AppliedTaxes>, TaxError> {
        let prices = match (is_included, self.on_top) {
            (true, _) => TaxedPrice::Included,
            (false, OnTop::Balance) => TaxedPrice::WithCharge,
            (false, OnTop::Statement) => TaxedPrice::OnStatement,
        };
        let in_force = self.taxes.iter().filter(|tax| {
            tax.applies_to.contains(&kind) && holds(tax.valid_from, tax.valid_till, at)
        });
        let applied = in_force.map(|tax| AppliedTax {
            name: tax.name.clone(),
            rate: tax.rate,
            is_compound: tax.is_compound,
            exempt: self.exempt(&tax.name, at),
        });
        let applied: Vec<AppliedTax> = applied.collect();
        if applied.is_empty() {
            return Ok(None);
        }
        AppliedTaxes::new(prices, applied).map(Some)
    }

    fn exempt(&self, tax: &str, at: Utc) -> Option<String> {
        let mut exemptions = self.exemptions.iter();
        let found = exemptions.find(|exemption| {
            exemption.tax.as_deref().is_none_or(|name| name == tax)
                && holds(exemption.valid_from, exemption.valid_till, at)
        });
        found.map(|exemption| exemption.reason.clone())
    }

    /// The taxes on a call that came in at this moment, which is its tax point. No text is copied.
    pub fn on_usage(&self, at: Utc, is_included: bool) -> Option<Arc<AppliedTaxes>> {
        let later = self.usage.partition_point(|(from, _)| *from <= at);
        let (_, both) = self.usage.get(later.checked_sub(1)?)?;
        both[usize::from(is_included)].clone()
    }

    /// The taxes on an amount of another kind with this tax point.
    pub fn on_kind(
        &self,
        kind: TaxableKind,
        at: Utc,
        is_included: bool,
    ) -> Option<Arc<AppliedTaxes>> {
        // All moments were tried when the account's taxes were made.
        self.find(kind, at, is_included).ok().flatten().map(Arc::new)
    }
}
