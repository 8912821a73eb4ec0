-- What becomes of calls that a subscriber's phones do not take, and what it wants of those that ring them.

-- To whom they go on: as the subscriber dials. NULL, or no row: they do not. Where all calls go is in
-- subscriber_forwarding.
CREATE TABLE subscriber_conditional_forwarding (
    subscriber_id     BIGINT  NOT NULL PRIMARY KEY REFERENCES subscriber (id) ON DELETE CASCADE,
    busy_to           TEXT    CHECK (busy_to <> ''),
    offline_to        TEXT    CHECK (offline_to <> ''),
    no_answer_to      TEXT    CHECK (no_answer_to <> ''),
    -- How long phones ring before nobody answers; of no account without no_answer_to.
    no_answer_seconds BIGINT  NOT NULL CHECK (no_answer_seconds BETWEEN 1 AND 600)
);

-- A subscriber without a row takes any call.
CREATE TABLE subscriber_availability (
    subscriber_id     BIGINT  NOT NULL PRIMARY KEY REFERENCES subscriber (id) ON DELETE CASCADE,
    do_not_disturb    INTEGER NOT NULL CHECK (do_not_disturb IN (0, 1)),
    -- Calls to its phones at once; NULL: any number.
    calls_max         BIGINT  CHECK (calls_max BETWEEN 1 AND 1000000)
);
