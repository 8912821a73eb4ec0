-- What accounts' calls need of their caller's number, and what it has to do with the price (A-28 to
-- A-38).

-- An account without a row passes it as it is.
CREATE TABLE account_caller_id (
    account_id        BIGINT  NOT NULL PRIMARY KEY REFERENCES account (id),
    -- off, non_cli_unless_did, reject_unless_did
    pool              TEXT    NOT NULL
);

-- By which of the payers' rate groups a call was priced: so it is when it is priced again.
ALTER TABLE cdr ADD COLUMN rate_choice TEXT NOT NULL DEFAULT 'usual' CHECK (rate_choice IN ('usual', 'non_cli'));
