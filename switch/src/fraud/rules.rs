//! What operators decide about calls that look like fraud: what is looked for and what is done then.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use vocabulary::{Number, Utc};

use crate::directory::Limits;
use crate::numbers::{NumberClass, classify, is_region};
use crate::routing::WindowId;

/// Where a number is: two letters of ISO 3166, or `001` for a number of no country.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 3]);

impl Country {
    /// Where this number is; `None` if no numbering plan has it.
    pub fn of(number: &Number) -> Option<Country> {
        classify(number).map(|found| Country::written(found.region))
    }

    pub(super) fn written(text: &str) -> Country {
        let mut code = [0; 3];
        code.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        Country(code)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(3);
        std::str::from_utf8(&self.0[..length]).expect("made of a text")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is no country.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no country with a numbering plan: write two capitals of ISO 3166 such as DE, or 001"
)]
pub struct NoCountry(String);

impl FromStr for Country {
    type Err = NoCountry;

    fn from_str(text: &str) -> Result<Country, NoCountry> {
        match is_region(text) {
            true => Ok(Country::written(text)),
            false => Err(NoCountry(text.to_owned())),
        }
    }
}

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FraudRuleId(pub u64);

/// What is looked for in the calls that an account places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FraudCheck {
    /// More calls than this in a minute with one caller's number.
    CallsPerCli(u32),
    /// Calls to more countries than this at the same time.
    CountriesAtOnce(u32),
    /// Calls to more countries than this within an hour.
    CountriesPerHour(u32),
    /// A country that the account has not called before.
    NewCountry,
    /// Of the last answered calls too many were short.
    ShortCalls {
        /// A call is short that talked for less than this.
        below: Duration,
        /// So many in a hundred are too many.
        percent: u32,
        /// So many calls are looked at, 64 at most.
        among: u32,
    },
    /// A call while a time window is open.
    Hours {
        /// Which.
        window: WindowId,
        /// Only to numbers of this class.
        class: Option<NumberClass>,
        /// Only to this country.
        country: Option<Country>,
    },
    /// More minutes than this within an hour to premium numbers: of that class, or on a list of that
    /// kind.
    PremiumMinutes(u32),
}

/// The kinds of [`FraudCheck`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FraudKind {
    /// [`FraudCheck::CallsPerCli`].
    CallsPerCli,
    /// [`FraudCheck::CountriesAtOnce`].
    CountriesAtOnce,
    /// [`FraudCheck::CountriesPerHour`].
    CountriesPerHour,
    /// [`FraudCheck::NewCountry`].
    NewCountry,
    /// [`FraudCheck::ShortCalls`].
    ShortCalls,
    /// [`FraudCheck::Hours`].
    Hours,
    /// [`FraudCheck::PremiumMinutes`].
    PremiumMinutes,
}

impl FraudKind {
    /// All of them.
    pub const ALL: [FraudKind; 7] = [
        FraudKind::CallsPerCli,
        FraudKind::CountriesAtOnce,
        FraudKind::CountriesPerHour,
        FraudKind::NewCountry,
        FraudKind::ShortCalls,
        FraudKind::Hours,
        FraudKind::PremiumMinutes,
    ];

    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            FraudKind::CallsPerCli => "calls_per_cli",
            FraudKind::CountriesAtOnce => "countries_at_once",
            FraudKind::CountriesPerHour => "countries_per_hour",
            FraudKind::NewCountry => "new_country",
            FraudKind::ShortCalls => "short_calls",
            FraudKind::Hours => "hours",
            FraudKind::PremiumMinutes => "premium_minutes",
        }
    }

    /// The kind with this word.
    pub fn from_word(word: &str) -> Option<FraudKind> {
        FraudKind::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The code of a refusal because of it.
    pub(super) fn code(self) -> &'static str {
        match self {
            FraudKind::CallsPerCli => "fraud_calls_per_cli",
            FraudKind::CountriesAtOnce => "fraud_countries_at_once",
            FraudKind::CountriesPerHour => "fraud_countries_per_hour",
            FraudKind::NewCountry => "fraud_new_country",
            FraudKind::ShortCalls => "fraud_short_calls",
            FraudKind::Hours => "fraud_hours",
            FraudKind::PremiumMinutes => "fraud_premium_minutes",
        }
    }
}

impl FraudCheck {
    /// Of which kind it is.
    pub fn kind(&self) -> FraudKind {
        match self {
            FraudCheck::CallsPerCli(_) => FraudKind::CallsPerCli,
            FraudCheck::CountriesAtOnce(_) => FraudKind::CountriesAtOnce,
            FraudCheck::CountriesPerHour(_) => FraudKind::CountriesPerHour,
            FraudCheck::NewCountry => FraudKind::NewCountry,
            FraudCheck::ShortCalls { .. } => FraudKind::ShortCalls,
            FraudCheck::Hours { .. } => FraudKind::Hours,
            FraudCheck::PremiumMinutes(_) => FraudKind::PremiumMinutes,
        }
    }
}

/// What is done when a rule finds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FraudAction {
    /// The account's event says so, and the call goes on.
    Alarm,
    /// The call is refused, and so are those that follow, for so long; `None`: until it is lifted;
    /// zero: this call alone.
    Block(Option<Duration>),
    /// The call goes on, and those that follow have to fit into these limits, for so long; `None`:
    /// until it is lifted.
    Reduce(Limits, Option<Duration>),
}

impl FraudAction {
    /// The word in the database and the API.
    pub fn word(self) -> &'static str {
        match self {
            FraudAction::Alarm => "alarm",
            FraudAction::Block(_) => "block",
            FraudAction::Reduce(..) => "reduce",
        }
    }

    /// What it does to the account's calls from `now` on, if it does anything.
    pub(super) fn hold(self, kind: FraudKind, now: Utc) -> Option<Hold> {
        let (reduced_to, lasting) = match self {
            FraudAction::Alarm | FraudAction::Block(Some(Duration::ZERO)) => return None,
            FraudAction::Block(lasting) => (None, lasting),
            FraudAction::Reduce(limits, lasting) => (Some(limits), lasting),
        };
        let until = lasting.map(|lasting| now.plus(lasting));
        Some(Hold { kind, reduced_to, since: now, until })
    }
}

/// What is looked for, and what is done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FraudRule {
    /// Which.
    pub id: FraudRuleId,
    /// What is looked for.
    pub check: FraudCheck,
    /// What is done.
    pub action: FraudAction,
}

/// What a rule has brought upon an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What was found.
    pub kind: FraudKind,
    /// Its calls have to fit into these; `None`: it places none.
    pub reduced_to: Option<Limits>,
    /// From when on.
    pub since: Utc,
    /// Until when; `None`: until somebody lifts it.
    pub until: Option<Utc>,
}

impl Hold {
    /// Whether it has run out.
    pub fn is_over(&self, now: Utc) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What is stored of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFraud {
    /// Its own rules. Of the kinds that it has, those of everybody do not hold for it.
    pub rules: Box<[FraudRule]>,
    /// The countries that it has called before, in order.
    pub countries: Box<[Country]>,
    /// What was brought upon it; may have run out since it was read.
    pub hold: Option<Hold>,
}

/// The rules that hold for an account.
#[derive(Clone, Copy, Debug)]
pub struct FraudRules<'a> {
    pub(super) own: Option<&'a AccountFraud>,
    of_all: &'a [FraudRule],
}

impl<'a> FraudRules<'a> {
    /// Its own and those of everybody; `None` if there are none.
    pub fn of(own: Option<&'a AccountFraud>, of_all: &'a [FraudRule]) -> Option<FraudRules<'a>> {
        let has_own = own.is_some_and(|own| !own.rules.is_empty());
        (has_own || !of_all.is_empty()).then_some(FraudRules { own, of_all })
    }

    /// Its own, then those of everybody whose kind it has none of.
    pub(super) fn iter(self) -> impl Iterator<Item = &'a FraudRule> {
        let own: &[FraudRule] = self.own.map_or(&[], |own| &own.rules);
        let is_own =
            |rule: &FraudRule| own.iter().any(|other| other.check.kind() == rule.check.kind());
        own.iter().chain(self.of_all.iter().filter(move |rule| !is_own(rule)))
    }

    /// The countries that are stored.
    pub(super) fn countries(self) -> &'a [Country] {
        self.own.map_or(&[], |own| &own.countries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: u64, check: FraudCheck) -> FraudRule {
        FraudRule { id: FraudRuleId(id), check, action: FraudAction::Alarm }
    }

    #[test]
    fn an_accounts_own_rules_take_the_place_of_everybodys_of_their_kind() {
        // S4
        let of_all = [rule(1, FraudCheck::NewCountry), rule(2, FraudCheck::CallsPerCli(10))];
        let own = AccountFraud {
            rules: Box::new([rule(3, FraudCheck::CallsPerCli(50))]),
            ..AccountFraud::default()
        };
        let ids = |rules: Option<FraudRules<'_>>| -> Vec<u64> {
            rules.into_iter().flat_map(FraudRules::iter).map(|rule| rule.id.0).collect()
        };
        assert_eq!(ids(FraudRules::of(Some(&own), &of_all)), [3, 1]);
        assert_eq!(ids(FraudRules::of(None, &of_all)), [1, 2]);
        assert!(FraudRules::of(Some(&AccountFraud::default()), &[]).is_none());
    }

    #[test]
    fn countries_are_written_as_numbering_plans_name_them() {
        let of = |number: &str| Country::of(&number.parse().unwrap()).map(|c| c.to_string());
        assert_eq!(of("442079460000").as_deref(), Some("GB"));
        assert_eq!(of("14165550123").as_deref(), Some("CA"));
        assert_eq!(of("112"), None);
        assert_eq!("GB".parse::<Country>().unwrap().as_str(), "GB");
        assert_eq!("001".parse::<Country>().unwrap().as_str(), "001");
        for wrong in ["gb", "G", "XX", "GBR", ""] {
            assert!(wrong.parse::<Country>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn kinds_have_words() {
        for kind in FraudKind::ALL {
            assert_eq!(FraudKind::from_word(kind.word()), Some(kind));
            assert_eq!(kind.code(), format!("fraud_{}", kind.word()));
        }
    }
}
