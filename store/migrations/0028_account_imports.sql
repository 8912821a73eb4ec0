-- V-23: what became of every row of a file of accounts, for as many imports as are kept.

CREATE TABLE account_import (
    id BIGINT NOT NULL PRIMARY KEY,
    file TEXT NOT NULL,
    imported_at BIGINT NOT NULL,
    accepted BIGINT NOT NULL,
    unchanged BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    rejected BIGINT NOT NULL
);
INSERT INTO next_id (of, next) VALUES ('account_import', 1);

-- Some hundreds of rows together as a JSON array, whose first is the row `ordinal` of the file from 0 on.
CREATE TABLE account_import_verdict (
    account_import_id BIGINT NOT NULL REFERENCES account_import (id),
    ordinal BIGINT NOT NULL,
    row_count BIGINT NOT NULL CHECK (row_count > 0),
    rows_json TEXT NOT NULL,
    PRIMARY KEY (account_import_id, ordinal)
);
