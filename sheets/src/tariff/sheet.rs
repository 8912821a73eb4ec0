//! A tariff as a rate sheet: each destination is a row with a verdict, as in any other file.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use foldhash::fast::FixedState;
use serde_json::value::RawValue;
use vocabulary::Utc;

use super::{Defaults, Tariff, TariffError, TariffRow};
use crate::deck::{DeckBuilder, DeckRow, OPEN, WITHDRAWN, second};
use crate::header::Column;
use crate::layout::Layout;
use crate::mapping::{Reading, SheetError};
use crate::prefix::Prefix;
use crate::reading::{Form, ReadError, Workbook};
use crate::report::{Note, RowKind, TableReport, Tally};
use crate::table::{CellKind, TableBuilder};
use crate::words::{Claim, Role};

/// Of a destination that cannot be read, so much is shown.
const RAW_CHARS_MAX: usize = 200;

/// Is it a JSON document, whatever it is called?
pub(crate) fn is_tariff(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// Where a prefix with a start was first seen.
struct Seen {
    row: u32,
    till: u32,
    terms: u32,
}

struct Gathering {
    builder: DeckBuilder,
    seen: HashMap<(Prefix, u32), Seen, FixedState>,
    report: TableReport,
    from_default: u32,
}

/// Reads a tariff. Destinations without a date begin at `valid_from`.
pub(crate) fn interpret(
    bytes: &[u8],
    layout: &Layout,
    defaults: &Defaults,
    valid_from: Utc,
) -> Result<Reading, SheetError> {
    let tariff = Tariff::read(bytes)?;
    check_is_of_rates(&tariff)?;
    let columns = [
        ("prefix", Role::Code),
        ("destination", Role::Destination),
        ("price", Role::Price),
        ("special_terms", Role::SpecialTerms),
    ];
    let column = |(header, role): (&str, Role)| Column { header: header.into(), role: Some(role) };
    let mut gathering = Gathering {
        builder: DeckBuilder::default(),
        seen: HashMap::with_hasher(FixedState::default()),
        report: TableReport { columns: columns.map(column).into(), ..TableReport::default() },
        from_default: second(valid_from),
    };
    let mut table = TableBuilder::new("");
    for (index, row) in tariff.rows(defaults).enumerate() {
        table.row(index as u32 + 1);
        cells(&mut table, &row, tariff.destinations[index]);
        let kind = gathering.enter(index as u32, row);
        gathering.report.kinds.push(kind);
    }
    let mut tally = Tally::default();
    gathering.report.kinds.iter().for_each(|kind| tally.add(*kind));
    let table = table.build().ok_or_else(|| ReadError::TooLarge {
        table: "destinations".to_owned(),
        columns: columns.len(),
    })?;
    let workbook = Workbook {
        form: Form::Tariff,
        encoding: "UTF-8",
        has_unreadable_characters: false,
        tables: vec![table],
    };
    let currency = layout.currency.clone().unwrap_or_else(|| tariff.currency.code().to_owned());
    Ok(Reading {
        workbook,
        tables: vec![gathering.report],
        tally,
        deck: gathering.builder.build(),
        currency: Some(currency),
        warnings: Vec::new(),
    })
}

/// What a tariff may say that is not of rates is not dropped silently.
fn check_is_of_rates(tariff: &Tariff<'_>) -> Result<(), SheetError> {
    let own = tariff.currency.code();
    if tariff.account_currency.is_some_and(|currency| currency.code() != own) {
        let what = "is the account's: leave it out here, and set the exchange rate with `tandem \
                    exchange set`";
        return Err(TariffError::new("account_currency", what).into());
    }
    if !tariff.discounts.is_empty() {
        let what = "are of accounts, not of rates: leave them out here, and give them with `tandem \
                    discount add`";
        return Err(TariffError::new("discounts", what).into());
    }
    if tariff.taxes.is_some() {
        let what =
            "are of accounts, not of rates: leave them out here, and set them with `tandem tax`";
        return Err(TariffError::new("taxes", what).into());
    }
    Ok(())
}

/// The row as it is shown beside its verdict.
fn cells(table: &mut TableBuilder, row: &Result<TariffRow, TariffError>, raw: &RawValue) {
    let mut cell = |text: &str| table.cell(text, CellKind::Text);
    match row {
        Ok(row) => {
            cell(&if row.prefix.is_empty() { "*".to_owned() } else { row.prefix.to_string() });
            cell(&row.destination);
            cell(&row.terms.as_ref().map_or(String::new(), |terms| terms.rate.price.to_string()));
            let special = row.terms.as_ref().and_then(|terms| terms.special.as_deref());
            cell(
                &special.map_or(String::new(), |special| super::special_json(special).to_string()),
            );
        }
        Err(_) => cell(&raw.get().chars().take(RAW_CHARS_MAX).collect::<String>()),
    }
}

impl Gathering {
    fn enter(&mut self, index: u32, row: Result<TariffRow, TariffError>) -> RowKind {
        let row = match row {
            Ok(row) => row,
            Err(error) => return self.note(index, error.to_string(), RowKind::Rejected),
        };
        let from = row.valid_from.map_or(self.from_default, second);
        let till = row.valid_till.map_or(OPEN, second);
        if till <= from {
            let what = "valid_till: is not after the rate's start".to_owned();
            return self.note(index, what, RowKind::Rejected);
        }
        let terms = row.terms.map_or(WITHDRAWN, |terms| self.builder.terms_with(terms));
        let prefix = row.prefix;
        let claim = if terms == WITHDRAWN { Claim::Removed } else { Claim::Nothing };
        match self.seen.entry((prefix, from)) {
            Entry::Vacant(place) => {
                place.insert(Seen { row: index, till, terms });
                let name = self.builder.name(&row.destination);
                let (source, table) = (index, 0);
                self.builder.row(DeckRow { prefix, from, till, terms, name, source, table, claim });
                RowKind::Accepted
            }
            Entry::Occupied(seen) => {
                let (line, seen) = (seen.get().row + 1, seen.get());
                if (seen.till, seen.terms) == (till, terms) {
                    return self.note(index, format!("says what row {line} says"), RowKind::Merged);
                }
                let what = format!(
                    "{prefix} with this start has other terms in row {line}; remove one of them"
                );
                self.note(index, what, RowKind::Rejected)
            }
        }
    }

    fn note(&mut self, row: u32, text: String, kind: RowKind) -> RowKind {
        let is_fault = kind == RowKind::Rejected;
        self.report.notes.push(Note { row, column: None, text, is_fault });
        kind
    }
}
