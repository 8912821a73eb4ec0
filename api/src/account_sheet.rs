//! The columns of account files: how an account is written into cells and read from them (V-23, V-24).

use std::str::FromStr;

use billing::{Money, Price};
use sheets::{Table, guarded, unguarded};
use store::directory::{Account, BillingKind};

use crate::account_number::{self, NumberWanted};

/// A column that is the same in every file: its header, and an account's cell in it. An empty cell
/// takes away what can be absent and leaves alone what cannot.
struct Field {
    title: &'static str,
    show: fn(&Account) -> String,
    set: fn(&mut Account, &str) -> Result<(), String>,
}

/// The balance that an account is opened with: known to the ledger, not to the directory.
const OPENING: &str = "opening_balance";
/// Before the name of a field of the operator's own.
const CUSTOM: &str = "custom.";

const FIELDS: [Field; 35] = [
    Field { title: "name", show: |a| a.name.clone(), set: |_, _| Ok(()) },
    Field {
        title: "number",
        show: |a| a.number.clone().unwrap_or_default(),
        set: |a, text| match account_number::read(text) {
            Ok(NumberWanted::This(number)) => put(&mut a.number, Some(number)),
            Ok(NumberWanted::Random) => put(&mut a.number, None),
            Err(_) => Err("write ten digits, \"random\" or a phone number with its +".to_owned()),
        },
    },
    Field {
        title: "billing",
        show: |a| a.billing.to_string(),
        set: |a, text| put_billing(a, parsed(text)?),
    },
    Field {
        title: "currency",
        show: |a| a.currency.clone(),
        set: |a, text| put(&mut a.currency, text.to_owned()),
    },
    Field {
        title: "status",
        show: |a| a.status.to_string(),
        set: |a, text| put(&mut a.status, parsed(text)?),
    },
    Field {
        title: "parent",
        show: |a| a.parent.clone().unwrap_or_default(),
        set: |a, text| put(&mut a.parent, present(text)),
    },
    Field {
        title: "credit_limit",
        show: |a| Money(a.credit_limit).to_string(),
        set: |a, text| put(&mut a.credit_limit, parsed::<Money>(text)?.micros()),
    },
    Field {
        title: "rate_group",
        show: |a| a.rate_group.clone().unwrap_or_default(),
        set: |a, text| put(&mut a.rate_group, present(text)),
    },
    Field {
        title: "carrier_rate_group",
        show: |a| a.carrier_rate_group.clone().unwrap_or_default(),
        set: |a, text| put(&mut a.carrier_rate_group, present(text)),
    },
    Field {
        title: "non_cli_rate_group",
        show: |a| a.non_cli_rate_group.clone().unwrap_or_default(),
        set: |a, text| put(&mut a.non_cli_rate_group, present(text)),
    },
    Field {
        title: "intra_rate_group",
        show: |a| a.jurisdiction_rates.intra.clone().unwrap_or_default(),
        set: |a, text| put(&mut a.jurisdiction_rates.intra, present(text)),
    },
    Field {
        title: "undetermined_rate_group",
        show: |a| a.jurisdiction_rates.undetermined.clone().unwrap_or_default(),
        set: |a, text| put(&mut a.jurisdiction_rates.undetermined, present(text)),
    },
    Field {
        title: "carrier_intra_rate_group",
        show: |a| a.jurisdiction_rates.carrier_intra.clone().unwrap_or_default(),
        set: |a, text| put(&mut a.jurisdiction_rates.carrier_intra, present(text)),
    },
    Field {
        title: "carrier_undetermined_rate_group",
        show: |a| a.jurisdiction_rates.carrier_undetermined.clone().unwrap_or_default(),
        set: |a, text| put(&mut a.jurisdiction_rates.carrier_undetermined, present(text)),
    },
    Field {
        title: "time_zone",
        show: |a| a.time_zone.clone(),
        set: |a, text| put(&mut a.time_zone, text.to_owned()),
    },
    Field {
        title: "billing_day",
        show: |a| a.billing_day.to_string(),
        set: |a, text| {
            let day = text.parse().map_err(|_| "write a day of the month, 1 to 31".to_owned())?;
            put(&mut a.billing_day, day)
        },
    },
    Field {
        title: "calls_in_max",
        show: |a| shown(a.limits.calls_in_max),
        set: |a, text| put(&mut a.limits.calls_in_max, limit(text)?),
    },
    Field {
        title: "calls_out_max",
        show: |a| shown(a.limits.calls_out_max),
        set: |a, text| put(&mut a.limits.calls_out_max, limit(text)?),
    },
    Field {
        title: "cps_in_max",
        show: |a| shown(a.limits.cps_in_max),
        set: |a, text| put(&mut a.limits.cps_in_max, limit(text)?),
    },
    Field {
        title: "cps_out_max",
        show: |a| shown(a.limits.cps_out_max),
        set: |a, text| put(&mut a.limits.cps_out_max, limit(text)?),
    },
    Field {
        title: "call_seconds_max",
        show: |a| shown(a.call_seconds_max),
        set: |a, text| put(&mut a.call_seconds_max, limit(text)?),
    },
    Field {
        title: "receipts",
        show: |a| yes_or_no(a.receipts),
        set: |a, text| put(&mut a.receipts, is_yes(text)?),
    },
    Field {
        title: "allow_local",
        show: |a| yes_or_no(a.allow_local),
        set: |a, text| put(&mut a.allow_local, is_yes(text)?),
    },
    Field {
        title: "local_price",
        show: |a| a.local_price.normalize().to_string(),
        set: |a, text| put(&mut a.local_price, parsed::<Price>(text)?.decimal()),
    },
    Field {
        title: "local_first_increment",
        show: |a| a.local_first_increment.to_string(),
        set: |a, text| put(&mut a.local_first_increment, parsed(text)?),
    },
    Field {
        title: "local_next_increment",
        show: |a| a.local_next_increment.to_string(),
        set: |a, text| put(&mut a.local_next_increment, parsed(text)?),
    },
    Field {
        title: "allow_loss",
        show: |a| yes_or_no(a.allow_loss),
        set: |a, text| put(&mut a.allow_loss, is_yes(text)?),
    },
    Field {
        title: "loss_percent_max",
        show: |a| a.loss_percent_max.normalize().to_string(),
        set: |a, text| put(&mut a.loss_percent_max, parsed(text)?),
    },
    Field {
        title: "duration_rounding",
        show: |a| a.duration_rounding.to_string(),
        set: |a, text| put(&mut a.duration_rounding, parsed(text)?),
    },
    Field {
        title: "carrier_duration_rounding",
        show: |a| a.carrier_duration_rounding.to_string(),
        set: |a, text| put(&mut a.carrier_duration_rounding, parsed(text)?),
    },
    Field {
        title: "owed_limit",
        show: |a| amount(a.credit.owed_limit),
        set: |a, text| put(&mut a.credit.owed_limit, money(text)?),
    },
    Field {
        title: "spend_hour_max",
        show: |a| amount(a.credit.spend_hour_max),
        set: |a, text| put(&mut a.credit.spend_hour_max, money(text)?),
    },
    Field {
        title: "spend_day_max",
        show: |a| amount(a.credit.spend_day_max),
        set: |a, text| put(&mut a.credit.spend_day_max, money(text)?),
    },
    Field {
        title: "spend_month_max",
        show: |a| amount(a.credit.spend_month_max),
        set: |a, text| put(&mut a.credit.spend_month_max, money(text)?),
    },
    Field {
        title: "netted",
        show: |a| yes_or_no(a.credit.is_netted),
        set: |a, text| put(&mut a.credit.is_netted, is_yes(text)?),
    },
];

/// At most four amounts with blanks between.
const LOW_BALANCE: &str = "low_balance";

/// What an empty cell of these takes away; any other stays as it is.
const CAN_BE_ABSENT: [&str; 17] = [
    "parent",
    "rate_group",
    "carrier_rate_group",
    "non_cli_rate_group",
    "intra_rate_group",
    "undetermined_rate_group",
    "carrier_intra_rate_group",
    "carrier_undetermined_rate_group",
    "calls_in_max",
    "calls_out_max",
    "cps_in_max",
    "cps_out_max",
    "call_seconds_max",
    "owed_limit",
    "spend_hour_max",
    "spend_day_max",
    "spend_month_max",
];

/// Written so that every setter is one line.
fn put<T>(slot: &mut T, value: T) -> Result<(), String> {
    *slot = value;
    Ok(())
}

/// A new account begins as prepaid; what another kind cannot have goes with it.
fn put_billing(account: &mut Account, billing: BillingKind) -> Result<(), String> {
    if billing != account.billing {
        account.receipts = billing == BillingKind::Prepaid;
    }
    put(&mut account.billing, billing)
}

fn parsed<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn present(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn limit(text: &str) -> Result<Option<u32>, String> {
    let what = "write a whole number, or leave the cell empty for no limit";
    present(text).map(|text| text.parse().map_err(|_| what.to_owned())).transpose()
}

fn money(text: &str) -> Result<Option<i64>, String> {
    Ok(present(text).map(|text| parsed::<Money>(&text)).transpose()?.map(Money::micros))
}

fn shown(limit: Option<u32>) -> String {
    limit.map(|limit| limit.to_string()).unwrap_or_default()
}

fn amount(limit: Option<i64>) -> String {
    limit.map(|limit| Money(limit).to_string()).unwrap_or_default()
}

fn yes_or_no(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

fn is_yes(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("write yes or no".to_owned()),
    }
}

/// The rows of a file, the header first. `opening` is what an account would be opened with.
pub(crate) fn rows(accounts: &[Account], opening: impl Fn(&Account) -> Money) -> Vec<Vec<String>> {
    let mut own: Vec<&str> =
        accounts.iter().flat_map(|a| a.custom.keys().map(String::as_str)).collect();
    own.sort_unstable();
    own.dedup();
    let mut header: Vec<String> = FIELDS.iter().map(|field| field.title.to_owned()).collect();
    header.extend([LOW_BALANCE.to_owned(), OPENING.to_owned()]);
    header.extend(own.iter().map(|name| format!("{CUSTOM}{name}")));
    let mut rows = vec![header];
    for account in accounts {
        let mut row: Vec<String> =
            FIELDS.iter().map(|field| guarded(&(field.show)(account)).into_owned()).collect();
        let low: Vec<String> =
            account.credit.low_balance.iter().map(|m| Money(*m).to_string()).collect();
        row.push(guarded(&low.join(" ")).into_owned());
        row.push(opening(account).to_string());
        row.extend(own.iter().map(|name| match account.custom.get(*name).map(String::as_str) {
            None => String::new(),
            Some("") => sheets::EMPTY.to_owned(),
            Some(text) => guarded(text).into_owned(),
        }));
        rows.push(row);
    }
    rows
}

/// What a column of a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    Field(usize),
    LowBalance,
    Opening,
    Own(String),
}

/// The header of a file that is read.
#[derive(Debug)]
pub(crate) struct Header {
    /// The row after it.
    pub(crate) end: usize,
    columns: Vec<Option<Column>>,
}

/// A fault of a cell: the header of its column, and what to do.
pub(crate) type Fault = (String, String);

impl Header {
    /// Reads the first row that is not blank. Columns that nobody knows are refused by name.
    pub(crate) fn read(table: &Table) -> Result<Header, String> {
        let Some(at) = (0..table.len()).find(|row| !table.is_blank(*row)) else {
            return Err("there is no header".to_owned());
        };
        let mut columns = Vec::new();
        let mut titles: Vec<String> = Vec::new();
        for cell in table.row(at) {
            let title = cell.text;
            columns.push(if title.is_empty() { None } else { Some(column(title)?) });
            if !title.is_empty() && titles.iter().any(|other| other == title) {
                return Err(format!("there are two columns {title:?}; keep one"));
            }
            titles.push(title.to_owned());
        }
        if !columns.contains(&Some(Column::Field(0))) {
            return Err("there is no column \"name\"; the first row names the columns".to_owned());
        }
        Ok(Header { end: at + 1, columns })
    }

    /// The name in a row.
    pub(crate) fn name<'a>(&self, table: &'a Table, row: usize) -> &'a str {
        self.text(table, row, "name").unwrap_or_default()
    }

    /// The text of a field in a row; none if there is no such column or nothing in it.
    pub(crate) fn text<'a>(&self, table: &'a Table, row: usize, title: &str) -> Option<&'a str> {
        let field = FIELDS.iter().position(|field| field.title == title)?;
        let at = self.columns.iter().position(|column| *column == Some(Column::Field(field)))?;
        Some(unguarded(table.cell(row, at).text)).filter(|text| !text.is_empty())
    }

    /// Puts the cells of a row into an account. Returns its opening balance, if there is one.
    pub(crate) fn apply(
        &self,
        table: &Table,
        row: usize,
        account: &mut Account,
    ) -> Result<Option<Money>, Vec<Fault>> {
        let (mut faults, mut opening) = (Vec::new(), None);
        for (at, cell) in table.row(row).enumerate() {
            let Some(column) = self.columns.get(at).and_then(Option::as_ref) else {
                if !cell.is_empty() {
                    let what = format!("{:?} has no header; give the column its name", cell.text);
                    faults.push((format!("{}", at + 1), what));
                }
                continue;
            };
            if let Err(what) = set(column, cell.text, account, &mut opening) {
                faults.push((title(column), format!("{:?}: {what}", cell.text)));
            }
        }
        if faults.is_empty() { Ok(opening) } else { Err(faults) }
    }
}

fn title(column: &Column) -> String {
    match column {
        Column::Field(field) => FIELDS[*field].title.to_owned(),
        Column::LowBalance => LOW_BALANCE.to_owned(),
        Column::Opening => OPENING.to_owned(),
        Column::Own(name) => format!("{CUSTOM}{name}"),
    }
}

fn set(
    column: &Column,
    cell: &str,
    account: &mut Account,
    opening: &mut Option<Money>,
) -> Result<(), String> {
    let text = unguarded(cell);
    match column {
        Column::Field(field) => {
            let field = &FIELDS[*field];
            if text.is_empty() && !CAN_BE_ABSENT.contains(&field.title) {
                return Ok(());
            }
            (field.set)(account, text)
        }
        Column::LowBalance => {
            let amounts = text.split_whitespace().map(|text| Ok(parsed::<Money>(text)?.micros()));
            put(&mut account.credit.low_balance, amounts.collect::<Result<_, String>>()?)
        }
        Column::Opening if text.is_empty() => Ok(()),
        Column::Opening => put(opening, Some(parsed(text)?)),
        Column::Own(name) => {
            if cell.is_empty() {
                account.custom.remove(name);
            } else {
                account.custom.insert(name.clone(), text.to_owned());
            }
            Ok(())
        }
    }
}

fn column(title: &str) -> Result<Column, String> {
    if let Some(name) = title.strip_prefix(CUSTOM) {
        return Ok(Column::Own(name.to_owned()));
    }
    if title == LOW_BALANCE {
        return Ok(Column::LowBalance);
    }
    if title == OPENING {
        return Ok(Column::Opening);
    }
    match FIELDS.iter().position(|field| field.title == title) {
        Some(field) => Ok(Column::Field(field)),
        None => {
            let known: Vec<&str> = FIELDS.iter().map(|field| field.title).collect();
            Err(format!(
                "nobody knows the column {title:?}; the columns are {}, {LOW_BALANCE}, {OPENING} \
                 and {CUSTOM}NAME",
                known.join(", ")
            ))
        }
    }
}
