//! A call thought through, on the wire (O3).

use billing::{Charge, ChargeLine, Currency, Money, MoneyError, QuotedCarrier, QuotedPayer};
use serde::Serialize;
use switch::directory::Directory;
use switch::routing::{Calling, Source};
use vocabulary::{AccountId, DecisionLine, TrunkId};

use super::Reason;
use crate::control::Simulated;
use crate::names::Names;

#[derive(Serialize)]
pub(crate) struct SimulatedCall {
    would_be_placed: bool,
    sip_status: Option<u16>,
    refusal: Option<Reason>,
    /// As what `from` calls: `subscriber`, `trunk` or `account`.
    calls_as: Option<&'static str>,
    decisions: Vec<Reason>,
    /// What would be granted first, in seconds of talk, and whether that is all there is.
    granted_s: Option<u64>,
    is_final: Option<bool>,
    /// What all who pay could pay for, if it were their only call.
    talk_s_max: Option<u64>,
    /// The longest that the call may last, whatever the money; null if it is not known who pays.
    call_s_max: Option<u64>,
    /// The talk that prices and costs are for.
    talk_s: u32,
    payers: Vec<SimulatedPayer>,
    trunks: Vec<SimulatedTrunk>,
    skipped: Vec<SkippedTrunk>,
}

/// A price, with its steps.
#[derive(Serialize)]
struct Priced {
    /// Null: no price can be made, or the amount is too large to be held.
    price: Option<String>,
    currency: Option<String>,
    billed_s: Option<u32>,
    bundle_s: Option<u32>,
    lines: Vec<Reason>,
}

#[derive(Serialize)]
struct SimulatedPayer {
    /// 0 is the account that calls, 1 its reseller, and so on.
    level: usize,
    account: String,
    #[serde(flatten)]
    price: Priced,
    /// What a reseller keeps of what its customer pays.
    profit: Option<String>,
}

#[derive(Serialize)]
struct SimulatedTrunk {
    trunk: String,
    carrier: String,
    cost: Option<String>,
    currency: Option<String>,
    billed_s: Option<u32>,
    lines: Vec<Reason>,
    /// What is left to us, in the currency that profit is counted in.
    profit: Option<String>,
    profit_currency: Option<String>,
}

#[derive(Serialize)]
struct SkippedTrunk {
    #[serde(flatten)]
    trunk: SimulatedTrunk,
    #[serde(flatten)]
    reason: Reason,
}

impl Priced {
    fn new(charge: &Result<Charge, MoneyError>, currency: Currency) -> Priced {
        let charge = charge.as_ref().ok();
        Priced {
            price: charge.map(|charge| charge.amount.to_string()),
            currency: Some(currency.to_string()),
            billed_s: charge.map(|charge| charge.billed_seconds),
            bundle_s: charge.map(|charge| charge.bundle_seconds),
            lines: charge.map(|charge| lines(&charge.lines)).unwrap_or_default(),
        }
    }
}

fn lines(lines: &[ChargeLine]) -> Vec<Reason> {
    let line =
        |line: &ChargeLine| Reason { code: line.code.to_owned(), sentence: line.sentence.clone() };
    lines.iter().map(line).collect()
}

/// Ids as names.
struct Called<'a>(&'a Directory);

impl Called<'_> {
    fn account(&self, id: AccountId) -> String {
        self.0.account(id).map_or_else(|| id.to_string(), |row| row.name.clone())
    }

    fn trunk(&self, id: TrunkId) -> String {
        self.0.trunk(id).map_or_else(|| id.to_string(), |row| row.name.clone())
    }

    fn payer(&self, level: usize, payer: &QuotedPayer) -> SimulatedPayer {
        SimulatedPayer {
            level,
            account: self.account(payer.account),
            price: Priced::new(&payer.charge, payer.rate.currency),
            profit: payer.profit.map(|profit| profit.to_string()),
        }
    }

    fn carrier(&self, carrier: &QuotedCarrier) -> SimulatedTrunk {
        let (profit, profit_currency) = carrier.profit.unzip();
        let cost = carrier.cost.as_ref().map(|(cost, currency)| Priced::new(cost, *currency));
        let (cost, currency, billed_s, lines) = cost.map_or_else(Default::default, |cost| {
            (cost.price, cost.currency, cost.billed_s, cost.lines)
        });
        SimulatedTrunk {
            trunk: self.trunk(carrier.trunk),
            carrier: self.account(carrier.account),
            cost,
            currency,
            billed_s,
            lines,
            profit: profit.map(|profit: Money| profit.to_string()),
            profit_currency: profit_currency.map(|currency: Currency| currency.to_string()),
        }
    }
}

impl SimulatedCall {
    pub(crate) fn new(
        simulated: Simulated,
        talk_s: u32,
        directory: &Directory,
        names: &Names<'_>,
    ) -> SimulatedCall {
        let named = |line: DecisionLine| Reason {
            sentence: names.put_into(&line.sentence),
            code: line.code.to_owned(),
        };
        let Simulated { calling, decisions, refusal, quote } = simulated;
        let (sip_status, refusal) = refusal.unzip();
        let called = Called(directory);
        let grant = quote.as_ref().and_then(|quote| quote.grant.as_ref().ok());
        let payers = quote.iter().flat_map(|quote| quote.payers.iter().enumerate());
        let caller = quote.as_ref().and_then(|quote| quote.payers.first());
        let longest = caller.map(|payer| directory.longest_call(Some(payer.account)).0);
        let carriers = || quote.iter().flat_map(|quote| &quote.carriers);
        let trunks = carriers().filter(|carrier| carrier.left_out.is_none());
        let skipped = carriers().filter_map(|carrier| {
            let reason = named(carrier.left_out.clone()?);
            Some(SkippedTrunk { trunk: called.carrier(carrier), reason })
        });
        SimulatedCall {
            would_be_placed: refusal.is_none(),
            sip_status,
            refusal: refusal.map(named),
            calls_as: calling.map(word),
            decisions: decisions.into_iter().map(named).collect(),
            granted_s: grant.map(|grant| grant.talk_time.as_secs()),
            is_final: grant.map(|grant| grant.is_final),
            talk_s_max: quote.as_ref().and_then(|quote| Some(quote.longest_talk?.as_secs())),
            call_s_max: longest.map(|longest| longest.as_secs()),
            talk_s,
            payers: payers.map(|(level, payer)| called.payer(level, payer)).collect(),
            trunks: trunks.map(|carrier| called.carrier(carrier)).collect(),
            skipped: skipped.collect(),
        }
    }
}

fn word(calling: Calling) -> &'static str {
    match calling {
        Calling::Source(Source::Subscriber(_)) => "subscriber",
        Calling::Source(Source::Trunk(_)) => "trunk",
        Calling::Account(_) => "account",
    }
}
