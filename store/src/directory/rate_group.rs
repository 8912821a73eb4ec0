//! Rate groups: what is common to rates that accounts are charged by, or carriers paid by. The rates
//! themselves come in sheets.

use billing::{MoneyMode, MoneyRounding, SpecialTerms};
use serde_json::Value;
use sheets::{Defaults, GroupHead};

use super::account::check_currency;
use super::{
    Change, ChangeError, DirectoryStore, DurationRounding, Result, check_name, signed, taken,
    unsigned, word, words,
};
use crate::sql::{self, Executor, Row};

words!(
    /// How an amount is rounded, once, to the group's decimals (R7).
    RateGroupRounding {
        /// Away from zero.
        Up = "up",
        /// Towards zero.
        Down = "down",
        /// Halves away from zero.
        HalfUp = "half_up",
        /// Halves to the even neighbour.
        HalfEven = "half_even",
    }
);

words!(
    /// Which number rates are looked up by (T7).
    RateBy {
        /// The called one.
        Dialled = "dialled",
        /// Where it is served since it was ported, if it was.
        Lrn = "lrn",
    }
);

words!(
    /// On what taxes of a statement are calculated and rounded (R13).
    TaxRoundingWord {
        /// On each line.
        Line = "line",
        /// On the sum of all lines with the same taxes.
        Total = "total",
    }
);

impl From<TaxRoundingWord> for billing::TaxRounding {
    fn from(word: TaxRoundingWord) -> billing::TaxRounding {
        match word {
            TaxRoundingWord::Line => billing::TaxRounding::Line,
            TaxRoundingWord::Total => billing::TaxRounding::Total,
        }
    }
}

/// Which way, and to how many decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounding {
    /// Which way.
    pub mode: RateGroupRounding,
    /// At most 6.
    pub decimals: u8,
}

impl From<Rounding> for MoneyRounding {
    fn from(rounding: Rounding) -> MoneyRounding {
        let mode = match rounding.mode {
            RateGroupRounding::Up => MoneyMode::Up,
            RateGroupRounding::Down => MoneyMode::Down,
            RateGroupRounding::HalfUp => MoneyMode::HalfUp,
            RateGroupRounding::HalfEven => MoneyMode::HalfEven,
        };
        MoneyRounding { mode, decimals: rounding.decimals }
    }
}

/// A set of rates that accounts are charged by, or carriers paid by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateGroup {
    /// Which; 0 before it is stored.
    pub id: u64,
    /// Unique.
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// Of the charge of a call.
    pub rounding: Rounding,
    /// Of each line of a charge before they are added up; nothing: exact.
    pub line: Option<Rounding>,
    /// Of the sums of an invoice.
    pub invoice: Rounding,
    /// On what taxes of a statement are calculated and rounded (R13).
    pub tax: TaxRoundingWord,
    /// Are its prices stated with the taxes in them (R13)?
    pub prices_include_tax: bool,
    /// Which number its rates are looked up by (T7).
    pub rate_by: RateBy,
    /// Of the talk of a call to seconds; nothing: as the account has it (R6).
    pub duration: Option<DurationRounding>,
    /// What its rates have that do not say otherwise (V-15): terms in JSON, as a tariff has them.
    pub defaults: Value,
    /// How many rates it has, all versions counted; only read.
    pub rate_count: u64,
}

impl RateGroup {
    /// A group with nothing but a name and a currency.
    pub fn new(name: &str, currency: &str) -> RateGroup {
        RateGroup {
            id: 0,
            name: name.to_owned(),
            currency: currency.to_owned(),
            rounding: Rounding { mode: RateGroupRounding::Up, decimals: 6 },
            line: None,
            invoice: Rounding { mode: RateGroupRounding::HalfUp, decimals: 2 },
            tax: TaxRoundingWord::Total,
            prices_include_tax: false,
            rate_by: RateBy::Dialled,
            duration: None,
            defaults: Value::Object(serde_json::Map::new()),
            rate_count: 0,
        }
    }

    /// What is shown with each of its rates: the defaults without the roundings, which are shown with
    /// the group.
    pub fn shown_defaults(&self) -> Result<Defaults> {
        Defaults::read(&self.defaults)
            .map_err(|error| ChangeError::invalid("defaults", error.to_string()))
    }

    /// The defaults, and the roundings that are fields of the group.
    pub fn defaults(&self) -> Result<Defaults> {
        Ok(self.shown_defaults()?.with(&self.own_special()))
    }

    /// The special terms that its own fields are, without the rounding of calls, which every price
    /// has.
    fn own_special(&self) -> SpecialTerms {
        SpecialTerms {
            line_rounding: self.line.map(MoneyRounding::from),
            duration_rounding: self.duration.map(billing::DurationRounding::from),
            ..SpecialTerms::default()
        }
    }

    /// What a tariff of its rates says once.
    pub fn head(&self) -> Result<GroupHead> {
        let currency = self.currency.parse().map_err(|_| ChangeError::Corrupt {
            column: "currency",
            value: self.currency.clone(),
        })?;
        let money_rounding = Some(self.rounding.into());
        let special = SpecialTerms { money_rounding, ..self.own_special() };
        Ok(GroupHead { name: self.name.clone(), currency, special })
    }

    /// What a sheet is compared with the rates in force by: everything that holds for both.
    pub fn compared_by(&self) -> Result<Defaults> {
        let money_rounding = Some(self.rounding.into());
        Ok(self.defaults()?.with(&SpecialTerms { money_rounding, ..SpecialTerms::default() }))
    }

    fn check(&self) -> Result<()> {
        check_name("name", &self.name)?;
        check_currency(&self.currency)?;
        for (field, rounding) in [
            ("decimals", Some(self.rounding)),
            ("line_rounding.decimals", self.line),
            ("invoice_rounding.decimals", Some(self.invoice)),
        ] {
            if rounding.is_some_and(|rounding| rounding.decimals > 6) {
                return Err(ChangeError::invalid(field, "write a number from 0 to 6"));
            }
        }
        self.defaults().map(drop)
    }
}

pub(crate) async fn all_groups(executor: impl Executor<'_>) -> Result<Vec<RateGroup>> {
    let rows = sql::query(
        "SELECT rate_group.*,
            (SELECT COALESCE(SUM(row_count), 0) FROM rate_sheet
             WHERE rate_group_id = rate_group.id) AS rate_count
         FROM rate_group ORDER BY name",
    )
    .fetch_all(executor)
    .await?;
    rows.iter().map(group).collect()
}

fn group(row: &Row) -> Result<RateGroup> {
    let optional = |column: &'static str| -> Result<bool> {
        Ok(row.try_get::<Option<String>, _>(column)?.is_some())
    };
    let line = match optional("line_rounding")? {
        true => Some(Rounding {
            mode: word(row, "line_rounding")?,
            decimals: row.try_get("line_decimals")?,
        }),
        false => None,
    };
    let duration = match optional("duration_rounding")? {
        true => Some(word(row, "duration_rounding")?),
        false => None,
    };
    let defaults: String = row.try_get("defaults")?;
    Ok(RateGroup {
        id: unsigned(row.try_get("id")?),
        name: row.try_get("name")?,
        currency: row.try_get("currency")?,
        rounding: Rounding { mode: word(row, "rounding")?, decimals: row.try_get("decimals")? },
        line,
        invoice: Rounding {
            mode: word(row, "invoice_rounding")?,
            decimals: row.try_get("invoice_decimals")?,
        },
        tax: word(row, "tax_rounding")?,
        prices_include_tax: row.try_get("prices_include_tax")?,
        rate_by: word(row, "rate_by")?,
        duration,
        defaults: serde_json::from_str(&defaults)
            .map_err(|_| ChangeError::Corrupt { column: "defaults", value: defaults })?,
        rate_count: unsigned(row.try_get("rate_count")?),
    })
}

impl DirectoryStore {
    /// All rate groups, by name.
    pub async fn rate_groups(&self) -> Result<Vec<RateGroup>> {
        all_groups(&self.pool).await
    }

    /// One rate group, by its name.
    pub async fn rate_group(&self, name: &str) -> Result<RateGroup> {
        named(self.rate_groups().await?, name)
    }
}

fn named(groups: Vec<RateGroup>, name: &str) -> Result<RateGroup> {
    let group = groups.into_iter().find(|group| group.name == name);
    group.ok_or_else(|| ChangeError::not_found("rate group", name))
}

impl Change {
    /// One rate group, by its name, as this command has left it.
    pub async fn rate_group(&mut self, name: &str) -> Result<RateGroup> {
        named(all_groups(&mut *self.tx).await?, name)
    }

    /// Adds a rate group without rates and gives it its id.
    pub async fn add_rate_group(&mut self, mut group: RateGroup) -> Result<RateGroup> {
        group.check()?;
        group.id = self.next_id("rate_group").await?;
        sql::query("INSERT INTO rate_group (id, name, currency) VALUES (?, ?, ?)")
            .bind(signed(group.id))
            .bind(&group.name)
            .bind(&group.currency)
            .execute(&mut *self.tx)
            .await
            .map_err(|error| taken(error, &[("rate_group.name", "name", &group.name)]))?;
        self.set_rate_group(&group).await?;
        Ok(group)
    }

    /// Overwrites what is common to a group's rates. Its name and its currency stay: accounts and
    /// prices are by them.
    pub async fn set_rate_group(&mut self, group: &RateGroup) -> Result<()> {
        group.check()?;
        self.touched.group(group.id);
        sql::query(
            "UPDATE rate_group SET rounding = ?, decimals = ?, line_rounding = ?, line_decimals = ?,
                invoice_rounding = ?, invoice_decimals = ?, duration_rounding = ?, defaults = ?,
                tax_rounding = ?, prices_include_tax = ?, rate_by = ?
             WHERE id = ?",
        )
        .bind(group.rounding.mode.as_str())
        .bind(group.rounding.decimals)
        .bind(group.line.map(|line| line.mode.as_str()))
        .bind(group.line.map(|line| line.decimals))
        .bind(group.invoice.mode.as_str())
        .bind(group.invoice.decimals)
        .bind(group.duration.map(DurationRounding::as_str))
        .bind(group.defaults.to_string())
        .bind(group.tax.as_str())
        .bind(group.prices_include_tax)
        .bind(group.rate_by.as_str())
        .bind(signed(group.id))
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
