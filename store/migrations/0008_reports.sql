-- What reports need to know of a call besides its price.

-- O13: how each carrier writes its own call records, as JSON; corrected by operators.
CREATE TABLE statement_layout (
    account_id        BIGINT  NOT NULL PRIMARY KEY REFERENCES account (id),
    layout            TEXT    NOT NULL,
    changed_at        BIGINT  NOT NULL
);

-- J-18: the site that the call came from, as it was when the call came in; on leg 0 only.
ALTER TABLE cdr ADD COLUMN site_id BIGINT;
-- J-14: what the sheet of the rate calls the destination; another account's may call it otherwise.
ALTER TABLE cdr ADD COLUMN destination_name TEXT;
ALTER TABLE cdr_payer ADD COLUMN destination_name TEXT;
-- R12: the currency that profit is counted in, and how many billionths of it one unit of the leg's
-- currency was when the call came in. NULL: no exchange rate was set then.
ALTER TABLE cdr ADD COLUMN report_currency TEXT;
ALTER TABLE cdr ADD COLUMN report_rate BIGINT;
