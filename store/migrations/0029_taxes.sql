-- R13: taxes, who pays them, who is exempt, and what of each posting they are.

CREATE TABLE tax_set (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    created_at        BIGINT  NOT NULL
);
INSERT INTO next_id (of, next) VALUES ('tax_set', 1);

-- A rate that changes is a second row with the same name, from the day on which the first ends.
CREATE TABLE tax (
    tax_set_id        BIGINT  NOT NULL REFERENCES tax_set (id) ON DELETE CASCADE,
    ordinal           INTEGER NOT NULL,
    name              TEXT    NOT NULL CHECK (name <> ''),
    percent           TEXT    NOT NULL,
    -- of the net amount and the taxes before it
    is_compound       INTEGER NOT NULL CHECK (is_compound IN (0, 1)),
    -- a JSON array of usage, recurring, one_time, credit_note
    applies_to        TEXT    NOT NULL,
    valid_from        BIGINT,
    valid_till        BIGINT,
    PRIMARY KEY (tax_set_id, ordinal)
);

-- Who pays which; no row is no taxes.
CREATE TABLE account_tax (
    account_id        BIGINT  NOT NULL PRIMARY KEY REFERENCES account (id),
    tax_set_id        BIGINT  NOT NULL REFERENCES tax_set (id),
    -- where taxes go that come on top of a price
    on_top            TEXT    NOT NULL CHECK (on_top IN ('statement', 'balance'))
);
CREATE INDEX account_tax_set ON account_tax (tax_set_id);

CREATE TABLE tax_exemption (
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    ordinal           INTEGER NOT NULL,
    -- null is every tax
    tax               TEXT,
    -- the certificate, or the words that the law wants
    reason            TEXT    NOT NULL CHECK (reason <> ''),
    valid_from        BIGINT,
    valid_till        BIGINT,
    PRIMARY KEY (account_id, ordinal)
);

-- Are the group's prices stated with the taxes in them?
ALTER TABLE rate_group ADD COLUMN prices_include_tax INTEGER NOT NULL DEFAULT 0
    CHECK (prices_include_tax IN (0, 1));
-- Whether taxes of a statement are rounded on each line or on the sums.
ALTER TABLE rate_group ADD COLUMN tax_rounding TEXT NOT NULL DEFAULT 'total'
    CHECK (tax_rounding IN ('line', 'total'));

-- What of the amount are taxes, and which as JSON; null: none were known of.
ALTER TABLE posting ADD COLUMN tax BIGINT NOT NULL DEFAULT 0;
ALTER TABLE posting ADD COLUMN taxes TEXT;
ALTER TABLE charge ADD COLUMN tax BIGINT NOT NULL DEFAULT 0;
ALTER TABLE charge ADD COLUMN taxes TEXT;
-- What of the charge are taxes; which is in rate_terms.
ALTER TABLE cdr ADD COLUMN tax BIGINT NOT NULL DEFAULT 0;
ALTER TABLE cdr_payer ADD COLUMN tax BIGINT NOT NULL DEFAULT 0;
