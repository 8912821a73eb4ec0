-- The rates of groups for those who read with SQL (V-27): written when an operator asks for it, as calls
-- are priced from the packed chunks and never from here.

CREATE TABLE rate_listing (
    rate_group_id     BIGINT  NOT NULL PRIMARY KEY REFERENCES rate_group (id),
    listed_at         BIGINT  NOT NULL,
    -- What the group was then: its newest sheet, and its defaults.
    rate_sheet_id     BIGINT  NOT NULL,
    defaults          TEXT    NOT NULL
);

-- Every rate with its span, over all sheets of the group: full sheets, withdrawals and roll-backs are
-- worked out, and so is what the group says where a rate does not.
CREATE TABLE listed_rate (
    rate_group_id     BIGINT  NOT NULL REFERENCES rate_listing (rate_group_id),
    prefix            TEXT    NOT NULL,
    -- Microseconds; 0 is since ever, and null has no end.
    valid_from        BIGINT  NOT NULL,
    valid_till        BIGINT,
    rate_sheet_id     BIGINT  NOT NULL,
    destination       TEXT    NOT NULL,
    price             TEXT    NOT NULL,
    connect_fee       TEXT    NOT NULL,
    minimum_charge    TEXT    NOT NULL,
    first_increment_s BIGINT  NOT NULL,
    next_increment_s  BIGINT  NOT NULL,
    unit_s            BIGINT  NOT NULL,
    grace_s           BIGINT  NOT NULL,
    free_s            BIGINT  NOT NULL,
    minimum_s         BIGINT  NOT NULL,
    is_blocked        INTEGER NOT NULL,
    -- Steps, times of day, surcharges, a cap and the like, which only a tariff file shows.
    has_special_terms INTEGER NOT NULL,
    PRIMARY KEY (rate_group_id, prefix, valid_from)
);
