-- DIDs: numbers of ours that calls come in to, where they lead and what they cost; the limits of
-- phones; and whose calls trunks send us (S2, P-607).

CREATE TABLE did (
    id                BIGINT  NOT NULL PRIMARY KEY,
    -- E.164 without +
    number            TEXT    NOT NULL UNIQUE CHECK (number <> ''),
    -- Has it, and pays for what comes in to it from outside.
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    enabled           INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    -- subscriber, at_once, in_order: those in did_member; trunk: that trunk
    target            TEXT    NOT NULL,
    trunk_id          BIGINT  REFERENCES trunk (id),
    -- in_order: how long each rings
    ring_s            INTEGER NOT NULL CHECK (ring_s > 0),
    calls_max         INTEGER CHECK (calls_max >= 0),
    cps_max           INTEGER CHECK (cps_max >= 0),
    -- Of a call from outside, in the account's currency, as decimal text. A minute, and once.
    price             TEXT    NOT NULL,
    connect_fee       TEXT    NOT NULL,
    first_increment_s INTEGER NOT NULL CHECK (first_increment_s > 0),
    next_increment_s  INTEGER NOT NULL CHECK (next_increment_s > 0),
    note              TEXT    NOT NULL DEFAULT '',
    created_at        BIGINT  NOT NULL
);
CREATE INDEX did_account ON did (account_id);
CREATE INDEX did_trunk ON did (trunk_id);
INSERT INTO next_id (of, next) VALUES ('did', 1);

CREATE TABLE did_member (
    did_id            BIGINT  NOT NULL REFERENCES did (id) ON DELETE CASCADE,
    -- From 1.
    place             INTEGER NOT NULL,
    subscriber_id     BIGINT  NOT NULL REFERENCES subscriber (id),
    PRIMARY KEY (did_id, place)
);
CREATE INDEX did_member_subscriber ON did_member (subscriber_id);

-- A subscriber without a row has none of its own. Inward is what it sends us.
CREATE TABLE subscriber_limit (
    subscriber_id     BIGINT  NOT NULL PRIMARY KEY REFERENCES subscriber (id) ON DELETE CASCADE,
    calls_in_max      INTEGER CHECK (calls_in_max >= 0),
    calls_out_max     INTEGER CHECK (calls_out_max >= 0),
    cps_in_max        INTEGER CHECK (cps_in_max >= 0),
    cps_out_max       INTEGER CHECK (cps_out_max >= 0)
);

-- A trunk without a row is a peer.
CREATE TABLE trunk_role (
    trunk_id          BIGINT  NOT NULL PRIMARY KEY REFERENCES trunk (id) ON DELETE CASCADE,
    -- peer, customer, equipment
    role              TEXT    NOT NULL
);

-- How the call was priced: local, egress, inbound, internal; NULL: refused before that was known, or
-- of a time when CDRs did not say.
ALTER TABLE cdr ADD COLUMN kind TEXT;
-- inbound: the DID whose price it was.
ALTER TABLE cdr ADD COLUMN did_id BIGINT;
