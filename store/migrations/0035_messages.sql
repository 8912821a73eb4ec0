-- Messages (RFC 3428): by which rate groups they are priced, and over which trunks they go.
CREATE TABLE account_message (
    account_id            BIGINT NOT NULL PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    -- what it pays for them; null: nothing
    rate_group_id         BIGINT REFERENCES rate_group (id),
    -- what it takes for those that it carries; null: nothing
    carrier_rate_group_id BIGINT REFERENCES rate_group (id)
);

CREATE TABLE trunk_message (
    trunk_id BIGINT  NOT NULL PRIMARY KEY REFERENCES trunk (id) ON DELETE CASCADE,
    allowed  INTEGER NOT NULL CHECK (allowed IN (0, 1))
);
