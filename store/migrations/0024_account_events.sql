-- What the ledger tells of accounts (P-007, P-013): written by the projection, in the commit of the
-- journal record that tells it, so that it is told once.

-- In micro-units: what was left, the threshold that it fell below; and the bundle that is used up.
ALTER TABLE account_event ADD COLUMN amount_left BIGINT;
ALTER TABLE account_event ADD COLUMN threshold BIGINT;
ALTER TABLE account_event ADD COLUMN bundle_id BIGINT;
-- With several nodes, what more than one of them may have seen and only one is to tell.
ALTER TABLE account_event ADD COLUMN event_key TEXT;
CREATE UNIQUE INDEX account_event_key ON account_event (account_id, event_key) WHERE event_key IS NOT NULL;
CREATE INDEX account_event_kind ON account_event (kind, id);

-- It was told that nothing more could be reserved, with this credit limit; NULL once there is more.
ALTER TABLE account_balance ADD COLUMN exhausted_limit BIGINT;
