//! Columns for what a rate has beyond price, fee and increments: prices of the week, surcharges, a
//! cap, and all of it in one cell.

use std::sync::Arc;

use billing::{
    AfterCap, Calendar, Cap, Date, Days, Percent, Period, PeriodChoice, Price, Rate, SpecialTerms,
    Surcharge, SurchargeAmount, TimePrice, Zone,
};

use super::columns::PriceColumn;
use super::row::RowReader;
use crate::header::Header;
use crate::layout::{CapChoice, Hours, Layout, LayoutPeriods, PeriodsApply};
use crate::tariff::{days, second_of_day, terms_of_cell};
use crate::words::Role;

/// When the prices of a week hold, read from a layout.
#[derive(Clone, Debug)]
pub(crate) struct WeekParts {
    zone: Arc<Zone>,
    holidays: Box<[Date]>,
    peak: Vec<(Days, u32, u32)>,
    weekend: Vec<(Days, u32, u32)>,
    choice: PeriodChoice,
}

impl WeekParts {
    /// The error names the field of the layout.
    pub(crate) fn read(periods: &LayoutPeriods) -> Result<WeekParts, String> {
        let zone = Zone::named(&periods.time_zone);
        let zone = zone.map_err(|why| format!("periods.time_zone: {why}"))?;
        let holidays = periods.holidays.iter().map(|date| date.parse::<Date>());
        let mut holidays: Vec<Date> =
            holidays.collect::<Result<_, _>>().map_err(|why| format!("periods.holidays: {why}"))?;
        holidays.sort_unstable();
        let part = |hours: &Hours| {
            Ok((
                days("periods.days", &hours.days)?,
                second_of_day("periods.from", &hours.from)?,
                second_of_day("periods.till", &hours.till)?,
            ))
        };
        let parts = |all: &[Hours]| {
            let read: Result<Vec<_>, crate::TariffError> = all.iter().map(part).collect();
            read.map_err(|why| why.to_string())
        };
        Ok(WeekParts {
            zone,
            holidays: holidays.into(),
            peak: parts(&periods.peak)?,
            weekend: parts(&periods.weekend)?,
            choice: match periods.apply {
                PeriodsApply::EachIncrement => PeriodChoice::EachIncrement,
                PeriodsApply::AtAnswer => PeriodChoice::AtAnswer,
            },
        })
    }

    /// The calendar of a row with these prices; what a row does not price is as the rest of the week.
    fn calendar(&self, rate: &Rate, weekend: Option<Price>, peak: Option<Price>) -> Calendar {
        let mut periods = Vec::new();
        for (name, price, parts) in
            [("weekend", weekend, &self.weekend), ("peak", peak, &self.peak)]
        {
            let Some(price) = price else { continue };
            periods.extend(parts.iter().map(|(days, from_second, till_second)| Period {
                days: *days,
                from_second: *from_second,
                till_second: *till_second,
                price: TimePrice { name: name.to_owned(), price, ..TimePrice::of(rate) },
            }));
        }
        Calendar {
            zone: Arc::clone(&self.zone),
            holidays: self.holidays.clone(),
            periods: periods.into(),
            choice: self.choice,
        }
    }
}

/// Where special terms stand in a table.
#[derive(Clone, Debug)]
pub(super) struct SpecialColumns {
    week: Option<WeekParts>,
    peak: Option<PriceColumn>,
    weekend: Option<PriceColumn>,
    surcharge: Option<PriceColumn>,
    surcharge_percent: Option<usize>,
    cap: Option<PriceColumn>,
    cap_after: AfterCap,
    json: Option<usize>,
}

impl SpecialColumns {
    /// `priced` finds a column with prices and how they are written.
    pub(super) fn prepare(
        header: &Header,
        layout: &Layout,
        priced: impl Fn(Role) -> Option<PriceColumn>,
    ) -> Result<SpecialColumns, String> {
        let week = layout.periods.as_ref().map(WeekParts::read).transpose()?;
        let of_week = |role| priced(role).filter(|_| week.is_some());
        let (peak, weekend) = (of_week(Role::PricePeak), of_week(Role::PriceWeekend));
        Ok(SpecialColumns {
            peak,
            weekend,
            week: week.filter(|_| peak.is_some() || weekend.is_some()),
            surcharge: priced(Role::Surcharge),
            surcharge_percent: header.find(Role::SurchargePercent),
            cap: priced(Role::Cap),
            cap_after: match layout.cap_after {
                CapChoice::Free => AfterCap::Free,
                CapChoice::Disconnect => AfterCap::Disconnect,
            },
            json: header.find(Role::SpecialTerms),
        })
    }

    /// No such column?
    pub(super) fn is_empty(&self) -> bool {
        self.week.is_none()
            && self.surcharge.is_none()
            && self.surcharge_percent.is_none()
            && self.cap.is_none()
            && self.json.is_none()
    }

    /// Are there prices of periods?
    pub(super) fn has_periods(&self) -> bool {
        self.week.is_some()
    }
}

impl RowReader<'_> {
    /// The special terms of a row; nothing if a cell is at fault.
    pub(super) fn read_special(&mut self, row: usize, rate: &Rate) -> Option<SpecialTerms> {
        let columns = &self.columns.special;
        let mut special = SpecialTerms::default();
        if let Some(at) = columns.json
            && !self.table.cell(row, at).is_empty()
        {
            match terms_of_cell(self.table.cell(row, at).text, rate) {
                Ok(read) => special = read,
                Err(why) => {
                    self.note(row, Some(at), why.to_string());
                    return None;
                }
            }
        }
        if let Some(week) = &columns.week {
            let peak = self.read_filled(row, columns.peak)?;
            let weekend = self.read_filled(row, columns.weekend)?;
            special.calendar = Some(Arc::new(week.calendar(rate, weekend, peak)));
        }
        let mut surcharges = Vec::new();
        surcharges.extend(self.read_surcharge(row, columns.surcharge)?);
        surcharges.extend(match columns.surcharge_percent {
            Some(at) => self.read_share(row, at, self.table.cell(row, at).text)?,
            None => None,
        });
        if !surcharges.is_empty() {
            let surcharge = |amount| Surcharge { name: "surcharge".to_owned(), amount };
            special.surcharges = Some(surcharges.into_iter().map(surcharge).collect());
        }
        if let Some(amount) = self.read_filled(row, columns.cap)? {
            special.cap = Some(Cap { amount, after: columns.cap_after });
        }
        Some(special)
    }

    /// A price; nothing inside if the cell is empty or there is no such column.
    fn read_filled(&mut self, row: usize, column: Option<PriceColumn>) -> Option<Option<Price>> {
        let filled = column.filter(|column| !self.table.cell(row, column.at).is_empty());
        match filled {
            Some(column) => self.read_fee(row, Some(column)).map(Some),
            None => Some(None),
        }
    }

    /// `0.10`, or `5 %`.
    fn read_surcharge(
        &mut self,
        row: usize,
        column: Option<PriceColumn>,
    ) -> Option<Option<SurchargeAmount>> {
        if let Some(column) = column
            && let Some(share) = self.table.cell(row, column.at).text.strip_suffix('%')
        {
            return self.read_share(row, column.at, share);
        }
        let fixed = self.read_filled(row, column)?;
        Some(fixed.filter(|amount| !amount.is_zero()).map(SurchargeAmount::Fixed))
    }

    fn read_share(&mut self, row: usize, at: usize, text: &str) -> Option<Option<SurchargeAmount>> {
        let text = text.trim_end_matches('%').trim().replace(',', ".");
        if text.is_empty() {
            return Some(None);
        }
        match text.parse::<Percent>() {
            Ok(share) if share == Percent::default() => Some(None),
            Ok(share) => Some(Some(SurchargeAmount::Share(share))),
            Err(why) => {
                self.note(row, Some(at), format!("{text:?}: {why}"));
                None
            }
        }
    }
}
