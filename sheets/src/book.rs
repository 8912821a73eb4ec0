//! The rates of a group over all its sheets: sheets never change, so what ends, what a full sheet
//! leaves out and what was rolled back are worked out here, each time the group is loaded.

use std::collections::BTreeMap;

use crate::deck::{Deck, DeckRow, OPEN, WITHDRAWN};

/// What counts of a sheet besides its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SheetTerms {
    /// It is a whole offer: from its start on, older sheets say nothing about a prefix that it has.
    pub is_full: bool,
    /// From this second on it counts as if it had never come.
    pub rolled_back_at: Option<u32>,
}

/// Works out which rate is in force when. In: the rows of all sheets, `source` being the sheet's
/// version. Out: rows that say it plainly, without withdrawals, sorted as [`Deck::sort`] does.
pub fn resolve(deck: &mut Deck, sheets: &BTreeMap<u32, SheetTerms>) {
    let is_plain = sheets.values().all(|terms| *terms == SheetTerms::default());
    if is_plain && deck.rows.iter().all(|row| row.terms != WITHDRAWN) {
        deck.sort();
        return;
    }
    deck.rows.sort_unstable_by_key(|row| (row.prefix, row.source, row.from));
    let mut resolved = Vec::with_capacity(deck.rows.len());
    for rows in deck.rows.chunk_by(|a, b| a.prefix == b.prefix) {
        resolve_prefix(rows, sheets, &mut resolved);
    }
    deck.rows = resolved;
    deck.sort();
}

fn resolve_prefix(rows: &[DeckRow], sheets: &BTreeMap<u32, SheetTerms>, out: &mut Vec<DeckRow>) {
    let rolled_back =
        |row: &DeckRow| sheets.get(&row.source).and_then(|terms| terms.rolled_back_at);
    let mut moments: Vec<u32> = rows.iter().filter_map(rolled_back).collect();
    moments.push(0);
    moments.sort_unstable();
    moments.dedup();
    let first = out.len();
    for (index, begin) in moments.iter().enumerate() {
        let end = moments.get(index + 1).copied().unwrap_or(OPEN);
        // What counts between two moments of rolling back.
        let counting = rows.iter().filter(|row| rolled_back(row).is_none_or(|at| at > *begin));
        let counting: Vec<DeckRow> = counting.copied().collect();
        for mut row in settled(&counting, sheets) {
            row.from = row.from.max(*begin);
            row.till = row.till.min(end);
            if row.from >= row.till {
                continue;
            }
            let goes_on = |before: &&mut DeckRow| {
                (before.source, before.terms, before.till) == (row.source, row.terms, row.from)
                    && row.from == *begin
            };
            match out[first..].iter_mut().find(goes_on) {
                Some(before) => before.till = row.till,
                None => out.push(row),
            }
        }
    }
}

/// The rows of one prefix, older sheets first, with the ends that newer ones give them.
fn settled(rows: &[DeckRow], sheets: &BTreeMap<u32, SheetTerms>) -> Vec<DeckRow> {
    let mut out: Vec<DeckRow> = Vec::with_capacity(rows.len());
    for sheet in rows.chunk_by(|a, b| a.source == b.source) {
        let is_full = sheets.get(&sheet[0].source).is_some_and(|terms| terms.is_full);
        let withdrawn = sheet.iter().filter(|row| row.terms == WITHDRAWN).map(|row| row.from).min();
        let replaced = sheet.iter().map(|row| row.from).min().filter(|_| is_full);
        if let Some(end) = withdrawn.into_iter().chain(replaced).min() {
            out.retain(|row| row.from < end);
            out.iter_mut().for_each(|row| row.till = row.till.min(end));
        }
        for row in sheet.iter().filter(|row| row.terms != WITHDRAWN) {
            // The same sheet may say when a rate of its own ends.
            let till =
                withdrawn.filter(|end| row.from < *end).map_or(row.till, |end| row.till.min(end));
            out.push(DeckRow { till, ..*row });
        }
    }
    out
}

/// The row in force at a second, of the rows of one prefix sorted as [`Deck::sort`] does.
pub fn in_force(rows: &[DeckRow], at: u32) -> Option<&DeckRow> {
    rows.iter().find(|row| row.from <= at && at < row.till)
}

/// The same rows so that no two hold at once: each from the second in which it comes into force until
/// another does, or none.
pub fn spans(rows: &[DeckRow]) -> Vec<DeckRow> {
    if let [row] = rows {
        return vec![*row];
    }
    let mut moments: Vec<u32> = rows.iter().flat_map(|row| [row.from, row.till]).collect();
    moments.retain(|moment| *moment != OPEN);
    moments.sort_unstable();
    moments.dedup();
    let mut spans: Vec<DeckRow> = Vec::with_capacity(rows.len());
    for (index, from) in moments.iter().enumerate() {
        let Some(row) = in_force(rows, *from) else { continue };
        let till = moments.get(index + 1).copied().unwrap_or(OPEN);
        let says = |row: &DeckRow| (row.source, row.terms, row.name);
        match spans.last_mut() {
            Some(last) if last.till == *from && says(last) == says(row) => last.till = till,
            _ => spans.push(DeckRow { from: *from, till, ..*row }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(sheet, from, till, price)`; price 0 withdraws.
    type Row = (u32, u32, u32, u32);

    #[track_caller]
    fn check(rows: &[Row], full: &[u32], rolled_back: &[(u32, u32)], expected: &[Row]) {
        let row = |(source, from, till, terms): &Row| DeckRow {
            prefix: "49".parse().unwrap(),
            from: *from,
            till: *till,
            terms: if *terms == 0 { WITHDRAWN } else { *terms },
            name: 0,
            source: *source,
            table: 0,
            claim: crate::Claim::Nothing,
        };
        let mut deck = Deck { rows: rows.iter().map(row).collect(), ..Deck::default() };
        let mut sheets: BTreeMap<u32, SheetTerms> =
            rows.iter().map(|row| (row.0, SheetTerms::default())).collect();
        full.iter().for_each(|sheet| sheets.entry(*sheet).or_default().is_full = true);
        for (sheet, at) in rolled_back {
            sheets.entry(*sheet).or_default().rolled_back_at = Some(*at);
        }
        resolve(&mut deck, &sheets);
        let found: Vec<Row> =
            deck.rows.iter().map(|row| (row.source, row.from, row.till, row.terms)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn no_two_spans_hold_at_once() {
        let row = |(source, from, till, terms): &Row| DeckRow {
            prefix: "49".parse().unwrap(),
            from: *from,
            till: *till,
            terms: *terms,
            name: 0,
            source: *source,
            table: 0,
            claim: crate::Claim::Nothing,
        };
        let check = |rows: &[Row], expected: &[Row]| {
            let mut deck = Deck { rows: rows.iter().map(row).collect(), ..Deck::default() };
            deck.sort();
            let spans = spans(&deck.rows);
            let spans: Vec<Row> =
                spans.iter().map(|row| (row.source, row.from, row.till, row.terms)).collect();
            assert_eq!(spans, expected);
        };
        check(&[(1, 0, OPEN, 1)], &[(1, 0, OPEN, 1)]);
        check(&[(1, 0, OPEN, 1), (2, 50, OPEN, 2)], &[(1, 0, 50, 1), (2, 50, OPEN, 2)]);
        // Behind a rate with an end the one before holds again; of the same start the newer counts.
        check(
            &[(1, 0, OPEN, 1), (2, 50, 80, 2), (3, 50, 80, 3)],
            &[(1, 0, 50, 1), (3, 50, 80, 3), (1, 80, OPEN, 1)],
        );
        // What never shows, and a gap.
        check(
            &[(1, 10, 20, 1), (2, 5, 15, 2), (2, 30, OPEN, 2)],
            &[(2, 5, 10, 2), (1, 10, 20, 1), (2, 30, OPEN, 2)],
        );
    }

    #[test]
    fn newer_sheets_end_what_older_ones_say() {
        check(&[(1, 0, OPEN, 1), (2, 50, OPEN, 2)], &[], &[], &[(2, 50, OPEN, 2), (1, 0, OPEN, 1)]);
        check(&[(1, 0, OPEN, 1), (2, 50, OPEN, 0)], &[], &[], &[(1, 0, 50, 1)]);
        // A withdrawal takes future rates of older sheets with it, and a newer sheet brings it back.
        check(
            &[(1, 0, OPEN, 1), (1, 80, OPEN, 2), (2, 50, OPEN, 0), (3, 90, OPEN, 3)],
            &[],
            &[],
            &[(3, 90, OPEN, 3), (1, 0, 50, 1)],
        );
        // A full sheet replaces what older ones plan for later; a partial one does not.
        let planned = [(1, 0, OPEN, 1), (1, 80, OPEN, 2), (2, 50, OPEN, 3)];
        check(&planned, &[2], &[], &[(2, 50, OPEN, 3), (1, 0, 50, 1)]);
        check(&planned, &[], &[], &[(1, 80, OPEN, 2), (2, 50, OPEN, 3), (1, 0, OPEN, 1)]);
        check(&[(1, 10, OPEN, 1), (1, 60, OPEN, 0)], &[], &[], &[(1, 10, 60, 1)]);
    }

    #[test]
    fn a_sheet_rolled_back_counts_until_then() {
        check(
            &[(1, 0, OPEN, 1), (2, 50, OPEN, 2)],
            &[2],
            &[(2, 70)],
            &[(1, 70, OPEN, 1), (2, 50, 70, 2), (1, 0, 50, 1)],
        );
        // Before it began: as if it had never come.
        check(&[(1, 0, OPEN, 1), (2, 50, OPEN, 2)], &[2], &[(2, 40)], &[(1, 0, OPEN, 1)]);
        check(
            &[(1, 0, OPEN, 1), (2, 50, OPEN, 0)],
            &[],
            &[(2, 70)],
            &[(1, 70, OPEN, 1), (1, 0, 50, 1)],
        );
        // A newer sheet stays.
        check(
            &[(1, 0, OPEN, 1), (2, 50, OPEN, 2), (3, 60, OPEN, 3)],
            &[2, 3],
            &[(2, 70)],
            &[(3, 60, OPEN, 3), (2, 50, 60, 2), (1, 0, 50, 1)],
        );
    }
}
