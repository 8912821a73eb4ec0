//! Taxes and the bills they stand on (R13, R7): exact, whatever is rounded, and with calls as
//! everything else that a call costs.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountTaxes, AppliedRate, AppliedTax, AppliedTaxes, Currency, DurationRounding, Exemption,
    Money, MoneyMode, MoneyRounding, OnTop, Price, Rate, RateGroupId, StatementLine,
    StatementRounding, Talk, Tax, TaxError, TaxRate, TaxRounding, TaxableKind, TaxedPrice, explain,
    max_talk, price, state,
};
use proptest::prelude::*;
use vocabulary::Utc;

const CENTS: MoneyRounding = MoneyRounding { mode: MoneyMode::HalfUp, decimals: 2 };

fn tax(name: &str, percent: &str) -> AppliedTax {
    let rate = percent.parse().unwrap();
    AppliedTax { name: name.into(), rate, is_compound: false, exempt: None }
}

fn compound(name: &str, percent: &str) -> AppliedTax {
    AppliedTax { is_compound: true, ..tax(name, percent) }
}

fn taxes(prices: TaxedPrice, taxes: &[AppliedTax]) -> AppliedTaxes {
    AppliedTaxes::new(prices, taxes.to_vec()).unwrap()
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

/// A net amount, what each tax is on it, and the gross amount, in cents.
#[track_caller]
fn check(applied: &[AppliedTax], net: &str, each: &[&str], gross: &str) {
    let taxes = taxes(TaxedPrice::OnStatement, applied);
    let tax = taxes.on(money(net), CENTS).unwrap();
    let amounts = taxes.each(tax, CENTS).unwrap();
    assert_eq!(amounts, each.iter().map(|text| money(text)).collect::<Vec<_>>(), "{net}");
    assert_eq!(money(net).checked_add(tax).unwrap(), money(gross), "{net}");
    assert_eq!(taxes.within(money(gross), CENTS).unwrap(), tax, "in {gross}");
}

#[test]
fn several_taxes_stand_beside_and_upon_each_other() {
    check(&[tax("VAT", "19")], "100", &["19"], "119");
    check(&[tax("VAT", "20"), tax("Levy", "2.5")], "80", &["16", "2"], "98");
    // Quebec until the end of 2012: QST of 9.5 % was on the price with the GST of 5 % in it, 9.975 %
    // of the price; from 2013 on 9.975 % beside it. Revenu Québec, "Basic rules for applying the
    // GST/HST and QST".
    check(&[tax("GST", "5"), compound("QST", "9.5")], "100", &["5", "9.98"], "114.98");
    check(&[tax("GST", "5"), tax("QST", "9.975")], "100", &["5", "9.98"], "114.98");
    check(&[tax("GST", "5"), compound("QST", "9.5")], "1000", &["50", "99.75"], "1149.75");
    check(&[tax("GST", "5"), tax("QST", "9.975")], "1000", &["50", "99.75"], "1149.75");
    // An exempt tax is named and comes to nothing.
    let exempt = AppliedTax { exempt: Some("certificate 7".into()), ..tax("City", "3") };
    check(&[tax("State", "6"), exempt], "10", &["0.60", "0"], "10.60");
}

#[test]
fn what_is_contained_is_the_tax_fraction_of_the_gross() {
    // HMRC, VAT Notice 700, "VAT fraction": at 20 % a sixth, at 17.5 % seven forty-sevenths, at 5 % a
    // twenty-first of what is paid.
    for (percent, gross, contained) in
        [("20", "120", "20"), ("17.5", "47", "7"), ("5", "21", "1"), ("20", "1", "0.17")]
    {
        let taxes = taxes(TaxedPrice::Included, &[tax("VAT", percent)]);
        assert_eq!(taxes.within(money(gross), CENTS), Ok(money(contained)), "{percent} in {gross}");
    }
}

#[test]
fn taxes_that_cannot_be_exact_are_refused() {
    let nine = vec![tax("VAT", "1"); 9];
    assert_eq!(AppliedTaxes::new(TaxedPrice::Included, nine), Err(TaxError::TooMany));
    let fine = vec![compound("VAT", "1.0001"); 4];
    assert_eq!(AppliedTaxes::new(TaxedPrice::Included, fine), Err(TaxError::TooFine));
    for text in ["-1", "1.00001", "1000.1", "", "a"] {
        assert_eq!(text.parse::<TaxRate>(), Err(TaxError::Rate(text.into())));
    }
    for text in ["0", "8.875", "19", "1000", "9.9750"] {
        let rate: TaxRate = text.parse().unwrap();
        assert_eq!(rate.to_string().parse(), Ok(rate));
    }
}

fn line(posted: &str, taxes: Option<&Arc<AppliedTaxes>>) -> StatementLine {
    let posted = money(posted);
    let tax = taxes.map_or(Money::ZERO, |taxes| taxes.contained(posted, CENTS).unwrap());
    StatementLine { posted, tax, taxes: taxes.cloned() }
}

#[test]
fn taxes_are_rounded_on_each_line_or_on_the_total() {
    // Both are in use: HMRC's manual VATREC12010 (Notice 700, 17.5) speaks of rounding each line to the
    // nearer penny, EN 16931 (BR-CO-17) takes the tax of the sum of a category, to two decimals. Three
    // lines of 0.33 at 20 %: 0.066 a line is 0.07, and 0.198 of the sum is 0.20.
    let vat = Arc::new(taxes(TaxedPrice::OnStatement, &[tax("VAT", "20")]));
    let lines = [line("0.33", Some(&vat)), line("0.33", Some(&vat)), line("0.33", Some(&vat))];
    let by = |taxes| state(&lines, StatementRounding { money: CENTS, taxes }).unwrap();
    let each = by(TaxRounding::Line);
    assert_eq!(
        (each.total.net, each.total.tax, each.total.gross),
        (money("0.99"), money("0.21"), money("1.20"))
    );
    assert_eq!(
        (each.rounding.tax, each.tax_on_top, each.rounded_off),
        (Money::ZERO, money("0.21"), Money::ZERO)
    );
    let total = by(TaxRounding::Total);
    assert_eq!((total.total.tax, total.total.gross), (money("0.20"), money("1.19")));
    assert_eq!((total.rounding.net, total.rounding.tax), (Money::ZERO, money("-0.01")));
    assert_eq!((total.taxes[0].base, total.taxes[0].amount), (money("0.99"), money("0.20")));
}

#[test]
fn a_bill_is_the_postings_with_what_was_rounded_off() {
    let with = Arc::new(taxes(TaxedPrice::WithCharge, &[tax("VAT", "19")]));
    let lines = [line("1.190001", Some(&with)), line("0.004999", None), line("-0.5", None)];
    let rounding = StatementRounding { money: CENTS, taxes: TaxRounding::Total };
    let stated = state(&lines, rounding).unwrap();
    assert_eq!(stated.posted, money("0.695"));
    // Those without taxes together are -0.495001.
    assert_eq!((stated.total.net, stated.total.tax), (money("0.50"), money("0.19")));
    assert_eq!((stated.total.gross, stated.rounded_off), (money("0.69"), money("-0.005")));
    assert_eq!(stated.tax_on_top, Money::ZERO);
}

/// Each of many calls had its tax rounded: what they add up to was taken, not what is in their sum.
#[test]
fn a_bill_states_the_taxes_that_were_charged() {
    let with = Arc::new(taxes(TaxedPrice::WithCharge, &[tax("VAT", "19")]));
    let included = Arc::new(taxes(TaxedPrice::Included, &[tax("VAT", "19")]));
    let posted = |taxes: &Arc<AppliedTaxes>| StatementLine {
        posted: money("119.00"),
        tax: money("19.02"),
        taxes: Some(Arc::clone(taxes)),
    };
    for way in [TaxRounding::Line, TaxRounding::Total] {
        let rounding = StatementRounding { money: CENTS, taxes: way };
        let stated = state(&[posted(&with)], rounding).unwrap();
        assert_eq!((stated.total.net, stated.total.tax), (money("99.98"), money("19.02")));
        assert_eq!((stated.total.gross, stated.taxes[0].amount), (money("119"), money("19.02")));
        let stated = state(&[posted(&included)], rounding).unwrap();
        assert_eq!((stated.total.net, stated.total.tax), (money("100"), money("19")));
    }
}

fn in_force(name: &str, percent: &str, from: Option<i64>, till: Option<i64>) -> Tax {
    Tax {
        name: name.into(),
        rate: percent.parse().unwrap(),
        is_compound: false,
        applies_to: [TaxableKind::Usage, TaxableKind::Recurring].into(),
        valid_from: from.map(Utc),
        valid_till: till.map(Utc),
    }
}

#[test]
fn the_tax_point_decides() {
    // Germany, from 1 July 2020 to the end of that year, 16 % instead of 19 %.
    let vat = vec![
        in_force("VAT", "19", None, Some(100)),
        in_force("VAT", "16", Some(100), Some(200)),
        in_force("VAT", "19", Some(200), None),
    ];
    let exempt = Exemption {
        tax: None,
        reason: "Reverse charge".into(),
        valid_from: Some(Utc(300)),
        valid_till: None,
    };
    let taxes = AccountTaxes::new(vat, vec![exempt], OnTop::Balance).unwrap();
    let at = |at| taxes.on_usage(Utc(at), false).unwrap().names();
    assert_eq!(at(i64::MIN), "VAT 19 %");
    assert_eq!((at(99), at(100)), ("VAT 19 %".into(), "VAT 16 %".into()));
    assert_eq!((at(199), at(200)), ("VAT 16 %".into(), "VAT 19 %".into()));
    assert_eq!(at(300), "VAT 19 % (exempt: Reverse charge)");
    let prices = |is_included| taxes.on_usage(Utc(0), is_included).unwrap().prices();
    assert_eq!((prices(false), prices(true)), (TaxedPrice::WithCharge, TaxedPrice::Included));
    assert_eq!(taxes.on_kind(TaxableKind::OneTime, Utc(0), false), None);
    assert!(taxes.on_kind(TaxableKind::Recurring, Utc(0), false).is_some());
}

#[test]
fn taxes_that_contradict_each_other_are_named() {
    let new = |taxes| AccountTaxes::new(taxes, Vec::new(), OnTop::Statement).map(drop);
    let twice = vec![in_force("VAT", "19", None, None), in_force("VAT", "7", Some(5), None)];
    assert_eq!(new(twice), Err(TaxError::Twice("VAT".into())));
    let backwards = vec![in_force("VAT", "19", Some(5), Some(5))];
    assert_eq!(new(backwards), Err(TaxError::Backwards("VAT".into())));
    let nothing = vec![Tax { applies_to: [].into(), ..in_force("VAT", "19", None, None) }];
    assert_eq!(new(nothing), Err(TaxError::OfNothing("VAT".into())));
    let exempt = Exemption {
        tax: Some("Levy".into()),
        reason: "x".into(),
        valid_from: None,
        valid_till: None,
    };
    let taxes = vec![in_force("VAT", "19", None, None)];
    let refused = AccountTaxes::new(taxes, vec![exempt], OnTop::Statement).map(drop);
    assert_eq!(refused, Err(TaxError::Unknown("Levy".into(), "VAT".into())));
}

fn rate(text: &str, taxes: AppliedTaxes, money_rounding: MoneyRounding) -> AppliedRate {
    AppliedRate {
        rate: Rate::per_minute(text.parse().unwrap(), 60, 60),
        duration_rounding: DurationRounding::Up,
        money_rounding,
        currency: Currency::EUR,
        group: RateGroupId(1),
        sheet_version: 1,
        prefix_length: 2,
        is_by_lrn: false,
        special: None,
        taxes: Some(Arc::new(taxes)),
    }
}

fn talk(seconds: u32) -> Talk {
    Talk::answered(Utc(0), Duration::from_secs(seconds.into()))
}

#[test]
fn a_call_pays_its_taxes_with_its_price() {
    let vat = [tax("VAT", "19"), tax("Levy", "1")];
    let with = rate("0.1", taxes(TaxedPrice::WithCharge, &vat), MoneyRounding::default());
    let charge = explain(&with, &talk(61)).unwrap();
    assert_eq!(
        (charge.amount, charge.tax, charge.net()),
        (money("0.24"), money("0.04"), Ok(money("0.2")))
    );
    let lines: Vec<_> =
        charge.lines.iter().map(|line| (line.code, line.sentence.as_str())).collect();
    let tax = ("tax", "Taxes on 0.200000: VAT 19 % 0.038000, Levy 1 % 0.002000.");
    let total = ("total", "Rounded up once to 6 decimals: 0.200000 EUR, with tax 0.240000 EUR.");
    assert_eq!(lines[1..], [tax, total]);
    // The balance that pays the price alone does not pay the taxes.
    assert_eq!(max_talk(&with, Utc(0), money("0.239999"), 0, 600), Some(60));
    assert_eq!(max_talk(&with, Utc(0), money("0.24"), 0, 600), Some(120));

    let included = rate("0.1", taxes(TaxedPrice::Included, &vat), MoneyRounding::default());
    let charge = explain(&included, &talk(61)).unwrap();
    assert_eq!((charge.amount, charge.tax), (money("0.2"), money("0.033334")));
    let later = rate("0.1", taxes(TaxedPrice::OnStatement, &vat), MoneyRounding::default());
    let charge = explain(&later, &talk(61)).unwrap();
    assert_eq!((charge.amount, charge.tax), (money("0.2"), Money::ZERO));
    assert_eq!(charge.lines[1].sentence, "A statement adds VAT 19 %, Levy 1 %.");
}

fn any_rounding() -> impl Strategy<Value = MoneyRounding> {
    let modes = vec![MoneyMode::Up, MoneyMode::Down, MoneyMode::HalfUp, MoneyMode::HalfEven];
    (prop::sample::select(modes), 0..=6_u8)
        .prop_map(|(mode, decimals)| MoneyRounding { mode, decimals })
}

/// Fine rates, but of few of them at the same time compound, as the bound has it.
fn any_taxes() -> impl Strategy<Value = Vec<AppliedTax>> {
    let percent = prop_oneof![
        Just("20".to_owned()),
        Just("8.875".to_owned()),
        Just("9.975".to_owned()),
        (0..10_000_u32).prop_map(|n| format!("{}.{:02}", n / 100, n % 100)),
    ];
    let one = (percent, any::<bool>(), prop::bool::weighted(0.2));
    prop::collection::vec(one, 0..4).prop_map(|all| {
        let one = |(percent, is_compound, is_exempt): (String, bool, bool)| AppliedTax {
            is_compound,
            exempt: is_exempt.then(|| "a certificate".to_owned()),
            ..tax(&percent, &percent)
        };
        all.into_iter().map(one).collect()
    })
}

fn any_prices() -> impl Strategy<Value = TaxedPrice> {
    prop::sample::select(vec![
        TaxedPrice::Included,
        TaxedPrice::WithCharge,
        TaxedPrice::OnStatement,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Net and taxes are gross; what was added is found again; each tax adds up to all of them.
    #[test]
    fn adding_and_extracting_are_inverse(
        net in -1_000_000_000_000..1_000_000_000_000_i64,
        all in any_taxes(),
        rounding in any_rounding(),
    ) {
        let taxes = taxes(TaxedPrice::Included, &all);
        let net = Money(net).rounded(rounding).unwrap();
        let tax = taxes.on(net, rounding).unwrap();
        let gross = net.checked_add(tax).unwrap();
        prop_assert_eq!(taxes.within(gross, rounding), Ok(tax));
        let each = taxes.each(tax, rounding).unwrap();
        prop_assert_eq!(each.iter().map(|amount| amount.0).sum::<i64>(), tax.0);
        prop_assert_eq!(taxes.on(Money(-net.0), rounding), Ok(Money(-tax.0)));
    }

    /// Also of what nobody has added to, no more than a step is lost or won.
    #[test]
    fn what_is_extracted_of_anything_is_its_share(
        gross in 0..1_000_000_000_000_i64,
        all in any_taxes(),
        rounding in any_rounding(),
    ) {
        let taxes = taxes(TaxedPrice::Included, &all);
        let gross = Money(gross).rounded(rounding).unwrap();
        let tax = taxes.within(gross, rounding).unwrap();
        let again = taxes.on(Money(gross.0 - tax.0), rounding).unwrap();
        let step = 10_i64.pow(6 - u32::from(rounding.decimals));
        // A step of net is more than one of tax where taxes are above 100 %.
        let most = step * (1 + all.len() as i64 * 2);
        prop_assert!((again.0 - tax.0).abs() <= most, "{again} {tax}");
        prop_assert!(tax >= Money::ZERO && tax <= gross);
    }

    /// Shown lines and what rounding them differs are the totals; totals are the postings with the
    /// taxes on top and what was rounded off; the taxes are the total's tax.
    #[test]
    fn a_bill_adds_up(
        posted in prop::collection::vec((-1_000_000_000..1_000_000_000_i64, 0..4_usize), 0..20),
        sets in prop::collection::vec((any_taxes(), any_prices()), 3),
        rounding in any_rounding(),
        is_by_line: bool,
    ) {
        let sets: Vec<_> = sets.into_iter().map(|(all, p)| Arc::new(taxes(p, &all))).collect();
        let line = |(posted, set): (i64, usize)| {
            let taxes = sets.get(set).cloned();
            let is_taxed = taxes.as_ref().is_some_and(|taxes| !taxes.taxes().is_empty());
            let tax = if is_taxed { Money(posted / 7) } else { Money::ZERO };
            StatementLine { posted: Money(posted), tax, taxes }
        };
        let lines: Vec<_> = posted.into_iter().map(line).collect();
        let way = if is_by_line { TaxRounding::Line } else { TaxRounding::Total };
        let stated = state(&lines, StatementRounding { money: rounding, taxes: way }).unwrap();
        let sum = |part: fn(&billing::Sums) -> i64| stated.lines.iter().map(part).sum::<i64>();
        prop_assert_eq!(sum(|s| s.net.0) + stated.rounding.net.0, stated.total.net.0);
        prop_assert_eq!(sum(|s| s.tax.0) + stated.rounding.tax.0, stated.total.tax.0);
        prop_assert_eq!(sum(|s| s.gross.0) + stated.rounding.gross.0, stated.total.gross.0);
        for sums in stated.lines.iter().chain([&stated.total, &stated.rounding]) {
            prop_assert_eq!(sums.net.0 + sums.tax.0, sums.gross.0);
        }
        prop_assert_eq!(stated.posted.0, lines.iter().map(|line| line.posted.0).sum::<i64>());
        let books = stated.posted.0 + stated.tax_on_top.0 + stated.rounded_off.0;
        prop_assert_eq!(books, stated.total.gross.0);
        let each = stated.taxes.iter().map(|tax| tax.amount.0).sum::<i64>();
        prop_assert_eq!(each, stated.total.tax.0);
        if is_by_line {
            prop_assert_eq!(stated.rounding, billing::Sums::default());
        }
    }

    /// The longest talk for a balance stays the exact inverse of the price with its taxes: the price of
    /// it is at most the balance, one increment more costs more.
    #[test]
    fn the_longest_talk_pays_its_taxes(
        nanos in 1..2_000_000_000_i64,
        all in any_taxes(),
        prices in any_prices(),
        rounding in any_rounding(),
        balance in 0..50_000_000_i64,
        seconds in 0..7_200_u32,
    ) {
        let text = Price::from_nanos(nanos).unwrap().to_string();
        let applied = rate(&text, taxes(prices, &all), rounding);
        let most = max_talk(&applied, Utc(0), Money(balance), 0, 1_000_000).unwrap();
        prop_assert!(price(&applied, &talk(most)).unwrap() <= Money(balance));
        if most < 1_000_000 {
            prop_assert!(price(&applied, &talk(most + 1)).unwrap() > Money(balance));
        }
        let charge = explain(&applied, &talk(seconds)).unwrap();
        prop_assert_eq!(charge.amount, price(&applied, &talk(seconds)).unwrap());
        // What its record is split into later is what it was made of.
        prop_assert_eq!(applied.tax_in(charge.amount), charge.tax);
        let untaxed = AppliedRate { taxes: None, ..applied.clone() };
        if prices != TaxedPrice::Included {
            prop_assert_eq!(charge.net(), price(&untaxed, &talk(seconds)));
        }
        prop_assert_eq!(AppliedRate::from_bytes(&applied.to_bytes()), Ok(applied));
    }
}
