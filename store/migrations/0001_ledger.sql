-- What the journal says, as tables. Written only by the projection, in large batches, each with the
-- position it reaches in the same commit; anybody may read them with SQL.
--
-- Money is an INTEGER count of micro-units (1.5 EUR = 1500000); times are INTEGER microseconds since
-- 1970 UTC. The views in ../views show both as text for people.

-- How far the tables follow the journal. One row.
CREATE TABLE applied (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- Every record that ends at or before this position is in the tables.
    position INTEGER NOT NULL,
    -- Calls open at `position` that are not in `open_call` have all their records behind this one.
    replay_from INTEGER NOT NULL,
    -- The newest time that the journal had proven at `position`.
    journal_at INTEGER NOT NULL
);
INSERT INTO applied (id, position, replay_from, journal_at) VALUES (1, 0, 0, 0);

-- The four counters of each account, as the postings and the open reservations make them.
-- available = credits_posted - debits_posted - debits_pending + credit limit
CREATE TABLE account_balance (
    account_id INTEGER PRIMARY KEY,
    debits_pending INTEGER NOT NULL DEFAULT 0,
    debits_posted INTEGER NOT NULL DEFAULT 0,
    credits_pending INTEGER NOT NULL DEFAULT 0,
    credits_posted INTEGER NOT NULL DEFAULT 0
);

-- Calls that have lasted more than a minute, by their journal records, so that the journal before
-- `replay_from` can be removed while they live. Younger calls are in the journal only.
CREATE TABLE open_call (
    call_id INTEGER NOT NULL,
    -- The journal positions at which the record before it and the record itself end.
    start INTEGER NOT NULL,
    position INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (call_id, position)
) WITHOUT ROWID;

-- One row a leg, written once when the call ended; also for calls that were refused or cancelled.
CREATE TABLE cdr (
    call_id INTEGER NOT NULL,
    -- 0 is the ingress leg; egress attempts count from 1 in the order they were tried.
    leg INTEGER NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('ingress', 'egress')),
    -- Who pays for an ingress leg, who is paid for an egress leg.
    account_id INTEGER,
    subscriber_id INTEGER,
    trunk_id INTEGER,
    remote TEXT,
    sip_call_id TEXT NOT NULL,
    -- The numbers as they were on this leg.
    cli TEXT NOT NULL,
    cld TEXT NOT NULL,
    -- The numbers after translation, by which the call was routed and priced.
    caller TEXT,
    destination TEXT,
    started_at INTEGER NOT NULL,
    ringing_at INTEGER,
    answered_at INTEGER,
    ended_at INTEGER NOT NULL,
    -- INVITE to the first 18x, or to the answer.
    post_dial_delay_us INTEGER,
    -- Measured talk time, and what of it was billed after rounding.
    talked_us INTEGER NOT NULL,
    billed_us INTEGER NOT NULL,
    cause TEXT NOT NULL,
    q850 INTEGER NOT NULL,
    sip_status INTEGER NOT NULL,
    released_by TEXT NOT NULL CHECK (released_by IN ('caller', 'callee', 'switch')),
    -- The charge of an ingress leg, the cost of an egress leg.
    amount INTEGER NOT NULL,
    currency TEXT,
    -- The rate by which it was priced: its group (0 is the account's local price), the version of
    -- the sheet it came from, its prefix, its prices as decimal text, its increments, and as JSON
    -- what differs from the usual. Enough to price the leg again.
    rate_group_id INTEGER,
    rate_sheet_version INTEGER,
    rate_prefix TEXT,
    price TEXT,
    connect_fee TEXT,
    first_increment_s INTEGER,
    next_increment_s INTEGER,
    rate_terms TEXT,
    -- Why it went as it did: a JSON array of {code, sentence}; on leg 0 only.
    decisions TEXT,
    PRIMARY KEY (call_id, leg)
) WITHOUT ROWID;
CREATE INDEX cdr_started_at ON cdr (started_at);
CREATE INDEX cdr_account ON cdr (account_id, started_at);
-- People look for the Call-ID that a phone or a trunk shows.
CREATE INDEX cdr_sip_call_id ON cdr (sip_call_id) WHERE leg = 0;

-- Double entry: each row takes an amount from one account and gives it to another. Never changed;
-- a correction is another row.
CREATE TABLE posting (
    -- 16 bytes chosen by whoever asked for it, so that asking twice moves the money once.
    op_id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    debit_account_id INTEGER NOT NULL,
    credit_account_id INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- For a charge or a cost: whose.
    call_id INTEGER,
    leg INTEGER,
    -- For a command: its reason, in the words of whoever gave it. Empty for calls.
    note TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX posting_debit ON posting (debit_account_id, at);
CREATE INDEX posting_credit ON posting (credit_account_id, at);
CREATE INDEX posting_call ON posting (call_id) WHERE call_id IS NOT NULL;

-- Where subscribers are registered; read once, at start.
CREATE TABLE binding (
    subscriber_id INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    uri TEXT NOT NULL,
    -- A JSON array of Path values (RFC 3327).
    path TEXT NOT NULL,
    -- In thousandths.
    q INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    sip_call_id TEXT NOT NULL,
    cseq INTEGER NOT NULL,
    transport TEXT NOT NULL,
    listener INTEGER NOT NULL,
    remote TEXT NOT NULL,
    is_behind_nat INTEGER NOT NULL,
    PRIMARY KEY (subscriber_id, ordinal)
) WITHOUT ROWID;
