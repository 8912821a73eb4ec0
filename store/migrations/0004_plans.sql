-- Who belongs to whom, what is charged without a call, and what pays instead of money. Columns keep
-- to what SQLite and PostgreSQL share. Moments are microseconds since 1970 UTC, days are days since
-- 1970 in the account's time zone, money is micro-units.

-- A-12: a number that people can say on the phone; ten digits.
ALTER TABLE account ADD COLUMN number TEXT;
CREATE UNIQUE INDEX account_number_key ON account (number);
-- The reseller that this account belongs to; in its currency, at most six levels deep.
ALTER TABLE account ADD COLUMN parent_id BIGINT REFERENCES account (id);
CREATE INDEX account_parent ON account (parent_id);
-- A-24: IANA, such as Europe/Berlin.
ALTER TABLE account ADD COLUMN time_zone TEXT NOT NULL DEFAULT 'UTC';
-- A-10: of the month; a month that is shorter bills on its last day.
ALTER TABLE account ADD COLUMN billing_day INTEGER NOT NULL DEFAULT 1 CHECK (billing_day BETWEEN 1 AND 31);
-- T5: how many percent a call may cost more than it brings, where allow_loss is 0.
ALTER TABLE account ADD COLUMN loss_percent_max TEXT NOT NULL DEFAULT '0';
-- A-28: what it pays when its caller ID is none of its own.
ALTER TABLE account ADD COLUMN non_cli_rate_group_id BIGINT REFERENCES rate_group (id);
-- P-014: a JSON object of texts.
ALTER TABLE account ADD COLUMN custom TEXT NOT NULL DEFAULT '{}';
-- P-013: suspended for a charge that it could not pay; apart from `status`, which is an operator's.
ALTER TABLE account ADD COLUMN suspended_at BIGINT;

-- J-18: a place of an account; its calls belong to it.
CREATE TABLE site (
    id                BIGINT  NOT NULL PRIMARY KEY,
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    name              TEXT    NOT NULL CHECK (name <> ''),
    created_at        BIGINT  NOT NULL,
    UNIQUE (account_id, name)
);
ALTER TABLE subscriber ADD COLUMN site_id BIGINT REFERENCES site (id);
CREATE INDEX subscriber_site ON subscriber (site_id);
ALTER TABLE trunk ADD COLUMN site_id BIGINT REFERENCES site (id);
CREATE INDEX trunk_site ON trunk (site_id);
-- J-11: what reports, CDRs and invoices call it.
ALTER TABLE trunk ADD COLUMN friendly_name TEXT;

-- P-013: what happened to an account, for people and for systems that provision by it.
CREATE TABLE account_event (
    id                BIGINT  NOT NULL PRIMARY KEY,
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    at                BIGINT  NOT NULL,
    kind              TEXT    NOT NULL,
    detail            TEXT    NOT NULL
);
CREATE INDEX account_event_account ON account_event (account_id, id);

-- Prefixes that bundles and discounts are for.
CREATE TABLE destination_set (
    id                BIGINT  NOT NULL PRIMARY KEY CHECK (id < 4294967296),
    name              TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    created_at        BIGINT  NOT NULL
);
CREATE TABLE destination_set_prefix (
    destination_set_id BIGINT NOT NULL REFERENCES destination_set (id) ON DELETE CASCADE,
    prefix            TEXT    NOT NULL,
    PRIMARY KEY (destination_set_id, prefix)
);

-- What can be sold. A plan never changes: its items' numbers are part of the ids of charges. Another
-- price is another plan.
CREATE TABLE plan (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    currency          TEXT    NOT NULL CHECK (length(currency) = 3),
    decimals          INTEGER NOT NULL CHECK (decimals BETWEEN 0 AND 6),
    -- not sold any more; who has it keeps it
    closed_at         BIGINT,
    created_at        BIGINT  NOT NULL
);
CREATE TABLE plan_fee (
    plan_id           BIGINT  NOT NULL REFERENCES plan (id),
    item              INTEGER NOT NULL,
    label             TEXT    NOT NULL,
    amount            BIGINT  NOT NULL CHECK (amount >= 0),
    -- day, week, month, quarter, half_year, year; null is once
    every             TEXT,
    anchor            TEXT    NOT NULL,
    anchor_day        INTEGER,
    at_start          TEXT    NOT NULL,
    at_end            TEXT    NOT NULL,
    shortage          TEXT    NOT NULL,
    PRIMARY KEY (plan_id, item)
);
CREATE TABLE plan_bundle (
    plan_id           BIGINT  NOT NULL REFERENCES plan (id),
    item              INTEGER NOT NULL,
    label             TEXT    NOT NULL,
    destination_set_id BIGINT NOT NULL REFERENCES destination_set (id),
    -- null is unlimited
    seconds           BIGINT,
    every             TEXT,
    anchor            TEXT    NOT NULL,
    anchor_day        INTEGER,
    -- null is until the period's end
    valid_days        INTEGER,
    precedence        INTEGER NOT NULL CHECK (precedence BETWEEN 0 AND 65535),
    increment_s       INTEGER NOT NULL CHECK (increment_s > 0),
    PRIMARY KEY (plan_id, item)
);

-- Who has which plan. Everything due up to `charged_until` is in `charge` and `bundle_grant`;
-- nothing more is due before `next_due_at`.
CREATE TABLE subscription (
    id                BIGINT  NOT NULL PRIMARY KEY,
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    plan_id           BIGINT  NOT NULL REFERENCES plan (id),
    quantity          BIGINT  NOT NULL CHECK (quantity > 0),
    note              TEXT    NOT NULL,
    starts_at         BIGINT  NOT NULL,
    ends_at           BIGINT,
    end_known_at      BIGINT,
    charged_until     BIGINT,
    next_due_at       BIGINT,
    created_at        BIGINT  NOT NULL
);
CREATE INDEX subscription_account ON subscription (account_id);
CREATE INDEX subscription_next_due_at ON subscription (next_due_at);

-- What is to be booked outside of calls and commands: written in one commit with what causes it,
-- booked afterwards under its own id, so that it is booked once whatever breaks in between.
CREATE TABLE charge (
    op_id             BLOB    NOT NULL PRIMARY KEY,
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    -- fee, refund, topup, adjustment, voucher
    kind              TEXT    NOT NULL,
    -- above 0 is given to the account, below 0 taken from it
    amount            BIGINT  NOT NULL,
    label             TEXT    NOT NULL,
    subscription_id   BIGINT  REFERENCES subscription (id),
    item              INTEGER,
    from_day          INTEGER,
    till_day          INTEGER,
    due_at            BIGINT  NOT NULL,
    shortage          TEXT    NOT NULL CHECK (shortage IN ('debt', 'retry', 'suspend')),
    state             TEXT    NOT NULL CHECK (state IN ('waiting', 'booked', 'dropped')),
    -- why it is not booked yet, and when it is tried (again)
    fault             TEXT    NOT NULL DEFAULT '',
    next_try_at       BIGINT  NOT NULL,
    booked_at         BIGINT
);
CREATE INDEX charge_waiting ON charge (state, next_try_at);
CREATE INDEX charge_account ON charge (account_id, due_at);

-- Seconds to be given or given; the ledger has what is left of them.
CREATE TABLE bundle_grant (
    op_id             BLOB    NOT NULL PRIMARY KEY,
    -- the ledger's id of the bundle
    bundle_id         BIGINT  NOT NULL UNIQUE,
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    subscription_id   BIGINT  REFERENCES subscription (id),
    item              INTEGER,
    label             TEXT    NOT NULL,
    destination_set_id BIGINT NOT NULL REFERENCES destination_set (id),
    seconds           BIGINT,
    increment_s       INTEGER NOT NULL,
    precedence        INTEGER NOT NULL,
    valid_from        BIGINT  NOT NULL,
    valid_till        BIGINT,
    state             TEXT    NOT NULL CHECK (state IN ('waiting', 'granted', 'dropped'))
);
CREATE INDEX bundle_grant_account ON bundle_grant (account_id, valid_from);
CREATE INDEX bundle_grant_waiting ON bundle_grant (state);

-- P-025. Codes are kept only as HMAC-SHA256 under a key of this data directory.
CREATE TABLE voucher_batch (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    amount            BIGINT  NOT NULL CHECK (amount > 0),
    currency          TEXT    NOT NULL CHECK (length(currency) = 3),
    voucher_count     BIGINT  NOT NULL,
    expires_at        BIGINT,
    -- an operator has withdrawn what is not redeemed
    voided_at         BIGINT,
    created_at        BIGINT  NOT NULL
);
CREATE TABLE voucher (
    id                BIGINT  NOT NULL PRIMARY KEY,
    voucher_batch_id  BIGINT  NOT NULL REFERENCES voucher_batch (id),
    serial            BIGINT  NOT NULL,
    code_hash         BLOB    NOT NULL UNIQUE,
    redeemed_by       BIGINT  REFERENCES account (id),
    redeemed_at       BIGINT,
    UNIQUE (voucher_batch_id, serial)
);
-- Wrong codes, for the limit on guessing.
CREATE TABLE voucher_failure (
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    at                BIGINT  NOT NULL
);
CREATE INDEX voucher_failure_account ON voucher_failure (account_id, at);

-- A-14, V-12: what a calling card proves itself with; hashed as voucher codes are.
CREATE TABLE account_pin (
    account_id        BIGINT  NOT NULL PRIMARY KEY REFERENCES account (id),
    pin_hash          BLOB    NOT NULL UNIQUE,
    pin_batch         TEXT    NOT NULL,
    created_at        BIGINT  NOT NULL
);

-- J-35: words for adjustments, credit notes and one-time charges, to be chosen from.
CREATE TABLE reason (
    kind              TEXT    NOT NULL CHECK (kind IN ('adjustment', 'credit_note', 'charge')),
    code              TEXT    NOT NULL,
    label             TEXT    NOT NULL,
    PRIMARY KEY (kind, code)
);
INSERT INTO reason (kind, code, label) VALUES
    ('adjustment', 'correction', 'Correction'),
    ('adjustment', 'goodwill', 'Goodwill'),
    ('adjustment', 'dispute', 'Dispute'),
    ('adjustment', 'write_off', 'Write-off'),
    ('credit_note', 'quality', 'Quality of service'),
    ('credit_note', 'rate_error', 'Wrong rate'),
    ('credit_note', 'goodwill', 'Goodwill'),
    ('charge', 'setup', 'Setup fee'),
    ('charge', 'hardware', 'Hardware'),
    ('charge', 'number_porting', 'Number porting');

INSERT INTO next_id (of, next) VALUES
    ('site', 1), ('account_event', 1), ('destination_set', 1), ('plan', 1), ('subscription', 1),
    ('bundle_grant', 1), ('voucher_batch', 1), ('voucher', 1);
