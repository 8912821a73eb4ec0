//! Where the header is and what each column is for: by its words, by the layout, or, where there is
//! no header at all, by what stands in the columns.

use crate::cell::{code, increment, moment, price};
use crate::layout::Layout;
use crate::prefix::Prefix;
use crate::table::{CellKind, Table};
use crate::words::{Role, plain, role};

/// Rows that are searched for the header.
const ROWS_SEARCHED: usize = 300;

/// A column of a worksheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its header's text, or `#1` where there is none.
    pub header: String,
    /// What it is for; nothing if nobody knows.
    pub role: Option<Role>,
}

/// What the top of a worksheet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The row of the table; nothing if there is none.
    pub(crate) row: Option<usize>,
    pub(crate) columns: Vec<Column>,
}

impl Header {
    /// The first column with this role.
    pub(crate) fn find(&self, role: Role) -> Option<usize> {
        self.columns.iter().position(|column| column.role == Some(role))
    }

    pub(crate) fn has_price(&self) -> bool {
        self.columns.iter().any(|column| column.role.is_some_and(Role::is_price))
    }

    pub(crate) fn has_code(&self) -> bool {
        self.columns.iter().any(|column| column.role.is_some_and(Role::is_code))
    }

    fn count(&self) -> usize {
        let mut roles: Vec<Role> = self.columns.iter().filter_map(|column| column.role).collect();
        roles.sort_unstable();
        roles.dedup();
        roles.iter().filter(|role| **role != Role::Ignore).count()
    }
}

/// Finds the header. `is_removal`: a list of codes alone will do. An error names two columns that
/// cannot be told apart.
pub(crate) fn find(
    table: &Table,
    layout: &Layout,
    is_removal: bool,
) -> Result<Option<Header>, String> {
    if layout.header_row == Some(0) {
        return Ok(by_content(table, layout));
    }
    let mut best: Option<Header> = None;
    for row in 0..table.len().min(ROWS_SEARCHED) {
        let is_said = layout.header_row.is_some_and(|line| table.line(row) == line);
        if layout.header_row.is_some() && !is_said {
            continue;
        }
        let header = columns(table, row, layout);
        let is_header = header.has_code() && (header.has_price() || is_removal || is_said);
        let is_better = best.as_ref().is_none_or(|best| header.count() > best.count());
        if is_header && (header.count() >= 2 || is_removal || is_said) && is_better {
            best = Some(header);
        }
    }
    match best {
        Some(mut header) => {
            settle(&mut header, layout)?;
            Ok(Some(header))
        }
        None if layout.header_row.is_some() => Err(format!(
            "row {} is no header with codes and prices; set `header_row` or `columns` in the layout",
            layout.header_row.unwrap_or(0)
        )),
        None => Ok(by_content(table, layout)),
    }
}

/// What a row's cells would be as headers.
fn columns(table: &Table, row: usize, layout: &Layout) -> Header {
    let columns = table.row(row).map(|cell| {
        let header = cell.text.to_owned();
        let role = match said(layout, &header) {
            Some(role) => Some(role),
            None if cell.kind != CellKind::Text => None,
            None => role(cell.text),
        };
        Column { header, role }
    });
    Header { row: Some(row), columns: columns.collect() }
}

/// What the layout says of a column.
fn said(layout: &Layout, header: &str) -> Option<Role> {
    if header.is_empty() {
        return None;
    }
    let name = plain(header);
    let mut columns = layout.columns.iter();
    columns
        .find(|(text, _)| *text == header || plain(text) == name && !name.is_empty())
        .map(|c| *c.1)
}

/// Decides between columns that seem to be for the same.
fn settle(header: &mut Header, layout: &Layout) -> Result<(), String> {
    for at in 0..header.columns.len() {
        let Some(role) = header.columns[at].role else { continue };
        let Some(first) = header.find(role).filter(|first| *first < at) else { continue };
        if matches!(role, Role::Ignore | Role::Comment | Role::Destination) {
            if role == Role::Destination {
                header.columns[at].role = Some(Role::Ignore);
            }
            continue;
        }
        let (before, here) = (&header.columns[first].header, &header.columns[at].header);
        let is_said = |text: &str| said(layout, text).is_some();
        let is_new = |text: &str| {
            let plain = plain(text);
            plain
                .split(' ')
                .any(|word| matches!(word, "new" | "next" | "proposed" | "neu" | "nuevo"))
        };
        let (wins, loses) = match (is_said(before), is_said(here), is_new(before), is_new(here)) {
            (true, false, ..) | (false, false, true, false) => (first, at),
            (false, true, ..) | (false, false, false, true) => (at, first),
            _ if role.is_price() || role.is_code() => {
                return Err(format!(
                    "the columns {before:?} and {here:?} may both be the {}; say which with `columns` \
                     in the layout",
                    role.as_str()
                ));
            }
            _ => (first, at),
        };
        debug_assert_ne!(wins, loses);
        header.columns[loses].role = Some(Role::Ignore);
    }
    if header.find(Role::Code).is_none() && header.find(Role::AreaCode).is_none() {
        // A country code alone is the whole code.
        if let Some(at) = header.find(Role::CountryCode) {
            header.columns[at].role = Some(Role::Code);
        }
    }
    Ok(())
}

/// A table without a header: codes are whole numbers, prices have decimals.
fn by_content(table: &Table, layout: &Layout) -> Option<Header> {
    let rows: Vec<usize> = (0..table.len()).filter(|row| !table.is_blank(*row)).take(200).collect();
    let width = rows.iter().map(|row| table.width(*row)).max()?;
    let mut header = Header { row: None, columns: Vec::with_capacity(width) };
    for at in 0..width {
        let name = format!("#{}", at + 1);
        let role = match layout.columns.get(&name) {
            Some(role) => Some(*role),
            None => content_role(table, &rows, at).filter(|role| header.find(*role).is_none()),
        };
        header.columns.push(Column { header: name, role });
    }
    (header.has_code() && header.has_price()).then_some(header)
}

fn content_role(table: &Table, rows: &[usize], column: usize) -> Option<Role> {
    let mut cells = rows.iter().map(|row| table.cell(*row, column)).filter(|c| !c.is_empty());
    let (mut all, mut codes, mut prices, mut dates, mut pairs, mut words, mut marks) =
        (0, 0, 0, 0, 0, 0, 0);
    let mut scratch = Vec::new();
    let form = price::PriceForm {
        sign: price::DecimalSign::Guess,
        excess: price::ExcessDecimals::Reject,
        times: 1,
        shift: 0,
    };
    for cell in cells.by_ref() {
        all += 1;
        scratch.clear();
        let has_letters = cell.text.chars().any(char::is_alphabetic);
        let is_date = moment::evidence(cell.text).is_some()
            || cell.text.len() >= 10
                && moment::read(cell.text, moment::DateOrder::DayFirst, 0).is_ok();
        let is_pair = cell.text.contains('/') && increment::read(cell.text).is_ok();
        let is_price = matches!(price::read(cell.text, form), Ok(price::PriceCell::Price(..)));
        if is_date {
            dates += 1;
        } else if is_pair && !has_letters {
            pairs += 1;
        } else if is_price && cell.text.contains(['.', ',']) {
            prices += 1;
            marks += 1;
        } else if code::read(cell, Prefix::ALL, &mut scratch).is_ok() {
            codes += 1;
            prices += usize::from(is_price);
        } else if has_letters {
            words += 1;
        }
    }
    let most = |count: usize| count * 10 >= all * 8 && all > 0;
    if most(dates) {
        Some(Role::ValidFrom)
    } else if most(pairs) {
        Some(Role::Increments)
    } else if most(codes) && marks == 0 {
        Some(Role::Code)
    } else if most(prices) {
        Some(Role::Price)
    } else if most(words) {
        Some(Role::Destination)
    } else {
        None
    }
}
