//! From the written document to terms, each fault with the path of its field.

use billing::{
    AfterCap, AppliedTax, AppliedTaxes, Cap, Date, Days, DestinationSet, Discount, MoneyRounding,
    OriginTerms, PeriodChoice, SpecialTerms, Step, Surcharge, SurchargeAmount, TaxedPrice,
    VersionChoice, Zone,
};
use serde::Deserialize;
use std::sync::Arc;
use vocabulary::Utc;

use super::TariffError;
use super::partial::{Partial, PartialPeriod};
use super::written::*;
use crate::utc::parse_utc;

/// Deserializes JSON; a fault has the path of its field behind `path`.
pub(super) fn json<'de, T: Deserialize<'de>>(json: &'de str, path: &str) -> Result<T, TariffError> {
    let mut from = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut from)
        .map_err(|error| TariffError::new(join(path, &error.path().to_string()), error.inner()))?;
    from.end().map_err(|error| TariffError::new(join(path, "."), error))?;
    Ok(value)
}

pub(super) fn join(path: &str, field: &str) -> String {
    match (path, field) {
        ("", field) => field.to_owned(),
        (path, "." | "") => path.to_owned(),
        (path, field) => format!("{path}.{field}"),
    }
}

pub(super) fn moment(path: &str, text: &str) -> Result<Utc, TariffError> {
    let what = "write a time as 2026-11-21T08:00:00Z, or with an offset";
    parse_utc(text).ok_or_else(|| TariffError::new(path, what))
}

pub(super) fn moments(
    path: &str,
    from: Option<&str>,
    till: Option<&str>,
) -> Result<(Option<Utc>, Option<Utc>), TariffError> {
    let read = |name: &str, text: Option<&str>| {
        text.map(|text| moment(&join(path, name), text)).transpose()
    };
    Ok((read("valid_from", from)?, read("valid_till", till)?))
}

/// `08:00`, `24:00`, `18:30:15`.
pub(crate) fn second_of_day(path: &str, text: &str) -> Result<u32, TariffError> {
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

pub(crate) fn days(path: &str, words: &[String]) -> Result<Days, TariffError> {
    let mut days = 0;
    for word in words {
        let bit = Days::WORDS.iter().position(|known| known == word).ok_or_else(|| {
            TariffError::new(path, format!("{word:?} is none of {}", Days::WORDS.join(", ")))
        })?;
        days |= 1 << bit;
    }
    Ok(Days(days))
}

pub(super) fn zone(path: &str, name: &str) -> Result<Arc<Zone>, TariffError> {
    Zone::named(name).map_err(|why| TariffError::new(join(path, "time_zone"), why))
}

pub(super) fn sorted(holidays: Vec<Text<Date>>) -> Vec<Date> {
    let mut holidays: Vec<Date> = holidays.into_iter().map(|date| date.0).collect();
    holidays.sort_unstable();
    holidays
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

fn periods(path: &str, written: &[WrittenPeriod]) -> Result<Vec<PartialPeriod>, TariffError> {
    let period = |(index, period): (usize, &WrittenPeriod)| {
        let path = format!("{path}[{index}]");
        Ok(PartialPeriod {
            name: period.name.clone(),
            days: days(&join(&path, "days"), &period.days)?,
            from_second: second_of_day(&join(&path, "from"), &period.from)?,
            till_second: second_of_day(&join(&path, "till"), &period.till)?,
            price: period.price.0,
            unit_seconds: period.per_seconds,
            connect_fee: period.connect_fee.as_ref().map(|fee| fee.0),
            first_increment: period.first_increment,
            next_increment: period.next_increment,
            steps: steps(&join(&path, "steps"), &period.steps)?,
        })
    };
    written.iter().enumerate().map(period).collect()
}

/// The terms that are written here, whatever is below them.
pub(super) fn partial(written: WrittenTerms, path: &str) -> Result<Partial, TariffError> {
    let at = |name: &str| join(path, name);
    let money = |text: Option<Text<billing::Price>>| text.map(|text| text.0);
    let special = SpecialTerms {
        steps: written.steps.map(|all| steps(&at("steps"), &all)).transpose()?,
        calendar: None,
        surcharges: written
            .surcharges
            .map(|all| surcharges(&at("surcharges"), &all))
            .transpose()?,
        origins: written.origins.map(|all| origins(&at("origins"), &all)).transpose()?,
        cap: written.cap.map(|cap| Cap {
            amount: cap.amount.0,
            after: match cap.after {
                After::Free => AfterCap::Free,
                After::Disconnect => AfterCap::Disconnect,
            },
        }),
        line_rounding: written.line_rounding.map(MoneyRounding::from),
        money_rounding: written.rounding.map(MoneyRounding::from),
        duration_rounding: written.duration_rounding.map(Into::into),
        versions: written.versions_apply.map(VersionChoice::from),
    };
    Ok(Partial {
        price: money(written.price),
        is_blocked: written.blocked,
        unit_seconds: written.per_seconds,
        connect_fee: money(written.connect_fee),
        first_increment: written.first_increment,
        next_increment: written.next_increment,
        grace_seconds: written.grace_seconds,
        free_seconds: written.free_seconds,
        minimum_seconds: written.minimum_seconds,
        minimum_charge: money(written.minimum_charge),
        special,
        periods: written.periods.map(|all| periods(&at("periods"), &all)).transpose()?,
        zone: written.time_zone.map(|name| zone(path, &name)).transpose()?,
        holidays: written.holidays.map(sorted),
        choice: written.periods_apply.map(PeriodChoice::from),
    })
}

pub(super) fn taxes(written: WrittenTaxes, path: &str) -> Result<Arc<AppliedTaxes>, TariffError> {
    let prices = match written.prices {
        Prices::Included => TaxedPrice::Included,
        Prices::WithCharge => TaxedPrice::WithCharge,
        Prices::OnStatement => TaxedPrice::OnStatement,
    };
    let taxes = written.taxes.into_iter().map(|tax| AppliedTax {
        name: tax.name,
        rate: tax.percent.0,
        is_compound: tax.compound,
        exempt: tax.exempt,
    });
    let taxes = AppliedTaxes::new(prices, taxes.collect());
    taxes.map(Arc::new).map_err(|why| TariffError::new(join(path, "taxes"), why))
}

pub(super) fn discount(written: WrittenDiscount, path: &str) -> Result<Discount, TariffError> {
    let (valid_from, valid_till) =
        moments(path, written.valid_from.as_deref(), written.valid_till.as_deref())?;
    let destinations = DestinationSet::new(written.prefixes.iter().map(String::as_str))
        .map_err(|why| TariffError::new(join(path, "prefixes"), why))?;
    if written.percent.0.hundredths() > 10_000 {
        return Err(TariffError::new(join(path, "percent"), "a discount is at most 100 %"));
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
