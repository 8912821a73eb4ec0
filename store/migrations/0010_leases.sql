-- Several nodes spend one account's money: each leases a part of it (docs/adr/0008). What is leased
-- and not yet charged is in `account_balance.leased`, and the CHECK keeps all nodes together from
-- leasing what is not there.

-- Of all nodes: granted less spent.
ALTER TABLE account_balance ADD COLUMN leased BIGINT NOT NULL DEFAULT 0;
-- How far below zero the balance may be with all that is leased: the credit limit when a lease was
-- last taken; more if the limit was lowered since, or if an operator took more than there was.
ALTER TABLE account_balance ADD COLUMN allowance BIGINT NOT NULL DEFAULT 0
    CHECK (leased <= 0 OR credits_posted - debits_posted - owed + allowance - leased >= 0);
-- When a node last got less than its calls waited for; the others give back what they can spare.
ALTER TABLE account_balance ADD COLUMN short_at BIGINT NOT NULL DEFAULT 0;

-- Sums since the node's first start: what it was granted, what of it it may use before it asks
-- again, and what its calls were charged, as far as its journal is in the tables.
CREATE TABLE lease (
    node BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    granted BIGINT NOT NULL,
    claimed BIGINT NOT NULL,
    spent BIGINT NOT NULL,
    PRIMARY KEY (node, account_id),
    CHECK (claimed <= granted)
);
CREATE INDEX lease_account ON lease (account_id);

-- Movements of money by command: which node's journal has them, or will. Written before the journal,
-- so that the same command sent to another node is not carried out twice.
CREATE TABLE op_claim (
    op_id BLOB NOT NULL PRIMARY KEY,
    node BIGINT NOT NULL
);
