-- V-11: the most seconds that a call placed by the account may last; null: as long as any call.
ALTER TABLE account ADD COLUMN call_seconds_max BIGINT CHECK (call_seconds_max BETWEEN 1 AND 2592000);

-- B10: every row that was left out of a sheet, some hundreds together as a JSON array, whose first is the
-- row `ordinal` from 0 on.
CREATE TABLE rate_sheet_rejected (
    rate_sheet_id     BIGINT  NOT NULL REFERENCES rate_sheet (id),
    ordinal           BIGINT  NOT NULL,
    row_count         BIGINT  NOT NULL CHECK (row_count > 0),
    rows_json         TEXT    NOT NULL,
    PRIMARY KEY (rate_sheet_id, ordinal)
);
