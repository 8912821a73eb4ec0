//! The price of one call by a tariff document: what `tandem price` and `POST /api/v1/price` say. The
//! format is described in docs/operating/tariffs.md; `sheets` reads it, here and when it is imported.

use std::sync::Arc;
use std::time::Duration;

use billing::{
    Answered, AppliedRate, AppliedTaxes, CallQuery, Charge, Currency, Discount, DurationRounding,
    ExchangeRate, GroupTerms, Money, MoneyRounding, NotRated, PayerTerms, RateGroup, RateGroupId,
    RateRow, Talk, explain, max_talk,
};
use serde::{Deserialize, Serialize};
pub use sheets::TariffError;
use vocabulary::{Location, Number, Utc};

use crate::Problem;

impl From<TariffError> for Problem {
    fn from(error: TariffError) -> Problem {
        Problem::invalid(&error.path, error.what)
    }
}

/// A tariff, read and checked.
pub struct Tariff {
    group: RateGroup,
    first_prefix: String,
    currency: Currency,
    exchange: Option<ExchangeRate>,
    discounts: Vec<Discount>,
    taxes: Option<Arc<AppliedTaxes>>,
}

/// What a call would be, for its price.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// When it is answered, RFC 3339.
    pub start: String,
    /// How long it lasts: seconds, with up to six decimals.
    pub duration: String,
    /// What there is to pay it with, in the account's currency.
    pub balance: Option<String>,
    /// The seconds of bundles that it may use.
    #[serde(default)]
    pub bundle_seconds: u32,
    /// The caller's number.
    pub from: Option<String>,
    /// The called number; the first destination's prefix if nothing is said.
    pub to: Option<String>,
}

/// The price of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Priced {
    /// What is to be paid.
    pub charge: String,
    /// What of it are taxes (R13).
    pub tax: String,
    /// In what.
    pub currency: String,
    /// The seconds paid for with money, whole increments.
    pub billed_seconds: u32,
    /// The seconds that bundles pay for.
    pub bundle_seconds: u32,
    /// The longest talk that the balance pays for; `null` without a balance, or if not even an
    /// answer can be paid for.
    pub granted_seconds: Option<u32>,
    /// After how many seconds the cap ends the call.
    pub disconnect_after_seconds: Option<u32>,
    /// The prefix whose rate applies.
    pub prefix: String,
    /// The calculation, step by step.
    pub lines: Vec<PricedLine>,
}

/// One step of the calculation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PricedLine {
    /// A stable word.
    pub code: &'static str,
    /// One sentence.
    pub sentence: String,
}

/// The longest talk that is granted: a year.
const LONGEST_TALK_SECONDS: u32 = 366 * 86_400;

impl Tariff {
    /// Reads a document, every destination of which must be right.
    pub fn read(json: &[u8]) -> Result<Tariff, TariffError> {
        let written = sheets::Tariff::read(json)?;
        let mut builder = RateGroup::builder(GroupTerms {
            id: RateGroupId(1),
            name: written.name.clone(),
            currency: written.currency,
            money_rounding: MoneyRounding::default(),
            special: None,
        });
        let mut first_prefix = None;
        for (index, read) in written.rows(&sheets::Defaults::default()).enumerate() {
            let read = read?;
            first_prefix.get_or_insert_with(|| read.prefix.to_string());
            let Some(terms) = read.terms else { continue };
            let row = RateRow {
                prefix: read.prefix.to_string(),
                rate: terms.rate,
                special: terms.special,
                valid_from: read.valid_from,
                valid_till: read.valid_till,
                sheet_version: 1,
            };
            let path = || format!("destinations[{index}]");
            builder.row(&row).map_err(|why| TariffError::new(path(), why))?;
        }
        Ok(Tariff {
            group: builder.build(),
            first_prefix: first_prefix.unwrap_or_default(),
            currency: written.account_currency.unwrap_or(written.currency),
            exchange: written.exchange_rate,
            discounts: written.discounts,
            taxes: written.taxes,
        })
    }

    /// Prices one call.
    pub fn price(&self, question: &Question) -> Result<Priced, TariffError> {
        let at = moment("start", &question.start)?;
        let lasted = duration(&question.duration)?;
        let (applied, to) = self.applied(question, at)?;
        let talk = Talk::Answered(Answered { at, lasted, bundle_seconds: question.bundle_seconds });
        let charge: Charge =
            explain(&applied, &talk).map_err(|why| TariffError::new("duration", why))?;
        let balance = question.balance.as_deref().map(str::parse::<Money>).transpose();
        let balance = balance.map_err(|why| TariffError::new("balance", why))?;
        let granted_seconds = balance.and_then(|balance| {
            max_talk(&applied, at, balance, question.bundle_seconds, LONGEST_TALK_SECONDS)
        });
        let lines = charge.lines.into_iter();
        Ok(Priced {
            charge: charge.amount.to_string(),
            tax: charge.tax.to_string(),
            currency: applied.currency.code().to_owned(),
            billed_seconds: charge.billed_seconds,
            bundle_seconds: charge.bundle_seconds,
            granted_seconds,
            disconnect_after_seconds: charge.disconnect_after,
            prefix: to.as_str()[..usize::from(applied.prefix_length)].to_owned(),
            lines: lines.map(|l| PricedLine { code: l.code, sentence: l.sentence }).collect(),
        })
    }

    fn applied(&self, question: &Question, at: Utc) -> Result<(AppliedRate, Number), TariffError> {
        let parse = |path: &str, text: &str| {
            let text = text.trim_start_matches('+');
            text.parse::<Number>().map_err(|why| TariffError::new(path, why))
        };
        let from = question.from.as_deref().map(|text| parse("from", text)).transpose()?;
        let to = match question.to.as_deref() {
            Some(text) => parse("to", text)?,
            None => parse("to", &format!("{}0", self.first_prefix))?,
        };
        let call = CallQuery {
            cld: &to,
            cli: from.as_ref(),
            at,
            in_force_at: at,
            site: None,
            location: Location::default(),
        };
        let payer = PayerTerms {
            duration_rounding: DurationRounding::Up,
            currency: self.currency,
            exchange: self.exchange,
            discounts: &self.discounts,
        };
        let applied = self.group.apply(&call, &payer).map_err(|why| {
            let what = match why {
                NotRated::NoRate => "no destination of the tariff is in force for the number",
                NotRated::Blocked { .. } => "the tariff refuses calls to the number",
            };
            TariffError::new("to", what)
        })?;
        if applied.currency.code() != self.currency.code() {
            let what = "write how much one unit of currency is in account_currency";
            return Err(TariffError::new("exchange_rate", what));
        }
        Ok((AppliedRate { taxes: self.taxes.clone(), ..applied }, to))
    }
}

fn moment(path: &str, text: &str) -> Result<Utc, TariffError> {
    let what = "write a time as 2026-11-21T08:00:00Z, or with an offset";
    store::moment::parse_utc(text).ok_or_else(|| TariffError::new(path, what))
}

fn duration(text: &str) -> Result<Duration, TariffError> {
    let wrong =
        || TariffError::new("duration", "write seconds with up to six decimals: 60 or 60.4");
    let seconds: Money = text.parse().map_err(|_| wrong())?;
    u64::try_from(seconds.micros()).map(Duration::from_micros).map_err(|_| wrong())
}
