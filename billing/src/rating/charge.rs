//! The one pricing function. Authorisation, reservation, settlement, recovery, simulation and
//! re-rating all call `price`; `explain` is the same function with its steps written down.
//!
//! Order: unanswered → 0; round the duration; grace; free seconds; minimum duration; connect fee;
//! bundles; first then next increments, each at the price of its start; discount; surcharges;
//! minimum charge; cap; exchange; one rounding; taxes, if they are charged with the call, rounded once
//! in the same way. Everything before the rounding is exact, in i128, unless the rate rounds each line.

mod longest;
mod taxed;

use std::time::Duration;

use vocabulary::Utc;

use super::rounding::{Exact, Scale, duration_seconds, rounded_line};
use super::special::{AfterCap, AppliedSpecial, SurchargeAmount};
use super::time::billed_time;
use super::{AppliedRate, MoneyMode, MoneyRounding};
use crate::{Money, MoneyError};

pub(crate) use longest::disconnect_after;
pub use longest::{max_talk, whole_seconds};

/// What there is to price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// The call never got a 200.
    Unanswered,
    /// It did.
    Answered(Answered),
}

/// The talk of an answered call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The moment of the answer: periods of the day are looked up from here.
    pub at: Utc,
    /// How long it lasted.
    pub lasted: Duration,
    /// The seconds of bundles that the call may use, fixed when they were reserved: whole
    /// increments of their bundles. Usually 0.
    pub bundle_seconds: u32,
}

impl Talk {
    /// An answered call without bundles.
    pub fn answered(at: Utc, lasted: Duration) -> Talk {
        Talk::Answered(Answered { at, lasted, bundle_seconds: 0 })
    }
}

/// A price with its explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// What is to be paid.
    pub amount: Money,
    /// What of it are taxes; the rest is net. Nothing, if a statement adds them (R13).
    pub tax: Money,
    /// The seconds that were paid for with money, whole increments.
    pub billed_seconds: u32,
    /// The seconds that bundles paid for, not more than the call had.
    pub bundle_seconds: u32,
    /// One line a step that mattered, in order; the last is the total.
    pub lines: Vec<ChargeLine>,
    /// The talk, in seconds since the answer, after which the cap ends the call.
    pub disconnect_after: Option<u32>,
}

impl Charge {
    /// What is to be paid without the taxes in it.
    pub fn net(&self) -> Result<Money, MoneyError> {
        self.amount.checked_sub(self.tax)
    }
}

/// One step of a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeLine {
    /// A stable word: `connect_fee`, `time`.
    pub code: &'static str,
    /// One sentence.
    pub sentence: String,
}

/// The longest time that is priced: 68 years. Beyond, only a clock error lives.
pub(super) const SECONDS_MAX: u32 = i32::MAX as u32;

/// What this talk costs. Never decreases as the talk gets longer.
pub fn price(applied: &AppliedRate, talk: &Talk) -> Result<Money, MoneyError> {
    walk(applied, talk, &mut |_, _| {}).map(|walked| walked.amount)
}

/// The price with each step as a sentence.
pub fn explain(applied: &AppliedRate, talk: &Talk) -> Result<Charge, MoneyError> {
    let mut lines = Vec::with_capacity(4);
    let mut note = |code, sentence: &dyn Fn() -> String| {
        lines.push(ChargeLine { code, sentence: sentence() });
    };
    let Walked { amount, billed, from_bundles, .. } = walk(applied, talk, &mut note)?;
    let disconnect_after = match talk {
        Talk::Answered(Answered { at, bundle_seconds, .. }) => {
            disconnect_after(applied, *at, *bundle_seconds)
        }
        Talk::Unanswered => None,
    };
    Ok(Charge {
        amount,
        tax: applied.tax_in(amount),
        billed_seconds: billed,
        bundle_seconds: from_bundles,
        lines,
        disconnect_after,
    })
}

/// A price, and how its seconds were paid for.
#[derive(Clone, Copy, Default)]
struct Walked {
    amount: Money,
    billed: u32,
    from_bundles: u32,
    is_cap_reached: bool,
}

type Note<'a> = dyn FnMut(&'static str, &dyn Fn() -> String) + 'a;

fn walk(applied: &AppliedRate, talk: &Talk, note: &mut Note<'_>) -> Result<Walked, MoneyError> {
    let rate = &applied.rate;
    let Talk::Answered(talk) = talk else {
        note("unanswered", &|| "Not answered: nothing to pay.".to_owned());
        return Ok(Walked::default());
    };
    let seconds = duration_seconds(talk.lasted, applied.duration_rounding);
    if rate.grace_seconds > 0 && seconds <= rate.grace_seconds {
        let limit = rate.grace_seconds;
        note("grace", &|| format!("{seconds} s is within the grace of {limit} s: free."));
        return Ok(Walked::default());
    }
    let special = applied.special.as_deref();
    let lines = special.and_then(|special| special.line_rounding);
    let (paid, from_bundles) = paid_seconds(applied, seconds, talk.bundle_seconds, note);
    let connect_fee = super::time::connect_fee(applied, talk.at);
    let fee = rounded_line(Scale::TIME.of(connect_fee), Scale::TIME, lines)?;
    if !connect_fee.is_zero() {
        note("connect_fee", &|| format!("Connect fee {connect_fee}."));
    }
    let start = rate.free_seconds.saturating_add(talk.bundle_seconds);
    let mut sum = fee;
    let billed = billed_time(applied, talk.at, start, paid, &mut |piece| {
        let amount = piece.price.nanos();
        let factor = 86_400 / i128::from(piece.unit_seconds.max(1));
        let exact = i128::from(amount) * i128::from(piece.seconds) * factor;
        sum = sum.saturating_add(rounded_line(exact, Scale::TIME, lines)?);
        note("time", &|| piece.sentence(seconds));
        Ok(())
    })?;
    let has_to_pay = billed > 0 || fee > 0;
    let mut is_cap_reached = false;
    let (exact, scale) = match special {
        None => (at_least(applied, sum, Scale::TIME, has_to_pay, note), Scale::TIME),
        Some(special) => {
            let whole = sum.checked_mul(Scale::SHARES_PER_TIME).ok_or(MoneyError::TooLarge)?;
            let whole = with_shares(special, whole, note)?;
            let has_to_pay = has_to_pay || whole > 0;
            let whole = at_least(applied, whole, Scale::SHARES, has_to_pay, note);
            let (whole, is_reached) = at_most(special, whole, note);
            is_cap_reached = is_reached;
            exchanged(applied, special, whole, note)?
        }
    };
    let priced = scale.money(exact, applied.money_rounding)?;
    let amount = taxed::taxed(applied, priced, note)?;
    note("total", &|| total_sentence(applied, priced, amount));
    Ok(Walked { amount, billed, from_bundles, is_cap_reached })
}

fn total_sentence(applied: &AppliedRate, priced: Money, amount: Money) -> String {
    let MoneyRounding { mode, decimals } = applied.money_rounding;
    let way = match mode {
        MoneyMode::Up => "up",
        MoneyMode::Down => "down",
        MoneyMode::HalfUp => "half up",
        MoneyMode::HalfEven => "half to even",
    };
    let currency = applied.currency;
    let with_tax = match amount == priced {
        true => String::new(),
        false => format!(", with tax {amount} {currency}"),
    };
    format!("Rounded {way} once to {decimals} decimals: {priced} {currency}{with_tax}.")
}

/// Free seconds, minimum duration, bundles: the seconds that money pays for, before increments,
/// and those that bundles do.
fn paid_seconds(
    applied: &AppliedRate,
    seconds: u32,
    bundles: u32,
    note: &mut Note<'_>,
) -> (u32, u32) {
    let rate = &applied.rate;
    let mut billable = seconds.saturating_sub(rate.free_seconds);
    if rate.free_seconds > 0 {
        let free = rate.free_seconds;
        note("free_seconds", &|| format!("The first {free} s are free: {billable} s remain."));
    }
    if billable > 0 && billable < rate.minimum_seconds {
        billable = rate.minimum_seconds;
        note("minimum_duration", &|| format!("At least {billable} s are billed."));
    }
    let from_bundles = billable.min(bundles);
    if from_bundles > 0 {
        note("bundle", &|| format!("{from_bundles} s are taken from bundles."));
    }
    (billable - from_bundles, from_bundles)
}

/// The discount, then the surcharges.
fn with_shares(
    special: &AppliedSpecial,
    subtotal: Exact,
    note: &mut Note<'_>,
) -> Result<Exact, MoneyError> {
    let scale = Scale::SHARES;
    let lines = special.line_rounding;
    let share = |whole: Exact, hundredths: u32| {
        // Exact: a discounted sum still has a factor of 10,000 in it.
        (whole / 10_000).checked_mul(hundredths.into()).ok_or(MoneyError::TooLarge)
    };
    let mut sum = subtotal;
    if let Some(discount) = &special.discount {
        let off = rounded_line(share(subtotal, discount.percent.hundredths())?, scale, lines)?;
        sum -= off.min(sum);
        note("discount", &|| format!("Discount {:?}: {} % off.", discount.name, discount.percent));
    }
    let discounted = sum;
    for surcharge in &special.surcharges {
        let exact = match surcharge.amount {
            SurchargeAmount::Fixed(price) => scale.of(price),
            SurchargeAmount::Share(percent) => share(discounted, percent.hundredths())?,
        };
        sum = sum.checked_add(rounded_line(exact, scale, lines)?).ok_or(MoneyError::TooLarge)?;
        note("surcharge", &|| match surcharge.amount {
            SurchargeAmount::Fixed(price) => format!("Surcharge {:?}: {price}.", surcharge.name),
            SurchargeAmount::Share(percent) => {
                format!("Surcharge {:?}: {percent} %.", surcharge.name)
            }
        });
    }
    Ok(sum)
}

fn at_least(
    applied: &AppliedRate,
    sum: Exact,
    scale: Scale,
    has_to_pay: bool,
    note: &mut Note<'_>,
) -> Exact {
    let minimum = scale.of(applied.rate.minimum_charge);
    if !has_to_pay || sum >= minimum {
        return sum;
    }
    note("minimum_charge", &|| format!("At least {} a call.", applied.rate.minimum_charge));
    minimum
}

fn at_most(special: &AppliedSpecial, sum: Exact, note: &mut Note<'_>) -> (Exact, bool) {
    let Some(cap) = special.cap else { return (sum, false) };
    let most = Scale::SHARES.of(cap.amount);
    if sum < most {
        return (sum, false);
    }
    note("cap", &|| match cap.after {
        AfterCap::Free => format!("At most {} a call; the rest is free.", cap.amount),
        AfterCap::Disconnect => format!("At most {} a call; there it ends.", cap.amount),
    });
    (most, true)
}

fn exchanged(
    applied: &AppliedRate,
    special: &AppliedSpecial,
    sum: Exact,
    note: &mut Note<'_>,
) -> Result<(Exact, Scale), MoneyError> {
    let Some(exchange) = special.exchange else { return Ok((sum, Scale::SHARES)) };
    let rate = exchange.rate.rate();
    note("exchange", &|| format!("1 {} is {rate} {}.", exchange.from, applied.currency));
    Scale::SHARES.exchanged(sum, rate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rating::{DurationRounding, Price, Rate};
    use crate::testing::applied;

    fn price_of(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn seconds(seconds: u64) -> Talk {
        Talk::answered(Utc(0), Duration::from_secs(seconds))
    }

    /// The rate, and for each talk time in seconds the seconds billed and the amount.
    #[track_caller]
    fn check(applied: &AppliedRate, expected: &[(u64, u32, &str)]) {
        for (talk, billed, amount) in expected {
            let charge = explain(applied, &seconds(*talk)).unwrap();
            let got = (charge.billed_seconds, charge.amount.to_string());
            assert_eq!(got, (*billed, (*amount).to_owned()), "{talk} s");
            assert_eq!(price(applied, &seconds(*talk)), Ok(charge.amount));
        }
    }

    fn increments(price: &str, first: u32, next: u32) -> AppliedRate {
        applied(Rate::per_minute(price_of(price), first, next))
    }

    #[test]
    fn whole_increments_are_billed() {
        let at = |first, next| increments("0.012", first, next);
        check(&at(60, 60), &[(0, 0, "0.000000"), (1, 60, "0.012000"), (60, 60, "0.012000")]);
        check(&at(60, 60), &[(31, 60, "0.012000"), (61, 120, "0.024000")]);
        check(&at(30, 6), &[(1, 30, "0.006000"), (30, 30, "0.006000"), (31, 36, "0.007200")]);
        check(&at(6, 6), &[(31, 36, "0.007200")]);
        check(&at(1, 1), &[(1, 1, "0.000200"), (31, 31, "0.006200"), (3600, 3600, "0.720000")]);
    }

    #[test]
    fn a_first_increment_need_not_be_a_multiple_of_the_next() {
        check(&increments("0.6", 20, 15), &[(20, 20, "0.200000"), (31, 35, "0.350000")]);
        check(&increments("0.6", 60, 11), &[(560, 566, "5.660000")]);
        check(&increments("0.6", 10, 11), &[(560, 560, "5.600000"), (561, 571, "5.710000")]);
    }

    #[test]
    fn a_published_example_is_calculated_right() {
        // 205 s at 6/6 and 0.00137 an increment: 35 increments (R2).
        check(&increments("0.0137", 6, 6), &[(205, 210, "0.047950")]);
    }

    #[test]
    fn what_is_0_3_is_0_3() {
        // 0.1 / 60 * 180 is not 0.3 in most arithmetics; multiplied first, it is.
        check(&increments("0.1", 1, 1), &[(180, 180, "0.300000")]);
        check(&increments("0.1", 60, 60), &[(180, 180, "0.300000")]);
        check(&increments("0.06", 60, 60), &[(180, 180, "0.180000")]);
    }

    #[test]
    fn the_connect_fee_is_charged_once_on_answer() {
        let mut rate = increments("0.012", 60, 60);
        rate.rate.connect_fee = price_of("0.05");
        check(&rate, &[(0, 0, "0.050000"), (1, 60, "0.062000"), (3600, 3600, "0.770000")]);
        assert_eq!(price(&rate, &Talk::Unanswered), Ok(Money::ZERO));
        let codes: Vec<_> =
            explain(&rate, &seconds(61)).unwrap().lines.iter().map(|line| line.code).collect();
        assert_eq!(codes, ["connect_fee", "time", "total"]);
    }

    #[test]
    fn one_rounding_gives_what_cgrates_users_expected() {
        // cgrates #260: 24 s in tens at 0.05 a minute and a fee of 0.15; 0.174 came out.
        let mut rate = increments("0.05", 10, 10);
        rate.rate.connect_fee = price_of("0.15");
        rate.money_rounding = MoneyRounding { mode: MoneyMode::Up, decimals: 2 };
        check(&rate, &[(24, 30, "0.180000")]);
        // cgrates #3018: 4 s at 0.2 a minute, four decimals up; prepaid gave 0.0132666664.
        let mut rate = increments("0.2", 1, 1);
        rate.money_rounding = MoneyRounding { mode: MoneyMode::Up, decimals: 4 };
        check(&rate, &[(4, 4, "0.013400")]);
    }

    #[test]
    fn grace_frees_short_calls_and_included_seconds_free_every_call() {
        let mut grace = increments("0.6", 1, 1);
        grace.rate.connect_fee = price_of("1");
        grace.rate.grace_seconds = 5;
        check(&grace, &[(0, 0, "0.000000"), (5, 0, "0.000000"), (6, 6, "1.060000")]);

        let mut included = increments("0.6", 1, 1);
        included.rate.free_seconds = 5;
        check(&included, &[(5, 0, "0.000000"), (6, 1, "0.010000"), (65, 60, "0.600000")]);
        included.rate.connect_fee = price_of("1");
        check(&included, &[(5, 0, "1.000000"), (6, 1, "1.010000")]);
    }

    #[test]
    fn minimum_duration_and_minimum_charge() {
        let mut duration = increments("0.6", 6, 6);
        duration.rate.minimum_seconds = 30;
        check(&duration, &[(0, 0, "0.000000"), (1, 30, "0.300000"), (31, 36, "0.360000")]);

        let mut charge = increments("0.006", 1, 1);
        charge.rate.minimum_charge = price_of("0.01");
        check(&charge, &[(0, 0, "0.000000"), (1, 1, "0.010000"), (101, 101, "0.010100")]);
    }

    #[test]
    fn durations_are_rounded_as_the_account_has_it() {
        for (millis, nearest, up, down) in
            [(60_000, 60, 60, 60), (60_100, 60, 61, 60), (60_400, 60, 61, 60), (60_500, 61, 61, 60)]
        {
            let talk = Duration::from_millis(millis);
            assert_eq!(duration_seconds(talk, DurationRounding::Nearest), nearest, "{millis}");
            assert_eq!(duration_seconds(talk, DurationRounding::Up), up, "{millis}");
            assert_eq!(duration_seconds(talk, DurationRounding::Down), down, "{millis}");
        }
        assert_eq!(duration_seconds(Duration::MAX, DurationRounding::Up), i32::MAX as u32);
    }

    #[track_caller]
    fn check_rounding(price: &str, talk: u64, decimals: u8, expected: [&str; 4]) {
        let modes = [MoneyMode::Up, MoneyMode::Down, MoneyMode::HalfUp, MoneyMode::HalfEven];
        for (mode, expected) in modes.into_iter().zip(expected) {
            let mut rate = increments(price, 1, 1);
            rate.money_rounding = MoneyRounding { mode, decimals };
            let amount = super::price(&rate, &seconds(talk)).unwrap();
            assert_eq!(Ok(amount), expected.parse(), "{mode:?}");
        }
    }

    #[test]
    fn money_is_rounded_once_as_the_sheet_has_it() {
        // Those of public sources are in tests/rating_cases (R7).
        check_rounding("0.00093333", 60, 4, ["0.001", "0.0009", "0.0009", "0.0009"]);
        check_rounding("0.001147996", 60, 4, ["0.0012", "0.0011", "0.0011", "0.0011"]);
        check_rounding("1", 571, 4, ["9.5167", "9.5166", "9.5167", "9.5167"]);
        check_rounding("0.125", 60, 2, ["0.13", "0.12", "0.13", "0.12"]);
        check_rounding("0.135", 60, 2, ["0.14", "0.13", "0.14", "0.14"]);
        check_rounding("1.5", 60, 0, ["2", "1", "2", "2"]);
        check_rounding("0.000000001", 60, 6, ["0.000001", "0", "0", "0"]);
    }

    #[test]
    fn an_amount_that_cannot_be_held_is_an_error() {
        let rate = increments("1000000000", 1, 1);
        let week = seconds(604_800);
        assert_eq!(price(&rate, &week), Err(MoneyError::TooLarge));
    }

    #[test]
    fn the_longest_talk_is_what_the_balance_pays_for() {
        let longest = |price, balance: &str| {
            max_talk(&increments(price, 1, 1), Utc(0), balance.parse().unwrap(), 0, 86_400)
        };
        // Sippy's example (R15): 10 s at 6 a minute, 15 s at 4.
        assert_eq!(longest("6", "1"), Some(10));
        assert_eq!(longest("4", "1"), Some(15));
        assert_eq!(longest("4", "0"), Some(0));
        assert_eq!(longest("4", "-0.000001"), None);
        assert_eq!(longest("0", "0"), Some(86_400));
        assert_eq!(
            max_talk(&increments("4", 1, 1), Utc(0), Money::units(1_000_000), 0, u32::MAX),
            Some(15_000_000)
        );
        let mut fee = increments("6", 60, 60);
        fee.rate.connect_fee = price_of("1");
        assert_eq!(max_talk(&fee, Utc(0), Money(999_999), 0, 86_400), None);
        assert_eq!(max_talk(&fee, Utc(0), Money(6_999_999), 0, 86_400), Some(0));
        assert_eq!(max_talk(&fee, Utc(0), Money(7_000_000), 0, 86_400), Some(60));
    }

    pub(crate) fn any_rate() -> impl Strategy<Value = AppliedRate> {
        let price = || prop_oneof![Just(0_i64), 1..2_000_000_000_i64];
        let often_zero = || prop_oneof![2 => Just(0_u32), 1 => 1..90_u32];
        let terms = (price(), price(), price(), 1..120_u32, 1..120_u32);
        let seconds = (often_zero(), often_zero(), often_zero());
        let rounding = (0..4_u8, 0..=6_u8, 0..3_u8);
        (terms, seconds, rounding).prop_map(|(terms, seconds, (mode, decimals, duration))| {
            let price = |nanos| Price::from_nanos(nanos).unwrap();
            let mut applied = applied(Rate {
                price: price(terms.0),
                connect_fee: price(terms.1),
                minimum_charge: price(terms.2),
                first_increment: terms.3,
                next_increment: terms.4,
                grace_seconds: seconds.0,
                free_seconds: seconds.1,
                minimum_seconds: seconds.2,
                is_blocked: false,
                unit_seconds: 60,
            });
            let modes = [MoneyMode::Up, MoneyMode::Down, MoneyMode::HalfUp, MoneyMode::HalfEven];
            applied.money_rounding = MoneyRounding { mode: modes[usize::from(mode)], decimals };
            let roundings =
                [DurationRounding::Up, DurationRounding::Nearest, DurationRounding::Down];
            applied.duration_rounding = roundings[usize::from(duration)];
            applied
        })
    }

    proptest! {
        #[test]
        fn the_longest_talk_is_the_exact_inverse(
            rate in any_rate(),
            balance in 0..100_000_000_i64,
        ) {
            let balance = Money(balance);
            let limit = 10_000;
            match max_talk(&rate, Utc(0), balance, 0, limit) {
                None => prop_assert!(price(&rate, &seconds(0)).unwrap() > balance),
                Some(longest) => {
                    prop_assert!(price(&rate, &seconds(longest.into())).unwrap() <= balance);
                    if longest < limit {
                        let one_more = longest + rate.rate.next_increment;
                        prop_assert!(price(&rate, &seconds(one_more.into())).unwrap() > balance);
                    }
                }
            }
        }

        #[test]
        fn a_longer_talk_never_costs_less(rate in any_rate(), a in 0..7_200_000_u64, b in 0..7_200_000_u64) {
            let cost = |millis| price(&rate, &Talk::answered(Utc(0), Duration::from_millis(millis))).unwrap();
            prop_assert!(cost(a.min(b)) <= cost(a.max(b)));
        }

        #[test]
        fn the_amount_is_off_by_less_than_one_step(rate in any_rate(), talk in 0..100_000_u64) {
            let exact = |rate: &AppliedRate| {
                let billed = explain(rate, &seconds(talk)).unwrap().billed_seconds;
                i128::from(rate.rate.connect_fee.nanos()) * 60
                    + i128::from(rate.rate.price.nanos()) * i128::from(billed)
            };
            let mut rate = rate;
            rate.rate.minimum_charge = Price::ZERO;
            rate.rate.grace_seconds = 0;
            let amount = i128::from(price(&rate, &seconds(talk)).unwrap().0) * 60_000;
            let step = 60_000 * 10_i128.pow(6 - u32::from(rate.money_rounding.decimals));
            prop_assert!((amount - exact(&rate)).abs() < step);
            prop_assert_eq!(amount % step, 0);
        }
    }
}
