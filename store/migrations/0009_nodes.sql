-- Several nodes on one database: each has a data directory and a journal of its own, and the tables
-- follow all of them. A Tandem that has its database to itself is node 1 and has no row in `node`.

CREATE TABLE node (
    -- What `applied.node` and `open_call.node` mean.
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- The identity of its data directory.
    directory TEXT NOT NULL UNIQUE,
    -- That of its newest start, as in `applied`.
    epoch BIGINT NOT NULL,
    -- `lost`: an operator gave it up; it does not come back.
    state TEXT NOT NULL CHECK (state IN ('up', 'down', 'lost')),
    -- Its leases hold so long without a sign of life.
    lease_ttl_us BIGINT NOT NULL,
    -- Counted up by each of its writes about leases, so that one whose answer was lost cannot take
    -- effect behind a later one.
    turn BIGINT NOT NULL DEFAULT 0,
    -- By the database's clock.
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- One row a node instead of one row.
CREATE TABLE applied_by_node (
    node INTEGER PRIMARY KEY,
    position BIGINT NOT NULL,
    replay_from BIGINT NOT NULL,
    journal_at BIGINT NOT NULL,
    -- Counted up by each start: what an earlier one still wants to write is refused.
    epoch BIGINT NOT NULL DEFAULT 0
);
INSERT INTO applied_by_node (node, position, replay_from, journal_at)
    SELECT 1, position, replay_from, journal_at FROM applied;
DROP TABLE applied;
ALTER TABLE applied_by_node RENAME TO applied;

-- Whose journal the record is in.
ALTER TABLE open_call ADD COLUMN node BIGINT NOT NULL DEFAULT 1;

-- Of an account's pending sums, what the calls of one node hold; only kept for the rows of `node`.
CREATE TABLE node_pending (
    node BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    debits_pending BIGINT NOT NULL,
    credits_pending BIGINT NOT NULL,
    PRIMARY KEY (node, account_id)
);

-- A phone is where it registered.
CREATE TABLE binding_by_node (
    node BIGINT NOT NULL,
    subscriber_id INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    uri TEXT NOT NULL,
    path TEXT NOT NULL,
    q INTEGER NOT NULL,
    expires_at BIGINT NOT NULL,
    sip_call_id TEXT NOT NULL,
    cseq BIGINT NOT NULL,
    transport TEXT NOT NULL,
    listener INTEGER NOT NULL,
    remote TEXT NOT NULL,
    is_behind_nat INTEGER NOT NULL,
    PRIMARY KEY (node, subscriber_id, ordinal)
);
INSERT INTO binding_by_node SELECT 1, subscriber_id, ordinal, uri, path, q, expires_at, sip_call_id,
    cseq, transport, listener, remote, is_behind_nat FROM binding;
DROP TABLE binding;
ALTER TABLE binding_by_node RENAME TO binding;

-- The number of the next start on a database with several nodes: the top bits of call ids.
INSERT INTO next_id (of, next) VALUES ('start', 0);

-- What commands of one node have changed, so that the others read it again. The oldest go.
CREATE TABLE directory_change (
    number INTEGER PRIMARY KEY,
    -- Which rows snapshots are made of it changed, as JSON; null: anything.
    touched TEXT
);
INSERT INTO next_id (of, next) VALUES ('directory_change', 1);
