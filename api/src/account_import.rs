//! Accounts from files and into files (V-23, V-24, A-04, A-05). Every row gets a verdict, and an
//! import is all or nothing unless the good rows are asked for. A preview is the import itself, rolled
//! back: what it says is what would happen.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use billing::plans::Shortage;
use billing::{Money, OpId};
use serde::Deserialize;
use sheets::Table;
use store::charges::{ChargeKind, ChargeRow};
use store::directory::{Account, AccountEventKind, AccountStatus, BillingKind, ChangeError};
use vocabulary::Utc;

use crate::account_filter::Filter;
use crate::account_sheet::{self, Fault, Header};
use crate::account_verdicts::{Note, Report, Told, Verdict, Word, import_of, kept};
use crate::accounts::rates_changed;
use crate::command::{Command, Stop, Touched, Turn};
use crate::problem::RowProblem;
use crate::{Api, Problem, Shared, account_close, account_number, rate_sheets};

/// Faults that are told one by one when nothing is imported.
const FAULTS_MAX: usize = 50;
/// Of a worksheet, the header not counted.
const XLSX_ROWS_MAX: usize = 1_048_575;
/// Columns that a file may have and still be read again.
const COLUMNS_MAX: usize = 512;

/// The accounts that pass the filter, as a file.
pub(crate) async fn export(
    State(api): Shared,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    let form = rate_sheets::form(filter.format.as_deref().unwrap_or("csv"))?;
    let accounts = api.accounts_by(&filter).await?;
    let rows = account_sheet::rows(&accounts, |account| {
        let view = api.control.balance(account.id);
        // What we owe it as a carrier is not its own money to talk for.
        view.map_or(Money::ZERO, |view| Money(view.counters.balance().0 - view.owed.0))
    });
    if rows[0].len() > COLUMNS_MAX {
        let what = "the accounts have too many fields of your own for one file; export them in \
                    parts with a filter";
        return Err(Problem::new(422, "too_large", what));
    }
    if form == sheets::FileForm::Xlsx && accounts.len() > XLSX_ROWS_MAX {
        let what = "a worksheet has no room for so many accounts; export CSV, or fewer by a filter";
        return Err(Problem::new(422, "too_large", what));
    }
    let written = tokio::task::spawn_blocking(move || sheets::write_table("Accounts", form, rows));
    rate_sheets::file(form, "accounts", written.await.expect("writing a table does not panic"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Import {
    #[serde(default = "unnamed")]
    file: String,
    /// Say what would happen, and do nothing.
    #[serde(default)]
    preview: bool,
    /// Change accounts that exist and differ.
    #[serde(default)]
    update: bool,
    /// Take the good rows although others are rejected.
    #[serde(default)]
    skip_rejected: bool,
    /// Which verdicts are told: all, or some of them with commas between.
    rows: Option<String>,
    /// Of a preview: from there on.
    rows_after: Option<u64>,
    /// So many at once.
    limit: Option<u32>,
}

impl Import {
    fn told(&self) -> Result<Told, Problem> {
        if self.rows_after.is_some() && !self.preview {
            let what = "is for a preview; after an import see /account-imports/{id}/verdicts";
            return Err(Problem::invalid("rows_after", what));
        }
        Told::new(self.rows.as_deref(), self.rows_after, self.limit)
    }
}

fn unnamed() -> String {
    "accounts.csv".to_owned()
}

/// An account as a row wants it.
struct Wanted {
    /// Its place among the verdicts.
    at: usize,
    account: Account,
    /// As it is; none if it is to be opened.
    before: Option<Account>,
    opening: Option<Money>,
}

/// Reads a file of accounts, judges each row, and, unless it is a preview, opens and changes them.
pub(crate) async fn import(
    State(api): Shared,
    Query(asked): Query<Import>,
    command: Command,
) -> Result<Response, Stop> {
    let told = asked.told()?;
    let body = command.body.clone();
    let read = tokio::task::spawn_blocking(move || table_of(&body));
    let (table, header) = read
        .await
        .expect("reading a file does not panic")
        .map_err(|what| Problem::new(422, "invalid_file", format!("{}: {what}", asked.file)))?;
    let mut turn = api.begin(&command).await?;
    let mut verdicts = first_look(&header, &table);
    // Rows that turn out to be wrong may take others with them (customers whose reseller is not
    // opened): judge the rest again as if they were not there, until nothing changes.
    loop {
        let before = rejected(&verdicts);
        let wanted = judge(&api, &mut turn, (&header, &table), &asked, &mut verdicts).await?;
        store(&api, &mut turn, &wanted, &mut verdicts).await?;
        if rejected(&verdicts) == before {
            break;
        }
        turn = api.start_over(turn).await?;
    }
    if asked.preview {
        turn.change.abandon().await?;
        return Ok(axum::Json(Report::new(&asked.file, None, &verdicts, &told)).into_response());
    }
    if rejected(&verdicts) > 0 && !asked.skip_rejected {
        turn.change.abandon().await?;
        return Err(faulty(&asked.file, &verdicts).into());
    }
    let import = import_of(&asked.file, api.control.now(), &verdicts);
    let import = turn.change.keep_import(import, kept(&verdicts)).await?;
    let report = Report::new(&asked.file, Some(import.id), &verdicts, &told);
    let answer = api.finish(turn, Touched::Directory, 201, &report).await?;
    api.book_now().await;
    Ok(answer)
}

impl Api {
    /// The same command from its beginning.
    async fn start_over(&self, turn: Turn) -> Result<Turn, Stop> {
        let Turn { change, snapshot, key, fingerprint } = turn;
        change.abandon().await?;
        Ok(Turn { change: self.store.begin().await?, snapshot, key, fingerprint })
    }
}

fn rejected(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|one| one.verdict == Word::Rejected).count()
}

fn table_of(bytes: &[u8]) -> Result<(Table, Header), String> {
    let book = sheets::read_workbook(bytes).map_err(|error| error.to_string())?;
    if book.has_unreadable_characters {
        return Err("some characters cannot be read; save the file as UTF-8".to_owned());
    }
    let is_blank = |table: &Table| (0..table.len()).all(|row| table.is_blank(row));
    let mut tables: Vec<Table> = book.tables.into_iter().filter(|table| !is_blank(table)).collect();
    if tables.len() > 1 {
        let names: Vec<&str> = tables.iter().map(Table::name).collect();
        return Err(format!("there is more than one worksheet ({}); keep one", names.join(", ")));
    }
    let table = tables.pop().ok_or("there is no header")?;
    let header = Header::read(&table)?;
    Ok((table, header))
}

/// A verdict for every row that is not blank; those that name the same account are rejected.
fn first_look(header: &Header, table: &Table) -> Vec<Verdict> {
    let mut rows_of: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let rows: Vec<usize> = (header.end..table.len()).filter(|row| !table.is_blank(*row)).collect();
    for row in &rows {
        rows_of.entry(header.name(table, *row)).or_default().push(table.line(*row));
    }
    let verdict = |row: &usize| {
        let (line, account) = (table.line(*row), header.name(table, *row));
        let accepted = Word::Accepted;
        let mut verdict = Verdict {
            row: line,
            account: account.to_owned(),
            verdict: accepted,
            notes: Vec::new(),
        };
        let others: Vec<String> =
            rows_of[account].iter().filter(|other| **other != line).map(u32::to_string).collect();
        if account.is_empty() {
            verdict.reject(vec![("name".to_owned(), "there is no name; write one".to_owned())]);
        } else if !others.is_empty() {
            let what = format!("row {} is of the same account; keep one", others.join(", "));
            verdict.reject(vec![("name".to_owned(), what)]);
        }
        verdict
    };
    rows.iter().map(verdict).collect()
}

/// What the rows want that are not rejected yet. Only reads.
async fn judge(
    api: &Api,
    turn: &mut Turn,
    (header, table): (&Header, &Table),
    asked: &Import,
    verdicts: &mut [Verdict],
) -> Result<Vec<Wanted>, Problem> {
    let now = api.control.now();
    let known: BTreeMap<String, Account> =
        turn.change.accounts().await?.into_iter().map(|a| (a.name.clone(), a)).collect();
    let named: BTreeSet<String> = verdicts
        .iter()
        .filter(|one| one.verdict != Word::Rejected)
        .map(|one| one.account.clone())
        .collect();
    let rows = (header.end..table.len()).filter(|row| !table.is_blank(*row));
    let mut all = Vec::new();
    for (at, (row, verdict)) in rows.zip(verdicts.iter_mut()).enumerate() {
        if verdict.verdict == Word::Rejected {
            continue;
        }
        verdict.notes.clear();
        let before = known.get(&verdict.account).cloned();
        match wanted_of((header, table), row, before, now) {
            Ok((account, opening)) => {
                let before = known.get(&verdict.account).cloned();
                let mut one = Wanted { at, account, before, opening };
                let is_known = |name: &String| known.contains_key(name) || named.contains(name);
                if let Some(parent) = one.account.parent.as_ref().filter(|name| !is_known(name)) {
                    let what = format!(
                        "there is no account {parent:?}, and no good row opens it; add a row for it"
                    );
                    verdict.reject(vec![("parent".to_owned(), what)]);
                } else if settle(api, &mut one, asked, verdict) {
                    all.push(one);
                }
            }
            Err(faults) => verdict.reject(faults),
        }
    }
    Ok(all)
}

/// The account that a row describes, and its opening balance.
fn wanted_of(
    (header, table): (&Header, &Table),
    row: usize,
    before: Option<Account>,
    now: Utc,
) -> Result<(Account, Option<Money>), Vec<Fault>> {
    let missing = |column: &str| {
        let what = "a new account needs it; write it, or correct the name".to_owned();
        vec![(column.to_owned(), what)]
    };
    let mut account = match before {
        Some(account) => account,
        None => {
            let currency =
                header.text(table, row, "currency").ok_or_else(|| missing("currency"))?;
            header.text(table, row, "billing").ok_or_else(|| missing("billing"))?;
            // The row's own word is put over this one.
            Account::new(header.name(table, row), BillingKind::Prepaid, currency, now)
        }
    };
    let opening = header.apply(table, row, &mut account)?;
    Ok((account, opening))
}

/// Says what a row does to an account that exists. True if there is something to store.
fn settle(api: &Api, one: &mut Wanted, asked: &Import, verdict: &mut Verdict) -> bool {
    let Some(before) = &one.before else {
        verdict.verdict = Word::Accepted;
        return true;
    };
    if one.account.number.is_none() {
        one.account.number.clone_from(&before.number); // "random" is for those who have none
    }
    let refuse = |column: &str, what: &str| vec![(column.to_owned(), what.to_owned())];
    if one.account.currency != before.currency {
        let what = "an account keeps its currency; open another account";
        verdict.reject(refuse("currency", what));
        return false;
    }
    if one.account.billing != before.billing {
        verdict.reject(refuse("billing", "an account stays what it was opened as; open another"));
        return false;
    }
    if before.status == AccountStatus::Closed && one.account.status != AccountStatus::Closed {
        verdict.reject(refuse("status", "a closed account stays closed"));
        return false;
    }
    let view = api.control.balance(before.id);
    let present = view.map_or(Money::ZERO, |view| Money(view.counters.balance().0 - view.owed.0));
    if one.opening.take().is_some_and(|opening| opening != present) {
        let detail =
            format!("is for new accounts; this one stays at {present}; use topup or adjust");
        verdict.notes.push(Note { column: "opening_balance".to_owned(), detail });
    }
    if one.account == *before {
        verdict.verdict = Word::Unchanged;
        return false;
    }
    if !asked.update {
        let what = "the account exists and differs; ask for an update (--update) to change it";
        verdict.reject(refuse("name", what));
        return false;
    }
    verdict.verdict = Word::Changed;
    true
}

/// Stores what is wanted, in an order in which it does not matter who stands where in the file: all
/// accounts, then who belongs to whom, then what is closed.
async fn store(
    api: &Api,
    turn: &mut Turn,
    wanted: &[Wanted],
    verdicts: &mut [Verdict],
) -> Result<(), Stop> {
    let now = api.control.now();
    let taken: BTreeSet<&str> =
        wanted.iter().filter_map(|one| one.account.number.as_deref()).collect();
    let mut stored: Vec<(&Wanted, Account)> = Vec::with_capacity(wanted.len());
    for one in wanted {
        let mut account = Account { parent: None, ..one.account.clone() };
        while account.number.is_none() {
            let drawn = account_number::draw(&mut turn.change).await?;
            account.number = Some(drawn).filter(|number| !taken.contains(number.as_str()));
        }
        let done = match &one.before {
            None => turn.change.add_account(account).await,
            Some(_) => turn.change.set_account(&account).await.map(|()| account),
        };
        if let Some(account) = accepted(done, &mut verdicts[one.at])? {
            stored.push((one, account));
        }
    }
    for (one, account) in &mut stored {
        if one.account.parent.is_some() {
            account.parent.clone_from(&one.account.parent);
            let done = turn.change.set_account(account).await;
            accepted(done, &mut verdicts[one.at])?;
        }
    }
    for (one, account) in &stored {
        note(turn, one, account, now).await?;
        if account.status == AccountStatus::Closed {
            let done = turn.change.check_closable(account).await;
            accepted(done, &mut verdicts[one.at])?;
        }
    }
    Ok(())
}

/// What a row's statement did, or the row is rejected for it; other failures end the command.
fn accepted<T>(done: Result<T, ChangeError>, verdict: &mut Verdict) -> Result<Option<T>, Problem> {
    let fault = match done {
        Ok(value) => return Ok(Some(value)),
        Err(ChangeError::Invalid { field, what }) => (field.to_owned(), what),
        Err(ChangeError::Taken { field, value }) => {
            (field.to_owned(), format!("{value:?} is taken; choose another"))
        }
        Err(ChangeError::InUse(what)) => ("status".to_owned(), what),
        Err(error) => return Err(error.into()),
    };
    verdict.reject(vec![fault]);
    Ok(None)
}

/// The events of a row, and its opening balance, to be booked under an id of the account: once,
/// however often the file is sent.
async fn note(turn: &mut Turn, one: &Wanted, account: &Account, now: Utc) -> Result<(), Problem> {
    let change = &mut turn.change;
    match (&one.before, account.status) {
        (None, _) => {
            change.add_event(account.id, AccountEventKind::Created, "imported", now).await?;
        }
        (Some(before), status) if before.status == status => {}
        (Some(_), AccountStatus::Closed) => {
            account_close::remove(turn, account, false, "imported", now).await?;
        }
        (Some(_), AccountStatus::Blocked) => {
            change.add_event(account.id, AccountEventKind::Blocked, "imported", now).await?;
        }
        (Some(_), AccountStatus::Active) => {
            change.add_event(account.id, AccountEventKind::Unblocked, "imported", now).await?;
        }
    }
    if let Some(before) = &one.before {
        rates_changed(turn, account, before.rate_group.as_deref(), now).await?;
    }
    let Some(opening) = one.opening.filter(|amount| !amount.is_zero()) else { return Ok(()) };
    let kind = if opening.is_negative() { ChargeKind::Adjustment } else { ChargeKind::TopUp };
    let charge = ChargeRow {
        op: OpId::opening(account.id),
        account: account.id,
        kind,
        amount: opening,
        label: "Opening balance".to_owned(),
        subscription: None,
        days: None,
        due_at: now,
        shortage: Shortage::Debt,
        tax: None,
    };
    turn.change.add_charge(&charge).await?;
    Ok(())
}

fn faulty(file: &str, verdicts: &[Verdict]) -> Problem {
    let bad: Vec<&Verdict> = verdicts.iter().filter(|one| one.verdict == Word::Rejected).collect();
    let rows = bad.iter().take(FAULTS_MAX).flat_map(|one| {
        one.notes.iter().map(|note| RowProblem {
            row: one.row.into(),
            column: note.column.clone(),
            detail: note.detail.clone(),
        })
    });
    let detail = format!(
        "{file}: {} of {} rows are rejected, so nothing was imported; a preview tells every one; mend \
         them, or take the others alone (--skip-rejected)",
        bad.len(),
        verdicts.len()
    );
    Problem::new(422, "invalid_file", detail).with_rows(rows.collect())
}
