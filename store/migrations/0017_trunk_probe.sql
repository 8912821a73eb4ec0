-- How trunks are asked with OPTIONS whether they are there (T4). A trunk without a row is not asked.
CREATE TABLE trunk_probe (
    trunk_id          BIGINT  NOT NULL PRIMARY KEY REFERENCES trunk (id) ON DELETE CASCADE,
    -- 0 keeps the numbers for when it is asked again
    enabled           INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    -- from one question to the next
    every_s           INTEGER NOT NULL CHECK (every_s > 0),
    -- so many in a row without an answer: down
    failures_max      INTEGER NOT NULL CHECK (failures_max > 0),
    -- so many answers in a row: up
    successes_min     INTEGER NOT NULL CHECK (successes_min > 0)
);
