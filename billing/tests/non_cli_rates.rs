//! A call whose caller's number is not the account's own is priced by the NON-CLI rate group,
//! on every path alike: authorised, settled, quoted, found open by a restart, and priced again.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AccountTariff, Cdr, CreditSettings, Currency, Money, RateBook, RateGroupId, RatedBy, RatedCall,
    RatedLeg, Record, Role, Sides, Terms, Unpriced, quote, reprice,
};
use common::*;
use vocabulary::{AccountId, AuthorizeRequest, CallKind, Direction, RateChoice, Refused};

const NON_CLI_GROUP: RateGroupId = RateGroupId(50);
const RESELLER: AccountId = AccountId(7);
const MINUTE: Duration = Duration::from_secs(60);

/// 0.60 a minute, and 1.20 with a number that is not the customer's.
fn world() -> World {
    let mut world = World::prepaid(rate("0.60", 60, 60), "10");
    let book = world
        .book
        .change()
        .group(group(NON_CLI_GROUP, &[row("49", rate("1.20", 60, 60))]))
        .account(
            CUSTOMER,
            AccountTariff { non_cli_group: Some(NON_CLI_GROUP), ..customer_tariff() },
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

fn asked(rate_choice: RateChoice) -> AuthorizeRequest {
    AuthorizeRequest { rate_choice, ..request(call(1), "49301234") }
}

fn last_cdrs(world: &World) -> Vec<Cdr> {
    let records = world.journal.records().into_iter();
    let ended = records.filter_map(|(_, record)| match record {
        Record::Ended(ended) => Some(ended),
        _ => None,
    });
    ended.last().unwrap().cdrs
}

fn charge(cdrs: &[Cdr]) -> (String, RateGroupId) {
    let charge = cdrs[0].charge.as_ref().unwrap();
    (charge.amount.to_string(), charge.applied.group)
}

#[track_caller]
fn check(rate_choice: RateChoice, amount: &str, group: RateGroupId) {
    let mut world = world();
    let request = asked(rate_choice);
    let quoted =
        quote(&world.ledger, &world.book, &CreditSettings::default(), START, &request, MINUTE);
    assert_eq!(quoted.payers[0].charge.as_ref().unwrap().amount.to_string(), amount);

    world.credit.authorize(at(0), &request).unwrap();
    world.credit.answered(at(0), call(1), Some(TRUNK), START);
    let until_answer = world.journal.records();
    let mut end = ended(call(1), Some(TRUNK), Some(MINUTE));
    end.facts.rate_choice = rate_choice;
    end.facts.legs[1].account = Some(CARRIER);
    world.credit.settle(at(60), end);
    let cdrs = last_cdrs(&world);
    assert_eq!(charge(&cdrs), (amount.to_owned(), group));
    assert!(cdrs.iter().all(|cdr| cdr.rate_choice == rate_choice));
    world.check_over();

    // Priced again by what its CDRs say.
    let by = RatedBy { rate_choice: cdrs[0].rate_choice, ..RatedBy::cld(request.cld) };
    is_priced_again_alike(&world.book, by, &cdrs);

    // After a restart in mid-call, a minute after the answer.
    let lost = lost(&until_answer, &[CUSTOMER, CARRIER], MINUTE);
    assert_eq!(charge(&lost), (amount.to_owned(), group));
    assert_eq!(lost[0].rate_choice, rate_choice);
}

#[test]
fn each_group_prices_its_calls_on_every_path() {
    check(RateChoice::Usual, "0.600000", CUSTOMER_GROUP);
    check(RateChoice::NonCli, "1.200000", NON_CLI_GROUP);
}

#[test]
fn an_account_without_the_second_group_places_no_such_call() {
    let mut world = world();
    let book = world.book.change().account(CUSTOMER, customer_tariff()).build().unwrap();
    use_book(&mut world, book);
    let Err(Refused::NoRateGroup(line)) = world.credit.authorize(at(0), &asked(RateChoice::NonCli))
    else {
        panic!("the call was let in");
    };
    assert_eq!(line.code, "no_non_cli_rate_group");
    assert_eq!(
        line.sentence,
        "Account 1 has no NON-CLI rate group, so it can place no call with a number that is not \
         its own."
    );
    world.credit.authorize(at(0), &asked(RateChoice::Usual)).unwrap();
}

#[test]
fn a_call_that_lost_its_second_group_says_so_when_it_is_priced_again() {
    let mut world = world();
    world.credit.authorize(at(0), &asked(RateChoice::NonCli)).unwrap();
    let mut end = ended(call(1), Some(TRUNK), Some(MINUTE));
    end.facts.rate_choice = RateChoice::NonCli;
    world.credit.settle(at(60), end);
    let legs: Vec<RatedLeg> = last_cdrs(&world).iter().map(RatedLeg::from).collect();
    let by =
        RatedBy { rate_choice: RateChoice::NonCli, ..RatedBy::cld("49301234".parse().unwrap()) };
    let rated = RatedCall::of_legs(call(1), 0, START, by, &legs).unwrap();
    let book = world.book.change().account(CUSTOMER, customer_tariff()).build().unwrap();
    let repriced = reprice(&book, &|_| Some(Currency::EUR), &rated, Sides::Payers);
    let payer = repriced.iter().find(|side| side.role == Role::Payer(0)).unwrap();
    assert_eq!(payer.after, Err(Unpriced::NoNonCliRateGroup));
}

#[test]
fn a_reseller_pays_by_its_second_group_if_it_has_one() {
    let seventy = RateGroupId(70);
    for (non_cli_group, expected) in [(None, "0.300000"), (Some(NON_CLI_GROUP), "1.200000")] {
        let mut world = world();
        world.ledger.set_terms(RESELLER, Terms::postpaid(Currency::EUR, Money::units(9))).unwrap();
        let customer = world.book.tariff(CUSTOMER).unwrap().clone();
        let reseller = AccountTariff {
            customer_group: Some(seventy),
            non_cli_group,
            is_loss_allowed: true,
            ..AccountTariff::default()
        };
        let book = world
            .book
            .change()
            .group(group(seventy, &[row("49", rate("0.30", 60, 60))]))
            .account(CUSTOMER, AccountTariff { parent: Some(RESELLER), ..customer })
            .account(RESELLER, reseller)
            .build()
            .unwrap();
        use_book(&mut world, book);
        world.credit.authorize(at(0), &asked(RateChoice::NonCli)).unwrap();
        world.credit.settle(at(60), ended(call(1), Some(TRUNK), Some(MINUTE)));
        let cdrs = last_cdrs(&world);
        assert_eq!(cdrs[0].upper[0].charge.amount.to_string(), expected);
        assert_eq!(charge(&cdrs).0, "1.200000");
    }
}

#[test]
fn local_calls_have_the_local_price_whatever_the_number() {
    let mut world = world();
    let request = AuthorizeRequest {
        kind: CallKind::Local,
        candidates: Vec::new(),
        ..asked(RateChoice::NonCli)
    };
    world.credit.authorize(at(0), &request).unwrap();
    world.credit.settle(at(60), ended(call(1), None, Some(MINUTE)));
    assert_eq!(charge(&last_cdrs(&world)).0, "0.000000");
}

#[test]
fn a_withheld_caller_is_on_its_own_leg_only() {
    let mut world = world();
    let mut request = asked(RateChoice::Usual);
    request.origin.is_withheld = true;
    world.credit.authorize(at(0), &request).unwrap();
    let mut end = ended(call(1), Some(TRUNK), Some(MINUTE));
    (end.facts.cli, end.facts.is_withheld) = (request.cli, true);
    world.credit.settle(at(60), end);
    let callers = last_cdrs(&world).into_iter().map(|cdr| (cdr.direction, cdr.normal_cli));
    let expected = [(Direction::Ingress, request.cli), (Direction::Egress, None)];
    assert_eq!(callers.collect::<Vec<_>>(), expected);
}
