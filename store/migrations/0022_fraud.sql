-- Fraud limits (S4, V-11): what is looked for in the calls of accounts, and what came of it.

-- What an account may be charged for calls in an hour, in micro-units; null: no limit.
ALTER TABLE account ADD COLUMN spend_hour_max BIGINT;

-- Of an account, or with null of everybody whose account has none of the kind.
CREATE TABLE fraud_rule (
    id                BIGINT  NOT NULL PRIMARY KEY,
    account_id        BIGINT  REFERENCES account (id),
    -- calls_per_cli, countries_at_once, countries_per_hour, new_country, short_calls, hours,
    -- premium_minutes
    kind              TEXT    NOT NULL,
    -- Calls a minute, countries, or minutes; of short calls so many in a hundred.
    most              BIGINT,
    -- short_calls: a call below so many seconds is short, and so many calls are looked at.
    below_s           BIGINT,
    among             BIGINT,
    -- hours: while this is open, to numbers of this class and country; null: of any.
    window_id         BIGINT  REFERENCES time_window (id),
    class             TEXT,
    country           TEXT,
    -- alarm, block, reduce
    action            TEXT    NOT NULL,
    -- block, reduce: for so long; null: until it is lifted.
    lasting_s         BIGINT,
    -- reduce: to these.
    calls_max         BIGINT,
    cps_max           BIGINT,
    created_at        BIGINT  NOT NULL
);
CREATE INDEX fraud_rule_account ON fraud_rule (account_id);

-- What a rule has brought upon an account: not reduced is blocked.
CREATE TABLE fraud_hold (
    account_id        BIGINT  NOT NULL PRIMARY KEY REFERENCES account (id),
    kind              TEXT    NOT NULL,
    what              TEXT    NOT NULL,
    is_reduced        INTEGER NOT NULL,
    calls_max         BIGINT,
    cps_max           BIGINT,
    since             BIGINT  NOT NULL,
    -- Null: until it is lifted.
    until             BIGINT
);

-- Countries that an account has called before.
CREATE TABLE fraud_country (
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    country           TEXT    NOT NULL,
    since             BIGINT  NOT NULL,
    PRIMARY KEY (account_id, country)
);

INSERT INTO next_id (of, next) VALUES ('fraud_rule', 1);
