//! T7: calls are priced by the rate groups of their jurisdiction, and by where a ported number is served
//! if a group says so; on every path alike: authorised, settled, quoted, found open by a restart, and
//! priced again.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountTariff, Cdr, CreditSettings, Currency, GroupTerms, GroupsOfSide, JurisdictionGroups,
    MoneyRounding, RateBook, RateBookError, RateGroup, RateGroupId, RatedBy, Record, quote,
};
use common::*;
use vocabulary::{AuthorizeRequest, Jurisdiction, Location};

const INTRA: RateGroupId = RateGroupId(51);
const UNDETERMINED: RateGroupId = RateGroupId(52);
const CARRIER_INTRA: RateGroupId = RateGroupId(53);
const CARRIER_BY_LRN: RateGroupId = RateGroupId(54);
const MINUTE: Duration = Duration::from_secs(60);

/// By the LRN: numbers that begin with 4917 cost 0.05 a minute, others 0.01.
fn by_lrn() -> RateGroup {
    let mut builder = RateGroup::builder(GroupTerms {
        id: CARRIER_BY_LRN,
        name: "by LRN".into(),
        currency: Currency::EUR,
        money_rounding: MoneyRounding::default(),
        special: None,
    })
    .by_lrn(true);
    for (prefix, price) in [("49", "0.01"), ("4917", "0.05")] {
        builder.row_named(&row(prefix, rate(price, 60, 60)), prefix).unwrap();
    }
    builder.build()
}

/// The customer pays 0.60 a minute from state to state, 1.20 within one and 2.40 if that is not known;
/// the carrier takes by the LRN, and 0.02 within a state.
fn world() -> World {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    let customer = GroupsOfSide { intra: Some(INTRA), undetermined: Some(UNDETERMINED) };
    let carrier = GroupsOfSide { intra: Some(CARRIER_INTRA), undetermined: None };
    let groups = |customer, carrier| Some(Arc::new(JurisdictionGroups { customer, carrier }));
    let none = GroupsOfSide::default();
    let book = world
        .book
        .change()
        .group(group(INTRA, &[row("49", rate("1.20", 60, 60))]))
        .group(group(UNDETERMINED, &[row("49", rate("2.40", 60, 60))]))
        .group(group(CARRIER_INTRA, &[row("49", rate("0.02", 60, 60))]))
        .group(by_lrn())
        .account(
            CUSTOMER,
            AccountTariff { by_jurisdiction: groups(customer, none), ..customer_tariff() },
        )
        .account(
            CARRIER,
            AccountTariff {
                carrier_group: Some(CARRIER_BY_LRN),
                by_jurisdiction: groups(none, carrier),
                ..AccountTariff::default()
            },
        )
        .build()
        .unwrap();
    use_book(&mut world, book);
    world
}

fn use_book(world: &mut World, book: RateBook) {
    world.book = Arc::new(book);
    world.credit.set_rate_book(world.book.clone());
}

fn location(lrn: Option<&str>, jurisdiction: Option<Jurisdiction>) -> Location {
    Location { lrn: lrn.map(|lrn| lrn.parse().unwrap()), jurisdiction }
}

/// Charge and cost, each with its group.
fn amounts(cdrs: &[Cdr]) -> [(String, RateGroupId); 2] {
    [0, 1].map(|leg| {
        let charge = cdrs[leg].charge.as_ref().unwrap();
        (charge.amount.to_string(), charge.applied.group)
    })
}

/// Charge, cost, and the prefix that the cost is of.
#[track_caller]
fn check(location: Location, charge: (&str, RateGroupId), cost: (&str, RateGroupId, &str)) {
    let mut world = world();
    let request = AuthorizeRequest { location, ..request(call(1), "49301234") };
    let settings = CreditSettings::default();
    let quoted = quote(&world.ledger, &world.book, &settings, START, &request, MINUTE);
    assert_eq!(quoted.payers[0].charge.as_ref().unwrap().amount.to_string(), charge.0);

    world.credit.authorize(at(0), &request).unwrap();
    world.credit.answered(at(0), call(1), Some(TRUNK), START);
    let until_answer = world.journal.records();
    let mut end = ended(call(1), Some(TRUNK), Some(MINUTE));
    end.facts.location = location;
    end.facts.legs[1].account = Some(CARRIER);
    world.credit.settle(at(60), end);
    let last = world.journal.records().into_iter().rev();
    let cdrs = last.into_iter().find_map(|(_, record)| match record {
        Record::Ended(ended) => Some(ended.cdrs),
        _ => None,
    });
    let cdrs = cdrs.unwrap();
    let expected = [(charge.0.to_owned(), charge.1), (cost.0.to_owned(), cost.1)];
    assert_eq!(amounts(&cdrs), expected);
    assert!(cdrs.iter().all(|cdr| cdr.location == location));
    assert_eq!(cdrs[1].rated_prefix(), Some(cost.2));
    if cost.1 == CARRIER_BY_LRN {
        assert_eq!(cdrs[1].destination.as_deref(), Some(cost.2), "named as the prefix of the LRN");
    }
    world.check_over();

    // Priced again by what its CDRs say.
    let by = RatedBy { location: cdrs[0].location, ..RatedBy::cld(request.cld) };
    is_priced_again_alike(&world.book, by, &cdrs);

    // After a restart in mid-call, a minute after the answer.
    let lost = lost(&until_answer, &[CUSTOMER, CARRIER], MINUTE);
    assert_eq!(amounts(&lost), expected);
    assert!(lost.iter().all(|cdr| cdr.location == location));
}

#[test]
fn each_jurisdiction_has_its_prices_on_every_path() {
    use Jurisdiction::{Inter, Intra, Undetermined};
    let by_lrn = ("0.010000", CARRIER_BY_LRN, "49");
    check(location(None, None), ("0.600000", CUSTOMER_GROUP), by_lrn);
    check(location(None, Some(Inter)), ("0.600000", CUSTOMER_GROUP), by_lrn);
    check(location(None, Some(Undetermined)), ("2.400000", UNDETERMINED), by_lrn);
    let intra = ("0.020000", CARRIER_INTRA, "49");
    check(location(None, Some(Intra)), ("1.200000", INTRA), intra);
    // A group that does not go by the LRN has the price of the called number.
    check(location(Some("4917000"), Some(Intra)), ("1.200000", INTRA), intra);
}

#[test]
fn a_ported_number_costs_what_calls_to_its_lrn_do() {
    let usual = ("0.600000", CUSTOMER_GROUP);
    check(location(Some("4917000"), None), usual, ("0.050000", CARRIER_BY_LRN, "4917"));
    check(location(Some("4930999"), None), usual, ("0.010000", CARRIER_BY_LRN, "49"));
}

#[test]
fn the_record_says_which_number_a_rate_was_found_by() {
    let mut world = world();
    let tariff = AccountTariff { customer_group: Some(CARRIER_BY_LRN), ..customer_tariff() };
    let book = world.book.change().account(CUSTOMER, tariff).build().unwrap();
    use_book(&mut world, book);
    let location = location(Some("4917000"), None);
    let request = AuthorizeRequest { location, ..request(call(1), "49301234") };
    let refused = world.credit.authorize(at(0), &request);
    // It would cost as much as it brings: only the sentence matters here.
    let said = refused.map(|authorization| authorization.decisions).unwrap();
    let sentence = &said[0].sentence;
    assert!(sentence.contains("prefix \"4917\" of the LRN"), "{sentence}");
}

#[test]
fn a_group_that_is_not_there_is_no_price_for_any_jurisdiction() {
    let world = world();
    let customer = GroupsOfSide { intra: Some(RateGroupId(99)), undetermined: None };
    let groups = Arc::new(JurisdictionGroups { customer, ..JurisdictionGroups::default() });
    let tariff = AccountTariff { by_jurisdiction: Some(groups), ..customer_tariff() };
    let Err(error) = world.book.change().account(CUSTOMER, tariff).build() else {
        panic!("the book was built");
    };
    assert_eq!(error, RateBookError::UnknownGroup { account: CUSTOMER, group: RateGroupId(99) });
}
