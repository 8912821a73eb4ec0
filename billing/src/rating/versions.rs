//! Dated versions of a rate that begin while a call is under way: by setting, its time goes on at
//! their prices (R8). Like the periods of a calendar they are looked up when the call comes in, so
//! that it is priced later without the rates of then.

use std::sync::Arc;

use vocabulary::Utc;

use super::calendar::{HORIZON_SECONDS, PeriodChoice};
use super::resolve::{own_price, price_by_origin};
use super::special::{AppliedSpecial, VersionChoice, Window};
use super::{CallQuery, RateGroup, RateVersion, TimePrice};

/// Versions that a call can run into. Rates change less often than eight times in three days.
const VERSIONS_MAX: usize = 8;

impl RateGroup {
    /// Adds the prices of the versions that begin within the horizon of the call, if its rate wants
    /// them. A version that refuses calls, or the end of all rates, does not end a call: it goes on
    /// at the price that it had.
    pub(super) fn add_later_versions(
        &self,
        call: &CallQuery<'_>,
        found: &RateVersion<'_>,
        special: &mut Option<AppliedSpecial>,
    ) {
        let terms = found.special.map(Arc::as_ref);
        let is_wanted =
            terms.and_then(|terms| terms.versions) == Some(VersionChoice::EachIncrement);
        let is_at_answer = terms
            .and_then(|terms| terms.calendar.as_ref())
            .is_some_and(|calendar| calendar.choice == PeriodChoice::AtAnswer);
        // A call that takes the price of its answer throughout does so of versions too, and rates
        // that are tried before they begin have none after them.
        if !is_wanted || is_at_answer || call.at != call.in_force_at {
            return;
        }
        let horizon = Utc(call.at.0.saturating_add(HORIZON_SECONDS * 1_000_000));
        let mut holds = *found;
        let mut count = 0;
        for at in self.changes(self.rated_number(call), call.at, horizon) {
            let next =
                self.lookup(self.rated_number(call), at).filter(|next| !next.rate.is_blocked);
            let Some(next) = next.filter(|next| *next != holds) else { continue };
            let special =
                special.get_or_insert_with(|| AppliedSpecial::plain(own_price(found.rate, terms)));
            add_version(special, call, &next, at);
            holds = next;
            count += 1;
            if count == VERSIONS_MAX {
                return;
            }
        }
    }
}

fn add_version(
    applied: &mut AppliedSpecial,
    call: &CallQuery<'_>,
    next: &RateVersion<'_>,
    at: Utc,
) {
    let terms = next.special.map(Arc::as_ref);
    let mut prices = vec![own_price(next.rate, terms)];
    let mut windows = vec![Window { from: at, price: 0 }];
    if let Some(calendar) = terms.and_then(|terms| terms.calendar.as_ref()) {
        (prices, windows) = calendar.windows(&prices[0], at);
        if calendar.choice == PeriodChoice::AtAnswer {
            // The answer was before it: what holds when it begins stands for the rest.
            windows.truncate(1);
        }
    }
    if let Some(origin) = terms.and_then(|terms| terms.origin(call.cli)) {
        price_by_origin(&mut prices, origin);
    }
    for price in &mut prices {
        price.name = named(&price.name, next.sheet_version);
    }
    let mut all: Vec<Window> = applied.windows.iter().copied().filter(|w| w.from < at).collect();
    if all.is_empty() {
        all.push(Window { from: call.at, price: 0 });
    }
    let first = applied.prices.len() as u16;
    all.extend(windows.iter().map(|window| Window { price: window.price + first, ..*window }));
    let both: Vec<TimePrice> = applied.prices.iter().cloned().chain(prices).collect();
    applied.prices = both.into();
    applied.windows = all.into();
    applied.is_split = true;
}

/// For the explanation.
fn named(period: &str, sheet_version: u32) -> String {
    match period {
        "" => format!("sheet {sheet_version}"),
        period => format!("{period}, sheet {sheet_version}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vocabulary::Location;

    use super::*;
    use crate::rating::{
        Calendar, Days, DurationRounding, GroupTerms, MoneyRounding, PayerTerms, Period, Rate,
        RateGroupId, RateRow, SpecialTerms, Talk, Zone, explain,
    };
    use crate::{Currency, Money};

    const BOUNDARY: i64 = 1_800_000_000;

    fn row(
        prefix: &str,
        price: &str,
        from: Option<i64>,
        special: &SpecialTerms,
        sheet: u32,
    ) -> RateRow {
        RateRow {
            prefix: prefix.into(),
            rate: Rate::per_minute(price.parse().unwrap(), 1, 1),
            special: Some(Arc::new(special.clone())),
            valid_from: from.map(|second| Utc(second * 1_000_000)),
            valid_till: None,
            sheet_version: sheet,
        }
    }

    fn split() -> SpecialTerms {
        SpecialTerms { versions: Some(VersionChoice::EachIncrement), ..SpecialTerms::default() }
    }

    /// A call of 120 s that comes in and is answered 60 s before the boundary.
    #[track_caller]
    fn check(rows: &[RateRow], expected: &str, lines: &[&str]) {
        let mut builder = RateGroup::builder(GroupTerms {
            id: RateGroupId(1),
            name: "retail".into(),
            currency: Currency::EUR,
            money_rounding: MoneyRounding::default(),
            special: None,
        });
        rows.iter().for_each(|row| builder.row(row).unwrap());
        let cld = "49301".parse().unwrap();
        let at = Utc((BOUNDARY - 60) * 1_000_000);
        let call = CallQuery {
            cld: &cld,
            cli: None,
            at,
            in_force_at: at,
            site: None,
            location: Location::default(),
        };
        let payer = PayerTerms {
            duration_rounding: DurationRounding::Up,
            currency: Currency::EUR,
            exchange: None,
            discounts: &[],
        };
        let applied = builder.build().apply(&call, &payer).unwrap();
        assert_eq!(applied.special.as_ref().map(|special| special.validate()), Some(Ok(())));
        let charge = explain(&applied, &Talk::answered(at, Duration::from_secs(120))).unwrap();
        assert_eq!(charge.amount, expected.parse::<Money>().unwrap());
        let time: Vec<&str> = charge
            .lines
            .iter()
            .filter(|line| line.code == "time")
            .map(|line| line.sentence.as_str())
            .collect();
        assert_eq!(time.len(), lines.len(), "{time:?}");
        for (line, part) in time.iter().zip(lines) {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn a_call_takes_the_version_of_its_start_unless_it_is_split() {
        // R8: 60 s on each side of the boundary.
        let plain = SpecialTerms::default();
        let rows = [row("49", "0.6", None, &plain, 1), row("49", "1.2", Some(BOUNDARY), &plain, 2)];
        check_start(&rows);
        let rows =
            [row("49", "0.6", None, &split(), 1), row("49", "1.2", Some(BOUNDARY), &plain, 2)];
        check(&rows, "1.8", &["60 s at 0.6 a minute", "60 s at 1.2 a minute (sheet 2)"]);
        // A longer prefix that begins is another version too.
        let rows =
            [row("49", "0.6", None, &split(), 1), row("4930", "1.2", Some(BOUNDARY), &plain, 2)];
        check(&rows, "1.8", &["60 s at 0.6", "60 s at 1.2"]);
    }

    /// Terms that say nothing are none.
    #[track_caller]
    fn check_start(rows: &[RateRow]) {
        check(rows, "1.2", &["120 s at 0.6 a minute"]);
    }

    #[test]
    fn a_version_that_refuses_calls_does_not_end_one() {
        let mut blocked = row("49", "9", Some(BOUNDARY), &split(), 2);
        blocked.rate.is_blocked = true;
        check(&[row("49", "0.6", None, &split(), 1), blocked], "1.2", &["120 s at 0.6"]);
    }

    #[test]
    fn periods_of_both_versions_hold_in_their_time() {
        let calendar = |price: &str, choice| {
            let mut of_day = TimePrice::of(&Rate::per_minute(price.parse().unwrap(), 1, 1));
            of_day.name = "day".into();
            let period =
                Period { days: Days::ALL, from_second: 0, till_second: 86_400, price: of_day };
            let zone = Zone::named("UTC").unwrap();
            Some(Arc::new(Calendar {
                zone,
                holidays: Box::default(),
                periods: [period].into(),
                choice,
            }))
        };
        let terms =
            |price: &str, choice| SpecialTerms { calendar: calendar(price, choice), ..split() };
        let each = PeriodChoice::EachIncrement;
        let new = row("49", "9", Some(BOUNDARY), &terms("1.2", each), 2);
        let old = row("49", "8", None, &terms("0.6", each), 1);
        let lines = ["60 s at 0.6 a minute (day)", "60 s at 1.2 a minute (day, sheet 2)"];
        check(&[old, new.clone()], "1.8", &lines);
        // The price of the answer throughout is so of versions too.
        let old = row("49", "8", None, &terms("0.6", PeriodChoice::AtAnswer), 1);
        check(&[old, new], "1.2", &["120 s at 0.6 a minute (day)"]);
    }
}
