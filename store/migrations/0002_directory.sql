-- Who may call, with what, whereto and at which price. Changed by commands, loaded whole into
-- memory; never read while a call is set up. Columns keep to what SQLite and PostgreSQL share.
-- Moments are microseconds since 1970 UTC, money is micro-units, prices are decimal text.

CREATE TABLE rate_group (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    currency          TEXT    NOT NULL CHECK (length(currency) = 3),
    -- the one rounding of money (V-16): how, and to how many decimals
    rounding          TEXT    NOT NULL DEFAULT 'up' CHECK (rounding IN ('up', 'down', 'half_up', 'half_even')),
    decimals          INTEGER NOT NULL DEFAULT 6 CHECK (decimals BETWEEN 0 AND 6)
);

-- Every rate sheet that was imported, what became of its rows and what it changed. Its id is its
-- version: of two rates with the same prefix and start, the higher version counts. A sheet never
-- changes; one without rows may roll another back, from `begins_at` on.
CREATE TABLE rate_sheet (
    id                BIGINT  NOT NULL PRIMARY KEY,
    rate_group_id     BIGINT  NOT NULL REFERENCES rate_group (id),
    file              TEXT    NOT NULL,
    sha256            BLOB    NOT NULL,
    vendor            TEXT    NOT NULL DEFAULT '',
    imported_at       BIGINT  NOT NULL,
    begins_at         BIGINT  NOT NULL,
    is_full           INTEGER NOT NULL DEFAULT 0 CHECK (is_full IN (0, 1)),
    rolls_back        BIGINT  UNIQUE REFERENCES rate_sheet (id),
    row_count         BIGINT  NOT NULL,
    rows_in           BIGINT  NOT NULL,
    accepted          BIGINT  NOT NULL,
    repaired          BIGINT  NOT NULL,
    merged            BIGINT  NOT NULL,
    rejected          BIGINT  NOT NULL,
    added             BIGINT  NOT NULL,
    removed           BIGINT  NOT NULL,
    increased         BIGINT  NOT NULL,
    decreased         BIGINT  NOT NULL,
    changed           BIGINT  NOT NULL,
    blocked           BIGINT  NOT NULL,
    unchanged         BIGINT  NOT NULL,
    -- the rows that were left out, as JSON
    rejected_rows     TEXT    NOT NULL DEFAULT '[]',
    CHECK (rows_in = accepted + merged + rejected)
);
CREATE INDEX rate_sheet_group ON rate_sheet (rate_group_id);

-- The rows of a sheet, packed some thousands together: a sheet of a million is written and read in
-- a second, which row by row it is not.
CREATE TABLE rate_chunk (
    rate_sheet_id     BIGINT  NOT NULL REFERENCES rate_sheet (id),
    ordinal           INTEGER NOT NULL,
    rates             BLOB    NOT NULL,
    PRIMARY KEY (rate_sheet_id, ordinal)
);

-- How each vendor's sheets are laid out, as JSON; corrected by operators.
CREATE TABLE rate_layout (
    vendor            TEXT    NOT NULL PRIMARY KEY CHECK (vendor <> ''),
    layout            TEXT    NOT NULL,
    changed_at        BIGINT  NOT NULL
);

CREATE TABLE account (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    billing           TEXT    NOT NULL CHECK (billing IN ('prepaid', 'postpaid')),
    currency          TEXT    NOT NULL CHECK (length(currency) = 3),
    credit_limit      BIGINT  NOT NULL DEFAULT 0 CHECK (credit_limit >= 0),
    status            TEXT    NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'blocked', 'closed')),
    rate_group_id     BIGINT  REFERENCES rate_group (id),
    carrier_rate_group_id BIGINT REFERENCES rate_group (id),
    calls_in_max      INTEGER CHECK (calls_in_max >= 0),
    calls_out_max     INTEGER CHECK (calls_out_max >= 0),
    cps_in_max        INTEGER CHECK (cps_in_max >= 0),
    cps_out_max       INTEGER CHECK (cps_out_max >= 0),
    allow_local       INTEGER NOT NULL DEFAULT 1 CHECK (allow_local IN (0, 1)),
    local_price       TEXT    NOT NULL DEFAULT '0',
    allow_loss        INTEGER NOT NULL DEFAULT 0 CHECK (allow_loss IN (0, 1)),
    duration_rounding TEXT    NOT NULL DEFAULT 'up' CHECK (duration_rounding IN ('up', 'down', 'nearest')),
    carrier_duration_rounding TEXT NOT NULL DEFAULT 'up' CHECK (carrier_duration_rounding IN ('up', 'down', 'nearest')),
    created_at        BIGINT  NOT NULL,
    -- A-26: a credit limit is for postpaid accounts only
    CHECK (billing = 'postpaid' OR credit_limit = 0)
);

-- Passwords are not kept, only what digest authentication needs: H(username:realm:password).
CREATE TABLE subscriber (
    id                BIGINT  NOT NULL PRIMARY KEY,
    username          TEXT    NOT NULL UNIQUE CHECK (username <> ''),
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    number            TEXT    UNIQUE,
    ha1_md5           BLOB    NOT NULL CHECK (length(ha1_md5) = 16),
    ha1_sha256        BLOB    NOT NULL CHECK (length(ha1_sha256) = 32),
    contacts_max      INTEGER NOT NULL DEFAULT 5 CHECK (contacts_max BETWEEN 1 AND 100),
    created_at        BIGINT  NOT NULL
);
CREATE INDEX subscriber_account ON subscriber (account_id);

-- `egress_password` has to be readable to answer a carrier's challenge; the database file is for
-- its owner only (mode 0600 in a directory of mode 0700). Lists are JSON arrays.
CREATE TABLE trunk (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    enabled           INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    host              TEXT,
    port              INTEGER CHECK (port BETWEEN 1 AND 65535),
    transport         TEXT    CHECK (transport IN ('udp', 'tcp', 'tls')),
    addresses         TEXT    NOT NULL DEFAULT '[]',
    ingress_username  TEXT    UNIQUE,
    ingress_ha1_md5   BLOB,
    ingress_ha1_sha256 BLOB,
    egress_username   TEXT,
    egress_password   TEXT,
    registers         INTEGER NOT NULL DEFAULT 0 CHECK (registers IN (0, 1)),
    register_expires_s INTEGER NOT NULL DEFAULT 3600 CHECK (register_expires_s > 0),
    ingress_plan      TEXT    NOT NULL DEFAULT '{}',
    egress_plan       TEXT    NOT NULL DEFAULT '{}',
    calls_in_max      INTEGER CHECK (calls_in_max >= 0),
    calls_out_max     INTEGER CHECK (calls_out_max >= 0),
    cps_in_max        INTEGER CHECK (cps_in_max >= 0),
    cps_out_max       INTEGER CHECK (cps_out_max >= 0),
    hunt_codes        TEXT    NOT NULL DEFAULT '[]',
    stop_codes        TEXT    NOT NULL DEFAULT '[]',
    ring_timeout_s    INTEGER CHECK (ring_timeout_s > 0),
    trusted           INTEGER NOT NULL DEFAULT 0 CHECK (trusted IN (0, 1)),
    created_at        BIGINT  NOT NULL
);
CREATE INDEX trunk_account ON trunk (account_id);

CREATE TABLE route (
    id                BIGINT  NOT NULL PRIMARY KEY,
    prefix            TEXT    NOT NULL,
    trunk_id          BIGINT  NOT NULL REFERENCES trunk (id) ON DELETE CASCADE,
    priority          INTEGER NOT NULL DEFAULT 1 CHECK (priority BETWEEN 0 AND 65535),
    UNIQUE (prefix, trunk_id)
);

-- Ids of removed rows must never come back: CDRs name them for years.
CREATE TABLE next_id (
    of                TEXT    NOT NULL PRIMARY KEY,
    next              BIGINT  NOT NULL
);
INSERT INTO next_id (of, next) VALUES
    ('account', 1000), ('subscriber', 1000), ('trunk', 1000), ('route', 1), ('rate_group', 1), ('rate_sheet', 1);

-- The answer to every command that came with a key, written in the commit of the command itself.
CREATE TABLE idempotency (
    key               TEXT    NOT NULL PRIMARY KEY,
    fingerprint       BLOB    NOT NULL,
    status            INTEGER NOT NULL,
    answer            TEXT    NOT NULL,
    created_at        BIGINT  NOT NULL
);
CREATE INDEX idempotency_created_at ON idempotency (created_at);

-- Digest hashes are over the realm they were made with; a start with another realm is refused.
CREATE TABLE setting (
    name              TEXT    NOT NULL PRIMARY KEY,
    value             TEXT    NOT NULL
);
