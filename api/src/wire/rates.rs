//! Rate groups, rates and sheets on the wire.

use serde::Serialize;
use serde_json::Value;
use sheets::{Reading, RowKind, TableReport};
use store::directory as rows;
use store::moment::format_utc;
use store::rate_deck::{SheetRow, StoredLayout, StoredSheet};

#[derive(Serialize)]
pub(crate) struct RateGroup {
    name: String,
    currency: String,
    rounding: &'static str,
    decimals: u8,
    line_rounding: Option<Rounding>,
    invoice_rounding: Rounding,
    tax_rounding: &'static str,
    prices_include_tax: bool,
    rate_by: &'static str,
    duration_rounding: Option<&'static str>,
    defaults: Value,
    rates: u64,
}

#[derive(Serialize)]
struct Rounding {
    mode: &'static str,
    decimals: u8,
}

impl From<rows::Rounding> for Rounding {
    fn from(rounding: rows::Rounding) -> Rounding {
        Rounding { mode: rounding.mode.as_str(), decimals: rounding.decimals }
    }
}

impl From<rows::RateGroup> for RateGroup {
    fn from(group: rows::RateGroup) -> RateGroup {
        RateGroup {
            name: group.name,
            currency: group.currency,
            rounding: group.rounding.mode.as_str(),
            decimals: group.rounding.decimals,
            line_rounding: group.line.map(Rounding::from),
            invoice_rounding: group.invoice.into(),
            tax_rounding: group.tax.as_str(),
            prices_include_tax: group.prices_include_tax,
            rate_by: group.rate_by.as_str(),
            duration_rounding: group.duration.map(rows::DurationRounding::as_str),
            defaults: group.defaults,
            rates: group.rate_count,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Rate {
    prefix: String,
    destination: String,
    price: String,
    per_seconds: u32,
    connect_fee: String,
    first_increment: u32,
    next_increment: u32,
    grace_seconds: u32,
    free_seconds: u32,
    minimum_seconds: u32,
    minimum_charge: String,
    /// What it has beyond them, as in a tariff.
    special_terms: Option<Value>,
    blocked: bool,
    valid_from: Option<String>,
    valid_till: Option<String>,
    sheet: u32,
}

impl From<SheetRow> for Rate {
    fn from(row: SheetRow) -> Rate {
        let rate = row.rate.rate;
        Rate {
            prefix: row.rate.prefix,
            destination: row.destination,
            price: rate.price.to_string(),
            per_seconds: rate.unit_seconds,
            special_terms: row.rate.special.as_deref().map(sheets::special_json),
            connect_fee: rate.connect_fee.to_string(),
            first_increment: rate.first_increment,
            next_increment: rate.next_increment,
            grace_seconds: rate.grace_seconds,
            free_seconds: rate.free_seconds,
            minimum_seconds: rate.minimum_seconds,
            minimum_charge: rate.minimum_charge.to_string(),
            blocked: rate.is_blocked,
            valid_from: row.rate.valid_from.map(format_utc),
            valid_till: row.rate.valid_till.map(format_utc),
            sheet: row.rate.sheet_version,
        }
    }
}

/// A sheet that was imported, or with `imported` false would be.
#[derive(Serialize)]
pub(crate) struct Sheet {
    id: Option<u64>,
    rate_group: String,
    file: String,
    vendor: String,
    imported: bool,
    imported_at: Option<String>,
    begins_at: String,
    full: bool,
    rolls_back: Option<u64>,
    /// Rates, not rows of the file.
    rows: u64,
    rows_in: u64,
    accepted: u64,
    repaired: u64,
    merged: u64,
    rejected: u64,
    added: u64,
    removed: u64,
    increased: u64,
    decreased: u64,
    changed: u64,
    blocked: u64,
    unchanged: u64,
}

impl From<StoredSheet> for Sheet {
    fn from(sheet: StoredSheet) -> Sheet {
        let (tally, movements) = (sheet.tally, sheet.movements);
        Sheet {
            id: (sheet.id > 0).then_some(sheet.id),
            rate_group: sheet.group,
            file: sheet.file,
            vendor: sheet.vendor,
            imported: sheet.id > 0,
            imported_at: (sheet.id > 0).then(|| format_utc(sheet.imported_at)),
            begins_at: format_utc(sheet.begins_at),
            full: sheet.is_full,
            rolls_back: sheet.rolls_back,
            rows: sheet.row_count,
            rows_in: tally.rows_in,
            accepted: tally.accepted,
            repaired: tally.changed,
            merged: tally.merged,
            rejected: tally.rejected,
            added: movements.added,
            removed: movements.removed,
            increased: movements.increased,
            decreased: movements.decreased,
            changed: movements.changed,
            blocked: movements.blocked,
            unchanged: movements.unchanged,
        }
    }
}

/// All that an import has to say.
#[derive(Serialize)]
pub(crate) struct SheetReport {
    #[serde(flatten)]
    pub(crate) sheet: Sheet,
    form: String,
    encoding: &'static str,
    currency: Option<String>,
    /// Lines of the file that bring no rates and should not.
    blank: u64,
    header: u64,
    preamble: u64,
    remarks: u64,
    outside: u64,
    lines: u64,
    warnings: Vec<String>,
    worksheets: Vec<Worksheet>,
    /// The rows that were asked for.
    verdicts: Vec<SheetVerdict>,
    verdicts_untold: u64,
    /// Given as `rows_after`, it goes on.
    verdicts_next: Option<String>,
    /// The rates that change, as they were asked for.
    moves: Vec<RateChange>,
    moves_untold: u64,
    /// Given as `moves_after`, it goes on.
    moves_next: Option<String>,
}

/// A page of what an import has to say.
pub(crate) struct Told<T> {
    pub(crate) items: Vec<T>,
    /// How many follow.
    pub(crate) untold: u64,
    /// Where; none if nothing does.
    pub(crate) next: Option<String>,
}

#[derive(Serialize)]
struct Worksheet {
    name: String,
    header_row: Option<u32>,
    removals: bool,
    not_read: Option<String>,
    columns: Vec<SheetColumn>,
}

#[derive(Serialize)]
struct SheetColumn {
    header: String,
    role: Option<&'static str>,
}

/// What became of a row of a file.
#[derive(Serialize)]
pub(crate) struct SheetVerdict {
    worksheet: String,
    row: u32,
    verdict: &'static str,
    notes: Vec<SheetNote>,
    cells: Vec<String>,
}

#[derive(Serialize)]
struct SheetNote {
    column: String,
    detail: String,
}

/// The verdicts of the rows that `take` wants, in their order.
pub(crate) fn verdicts(
    reading: &Reading,
    take: impl Fn(RowKind) -> bool,
) -> impl Iterator<Item = SheetVerdict> {
    let rows = reading.rows().filter(move |(_, _, kind)| take(*kind));
    rows.map(|(table, row, kind)| {
        let (report, cells) = (&reading.tables[table], &reading.workbook.tables[table]);
        let note = |note: &sheets::Note| SheetNote {
            column: column(report, note.column),
            detail: note.text.clone(),
        };
        SheetVerdict {
            worksheet: cells.name().to_owned(),
            row: cells.line(row),
            verdict: kind.as_str(),
            notes: report.notes_of(row).iter().map(note).collect(),
            cells: cells.row(row).map(|cell| cell.text.to_owned()).collect(),
        }
    })
}

/// A column's name in a message.
pub(crate) fn column(report: &TableReport, at: Option<u16>) -> String {
    let column = at.and_then(|at| report.columns.get(usize::from(at)));
    column.map_or(String::new(), |column| column.header.clone())
}

impl SheetReport {
    pub(crate) fn new(
        stored: StoredSheet,
        reading: &Reading,
        warnings: Vec<String>,
        verdicts: Told<SheetVerdict>,
        moves: Told<RateChange>,
    ) -> SheetReport {
        let tally = reading.tally;
        let worksheet = |(report, table): (&TableReport, &sheets::Table)| Worksheet {
            name: table.name().to_owned(),
            header_row: report.header_line,
            removals: report.is_removal,
            not_read: report.outside.clone(),
            columns: report
                .columns
                .iter()
                .map(|column| SheetColumn {
                    header: column.header.clone(),
                    role: column.role.map(sheets::Role::as_str),
                })
                .collect(),
        };
        SheetReport {
            sheet: Sheet::from(stored),
            form: reading.workbook.form.to_string(),
            encoding: reading.workbook.encoding,
            currency: reading.currency.clone(),
            blank: tally.blank,
            header: tally.header,
            preamble: tally.preamble,
            remarks: tally.remarks,
            outside: tally.outside,
            lines: tally.lines,
            warnings,
            worksheets: reading
                .tables
                .iter()
                .zip(&reading.workbook.tables)
                .map(worksheet)
                .collect(),
            verdicts: verdicts.items,
            verdicts_untold: verdicts.untold,
            verdicts_next: verdicts.next,
            moves: moves.items,
            moves_untold: moves.untold,
            moves_next: moves.next,
        }
    }
}

/// A rate that changes.
#[derive(Serialize)]
pub(crate) struct RateChange {
    prefix: String,
    destination: String,
    change: &'static str,
    at: String,
    price_before: Option<String>,
    price_after: Option<String>,
    /// All else, in words.
    terms_before: Option<String>,
    terms_after: Option<String>,
    short_notice: bool,
}

impl From<sheets::RateMove> for RateChange {
    fn from(moved: sheets::RateMove) -> RateChange {
        RateChange {
            prefix: moved.prefix.to_string(),
            destination: moved.name.into(),
            change: moved.movement.as_str(),
            at: format_utc(sheets::moment(moved.at)),
            terms_before: moved.before.as_ref().map(sheets::described),
            terms_after: moved.after.as_ref().map(sheets::described),
            price_before: moved.before.map(|terms| terms.rate.price.to_string()),
            price_after: moved.after.map(|terms| terms.rate.price.to_string()),
            short_notice: moved.is_short_notice,
        }
    }
}

/// A vendor's layout.
#[derive(Serialize)]
pub(crate) struct Layout {
    vendor: String,
    changed_at: String,
    layout: sheets::Layout,
}

impl From<StoredLayout> for Layout {
    fn from(stored: StoredLayout) -> Layout {
        let changed_at = format_utc(stored.changed_at);
        Layout { vendor: stored.vendor, changed_at, layout: stored.layout }
    }
}
