//! One row: its codes, terms and dates, or why it has none.

use std::sync::Arc;

use billing::{Price, Rate};

use crate::cell::moment::{self, Moment};
use crate::cell::price::{self, PriceCell};
use crate::cell::{code, increment};
use crate::deck::{DeckBuilder, OPEN, Said, Terms, WITHDRAWN, second};
use crate::prefix::Prefix;
use crate::report::{Note, RowKind};
use crate::table::Table;
use crate::tariff::Defaults;
use crate::words::{self, Claim};

use super::columns::{Columns, DateColumn, PriceColumn};

const NAME_CHARS_MAX: usize = 200;
/// How the last rows of a sheet begin.
const FOOTERS: [&str; 12] = [
    "total",
    "sum",
    "note",
    "end of",
    "disclaimer",
    "legend",
    "*",
    "please",
    "all rates",
    "all prices",
    "terms",
    "copyright",
];

/// Reads the rows of a table. What the last row read brings is in its fields.
pub(super) struct RowReader<'a> {
    pub(super) table: &'a Table,
    pub(super) columns: &'a Columns,
    defaults: &'a Defaults,
    header: Option<usize>,
    is_removal: bool,
    /// The codes of the row.
    pub(super) prefixes: Vec<Prefix>,
    pub(super) from: u32,
    pub(super) till: u32,
    pub(super) terms: u32,
    pub(super) name: u32,
    pub(super) claim: Claim,
    /// What there is to say about the row.
    pub(super) notes: Vec<Note>,
    is_changed: bool,
    /// What the rows above filled in.
    country: (Option<Prefix>, u32),
    scratch: String,
    dates: [(String, Option<Moment>); 2],
    pair: (String, Option<(u32, u32, u32)>),
}

struct Prices {
    price: Price,
    is_blocked: bool,
    has_price: bool,
}

impl<'a> RowReader<'a> {
    pub(super) fn new(
        table: &'a Table,
        columns: &'a Columns,
        defaults: &'a Defaults,
        header: Option<usize>,
        is_removal: bool,
    ) -> RowReader<'a> {
        RowReader {
            table,
            columns,
            defaults,
            header,
            is_removal,
            prefixes: Vec::new(),
            from: 0,
            till: OPEN,
            terms: WITHDRAWN,
            name: 0,
            claim: Claim::Nothing,
            notes: Vec::new(),
            is_changed: false,
            country: (None, 0),
            scratch: String::new(),
            dates: [(String::new(), None), (String::new(), None)],
            pair: (String::new(), None),
        }
    }

    pub(super) fn line(&self, row: u32) -> u32 {
        self.table.line(row as usize)
    }

    /// The column that a note about codes is about.
    pub(super) fn code_column(&self) -> Option<usize> {
        self.columns.code.or(self.columns.area_code)
    }

    pub(super) fn note(&mut self, row: usize, column: Option<usize>, text: String) {
        self.push(row, column, text, true);
    }

    /// The same about a row that is not rejected for it.
    pub(super) fn remark(&mut self, row: usize, column: Option<usize>, text: String) {
        self.push(row, column, text, false);
    }

    fn push(&mut self, row: usize, column: Option<usize>, text: String, is_fault: bool) {
        let column = column.and_then(|column| u16::try_from(column).ok());
        self.notes.push(Note { row: row as u32, column, text, is_fault });
    }

    /// Reads a row below the header.
    pub(super) fn read(&mut self, row: usize, builder: &mut DeckBuilder) -> RowKind {
        if self.table.is_blank(row) {
            return RowKind::Blank;
        }
        if self.is_header_again(row) {
            return RowKind::Header;
        }
        if self.is_remark(row) {
            return RowKind::Remark;
        }
        self.is_changed = false;
        let before = self.notes.len();
        self.claim = self.read_claim(row);
        self.read_codes(row);
        let is_withdrawal = self.is_removal || self.claim == Claim::Removed;
        let terms = if is_withdrawal { None } else { self.read_terms(row) };
        self.read_dates(row, is_withdrawal);
        self.read_name(row, builder);
        let has_faults = self.notes[before..].iter().any(|note| note.is_fault);
        if has_faults || (terms.is_none() && !is_withdrawal) {
            self.prefixes.clear();
            // What was repaired does not matter in a row that is rejected.
            self.notes.retain(|note| note.is_fault);
            return RowKind::Rejected;
        }
        self.terms = match terms {
            None => WITHDRAWN,
            Some(Terms { rate, special: None, said }) => builder.terms_saying(&rate, said),
            Some(terms) => builder.terms_with(terms),
        };
        if self.is_changed { RowKind::Changed } else { RowKind::Accepted }
    }

    pub(super) fn repaired(&mut self, row: usize, column: usize, what: &str) {
        self.is_changed = true;
        self.remark(row, Some(column), what.to_owned());
    }

    /// A header that stands again further down, as at the top of every printed page.
    fn is_header_again(&self, row: usize) -> bool {
        let Some(header) = self.header else { return false };
        let at = self.code_column().or(self.columns.country_code).unwrap_or(0);
        let text = self.table.cell(row, at).text;
        !text.is_empty()
            && text == self.table.cell(header, at).text
            && self.table.row(row).map(|c| c.text).eq(self.table.row(header).map(|c| c.text))
    }

    /// Text alone, and neither code nor price: a title between the rates or a note below them.
    fn is_remark(&self, row: usize) -> bool {
        let is_empty = |price: &PriceColumn| self.table.cell(row, price.at).is_empty();
        if !self.columns.prices.iter().all(is_empty) {
            return false;
        }
        let mut filled = self.table.row(row).filter(|cell| !cell.is_empty());
        let Some(first) = filled.next() else { return false };
        if !first.text.chars().any(char::is_alphabetic) && !first.text.starts_with('*') {
            return false;
        }
        let mut scratch = Vec::new();
        if self.code_cell(row).is_some_and(|cell| {
            !cell.is_empty() && code::read(cell, Prefix::ALL, &mut scratch).is_ok()
        }) {
            return false;
        }
        let lower = first.text.to_lowercase();
        filled.next().is_none() || FOOTERS.iter().any(|footer| lower.starts_with(footer))
    }

    fn code_cell(&self, row: usize) -> Option<crate::table::Cell<'a>> {
        let at = self.code_column().or(self.columns.country_code)?;
        Some(self.table.cell(row, at))
    }

    fn read_claim(&mut self, row: usize) -> Claim {
        let Some(at) = self.columns.status else { return Claim::Nothing };
        match words::claim(self.table.cell(row, at).text) {
            Ok(claim) => claim,
            Err(what) => {
                self.note(row, Some(at), what);
                Claim::Nothing
            }
        }
    }

    fn read_codes(&mut self, row: usize) {
        self.prefixes.clear();
        let mut before = Prefix::ALL;
        if let Some(at) = self.columns.country_code {
            let text = self.table.cell(row, at).text;
            if !text.is_empty() {
                match Columns::country_digits(text) {
                    Some(digits) => self.country = (Some(digits), row as u32),
                    None => {
                        self.note(row, Some(at), format!("{text:?} is not a country's code"));
                        return;
                    }
                }
            }
            if self.columns.is_split && !self.fill(row, at, text.is_empty(), &mut before) {
                return;
            }
        }
        let Some(at) = self.code_column() else { return };
        let cell = self.table.cell(row, at);
        if cell.is_empty() {
            // A country without an area is the whole country.
            if self.columns.is_split && !before.is_empty() {
                self.prefixes.push(before);
            } else {
                self.note(row, Some(at), "has no code; write * for every number".to_owned());
            }
            return;
        }
        match code::read(cell, before, &mut self.prefixes) {
            Ok(Some(repair)) => self.repaired(row, at, &repair),
            Ok(None) => {}
            Err(what) => self.note(row, Some(at), what),
        }
    }

    /// The country's code of a row, its own or the one above.
    fn fill(&mut self, row: usize, at: usize, is_empty: bool, before: &mut Prefix) -> bool {
        match self.country {
            (Some(digits), _) if !is_empty => *before = digits,
            (Some(digits), above) if self.columns.fills_down => {
                *before = digits;
                let line = self.line(above);
                self.repaired(row, at, &format!("country code {digits} taken from row {line}"));
            }
            _ => {
                self.note(
                    row,
                    Some(at),
                    "has no country code; write it in every row, or set `fill_down` in the layout"
                        .to_owned(),
                );
                return false;
            }
        }
        true
    }

    fn read_terms(&mut self, row: usize) -> Option<Terms> {
        let columns = self.columns;
        let prices = self.read_prices(row)?;
        let (first, next, minimum, mut said) = self.read_increments(row)?;
        let mut rate = Rate::per_minute(prices.price, first, next);
        rate.is_blocked = prices.is_blocked;
        rate.connect_fee = self.read_fee(row, columns.connect_fee)?;
        rate.minimum_charge = self.read_fee(row, columns.minimum_charge)?;
        rate.minimum_seconds = self.read_seconds(row, columns.minimum_seconds, minimum)?;
        rate.grace_seconds = self.read_seconds(row, columns.grace_seconds, 0)?;
        rate.free_seconds = self.read_seconds(row, columns.free_seconds, 0)?;
        rate.unit_seconds = self.read_seconds(row, columns.per_seconds, 60)?;
        for (column, field) in [
            (columns.connect_fee.map(|column| column.at), Said::CONNECT_FEE),
            (columns.minimum_charge.map(|column| column.at), Said::MINIMUM_CHARGE),
            (columns.minimum_seconds, Said::MINIMUM_SECONDS),
            (columns.grace_seconds, Said::GRACE_SECONDS),
            (columns.free_seconds, Said::FREE_SECONDS),
            (columns.per_seconds, Said::UNIT_SECONDS),
        ] {
            if column.is_some_and(|at| !self.table.cell(row, at).is_empty()) {
                said = said.with(field);
            }
        }
        if let Err(error) = rate.validate() {
            let column = columns.increments.or(columns.first_increment);
            self.note(row, column, error.to_string());
            return None;
        }
        if columns.special.is_empty() {
            return Some(Terms { rate, special: None, said });
        }
        if columns.special.has_periods() {
            // Periods take from the rate what they do not say, so it must all be known.
            rate = self.defaults.fill(&Terms { rate, special: None, said }).rate;
            said = Said::ALL;
        }
        let special = self.read_special(row, &rate)?;
        Some(Terms { rate, special: (!special.is_empty()).then(|| Arc::new(special)), said })
    }

    fn read_prices(&mut self, row: usize) -> Option<Prices> {
        let mut prices = Prices {
            price: Price::ZERO,
            is_blocked: self.claim == Claim::Blocked || self.read_blocked(row)?,
            has_price: false,
        };
        let columns = self.columns;
        for column in &columns.prices {
            match price::read(self.table.cell(row, column.at).text, column.form) {
                Ok(PriceCell::Price(price, repair)) => {
                    let is_better =
                        if columns.is_lowest { price < prices.price } else { price > prices.price };
                    if is_better || !prices.has_price {
                        prices.price = price;
                    }
                    prices.has_price = true;
                    if let Some(repair) = repair {
                        self.repaired(row, column.at, &repair);
                    }
                }
                Ok(PriceCell::Blocked) => prices.is_blocked = true,
                Ok(PriceCell::Empty) => {}
                Err(what) => {
                    self.note(row, Some(column.at), what);
                    return None;
                }
            }
        }
        if !prices.has_price && !prices.is_blocked {
            let column = columns.prices.first().map(|column| column.at);
            self.note(row, column, "has no price; write one, or `blocked`".to_owned());
            return None;
        }
        Some(prices)
    }

    fn read_blocked(&mut self, row: usize) -> Option<bool> {
        let Some(at) = self.columns.blocked else { return Some(false) };
        let text = self.table.cell(row, at).text;
        match text.to_lowercase().as_str() {
            "" | "no" | "0" | "false" | "n" | "open" | "nein" => Some(false),
            "yes" | "1" | "true" | "y" | "x" | "blocked" | "ja" | "si" | "oui" => Some(true),
            _ => {
                self.note(row, Some(at), format!("{text:?} is neither yes nor no"));
                None
            }
        }
    }

    pub(super) fn read_fee(&mut self, row: usize, column: Option<PriceColumn>) -> Option<Price> {
        let Some(column) = column else { return Some(Price::ZERO) };
        match price::read(self.table.cell(row, column.at).text, column.form) {
            Ok(PriceCell::Price(price, None)) => Some(price),
            Ok(PriceCell::Price(price, Some(repair))) => {
                self.repaired(row, column.at, &repair);
                Some(price)
            }
            Ok(PriceCell::Empty) => Some(Price::ZERO),
            Ok(PriceCell::Blocked) => {
                self.note(
                    row,
                    Some(column.at),
                    "a fee cannot be blocked; write a price".to_owned(),
                );
                None
            }
            Err(what) => {
                self.note(row, Some(column.at), what);
                None
            }
        }
    }

    fn read_seconds(&mut self, row: usize, column: Option<usize>, default: u32) -> Option<u32> {
        let Some(at) = column else { return Some(default) };
        let text = self.table.cell(row, at).text;
        if text.is_empty() {
            return Some(default);
        }
        if let Ok(seconds) = text.parse() {
            return Some(seconds);
        }
        match increment::read(text) {
            Ok(read) if read.first == read.next && read.minimum == 0 => Some(read.first),
            _ => {
                self.note(row, Some(at), format!("{text:?} is not a whole number of seconds"));
                None
            }
        }
    }

    /// First and next increment, the least that they say is billed, and which of them are said.
    fn read_increments(&mut self, row: usize) -> Option<(u32, u32, u32, Said)> {
        const BOTH: Said = Said::FIRST_INCREMENT.with(Said::NEXT_INCREMENT);
        let columns = self.columns;
        let (own_first, own_next) = columns.increments_default;
        let mut said = Said::NOTHING;
        if own_first.is_some() {
            said = said.with(Said::FIRST_INCREMENT);
        }
        if own_next.is_some() {
            said = said.with(Said::NEXT_INCREMENT);
        }
        let (first, next) = (own_first.unwrap_or(60), own_next.unwrap_or(60));
        if columns.first_increment.is_some() || columns.next_increment.is_some() {
            let is_filled =
                |at: Option<usize>| at.is_some_and(|at| !self.table.cell(row, at).is_empty());
            if is_filled(columns.first_increment) {
                said = said.with(BOTH);
            }
            if is_filled(columns.next_increment) {
                said = said.with(Said::NEXT_INCREMENT);
            }
            let first = self.read_seconds(row, columns.first_increment, first)?;
            let next = self.read_seconds(row, columns.next_increment, first)?;
            return Some((first, next, 0, said));
        }
        let found = |(first, next, minimum): (u32, u32, u32)| {
            let least = if minimum > 0 { Said::MINIMUM_SECONDS } else { Said::NOTHING };
            (first, next, minimum, BOTH.with(least))
        };
        if let Some(at) = columns.increments {
            let text = self.table.cell(row, at).text;
            if text.is_empty() {
                return Some((first, next, 0, said));
            }
            if let (known, Some(pair)) = &self.pair
                && known == text
            {
                return Some(found(*pair));
            }
            return match increment::read(text) {
                Ok(read) => {
                    let pair = (read.first, read.next, read.minimum);
                    self.pair = (text.to_owned(), Some(pair));
                    Some(found(pair))
                }
                Err(what) => {
                    self.note(row, Some(at), what);
                    None
                }
            };
        }
        if let Some(at) = columns.comment
            && let Some(read) = increment::find(self.table.cell(row, at).text)
        {
            let what = format!("increments {}/{} taken from the comment", read.first, read.next);
            self.repaired(row, at, &what);
            return Some(found((read.first, read.next, read.minimum)));
        }
        Some((first, next, 0, said))
    }

    fn read_dates(&mut self, row: usize, is_withdrawal: bool) {
        let from = self.read_date(row, self.columns.valid_from, 0);
        let till = self.read_date(row, self.columns.valid_till, 1);
        let seconds = |moment: Option<Moment>| match moment {
            Some(Moment::At(at)) => Some(second(at)),
            Some(Moment::Now) => Some(self.columns.now),
            _ => None,
        };
        let (from, till) = (seconds(from), seconds(till));
        if is_withdrawal {
            // The row of a price that ends may still say when that price began.
            self.from = till.or(from).unwrap_or(self.columns.from_default);
            self.till = OPEN;
            return;
        }
        self.from = from.unwrap_or(self.columns.from_default);
        self.till = till.unwrap_or(OPEN);
        if self.till <= self.from {
            let column = self.columns.valid_till.map(|column| column.at);
            self.note(row, column, "is not after the rate's start".to_owned());
        }
    }

    fn read_date(&mut self, row: usize, column: Option<DateColumn>, slot: usize) -> Option<Moment> {
        let column = column?;
        let text = self.table.cell(row, column.at).text;
        if let (known, Some(moment)) = &self.dates[slot]
            && known == text
        {
            return Some(*moment);
        }
        match moment::read(text, column.order, self.columns.offset) {
            Ok(moment) => {
                self.dates[slot] = (text.to_owned(), Some(moment));
                Some(moment)
            }
            Err(what) => {
                self.note(row, Some(column.at), what);
                None
            }
        }
    }

    fn read_name(&mut self, row: usize, builder: &mut DeckBuilder) {
        let text = |at: Option<usize>| at.map_or("", |at| self.table.cell(row, at).text);
        let (country, destination) = (text(self.columns.country), text(self.columns.destination));
        let at = self.columns.destination.or(self.columns.country);
        let is_apart = !country.is_empty()
            && !destination.is_empty()
            && !destination.to_lowercase().contains(&country.to_lowercase());
        let name = if is_apart {
            self.scratch.clear();
            self.scratch.push_str(country);
            self.scratch.push(' ');
            self.scratch.push_str(destination);
            self.scratch.as_str()
        } else if destination.is_empty() {
            country
        } else {
            destination
        };
        if name.len() > NAME_CHARS_MAX && name.chars().count() > NAME_CHARS_MAX {
            let what = format!("the name has more than {NAME_CHARS_MAX} characters");
            self.note(row, at, what);
            return;
        }
        self.name = builder.name(name);
    }
}
