-- Caller IDs stored for accounts: what they may call with besides their DIDs (A-31, A-33, A-34, A-36,
-- A-37). A number may be stored for several.
CREATE TABLE account_cli (
    account_id        BIGINT  NOT NULL REFERENCES account (id),
    -- E.164 without +
    number            TEXT    NOT NULL,
    created_at        BIGINT  NOT NULL,
    PRIMARY KEY (account_id, number)
) WITHOUT ROWID;

-- Who an account's callers are, as far as they do not say.
ALTER TABLE account_caller_id ADD COLUMN default_number TEXT;
ALTER TABLE account_caller_id ADD COLUMN default_name TEXT;

-- How callers are shown to trunks and known from them; a trunk without a row: pai, both, 1, 0.
CREATE TABLE trunk_caller_id (
    trunk_id          BIGINT  NOT NULL PRIMARY KEY REFERENCES trunk (id) ON DELETE CASCADE,
    -- pai, ppi, rpid, none
    identity          TEXT    NOT NULL,
    -- none, diversion, history_info, both
    diversions        TEXT    NOT NULL,
    sends_names       INTEGER NOT NULL CHECK (sends_names IN (0, 1)),
    -- P-601
    names_subscribers INTEGER NOT NULL CHECK (names_subscribers IN (0, 1))
);
