//! Sets of taxes, which account pays which of them, and who is exempt (R13).

use std::collections::BTreeMap;
use std::sync::Arc;

use billing::{
    AccountTaxes, Currency, Exemption, Money, MoneyMode, MoneyRounding, OnTop, PostingTax, Tax,
    TaxError, TaxRate, TaxableKind, TaxedPrice,
};
use vocabulary::{AccountId, Utc};

use super::account::Account;
use super::discount::moment;
use super::rate_group::RateGroup;
use super::{
    Change, ChangeError, DirectoryStore, Result, check_name, json, list, signed, unsigned, word,
    words,
};
use crate::charges::ChargeRow;
use crate::sql::{self, Connection, Row};

words!(
    /// What a tax is on.
    TaxableWord {
        /// Calls.
        Usage = "usage",
        /// Fees of a period.
        Recurring = "recurring",
        /// Fees charged once.
        OneTime = "one_time",
        /// Credit notes.
        CreditNote = "credit_note",
    }
);

impl From<TaxableWord> for TaxableKind {
    fn from(word: TaxableWord) -> TaxableKind {
        match word {
            TaxableWord::Usage => TaxableKind::Usage,
            TaxableWord::Recurring => TaxableKind::Recurring,
            TaxableWord::OneTime => TaxableKind::OneTime,
            TaxableWord::CreditNote => TaxableKind::CreditNote,
        }
    }
}

impl From<TaxableKind> for TaxableWord {
    fn from(kind: TaxableKind) -> TaxableWord {
        match kind {
            TaxableKind::Usage => TaxableWord::Usage,
            TaxableKind::Recurring => TaxableWord::Recurring,
            TaxableKind::OneTime => TaxableWord::OneTime,
            TaxableKind::CreditNote => TaxableWord::CreditNote,
        }
    }
}

words!(
    /// Where taxes go that come on top of a price.
    OnTopWord {
        /// A statement adds them.
        Statement = "statement",
        /// They are charged with each amount.
        Balance = "balance",
    }
);

impl From<OnTopWord> for OnTop {
    fn from(word: OnTopWord) -> OnTop {
        match word {
            OnTopWord::Statement => OnTop::Statement,
            OnTopWord::Balance => OnTop::Balance,
        }
    }
}

/// Taxes that are paid together, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxSet {
    /// Unique.
    pub name: String,
    /// All rates there were, are and will be.
    pub taxes: Vec<Tax>,
}

/// What an account pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaxedAccount {
    /// Which taxes, by the name of their set; `None`: none.
    pub tax_set: Option<String>,
    /// Where those go that come on top.
    pub on_top: OnTopWord,
    /// Which it does not pay, and why.
    pub exemptions: Vec<Exemption>,
}

const TAXES_MAX: usize = 100;
const REASON_BYTES_MAX: usize = 500;

fn tax(row: &Row) -> Result<Tax> {
    let words: Vec<String> = list(row, "applies_to")?;
    let kind = |text: &String| {
        let word = text.parse::<TaxableWord>().map(TaxableKind::from);
        word.map_err(|value| ChangeError::Corrupt { column: "applies_to", value })
    };
    let percent: String = row.try_get("percent")?;
    Ok(Tax {
        name: row.try_get("name")?,
        rate: percent
            .parse::<TaxRate>()
            .map_err(|_| ChangeError::Corrupt { column: "percent", value: percent })?,
        is_compound: row.try_get("is_compound")?,
        applies_to: words.iter().map(kind).collect::<Result<_>>()?,
        valid_from: moment(row, "valid_from")?,
        valid_till: moment(row, "valid_till")?,
    })
}

fn exemption(row: &Row) -> Result<Exemption> {
    Ok(Exemption {
        tax: row.try_get("tax")?,
        reason: row.try_get("reason")?,
        valid_from: moment(row, "valid_from")?,
        valid_till: moment(row, "valid_till")?,
    })
}

fn wrong(field: &'static str) -> impl Fn(TaxError) -> ChangeError {
    move |error| ChangeError::invalid(field, error.to_string())
}

impl DirectoryStore {
    /// All sets of taxes, by name.
    pub async fn tax_sets(&self) -> Result<Vec<TaxSet>> {
        let sql = "SELECT tax_set.name AS set_name, tax.* FROM tax_set
                   JOIN tax ON tax.tax_set_id = tax_set.id ORDER BY tax_set.name, tax.ordinal";
        let mut sets: BTreeMap<String, Vec<Tax>> = BTreeMap::new();
        for row in sql::query(sql).fetch_all(&self.pool).await? {
            sets.entry(row.try_get("set_name")?).or_default().push(tax(&row)?);
        }
        Ok(sets.into_iter().map(|(name, taxes)| TaxSet { name, taxes }).collect())
    }

    /// What an account pays.
    pub async fn taxes_of_account(&self, account: AccountId) -> Result<TaxedAccount> {
        let mut change = self.pool.begin_read().await?;
        taxed_account(&mut change, account).await
    }
}

async fn taxed_account(connection: &mut Connection, account: AccountId) -> Result<TaxedAccount> {
    let row = sql::query(
        "SELECT tax_set.name, account_tax.on_top FROM account_tax
         JOIN tax_set ON tax_set.id = account_tax.tax_set_id WHERE account_tax.account_id = ?",
    )
    .bind(signed(account.0))
    .fetch_optional(&mut *connection)
    .await?;
    let sql = "SELECT * FROM tax_exemption WHERE account_id = ? ORDER BY ordinal";
    let exemptions = sql::query(sql).bind(signed(account.0)).fetch_all(&mut *connection).await?;
    let (tax_set, on_top) = match row {
        Some(row) => (Some(row.try_get("name")?), word(&row, "on_top")?),
        None => (None, OnTopWord::Statement),
    };
    let exemptions = exemptions.iter().map(exemption).collect::<Result<_>>()?;
    Ok(TaxedAccount { tax_set, on_top, exemptions })
}

impl Change {
    /// Sets the taxes of a set, which is made if there is none. What was charged stays as it was.
    /// Returns whether anybody pays them.
    pub async fn put_tax_set(&mut self, set: &TaxSet, now: Utc) -> Result<bool> {
        check_name("name", &set.name)?;
        if set.taxes.is_empty() || set.taxes.len() > TAXES_MAX {
            return Err(ChangeError::invalid("taxes", "write 1 to 100 taxes"));
        }
        for tax in &set.taxes {
            check_name("taxes.name", &tax.name)?;
        }
        AccountTaxes::new(set.taxes.clone(), Vec::new(), OnTop::Statement)
            .map_err(wrong("taxes"))?;
        let id = match self.tax_set_id(&set.name).await? {
            Some(id) => id,
            None => {
                let id = signed(self.next_id("tax_set").await?);
                sql::query("INSERT INTO tax_set (id, name, created_at) VALUES (?, ?, ?)")
                    .bind(id)
                    .bind(&set.name)
                    .bind(now.0)
                    .execute(&mut *self.tx)
                    .await?;
                id
            }
        };
        sql::query("DELETE FROM tax WHERE tax_set_id = ?").bind(id).execute(&mut *self.tx).await?;
        for (ordinal, tax) in (0_i32..).zip(&set.taxes) {
            let kinds = tax.applies_to.iter().map(|kind| TaxableWord::from(*kind).as_str());
            sql::query(
                "INSERT INTO tax (tax_set_id, ordinal, name, percent, is_compound, applies_to,
                    valid_from, valid_till) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(ordinal)
            .bind(&tax.name)
            .bind(tax.rate.to_string())
            .bind(tax.is_compound)
            .bind(json(&kinds.collect::<Vec<_>>()))
            .bind(tax.valid_from.map(|at| at.0))
            .bind(tax.valid_till.map(|at| at.0))
            .execute(&mut *self.tx)
            .await?;
        }
        self.touch_payers(id).await
    }

    /// Those who pay the taxes of a set: what they are exempt from must still be there.
    async fn touch_payers(&mut self, set: i64) -> Result<bool> {
        let sql = "SELECT account_id FROM account_tax WHERE tax_set_id = ?";
        let rows = sql::query(sql).bind(set).fetch_all(&mut *self.tx).await?;
        for row in &rows {
            let account = AccountId(unsigned(row.try_get(0)?));
            self.touched.account(account);
            self.account_taxes(account).await?;
        }
        Ok(!rows.is_empty())
    }

    /// Removes a set that nobody pays.
    pub async fn remove_tax_set(&mut self, name: &str) -> Result<()> {
        let id = self.tax_set_id(name).await?;
        let id = id.ok_or_else(|| ChangeError::not_found("tax set", name))?;
        let sql = "SELECT account.name FROM account JOIN account_tax
                   ON account_tax.account_id = account.id WHERE tax_set_id = ?
                   ORDER BY account.id LIMIT 1";
        if let Some(row) = sql::query(sql).bind(id).fetch_optional(&mut *self.tx).await? {
            let user: String = row.try_get(0)?;
            return Err(ChangeError::InUse(format!("account {user:?} pays the taxes of {name:?}")));
        }

        for sql in ["DELETE FROM tax WHERE tax_set_id = ?", "DELETE FROM tax_set WHERE id = ?"] {
            sql::query(sql).bind(id).execute(&mut *self.tx).await?;
        }
        Ok(())
    }

    async fn tax_set_id(&mut self, name: &str) -> Result<Option<i64>> {
        let row = sql::query("SELECT id FROM tax_set WHERE name = ?").bind(name);
        let row = row.fetch_optional(&mut *self.tx).await?;
        Ok(row.map(|row| row.try_get("id")).transpose()?)
    }

    /// Sets what an account pays from now on.
    pub async fn set_taxes_of_account(
        &mut self,
        account: AccountId,
        taxed: &TaxedAccount,
    ) -> Result<()> {
        let set = match &taxed.tax_set {
            None if !taxed.exemptions.is_empty() => {
                let what = "an account without taxes is exempt from nothing; name its tax_set too";
                return Err(ChangeError::invalid("exemptions", what));
            }
            None if taxed.on_top == OnTopWord::Balance => {
                let what = "an account without taxes has none to take from its balance; name its tax_set too";
                return Err(ChangeError::invalid("on_top", what));
            }
            None => None,
            Some(name) => {
                let id = self.tax_set_id(name).await?;
                let what = || format!("there is no set of taxes {name:?}; add it first");
                Some(id.ok_or_else(|| ChangeError::invalid("tax_set", what()))?)
            }
        };
        self.touched.account(account);
        let id = signed(account.0);
        for table in ["account_tax", "tax_exemption"] {
            let sql = format!("DELETE FROM {table} WHERE account_id = ?");
            sql::query(&sql).bind(id).execute(&mut *self.tx).await?;
        }
        let Some(set) = set else { return Ok(()) };
        sql::query("INSERT INTO account_tax (account_id, tax_set_id, on_top) VALUES (?, ?, ?)")
            .bind(id)
            .bind(set)
            .bind(taxed.on_top.as_str())
            .execute(&mut *self.tx)
            .await?;
        for (ordinal, exemption) in (0_i32..).zip(&taxed.exemptions) {
            let reason = exemption.reason.trim();
            if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
                let what = "write the certificate or the words of the law, at most 500 bytes";
                return Err(ChangeError::invalid("exemptions.reason", what));
            }
            sql::query(
                "INSERT INTO tax_exemption (account_id, ordinal, tax, reason, valid_from, valid_till)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(id)
            .bind(ordinal)
            .bind(&exemption.tax)
            .bind(reason)
            .bind(exemption.valid_from.map(|at| at.0))
            .bind(exemption.valid_till.map(|at| at.0))
            .execute(&mut *self.tx)
            .await?;
        }
        self.account_taxes(account).await.map(drop)
    }

    /// The taxes of an account as billing asks for them.
    pub(crate) async fn account_taxes(
        &mut self,
        account: AccountId,
    ) -> Result<Option<Arc<AccountTaxes>>> {
        Ok(load(&mut self.tx, Some(account)).await?.remove(&account))
    }

    /// What an amount without a call comes to for this account, and the taxes on it. Where they are
    /// charged at once and the price is stated without them, it is more than was asked for.
    pub async fn taxed(
        &mut self,
        account: &Account,
        kind: TaxableKind,
        amount: Money,
        at: Utc,
    ) -> Result<(Money, Option<PostingTax>)> {
        let Some(taxes) = self.account_taxes(account.id).await? else { return Ok((amount, None)) };
        let group = match account.rate_group.as_deref() {
            Some(name) => Some(self.rate_group(name).await?),
            None => None,
        };
        let is_included = group.as_ref().is_some_and(|group| group.prices_include_tax);
        let Some(taxes) = taxes.on_kind(kind, at, is_included) else { return Ok((amount, None)) };
        let rounding = invoice_rounding(group.as_ref(), &account.currency);
        let too_large =
            |error: billing::MoneyError| ChangeError::invalid("amount", error.to_string());
        let size = Money(amount.0.saturating_abs());
        let (size, contained) = match taxes.prices() {
            TaxedPrice::WithCharge => {
                let tax = taxes.on(size, rounding).map_err(too_large)?;
                (size.checked_add(tax).map_err(too_large)?, tax)
            }
            TaxedPrice::Included => (size, taxes.within(size, rounding).map_err(too_large)?),
            TaxedPrice::OnStatement => (size, Money::ZERO),
        };
        let amount = if amount.is_negative() { Money(-size.0) } else { size };
        Ok((amount, Some(PostingTax { contained, taxes })))
    }

    /// What is given back of a fee, and the taxes in it: those that the fee was charged with, whatever
    /// holds now.
    pub(crate) async fn refunded(
        &mut self,
        account: &Account,
        fee: &ChargeRow,
        stated: Money,
    ) -> Result<(Money, Option<PostingTax>)> {
        let group = match account.rate_group.as_deref() {
            Some(name) => Some(self.rate_group(name).await?),
            None => None,
        };
        let rounding = invoice_rounding(group.as_ref(), &account.currency);
        let charged = Money(fee.amount.0.saturating_abs());
        refund(charged, fee.tax.as_ref(), stated, rounding)
            .map_err(|error| ChangeError::invalid("amount", error.to_string()))
    }
}

/// What is given back of a fee of this amount and these taxes, if this part of it as it was stated is:
/// never more than was charged.
fn refund(
    charged: Money,
    tax: Option<&PostingTax>,
    stated: Money,
    rounding: MoneyRounding,
) -> std::result::Result<(Money, Option<PostingTax>), billing::MoneyError> {
    let Some(tax) = tax else { return Ok((stated.min(charged), None)) };
    let (taxes, whole) = (&tax.taxes, tax.contained);
    let all = match taxes.prices() {
        TaxedPrice::WithCharge => charged.checked_sub(whole)?,
        TaxedPrice::Included | TaxedPrice::OnStatement => charged,
    };
    let (amount, contained) = match taxes.prices() {
        _ if stated >= all => (charged, whole),
        TaxedPrice::WithCharge => {
            let part = taxes.on(stated, rounding)?.min(whole);
            (stated.checked_add(part)?, part)
        }
        TaxedPrice::Included => (stated, taxes.within(stated, rounding)?.min(whole)),
        TaxedPrice::OnStatement => (stated, Money::ZERO),
    };
    Ok((amount, Some(PostingTax { contained, taxes: Arc::clone(taxes) })))
}

/// How the sums of this account's statements are rounded: as its rate group says, else to the
/// decimals that its currency is written with.
pub(crate) fn invoice_rounding(group: Option<&RateGroup>, currency: &str) -> MoneyRounding {
    match group {
        Some(group) => group.invoice.into(),
        None => MoneyRounding {
            mode: MoneyMode::HalfUp,
            decimals: currency.parse::<Currency>().map_or(2, |currency| currency.decimals()),
        },
    }
}

/// For snapshots: the taxes of all accounts, or of this one.
pub(crate) async fn load(
    connection: &mut Connection,
    only: Option<AccountId>,
) -> Result<BTreeMap<AccountId, Arc<AccountTaxes>>> {
    let (where_account, where_set) = match only {
        None => ("", ""),
        Some(_) => (
            " WHERE account_id = ?",
            " WHERE tax_set_id IN (SELECT tax_set_id FROM account_tax WHERE account_id = ?)",
        ),
    };
    let sql = format!("SELECT * FROM account_tax{where_account} ORDER BY account_id");
    let payers = asked(&sql, only).fetch_all(&mut *connection).await?;
    if payers.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = format!("SELECT * FROM tax{where_set} ORDER BY tax_set_id, ordinal");
    let mut sets: BTreeMap<i64, Vec<Tax>> = BTreeMap::new();
    for row in asked(&sql, only).fetch_all(&mut *connection).await? {
        sets.entry(row.try_get("tax_set_id")?).or_default().push(tax(&row)?);
    }
    let sql = format!("SELECT * FROM tax_exemption{where_account} ORDER BY account_id, ordinal");
    let mut exempt: BTreeMap<i64, Vec<Exemption>> = BTreeMap::new();
    for row in asked(&sql, only).fetch_all(&mut *connection).await? {
        exempt.entry(row.try_get("account_id")?).or_default().push(exemption(&row)?);
    }
    // Accounts without exemptions share the taxes of their set.
    let mut shared: BTreeMap<(i64, OnTop), Arc<AccountTaxes>> = BTreeMap::new();
    let mut all = BTreeMap::new();
    for row in &payers {
        let (account, set): (i64, i64) = (row.try_get("account_id")?, row.try_get("tax_set_id")?);
        let on_top = OnTop::from(word::<OnTopWord>(row, "on_top")?);
        let make = |exemptions| {
            let taxes = sets.get(&set).cloned().unwrap_or_default();
            AccountTaxes::new(taxes, exemptions, on_top).map(Arc::new).map_err(wrong("exemptions"))
        };
        let taxes = match (exempt.remove(&account), shared.get(&(set, on_top))) {
            (Some(exemptions), _) => make(exemptions)?,
            (None, Some(taxes)) => Arc::clone(taxes),
            (None, None) => {
                let taxes = make(Vec::new())?;
                shared.insert((set, on_top), Arc::clone(&taxes));
                taxes
            }
        };
        all.insert(AccountId(unsigned(account)), taxes);
    }
    Ok(all)
}

fn asked(sql: &str, only: Option<AccountId>) -> sql::Query<'_> {
    match only {
        None => sql::query(sql),
        Some(account) => sql::query(sql).bind(signed(account.0)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use billing::{AppliedTax, AppliedTaxes};

    use super::*;

    /// What is given back, and the tax in it, of 12.00 with 2.00 of tax in cents.
    #[track_caller]
    fn check(prices: TaxedPrice, contained: &str, stated: &str, expected: [&str; 2]) {
        let money = |text: &str| text.parse::<Money>().unwrap();
        let (name, rate) = ("VAT".to_owned(), "20".parse().unwrap());
        let vat = AppliedTax { name, rate, is_compound: false, exempt: None };
        let taxes = Arc::new(AppliedTaxes::new(prices, vec![vat]).unwrap());
        let tax = PostingTax { contained: money(contained), taxes };
        let cents = MoneyRounding { mode: MoneyMode::HalfUp, decimals: 2 };
        let (amount, part) = refund(money("12"), Some(&tax), money(stated), cents).unwrap();
        assert_eq!([amount, part.unwrap().contained], expected.map(money), "{stated} {prices:?}");
    }

    #[test]
    fn no_more_is_given_back_than_was_charged() {
        use TaxedPrice::{Included, OnStatement, WithCharge};
        check(WithCharge, "2", "5", ["6", "1"]);
        check(WithCharge, "2", "10", ["12", "2"]);
        check(WithCharge, "2", "99", ["12", "2"]);
        // It was charged less of tax than holds for its part now.
        check(WithCharge, "0.50", "9", ["9.50", "0.50"]);
        check(Included, "2", "6", ["6", "1"]);
        check(Included, "2", "12", ["12", "2"]);
        check(OnStatement, "0", "5", ["5", "0"]);
        check(OnStatement, "0", "13", ["12", "0"]);
    }
}
