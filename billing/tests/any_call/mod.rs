//! Any call there can be: rates with every special term, versions that begin around it, discounts,
//! currencies, resellers, bundles, an answer some seconds after the INVITE.

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountTariff, AccountTaxes, AfterCap, BundleGrant, BundleId, Calendar, Cap, Currency, Days,
    DestinationSet, DestinationSetId, Discount, DurationRounding, ExchangeRate, GroupTerms,
    GroupsOfSide, JurisdictionGroups, MoneyMode, MoneyRounding, OnTop, OpId, OriginTerms, Percent,
    Period, PeriodChoice, Price, Rate, RateBook, RateGroup, RateGroupId, RateRow, SpecialTerms,
    Step, Surcharge, SurchargeAmount, Tax, TaxRate, TaxableKind, TimePrice, VersionChoice, Zone,
};
use proptest::prelude::*;
use vocabulary::{AccountId, Jurisdiction, Location, Utc};

/// The calling account, its reseller, the one above.
pub const PAYERS: [AccountId; 3] = [AccountId(1), AccountId(7), AccountId(8)];
pub const CARRIER: AccountId = AccountId(2);
/// Of the payers in their order, and of the carrier.
pub const GROUPS: [RateGroupId; 4] =
    [RateGroupId(10), RateGroupId(70), RateGroupId(80), RateGroupId(20)];
pub const GERMANY: DestinationSetId = DestinationSetId(1);
const USD: Currency = Currency::USD;

/// One call and all that its price depends on.
#[derive(Clone, Debug)]
pub struct AnyCall {
    pub at: Utc,
    /// From the INVITE to the answer.
    pub ringing: Duration,
    pub talked: Duration,
    pub cli: Option<&'static str>,
    /// How many resellers are above the caller.
    pub resellers: usize,
    /// The caller ID was none of the account's: it pays by its other group.
    pub is_non_cli: bool,
    /// It was ported, and has a jurisdiction (T7).
    pub location: Location,
    groups: Vec<Group>,
    durations: [DurationRounding; 4],
    discounts: Vec<(u32, &'static str)>,
    /// Of the payers in their order: rates in hundredths of a percent, compound or not, and whether
    /// they go to the balance (R13).
    taxes: [(Vec<(u32, bool)>, bool); 3],
    /// EUR in USD and USD in EUR, in billionths.
    exchange: (i64, i64),
    /// Level, seconds, increment, precedence.
    bundles: Vec<(usize, u32, u32, u16)>,
    /// The first and the longest slice, in seconds.
    pub slices: (u32, u32),
}

#[derive(Clone, Debug)]
struct Group {
    is_in_dollars: bool,
    includes_tax: bool,
    is_by_lrn: bool,
    rounding: MoneyRounding,
    first: Terms,
    others: Vec<(&'static str, i64, bool, Terms)>,
}

#[derive(Clone, Debug)]
struct Terms {
    rate: Rate,
    special: Option<SpecialTerms>,
}

fn any_price() -> impl Strategy<Value = Price> {
    prop_oneof![1 => Just(0_i64), 6 => 1..2_000_000_000_i64, 2 => (1..200_i64).prop_map(|n| n * 10_000_000)]
        .prop_map(|nanos| Price::from_nanos(nanos).unwrap())
}

fn any_unit() -> impl Strategy<Value = u32> {
    prop_oneof![6 => Just(60_u32), 1 => prop::sample::select(vec![1_u32, 6, 30, 3_600])]
}

fn any_increment() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(60_u32), 2 => Just(1_u32), 1 => 1..90_u32]
}

fn any_mode() -> impl Strategy<Value = MoneyMode> {
    let modes = vec![MoneyMode::Up, MoneyMode::Down, MoneyMode::HalfUp, MoneyMode::HalfEven];
    prop::sample::select(modes)
}

fn any_rounding() -> impl Strategy<Value = MoneyRounding> {
    (any_mode(), 0..=6_u8).prop_map(|(mode, decimals)| MoneyRounding { mode, decimals })
}

fn any_duration() -> impl Strategy<Value = DurationRounding> {
    prop::sample::select(vec![
        DurationRounding::Up,
        DurationRounding::Nearest,
        DurationRounding::Down,
    ])
}

fn any_rate() -> impl Strategy<Value = Rate> {
    let seconds = || prop_oneof![3 => Just(0_u32), 1 => 1..90_u32];
    let fee = || prop_oneof![2 => Just(Price::ZERO), 1 => any_price()];
    let of_time = (any_price(), any_unit(), any_increment(), any_increment());
    (of_time, fee(), fee(), seconds(), seconds(), seconds()).prop_map(
        |((price, unit, first, next), connect_fee, minimum_charge, grace, free, minimum)| Rate {
            price,
            unit_seconds: unit,
            connect_fee,
            first_increment: first,
            next_increment: next,
            grace_seconds: grace,
            free_seconds: free,
            minimum_seconds: minimum,
            minimum_charge,
            is_blocked: false,
        },
    )
}

fn any_steps() -> impl Strategy<Value = Box<[Step]>> {
    let step = (1..900_u32, any_price(), any_unit(), any_increment());
    prop::collection::vec(step, 0..3).prop_map(|steps| {
        let mut before = 0;
        let step = |(after, price, unit_seconds, increment): (u32, Price, u32, u32)| {
            before += after;
            Step { from_seconds: before, price, unit_seconds, increment }
        };
        steps.into_iter().map(step).collect()
    })
}

fn any_calendar() -> impl Strategy<Value = Arc<Calendar>> {
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"];
    let quarter = || (0..96_u32).prop_map(|quarter| quarter * 900);
    let time =
        (any_price(), any_unit(), any_increment(), any_increment(), any_price(), any_steps());
    let period = (1..=255_u8, quarter(), quarter(), time).prop_map(
        |(days, from_second, till, (price, unit_seconds, first, next, connect_fee, steps))| {
            Period {
                days: Days(days),
                from_second,
                till_second: if till == 0 { 86_400 } else { till },
                price: TimePrice {
                    name: format!("period {days}"),
                    connect_fee,
                    price,
                    unit_seconds,
                    first_increment: first,
                    next_increment: next,
                    steps,
                },
            }
        },
    );
    let periods = prop::collection::vec(period, 1..4);
    (prop::sample::select(zones.to_vec()), periods, any::<bool>()).prop_map(
        |(zone, periods, is_at_answer)| {
            Arc::new(Calendar {
                zone: Zone::named(zone).unwrap(),
                holidays: ["2027-01-01".parse().unwrap(), "2027-03-28".parse().unwrap()].into(),
                periods: periods.into(),
                choice: match is_at_answer {
                    true => PeriodChoice::AtAnswer,
                    false => PeriodChoice::EachIncrement,
                },
            })
        },
    )
}

fn any_surcharges() -> impl Strategy<Value = Box<[Surcharge]>> {
    let amount = prop_oneof![
        any_price().prop_map(SurchargeAmount::Fixed),
        (0..20_000_u32)
            .prop_map(|share| SurchargeAmount::Share(Percent::from_hundredths(share).unwrap())),
    ];
    let surcharge = amount.prop_map(|amount| Surcharge { name: "fund".into(), amount });
    prop::collection::vec(surcharge, 0..3).prop_map(Vec::into_boxed_slice)
}

fn any_origin() -> impl Strategy<Value = OriginTerms> {
    let prefixes = prop::sample::select(vec!["", "49", "4930", "1"]);
    let prices = (prop::option::of(any_price()), prop::option::of(any_price()));
    (prefixes, any::<bool>(), prices, any_surcharges()).prop_map(
        |(prefix, is_for_invalid, (price, connect_fee), surcharges)| OriginTerms {
            name: "origin".into(),
            prefixes: [prefix.to_owned()].into(),
            is_for_invalid,
            price,
            connect_fee,
            surcharges,
        },
    )
}

fn any_cap() -> impl Strategy<Value = Cap> {
    (any_price(), any::<bool>()).prop_map(|(amount, is_end)| Cap {
        amount,
        after: if is_end { AfterCap::Disconnect } else { AfterCap::Free },
    })
}

/// Each term is there in a third of the rates.
fn any_special() -> impl Strategy<Value = SpecialTerms> {
    fn of<S: Strategy>(strategy: S) -> impl Strategy<Value = Option<S::Value>>
    where
        S::Value: Clone,
    {
        prop::option::weighted(0.3, strategy)
    }
    let versions = prop::sample::select(vec![VersionChoice::AtStart, VersionChoice::EachIncrement]);
    let origins = prop::collection::vec(any_origin(), 1..3).prop_map(Vec::into_boxed_slice);
    let prices = (of(any_steps()), of(any_calendar()), of(any_surcharges()), of(origins));
    let bounds = (of(any_cap()), of(any_rounding()), of(any_rounding()), of(any_duration()));
    (prices, bounds, of(versions)).prop_map(
        |((steps, calendar, surcharges, origins), (cap, line, money, duration), versions)| {
            SpecialTerms {
                steps,
                calendar,
                surcharges,
                origins,
                cap,
                line_rounding: line,
                money_rounding: money,
                duration_rounding: duration,
                versions,
            }
        },
    )
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let special = prop::option::weighted(0.8, any_special());
    (any_rate(), special).prop_map(|(rate, special)| Terms { rate, special })
}

fn any_group() -> impl Strategy<Value = Group> {
    let prefixes = prop::sample::select(vec!["49", "4930", "493012"]);
    // Versions begin up to an hour before the call and up to one after.
    let other = (prefixes, -3_600..3_600_i64, any::<bool>(), any_terms());
    let others = prop::collection::vec(other, 0..3);
    let is_so = (prop::bool::weighted(0.2), prop::bool::weighted(0.3), prop::bool::weighted(0.4));
    (is_so, any_rounding(), any_terms(), others).prop_map(
        |((is_in_dollars, includes_tax, is_by_lrn), rounding, first, others)| Group {
            is_in_dollars,
            includes_tax,
            is_by_lrn,
            rounding,
            first,
            others,
        },
    )
}

pub fn any_call() -> impl Strategy<Value = AnyCall> {
    // Two years from 2026-11 on, to the millisecond.
    let at = (0..63_000_000_000_i64).prop_map(|millis| Utc(1_795_000_000_000_000 + millis * 1_000));
    let ringing = prop_oneof![Just(0_u64), 0..30_000_u64].prop_map(Duration::from_millis);
    let talked = (0..3_000_000_u64).prop_map(Duration::from_millis);
    let clis =
        vec![None, Some("49301234567"), Some("12125550000"), Some("33140000000"), Some("42")];
    let lrns = prop::sample::select(vec![None, Some("4930999"), Some("4917"), Some("49301")]);
    let jurisdictions = prop::option::of(prop::sample::select(Jurisdiction::ALL.to_vec()));
    let location = (lrns, jurisdictions).prop_map(|(lrn, jurisdiction)| Location {
        lrn: lrn.map(|lrn| lrn.parse().unwrap()),
        jurisdiction,
    });
    let caller = (prop::sample::select(clis), 0..=2_usize, prop::bool::weighted(0.2), location);
    let of_call = (at, ringing, talked, caller);
    let groups = prop::collection::vec(any_group(), 4);
    let durations = [any_duration(), any_duration(), any_duration(), any_duration()];
    let discount = (1..=10_000_u32, prop::sample::select(vec!["", "49", "4930", "33"]));
    let discounts = prop::collection::vec(discount, 0..3);
    let bundle = (0..3_usize, 0..900_u32, 1..61_u32, 0..3_u16);
    let bundles = prop::collection::vec(bundle, 0..3);
    let exchange = (1_000_000..3_000_000_000_i64, 1_000_000..3_000_000_000_i64);
    let slices = (1..120_u32, 20..600_u32);
    let taxed = || (prop::collection::vec((0..5_000_u32, any::<bool>()), 0..3), any::<bool>());
    let taxes = [taxed(), taxed(), taxed()];
    (of_call, groups, durations, (discounts, taxes), exchange, bundles, slices).prop_map(
        |(
            (at, ringing, talked, (cli, resellers, is_non_cli, location)),
            groups,
            durations,
            (discounts, taxes),
            exchange,
            bundles,
            slices,
        )| {
            AnyCall {
                at,
                ringing,
                talked,
                cli,
                resellers,
                is_non_cli,
                location,
                groups,
                durations,
                discounts,
                taxes,
                exchange,
                bundles,
                slices,
            }
        },
    )
}

impl AnyCall {
    pub fn payers(&self) -> &'static [AccountId] {
        &PAYERS[..=self.resellers]
    }

    pub fn answered_at(&self) -> Utc {
        self.at.plus(self.ringing)
    }

    pub fn book(&self) -> RateBook {
        let rate = |nanos| ExchangeRate::new(Price::from_nanos(nanos).unwrap()).unwrap();
        let mut book = RateBook::builder()
            .exchange_rate(Currency::EUR, USD, rate(self.exchange.0))
            .exchange_rate(USD, Currency::EUR, rate(self.exchange.1))
            .destinations([(GERMANY, DestinationSet::new(["49"]).unwrap())]);
        for (id, group) in GROUPS.into_iter().zip(&self.groups) {
            book = book.group(self.group(id, group));
        }
        let discount = |(hundredths, prefix): &(u32, &str)| Discount {
            name: "discount".into(),
            destinations: Arc::new(DestinationSet::new([*prefix]).unwrap()),
            site: None,
            valid_from: None,
            valid_till: None,
            percent: Percent::from_hundredths(*hundredths).unwrap(),
        };
        let discounts: Vec<Discount> = self.discounts.iter().map(discount).collect();
        for (level, account) in self.payers().iter().enumerate() {
            let tariff = AccountTariff {
                customer_group: Some(GROUPS[level]),
                non_cli_group: (level == 0).then_some(GROUPS[1]),
                by_jurisdiction: (level == 0).then(|| {
                    let (intra, undetermined) = (Some(GROUPS[3]), Some(GROUPS[2]));
                    let customer = GroupsOfSide { intra, undetermined };
                    Arc::new(JurisdictionGroups { customer, ..JurisdictionGroups::default() })
                }),
                customer_duration: self.durations[level],
                discounts: if level < 2 { discounts.clone().into() } else { Arc::default() },
                parent: self.payers().get(level + 1).copied(),
                is_loss_allowed: true,
                taxes: Some(Arc::new(self.taxes(level))),
                ..AccountTariff::default()
            };
            book = book.account(*account, tariff);
        }
        let carrier = AccountTariff {
            carrier_group: Some(GROUPS[3]),
            by_jurisdiction: Some(Arc::new(JurisdictionGroups {
                carrier: GroupsOfSide { intra: Some(GROUPS[0]), undetermined: None },
                ..JurisdictionGroups::default()
            })),
            carrier_duration: self.durations[3],
            ..AccountTariff::default()
        };
        book.account(CARRIER, carrier).build().unwrap()
    }

    fn taxes(&self, level: usize) -> AccountTaxes {
        let (rates, is_to_balance) = &self.taxes[level];
        let tax = |(index, (hundredths, is_compound)): (usize, &(u32, bool))| Tax {
            name: format!("tax {index}"),
            rate: TaxRate::from_parts(hundredths * 100).unwrap(),
            is_compound: *is_compound,
            applies_to: [TaxableKind::Usage].into(),
            valid_from: None,
            valid_till: None,
        };
        let on_top = if *is_to_balance { OnTop::Balance } else { OnTop::Statement };
        AccountTaxes::new(rates.iter().enumerate().map(tax).collect(), Vec::new(), on_top).unwrap()
    }

    fn group(&self, id: RateGroupId, group: &Group) -> RateGroup {
        let mut builder = RateGroup::builder(GroupTerms {
            id,
            name: format!("group {id}"),
            currency: if group.is_in_dollars { USD } else { Currency::EUR },
            money_rounding: group.rounding,
            special: None,
        })
        .including_tax(group.includes_tax)
        .by_lrn(group.is_by_lrn);
        let row = |prefix: &str, terms: &Terms, from: Option<i64>, sheet_version| RateRow {
            prefix: prefix.into(),
            rate: terms.rate,
            special: terms.special.clone().map(Arc::new),
            valid_from: from.map(|seconds| Utc(self.at.0 + seconds * 1_000_000)),
            valid_till: None,
            sheet_version,
        };
        builder.row(&row("49", &group.first, None, 1)).unwrap();
        for (index, (prefix, from, is_blocked, terms)) in (2..).zip(&group.others) {
            let mut row = row(prefix, terms, Some(*from), index);
            // What is blocked when the call comes in would refuse it.
            row.rate.is_blocked = *is_blocked && *from > 1;
            builder.row(&row).unwrap();
        }
        builder.build()
    }

    pub fn bundles(&self) -> impl Iterator<Item = BundleGrant> + '_ {
        let here = self.bundles.iter().filter(|(level, ..)| *level <= self.resellers);
        (1..).zip(here).map(|(id, (level, seconds, increment, precedence))| BundleGrant {
            op: OpId::outside(9_000 + u128::from(id)),
            bundle: BundleId(id),
            account: PAYERS[*level],
            destinations: GERMANY,
            seconds: *seconds,
            increment: *increment,
            precedence: *precedence,
            valid_from: Utc(0),
            valid_till: None,
            at: self.at,
            note: "free seconds".into(),
        })
    }
}
