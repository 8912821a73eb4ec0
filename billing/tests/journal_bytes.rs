//! What the journal's bytes promise: what was written is read back, now and by later releases,
//! and no bytes whatever make the reader panic.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use billing::{
    AppliedRate, AppliedTax, AppliedTaxes, BundleGrant, BundleId, BundleShare, BundleUse,
    CallContext, CarrierRate, Cdr, CdrCharge, CdrLine, Chain, Currency, DecodeError,
    DestinationSetId, DurationRounding, Ended, ExchangeRate, LedgerEvent, Money, MoneyMode,
    MoneyRounding, OpId, OpenCall, Payer, Posting, PostingTax, Price, Raise, Rate, RateGroupId,
    Record, ReportRate, Rerated, ReratedSide, Role, SpendPeriod, TaxRate, TaxedPrice, UpperCharge,
};
use common::{CARRIER, CUSTOMER, START, TRUNK, call};
use proptest::prelude::*;
use vocabulary::{
    AccountId, Attestation, CallId, CallKind, DidId, Direction, Jurisdiction, Location, Number,
    Party, RateChoice, SiteId, SubscriberId, Utc,
};

fn any_applied() -> impl Strategy<Value = AppliedRate> {
    let price = || (0..=1_000_000_000_000_000_000_i64).prop_map(|n| Price::from_nanos(n).unwrap());
    let second = || 0..=86_400_u32;
    let rate = (price(), price(), price(), 1..=86_400_u32, 1..=86_400_u32);
    let rest = (second(), second(), second(), any::<bool>());
    let origin = (any::<u32>(), any::<u32>(), any::<u8>(), 0..=6_u8);
    (rate, rest, origin).prop_map(
        |(rate, rest, (group, sheet_version, prefix_length, decimals))| AppliedRate {
            rate: Rate {
                price: rate.0,
                connect_fee: rate.1,
                minimum_charge: rate.2,
                first_increment: rate.3,
                next_increment: rate.4,
                grace_seconds: rest.0,
                free_seconds: rest.1,
                minimum_seconds: rest.2,
                is_blocked: rest.3,
                unit_seconds: 60,
            },
            duration_rounding: DurationRounding::Nearest,
            money_rounding: MoneyRounding { mode: MoneyMode::HalfEven, decimals },
            currency: Currency::USD,
            group: RateGroupId(group),
            sheet_version,
            prefix_length,
            is_by_lrn: prefix_length % 2 == 1,
            special: None,
            taxes: any_taxes(prefix_length),
        },
    )
}

/// Taxes of any kind, and mostly none.
fn any_taxes(byte: u8) -> Option<Arc<AppliedTaxes>> {
    let prices = match byte % 8 {
        0 => TaxedPrice::Included,
        1 => TaxedPrice::WithCharge,
        2 => TaxedPrice::OnStatement,
        _ => return None,
    };
    let rate = TaxRate::from_parts(u32::from(byte) * 1_000).unwrap();
    let exempt = byte.is_multiple_of(3).then(|| "reverse charge".to_owned());
    let tax = AppliedTax { name: "VAT".into(), rate, is_compound: byte.is_multiple_of(5), exempt };
    Some(Arc::new(AppliedTaxes::new(prices, vec![tax]).unwrap()))
}

fn any_number() -> impl Strategy<Value = Number> {
    "[0-9*#]{1,31}".prop_map(|text| text.parse().unwrap())
}

fn any_time() -> impl Strategy<Value = Utc> {
    any::<i64>().prop_map(Utc)
}

fn any_duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_micros)
}

fn any_carrier() -> impl Strategy<Value = CarrierRate> {
    any_applied().prop_map(|rate| CarrierRate {
        trunk: TRUNK,
        account: CARRIER,
        report: reported(&rate),
        rate,
    })
}

fn reported(rate: &AppliedRate) -> Option<ReportRate> {
    let exchange = ExchangeRate::new("1.25".parse().unwrap())?;
    (rate.prefix_length > 3).then_some(ReportRate { currency: rate.currency, rate: exchange })
}

/// Some of them with a reseller and bundles.
fn payers(
    account: u64,
    rate: &AppliedRate,
    (reserved, newest): (i64, i64),
    carrier: &Option<CarrierRate>,
) -> Chain<Payer> {
    let (reserved, newest) = (Money(reserved), Money(newest));
    let rate = rate.clone();
    let bundles = vec![BundleShare { bundle: BundleId(account), seconds: 7 }];
    let first = Payer { account: AccountId(account), rate, reserved, newest, bundles };
    let upper = carrier.iter().map(|carrier| Payer {
        account: carrier.account,
        rate: carrier.rate.clone(),
        reserved: newest,
        newest: reserved,
        bundles: Vec::new(),
    });
    Chain { first, upper: upper.collect() }
}

fn any_kind(id: u64) -> CallKind {
    let inbound = CallKind::Inbound(DidId(id));
    [CallKind::Local, CallKind::Egress, inbound, CallKind::Internal][(id % 4) as usize]
}

fn any_location(choice: u64) -> Location {
    Location {
        lrn: choice.is_multiple_of(2).then(|| "12125550000".parse().unwrap()),
        jurisdiction: Jurisdiction::ALL.get((choice % 4) as usize).copied(),
    }
}

fn any_open_call() -> impl Strategy<Value = OpenCall> {
    let ids = (any::<u64>(), any::<u64>(), any::<bool>());
    let numbers = (any_number(), proptest::option::of(any_number()), any_time());
    let grant = (any_duration(), any::<bool>(), any::<i64>(), any::<u16>(), any::<i64>());
    let answer = (proptest::option::of(any_time()), proptest::option::of(any_carrier()));
    (ids, numbers, any_applied(), grant, answer).prop_map(|(ids, numbers, rate, grant, answer)| {
        OpenCall {
            call: CallId(ids.0),
            payers: payers(ids.1, &rate, (grant.2, grant.4), &answer.1),
            kind: any_kind(ids.1),
            cld: numbers.0,
            cli: numbers.1,
            at: numbers.2,
            granted: grant.0,
            is_final: grant.1,
            slice: grant.3,
            answered_at: answer.0,
            answered_by: answer.1.as_ref().map(|carrier| carrier.trunk),
            carrier: answer.1,
            rate_choice: if ids.2 { RateChoice::NonCli } else { RateChoice::Usual },
            location: any_location(ids.1),
            context: CallContext { site: ids.2.then_some(SiteId(ids.1)), report: reported(&rate) },
            origin: vocabulary::Origin {
                subscriber: Some(SubscriberId(ids.0)),
                trunk: ids.2.then_some(TRUNK),
                remote: "192.0.2.7:5060".parse().ok(),
                sip_call_id: format!("call-{}", ids.1),
                cli: "+49".to_owned(),
                cld: String::new(),
                is_withheld: ids.2,
            },
        }
    })
}

fn any_cdr() -> impl Strategy<Value = Cdr> {
    let remote = prop_oneof![Just(None), Just(Some("192.0.2.7:5060")), Just(Some("[::1]:9"))];
    let times = (any_time(), proptest::option::of(any_time()), any_time(), any_duration());
    let texts = (".{0,20}", "[0-9]{0,15}", ".{0,9}", "[a-z_]{1,12}", ".{0,30}");
    let charge = (any::<i64>(), any::<u32>(), any_applied());
    (remote, times, texts, proptest::option::of(charge), any::<u16>()).prop_map(
        |(remote, times, texts, charge, status)| Cdr {
            call: call(3),
            leg: 1,
            direction: Direction::Egress,
            account: Some(CUSTOMER),
            subscriber: Some(SubscriberId(9)),
            trunk: None,
            remote: remote.map(|remote| remote.parse().unwrap()),
            sip_call_id: texts.0,
            cli: texts.1,
            cld: texts.2,
            normal_cli: None,
            normal_cld: Some("4930".parse().unwrap()),
            started_at: times.0,
            ringing_at: times.1,
            answered_at: None,
            ended_at: times.2,
            talked: times.3,
            upper: charge
                .iter()
                .map(|charge| UpperCharge {
                    account: CARRIER,
                    charge: any_charge(charge.clone()),
                    destination: Some("Germany".into()),
                })
                .collect(),
            charge: charge.map(any_charge),
            cause: texts.3.clone().into(),
            q850: 16,
            sip_status: status,
            by: Party::Callee,
            decisions: vec![CdrLine { code: texts.3.into(), sentence: texts.4.clone() }],
            rate_choice: if status % 2 == 0 { RateChoice::Usual } else { RateChoice::NonCli },
            site: (status > 300).then_some(SiteId(status.into())),
            destination: (status > 200).then_some(texts.4),
            report: None,
            kind: (status > 100).then(|| any_kind(status.into())),
            attestation: Attestation::ALL.get(usize::from(status % 4)).copied(),
            location: any_location(status.into()),
        },
    )
}

fn any_charge((amount, billed_seconds, applied): (i64, u32, AppliedRate)) -> CdrCharge {
    let (bundle_seconds, bundle_allowance) = (billed_seconds / 2, billed_seconds);
    let amount = Money(amount);
    CdrCharge { amount, billed_seconds, bundle_seconds, bundle_allowance, applied }
}

fn any_grant() -> impl Strategy<Value = BundleGrant> {
    let ids = (any::<u128>(), any::<u64>(), any::<u32>());
    let terms = (any::<u32>(), any::<u32>(), any::<u16>());
    let times = (any_time(), proptest::option::of(any_time()), any_time());
    (ids, terms, times, ".{0,30}").prop_map(|(ids, terms, times, note)| BundleGrant {
        op: OpId::outside(ids.0),
        bundle: BundleId(ids.1),
        account: CUSTOMER,
        destinations: DestinationSetId(ids.2),
        seconds: terms.0,
        increment: terms.1,
        precedence: terms.2,
        valid_from: times.0,
        valid_till: times.1,
        at: times.2,
        note,
    })
}

fn any_posting() -> impl Strategy<Value = Posting> {
    (any::<u128>(), any::<i64>(), any_time(), ".{0,30}").prop_map(|(op, amount, at, note)| {
        let op = OpId::outside(op);
        let taxes = any_taxes(amount as u8);
        let tax = taxes.map(|taxes| PostingTax { contained: Money(amount / 7), taxes });
        Posting::adjustment(op, CUSTOMER, Money(amount), Currency::EUR, at, note).taxed(tax)
    })
}

fn any_rerated() -> impl Strategy<Value = Rerated> {
    let side = (any_cdr(), any_cdr(), any::<u8>(), any::<bool>()).prop_map(
        |(before, after, place, is_payer)| ReratedSide {
            role: if is_payer { Role::Payer(place) } else { Role::Carrier(place) },
            account: CUSTOMER,
            error: after.charge.is_none().then_some("no_rate".into()),
            destination: after.destination,
            before: before.charge,
            after: after.charge,
        },
    );
    let sides = proptest::collection::vec(side, 0..3);
    let postings = proptest::collection::vec(any_posting(), 0..3);
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>());
    (numbers, any_time(), any_cdr(), sides, postings).prop_map(
        |((run, call, generation), at, cdr, sides, postings)| Rerated {
            run,
            call: CallId(call),
            generation,
            at,
            sides,
            lines: cdr.decisions,
            postings,
            told: Vec::new(),
        },
    )
}

fn any_event() -> impl Strategy<Value = LedgerEvent> {
    let (account, currency) = (CUSTOMER, Currency::EUR);
    let money = || any::<i64>().prop_map(Money);
    prop_oneof![
        (money(), money()).prop_map(move |(threshold, left)| LedgerEvent::LowBalance {
            account,
            threshold,
            left,
            currency
        }),
        (money(), money()).prop_map(move |(left, credit_limit)| LedgerEvent::CreditLimitReached {
            account,
            left,
            credit_limit,
            currency
        }),
        money().prop_map(move |left| LedgerEvent::BalanceRestored { account, left, currency }),
        any::<u64>()
            .prop_map(move |id| LedgerEvent::BundleExhausted { account, bundle: BundleId(id) }),
        (any_time(), money(), 0..SpendPeriod::ALL.len()).prop_map(move |(from, limit, which)| {
            let period = SpendPeriod::ALL[which];
            LedgerEvent::SpendLimitReached { account, period, from, limit, currency }
        }),
    ]
}

fn any_told() -> impl Strategy<Value = Vec<LedgerEvent>> {
    proptest::collection::vec(any_event(), 0..3)
}

fn any_record() -> impl Strategy<Value = Record> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        any_open_call().prop_map(Record::Opened),
        (any::<u64>(), any::<u16>(), any::<i64>(), any_duration(), any::<bool>()).prop_map(
            |(call, slice, amount, granted, is_final)| Record::Extended {
                call: CallId(call),
                slice,
                granted,
                is_final,
                raises: raises(amount),
            }
        ),
        (any_time(), proptest::option::of(any_carrier()), any_duration()).prop_map(
            |(at, carrier, granted)| {
                let (trunk, is_final) = (Some(TRUNK), carrier.is_some());
                Record::Answered { call: call(1), at, trunk, carrier, granted, is_final }
            }
        ),
        (
            proptest::collection::vec(any_cdr(), 0..3),
            proptest::collection::vec(any_posting(), 0..3),
            any_time(),
            any_told(),
        )
            .prop_map(|(cdrs, postings, at, told)| {
                let share = BundleShare { bundle: BundleId(4), seconds: 60 };
                let bundle_uses = vec![BundleUse { level: 1, account: CARRIER, share }];
                let payer = Some(CUSTOMER);
                Record::Ended(Ended { call: call(1), at, payer, cdrs, postings, bundle_uses, told })
            }),
        (any_posting(), any_told()).prop_map(|(posting, told)| Record::Posted { posting, told }),
        (any_rerated(), any_told())
            .prop_map(|(rerated, told)| Record::Rerated(Rerated { told, ..rerated })),
        (any_time(), any_event()).prop_map(|(at, event)| Record::Told { at, event }),
        any_grant().prop_map(Record::BundleGranted),
        any_time().prop_map(|at| Record::Heartbeat { at }),
        (bytes(), proptest::option::of(bytes()), any_time()).prop_map(
            |(key, binding, expires_at)| Record::Binding {
                subscriber: SubscriberId(1),
                key,
                binding,
                expires_at,
            }
        ),
    ]
}

fn raises(amount: i64) -> Chain<Raise> {
    let raise = |account| Raise { account, amount: Money(amount), bundles: Vec::new() };
    let mut chain = Chain::of(raise(CUSTOMER));
    if amount % 2 == 0 {
        chain.upper.push(raise(CARRIER));
    }
    chain
}

fn bytes_of(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_was_written_is_read_back(record in any_record()) {
        prop_assert_eq!(Record::decode(&bytes_of(&record)), Ok(record));
    }

    #[test]
    fn open_calls_are_read_back(call in any_open_call()) {
        prop_assert_eq!(OpenCall::decode(&call.encode()), Ok(call));
    }

    /// Version 6 ended before where calls go (T7).
    #[test]
    fn open_calls_of_version_6_are_read(call in any_open_call()) {
        let call = OpenCall { location: Location::default(), ..call };
        let mut bytes = call.encode();
        bytes.truncate(bytes.len() - 2);
        bytes[0] = 6;
        prop_assert_eq!(OpenCall::decode(&bytes), Ok(call));
    }

    /// Version 2 ended before the choice of the rate group and before withheld callers, and like
    /// version 3 before sites, names of destinations and exchange rates for reports; version 4 ended
    /// before the kind of a call in its CDRs, and version 6 before attestations in these.
    #[test]
    fn records_of_version_2_are_read(call in any_open_call(), cdr in any_cdr()) {
        let rate_choice = RateChoice::Usual;
        let context = CallContext::default();
        let location = Location::default();
        let mut call = OpenCall { rate_choice, context, carrier: None, location, ..call };
        call.origin.is_withheld = false;
        let opened = Record::Opened(call);
        let mut bytes = bytes_of(&opened);
        bytes[0] = 2;
        bytes.truncate(bytes.len() - 6);
        prop_assert_eq!(Record::decode(&bytes), Ok(opened));

        let ended = Record::Ended(Ended {
            call: cdr.call,
            at: START,
            payer: None,
            cdrs: vec![Cdr {
                rate_choice,
                upper: Vec::new(),
                site: None,
                destination: None,
                report: None,
                kind: None,
                attestation: None,
                location,
                ..cdr
            }],
            postings: Vec::new(),
            bundle_uses: Vec::new(),
            told: Vec::new(),
        });
        let mut bytes = bytes_of(&ended);
        bytes[0] = 2;
        // Behind it are the two empty lists of postings and uses of bundles.
        bytes.drain(bytes.len() - 10..bytes.len() - 2);
        prop_assert_eq!(Record::decode(&bytes), Ok(ended));
    }

    #[test]
    fn open_calls_of_version_3_are_read(call in any_open_call()) {
        // It had neither site nor exchange rates: two bytes less at the end, and one in a carrier. Nor had
        // it where the call goes.
        let (context, location) = (CallContext::default(), Location::default());
        let call = OpenCall { context, location, carrier: None, ..call };
        let mut bytes = call.encode();
        bytes.truncate(bytes.len() - 4);
        bytes[0] = 3;
        prop_assert_eq!(OpenCall::decode(&bytes), Ok(call));
    }

    /// S5, T7: version 6 ended before the attestation of a leg and where the call went.
    #[test]
    fn cdrs_of_version_6_are_read(cdr in any_cdr()) {
        let ended = Record::Ended(Ended {
            call: cdr.call,
            at: START,
            payer: None,
            cdrs: vec![Cdr { attestation: None, location: Location::default(), ..cdr }],
            postings: Vec::new(),
            bundle_uses: Vec::new(),
            told: Vec::new(),
        });
        let mut bytes = bytes_of(&ended);
        bytes[0] = 6;
        // Behind them are the two empty lists of postings and uses of bundles.
        bytes.drain(bytes.len() - 5..bytes.len() - 2);
        prop_assert_eq!(Record::decode(&bytes), Ok(ended));
    }

    #[test]
    fn no_garbage_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Record::decode(&bytes);
        let _ = OpenCall::decode(&bytes);
        let mut right_start = vec![7, bytes.first().copied().unwrap_or(0) % 12];
        right_start.extend_from_slice(&bytes);
        let _ = Record::decode(&right_start);
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_record(
        record in any_record(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut bytes = bytes_of(&record);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        // What is read must be writable again: nothing half valid comes out.
        if let Ok(read) = Record::decode(&bytes) {
            prop_assert_eq!(Record::decode(&bytes_of(&read)), Ok(read));
        }
        let cut = Record::decode(&bytes_of(&record)[..at]);
        prop_assert!(cut.is_err());
    }
}

#[track_caller]
fn check_golden(record: &Record, hex: &str) {
    check_grown(record, hex, "");
}

/// The same for a record whose fields since then come to these bytes at its end.
#[track_caller]
fn check_grown(record: &Record, hex: &str, since: &str) {
    let bytes = bytes_of(record);
    let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // These records are the same in each version but for its number and for what came later.
    assert_eq!(written[2..], format!("{}{since}", &hex[2..]));
    assert_eq!(Record::decode(&bytes).as_ref(), Ok(record));
    let golden: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap())
        .collect();
    assert_eq!(Record::decode(&golden).as_ref(), Ok(record));
}

#[test]
fn the_bytes_of_version_3_stay() {
    check_golden(&Record::Heartbeat { at: START }, "03068080c489e5c5b206");
    let extended = Record::Extended {
        call: call(7),
        slice: 2,
        granted: Duration::from_secs(70),
        is_final: true,
        raises: Chain::of(Raise {
            account: CUSTOMER,
            amount: Money(400_000),
            bundles: vec![BundleShare { bundle: BundleId(9), seconds: 60 }],
        }),
    };
    check_golden(&extended, "0302878080808080040280bbb021010180ea3001093c00");
    let binding = Record::Binding {
        subscriber: SubscriberId(300),
        key: b"k".to_vec(),
        binding: None,
        expires_at: Utc(-1),
    };
    check_golden(&binding, "0307ac02016b0001");
    let top_up = Posting::top_up(
        OpId::outside(5),
        CUSTOMER,
        Money::units(3),
        Currency::EUR,
        START,
        "paid".into(),
    );
    // Since version 6 a posting says which taxes are on it.
    check_grown(
        &Record::Posted { posting: top_up, told: Vec::new() },
        "03058580808080808080808080808080808080200291a58680808080804001809bee02455552028080c489e5c5b206000470616964",
        "00",
    );
}

#[test]
fn what_is_told_comes_before_its_cause() {
    let top_up = Posting::top_up(
        OpId::outside(5),
        CUSTOMER,
        Money::units(3),
        Currency::EUR,
        START,
        "paid".into(),
    );
    let quiet = bytes_of(&Record::Posted { posting: top_up.clone(), told: Vec::new() });
    let (account, left, currency) = (CUSTOMER, Money(5), Currency::EUR);
    let event = LedgerEvent::BalanceRestored { account, left, currency };
    let record = Record::Posted { posting: top_up, told: vec![event] };
    let bytes = bytes_of(&record);
    // The version; 10, one event; account, kind, what is left, EUR with 2 decimals; the posting.
    assert_eq!(bytes[1..12], [10, 1, 1, 2, 10, b'E', b'U', b'R', 2, 5, quiet[2]]);
    assert_eq!(bytes[11..], quiet[2..]);
    assert_eq!(Record::decode(&bytes), Ok(record));
    // Nothing to tell, or a record that tells nothing, was never written so.
    let wrong = Err(DecodeError::Value("record that tells"));
    assert_eq!(Record::decode(&[4, 10, 0, 5]), wrong);
    assert_eq!(Record::decode(&[4, 10, 1, 1, 3, 7, 6, 0]), wrong);
}

#[test]
fn a_later_release_s_record_is_named() {
    assert_eq!(Record::decode(&[8, 6, 0]), Err(DecodeError::Version(8)));
    assert_eq!(Record::decode(&[2, 6, 0, 0]), Err(DecodeError::Long(1)));
    assert_eq!(Record::decode(&[2, 99]), Err(DecodeError::Value("record kind")));
    assert_eq!(Record::decode(&[]), Err(DecodeError::Short));
}
