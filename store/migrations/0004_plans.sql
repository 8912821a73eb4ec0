-- Who belongs to whom, what is charged without a call, and what pays instead of money. Columns keep
-- to what SQLite and PostgreSQL share. Moments are microseconds since 1970 UTC, days are days since
-- 1970 in the account's time zone, money is micro-units.

-- A-12: a number that people can say on the phone; ten digits.
ALTER TABLE account ADD COLUMN number TEXT;
CREATE UNIQUE INDEX account_number ON account (number);
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

INSERT INTO next_id (of, next) VALUES ('site', 1), ('account_event', 1);
