//! A tariff as a JSON document: every rule that a rate can have. It is priced by `tandem price`, and
//! it is a rate sheet like any other: read row by row, compared, dated, rolled back, written again.
//! The format is described in docs/operating/tariffs.md; an unknown field is refused with its path.

mod partial;
mod read;
mod sheet;
mod write;
mod written;

use std::fmt;
use std::sync::Arc;

use billing::{AppliedTaxes, Currency, Discount, ExchangeRate, Price};
use serde_json::Value;
use serde_json::value::RawValue;
use vocabulary::Utc;

pub use partial::Defaults;
use partial::Partial;
pub(crate) use read::{days, second_of_day};
pub(crate) use sheet::{interpret, is_tariff};
pub use write::{GroupHead, described, export_tariff, special_json};
use written::{WrittenTariff, WrittenTerms};

use crate::deck::Terms;
use crate::prefix::Prefix;

/// What is wrong with a tariff or a question, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct TariffError {
    /// The field, e.g. `destinations[2].price`.
    pub path: String,
    /// One sentence.
    pub what: String,
}

impl TariffError {
    /// About the field at this path.
    pub fn new(path: impl Into<String>, what: impl fmt::Display) -> TariffError {
        TariffError { path: path.into(), what: what.to_string() }
    }
}

/// The document, its destinations still to be read.
pub struct Tariff<'a> {
    /// For people.
    pub name: String,
    /// Of all prices.
    pub currency: Currency,
    /// What the account pays in, if it is another.
    pub account_currency: Option<Currency>,
    /// One unit of `currency` in the account's.
    pub exchange_rate: Option<ExchangeRate>,
    /// Of the account, for `tandem price`.
    pub discounts: Vec<Discount>,
    /// The taxes on what it pays, for `tandem price` (R13).
    pub taxes: Option<Arc<AppliedTaxes>>,
    defaults: Partial,
    destinations: Vec<&'a RawValue>,
}

/// One destination with everything that the tariff says for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TariffRow {
    /// Whom it covers.
    pub prefix: Prefix,
    /// What it is called; may be empty.
    pub destination: String,
    /// In force from; nothing: always was, or when the sheet begins.
    pub valid_from: Option<Utc>,
    /// Until.
    pub valid_till: Option<Utc>,
    /// Its terms; nothing if its prefix is no longer sold.
    pub terms: Option<Terms>,
}

impl Tariff<'_> {
    /// Reads a document, UTF-8.
    pub fn read(json: &[u8]) -> Result<Tariff<'_>, TariffError> {
        let text = std::str::from_utf8(json)
            .map_err(|_| TariffError::new(".", "the file is not UTF-8; save it as UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}');
        let mut written: WrittenTariff<'_> = read::json(text, "")?;
        let own = WrittenTerms {
            duration_rounding: written.duration_rounding,
            rounding: written.rounding,
            line_rounding: written.line_rounding,
            time_zone: written.time_zone.take(),
            holidays: written.holidays.take(),
            periods_apply: written.periods_apply,
            versions_apply: written.versions_apply,
            ..WrittenTerms::default()
        };
        check_defaults(&written.defaults, "defaults")?;
        let defaults = read::partial(written.defaults, "defaults")?.over(&read::partial(own, "")?);
        let discounts = written.discounts.into_iter().enumerate();
        let discounts = discounts
            .map(|(index, discount)| read::discount(discount, &format!("discounts[{index}]")));
        Ok(Tariff {
            name: written.name,
            currency: written.currency.0,
            account_currency: written.account_currency.map(|text| text.0),
            exchange_rate: written.exchange_rate.and_then(|text| ExchangeRate::new(text.0)),
            discounts: discounts.collect::<Result<_, _>>()?,
            taxes: written.taxes.map(|taxes| read::taxes(taxes, "taxes")).transpose()?,
            defaults,
            destinations: written.destinations,
        })
    }

    /// Its destinations in their order, each read or with what is wrong with it. What a destination
    /// does not say is the tariff's, and what neither says, the group's.
    pub fn rows<'s>(
        &'s self,
        group: &'s Defaults,
    ) -> impl Iterator<Item = Result<TariffRow, TariffError>> + 's {
        let destinations = self.destinations.iter().enumerate();
        destinations.map(|(index, raw)| self.row(raw, group, &format!("destinations[{index}]")))
    }

    fn row(&self, raw: &RawValue, group: &Defaults, path: &str) -> Result<TariffRow, TariffError> {
        let at = |name: &str| read::join(path, name);
        let mut written: WrittenTerms = read::json(raw.get(), path)?;
        let prefix = written.prefix.take().ok_or_else(|| {
            let what = "write the digits of the destination; \"\" is every number";
            TariffError::new(at("prefix"), what)
        })?;
        let prefix = prefix.parse().map_err(|why: String| TariffError::new(at("prefix"), why))?;
        let (valid_from, valid_till) =
            read::moments(path, written.valid_from.as_deref(), written.valid_till.as_deref())?;
        if let (Some(from), Some(till)) = (valid_from, valid_till)
            && till <= from
        {
            return Err(TariffError::new(at("valid_till"), "is not after the rate's start"));
        }
        let destination = written.destination.take().unwrap_or_default();
        let is_removed = written.removed;
        let partial = read::partial(written, path)?.over(&self.defaults);
        let terms = match is_removed {
            true => None,
            false if partial.price.is_none() && !partial.is_blocked => {
                return Err(TariffError::new(at("price"), "write a price"));
            }
            false => Some(checked(partial.terms(group.terms()), path)?),
        };
        Ok(TariffRow { prefix, destination, valid_from, valid_till, terms })
    }
}

/// Terms within their bounds.
fn checked(terms: Result<Terms, TariffError>, path: &str) -> Result<Terms, TariffError> {
    let terms = terms?;
    terms.rate.validate().map_err(|why| TariffError::new(path, why))?;
    if let Some(special) = &terms.special {
        special.validate().map_err(|why| TariffError::new(path, why))?;
    }
    Ok(terms)
}

/// What is only of one destination is not of all.
fn check_defaults(written: &WrittenTerms, path: &str) -> Result<(), TariffError> {
    let fields = [
        ("prefix", written.prefix.is_some()),
        ("destination", written.destination.is_some()),
        ("removed", written.removed),
        ("blocked", written.blocked),
        ("valid_from", written.valid_from.is_some()),
        ("valid_till", written.valid_till.is_some()),
    ];
    match fields.into_iter().find(|(_, is_said)| *is_said) {
        Some((name, _)) => {
            Err(TariffError::new(read::join(path, name), "is of one destination; write it there"))
        }
        None => Ok(()),
    }
}

impl Defaults {
    /// The defaults of a rate group: terms as in a tariff, but for those that are its own fields.
    pub fn read(terms: &Value) -> Result<Defaults, TariffError> {
        let path = "defaults";
        let text = terms.to_string();
        let written: WrittenTerms = read::json(&text, path)?;
        check_defaults(&written, path)?;
        let fields = [
            ("price", written.price.is_some()),
            ("rounding", written.rounding.is_some()),
            ("line_rounding", written.line_rounding.is_some()),
            ("duration_rounding", written.duration_rounding.is_some()),
        ];
        if let Some((name, _)) = fields.into_iter().find(|(_, is_said)| *is_said) {
            let what = match name {
                "price" => "every rate has its own",
                _ => "is a field of the group itself; set it there",
            };
            return Err(TariffError::new(read::join(path, name), what));
        }
        let terms = read::partial(written, path)?;
        let nothing = Partial { price: Some(Price::ZERO), ..Partial::default() };
        checked(nothing.over(&terms).terms(&Partial::default()), path)?;
        Ok(Defaults::new(terms))
    }
}

/// The special terms that are written in a cell of a spreadsheet, over a rate that was read there.
pub(crate) fn terms_of_cell(
    text: &str,
    rate: &billing::Rate,
) -> Result<billing::SpecialTerms, TariffError> {
    let written: WrittenTerms = read::json(text, "")?;
    check_defaults(&written, "")?;
    let partial = read::partial(written, "")?;
    if partial.said() != crate::deck::Said::NOTHING || partial.price.is_some() {
        return Err(TariffError::new(".", "plain terms have columns of their own"));
    }
    let special = partial.special(rate)?;
    special.validate().map_err(|why| TariffError::new(".", why))?;
    Ok(special)
}
