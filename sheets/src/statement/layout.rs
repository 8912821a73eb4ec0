//! How a carrier writes its call records: what is not said is found out from each file. Kept as JSON
//! per carrier, so that what an operator said once holds for the next file.

use std::collections::BTreeMap;
use std::sync::Arc;

use billing::Zone;
use serde::{Deserialize, Serialize};

use crate::cell::moment::{self, DateOrder};
use crate::cell::price::DecimalSign;
use crate::layout::PriceUnit;
use crate::words::plain;

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $word:literal [$($name:literal),* $(,)?]),+ $(,)?) => {
        /// What a column of a carrier's call records is for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum StatementRole { $($(#[$doc])* $role),+ }

        impl StatementRole {
            /// The word in layouts.
            pub fn as_str(self) -> &'static str {
                match self { $(StatementRole::$role => $word),+ }
            }

            fn of(name: &str) -> Option<StatementRole> {
                const NAMES: &[(StatementRole, &[&str])] =
                    &[$((StatementRole::$role, &[$($name),*])),+];
                NAMES.iter().find(|(_, names)| names.contains(&name)).map(|(role, _)| *role)
            }
        }
    };
}

roles! {
    /// Date and time in one cell.
    Time = "time" ["time", "timestamp", "date time", "datetime", "start", "start time", "call start", "call start time", "start date", "start datetime", "start date time", "begin", "begin time", "setup time", "call time", "call date", "calldate", "call date time", "answer time", "answered", "answered at", "connect time", "connect datetime", "start stamp", "started at", "uhrzeit", "beginn", "startzeit", "zeitpunkt", "datum uhrzeit", "fecha hora", "date heure", "дата и время", "время начала"],
    /// The date, where the time of day has a column of its own.
    Date = "date" ["date", "day", "datum", "fecha", "data", "jour", "дата"],
    /// The time of day beside a date.
    Clock = "clock" ["hour", "time of day", "clock", "hora", "heure", "zeit", "время"],
    /// The caller.
    Cli = "cli" ["cli", "ani", "caller", "caller id", "callerid", "caller number", "calling number", "calling party", "from", "source", "src", "a number", "anumber", "originating number", "origin number", "orig number", "calling", "src number", "rufnummer a", "anrufer", "origen", "numero a", "номер а"],
    /// The called number.
    Cld = "cld" ["cld", "dnis", "callee", "called", "called number", "called party", "to", "dst", "destination number", "dialed number", "dialled number", "b number", "bnumber", "dialed", "dialled", "terminating number", "term number", "called id", "number", "phone number", "dst number", "zielrufnummer", "rufnummer b", "gewählte nummer", "destino numero", "numero b", "numero", "номер b"],
    /// Talk, measured or billed.
    Duration = "duration" ["duration", "billsec", "billed duration", "billed seconds", "charged duration", "charged seconds", "call duration", "talk time", "seconds", "secs", "length", "minutes", "billable seconds", "billing duration", "duration sec", "billed time", "rated duration", "dauer", "gesprächsdauer", "duración", "duracion", "durée", "duree", "durata", "длительность", "usage"],
    /// The price a minute.
    Rate = "rate" ["rate", "price", "price per minute", "rate per minute", "tariff", "unit price", "price min", "rate min", "minutenpreis", "tarif", "tarifa", "тариф"],
    /// What the call costs.
    Amount = "amount" ["amount", "cost", "charge", "total", "charged amount", "call cost", "total cost", "total charge", "call charge", "sum", "revenue", "betrag", "kosten", "preis", "importe", "coste", "montant", "prix", "importo", "сумма", "стоимость", "net amount"],
    /// The currency of the row.
    Currency = "currency" ["currency", "curr", "währung", "moneda", "devise", "valuta", "валюта"],
    /// Nothing that is compared.
    Ignore = "ignore" ["id", "no", "nr", "index", "row", "call id", "callid", "session id", "uuid", "destination", "country", "area", "prefix", "code", "status", "account", "trunk", "disconnect cause", "cause", "pdd", "end time", "stop time", "end", "vat", "tax"],
}

/// Words in headers that do not tell columns apart.
const NOISE: [&str; 22] = [
    "usd", "eur", "gbp", "chf", "utc", "gmt", "cet", "in", "the", "of", "sec", "s", "min", "mm",
    "ss", "hh", "e164", "call", "actual", "local", "per", "minute",
];

/// What a header says its column is; nothing if its words are not known.
pub(super) fn role(text: &str) -> Option<StatementRole> {
    let name = plain(text);
    if name.is_empty() || text.len() > 80 {
        return None;
    }
    let short =
        || name.split(' ').filter(|word| !NOISE.contains(word)).collect::<Vec<_>>().join(" ");
    let outside = || text.split(['(', '[']).next().map(plain).unwrap_or_default();
    StatementRole::of(&name)
        .or_else(|| StatementRole::of(&outside()))
        .or_else(|| StatementRole::of(&short()))
}

/// Which moment of a call the carrier writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeOf {
    /// Its start or its answer, whichever is nearer to ours.
    #[default]
    StartOrAnswer,
    /// INVITE.
    Start,
    /// Answer.
    Answer,
    /// End.
    End,
}

/// What numbers in the column of durations count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DurationUnit {
    /// Seconds.
    Second,
    /// Minutes, with decimals.
    Minute,
}

/// How a carrier's call records are to be read and compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StatementLayout {
    /// The worksheets that count; empty: all that have a header with times and called numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worksheets: Vec<String>,
    /// The line of the header; 0: there is none. Not said: it is searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_row: Option<u32>,
    /// What a column is, by its header's text, or by `#1`, `#2` … where there is none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, StatementRole>,
    /// What stands before decimals.
    pub decimal_sign: DecimalSign,
    /// Which of two numbers in a date is the day.
    pub date_order: DateOrder,
    /// The zone of times that name none: `Europe/Berlin`, `UTC`, `+02:00` or `CET`.
    pub time_zone: String,
    /// Which moment of a call its time is.
    pub time_of: TimeOf,
    /// What durations count; not said: what the header says, else seconds. `1:05` is always a clock's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_unit: Option<DurationUnit>,
    /// What rates are for; not said: what the header says, else a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_unit: Option<PriceUnit>,
    /// Whether rates and amounts are in cents; not said: what the header says, else no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_cents: Option<bool>,
    /// The currency of the amounts, whatever the file says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// What numbers are written with in front and are compared without, such as a technical prefix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strip: Vec<String>,
    /// Of which country numbers with one leading zero are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country_code: Option<String>,
    /// Encoding of text files, such as `windows-1251`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// What is between the cells of text files: one character.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Two clocks may differ by this.
    pub window_seconds: u32,
    /// Two durations may differ by this.
    pub duration_tolerance_seconds: u32,
}

impl Default for StatementLayout {
    fn default() -> StatementLayout {
        StatementLayout {
            worksheets: Vec::new(),
            header_row: None,
            columns: BTreeMap::new(),
            decimal_sign: DecimalSign::Guess,
            date_order: DateOrder::Guess,
            time_zone: "UTC".to_owned(),
            time_of: TimeOf::default(),
            duration_unit: None,
            price_unit: None,
            in_cents: None,
            currency: None,
            strip: Vec::new(),
            country_code: None,
            encoding: None,
            delimiter: None,
            window_seconds: 60,
            duration_tolerance_seconds: 1,
        }
    }
}

/// Whose clock times without a zone are by.
#[derive(Clone, Debug)]
pub(super) enum Clock {
    /// Always so many seconds ahead of UTC.
    Offset(i64),
    /// With summer time.
    Zone(Arc<Zone>),
}

impl Clock {
    /// The second of UTC of a second on this clock's wall.
    pub(super) fn utc(&self, local: i64) -> i64 {
        match self {
            Clock::Offset(offset) => local - offset,
            Clock::Zone(zone) => zone.utc_second(local),
        }
    }
}

impl StatementLayout {
    pub(super) fn clock(&self) -> Result<Clock, String> {
        if let Some(offset) = moment::offset(&self.time_zone) {
            return Ok(Clock::Offset(offset));
        }
        let unknown = || {
            format!(
                "time_zone: {:?} is no zone; write Europe/Berlin, UTC, +02:00 or CET",
                self.time_zone
            )
        };
        Zone::named(&self.time_zone).map(Clock::Zone).map_err(|_| unknown())
    }

    /// Is it a layout that can be used? The error names the field.
    pub fn validate(&self) -> Result<(), String> {
        self.clock()?;
        if self.delimiter.is_some_and(|c| !c.is_ascii()) {
            return Err("delimiter: write one ASCII character".to_owned());
        }
        if self.window_seconds > 86_400 || self.duration_tolerance_seconds > 86_400 {
            return Err("window_seconds, duration_tolerance_seconds: write 0 to 86400".to_owned());
        }
        let is_dialled = |text: &String| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || "+*#".contains(c))
        };
        if !self.strip.iter().all(is_dialled) {
            return Err("strip: write digits, +, * or #".to_owned());
        }
        let is_code = |code: &String| {
            (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !self.country_code.as_ref().is_none_or(is_code) {
            return Err("country_code: write 1 to 3 digits, such as 49".to_owned());
        }
        Ok(())
    }

    /// A number as it is compared: digits, `*` and `#`, without plus, 00 and what is stripped.
    /// Nothing if it is none.
    pub fn number(&self, text: &str) -> Option<String> {
        let text = text.trim();
        let text = text.strip_prefix("sip:").or(text.strip_prefix("tel:")).unwrap_or(text);
        let text = text.split(['@', ';']).next().unwrap_or(text);
        let mut number = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '0'..='9' | '*' | '#' => number.push(c),
                '+' if number.is_empty() => number.push(c),
                ' ' | '-' | '.' | '/' | '(' | ')' | '\'' | '\u{a0}' => {}
                _ => return None,
            }
        }
        let longest = self.strip.iter().filter(|strip| number.starts_with(strip.as_str()));
        let longest = longest.map(String::len).max().unwrap_or(0);
        let number = &number[longest..];
        let number = match (number.strip_prefix('+').or(number.strip_prefix("00")), number) {
            (Some(international), _) => international.to_owned(),
            (None, national) => match (&self.country_code, national.strip_prefix('0')) {
                (Some(country), Some(rest)) => format!("{country}{rest}"),
                _ => national.to_owned(),
            },
        };
        (!number.is_empty()).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_carriers_are_known() {
        use StatementRole::{Amount, Cld, Cli, Clock, Date, Duration, Rate, Time};
        for (header, expected) in [
            ("Start Time (UTC)", Time),
            ("Call Date", Time),
            ("Date", Date),
            ("Hour", Clock),
            ("A-Number", Cli),
            ("ANI", Cli),
            ("Called Number", Cld),
            ("B-number", Cld),
            ("Billed Duration (sec)", Duration),
            ("Rate per minute, USD", Rate),
            ("Charged amount (EUR)", Amount),
        ] {
            assert_eq!(role(header), Some(expected), "{header}");
        }
        assert_eq!(role("Remote gateway"), None);
    }

    #[test]
    fn numbers_are_compared_without_what_surrounds_them() {
        let layout = StatementLayout {
            strip: vec!["99".into(), "997#".into()],
            country_code: Some("49".into()),
            ..StatementLayout::default()
        };
        for (text, expected) in [
            ("+49 (30) 123-45", Some("493012345")),
            ("0049/30.12345", Some("493012345")),
            ("030 12345", Some("493012345")),
            ("997#493012345", Some("493012345")),
            ("99493012345", Some("493012345")),
            ("sip:+493012345@10.0.0.1;user=phone", Some("493012345")),
            ("4.93E+11", None),
            ("anonymous", None),
            ("", None),
        ] {
            assert_eq!(layout.number(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_layout_that_cannot_be_used_is_refused_by_its_field() {
        let check = |layout: StatementLayout, field: &str| {
            assert!(layout.validate().unwrap_err().starts_with(field));
        };
        let usual = StatementLayout::default;
        assert_eq!(usual().validate(), Ok(()));
        check(StatementLayout { time_zone: "Mars".into(), ..usual() }, "time_zone");
        check(StatementLayout { delimiter: Some('…'), ..usual() }, "delimiter");
        check(StatementLayout { strip: vec!["a".into()], ..usual() }, "strip");
        check(StatementLayout { country_code: Some("+49".into()), ..usual() }, "country_code");
        check(StatementLayout { window_seconds: 90_000, ..usual() }, "window_seconds");
    }
}
