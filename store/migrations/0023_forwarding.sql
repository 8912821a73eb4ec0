-- Where subscribers have their calls go. A subscriber without a row is rung at its phones.
CREATE TABLE subscriber_forwarding (
    subscriber_id     BIGINT  NOT NULL PRIMARY KEY REFERENCES subscriber (id) ON DELETE CASCADE,
    -- All calls, to this: as the subscriber dials. NULL: they ring its phones.
    always_to         TEXT    CHECK (always_to <> '')
);
