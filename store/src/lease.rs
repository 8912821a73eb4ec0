//! Leases in the database. Every write of a node begins with its own row in `node`: that keeps one
//! writer of a node behind the other, counts its turns, so that a statement whose answer was lost
//! cannot take effect behind a later one, and shows the others that the node lives. Then the accounts
//! are locked, in the order of their ids, as the projection does; then they are read anew: a
//! `FOR UPDATE` inside a larger statement would answer with what was there before it waited.

pub(crate) mod seconds;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use billing::{
    Bundle, BundleOf, Fund, Lease, LeaseAnswer, LeaseAsk, LeaseAsks, Money, OpId, SecondsAnswer,
    SecondsAsk, SpendPeriod,
};
use vocabulary::{AccountId, Utc};

use self::seconds::SecondsLeases;
use crate::node::{DATABASE_NOW, Node};
use crate::nodes::{is_first, reclaim};
use crate::projection::posting_key;
use crate::sql::{self, Builder, Bulk, BulkRow, Connection, Database, Pool, Transaction, Values};

/// An account is scarce for so long after a node did not get what it asked for, in microseconds.
const SCARCE_US: i64 = 3_000_000;
/// How long a lock may be waited for.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// Accounts in one statement.
const CHUNK: usize = 500;

/// Why nothing came of a question.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The node was taken for dead meanwhile, a later start of it has taken over, or an operator gave
    /// it up.
    #[error("the node was silent for too long, a later start of it has begun, or it was given up")]
    Superseded,
    /// The command's id is with another node.
    #[error("node {0:?} is carrying out this command; ask it, or send it again when it is back")]
    Elsewhere(String),
    /// Less is free than is to be taken.
    #[error("{needed} is needed and {free} is free")]
    TooLittle {
        /// What there is.
        free: Money,
        /// What was asked for.
        needed: Money,
    },
    /// The database said nothing in time.
    #[error("the database does not answer")]
    Silent,
    /// The database.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A question, and the present hour, day and month of its account if it has limits for them.
#[derive(Clone, Debug)]
pub struct LeaseQuestion {
    /// What is asked.
    pub ask: LeaseAsk,
    /// When the hour, and the account's day and month, begin and end.
    pub windows: Option<[Range<Utc>; 3]>,
}

/// What the database says to all questions of one moment.
#[derive(Clone, Debug, Default)]
pub struct LeaseAnswers {
    /// About money.
    pub money: Vec<LeaseAnswer>,
    /// About seconds.
    pub seconds: Vec<SecondsAnswer>,
    /// Asked for, and not in the tables.
    pub not_found: Vec<BundleOf>,
    /// What accounts were given since the last answer, by whatever node.
    pub new_bundles: Vec<(AccountId, Bundle)>,
}

/// What is to be taken by a command, in one piece.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    /// Whose.
    pub account: AccountId,
    /// How much; 0 only claims the command's id.
    pub amount: Money,
    /// Also if it is not there.
    pub is_forced: bool,
    /// Of money that was paid in, not of credit.
    pub is_own: bool,
    /// To pay a carrier: no more than it is owed, netted with what it owes.
    pub is_payout: bool,
}

/// One node's way to its leases.
pub struct Leases {
    database: Database,
    /// Made anew after an error, and after an answer that nobody waited for.
    pool: Option<Pool>,
    node: Node,
    /// The number of the last turn whose answer was heard; `None` after one that was not.
    turn: Option<i64>,
    balances: Bulk,
    leases: Bulk,
    seconds: SecondsLeases,
    /// The number of the newest bundle that was heard of.
    newest_bundle: i64,
}

impl Leases {
    /// For this start of a node.
    pub fn new(database: Database, node: Node) -> Leases {
        let balances = "UPDATE account_balance SET leased = account_balance.leased + v.leased, \
                        allowance = v.allowance, short_at = v.short_at, is_netted = v.is_netted FROM (";
        let on = ") AS v (account_id, leased, allowance, short_at, is_netted) \
                  WHERE account_balance.account_id = v.account_id";
        let leases = "INSERT INTO lease (node, account_id, granted, claimed, spent)";
        let set = "ON CONFLICT (node, account_id) DO UPDATE SET granted = excluded.granted, \
                   claimed = excluded.claimed";
        let (balances, leases) = (Bulk::new(balances, 5, on), Bulk::new(leases, 5, set));
        let (seconds, newest_bundle) = (SecondsLeases::new(), 0);
        Leases { database, pool: None, node, turn: None, balances, leases, seconds, newest_bundle }
    }

    /// Of a node that knows the bundles up to this number: only later ones are news to it.
    pub fn knowing_bundles(self, newest_bundle: i64) -> Leases {
        Leases { newest_bundle, ..self }
    }

    /// Asks and gives back. Also without a question it tells the others that the node lives.
    pub async fn ask(
        &mut self,
        questions: &[LeaseQuestion],
        seconds: &[SecondsAsk],
    ) -> Result<LeaseAnswers, LeaseError> {
        let (pool, expected) = (self.pool().await?, self.turn.take());
        let (mut transaction, turn) = self.begin(&pool, expected).await?;
        let (node, mut answers) = (self.node.id, LeaseAnswers::default());
        if expected.is_none() {
            // Nobody knows what became of the last one: how things stand comes first.
            answers.money = self.standing(&mut transaction).await?;
            answers.seconds = seconds::standing(&mut transaction, node).await?;
        }
        for chunk in questions.chunks(CHUNK) {
            let mut some = self.decide(&mut transaction, chunk).await?;
            answers.money.append(&mut some);
        }
        if !seconds.is_empty() {
            let mut some = self.seconds.decide(&mut transaction, node, seconds).await?;
            answers.seconds.append(&mut some.answers);
            answers.not_found = some.not_found;
        }
        let (bundles, newest) =
            seconds::learned(&mut transaction, node, self.newest_bundle).await?;
        answers.new_bundles = bundles;
        transaction.commit().await?;
        (self.turn, self.pool, self.newest_bundle) = (Some(turn), Some(pool), newest);
        Ok(answers)
    }

    /// Accounts and bundles of which others did not get what they asked for, as far as this node has
    /// some.
    pub async fn scarce(&mut self) -> Result<(Vec<AccountId>, Vec<BundleOf>), LeaseError> {
        let pool = self.pool().await?;
        let mut connection = pool.begin_read().await?;
        let sql = format!(
            "SELECT l.account_id FROM lease l JOIN account_balance b ON b.account_id = l.account_id \
             WHERE l.node = ? AND l.granted > l.spent AND b.short_at > {DATABASE_NOW} - ?"
        );
        let query = sql::query(&sql).bind(self.node.id).bind(SCARCE_US);
        let mut scarce = Vec::new();
        for row in query.fetch_all(&mut *connection).await? {
            scarce.push(AccountId(row.try_get::<i64, _>(0)?.cast_unsigned()));
        }
        let bundles = seconds::scarce(&mut connection, self.node.id).await?;
        drop(connection);
        self.pool = Some(pool);
        Ok((scarce, bundles))
    }

    /// Covers what this node has used beyond what it had claimed: it had the database to itself
    /// before. The journal has it, so it is taken whether it is there or not.
    pub(crate) async fn cover(&mut self, used: &LeaseAsks) -> Result<LeaseAnswers, LeaseError> {
        let (pool, expected) = (self.pool().await?, self.turn.take());
        let (mut transaction, turn) = self.begin(&pool, expected).await?;
        let mut answers = Vec::new();
        for chunk in used.money.chunks(CHUNK) {
            let accounts: Vec<AccountId> = chunk.iter().map(|ask| ask.account).collect();
            let found = self.lock(&mut transaction, &accounts).await?;
            let mut changes = Vec::new();
            for ask in chunk {
                let row = found.get(&ask.account).copied().unwrap_or_default();
                let granted = row.lease.granted.max(ask.wanted.granted);
                let claimed = row.lease.claimed.max(ask.wanted.claimed);
                let lease = Lease { granted, claimed, ..row.lease };
                let more = granted.0 - row.lease.granted.0;
                let over = Money(more.saturating_sub(row.fund(None).free().0.max(0)).max(0));
                answers.push(LeaseAnswer { lease, ..row.answer(ask.account) });
                let account = ask.account;
                let (is_short, limited_by) = (false, None);
                changes.push(Change { account, row, lease, over, is_short, limited_by });
            }
            self.write(&mut transaction, &changes).await?;
        }
        let node = self.node.id;
        let seconds = self.seconds.cover(&mut transaction, node, &used.seconds).await?;
        transaction.commit().await?;
        (self.turn, self.pool) = (Some(turn), Some(pool));
        Ok(LeaseAnswers { money: answers, seconds, ..LeaseAnswers::default() })
    }

    /// What one node does for all: takes back what silent nodes cannot have used, and says whether
    /// this is the node that charges what is due (the first that is up). The names of the silent ones.
    pub async fn watch_others(&mut self) -> Result<(Vec<String>, bool), LeaseError> {
        let pool = self.pool().await?;
        let silent = reclaim(&pool).await?;
        let is_first = is_first(&pool, self.node.id).await?;
        self.pool = Some(pool);
        Ok((silent, is_first))
    }

    /// Takes an amount for a command that is about to be journaled, and claims the command's id for
    /// this node.
    pub async fn take(
        &mut self,
        op: OpId,
        taking: Taking,
    ) -> Result<Option<LeaseAnswer>, LeaseError> {
        let (pool, expected) = (self.pool().await?, self.turn.take());
        let (mut transaction, turn) = self.begin(&pool, expected).await?;
        self.claim(&mut transaction, op).await?;
        let Taking { account, amount, is_forced, .. } = taking;
        let mut answer = None;
        if amount > Money::ZERO {
            let found = self.lock(&mut transaction, &[account]).await?;
            let row = found.get(&account).copied().unwrap_or_default();
            let free = row.takeable(taking);
            if amount > free && !is_forced {
                // Nothing was written but the turn and the claim; neither may stay.
                return Err(LeaseError::TooLittle { free, needed: amount });
            }
            let held = row.lease;
            let granted = Money(held.granted.0.saturating_add(amount.0));
            let claimed = Money(held.claimed.0.saturating_add(amount.0));
            let lease = Lease { granted, claimed, ..held };
            let over = amount.0.saturating_sub(row.fund(None).free().0.max(0)).max(0);
            let (over, is_short, limited_by) = (Money(over), false, None);
            let change = Change { account, row, lease, over, is_short, limited_by };
            self.write(&mut transaction, &[change]).await?;
            answer = Some(LeaseAnswer { lease, ..row.answer(account) });
        }
        transaction.commit().await?;
        // A command that was refused above leaves the turn unknown, which costs one look more.
        (self.turn, self.pool) = (Some(turn), Some(pool));
        Ok(answer)
    }

    async fn claim(&self, connection: &mut Connection, op: OpId) -> Result<(), LeaseError> {
        let sql = "INSERT INTO op_claim (op_id, node) VALUES (?, ?) \
                   ON CONFLICT (op_id) DO UPDATE SET node = op_claim.node RETURNING node";
        let query = sql::query_scalar::<i64>(sql).bind(posting_key(op)).bind(self.node.id);
        let holder = query.fetch_one(&mut *connection).await?;
        if holder == self.node.id {
            return Ok(());
        }
        let sql = "SELECT name FROM node WHERE id = ?";
        let name: Option<String> =
            sql::query_scalar(sql).bind(holder).fetch_optional(connection).await?;
        Err(LeaseError::Elsewhere(name.unwrap_or_else(|| holder.to_string())))
    }

    /// Taken out, so that a connection on which something went wrong is used no more.
    async fn pool(&mut self) -> Result<Pool, sqlx::Error> {
        match self.pool.take() {
            Some(pool) => Ok(pool),
            None => self.database.open_for_batches(LOCK_WAIT).await,
        }
    }

    async fn begin(
        &self,
        pool: &Pool,
        expected: Option<i64>,
    ) -> Result<(Transaction, i64), LeaseError> {
        let mut transaction = pool.begin().await?;
        let sql = format!(
            "UPDATE node SET turn = turn + 1, state = 'up', seen_at = {DATABASE_NOW}, \
             expires_at = {DATABASE_NOW} + lease_ttl_us \
             WHERE id = ? AND epoch = ? AND state <> 'lost' AND (? < 0 OR turn = ?) RETURNING turn"
        );
        let turn = expected.unwrap_or(-1);
        let query = sql::query_scalar::<i64>(&sql).bind(self.node.id).bind(self.node.epoch);
        let found = query.bind(turn).bind(turn).fetch_optional(&mut *transaction).await?;
        match found {
            Some(turn) => Ok((transaction, turn)),
            None => Err(LeaseError::Superseded),
        }
    }

    /// All leases of this node that hold something.
    async fn standing(&self, connection: &mut Connection) -> Result<Vec<LeaseAnswer>, LeaseError> {
        let sql = "SELECT account_id FROM lease WHERE node = ? AND granted <> spent";
        let mut accounts = Vec::new();
        for row in sql::query(sql).bind(self.node.id).fetch_all(&mut *connection).await? {
            accounts.push(AccountId(row.try_get::<i64, _>(0)?.cast_unsigned()));
        }
        let rows = rows(connection, self.node.id, &accounts).await?;
        Ok(rows.iter().map(|(account, row)| row.answer(*account)).collect())
    }

    async fn decide(
        &self,
        connection: &mut Connection,
        questions: &[LeaseQuestion],
    ) -> Result<Vec<LeaseAnswer>, LeaseError> {
        let accounts: Vec<AccountId> = questions.iter().map(|q| q.ask.account).collect();
        let found = self.lock(connection, &accounts).await?;
        let mut changes = Vec::with_capacity(questions.len());
        for LeaseQuestion { ask, windows } in questions {
            let row = found.get(&ask.account).copied().unwrap_or_default();
            let spend_left = spend_left(connection, ask, windows.as_ref()).await?;
            let fund = row.fund(spend_left.map(|(left, _)| left));
            let lease = fund.decide(row.lease, &ask.wanted);
            let is_short = lease.claimed < ask.wanted.least;
            let is_ours = |left: Money| left < row.left() && left <= lease.unspent();
            let limited_by = spend_left.filter(|(left, _)| is_ours(*left)).map(|(_, by)| by);
            let (account, over) = (ask.account, Money::ZERO);
            changes.push(Change { account, row, lease, over, is_short, limited_by });
        }
        self.write(connection, &changes).await?;
        let answer = |change: &Change| LeaseAnswer {
            lease: change.lease,
            limited_by: change.limited_by,
            ..change.row.answer(change.account)
        };
        Ok(changes.iter().map(answer).collect())
    }

    /// Locks the accounts' rows, making those that are missing, and reads them.
    async fn lock(
        &self,
        connection: &mut Connection,
        accounts: &[AccountId],
    ) -> Result<BTreeMap<AccountId, Row>, LeaseError> {
        let ids = || accounts.iter().map(|account| account.0.cast_signed());
        let mut query = Builder::new(
            "INSERT INTO account_balance (account_id) SELECT id FROM account WHERE id IN (",
        );
        query.push_list(ids()).push(
            ") AND NOT EXISTS (SELECT 1 FROM account_balance b WHERE b.account_id = account.id) \
             ORDER BY id ON CONFLICT DO NOTHING",
        );
        query.build().execute(&mut *connection).await?;
        let mut query =
            Builder::new("SELECT account_id FROM account_balance WHERE account_id IN (");
        query.push_list(ids()).push(") ORDER BY account_id FOR UPDATE");
        query.build().fetch_all(&mut *connection).await?;
        Ok(rows(connection, self.node.id, accounts).await?)
    }

    async fn write(
        &self,
        connection: &mut Connection,
        changes: &[Change],
    ) -> Result<(), LeaseError> {
        let now: i64 =
            sql::query_scalar(format!("SELECT {DATABASE_NOW}")).fetch_one(&mut *connection).await?;
        let balances: Vec<BalanceRow<'_>> = changes.iter().map(|c| BalanceRow(c, now)).collect();
        self.balances.run(connection, &balances).await?;
        let leases: Vec<LeaseRow<'_>> = changes.iter().map(|c| LeaseRow(self.node.id, c)).collect();
        self.leases.run(connection, &leases).await?;
        Ok(())
    }
}

/// An account and this node's lease of it.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    /// Received less taken; unless it is netted, without what it is owed as a carrier.
    balance: Money,
    /// Of all that was received, as a carrier.
    owed: Money,
    /// What it is owed pays for its own calls.
    is_netted: bool,
    /// The credit limit.
    limit: Money,
    leased: Money,
    short_at: i64,
    lease: Lease,
}

impl Row {
    fn left(&self) -> Money {
        Money(self.balance.0.saturating_add(self.limit.0))
    }

    fn fund(&self, spend_left: Option<Money>) -> Fund {
        Fund { left: self.left(), leased: self.leased, spend_left, increment: Money(1) }
    }

    /// What a command may take unless an operator insists.
    fn takeable(&self, taking: Taking) -> Money {
        let free = self.fund(None).free();
        let own = Money(free.0.saturating_sub(self.limit.0));
        match taking {
            Taking { is_payout: true, .. } if self.is_netted => self.owed.min(own),
            Taking { is_payout: true, .. } => self.owed,
            Taking { is_own: true, .. } => own,
            _ => free,
        }
    }

    fn answer(&self, account: AccountId) -> LeaseAnswer {
        LeaseAnswer { account, lease: self.lease, left: self.left(), limited_by: None }
    }
}

/// What becomes of one account.
struct Change {
    account: AccountId,
    row: Row,
    lease: Lease,
    /// What was taken without being there.
    over: Money,
    is_short: bool,
    limited_by: Option<SpendPeriod>,
}

struct BalanceRow<'a>(&'a Change, i64);

impl BulkRow for BalanceRow<'_> {
    fn bind(&self, values: &mut Values<'_>) {
        let Change { account, row, lease, over, is_short, .. } = self.0;
        let leased = row.leased.0.saturating_sub(row.balance.0);
        values.put(account.0.cast_signed());
        values.put(lease.granted.0 - row.lease.granted.0);
        // What is out already, because the limit was lowered or netting ended, is no reason to refuse
        // what comes back.
        values.put(row.limit.0.max(leased).saturating_add(over.0));
        values.put(if *is_short { self.1 } else { row.short_at });
        values.put(row.is_netted);
    }
}

struct LeaseRow<'a>(i64, &'a Change);

impl BulkRow for LeaseRow<'_> {
    fn bind(&self, values: &mut Values<'_>) {
        let Change { account, lease, .. } = self.1;
        values.put(self.0);
        values.put(account.0.cast_signed());
        values.put(lease.granted.0);
        values.put(lease.claimed.0);
        values.put(0_i64);
    }
}

async fn rows(
    connection: &mut Connection,
    node: i64,
    accounts: &[AccountId],
) -> Result<BTreeMap<AccountId, Row>, sqlx::Error> {
    let mut rows = BTreeMap::new();
    if accounts.is_empty() {
        return Ok(rows);
    }
    let mut query = Builder::new(
        "SELECT b.account_id, b.credits_posted - b.debits_posted \
         - CASE WHEN a.netted = 1 THEN 0 ELSE b.owed END, \
         CASE WHEN a.billing = 'postpaid' THEN a.credit_limit ELSE 0 END, b.leased, b.short_at, \
         coalesce(l.granted, 0), coalesce(l.claimed, 0), coalesce(l.spent, 0), \
         b.owed, coalesce(a.netted, 0) \
         FROM account_balance b LEFT JOIN account a ON a.id = b.account_id \
         LEFT JOIN lease l ON l.account_id = b.account_id AND l.node = ",
    );
    query.push_bind(node).push(" WHERE b.account_id IN (");
    query.push_list(accounts.iter().map(|account| account.0.cast_signed())).push(")");
    for row in query.build().fetch_all(connection).await? {
        let account = AccountId(row.try_get::<i64, _>(0)?.cast_unsigned());
        let lease = Lease {
            granted: Money(row.try_get(5)?),
            claimed: Money(row.try_get(6)?),
            spent: Money(row.try_get(7)?),
        };
        let row = Row {
            balance: Money(row.try_get(1)?),
            limit: Money(row.try_get::<Option<i64>, _>(2)?.unwrap_or(0).max(0)),
            leased: Money(row.try_get(3)?),
            short_at: row.try_get(4)?,
            lease,
            owed: Money(row.try_get(8)?),
            is_netted: row.try_get(9)?,
        };
        rows.insert(account, row);
    }
    Ok(rows)
}

/// What the limits of the hour, the day and the month leave, and which of them leaves less. The account is locked: what is charged and not
/// among the postings yet is still leased.
async fn spend_left(
    connection: &mut Connection,
    ask: &LeaseAsk,
    windows: Option<&[Range<Utc>; 3]>,
) -> Result<Option<(Money, SpendPeriod)>, sqlx::Error> {
    let Some(windows) = windows else { return Ok(None) };
    let sql = "SELECT coalesce(sum(amount), 0) FROM posting \
               WHERE debit_account_id = ? AND at >= ? AND at < ? AND kind = 'charge'";
    let mut left: Option<(Money, SpendPeriod)> = None;
    for (period, window) in SpendPeriod::ALL.into_iter().zip(windows) {
        let Some(limit) = ask.spend.of(period) else { continue };
        let query = sql::query_scalar::<i64>(sql).bind(ask.account.0.cast_signed());
        let spent =
            query.bind(window.start.0).bind(window.end.0).fetch_one(&mut *connection).await?;
        let rest = Money(limit.0.saturating_sub(spent));
        if left.is_none_or(|(least, _)| rest < least) {
            left = Some((rest, period));
        }
    }
    Ok(left)
}

/// All leases of a node, for its start.
pub(crate) async fn load(
    connection: &mut Connection,
    node: i64,
) -> Result<Vec<(AccountId, Lease)>, sqlx::Error> {
    let sql = "SELECT account_id, granted, claimed, spent FROM lease WHERE node = ?";
    let mut leases = Vec::new();
    for row in sql::query(sql).bind(node).fetch_all(connection).await? {
        let lease = Lease {
            granted: Money(row.try_get(1)?),
            claimed: Money(row.try_get(2)?),
            spent: Money(row.try_get(3)?),
        };
        leases.push((AccountId(row.try_get::<i64, _>(0)?.cast_unsigned()), lease));
    }
    Ok(leases)
}
