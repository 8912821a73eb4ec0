//! What public sources say that calls cost: every line of rating_cases/public.txt, with its source.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AfterCap, AppliedRate, Calendar, CallQuery, Cap, Currency, Days, DurationRounding,
    ExchangeRate, GroupTerms, MoneyMode, MoneyRounding, PayerTerms, Period, PeriodChoice, Price,
    Rate, RateGroup, RateGroupId, SpecialTerms, Step, Surcharge, SurchargeAmount, Talk, TimePrice,
    Zone, explain, max_talk,
};
use vocabulary::{Location, Utc};

const CASES: &str = include_str!("rating_cases/public.txt");

struct Terms {
    rate: Rate,
    special: SpecialTerms,
    steps: Vec<Step>,
    zone: String,
    holidays: Vec<billing::Date>,
    periods: Vec<Period>,
    rounding: MoneyRounding,
    duration: DurationRounding,
    exchange: Option<ExchangeRate>,
}

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

/// `60:0.05/60/1`: from second 60, 0.05 for 60 s in increments of 1 s.
fn step(text: &str) -> Step {
    let (from, rest) = text.split_once(':').unwrap();
    let parts: Vec<_> = rest.split('/').collect();
    Step {
        from_seconds: from.parse().unwrap(),
        price: price(parts[0]),
        unit_seconds: parts[1].parse().unwrap(),
        increment: parts[2].parse().unwrap(),
    }
}

fn rounding(text: &str) -> MoneyRounding {
    let (mode, decimals) = text.split_once('/').unwrap();
    let mode = match mode {
        "up" => MoneyMode::Up,
        "down" => MoneyMode::Down,
        "halfup" => MoneyMode::HalfUp,
        "halfeven" => MoneyMode::HalfEven,
        other => panic!("{other} is no rounding"),
    };
    MoneyRounding { mode, decimals: decimals.parse().unwrap() }
}

fn days(text: &str) -> Days {
    if text == "all" {
        return Days::ALL;
    }
    let bit = |word| 1 << Days::WORDS.iter().position(|known| *known == word).unwrap();
    Days(text.split(',').map(bit).sum())
}

fn second(text: &str) -> u32 {
    let (hour, minute) = text.split_once(':').unwrap();
    hour.parse::<u32>().unwrap() * 3600 + minute.parse::<u32>().unwrap() * 60
}

/// `day;mon,tue;08:00-18:00;0.028/60/1/1;0.035`: price for 60 s, first, next; connect fee; steps.
fn period(text: &str) -> Period {
    let parts: Vec<_> = text.split(';').collect();
    let (from, till) = parts[2].split_once('-').unwrap();
    let time: Vec<_> = parts[3].split('/').collect();
    let steps = parts.get(5).map_or(Vec::new(), |steps| steps.split(',').map(step).collect());
    Period {
        days: days(parts[1]),
        from_second: second(from),
        till_second: second(till),
        price: TimePrice {
            name: parts[0].into(),
            connect_fee: price(parts[4]),
            price: price(time[0]),
            unit_seconds: time[1].parse().unwrap(),
            first_increment: time[2].parse().unwrap(),
            next_increment: time[3].parse().unwrap(),
            steps: steps.into(),
        },
    }
}

impl Terms {
    fn read(text: &str) -> Terms {
        let mut terms = Terms {
            rate: Rate::per_minute(Price::ZERO, 60, 60),
            special: SpecialTerms::default(),
            steps: Vec::new(),
            zone: "UTC".into(),
            holidays: Vec::new(),
            periods: Vec::new(),
            rounding: MoneyRounding::default(),
            duration: DurationRounding::Up,
            exchange: None,
        };
        for word in text.split('#').next().unwrap().split_whitespace() {
            let (key, value) = word.split_once('=').unwrap();
            terms.set(key, value);
        }
        terms
    }

    fn set(&mut self, key: &str, value: &str) {
        let rate = &mut self.rate;
        match key {
            "price" => rate.price = price(value),
            "per" => rate.unit_seconds = value.parse().unwrap(),
            "fee" => rate.connect_fee = price(value),
            "mincharge" => rate.minimum_charge = price(value),
            "free" => rate.free_seconds = value.parse().unwrap(),
            "inc" => {
                let (first, next) = value.split_once('/').unwrap();
                rate.first_increment = first.parse().unwrap();
                rate.next_increment = next.parse().unwrap();
            }
            "step" => self.steps.push(step(value)),
            "zone" => self.zone = value.into(),
            "holidays" => self.holidays = value.split(',').map(|d| d.parse().unwrap()).collect(),
            "period" => self.periods.push(period(value)),
            "round" => self.rounding = rounding(value),
            "line" => self.special.line_rounding = Some(rounding(value)),
            "dur" => {
                self.duration = match value {
                    "down" => DurationRounding::Down,
                    "nearest" => DurationRounding::Nearest,
                    other => panic!("{other} is no rounding of durations"),
                }
            }
            "surcharge" => {
                let share = value.strip_suffix('%').unwrap().parse().unwrap();
                let amount = SurchargeAmount::Share(share);
                let surcharge = Surcharge { name: "surcharge".into(), amount };
                self.special.surcharges = Some([surcharge].into());
            }
            "cap" => {
                let amount = price(value.strip_suffix("/free").unwrap());
                self.special.cap = Some(Cap { amount, after: AfterCap::Free });
            }
            "exchange" => self.exchange = ExchangeRate::new(price(value)),
            other => panic!("{other} is no term"),
        }
    }

    fn applied(&self, at: Utc) -> AppliedRate {
        let mut special = self.special.clone();
        special.steps = (!self.steps.is_empty()).then(|| self.steps.clone().into());
        special.calendar = (!self.periods.is_empty()).then(|| {
            Arc::new(Calendar {
                zone: Zone::named(&self.zone).unwrap(),
                holidays: self.holidays.clone().into(),
                periods: self.periods.clone().into(),
                choice: PeriodChoice::EachIncrement,
            })
        });
        let mut group = RateGroup::builder(GroupTerms {
            id: RateGroupId(1),
            name: "case".into(),
            currency: Currency::USD,
            money_rounding: self.rounding,
            special: None,
        });
        let special = (!special.is_empty()).then(|| Arc::new(special));
        group.row(&billing::RateRow { special, ..common::row("49", self.rate) }).unwrap();
        let cld = "49301234".parse().unwrap();
        let call = CallQuery {
            cld: &cld,
            cli: None,
            at,
            in_force_at: at,
            site: None,
            location: Location::default(),
        };
        let payer = PayerTerms {
            duration_rounding: self.duration,
            currency: if self.exchange.is_some() { Currency::EUR } else { Currency::USD },
            exchange: self.exchange,
            discounts: &[],
        };
        group.build().apply(&call, &payer).unwrap()
    }
}

/// `45 at 2000-03-01T12:00:00+01:00 = 48 0.04`
fn call(terms: &Terms, text: &str) -> Result<(), String> {
    let (asked, expected) = text.split_once(" = ").unwrap();
    let (seconds, at) = asked.split_once(" at ").unwrap_or((asked, "2026-11-23T12:00:00Z"));
    let at: jiff::Timestamp = at.parse().unwrap();
    let at = Utc(at.as_microsecond());
    let micros: billing::Money = seconds.parse().unwrap();
    let lasted = Duration::from_micros(micros.0.cast_unsigned());
    let (billed, amount) = expected.split_once(' ').unwrap();
    let expected = (billed.parse::<u32>().unwrap(), amount.trim().parse().unwrap());
    let charge = explain(&terms.applied(at), &Talk::answered(at, lasted)).unwrap();
    let got = (charge.billed_seconds, charge.amount);
    if got == expected { Ok(()) } else { Err(format!("got {got:?}: {:#?}", charge.lines)) }
}

/// `45 = 48`
fn billed(terms: &Terms, text: &str) -> Result<(), String> {
    let (seconds, expected) = text.split_once(" = ").unwrap();
    let micros: billing::Money = seconds.parse().unwrap();
    let talk = Talk::answered(Utc(0), Duration::from_micros(micros.0.cast_unsigned()));
    let got = explain(&terms.applied(Utc(0)), &talk).unwrap().billed_seconds;
    if expected.parse() == Ok(got) { Ok(()) } else { Err(format!("got {got}")) }
}

fn longest(terms: &Terms, text: &str) -> Result<(), String> {
    let (balance, seconds) = text.split_once(" = ").unwrap();
    let at = Utc(0);
    let got = max_talk(&terms.applied(at), at, balance.parse().unwrap(), 0, 86_400);
    let expected = seconds.parse().ok();
    if got == expected { Ok(()) } else { Err(format!("got {got:?}")) }
}

#[test]
fn calls_cost_what_their_sources_say() {
    let (mut source, mut terms, mut count) = ("", None, 0);
    let mut wrong = Vec::new();
    for (index, line) in CASES.lines().enumerate() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let result = match word {
            "" | "#" => continue,
            "source" => {
                (source, terms) = (rest, None);
                continue;
            }
            "terms" => {
                terms = Some(Terms::read(rest));
                continue;
            }
            "call" => call(terms.as_ref().unwrap(), rest),
            "billed" => billed(terms.as_ref().unwrap(), rest),
            "max" => longest(terms.as_ref().unwrap(), rest),
            other => panic!("line {}: {other} is no word", index + 1),
        };
        assert!(!source.is_empty(), "line {}: no source", index + 1);
        count += 1;
        if let Err(why) = result {
            wrong.push(format!("line {} ({source}): {line}: {why}", index + 1));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 150, "only {count} cases");
}
