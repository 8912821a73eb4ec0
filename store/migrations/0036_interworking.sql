-- What is done for peers that want other things than who they talk with (S8); a trunk without a row: all
-- codecs, pass, supported.
CREATE TABLE trunk_interworking (
    trunk_id          BIGINT  NOT NULL PRIMARY KEY REFERENCES trunk (id) ON DELETE CASCADE,
    -- names with commas between them, the most wanted first; null: all
    codecs            TEXT,
    -- pass, ringing, suppress
    early_media       TEXT    NOT NULL,
    -- supported, required, off (RFC 3262)
    reliability       TEXT    NOT NULL
);

-- The codecs that the calls of an account may use; an account without a row: all.
CREATE TABLE account_codecs (
    account_id        BIGINT  NOT NULL PRIMARY KEY REFERENCES account (id),
    codecs            TEXT    NOT NULL
);
