-- A-11: prepaid accounts get a receipt for each charge, and for each payment. Written by the projection,
-- in the commit of the posting that it is for.

-- Whether the account's postings get receipts.
ALTER TABLE account ADD COLUMN receipts INTEGER NOT NULL DEFAULT 0 CHECK (receipts IN (0, 1));
UPDATE account SET receipts = 1 WHERE billing = 'prepaid';

-- Each seller numbers its own: 1, 2, 3 … without a gap, in the order in which postings come into the tables.
CREATE TABLE receipt_series (
    -- The reseller that the accounts belong to; 0 is the operator.
    seller_id BIGINT NOT NULL PRIMARY KEY,
    last_number BIGINT NOT NULL CHECK (last_number > 0)
);

-- What it is for, how much and why is in the posting, which never changes.
CREATE TABLE receipt (
    seller_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    op_id BLOB NOT NULL,
    -- The posting's.
    at BIGINT NOT NULL,
    -- The account's own money after it, in micro-units: without what we owe it as a carrier.
    balance_after BIGINT NOT NULL,
    PRIMARY KEY (seller_id, number)
) WITHOUT ROWID;
CREATE INDEX receipt_account ON receipt (account_id, seller_id, number);
