//! From the tables of a carrier's file to its calls, with a reason for every row that is none.

use std::time::Duration;

use billing::Price;
use vocabulary::Utc;

use super::layout::{Clock, DurationUnit, StatementLayout, StatementRole, role};
use crate::cell::moment::{self, DateOrder, Moment};
use crate::cell::price::{self, DecimalSign, ExcessDecimals, PriceCell, PriceForm};
use crate::layout::PriceUnit;
use crate::mapping::SheetError;
use crate::reading::{self, Workbook};
use crate::table::{Cell, CellKind, Table};
use crate::words::plain;

/// Rows that are searched for the header.
const ROWS_SEARCHED: usize = 300;

/// A call as the carrier counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TheirCall {
    /// Its row's place: the table and the row in it.
    pub row: (u16, u32),
    /// The line of the file.
    pub line: u32,
    /// Its start, answer or end, as the layout says.
    pub at: Utc,
    /// The caller, as it is compared; empty if it is not said.
    pub cli: String,
    /// The called number, as it is compared.
    pub cld: String,
    /// Its duration.
    pub duration: Duration,
    /// Its price a minute.
    pub rate: Option<Decimal>,
    /// What it costs.
    pub amount: Option<Decimal>,
}

/// A number of at most nine decimals, and how many of them were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// In billionths.
    pub nanos: i64,
    /// Decimals that were written, at most nine: what lies behind them was rounded away.
    pub decimals: u8,
}

/// A row that is no call, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// The table and the row in it.
    pub row: (u16, u32),
    /// The line of the file.
    pub line: u32,
    /// What is wrong and how to mend it.
    pub why: String,
}

/// A file that was read. `lines = calls + rejected + others`.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The file's cells.
    pub workbook: Workbook,
    /// What was found of its columns, table by table: header and role.
    pub columns: Vec<Vec<(String, Option<StatementRole>)>>,
    /// Its calls, in its order.
    pub calls: Vec<TheirCall>,
    /// Its rows that are no calls, in its order.
    pub rejected: Vec<RejectedRow>,
    /// Lines of the file.
    pub lines: u64,
    /// Of them headers, blank lines, lines above headers, of other worksheets, and sums below.
    pub others: u64,
    /// What an operator should look at.
    pub warnings: Vec<String>,
}

/// Reads a carrier's call records. Amounts in another currency than `currency` are refused.
pub fn read_statement(
    bytes: &[u8],
    layout: &StatementLayout,
    currency: &str,
) -> Result<Statement, SheetError> {
    layout.validate().map_err(SheetError::Layout)?;
    let delimiter = layout.delimiter.and_then(|c| u8::try_from(c).ok());
    let workbook = reading::read(bytes, layout.encoding.as_deref(), delimiter)?;
    let clock = layout.clock().map_err(SheetError::Layout)?;
    let mut statement = Statement {
        workbook,
        columns: Vec::new(),
        calls: Vec::new(),
        rejected: Vec::new(),
        lines: 0,
        others: 0,
        warnings: Vec::new(),
    };
    let tables = std::mem::take(&mut statement.workbook.tables);
    let mut has_calls = false;
    for (number, table) in (0_u16..).zip(&tables) {
        statement.lines += table.len() as u64;
        let is_wanted = layout.worksheets.is_empty()
            || layout.worksheets.iter().any(|name| name == table.name());
        let columns = if is_wanted { Columns::find(table, layout)? } else { None };
        let Some(columns) = columns else {
            statement.others += table.len() as u64;
            statement.columns.push(Vec::new());
            continue;
        };
        has_calls = true;
        let reader =
            RowReader { table, number, layout, clock: &clock, currency, columns: &columns };
        reader.read(&mut statement);
        statement.columns.push(columns.headers);
    }
    statement.workbook.tables = tables;
    if !has_calls {
        return Err(SheetError::Layout(
            "no worksheet has a header with times, called numbers and durations; name the columns \
             with `columns` in the layout, such as {\"columns\": {\"Start\": \"time\"}}"
                .to_owned(),
        ));
    }
    if statement.workbook.has_unreadable_characters {
        statement.warnings.push(
            "the file has characters that its encoding does not know; set \
                                 `encoding` in the layout"
                .to_owned(),
        );
    }
    Ok(statement)
}

/// A column with numbers and how they are read.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    at: usize,
    form: PriceForm,
}

/// Everything that is the same for all rows of a table.
struct Columns {
    headers: Vec<(String, Option<StatementRole>)>,
    /// The first row below the header.
    first: usize,
    time: Option<usize>,
    date: Option<usize>,
    clock: Option<usize>,
    order: DateOrder,
    cli: Option<usize>,
    cld: usize,
    duration: Numbers,
    rate: Option<Numbers>,
    amount: Option<Numbers>,
    currency: Option<usize>,
}

impl Columns {
    /// The header that knows the most columns; nothing if none has what is needed.
    fn find(table: &Table, layout: &StatementLayout) -> Result<Option<Columns>, SheetError> {
        if layout.header_row == Some(0) {
            let width = (0..table.len().min(200)).map(|row| table.width(row)).max().unwrap_or(0);
            let headers = (1..=width).map(|at| {
                let name = format!("#{at}");
                let role = layout.columns.get(&name).copied();
                (name, role)
            });
            return Ok(Columns::prepare(table, layout, headers.collect(), 0));
        }
        let mut best: Option<(usize, Columns)> = None;
        for row in 0..table.len().min(ROWS_SEARCHED) {
            if layout.header_row.is_some_and(|line| table.line(row) != line) {
                continue;
            }
            let headers: Vec<_> = table.row(row).map(|cell| header(cell, layout)).collect();
            let known = headers.iter().filter(|(_, role)| role.is_some()).count();
            if best.as_ref().is_some_and(|(most, _)| *most >= known) {
                continue;
            }
            if let Some(columns) = Columns::prepare(table, layout, headers, row + 1) {
                best = Some((known, columns));
            }
        }
        if best.is_none() && layout.header_row.is_some() {
            return Err(SheetError::Layout(format!(
                "row {} is no header with times, called numbers and durations; set `header_row` or \
                 `columns` in the layout",
                layout.header_row.unwrap_or(0)
            )));
        }
        Ok(best.map(|(_, columns)| columns))
    }

    fn prepare(
        table: &Table,
        layout: &StatementLayout,
        headers: Vec<(String, Option<StatementRole>)>,
        first: usize,
    ) -> Option<Columns> {
        use StatementRole as Role;
        let find = |wanted: Role| headers.iter().position(|(_, role)| *role == Some(wanted));
        let (mut time, date, mut clock) = (find(Role::Time), find(Role::Date), find(Role::Clock));
        if let (Some(_), Some(_), None) = (date, time, clock) {
            // `Date` beside `Time`: the one has the day, the other the time of day.
            (clock, time) = (time, None);
        }
        let when = time.or(date)?;
        let is_said =
            |wanted: &str, at: usize| plain(&headers[at].0).split(' ').any(|word| word == wanted);
        let sign = |at: usize| match layout.decimal_sign {
            DecimalSign::Guess => decimal_sign(table, at, first),
            said => said,
        };
        let duration = find(Role::Duration)?;
        let in_minutes = match layout.duration_unit {
            Some(unit) => unit == DurationUnit::Minute,
            None => ["min", "mins", "minutes"].iter().any(|word| is_said(word, duration)),
        };
        let excess = ExcessDecimals::RoundHalfUp;
        let money = |at: usize, is_timed: bool| {
            let per_second = match layout.price_unit {
                Some(unit) => unit == PriceUnit::Second,
                None => is_said("sec", at) || is_said("second", at),
            };
            let in_cents = layout.in_cents.unwrap_or(is_said("cents", at) || is_said("cent", at));
            let times = if per_second && is_timed { 60 } else { 1 };
            let form = PriceForm { sign: sign(at), excess, times, shift: u32::from(in_cents) * 2 };
            Numbers { at, form }
        };
        let times = if in_minutes { 60 } else { 1 };
        let form = PriceForm { sign: sign(duration), excess, times, shift: 0 };
        Some(Columns {
            first,
            time,
            date,
            clock,
            order: order(table, layout, when, first),
            cli: find(Role::Cli),
            cld: find(Role::Cld)?,
            duration: Numbers { at: duration, form },
            rate: find(Role::Rate).map(|at| money(at, true)),
            amount: find(Role::Amount).map(|at| money(at, false)),
            currency: find(Role::Currency),
            headers,
        })
    }
}

fn header(cell: Cell<'_>, layout: &StatementLayout) -> (String, Option<StatementRole>) {
    let name = plain(cell.text);
    let said = layout
        .columns
        .iter()
        .find(|(text, _)| *text == cell.text || (!name.is_empty() && plain(text) == name));
    let role = match said {
        Some((_, role)) => Some(*role),
        None if cell.kind != CellKind::Text => None,
        // What the layout says of one column is not said of another.
        None => role(cell.text).filter(|role| !layout.columns.values().any(|said| said == role)),
    };
    (cell.text.to_owned(), role)
}

fn decimal_sign(table: &Table, at: usize, first: usize) -> DecimalSign {
    let cells = (first..table.len()).map(|row| table.cell(row, at));
    let mut signs = cells.filter_map(|cell| match cell.kind {
        CellKind::Number => Some(DecimalSign::Point),
        _ => price::evidence(cell.text),
    });
    let Some(sign) = signs.next() else { return DecimalSign::Guess };
    if signs.all(|other| other == sign) { sign } else { DecimalSign::Guess }
}

/// Which of two numbers is the day, as the whole column shows.
fn order(table: &Table, layout: &StatementLayout, at: usize, first: usize) -> DateOrder {
    if layout.date_order != DateOrder::Guess {
        return layout.date_order;
    }
    let cells = (first..table.len()).map(|row| table.cell(row, at));
    let mut orders = cells.filter_map(|cell| moment::evidence(cell.text));
    let Some(order) = orders.next() else { return DateOrder::Guess };
    if orders.all(|other| other == order) { order } else { DateOrder::Guess }
}

struct RowReader<'a> {
    table: &'a Table,
    number: u16,
    layout: &'a StatementLayout,
    clock: &'a Clock,
    currency: &'a str,
    columns: &'a Columns,
}

impl RowReader<'_> {
    fn read(&self, statement: &mut Statement) {
        statement.others += self.columns.first as u64;
        for row in self.columns.first..self.table.len() {
            if self.is_other(row) {
                statement.others += 1;
                continue;
            }
            let line = self.table.line(row);
            let place = (self.number, u32::try_from(row).unwrap_or(u32::MAX));
            match self.call(row) {
                Ok(call) => statement.calls.push(TheirCall { row: place, line, ..call }),
                Err(why) => statement.rejected.push(RejectedRow { row: place, line, why }),
            }
        }
    }

    fn cell(&self, row: usize, column: Option<usize>) -> Cell<'_> {
        column.map_or(Cell::EMPTY, |column| self.table.cell(row, column))
    }

    /// Blank, the header again, or a line of sums: it names neither a time nor a number.
    fn is_other(&self, row: usize) -> bool {
        let columns = self.columns;
        let when = self.cell(row, columns.time.or(columns.date));
        let cld = self.table.cell(row, columns.cld);
        let is_total = |text: &str| {
            let text = plain(text);
            ["total", "totals", "sum", "grand total", "summe", "gesamt"].contains(&text.as_str())
        };
        (cld.is_empty() && (when.is_empty() || is_total(when.text)))
            || self
                .table
                .row(row)
                .zip(&columns.headers)
                .all(|(cell, (header, _))| cell.text == header)
                && self.table.width(row) == columns.headers.len()
    }

    fn fault(&self, column: usize, why: &str) -> String {
        let header = self.columns.headers.get(column).map_or("", |(header, _)| header.as_str());
        format!("column {header:?}: {why}")
    }

    fn call(&self, row: usize) -> Result<TheirCall, String> {
        let columns = self.columns;
        let currency = self.cell(row, columns.currency).text;
        let currency = self.layout.currency.as_deref().unwrap_or(currency);
        if !currency.is_empty() && !currency.eq_ignore_ascii_case(self.currency) {
            return Err(format!(
                "it is in {currency}, and the carrier is booked in {}; set `currency` in the layout \
                 if the file is wrong",
                self.currency
            ));
        }
        let cld = self.table.cell(row, columns.cld);
        let cld = self.layout.number(&digits(cld)).ok_or_else(|| {
            self.fault(columns.cld, &format!("{:?} is no telephone number", cld.text))
        })?;
        let cli = self.cell(row, columns.cli);
        let duration = self.duration(row)?;
        let (rate, amount) = (self.decimal(row, columns.rate)?, self.decimal(row, columns.amount)?);
        let at = self.moment(row)?;
        let cli = self.layout.number(&digits(cli)).unwrap_or_default();
        Ok(TheirCall { row: (0, 0), line: 0, at, cli, cld, duration, rate, amount })
    }

    fn moment(&self, row: usize) -> Result<Utc, String> {
        let columns = self.columns;
        let column = columns.time.or(columns.date).unwrap_or_default();
        let date = self.table.cell(row, column);
        let clock = self.cell(row, columns.clock);
        let text = match (clock.is_empty(), clock.kind) {
            (true, _) => date.text.to_owned(),
            // A spreadsheet's time of day has a date that means nothing.
            (false, CellKind::Moment) => {
                let day = date.text.split('T').next().unwrap_or_default();
                let time = clock.text.split('T').nth(1).unwrap_or(clock.text);
                format!("{day} {time}")
            }
            (false, _) => {
                let day = match date.kind {
                    CellKind::Moment => date.text.split('T').next().unwrap_or_default(),
                    _ => date.text,
                };
                format!("{day} {}", clock.text)
            }
        };
        // Unix time is common in call records.
        if let Some(micros) = unix(&text) {
            return Ok(Utc(micros));
        }
        // Read as if the clock were an hour ahead, a time that names its zone stays where it is.
        let read = |offset| moment::read(&text, columns.order, offset);
        let fault = |why: String| self.fault(column, &why);
        match (read(0).map_err(fault)?, read(-3_600).map_err(fault)?) {
            (Moment::At(at), Moment::At(shifted)) if at == shifted => Ok(at),
            (Moment::At(at), _) => Ok(Utc(self.clock.utc(at.seconds()) * 1_000_000)),
            _ => Err(self.fault(column, "there is no time; write 2026-12-01 08:00:00")),
        }
    }

    fn duration(&self, row: usize) -> Result<Duration, String> {
        let Numbers { at, form } = self.columns.duration;
        let cell = self.table.cell(row, at);
        let text = match cell.kind {
            // A spreadsheet's duration is a time of day.
            CellKind::Moment => cell.text.split('T').nth(1).unwrap_or_default(),
            _ => cell.text,
        };
        let wrong = || self.fault(at, &format!("{:?} is no duration; write 65 or 1:05", cell.text));
        if text.contains(':') {
            return clock(text).ok_or_else(wrong);
        }
        match price::read(text, form) {
            Ok(PriceCell::Price(seconds, _)) => {
                Ok(Duration::from_nanos(seconds.nanos().cast_unsigned()))
            }
            _ => Err(wrong()),
        }
    }

    fn decimal(&self, row: usize, column: Option<Numbers>) -> Result<Option<Decimal>, String> {
        let Some(Numbers { at, form }) = column else { return Ok(None) };
        let text = self.table.cell(row, at).text;
        match price::read(text, form) {
            Ok(PriceCell::Price(price, _)) => Ok(Some(Decimal::of(price, text, form))),
            Ok(PriceCell::Empty) => Ok(None),
            Ok(PriceCell::Blocked) => Err(self.fault(at, &format!("{text:?} is no amount"))),
            Err(why) => Err(self.fault(at, &why)),
        }
    }
}

impl Decimal {
    fn of(price: Price, text: &str, form: PriceForm) -> Decimal {
        let sign = if form.sign == DecimalSign::Comma { ',' } else { '.' };
        let written = text
            .rsplit_once(sign)
            .map_or(0, |(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count());
        // With an exponent or per second nothing is known to be rounded away.
        let is_exact = form.times != 1 || text.contains(['e', 'E']);
        let decimals = if is_exact { 9 } else { (written + form.shift as usize).min(9) };
        Decimal { nanos: price.nanos(), decimals: decimals as u8 }
    }

    /// Is this number of billionths written so, rounded in whatever way?
    pub fn may_be(self, nanos: i64) -> bool {
        let place = 10_u64.pow(9 - u32::from(self.decimals.min(9)));
        // Our amounts end at millionths.
        self.nanos.abs_diff(nanos) < place.max(1_000)
    }
}

/// A number that a spreadsheet has made a fraction of.
fn digits(cell: Cell<'_>) -> String {
    match cell.kind {
        CellKind::Number => cell.text.strip_suffix(".0").unwrap_or(cell.text).to_owned(),
        _ => cell.text.to_owned(),
    }
}

/// `1:05`, `0:01:05`, with decimals of a second or without.
fn clock(text: &str) -> Option<Duration> {
    let (clock, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let mut seconds = 0_u64;
    let mut fields = 0;
    for field in clock.split(':') {
        let value: u64 = field.trim().parse().ok()?;
        if fields > 0 && value > 59 {
            return None;
        }
        seconds = seconds.checked_mul(60)?.checked_add(value)?;
        fields += 1;
    }
    let fraction: String = fraction.chars().take(6).collect();
    let micros: u64 =
        if fraction.is_empty() { 0 } else { format!("{fraction:0<6}").parse().ok()? };
    (2..=3).contains(&fields).then(|| Duration::from_secs(seconds) + Duration::from_micros(micros))
}

/// Seconds, milliseconds or microseconds since 1970, between 2001 and 2096, as microseconds.
fn unix(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let value: i64 = whole.parse().ok()?;
    let micros = match whole.len() {
        10 => value.checked_mul(1_000_000)?,
        13 => value.checked_mul(1_000)?,
        16 => value,
        _ => return None,
    };
    let part: i64 = match whole.len() {
        10 if !fraction.is_empty() => format!("{fraction:0<9}").parse::<i64>().ok()? / 1_000,
        _ => 0,
    };
    Some(micros + part).filter(|micros| *micros < 4_000_000_000_000_000)
}
