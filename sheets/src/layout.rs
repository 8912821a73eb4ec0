//! How a vendor's files are laid out: what is not said is found out at each import. Kept as JSON per
//! vendor, so that what an operator corrected once stays corrected.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cell::moment::DateOrder;
use crate::cell::price::{DecimalSign, ExcessDecimals};
use crate::words::Role;

/// Which of several prices counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceChoice {
    /// The highest of those that a row has: no call is then sold below it.
    #[default]
    Highest,
    /// The lowest.
    Lowest,
    /// The column between states.
    Inter,
    /// The column within a state.
    Intra,
    /// The column for unknown callers.
    Undetermined,
    /// The column of local calls.
    Local,
    /// The column that is simply the price.
    Price,
}

/// What a price is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceUnit {
    /// A minute.
    Minute,
    /// A second.
    Second,
}

/// What follows when a call reaches the amount in a column of caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapChoice {
    /// The rest of the call is free.
    #[default]
    Free,
    /// The call ends.
    Disconnect,
}

/// What a call across the boundary of two periods pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodsApply {
    /// Each increment the price of its start.
    #[default]
    EachIncrement,
    /// All of it the price of the answer.
    AtAnswer,
}

/// A part of the week: `{"days": ["mon", "fri"], "from": "08:00", "till": "18:00"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// `mon` to `sun`, and `holiday`.
    pub days: Vec<String>,
    /// By the clock on the wall.
    pub from: String,
    /// At or before `from`: it goes over midnight.
    pub till: String,
}

/// When the prices of `price_peak` and `price_weekend` hold; else the row's price does.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayoutPeriods {
    /// Whose clock is meant, as in the IANA database.
    pub time_zone: String,
    /// Dates that are holidays and no weekdays: `2026-12-25`.
    pub holidays: Vec<String>,
    /// Of the column `price_peak`.
    pub peak: Vec<Hours>,
    /// Of the column `price_weekend`.
    pub weekend: Vec<Hours>,
    /// What a call across a boundary pays.
    pub apply: PeriodsApply,
}

/// How a vendor's files are to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layout {
    /// The worksheets that count; empty: all that have a header with codes and prices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worksheets: Vec<String>,
    /// Worksheets that list removals; empty: those whose name says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removal_worksheets: Vec<String>,
    /// The line of the header; 0: there is none. Not said: it is searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_row: Option<u32>,
    /// What a column is, by its header's text, or by `#1`, `#2` … where there is none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Role>,
    /// What stands before decimals.
    pub decimal_sign: DecimalSign,
    /// Which of two numbers in a date is the day.
    pub date_order: DateOrder,
    /// The zone of dates that name none: `UTC`, `+02:00` or `CET`.
    pub time_zone: String,
    /// What becomes of a price's tenth decimal.
    pub excess_decimals: ExcessDecimals,
    /// Which of several prices counts.
    pub price: PriceChoice,
    /// What prices are for; not said: what the header says, else a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_unit: Option<PriceUnit>,
    /// Whether prices are in cents; not said: what the header says, else no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_in_cents: Option<bool>,
    /// The currency of the prices, whatever the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// When the prices of several columns hold; not said: the highest counts, or as `price` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub periods: Option<LayoutPeriods>,
    /// What follows when a call reaches its cap.
    pub cap_after: CapChoice,
    /// Seconds, for rows that say nothing; not said: what the rate group has, else 60.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_increment: Option<u32>,
    /// The same for further increments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_increment: Option<u32>,
    /// Whether codes beside a country code begin with it; not said: what the column shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codes_include_country: Option<bool>,
    /// Whether an empty country cell means the one above; not said: what the column shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_down: Option<bool>,
    /// Encoding of text files, such as `windows-1251`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// What is between the cells of text files: one character.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Whether a sheet is the vendor's whole offer: codes that are missing in it end.
    pub is_full: bool,
    /// Days of notice that an increase needs.
    pub notice_days: u16,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout {
            worksheets: Vec::new(),
            removal_worksheets: Vec::new(),
            header_row: None,
            columns: BTreeMap::new(),
            decimal_sign: DecimalSign::Guess,
            date_order: DateOrder::Guess,
            time_zone: "UTC".to_owned(),
            excess_decimals: ExcessDecimals::Reject,
            price: PriceChoice::Highest,
            price_unit: None,
            price_in_cents: None,
            currency: None,
            periods: None,
            cap_after: CapChoice::Free,
            first_increment: None,
            next_increment: None,
            codes_include_country: None,
            fill_down: None,
            encoding: None,
            delimiter: None,
            is_full: false,
            notice_days: 7,
        }
    }
}

impl Layout {
    /// Seconds by which the zone of the dates is ahead of UTC.
    pub(crate) fn offset(&self) -> Result<i64, String> {
        crate::cell::moment::offset(&self.time_zone).ok_or_else(|| {
            format!("time_zone: {:?} is not a zone; write UTC, +02:00 or CET", self.time_zone)
        })
    }

    /// Is it a layout that can be used? The error names the field.
    pub fn validate(&self) -> Result<(), String> {
        self.offset()?;
        let is_increment = |seconds: Option<u32>| seconds.is_none_or(|s| (1..=86_400).contains(&s));
        if !is_increment(self.first_increment) || !is_increment(self.next_increment) {
            return Err("first_increment, next_increment: write 1 to 86400 seconds".to_owned());
        }
        if self.delimiter.is_some_and(|c| !c.is_ascii()) {
            return Err("delimiter: write one ASCII character".to_owned());
        }
        if let Some(periods) = &self.periods {
            crate::mapping::special::WeekParts::read(periods)?;
        }
        if self.notice_days > 365 {
            return Err("notice_days: write 0 to 365".to_owned());
        }
        Ok(())
    }
}
