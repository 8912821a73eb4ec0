-- Several nodes use one bundle: each leases a part of its seconds (docs/adr/0010), as it does with an
-- account's money (0010_leases.sql).

-- Of all nodes: granted less used.
ALTER TABLE bundle ADD COLUMN leased_s BIGINT NOT NULL DEFAULT 0
    CHECK (leased_s <= 0 OR granted_s - used_s - leased_s >= 0);
-- When a node last got less than its calls waited for; the others give back what they can spare.
ALTER TABLE bundle ADD COLUMN short_at BIGINT NOT NULL DEFAULT 0;
-- With several nodes: counts up as bundles get here, so that all nodes hear of them.
ALTER TABLE bundle ADD COLUMN number BIGINT NOT NULL DEFAULT 0;
CREATE INDEX bundle_number ON bundle (number) WHERE number > 0;
INSERT INTO next_id (of, next) VALUES ('bundle', 1);

-- Sums since the node first took of the bundle, as in `lease`.
CREATE TABLE bundle_lease (
    node BIGINT NOT NULL,
    bundle_id BIGINT NOT NULL,
    granted_s BIGINT NOT NULL,
    claimed_s BIGINT NOT NULL,
    spent_s BIGINT NOT NULL,
    PRIMARY KEY (node, bundle_id),
    CHECK (claimed_s <= granted_s)
);
CREATE INDEX bundle_lease_bundle ON bundle_lease (bundle_id);
