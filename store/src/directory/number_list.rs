//! Lists of prefixes and numbers, and for whose calls they do what (T9).

use std::collections::BTreeMap;

use switch::numbers::{
    ListEffect, ListId, ListKind, ListUse, Listed, NumberList, NumberOwner, PrefixSet, Subject,
};
use vocabulary::Utc;

use super::number_rule::{owner, owner_columns, read_word};
use super::{Change, ChangeError, DirectoryStore, Result, check_name, signed, taken, unsigned};
use crate::sql::{self, Bulk, BulkRow, Executor, Row, Values};

/// Lines of one list: 16 bytes each in memory.
const LINES_MAX: i64 = 2_000_000;
/// Lists at work for one owner: each costs a call a search.
const USES_MAX: usize = 50;

/// A list without its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredList {
    /// Which.
    pub id: ListId,
    /// Unique.
    pub name: String,
    /// What its numbers are.
    pub kind: ListKind,
}

/// A list at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUse {
    /// Which; 0 before it is stored.
    pub id: u64,
    /// Of which list.
    pub list: StoredList,
    /// For whose calls.
    pub owner: NumberOwner,
    /// For whose number.
    pub subject: Subject,
    /// What it does.
    pub effect: ListEffect,
}

/// What to do with lines that are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filling {
    /// They are added to those that are there.
    Add,
    /// They take the place of those that are there.
    Replace,
    /// They are taken out, as far as they are there.
    Remove,
}

fn list(row: &Row) -> Result<StoredList> {
    Ok(StoredList {
        id: ListId(unsigned(row.try_get("id")?)),
        name: row.try_get("name")?,
        kind: read_word(row, "kind", ListKind::from_word)?,
    })
}

fn line(row: &Row) -> Result<Listed> {
    read_word(row, "line", |text| text.parse().ok())
}

fn with_lines(stored: StoredList, numbers: PrefixSet) -> NumberList {
    NumberList { id: stored.id, name: stored.name, kind: stored.kind, numbers }
}

/// All lists with their lines.
pub(super) async fn all(connection: &mut sql::Connection) -> Result<Vec<NumberList>> {
    let rows = sql::query("SELECT list_id, line FROM number_list_line");
    let mut lines: BTreeMap<u64, Vec<Listed>> = BTreeMap::new();
    for row in &rows.fetch_all(&mut *connection).await? {
        let id = unsigned(row.try_get("list_id")?);
        lines.entry(id).or_default().push(line(row)?);
    }
    let rows = sql::query("SELECT * FROM number_list ORDER BY id");
    let rows = rows.fetch_all(&mut *connection).await?;
    let mut lists = Vec::with_capacity(rows.len());
    for row in &rows {
        let stored = list(row)?;
        let its = lines.remove(&stored.id.0).unwrap_or_default();
        lists.push(with_lines(stored, its.into_iter().collect()));
    }
    Ok(lists)
}

/// One list with its lines, if it is there.
pub(super) async fn of_id(
    connection: &mut sql::Connection,
    id: ListId,
) -> Result<Option<NumberList>> {
    let row = sql::query("SELECT * FROM number_list WHERE id = ?")
        .bind(signed(id.0))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let rows = sql::query("SELECT line FROM number_list_line WHERE list_id = ?")
        .bind(signed(id.0))
        .fetch_all(&mut *connection)
        .await?;
    let lines = rows.iter().map(line).collect::<Result<PrefixSet>>()?;
    Ok(Some(with_lines(list(&row)?, lines)))
}

async fn named(executor: impl Executor<'_>, name: &str) -> Result<StoredList> {
    let row = sql::query("SELECT * FROM number_list WHERE name = ?")
        .bind(name)
        .fetch_optional(executor)
        .await?;
    list(&row.ok_or_else(|| ChangeError::not_found("list of numbers", name))?)
}

const USES: &str = "SELECT applied.id AS use_id, applied.account_id, applied.trunk_id,
        applied.subscriber_id, applied.subject, applied.effect, number_list.*
    FROM number_list_use AS applied JOIN number_list ON number_list.id = applied.list_id";

fn stored_use(row: &Row) -> Result<StoredUse> {
    Ok(StoredUse {
        id: unsigned(row.try_get("use_id")?),
        list: list(row)?,
        owner: owner(row)?,
        subject: read_word(row, "subject", Subject::from_word)?,
        effect: read_word(row, "effect", ListEffect::from_word)?,
    })
}

impl DirectoryStore {
    /// All lists of numbers, by their names.
    pub async fn number_lists(&self) -> Result<Vec<StoredList>> {
        let rows = sql::query("SELECT * FROM number_list ORDER BY name");
        rows.fetch_all(&self.pool).await?.iter().map(list).collect()
    }

    /// The lines of a list that come behind `after`, so many at most, in their order as texts.
    pub async fn number_list_lines(
        &self,
        name: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<String>> {
        let id = named(&self.pool, name).await?.id;
        let rows = sql::query(
            "SELECT line FROM number_list_line WHERE list_id = ? AND line > ? \
             ORDER BY line LIMIT ?",
        )
        .bind(signed(id.0))
        .bind(after)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok(row.try_get("line")?)).collect()
    }

    /// All lists at work, in the order of their ids.
    pub async fn number_list_uses(&self) -> Result<Vec<StoredUse>> {
        let rows = sql::query(format!("{USES} ORDER BY applied.id"));
        rows.fetch_all(&self.pool).await?.iter().map(stored_use).collect()
    }
}

struct Line<'a> {
    list: ListId,
    text: &'a str,
}

impl BulkRow for Line<'_> {
    fn bind(&self, row: &mut Values<'_>) {
        row.put(signed(self.list.0));
        row.put(self.text);
    }
}

impl Change {
    /// Makes an empty list.
    pub async fn add_number_list(
        &mut self,
        name: &str,
        kind: ListKind,
        now: Utc,
    ) -> Result<StoredList> {
        check_name("name", name)?;
        let id = ListId(self.next_id("number_list").await?);
        self.touched.number_list(id.0);
        sql::query("INSERT INTO number_list (id, name, kind, created_at) VALUES (?, ?, ?, ?)")
            .bind(signed(id.0))
            .bind(name)
            .bind(kind.word())
            .bind(now.0)
            .execute(&mut *self.tx)
            .await
            .map_err(|error| taken(error, &[("number_list.name", "name", name)]))?;
        Ok(StoredList { id, name: name.to_owned(), kind })
    }

    /// Removes a list that is not at work.
    pub async fn remove_number_list(&mut self, name: &str) -> Result<()> {
        let id = named(&mut *self.tx, name).await?.id;
        let uses =
            sql::query_scalar::<i64>("SELECT count(*) FROM number_list_use WHERE list_id = ?")
                .bind(signed(id.0))
                .fetch_one(&mut *self.tx)
                .await?;
        if uses > 0 {
            let what = format!("the list {name:?} is used {uses} times; end its uses first");
            return Err(ChangeError::InUse(what));
        }
        self.touched.number_list(id.0);
        sql::query("DELETE FROM number_list WHERE id = ?")
            .bind(signed(id.0))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Changes the lines of a list, each of which reads as [`Listed`]. How many it has then.
    pub async fn fill_number_list(
        &mut self,
        name: &str,
        filling: Filling,
        lines: &[String],
    ) -> Result<i64> {
        let list = named(&mut *self.tx, name).await?.id;
        self.touched.number_list(list.0);
        let id = signed(list.0);
        if filling == Filling::Replace {
            sql::query("DELETE FROM number_list_line WHERE list_id = ?")
                .bind(id)
                .execute(&mut *self.tx)
                .await?;
        }
        if filling == Filling::Remove {
            for line in lines {
                sql::query("DELETE FROM number_list_line WHERE list_id = ? AND line = ?")
                    .bind(id)
                    .bind(line)
                    .execute(&mut *self.tx)
                    .await?;
            }
        } else {
            let insert = Bulk::new(
                "INSERT INTO number_list_line (list_id, line)",
                2,
                "ON CONFLICT (list_id, line) DO NOTHING",
            );
            let rows: Vec<Line<'_>> = lines.iter().map(|text| Line { list, text }).collect();
            insert.run(&mut self.tx, &rows).await?;
        }
        let count =
            sql::query_scalar::<i64>("SELECT count(*) FROM number_list_line WHERE list_id = ?")
                .bind(id)
                .fetch_one(&mut *self.tx)
                .await?;
        if count > LINES_MAX {
            let what = format!("a list has at most {LINES_MAX} lines; make several lists of them");
            return Err(ChangeError::invalid("lines", what));
        }
        Ok(count)
    }

    /// Puts a list to work.
    pub async fn use_number_list(
        &mut self,
        name: &str,
        owner: NumberOwner,
        subject: Subject,
        effect: ListEffect,
    ) -> Result<StoredUse> {
        let list = named(&mut *self.tx, name).await?;
        let fitting = match list.kind {
            ListKind::DoNotOriginate => Some(Subject::Cli),
            ListKind::Premium | ListKind::Emergency => Some(Subject::Cld),
            ListKind::Plain | ListKind::Invalid => None,
        };
        if fitting.is_some_and(|fitting| fitting != subject) {
            let what =
                "numbers that never call are looked for in cli, premium and emergency ones in cld";
            return Err(ChangeError::invalid("subject", what));
        }
        let applied = ListUse { list: list.id, subject, effect };
        let policy = super::number_rule::policy_of(&mut self.tx, owner).await?;
        let uses = policy.as_ref().map_or(&[][..], |policy| policy.uses());
        if uses.contains(&applied) {
            return Err(ChangeError::InUse(format!("{owner} uses the list {name:?} so already")));
        }
        if uses.len() >= USES_MAX {
            let what = format!("{owner} uses {USES_MAX} lists, as many as it may");
            return Err(ChangeError::InUse(what));
        }
        let id = self.next_id("number_list_use").await?;
        self.touch_number_owner(owner);
        let [account, trunk, subscriber] = owner_columns(owner);
        sql::query(
            "INSERT INTO number_list_use
                (id, list_id, account_id, trunk_id, subscriber_id, subject, effect)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(id))
        .bind(signed(list.id.0))
        .bind(account)
        .bind(trunk)
        .bind(subscriber)
        .bind(subject.word())
        .bind(effect.word())
        .execute(&mut *self.tx)
        .await?;
        Ok(StoredUse { id, list, owner, subject, effect })
    }

    /// A list does this no longer.
    pub async fn end_number_list_use(&mut self, id: u64) -> Result<StoredUse> {
        let row = sql::query(format!("{USES} WHERE applied.id = ?"))
            .bind(signed(id))
            .fetch_optional(&mut *self.tx)
            .await?;
        let not_there = || ChangeError::not_found("use of a list", &id.to_string());
        let ended = stored_use(&row.ok_or_else(not_there)?)?;
        self.touch_number_owner(ended.owner);
        sql::query("DELETE FROM number_list_use WHERE id = ?")
            .bind(signed(id))
            .execute(&mut *self.tx)
            .await?;
        Ok(ended)
    }
}
