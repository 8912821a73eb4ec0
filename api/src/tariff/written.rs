//! The document as it is written.

use std::fmt;
use std::str::FromStr;

use billing::{Currency, Date, Days, MoneyMode, MoneyRounding, Percent, Price};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A value written as text.
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text<T>, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Text).map_err(D::Error::custom)
    }
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

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Seconds {
    #[default]
    Up,
    Nearest,
    Down,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Choice {
    #[default]
    EachIncrement,
    AtAnswer,
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
pub(super) struct WrittenTariff {
    #[serde(default)]
    pub(super) name: String,
    pub(super) currency: Text<Currency>,
    pub(super) account_currency: Option<Text<Currency>>,
    pub(super) exchange_rate: Option<Text<Price>>,
    #[serde(default)]
    pub(super) duration_rounding: Seconds,
    pub(super) rounding: Option<Rounding>,
    pub(super) time_zone: Option<String>,
    #[serde(default)]
    pub(super) holidays: Vec<Text<Date>>,
    #[serde(default)]
    pub(super) periods_apply: Choice,
    #[serde(default)]
    pub(super) defaults: WrittenTerms,
    pub(super) destinations: Vec<WrittenTerms>,
    #[serde(default)]
    pub(super) discounts: Vec<WrittenDiscount>,
}
