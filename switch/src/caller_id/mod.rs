//! What an account's caller-ID policy makes of the caller's number of a call that leaves us: which
//! number is shown, by which rates the call is priced, or that it is refused. Pure:
//! asked by a call and by `tandem simulate` alike.

mod diversion;
mod identity;
mod presentation;
mod reason;

use vocabulary::{AccountId, Number, RateChoice};

use crate::decision::Decision;
use crate::directory::Directory;

pub use diversion::DiversionHeaders;
pub(crate) use diversion::Diversions;
pub(crate) use identity::{Identity, named_subscriber};
pub(crate) use presentation::Shown;
pub use presentation::{IdentityHeader, TrunkCallerId};
#[cfg(test)]
pub(crate) use reason::samples;
pub use reason::{CallerIdDecision, CallerIdRefusal};

/// The numbers that an account may call with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// Its DIDs: the numbers that ring it.
    Did,
    /// The caller IDs stored for it, wherever they ring.
    Stored,
    /// Both.
    Either,
}

/// What becomes of a number that is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Otherwise {
    /// One of them, drawn at random, takes its place.
    Replace,
    /// It passes; the NON-CLI rate group prices the call.
    NonCli,
    /// The call is refused.
    Reject,
}

/// What an account's calls to carriers need of their caller's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CliPool {
    /// Nothing: it passes as it is, at the usual rates.
    #[default]
    Off,
    /// One that is no DID of the account is replaced by one at random.
    ReplaceUnlessDid,
    /// One that is not stored for the account is replaced by one that is.
    ReplaceUnlessStored,
    /// One that is no DID of the account is priced by the NON-CLI rate group.
    NonCliUnlessDid,
    /// One that is not stored for the account is priced by the NON-CLI rate group.
    NonCliUnlessStored,
    /// One that is neither is priced by the NON-CLI rate group.
    NonCliUnlessEither,
    /// One that is no DID of the account is refused.
    RejectUnlessDid,
    /// One that is not stored for the account is refused.
    RejectUnlessStored,
    /// One that is neither is refused.
    RejectUnlessEither,
}

impl CliPool {
    /// All of them, in the order of their rows.
    pub const ALL: [CliPool; 9] = [
        CliPool::Off,
        CliPool::ReplaceUnlessDid,
        CliPool::ReplaceUnlessStored,
        CliPool::NonCliUnlessDid,
        CliPool::NonCliUnlessStored,
        CliPool::NonCliUnlessEither,
        CliPool::RejectUnlessDid,
        CliPool::RejectUnlessStored,
        CliPool::RejectUnlessEither,
    ];

    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            CliPool::Off => "off",
            CliPool::ReplaceUnlessDid => "replace_unless_did",
            CliPool::ReplaceUnlessStored => "replace_unless_stored",
            CliPool::NonCliUnlessDid => "non_cli_unless_did",
            CliPool::NonCliUnlessStored => "non_cli_unless_stored",
            CliPool::NonCliUnlessEither => "non_cli_unless_either",
            CliPool::RejectUnlessDid => "reject_unless_did",
            CliPool::RejectUnlessStored => "reject_unless_stored",
            CliPool::RejectUnlessEither => "reject_unless_either",
        }
    }

    /// The mode with this word.
    pub fn from_word(word: &str) -> Option<CliPool> {
        CliPool::ALL.into_iter().find(|mode| mode.word() == word)
    }

    /// Which numbers pass, and what becomes of others; `None` if nothing is looked at.
    fn rule(self) -> Option<(Owned, Otherwise)> {
        match self {
            CliPool::Off => None,
            CliPool::ReplaceUnlessDid => Some((Owned::Did, Otherwise::Replace)),
            CliPool::ReplaceUnlessStored => Some((Owned::Stored, Otherwise::Replace)),
            CliPool::NonCliUnlessDid => Some((Owned::Did, Otherwise::NonCli)),
            CliPool::NonCliUnlessStored => Some((Owned::Stored, Otherwise::NonCli)),
            CliPool::NonCliUnlessEither => Some((Owned::Either, Otherwise::NonCli)),
            CliPool::RejectUnlessDid => Some((Owned::Did, Otherwise::Reject)),
            CliPool::RejectUnlessStored => Some((Owned::Stored, Otherwise::Reject)),
            CliPool::RejectUnlessEither => Some((Owned::Either, Otherwise::Reject)),
        }
    }
}

/// An account's caller-ID policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerIdPolicy {
    /// What its calls need of their caller's number.
    pub pool: CliPool,
    /// The caller IDs stored for it, in ascending order.
    pub stored: Box<[Number]>,
    /// Who is shown where a caller says too little; most accounts have nobody.
    pub default: Option<Box<DefaultCaller>>,
}

/// Who an account's callers are, as far as they do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultCaller {
    /// The number of a caller who has none.
    pub number: Option<Number>,
    /// The name of a caller who gives none, and of a number that takes another's place; empty for
    /// none. Printable, up to `NAME_MAX` bytes.
    pub name: Box<str>,
}

impl DefaultCaller {
    /// Longest name, in bytes.
    pub const NAME_MAX: usize = 64;

    /// `None` if it says nothing.
    pub fn boxed(self) -> Option<Box<DefaultCaller>> {
        (self != DefaultCaller::default()).then(|| Box::new(self))
    }

    /// The name as a display name, in quotes (RFC 3261 section 25.1); empty for none.
    fn display(&self) -> Box<[u8]> {
        if self.name.is_empty() {
            return Box::default();
        }
        let escaped = self.name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{escaped}\"").into_bytes().into()
    }
}

/// What a call goes out with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruling {
    /// The number, also of a caller who withholds it; `None` if there is none.
    pub(crate) cli: Option<Number>,
    pub(crate) rate_choice: RateChoice,
    /// Whether `cli` is another than the caller's: nothing else that the caller says of itself may
    /// be shown with it.
    pub(crate) is_replaced: bool,
    decision: Option<CallerIdDecision>,
}

impl Ruling {
    /// Nothing was looked at.
    pub(crate) fn unchanged(cli: Option<Number>) -> Ruling {
        Ruling { cli, rate_choice: RateChoice::Usual, is_replaced: false, decision: None }
    }
}

impl CallerIdPolicy {
    /// What becomes of `cli`. `dids` are the account's, in ascending order. `draw` gives a random
    /// number, and is asked only where a number is replaced.
    fn rule(
        &self,
        account: AccountId,
        dids: &[Number],
        cli: Option<Number>,
        draw: impl FnOnce() -> u64,
    ) -> Result<Ruling, CallerIdRefusal> {
        let usual = |decision| Ruling { decision, ..Ruling::unchanged(cli) };
        let Some((owned, otherwise)) = self.pool.rule() else { return Ok(usual(None)) };
        let is_in = |numbers: &[Number]| cli.is_some_and(|cli| numbers.binary_search(&cli).is_ok());
        if owned != Owned::Stored && is_in(dids) {
            return Ok(usual(Some(CallerIdDecision::OwnDid(account))));
        }
        if owned != Owned::Did && is_in(&self.stored) {
            return Ok(usual(Some(CallerIdDecision::Stored(account))));
        }
        match otherwise {
            Otherwise::Replace => {
                let numbers = if owned == Owned::Did { dids } else { &*self.stored };
                let by = one_of(numbers, draw);
                let by = by.ok_or(CallerIdRefusal::PoolEmpty(account, owned))?;
                let decision = CallerIdDecision::Replaced(account, owned, by);
                Ok(Ruling { cli: Some(by), is_replaced: true, ..usual(Some(decision)) })
            }
            Otherwise::NonCli => {
                let decision = CallerIdDecision::NonCliRates(account, owned);
                Ok(Ruling { rate_choice: RateChoice::NonCli, ..usual(Some(decision)) })
            }
            Otherwise::Reject => Err(CallerIdRefusal::NotOwned(account, owned)),
        }
    }
}

fn one_of(numbers: &[Number], draw: impl FnOnce() -> u64) -> Option<Number> {
    if numbers.is_empty() {
        return None;
    }
    let nth = draw() % numbers.len() as u64;
    numbers.get(usize::try_from(nth).expect("less than a length")).copied()
}

/// The number of a caller of this account, or the account's default for a caller without one.
pub(crate) fn number_or_default(
    directory: &Directory,
    account: AccountId,
    cli: Option<Number>,
    decisions: &mut Vec<Decision>,
) -> Option<Number> {
    let default = || directory.account(account)?.caller_id.default.as_ref()?.number;
    cli.or_else(|| {
        let number = default()?;
        decisions.push(Decision::CallerId(CallerIdDecision::Default(account, number)));
        Some(number)
    })
}

/// The display name of the account's callers who give none, in quotes; empty for none.
pub(crate) fn default_display(directory: &Directory, account: AccountId) -> Box<[u8]> {
    let default = directory.account(account).and_then(|row| row.caller_id.default.as_ref());
    default.map_or_else(Box::default, |default| default.display())
}

/// What a call of this account to a carrier goes out with.
pub(crate) fn rule(
    directory: &Directory,
    account: AccountId,
    cli: Option<Number>,
    draw: impl FnOnce() -> u64,
    decisions: &mut Vec<Decision>,
) -> Result<Ruling, CallerIdRefusal> {
    let off = CallerIdPolicy::default();
    let policy = directory.account(account).map_or(&off, |row| &row.caller_id);
    let mut ruling = policy.rule(account, directory.numbers_of(account), cli, draw)?;
    decisions.extend(ruling.decision.take().map(Decision::CallerId));
    Ok(ruling)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: AccountId = AccountId(7);

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    /// The number and the rates that a call goes out with, or why it does not; and the code of the
    /// decision. The draw is 4: the second of three DIDs, the first of two stored.
    fn ruled(
        pool: CliPool,
        pools: (&[&str], &[&str]),
        cli: Option<&str>,
    ) -> (Result<(String, RateChoice), &'static str>, Option<&'static str>) {
        let numbers = |texts: &[&str]| texts.iter().map(|text| number(text)).collect();
        let dids: Vec<Number> = numbers(pools.0);
        let stored = numbers(pools.1).into();
        let policy = CallerIdPolicy { pool, stored, ..CallerIdPolicy::default() };
        match policy.rule(ACCOUNT, &dids, cli.map(number), || 4) {
            Ok(ruling) => {
                let cli = ruling.cli.map_or(String::new(), |cli| cli.as_str().into());
                let code = ruling.decision.as_ref().map(CallerIdDecision::code);
                assert_eq!(ruling.is_replaced, code == Some("cli_replaced"));
                (Ok((cli, ruling.rate_choice)), code)
            }
            Err(refusal) => (Err(refusal.code()), None),
        }
    }

    type Expected<'a> = (Result<(&'a str, RateChoice), &'static str>, Option<&'static str>);

    /// A DID, a stored number, one that is neither, none at all; and the last two with empty pools.
    #[track_caller]
    fn check(pool: CliPool, expected: [Expected<'_>; 6]) {
        let full: (&[&str], &[&str]) = (&["491", "492", "493"], &["4420", "4421"]);
        let empty: (&[&str], &[&str]) = (&[], &[]);
        let calls = [
            (full, Some("492")),
            (full, Some("4421")),
            (full, Some("33999")),
            (full, None),
            (empty, Some("33999")),
            (empty, None),
        ];
        for ((pools, cli), (outcome, code)) in calls.into_iter().zip(expected) {
            let outcome = outcome.map(|(cli, choice)| (cli.to_owned(), choice));
            assert_eq!(ruled(pool, pools, cli), (outcome, code), "{pool:?} {cli:?} of {pools:?}");
        }
    }

    ///
    #[test]
    fn each_mode_has_its_outcome_for_each_number() {
        use RateChoice::{NonCli, Usual};
        let passes = |cli| (Ok((cli, Usual)), None);
        let did = |cli| (Ok((cli, Usual)), Some("cli_is_own_did"));
        let stored = |cli| (Ok((cli, Usual)), Some("cli_is_stored"));
        let by = |cli| (Ok((cli, Usual)), Some("cli_replaced"));
        let dear = |cli| (Ok((cli, NonCli)), Some("cli_non_cli_rates"));
        let not = |code| (Err(code), None);
        let (none, foreign) = ("", "33999");
        let empty = not("cli_pool_empty");
        let off = [
            passes("492"),
            passes("4421"),
            passes(foreign),
            passes(none),
            passes(foreign),
            passes(none),
        ];
        check(CliPool::Off, off);
        let by_did = [did("492"), by("492"), by("492"), by("492"), empty, empty];
        check(CliPool::ReplaceUnlessDid, by_did);
        let by_stored = [by("4420"), stored("4421"), by("4420"), by("4420"), empty, empty];
        check(CliPool::ReplaceUnlessStored, by_stored);
        let rest = [dear(foreign), dear(none), dear(foreign), dear(none)];
        let with = |first, second| [first, second, rest[0], rest[1], rest[2], rest[3]];
        check(CliPool::NonCliUnlessDid, with(did("492"), dear("4421")));
        check(CliPool::NonCliUnlessStored, with(dear("492"), stored("4421")));
        check(CliPool::NonCliUnlessEither, with(did("492"), stored("4421")));
        let reject =
            |first, second, code| [first, second, not(code), not(code), not(code), not(code)];
        let code = "cli_not_own_did";
        check(CliPool::RejectUnlessDid, reject(did("492"), not(code), code));
        let code = "cli_not_stored";
        check(CliPool::RejectUnlessStored, reject(not(code), stored("4421"), code));
        let code = "cli_neither_did_nor_stored";
        check(CliPool::RejectUnlessEither, reject(did("492"), stored("4421"), code));
    }

    #[test]
    fn each_draw_is_a_number_of_the_pool_and_each_number_is_drawn() {
        let numbers: Vec<Number> = ["491", "492", "493"].map(number).into();
        let drawn: Vec<Number> = (0..3).filter_map(|n| one_of(&numbers, || n)).collect();
        assert_eq!(drawn, numbers);
        assert!(numbers.contains(&one_of(&numbers, || u64::MAX).unwrap()));
    }

    #[test]
    fn a_default_name_is_quoted() {
        for (name, display) in
            [("", ""), ("Globex", "\"Globex\""), ("A \"B\" \\", "\"A \\\"B\\\" \\\\\"")]
        {
            let caller = DefaultCaller { name: name.into(), ..DefaultCaller::default() };
            assert_eq!(&*caller.display(), display.as_bytes());
            assert_eq!(caller.boxed().is_none(), name.is_empty());
        }
    }

    #[test]
    fn words_lead_back_to_their_modes() {
        for mode in CliPool::ALL {
            assert_eq!(CliPool::from_word(mode.word()), Some(mode));
        }
    }
}
