-- Pricing calls again (R16, J-25 to J-28). A CDR says what stands; what stood before is in
-- `charge_history`, one row for each side of a call and each time it was priced again.

-- How often the call was priced again; 0: as it ended.
ALTER TABLE cdr ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
-- Why a leg that somebody should pay for has no price; NULL: it has one, or needs none (J-28).
ALTER TABLE cdr ADD COLUMN error_code TEXT;
-- The charge whole, as in the journal: amount, seconds, and all terms of the rate.
ALTER TABLE cdr ADD COLUMN charge BLOB;
CREATE INDEX cdr_error_code ON cdr (error_code, started_at) WHERE error_code IS NOT NULL;

-- Who priced again, when, which calls and why.
CREATE TABLE rerate_run (
    id                BIGINT  NOT NULL PRIMARY KEY,
    kind              TEXT    NOT NULL CHECK (kind IN ('rerate', 'recycle')),
    -- JSON: the selection as it was given, names included.
    selection         TEXT    NOT NULL,
    reason            TEXT    NOT NULL,
    started_by        TEXT    NOT NULL,
    started_at        BIGINT  NOT NULL,
    ended_at          BIGINT,
    state             TEXT    NOT NULL CHECK (state IN ('running', 'done', 'interrupted')),
    calls_seen        BIGINT  NOT NULL DEFAULT 0,
    calls_changed     BIGINT  NOT NULL DEFAULT 0,
    -- Sides that could not be priced.
    refused           BIGINT  NOT NULL DEFAULT 0
);

CREATE TABLE charge_history (
    call_id           BIGINT  NOT NULL,
    generation        INTEGER NOT NULL,
    -- payer: place is the level (0 the calling account, 1 its reseller); carrier: place is the leg.
    role              TEXT    NOT NULL CHECK (role IN ('payer', 'carrier')),
    place             INTEGER NOT NULL,
    account_id        BIGINT  NOT NULL,
    run_id            BIGINT  NOT NULL,
    at                BIGINT  NOT NULL,
    -- NULL: it had, or has, no price.
    amount_before     BIGINT,
    amount_after      BIGINT,
    currency          TEXT,
    charge_before     BLOB,
    charge_after      BLOB,
    error_code        TEXT,
    -- The new price of all sides line by line, as `decisions` in cdr; with the first side only.
    lines             TEXT,
    PRIMARY KEY (call_id, generation, role, place)
) WITHOUT ROWID;
CREATE INDEX charge_history_run ON charge_history (run_id);

INSERT INTO next_id (of, next) VALUES ('rerate_run', 1);
