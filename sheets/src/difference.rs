//! What a sheet would change in the rates in force (O1), and what changes for a customer between two
//! moments (O2).

use std::cmp::Ordering;

use billing::{Price, TimePrice};
use vocabulary::Utc;

use crate::book::in_force;
use crate::deck::{Deck, DeckRow, OPEN, Terms, WITHDRAWN, second};
use crate::prefix::Prefix;
use crate::tariff::Defaults;
use crate::words::Claim;

const SECONDS_A_DAY: u32 = 86_400;

/// How a rate stands to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Movement {
    /// There was none.
    New,
    /// There is none any more.
    Removed,
    /// Dearer a minute, at some time of the week or of the call at least, and at none cheaper.
    Increase,
    /// The other way round.
    Decrease,
    /// Other terms at the same prices, or some prices up and some down.
    Changed,
    /// Calls are refused now.
    Blocked,
    /// As before.
    Unchanged,
}

impl Movement {
    /// The word in files and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Movement::New => "new",
            Movement::Removed => "removed",
            Movement::Increase => "increase",
            Movement::Decrease => "decrease",
            Movement::Changed => "changed",
            Movement::Blocked => "blocked",
            Movement::Unchanged => "unchanged",
        }
    }

    /// From one rate to another, both with everything that holds for them.
    pub fn between(before: Option<&Terms>, after: Option<&Terms>) -> Movement {
        let (before, after) = match (before, after) {
            (None, None) => return Movement::Unchanged,
            (None, Some(_)) => return Movement::New,
            (Some(_), None) => return Movement::Removed,
            (Some(before), Some(after)) => (before, after),
        };
        if (&before.rate, &before.special) == (&after.rate, &after.special) {
            return Movement::Unchanged;
        }
        match (before.rate.is_blocked, after.rate.is_blocked) {
            (true, true) => return Movement::Unchanged,
            (false, true) => return Movement::Blocked,
            (true, false) => return Movement::New,
            (false, false) => {}
        }
        let of_time = |price: &TimePrice| (price.price, price.unit_seconds);
        let own = (before.rate.price, before.rate.unit_seconds);
        let mut orders = vec![order(own, (after.rate.price, after.rate.unit_seconds))];
        let (old, new) = (prices_of_week(before), prices_of_week(after));
        for price in &new {
            // A period that was not there before stands against the price of all other times.
            let known = old.iter().find(|known| known.name == price.name);
            orders.push(order(known.map_or(own, |known| of_time(known)), of_time(price)));
        }
        let (is_dearer, is_cheaper) =
            (orders.contains(&Ordering::Less), orders.contains(&Ordering::Greater));
        match (is_dearer, is_cheaper) {
            (true, false) => Movement::Increase,
            (false, true) => Movement::Decrease,
            _ => Movement::Changed,
        }
    }
}

fn prices_of_week(terms: &Terms) -> Vec<&TimePrice> {
    let calendar = terms.special.as_ref().and_then(|special| special.calendar.as_ref());
    calendar.map_or(Vec::new(), |calendar| calendar.periods.iter().map(|p| &p.price).collect())
}

/// Of two prices, each for so many seconds.
fn order(before: (Price, u32), after: (Price, u32)) -> Ordering {
    let times = |price: Price, seconds: u32| i128::from(price.nanos()) * i128::from(seconds);
    times(before.0, after.1).cmp(&times(after.0, before.1))
}

/// How many rates move how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movements {
    /// Had no rate in force at the row's start.
    pub added: u64,
    /// Have none any more.
    pub removed: u64,
    /// Dearer a minute.
    pub increased: u64,
    /// Cheaper a minute.
    pub decreased: u64,
    /// Same price, other terms.
    pub changed: u64,
    /// Refused from now on.
    pub blocked: u64,
    /// As before.
    pub unchanged: u64,
}

impl Movements {
    fn add(&mut self, movement: Movement) {
        *match movement {
            Movement::New => &mut self.added,
            Movement::Removed => &mut self.removed,
            Movement::Increase => &mut self.increased,
            Movement::Decrease => &mut self.decreased,
            Movement::Changed => &mut self.changed,
            Movement::Blocked => &mut self.blocked,
            Movement::Unchanged => &mut self.unchanged,
        } += 1;
    }
}

/// One rate that moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateMove {
    /// Whose.
    pub prefix: Prefix,
    /// The destination's name, the new one if there is one.
    pub name: Box<str>,
    /// From this second on.
    pub at: u32,
    /// How.
    pub movement: Movement,
    /// The terms until then, the group's among them.
    pub before: Option<Terms>,
    /// The terms from then.
    pub after: Option<Terms>,
    /// An increase that comes sooner than agreed.
    pub is_short_notice: bool,
}

/// What a sheet would change.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// Of all its rates, and of the prefixes that a full sheet leaves out.
    pub movements: Movements,
    /// All but the unchanged, by prefix.
    pub moves: Vec<RateMove>,
    /// What an operator should look at.
    pub warnings: Vec<String>,
}

/// How a sheet is taken.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    /// It is the whole offer: what it leaves out ends at `from`.
    pub is_full: bool,
    /// When a full sheet begins.
    pub from: Utc,
    /// Now, and the days of notice that an increase needs.
    pub now: Utc,
    /// Days.
    pub notice_days: u16,
}

/// Compares a sheet with the book (resolved), each with what the group says for both. A full sheet
/// gets a withdrawal for each prefix that it leaves out. Sorts `sheet`.
pub fn compare(book: &Deck, sheet: &mut Deck, defaults: &Defaults, taking: Taking) -> Difference {
    sheet.rows.sort_by_key(|row| (row.prefix, row.from));
    let filled = |deck: &Deck| -> Vec<Terms> {
        deck.terms.iter().map(|terms| defaults.fill(terms)).collect()
    };
    let (old_terms, new_terms) = (filled(book), filled(sheet));
    let mut difference = Difference::default();
    let notice_end =
        second(taking.now).saturating_add(u32::from(taking.notice_days) * SECONDS_A_DAY);
    let (mut short, mut untrue) = (0_u64, 0_u64);
    let mut missing = Vec::new();
    let begin = second(taking.from);
    let mut books = book.rows.chunk_by(|a, b| a.prefix == b.prefix).peekable();
    for rows in sheet.rows.chunk_by(|a, b| a.prefix == b.prefix) {
        while let Some(left_out) = books.next_if(|known| known[0].prefix < rows[0].prefix) {
            missing.extend(leaving_out(left_out, begin));
        }
        let known = books.next_if(|known| known[0].prefix == rows[0].prefix).unwrap_or(&[]);
        for (index, row) in rows.iter().enumerate() {
            // A row of the same sheet that began before counts as what was there.
            let own = index.checked_sub(1).map(|at| &rows[at]).filter(|own| row.from < own.till);
            let before = match own {
                Some(own) => new_terms.get(own.terms as usize),
                None => in_force(known, row.from).and_then(|row| old_terms.get(row.terms as usize)),
            };
            let after = new_terms.get(row.terms as usize);
            let movement = Movement::between(before, after);
            let is_short_notice = movement == Movement::Increase && row.from < notice_end;
            short += u64::from(is_short_notice);
            untrue += u64::from(is_untrue(row.claim, movement));
            difference.movements.add(movement);
            if movement != Movement::Unchanged {
                let name = sheet.name(row).into();
                let (before, after) = (before.cloned(), after.cloned());
                let (prefix, at) = (row.prefix, row.from);
                difference.moves.push(RateMove {
                    prefix,
                    name,
                    at,
                    movement,
                    before,
                    after,
                    is_short_notice,
                });
            }
        }
    }
    books.for_each(|left_out| missing.extend(leaving_out(left_out, begin)));
    if taking.is_full {
        leave_out(book, sheet, &missing, begin, &mut difference);
    }
    if short > 0 {
        let days = taking.notice_days;
        difference
            .warnings
            .push(format!("{short} increases come with less than {days} days of notice"));
    }
    if untrue > 0 {
        difference
            .warnings
            .push(format!("{untrue} rows say another movement than the rates in force show"));
    }
    difference
}

/// A prefix of the book that still has a rate when a full sheet begins.
fn leaving_out(rows: &[DeckRow], begin: u32) -> Option<DeckRow> {
    rows.iter().find(|row| row.till > begin).copied()
}

fn leave_out(
    book: &Deck,
    sheet: &mut Deck,
    missing: &[DeckRow],
    begin: u32,
    difference: &mut Difference,
) {
    for row in missing {
        difference.movements.add(Movement::Removed);
        let name: Box<str> = book.name(row).into();
        difference.moves.push(RateMove {
            prefix: row.prefix,
            name,
            at: begin,
            movement: Movement::Removed,
            before: book.terms(row).cloned(),
            after: None,
            is_short_notice: false,
        });
        let (prefix, claim) = (row.prefix, Claim::Removed);
        sheet.rows.push(DeckRow {
            prefix,
            from: begin,
            till: OPEN,
            terms: WITHDRAWN,
            name: 0,
            source: u32::MAX,
            table: u16::MAX,
            claim,
        });
    }
    difference.moves.sort_by_key(|moved| (moved.prefix, moved.at));
    sheet.rows.sort_by_key(|row| (row.prefix, row.from));
}

/// Does a row say of itself what is not so?
fn is_untrue(claim: Claim, movement: Movement) -> bool {
    match claim {
        Claim::New => movement != Movement::New,
        Claim::Increase => movement != Movement::Increase,
        Claim::Decrease => movement != Movement::Decrease,
        Claim::Unchanged => movement != Movement::Unchanged,
        Claim::Nothing | Claim::Changed | Claim::Blocked | Claim::Removed => false,
    }
}

/// What changes in a book (resolved) after `from` and until `till`, with the moment of each.
pub fn changes(book: &Deck, from: Utc, till: Utc) -> Vec<RateMove> {
    let (from, till) = (second(from), second(till));
    let mut moves = Vec::new();
    let mut moments = Vec::new();
    for rows in book.rows.chunk_by(|a, b| a.prefix == b.prefix) {
        moments.clear();
        moments.extend(rows.iter().flat_map(|row| [row.from, row.till]));
        moments.retain(|at| from < *at && *at <= till && *at != OPEN);
        moments.sort_unstable();
        moments.dedup();
        let mut before = in_force(rows, from);
        for at in &moments {
            let after = in_force(rows, *at);
            let (old, new) =
                (before.and_then(|row| book.terms(row)), after.and_then(|row| book.terms(row)));
            let movement = Movement::between(old, new);
            if movement != Movement::Unchanged {
                moves.push(RateMove {
                    prefix: rows[0].prefix,
                    name: after.or(before).map_or("", |row| book.name(row)).into(),
                    at: *at,
                    movement,
                    before: old.cloned(),
                    after: new.cloned(),
                    is_short_notice: false,
                });
            }
            before = after;
        }
    }
    moves
}
