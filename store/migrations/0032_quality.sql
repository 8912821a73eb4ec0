-- Which quality is asked of trunks (T4): over how much of the past, from when on one is left, and what it has
-- to show to be back.
CREATE TABLE quality_rule (
    id                BIGINT  NOT NULL PRIMARY KEY,
    -- of this trunk; null: of each
    trunk_id          BIGINT  REFERENCES trunk (id) ON DELETE CASCADE,
    -- calls to numbers that begin so
    prefix            TEXT    NOT NULL,
    -- 1: each prefix of routes is judged by itself
    by_route          INTEGER NOT NULL CHECK (by_route IN (0, 1)),
    window_s          INTEGER NOT NULL CHECK (window_s > 0),
    -- a figure of fewer calls says nothing
    calls_min         INTEGER NOT NULL CHECK (calls_min > 0),
    -- null: not asked
    asr_min_percent   INTEGER CHECK (asr_min_percent BETWEEN 0 AND 100),
    acd_min_ms        BIGINT  CHECK (acd_min_ms > 0),
    pdd_max_ms        BIGINT  CHECK (pdd_max_ms > 0),
    drop_s            INTEGER NOT NULL CHECK (drop_s > 0),
    trial_calls       INTEGER NOT NULL CHECK (trial_calls > 0),
    hysteresis_percent INTEGER NOT NULL CHECK (hysteresis_percent BETWEEN 0 AND 100)
);

-- One for a trunk and prefix, and one for each trunk and prefix.
CREATE UNIQUE INDEX quality_rule_of ON quality_rule (coalesce(trunk_id, 0), prefix);

INSERT INTO next_id (of, next) VALUES ('quality_rule', 1);
