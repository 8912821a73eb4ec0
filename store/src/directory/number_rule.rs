//! Rules that rewrite numbers at the edges, and whose they are (T8, A-19, P-022).

use std::collections::BTreeMap;

use switch::numbers::{
    ListEffect, ListId, ListUse, NumberOwner, NumberPolicy, NumberRule, RuleId, Subject, Then,
};
use vocabulary::{AccountId, Direction, SubscriberId, TrunkId, Utc};

use super::{Change, ChangeError, DirectoryStore, Result, forwarding, signed, unsigned};
use crate::sql::{self, Executor, Row};

/// Rules of one owner for one side and direction.
const RULES_MAX: u64 = 1_000;
const NOTE_CHARS_MAX: usize = 200;
const POSITION_MAX: u32 = 1_000_000;

/// A rule, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRule {
    /// Whose.
    pub owner: NumberOwner,
    /// Ingress: for what the owner sends us.
    pub direction: Direction,
    /// For whose number.
    pub subject: Subject,
    /// Lower goes first.
    pub position: u32,
    /// What it does; its id is 0 before it is stored.
    pub rule: NumberRule,
    /// What people write about it.
    pub note: String,
    /// When it was added.
    pub created_at: Utc,
}

/// An owner as people name it; nothing is everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedOwner {
    /// An account's name or number.
    pub account: Option<String>,
    /// A trunk's name or id.
    pub trunk: Option<String>,
    /// A subscriber's username.
    pub subscriber: Option<String>,
}

/// The word of a direction: towards us is `in`.
pub fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
    }
}

/// The direction with this word.
pub fn direction_from_word(word: &str) -> Option<Direction> {
    [Direction::Ingress, Direction::Egress].into_iter().find(|it| direction_word(*it) == word)
}

/// The columns of an owner.
pub(super) fn owner_columns(owner: NumberOwner) -> [Option<i64>; 3] {
    match owner {
        NumberOwner::Switch => [None, None, None],
        NumberOwner::Account(id) => [Some(signed(id.0)), None, None],
        NumberOwner::Trunk(id) => [None, Some(signed(id.0)), None],
        NumberOwner::Subscriber(id) => [None, None, Some(signed(id.0))],
    }
}

pub(super) fn owner(row: &Row) -> Result<NumberOwner> {
    let id =
        |column: &str| Ok::<_, ChangeError>(row.try_get::<Option<i64>, _>(column)?.map(unsigned));
    Ok(match (id("account_id")?, id("trunk_id")?, id("subscriber_id")?) {
        (Some(id), ..) => NumberOwner::Account(AccountId(id)),
        (None, Some(id), _) => NumberOwner::Trunk(TrunkId(id)),
        (None, None, Some(id)) => NumberOwner::Subscriber(SubscriberId(id)),
        (None, None, None) => NumberOwner::Switch,
    })
}

/// `WHERE` for the rows of one owner, and its value.
pub(super) fn of_owner(owner: NumberOwner) -> (&'static str, Option<i64>) {
    match owner {
        NumberOwner::Switch => {
            ("account_id IS NULL AND trunk_id IS NULL AND subscriber_id IS NULL", None)
        }
        NumberOwner::Account(id) => ("account_id = ?", Some(signed(id.0))),
        NumberOwner::Trunk(id) => ("trunk_id = ?", Some(signed(id.0))),
        NumberOwner::Subscriber(id) => ("subscriber_id = ?", Some(signed(id.0))),
    }
}

/// A word that this program has written.
pub(super) fn read_word<T>(
    row: &Row,
    column: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T> {
    let text: String = row.try_get(column)?;
    read(&text).ok_or(ChangeError::Corrupt { column, value: text })
}

fn stored(row: &Row) -> Result<StoredRule> {
    let matches = read_word(row, "pattern", |text| text.parse().ok())?;
    let prepend: String = row.try_get("prepend")?;
    let length = |column: &'static str| {
        let length: u32 = row.try_get(column)?;
        u8::try_from(length).map_err(|_| ChangeError::Corrupt { column, value: length.to_string() })
    };
    let then = read_word(row, "then_do", Then::from_word)?;
    let id = RuleId(unsigned(row.try_get("id")?));
    Ok(StoredRule {
        owner: owner(row)?,
        direction: read_word(row, "direction", direction_from_word)?,
        subject: read_word(row, "subject", Subject::from_word)?,
        position: row.try_get("position")?,
        rule: NumberRule {
            lengths: (length("length_min")?, length("length_max")?),
            ..NumberRule::new(id, matches, length("strip")?, &prepend, then)
        },
        note: row.try_get("note")?,
        created_at: Utc(row.try_get("created_at")?),
    })
}

fn list_use(row: &Row) -> Result<ListUse> {
    Ok(ListUse {
        list: ListId(unsigned(row.try_get("list_id")?)),
        subject: read_word(row, "subject", Subject::from_word)?,
        effect: read_word(row, "effect", ListEffect::from_word)?,
    })
}

/// The policies of all owners that have one.
pub(super) async fn all(
    connection: &mut sql::Connection,
) -> Result<BTreeMap<NumberOwner, NumberPolicy>> {
    let rules = sql::query("SELECT * FROM number_rule ORDER BY position, id");
    let rules = rules.fetch_all(&mut *connection).await?;
    let uses = sql::query("SELECT * FROM number_list_use ORDER BY id");
    let uses = uses.fetch_all(&mut *connection).await?;
    policies(&rules, &uses)
}

/// The policy of this one.
pub(super) async fn policy_of(
    connection: &mut sql::Connection,
    owner: NumberOwner,
) -> Result<Option<NumberPolicy>> {
    let rules = rows_of(&mut *connection, "number_rule", owner, "position, id").await?;
    let uses = rows_of(&mut *connection, "number_list_use", owner, "id").await?;
    Ok(policies(&rules, &uses)?.remove(&owner))
}

fn policies(rules: &[Row], uses: &[Row]) -> Result<BTreeMap<NumberOwner, NumberPolicy>> {
    let mut policies: BTreeMap<NumberOwner, NumberPolicy> = BTreeMap::new();
    for row in rules {
        let StoredRule { owner, direction, subject, rule, .. } = stored(row)?;
        policies.entry(owner).or_default().add_rule(direction, subject, rule);
    }
    for row in uses {
        policies.entry(owner(row)?).or_default().add_use(list_use(row)?);
    }
    Ok(policies)
}

async fn rows_of(
    executor: impl Executor<'_>,
    table: &str,
    owner: NumberOwner,
    order: &str,
) -> Result<Vec<Row>> {
    let (is_its, value) = of_owner(owner);
    let text = format!("SELECT * FROM {table} WHERE {is_its} ORDER BY {order}");
    let query = sql::query(&text);
    let query = match value {
        Some(value) => query.bind(value),
        None => query,
    };
    Ok(query.fetch_all(executor).await?)
}

impl DirectoryStore {
    /// All rules, or those of one owner, in the order in which they are applied.
    pub async fn number_rules(&self, owner: Option<NumberOwner>) -> Result<Vec<StoredRule>> {
        let rows = match owner {
            Some(owner) => rows_of(&self.pool, "number_rule", owner, "position, id").await?,
            None => {
                let sql = "SELECT * FROM number_rule ORDER BY position, id";
                sql::query(sql).fetch_all(&self.pool).await?
            }
        };
        rows.iter().map(stored).collect()
    }
}

impl Change {
    /// Whom a command names.
    pub async fn number_owner(&mut self, named: &NamedOwner) -> Result<NumberOwner> {
        match (&named.account, &named.trunk, &named.subscriber) {
            (None, None, None) => Ok(NumberOwner::Switch),
            (Some(name), None, None) => Ok(NumberOwner::Account(self.account(name).await?.id)),
            (None, Some(name), None) => Ok(NumberOwner::Trunk(self.trunk(name).await?.id)),
            (None, None, Some(username)) => {
                let id = forwarding::id_of(&mut *self.tx, username).await?;
                Ok(NumberOwner::Subscriber(id))
            }
            _ => {
                let what =
                    "name an account, a trunk or a subscriber, or none of them for everybody";
                Err(ChangeError::invalid("account", what))
            }
        }
    }

    /// Notes that the rules or lists of an owner change.
    pub(super) fn touch_number_owner(&mut self, owner: NumberOwner) {
        match owner {
            NumberOwner::Switch => self.touched.numbers_of_all(),
            NumberOwner::Account(id) => self.touched.account(id),
            NumberOwner::Trunk(id) => self.touched.trunk(id),
            NumberOwner::Subscriber(id) => self.touched.subscriber(id),
        }
    }

    /// Adds a rule and gives it its id. Without a position it goes behind the others.
    pub async fn add_number_rule(
        &mut self,
        mut stored: StoredRule,
        position: Option<u32>,
    ) -> Result<StoredRule> {
        let rule = &stored.rule;
        rule.check(stored.subject)
            .map_err(|fault| ChangeError::invalid("rule", fault.to_string()))?;
        if stored.note.chars().count() > NOTE_CHARS_MAX || stored.note.contains(char::is_control) {
            return Err(ChangeError::invalid("note", "write at most 200 characters in one line"));
        }
        let is_to_phone = matches!(stored.owner, NumberOwner::Subscriber(_))
            && stored.direction == Direction::Egress;
        if is_to_phone && stored.subject == Subject::Cld {
            let what = "a phone is called at its address; towards it only cli has rules";
            return Err(ChangeError::invalid("subject", what));
        }
        let siblings = rows_of(&mut *self.tx, "number_rule", stored.owner, "position, id").await?;
        let siblings: Vec<StoredRule> = siblings.iter().map(self::stored).collect::<Result<_>>()?;
        let mut alike = siblings
            .iter()
            .filter(|other| (other.direction, other.subject) == (stored.direction, stored.subject));
        let last = alike.next_back().map_or(0, |other| other.position);
        if alike.count() as u64 + 1 >= RULES_MAX {
            let what =
                format!("{} has {RULES_MAX} rules of this kind, as many as it may", stored.owner);
            return Err(ChangeError::InUse(what));
        }
        stored.position = position.unwrap_or_else(|| last.saturating_add(10).min(POSITION_MAX));
        if !(1..=POSITION_MAX).contains(&stored.position) {
            return Err(ChangeError::invalid("position", "write a number from 1 to 1,000,000"));
        }
        stored.rule.id = RuleId(self.next_id("number_rule").await?);
        self.touch_number_owner(stored.owner);
        self.write_rule(&stored).await?;
        Ok(stored)
    }

    async fn write_rule(&mut self, stored: &StoredRule) -> Result<()> {
        let StoredRule { rule, .. } = stored;
        let [account, trunk, subscriber] = owner_columns(stored.owner);
        sql::query(
            "INSERT INTO number_rule (id, account_id, trunk_id, subscriber_id, direction, subject,
                position, pattern, length_min, length_max, strip, prepend, then_do, note, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(signed(rule.id.0))
        .bind(account)
        .bind(trunk)
        .bind(subscriber)
        .bind(direction_word(stored.direction))
        .bind(stored.subject.word())
        .bind(stored.position)
        .bind(rule.matches.as_str())
        .bind(u32::from(rule.lengths.0))
        .bind(u32::from(rule.lengths.1))
        .bind(u32::from(rule.strip))
        .bind(&*rule.prepend)
        .bind(rule.then.word())
        .bind(&stored.note)
        .bind(stored.created_at.0)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Removes a rule.
    pub async fn remove_number_rule(&mut self, id: u64) -> Result<()> {
        let row = sql::query("SELECT * FROM number_rule WHERE id = ?")
            .bind(signed(id))
            .fetch_optional(&mut *self.tx)
            .await?;
        let row = row.ok_or_else(|| ChangeError::not_found("number rule", &id.to_string()))?;
        self.touch_number_owner(owner(&row)?);
        sql::query("DELETE FROM number_rule WHERE id = ?")
            .bind(signed(id))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}
