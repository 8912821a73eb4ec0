//! A tariff as a JSON document, and the price of one call by it: what `tandem price` and
//! `POST /api/v1/price` read. The format is described in docs/operating/tariffs.md. Prices are
//! texts, so that no float touches them; an unknown field is refused with its path.

mod written;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use billing::{
    AfterCap, Answered, AppliedRate, Calendar, CallQuery, Cap, Charge, Currency, Date, Days,
    DestinationSet, Discount, DurationRounding, ExchangeRate, GroupTerms, Money, MoneyRounding,
    NotRated, OriginTerms, PayerTerms, Period, PeriodChoice, Price, Rate, RateGroup, RateGroupId,
    RateRow, SpecialTerms, Step, Surcharge, SurchargeAmount, Talk, TimePrice, Zone, explain,
    max_talk,
};
use serde::{Deserialize, Serialize};
use vocabulary::{Number, Utc};

use crate::Problem;
use written::*;

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
    fn new(path: impl Into<String>, what: impl fmt::Display) -> TariffError {
        TariffError { path: path.into(), what: what.to_string() }
    }
}

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
    duration_rounding: DurationRounding,
    discounts: Vec<Discount>,
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
    /// Reads a document.
    pub fn read(json: &[u8]) -> Result<Tariff, TariffError> {
        let mut from = serde_json::Deserializer::from_slice(json);
        let written: WrittenTariff = serde_path_to_error::deserialize(&mut from)
            .map_err(|error| TariffError::new(error.path().to_string(), error.inner()))?;
        from.end().map_err(|error| TariffError::new(".", error))?;
        Tariff::checked(written)
    }

    fn checked(written: WrittenTariff) -> Result<Tariff, TariffError> {
        let zone = written.time_zone.as_deref().map(Zone::named).transpose();
        let zone = zone.map_err(|why| TariffError::new("time_zone", why))?;
        let mut holidays: Vec<Date> = written.holidays.into_iter().map(|date| date.0).collect();
        holidays.sort_unstable();
        let choice = match written.periods_apply {
            Choice::EachIncrement => PeriodChoice::EachIncrement,
            Choice::AtAnswer => PeriodChoice::AtAnswer,
        };
        let clock = Clock { zone, holidays, choice };
        let rounding = written.rounding.map(MoneyRounding::from).unwrap_or_default();
        let mut builder = RateGroup::builder(GroupTerms {
            id: RateGroupId(1),
            name: written.name,
            currency: written.currency.0,
            money_rounding: rounding,
            special: None,
        });
        let first_prefix = written.destinations.first().and_then(|first| first.prefix.clone());
        for (index, own) in written.destinations.into_iter().enumerate() {
            let path = format!("destinations[{index}]");
            let row = row(own, &written.defaults, &clock, &path)?;
            builder.row(&row).map_err(|why| TariffError::new(path, why))?;
        }
        let discounts = written
            .discounts
            .into_iter()
            .enumerate()
            .map(|(index, discount)| read_discount(discount, &format!("discounts[{index}]")));
        Ok(Tariff {
            group: builder.build(),
            first_prefix: first_prefix.unwrap_or_default(),
            currency: written.account_currency.map_or(written.currency.0, |text| text.0),
            exchange: written.exchange_rate.and_then(|text| ExchangeRate::new(text.0)),
            duration_rounding: match written.duration_rounding {
                Seconds::Up => DurationRounding::Up,
                Seconds::Nearest => DurationRounding::Nearest,
                Seconds::Down => DurationRounding::Down,
            },
            discounts: discounts.collect::<Result<_, _>>()?,
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
            subscriber: None,
            trunk: None,
        };
        let payer = PayerTerms {
            duration_rounding: self.duration_rounding,
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
        Ok((applied, to))
    }
}

/// What all calendars of a tariff share.
struct Clock {
    zone: Option<Arc<Zone>>,
    holidays: Vec<Date>,
    choice: PeriodChoice,
}

fn moment(path: &str, text: &str) -> Result<Utc, TariffError> {
    let what = "write a time as 2026-11-21T08:00:00Z, or with an offset";
    store::moment::parse_utc(text).ok_or_else(|| TariffError::new(path, what))
}

fn moments(
    path: &str,
    from: Option<&str>,
    till: Option<&str>,
) -> Result<(Option<Utc>, Option<Utc>), TariffError> {
    let read = |name: &str, text: Option<&str>| {
        text.map(|text| moment(&format!("{path}.{name}"), text)).transpose()
    };
    Ok((read("valid_from", from)?, read("valid_till", till)?))
}

fn duration(text: &str) -> Result<Duration, TariffError> {
    let wrong =
        || TariffError::new("duration", "write seconds with up to six decimals: 60 or 60.4");
    let seconds: Money = text.parse().map_err(|_| wrong())?;
    u64::try_from(seconds.micros()).map(Duration::from_micros).map_err(|_| wrong())
}

/// `08:00`, `24:00`, `18:30:15`.
fn second_of_day(path: &str, text: &str) -> Result<u32, TariffError> {
    let wrong = || TariffError::new(path, "write a time of the day as 08:00, at most 24:00");
    let mut parts = text.split(':').map(|part| match part.len() {
        1 | 2 => part.parse::<u32>().map_err(|_| wrong()),
        _ => Err(wrong()),
    });
    let hour = parts.next().ok_or_else(wrong)??;
    let minute = parts.next().ok_or_else(wrong)??;
    let second = parts.next().transpose()?.unwrap_or(0);
    let of_day = hour * 3_600 + minute * 60 + second;
    if parts.next().is_some() || minute > 59 || second > 59 || of_day > 86_400 {
        return Err(wrong());
    }
    Ok(of_day)
}

fn days(path: &str, words: &[String]) -> Result<Days, TariffError> {
    let mut days = 0;
    for word in words {
        let bit = Days::WORDS.iter().position(|known| known == word).ok_or_else(|| {
            TariffError::new(path, format!("{word:?} is none of {}", Days::WORDS.join(", ")))
        })?;
        days |= 1 << bit;
    }
    Ok(Days(days))
}

fn steps(path: &str, written: &[WrittenStep]) -> Result<Box<[Step]>, TariffError> {
    let step = |(index, step): (usize, &WrittenStep)| {
        let price = step.price.parse();
        Ok(Step {
            from_seconds: step.from_seconds,
            price: price.map_err(|why| TariffError::new(format!("{path}[{index}].price"), why))?,
            unit_seconds: step.per_seconds.unwrap_or(60),
            increment: step.increment,
        })
    };
    written.iter().enumerate().map(step).collect()
}

fn surcharges(path: &str, written: &[WrittenSurcharge]) -> Result<Box<[Surcharge]>, TariffError> {
    let surcharge = |(index, surcharge): (usize, &WrittenSurcharge)| {
        let amount = match (&surcharge.amount, &surcharge.percent) {
            (Some(Text(amount)), None) => SurchargeAmount::Fixed(*amount),
            (None, Some(Text(percent))) => SurchargeAmount::Share(*percent),
            _ => {
                let what = "write either amount or percent";
                return Err(TariffError::new(format!("{path}[{index}]"), what));
            }
        };
        Ok(Surcharge { name: surcharge.name.clone(), amount })
    };
    written.iter().enumerate().map(surcharge).collect()
}

fn origins(path: &str, written: &[WrittenOrigin]) -> Result<Box<[OriginTerms]>, TariffError> {
    let origin = |(index, origin): (usize, &WrittenOrigin)| {
        Ok(OriginTerms {
            name: origin.name.clone(),
            prefixes: origin.prefixes.clone().into(),
            is_for_invalid: origin.invalid,
            price: origin.price.as_ref().map(|text| text.0),
            connect_fee: origin.connect_fee.as_ref().map(|text| text.0),
            surcharges: surcharges(&format!("{path}[{index}].surcharges"), &origin.surcharges)?,
        })
    };
    written.iter().enumerate().map(origin).collect()
}

fn calendar(
    path: &str,
    written: &[WrittenPeriod],
    rate: &Rate,
    clock: &Clock,
) -> Result<Arc<Calendar>, TariffError> {
    let zone = clock.zone.clone().ok_or_else(|| {
        TariffError::new("time_zone", "periods need a time zone, e.g. Europe/Berlin")
    })?;
    let period = |(index, period): (usize, &WrittenPeriod)| {
        let path = format!("{path}[{index}]");
        Ok(Period {
            days: days(&format!("{path}.days"), &period.days)?,
            from_second: second_of_day(&format!("{path}.from"), &period.from)?,
            till_second: second_of_day(&format!("{path}.till"), &period.till)?,
            price: TimePrice {
                name: period.name.clone(),
                connect_fee: period.connect_fee.as_ref().map_or(rate.connect_fee, |fee| fee.0),
                price: period.price.0,
                unit_seconds: period.per_seconds.unwrap_or(rate.unit_seconds),
                first_increment: period.first_increment.unwrap_or(rate.first_increment),
                next_increment: period.next_increment.unwrap_or(rate.next_increment),
                steps: steps(&format!("{path}.steps"), &period.steps)?,
            },
        })
    };
    Ok(Arc::new(Calendar {
        zone,
        holidays: clock.holidays.clone().into(),
        periods: written.iter().enumerate().map(period).collect::<Result<_, TariffError>>()?,
        choice: clock.choice,
    }))
}

fn rate(own: &WrittenTerms, all: &WrittenTerms, path: &str) -> Result<Rate, TariffError> {
    let price = own.price.as_ref().or(all.price.as_ref()).map(|text| text.0);
    let price = match price {
        None if own.blocked => Price::ZERO,
        None => return Err(TariffError::new(format!("{path}.price"), "write a price")),
        Some(price) => price,
    };
    let either = |own: Option<u32>, all: Option<u32>, usual: u32| own.or(all).unwrap_or(usual);
    let money = |own: &Option<Text<Price>>, all: &Option<Text<Price>>| {
        own.as_ref().or(all.as_ref()).map_or(Price::ZERO, |text| text.0)
    };
    Ok(Rate {
        price,
        unit_seconds: either(own.per_seconds, all.per_seconds, 60),
        connect_fee: money(&own.connect_fee, &all.connect_fee),
        first_increment: either(own.first_increment, all.first_increment, 60),
        next_increment: either(own.next_increment, all.next_increment, 60),
        grace_seconds: either(own.grace_seconds, all.grace_seconds, 0),
        free_seconds: either(own.free_seconds, all.free_seconds, 0),
        minimum_seconds: either(own.minimum_seconds, all.minimum_seconds, 0),
        minimum_charge: money(&own.minimum_charge, &all.minimum_charge),
        is_blocked: own.blocked,
    })
}

/// One destination; what it does not say is the tariff's (V-15).
fn row(
    own: WrittenTerms,
    all: &WrittenTerms,
    clock: &Clock,
    path: &str,
) -> Result<RateRow, TariffError> {
    let rate = rate(&own, all, path)?;
    let (valid_from, valid_till) =
        moments(path, own.valid_from.as_deref(), own.valid_till.as_deref())?;
    let at = |name: &str| format!("{path}.{name}");
    let read_steps = |written: &Vec<WrittenStep>| steps(&at("steps"), written);
    let read_periods =
        |written: &Vec<WrittenPeriod>| calendar(&at("periods"), written, &rate, clock);
    let read_surcharges = |written: &Vec<WrittenSurcharge>| surcharges(&at("surcharges"), written);
    let read_origins = |written: &Vec<WrittenOrigin>| origins(&at("origins"), written);
    let cap = own.cap.as_ref().or(all.cap.as_ref()).map(|cap| Cap {
        amount: cap.amount.0,
        after: match cap.after {
            After::Free => AfterCap::Free,
            After::Disconnect => AfterCap::Disconnect,
        },
    });
    let special = SpecialTerms {
        steps: own.steps.as_ref().or(all.steps.as_ref()).map(read_steps).transpose()?,
        calendar: own.periods.as_ref().or(all.periods.as_ref()).map(read_periods).transpose()?,
        surcharges: own
            .surcharges
            .as_ref()
            .or(all.surcharges.as_ref())
            .map(read_surcharges)
            .transpose()?,
        origins: own.origins.as_ref().or(all.origins.as_ref()).map(read_origins).transpose()?,
        cap,
        line_rounding: own.line_rounding.or(all.line_rounding).map(MoneyRounding::from),
        money_rounding: own.rounding.or(all.rounding).map(MoneyRounding::from),
    };
    let prefix = own.prefix.ok_or_else(|| {
        TariffError::new(at("prefix"), "write the digits of the destination; \"\" is every number")
    })?;
    let special = (!special.is_empty()).then(|| Arc::new(special));
    Ok(RateRow { prefix, rate, special, valid_from, valid_till, sheet_version: 1 })
}

fn read_discount(written: WrittenDiscount, path: &str) -> Result<Discount, TariffError> {
    let (valid_from, valid_till) =
        moments(path, written.valid_from.as_deref(), written.valid_till.as_deref())?;
    let destinations = DestinationSet::new(written.prefixes.iter().map(String::as_str))
        .map_err(|why| TariffError::new(format!("{path}.prefixes"), why))?;
    if written.percent.0.hundredths() > 10_000 {
        return Err(TariffError::new(format!("{path}.percent"), "a discount is at most 100 %"));
    }
    Ok(Discount {
        name: written.name,
        destinations: Arc::new(destinations),
        site: None,
        valid_from,
        valid_till,
        percent: written.percent.0,
    })
}
