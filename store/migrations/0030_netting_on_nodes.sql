-- What we owe a carrier pays for its own calls on several nodes too (A-02, docs/adr/0010): for a netted
-- account the CHECK counts it. Earlier the CHECK was that of `allowance`, and went with that column.

ALTER TABLE account_balance ADD COLUMN kept_allowance BIGINT NOT NULL DEFAULT 0;
UPDATE account_balance SET kept_allowance = allowance;
ALTER TABLE account_balance DROP COLUMN allowance;
-- How far below zero the balance may be with all that is leased: the credit limit when a lease was
-- last taken; more if the limit was lowered or netting ended since, or if an operator took more than
-- there was.
ALTER TABLE account_balance RENAME COLUMN kept_allowance TO allowance;
-- That of `account`, as of the last lease or change: for the CHECK, which sees one table.
ALTER TABLE account_balance ADD COLUMN is_netted INTEGER NOT NULL DEFAULT 0
    CHECK (leased <= 0 OR credits_posted - debits_posted
           - CASE WHEN is_netted = 1 THEN 0 ELSE owed END + allowance - leased >= 0);
-- Who was paid more than was owed may have less with netting than was leased without.
UPDATE account_balance SET is_netted = 1,
    allowance = allowance + CASE WHEN owed < 0 THEN -owed ELSE 0 END
    WHERE account_id IN (SELECT id FROM account WHERE netted = 1);
