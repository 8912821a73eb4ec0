-- Who pays besides the account that calls: its resellers, and bundles. Columns keep to what SQLite
-- and PostgreSQL share.

-- V-16: as a carrier, no more calls once we owe it this much; null is no limit.
ALTER TABLE account ADD COLUMN owed_limit BIGINT CHECK (owed_limit >= 0);
-- A-02: what we owe it as a carrier pays for its own calls.
ALTER TABLE account ADD COLUMN netted INTEGER NOT NULL DEFAULT 0 CHECK (netted IN (0, 1));
-- V-11: what it may be charged for calls in a day and in a month of its time zone; null is no limit.
ALTER TABLE account ADD COLUMN spend_day_max BIGINT CHECK (spend_day_max >= 0);
ALTER TABLE account ADD COLUMN spend_month_max BIGINT CHECK (spend_month_max >= 0);
-- P-013: at most four amounts, a JSON array of micro-units: it is told when less is left.
ALTER TABLE account ADD COLUMN low_balance TEXT NOT NULL DEFAULT '[]';

-- Of an account's balance: what we owe it for carrying calls, less what we paid out.
ALTER TABLE account_balance ADD COLUMN owed BIGINT NOT NULL DEFAULT 0;

-- What bundles paid for, and what they could have paid for.
ALTER TABLE cdr ADD COLUMN bundle_us BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cdr ADD COLUMN bundle_allowance_us BIGINT NOT NULL DEFAULT 0;

-- For a charge: 0 of the account that called, 1 of its reseller, and so on. `leg` is 0 for every
-- charge, and the egress leg for a cost.
ALTER TABLE posting ADD COLUMN level INTEGER;

-- What the resellers above the account that called paid for a call; one row a level.
CREATE TABLE cdr_payer (
    call_id           BIGINT  NOT NULL,
    -- 1 is the account's own reseller
    level             INTEGER NOT NULL CHECK (level > 0),
    account_id        BIGINT  NOT NULL,
    amount            BIGINT  NOT NULL,
    currency          TEXT    NOT NULL,
    billed_us         BIGINT  NOT NULL,
    bundle_us         BIGINT  NOT NULL,
    bundle_allowance_us BIGINT NOT NULL,
    rate_group_id     BIGINT  NOT NULL,
    rate_sheet_version BIGINT NOT NULL,
    rate_prefix_length INTEGER NOT NULL,
    -- the whole charge as the journal has it: enough to price it again
    charge            BLOB    NOT NULL,
    ended_at          BIGINT  NOT NULL,
    PRIMARY KEY (call_id, level)
);
CREATE INDEX cdr_payer_account ON cdr_payer (account_id, ended_at);

-- Seconds given to accounts, and how many of them are used. What live calls hold of them is in the
-- journal only.
CREATE TABLE bundle (
    id                BIGINT  NOT NULL PRIMARY KEY,
    op_id             BLOB    NOT NULL UNIQUE,
    account_id        BIGINT  NOT NULL,
    destination_set_id BIGINT NOT NULL,
    precedence        INTEGER NOT NULL,
    increment_s       BIGINT  NOT NULL,
    valid_from        BIGINT  NOT NULL,
    valid_till        BIGINT,
    granted_s         BIGINT  NOT NULL,
    used_s            BIGINT  NOT NULL DEFAULT 0,
    granted_at        BIGINT  NOT NULL,
    note              TEXT    NOT NULL
);
CREATE INDEX bundle_account ON bundle (account_id, valid_till);

-- Which call used how much of which bundle.
CREATE TABLE bundle_use (
    call_id           BIGINT  NOT NULL,
    bundle_id         BIGINT  NOT NULL,
    level             INTEGER NOT NULL,
    account_id        BIGINT  NOT NULL,
    seconds           BIGINT  NOT NULL,
    ended_at          BIGINT  NOT NULL,
    PRIMARY KEY (call_id, bundle_id)
);
CREATE INDEX bundle_use_bundle ON bundle_use (bundle_id, ended_at);
