//! The document as it is written; prices are texts, so that no float touches them.

use std::fmt;
use std::str::FromStr;

use billing::{
    Currency, Date, Days, DurationRounding, MoneyMode, MoneyRounding, Percent, PeriodChoice, Price,
    TaxRate, VersionChoice,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A value written as text.
#[derive(Clone)]
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text<T>, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Text).map_err(D::Error::custom)
    }
}

/// The taxes on what is paid, for `tandem price` (R13).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTaxes {
    pub(super) prices: Prices,
    pub(super) taxes: Vec<WrittenTax>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Prices {
    Included,
    WithCharge,
    OnStatement,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTax {
    pub(super) name: String,
    pub(super) percent: Text<TaxRate>,
    #[serde(default)]
    pub(super) compound: bool,
    pub(super) exempt: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    Up,
    Down,
    HalfUp,
    HalfEven,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rounding {
    pub(super) mode: Mode,
    pub(super) decimals: u8,
}

impl From<Rounding> for MoneyRounding {
    fn from(rounding: Rounding) -> MoneyRounding {
        let mode = match rounding.mode {
            Mode::Up => MoneyMode::Up,
            Mode::Down => MoneyMode::Down,
            Mode::HalfUp => MoneyMode::HalfUp,
            Mode::HalfEven => MoneyMode::HalfEven,
        };
        MoneyRounding { mode, decimals: rounding.decimals }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Seconds {
    Up,
    Nearest,
    Down,
}

impl From<Seconds> for DurationRounding {
    fn from(seconds: Seconds) -> DurationRounding {
        match seconds {
            Seconds::Up => DurationRounding::Up,
            Seconds::Nearest => DurationRounding::Nearest,
            Seconds::Down => DurationRounding::Down,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Periods {
    EachIncrement,
    AtAnswer,
}

impl From<Periods> for PeriodChoice {
    fn from(choice: Periods) -> PeriodChoice {
        match choice {
            Periods::EachIncrement => PeriodChoice::EachIncrement,
            Periods::AtAnswer => PeriodChoice::AtAnswer,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Versions {
    EachIncrement,
    AtStart,
}

impl From<Versions> for VersionChoice {
    fn from(choice: Versions) -> VersionChoice {
        match choice {
            Versions::EachIncrement => VersionChoice::EachIncrement,
            Versions::AtStart => VersionChoice::AtStart,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum After {
    Free,
    Disconnect,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenStep {
    pub(super) from_seconds: u32,
    pub(super) price: String,
    pub(super) per_seconds: Option<u32>,
    pub(super) increment: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenPeriod {
    pub(super) name: String,
    #[serde(default = "every_day")]
    pub(super) days: Vec<String>,
    pub(super) from: String,
    pub(super) till: String,
    pub(super) price: Text<Price>,
    pub(super) per_seconds: Option<u32>,
    pub(super) connect_fee: Option<Text<Price>>,
    pub(super) first_increment: Option<u32>,
    pub(super) next_increment: Option<u32>,
    #[serde(default)]
    pub(super) steps: Vec<WrittenStep>,
}

fn every_day() -> Vec<String> {
    Days::WORDS.map(str::to_owned).to_vec()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSurcharge {
    pub(super) name: String,
    pub(super) amount: Option<Text<Price>>,
    pub(super) percent: Option<Text<Percent>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenOrigin {
    pub(super) name: String,
    #[serde(default)]
    pub(super) prefixes: Vec<String>,
    #[serde(default)]
    pub(super) invalid: bool,
    pub(super) price: Option<Text<Price>>,
    pub(super) connect_fee: Option<Text<Price>>,
    #[serde(default)]
    pub(super) surcharges: Vec<WrittenSurcharge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCap {
    pub(super) amount: Text<Price>,
    pub(super) after: After,
}

/// The terms of a destination, or of all of them.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTerms {
    pub(super) prefix: Option<String>,
    pub(super) destination: Option<String>,
    #[serde(default)]
    pub(super) removed: bool,
    pub(super) valid_from: Option<String>,
    pub(super) valid_till: Option<String>,
    #[serde(default)]
    pub(super) blocked: bool,
    pub(super) price: Option<Text<Price>>,
    pub(super) per_seconds: Option<u32>,
    pub(super) connect_fee: Option<Text<Price>>,
    pub(super) first_increment: Option<u32>,
    pub(super) next_increment: Option<u32>,
    pub(super) grace_seconds: Option<u32>,
    pub(super) free_seconds: Option<u32>,
    pub(super) minimum_seconds: Option<u32>,
    pub(super) minimum_charge: Option<Text<Price>>,
    pub(super) steps: Option<Vec<WrittenStep>>,
    pub(super) periods: Option<Vec<WrittenPeriod>>,
    pub(super) surcharges: Option<Vec<WrittenSurcharge>>,
    pub(super) origins: Option<Vec<WrittenOrigin>>,
    pub(super) cap: Option<WrittenCap>,
    pub(super) line_rounding: Option<Rounding>,
    pub(super) rounding: Option<Rounding>,
    pub(super) duration_rounding: Option<Seconds>,
    pub(super) versions_apply: Option<Versions>,
    pub(super) time_zone: Option<String>,
    pub(super) holidays: Option<Vec<Text<Date>>>,
    pub(super) periods_apply: Option<Periods>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenDiscount {
    pub(super) name: String,
    pub(super) prefixes: Vec<String>,
    pub(super) percent: Text<Percent>,
    pub(super) valid_from: Option<String>,
    pub(super) valid_till: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTariff<'a> {
    #[serde(default)]
    pub(super) name: String,
    pub(super) currency: Text<Currency>,
    pub(super) account_currency: Option<Text<Currency>>,
    pub(super) exchange_rate: Option<Text<Price>>,
    pub(super) duration_rounding: Option<Seconds>,
    pub(super) rounding: Option<Rounding>,
    pub(super) line_rounding: Option<Rounding>,
    pub(super) time_zone: Option<String>,
    pub(super) holidays: Option<Vec<Text<Date>>>,
    pub(super) periods_apply: Option<Periods>,
    pub(super) versions_apply: Option<Versions>,
    #[serde(default)]
    pub(super) defaults: WrittenTerms,
    /// Read one by one, so that a fault in one is told with its place and the others count.
    #[serde(borrow)]
    pub(super) destinations: Vec<&'a RawValue>,
    #[serde(default)]
    pub(super) discounts: Vec<WrittenDiscount>,
    pub(super) taxes: Option<WrittenTaxes>,
}
