//! Rates packed: equal terms and equal names are held once, so that a million rows take some 50 MB.

use std::sync::Arc;

use billing::{Rate, SpecialTerms};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use vocabulary::Utc;

use crate::prefix::Prefix;
use crate::tariff::Defaults;
use crate::words::Claim;

/// Instead of terms: from this row's start its prefix has no rate.
pub const WITHDRAWN: u32 = u32::MAX;
/// Instead of an end: none.
pub const OPEN: u32 = u32::MAX;

/// One dated rate of one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeckRow {
    /// Whom it covers.
    pub prefix: Prefix,
    /// In force from this second since 1970.
    pub from: u32,
    /// And until before this one; [`OPEN`] if it has no end.
    pub till: u32,
    /// Its terms in [`Deck::terms`], or [`WITHDRAWN`].
    pub terms: u32,
    /// Its destination in [`Deck::names`].
    pub name: u32,
    /// Of a sheet that was read: the row of the table that it is from. Of a book: the sheet's version.
    pub source: u32,
    /// Of a sheet that was read: the table.
    pub table: u16,
    /// What the row says about itself.
    pub claim: Claim,
}

/// Which fields of a plain rate a row says itself; the others are its group's (V-15). The price and
/// whether calls are refused it always says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Said(u8);

impl Said {
    /// Nothing but the price.
    pub const NOTHING: Said = Said(0);
    /// Everything.
    pub const ALL: Said = Said(0xFF);
    /// The connect fee.
    pub const CONNECT_FEE: Said = Said(1);
    /// The first increment.
    pub const FIRST_INCREMENT: Said = Said(1 << 1);
    /// The next increments.
    pub const NEXT_INCREMENT: Said = Said(1 << 2);
    /// The grace.
    pub const GRACE_SECONDS: Said = Said(1 << 3);
    /// The free seconds.
    pub const FREE_SECONDS: Said = Said(1 << 4);
    /// The least that is billed.
    pub const MINIMUM_SECONDS: Said = Said(1 << 5);
    /// The least that a call costs.
    pub const MINIMUM_CHARGE: Said = Said(1 << 6);
    /// What the price is for.
    pub const UNIT_SECONDS: Said = Said(1 << 7);

    /// These fields too.
    #[must_use]
    pub const fn with(self, fields: Said) -> Said {
        Said(self.0 | fields.0)
    }

    /// Are all of these said?
    pub fn has(self, fields: Said) -> bool {
        self.0 & fields.0 == fields.0
    }

    /// As it is stored.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// From what was stored.
    pub fn from_bits(bits: u8) -> Said {
        Said(bits)
    }
}

/// The terms of a rate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The plain ones.
    pub rate: Rate,
    /// What it has beyond them; nothing for most.
    pub special: Option<Arc<SpecialTerms>>,
    /// Which of the plain ones it says itself.
    pub said: Said,
}

impl Terms {
    /// A plain rate that says everything.
    pub fn plain(rate: Rate) -> Terms {
        Terms { rate, special: None, said: Said::ALL }
    }
}

/// Rates with what they share.
#[derive(Clone, Debug, Default)]
pub struct Deck {
    /// Each once.
    pub terms: Vec<Terms>,
    /// Each once; the first is empty.
    pub names: Vec<Box<str>>,
    /// All rates.
    pub rows: Vec<DeckRow>,
}

impl Deck {
    /// The terms of a row; nothing if it withdraws its prefix.
    pub fn terms(&self, row: &DeckRow) -> Option<&Terms> {
        self.terms.get(row.terms as usize)
    }

    /// The plain rate of a row; nothing if it withdraws its prefix.
    pub fn rate(&self, row: &DeckRow) -> Option<&Rate> {
        self.terms(row).map(|terms| &terms.rate)
    }

    /// With what its rows do not say. Terms that are the same then stay apart.
    pub fn fill(&mut self, defaults: &Defaults) {
        if !defaults.is_empty() {
            self.terms.iter_mut().for_each(|terms| *terms = defaults.fill(terms));
        }
    }

    /// The destination's name of a row.
    pub fn name(&self, row: &DeckRow) -> &str {
        self.names.get(row.name as usize).map_or("", |name| name)
    }

    /// By prefix, and within it the newest start first, and of equal starts the newest sheet.
    pub fn sort(&mut self) {
        self.rows.sort_unstable_by(|a, b| {
            (a.prefix, b.from, b.source).cmp(&(b.prefix, a.from, a.source))
        });
    }
}

/// A moment to the second, as rows hold it.
pub fn second(at: Utc) -> u32 {
    u32::try_from(at.seconds().max(0)).unwrap_or(OPEN - 1).min(OPEN - 1)
}

/// The moment of a second that rows hold.
pub fn moment(second: u32) -> Utc {
    Utc(i64::from(second) * 1_000_000)
}

/// Fills a deck and finds what is there already.
#[derive(Debug)]
pub struct DeckBuilder {
    deck: Deck,
    terms: HashMap<Terms, u32, FixedState>,
    names: HashMap<Box<str>, u32, FixedState>,
    last_terms: Option<(Terms, u32)>,
    last_name: u32,
}

impl Default for DeckBuilder {
    fn default() -> DeckBuilder {
        let deck = Deck { names: vec!["".into()], ..Deck::default() };
        DeckBuilder {
            deck,
            terms: HashMap::with_hasher(FixedState::default()),
            names: HashMap::with_hasher(FixedState::default()),
            last_terms: None,
            last_name: 0,
        }
    }
}

impl DeckBuilder {
    /// The number of the terms that have nothing special and say everything.
    pub fn terms(&mut self, rate: &Rate) -> u32 {
        self.terms_saying(rate, Said::ALL)
    }

    /// The number of the terms that have nothing special and say so much.
    pub fn terms_saying(&mut self, rate: &Rate, said: Said) -> u32 {
        if let Some((last, number)) = &self.last_terms
            && last.rate == *rate
            && last.said == said
            && last.special.is_none()
        {
            return *number;
        }
        self.terms_with(Terms { rate: *rate, special: None, said })
    }

    /// The number of any terms.
    pub fn terms_with(&mut self, terms: Terms) -> u32 {
        let number = match self.terms.get(&terms) {
            Some(number) => *number,
            None => {
                let number = self.deck.terms.len() as u32;
                self.deck.terms.push(terms.clone());
                self.terms.insert(terms.clone(), number);
                number
            }
        };
        self.last_terms = Some((terms, number));
        number
    }

    /// The number of this name.
    pub fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        if &*self.deck.names[self.last_name as usize] == name {
            return self.last_name;
        }
        self.last_name = match self.names.get(name) {
            Some(number) => *number,
            None => {
                let number = self.deck.names.len() as u32;
                self.deck.names.push(name.into());
                self.names.insert(name.into(), number);
                number
            }
        };
        self.last_name
    }

    /// Adds a row whose terms and name are this deck's.
    pub fn row(&mut self, row: DeckRow) {
        self.deck.rows.push(row);
    }

    /// What is there by now.
    pub fn deck(&self) -> &Deck {
        &self.deck
    }

    /// The deck.
    pub fn build(self) -> Deck {
        self.deck
    }
}
