//! What holds for whole columns: where they are, which sign their decimals have, which order their
//! dates, and what stands above the header.

use vocabulary::Utc;

use crate::cell::moment::{self, DateOrder, Moment};
use crate::cell::price::{self, DecimalSign, PriceForm};
use crate::deck::second;
use crate::header::Header;
use crate::layout::{Layout, PriceChoice, PriceUnit};
use crate::prefix::Prefix;
use crate::table::{CellKind, Table};
use crate::words::{self, Role, plain};

use super::special::SpecialColumns;

/// A column with prices and how they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct PriceColumn {
    pub(super) at: usize,
    pub(super) form: PriceForm,
}

/// A column with dates and how they are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct DateColumn {
    pub(super) at: usize,
    pub(super) order: DateOrder,
}

/// Everything that is the same for all rows of a table.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) country: Option<usize>,
    pub(super) destination: Option<usize>,
    pub(super) country_code: Option<usize>,
    pub(super) area_code: Option<usize>,
    pub(super) code: Option<usize>,
    /// Codes stand behind the country's code.
    pub(super) is_split: bool,
    pub(super) fills_down: bool,
    /// The prices that count.
    pub(super) prices: Vec<PriceColumn>,
    pub(super) is_lowest: bool,
    pub(super) connect_fee: Option<PriceColumn>,
    pub(super) minimum_charge: Option<PriceColumn>,
    pub(super) increments: Option<usize>,
    pub(super) first_increment: Option<usize>,
    pub(super) next_increment: Option<usize>,
    pub(super) minimum_seconds: Option<usize>,
    pub(super) grace_seconds: Option<usize>,
    pub(super) free_seconds: Option<usize>,
    pub(super) per_seconds: Option<usize>,
    pub(super) special: SpecialColumns,
    pub(super) valid_from: Option<DateColumn>,
    pub(super) valid_till: Option<DateColumn>,
    pub(super) status: Option<usize>,
    pub(super) blocked: Option<usize>,
    pub(super) comment: Option<usize>,
    pub(super) offset: i64,
    pub(super) increments_default: (Option<u32>, Option<u32>),
    /// For rows without a date, and for those that say "immediately".
    pub(super) from_default: u32,
    pub(super) now: u32,
    pub(super) currency: Option<String>,
    pub(super) warnings: Vec<String>,
}

impl Columns {
    pub(super) fn prepare(
        table: &Table,
        header: &Header,
        layout: &Layout,
        valid_from: Utc,
    ) -> Result<Columns, String> {
        let first = header.row.map_or(0, |row| row + 1);
        let offset = layout.offset()?;
        let prices = prices(table, header, layout, first)?;
        let priced = |role, is_timed| {
            header.find(role).map(|at| {
                let form = price_form(table, header, layout, at, first, is_timed);
                PriceColumn { at, form }
            })
        };
        let fee = |role: Role| priced(role, role.is_price());
        let dates = |role| {
            header.find(role).map(|at| DateColumn { at, order: order(table, layout, at, first) })
        };
        let mut warnings = warnings(header, layout, &prices);
        let preamble = preamble_date(table, header, layout, offset)?;
        if let Some(at) = preamble {
            warnings.push(format!(
                "rows without a date begin at {}, as stated above the header",
                moment::format(at)
            ));
        }
        let mut columns = Columns {
            country: header.find(Role::Country),
            destination: header.find(Role::Destination),
            country_code: header.find(Role::CountryCode),
            area_code: header.find(Role::AreaCode),
            code: header.find(Role::Code),
            is_split: false,
            fills_down: false,
            prices,
            is_lowest: layout.price == PriceChoice::Lowest,
            connect_fee: fee(Role::ConnectFee),
            minimum_charge: fee(Role::MinimumCharge),
            increments: header.find(Role::Increments),
            first_increment: header.find(Role::FirstIncrement),
            next_increment: header.find(Role::NextIncrement),
            minimum_seconds: header.find(Role::MinimumSeconds),
            grace_seconds: header.find(Role::GraceSeconds),
            free_seconds: header.find(Role::FreeSeconds),
            per_seconds: header.find(Role::PerSeconds),
            special: SpecialColumns::prepare(header, layout, fee)?,
            valid_from: dates(Role::ValidFrom),
            valid_till: dates(Role::ValidTill),
            status: header.find(Role::Status),
            blocked: header.find(Role::Blocked),
            comment: header.find(Role::Comment),
            offset,
            increments_default: (layout.first_increment, layout.next_increment),
            from_default: second(preamble.unwrap_or(valid_from)),
            now: second(valid_from),
            currency: currency(table, header, first),
            warnings,
        };
        columns.split(table, layout, first);
        Ok(columns)
    }

    /// Finds out whether codes stand behind a country's code, and whether an empty country cell
    /// means the one above.
    fn split(&mut self, table: &Table, layout: &Layout, first: usize) {
        let Some(country) = self.country_code else { return };
        let rows = first..table.len();
        let (mut filled, mut empty) = (0_u32, 0_u32);
        let (mut alike, mut compared) = (0_u32, 0_u32);
        for row in rows {
            let code = self.code.or(self.area_code).map_or("", |at| table.cell(row, at).text);
            let cc = table.cell(row, country).text.trim_start_matches(['+', '\'']);
            if code.is_empty() {
                continue;
            }
            if cc.is_empty() {
                empty += 1;
                continue;
            }
            filled += 1;
            compared += 1;
            alike += u32::from(code.trim_start_matches(['+', '\'']).starts_with(cc));
        }
        let includes = compared > 0 && alike * 100 >= compared * 95;
        let includes = layout.codes_include_country.unwrap_or(includes);
        self.is_split = (self.code.is_some() || self.area_code.is_some()) && !includes;
        if self.area_code.is_some() && layout.codes_include_country.is_none() {
            // Called an area code, it is one, unless every row says otherwise.
            self.is_split = compared == 0 || alike < compared;
        }
        let starts_filled = (first..table.len())
            .find(|row| !table.is_blank(*row))
            .is_some_and(|row| !table.cell(row, country).is_empty());
        self.fills_down =
            layout.fill_down.unwrap_or(starts_filled && empty * 10 >= filled * 3 && empty > 0);
    }

    /// The digits of a country's cell.
    pub(super) fn country_digits(text: &str) -> Option<Prefix> {
        let digits = text.trim_start_matches(['+', '\'', ' ']);
        let digits = digits.strip_suffix(".0").unwrap_or(digits);
        let digits = digits.strip_prefix("00").unwrap_or(digits);
        digits.parse().ok()
    }
}

/// What an operator should know about the columns.
fn warnings(header: &Header, layout: &Layout, prices: &[PriceColumn]) -> Vec<String> {
    let mut warnings = Vec::new();
    if prices.len() > 1 {
        let which = if layout.price == PriceChoice::Lowest { "lowest" } else { "highest" };
        let names: Vec<&str> =
            prices.iter().map(|p| header.columns[p.at].header.as_str()).collect();
        let is_of_period =
            |p: &PriceColumn| header.columns[p.at].role.is_some_and(Role::is_price_of_period);
        let field = if prices.iter().any(is_of_period) { "periods" } else { "price" };
        warnings.push(format!(
            "of the prices {} the {which} counts; set `{field}` in the layout for another",
            names.join(", ")
        ));
    }
    let unknown: Vec<&str> = header
        .columns
        .iter()
        .filter(|column| column.role.is_none() && !column.header.is_empty())
        .map(|column| column.header.as_str())
        .collect();
    if !unknown.is_empty() {
        warnings.push(format!("columns that are not used: {}", unknown.join(", ")));
    }
    warnings
}

/// The columns with prices that count.
fn prices(
    table: &Table,
    header: &Header,
    layout: &Layout,
    first: usize,
) -> Result<Vec<PriceColumn>, String> {
    let wanted = match layout.price {
        PriceChoice::Highest | PriceChoice::Lowest => None,
        PriceChoice::Inter => Some(Role::PriceInter),
        PriceChoice::Intra => Some(Role::PriceIntra),
        PriceChoice::Undetermined => Some(Role::PriceUndetermined),
        PriceChoice::Local => Some(Role::PriceLocal),
        PriceChoice::Price => Some(Role::Price),
    };
    let has_off_peak = header.find(Role::PriceOffPeak).is_some();
    let is_wanted = |role: Role| match (&layout.periods, wanted) {
        // The other prices of the week stand for their times.
        (Some(_), _) if has_off_peak => role == Role::PriceOffPeak,
        (Some(_), _) if role.is_price_of_period() => false,
        (_, wanted) => wanted.map_or(role.is_price(), |wanted| wanted == role),
    };
    let columns = header.columns.iter().enumerate();
    let found: Vec<PriceColumn> = columns
        .filter(|(_, column)| column.role.is_some_and(is_wanted))
        .map(|(at, _)| PriceColumn { at, form: price_form(table, header, layout, at, first, true) })
        .collect();
    match (found.is_empty(), wanted) {
        (true, Some(wanted)) if header.has_price() => {
            Err(format!("there is no column {}; set `price` in the layout", wanted.as_str()))
        }
        _ => Ok(found),
    }
}

fn price_form(
    table: &Table,
    header: &Header,
    layout: &Layout,
    at: usize,
    first: usize,
    is_timed: bool,
) -> PriceForm {
    let words = plain(&header.columns[at].header);
    let has = |word: &str| words.split(' ').any(|token| token == word);
    let per_second = match layout.price_unit {
        Some(unit) => unit == PriceUnit::Second,
        None => has("sec") || has("second"),
    };
    let in_cents = layout.price_in_cents.unwrap_or(has("cents") || has("cent"));
    let sign = match layout.decimal_sign {
        DecimalSign::Guess => decimal_sign(table, at, first),
        said => said,
    };
    PriceForm {
        sign,
        excess: layout.excess_decimals,
        times: if per_second && is_timed { 60 } else { 1 },
        shift: if in_cents { 2 } else { 0 },
    }
}

fn decimal_sign(table: &Table, at: usize, first: usize) -> DecimalSign {
    let (mut point, mut comma) = (false, false);
    for row in first..table.len() {
        let cell = table.cell(row, at);
        match price::evidence(cell.text) {
            _ if cell.kind == CellKind::Number => point = true,
            Some(DecimalSign::Point) => point = true,
            Some(DecimalSign::Comma) => comma = true,
            _ => {}
        }
        if point && comma {
            return DecimalSign::Guess;
        }
    }
    match (point, comma) {
        (true, false) => DecimalSign::Point,
        (false, true) => DecimalSign::Comma,
        _ => DecimalSign::Guess,
    }
}

/// The order that the whole column shows.
fn order(table: &Table, layout: &Layout, at: usize, first: usize) -> DateOrder {
    if layout.date_order != DateOrder::Guess {
        return layout.date_order;
    }
    let (mut day, mut month) = (false, false);
    let mut last = "";
    for row in first..table.len() {
        let text = table.cell(row, at).text;
        if text == last {
            continue;
        }
        last = text;
        match moment::evidence(text) {
            Some(DateOrder::DayFirst) => day = true,
            Some(DateOrder::MonthFirst) => month = true,
            _ => {}
        }
    }
    match (day, month) {
        (true, false) => DateOrder::DayFirst,
        (false, true) => DateOrder::MonthFirst,
        _ => header_order(table, at, first),
    }
}

/// `Effective Date (DD/MM/YYYY)` says it.
fn header_order(table: &Table, at: usize, first: usize) -> DateOrder {
    let words = plain(table.cell(first.saturating_sub(1), at).text).replace(' ', "");
    if words.contains("ddmmyy") {
        DateOrder::DayFirst
    } else if words.contains("mmddyy") {
        DateOrder::MonthFirst
    } else {
        DateOrder::Guess
    }
}

/// A date above the header, if it is said to be when the rates begin.
fn preamble_date(
    table: &Table,
    header: &Header,
    layout: &Layout,
    offset: i64,
) -> Result<Option<Utc>, String> {
    for row in 0..header.row.unwrap_or(0) {
        let cells: Vec<&str> =
            table.row(row).map(|cell| cell.text).filter(|t| !t.is_empty()).collect();
        for (at, text) in cells.iter().enumerate() {
            let lower = text.to_lowercase();
            let is_start = [
                "effective",
                "valid from",
                "gültig ab",
                "valid as of",
                "vigencia",
                "applicable from",
            ]
            .iter()
            .any(|word| lower.contains(word));
            if !is_start {
                continue;
            }
            let behind = text.split_once(':').map_or("", |(_, behind)| behind.trim());
            let candidate =
                if behind.is_empty() { cells.get(at + 1).copied().unwrap_or("") } else { behind };
            let candidate = if candidate.is_empty() { trailing_date(text) } else { candidate };
            let mut order = layout.date_order;
            if order == DateOrder::Guess {
                order = moment::evidence(candidate).unwrap_or_default();
            }
            match moment::read(candidate, order, offset) {
                Ok(Moment::At(at)) => return Ok(Some(at)),
                Err(what)
                    if what.contains("date_order") && header.find(Role::ValidFrom).is_none() =>
                {
                    return Err(what);
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

/// `Rates effective from 1 December 2026` ends with a date.
fn trailing_date(text: &str) -> &str {
    text.find(|c: char| c.is_ascii_digit()).map_or("", |at| &text[at..])
}

/// The currency that headers of prices, the text above, or the first rows name.
fn currency(table: &Table, header: &Header, first: usize) -> Option<String> {
    let prices = header.columns.iter().filter(|column| column.role.is_some_and(Role::is_price));
    let in_header = prices.filter_map(|column| words::currency(&column.header)).next();
    let in_rows = || {
        let at = header.find(Role::Currency)?;
        let mut rows = first..table.len();
        rows.find_map(|row| words::currency(table.cell(row, at).text))
    };
    let in_cells = || {
        let at =
            header.columns.iter().position(|column| column.role.is_some_and(Role::is_price))?;
        (first..table.len().min(first + 20))
            .find_map(|row| words::currency(table.cell(row, at).text))
    };
    let above = || {
        (0..header.row.unwrap_or(0)).find_map(|row| {
            table.row(row).find_map(|cell| {
                let lower = cell.text.to_lowercase();
                let is_about = ["currency", "price", "rate", "währung", "all in"]
                    .iter()
                    .any(|w| lower.contains(w));
                words::currency(cell.text).filter(|_| is_about || cell.text.len() <= 4)
            })
        })
    };
    in_header.or_else(in_rows).or_else(in_cells).or_else(above).map(str::to_owned)
}
