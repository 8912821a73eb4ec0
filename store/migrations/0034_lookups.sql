-- Where called numbers are served, whether calls leave their state, and what that does to prices (T7).

-- Somebody who is asked where numbers are served that begin with one of its prefixes.
CREATE TABLE lookup (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    -- http: by the url, with {number} in it or in the body; sip: an INVITE to host:port over UDP
    kind              TEXT    NOT NULL CHECK (kind IN ('http', 'sip')),
    url               TEXT,
    -- null: GET
    body              TEXT,
    -- Where in a JSON answer the LRN is (RFC 6901); null: the answer is the LRN, as text.
    pointer           TEXT,
    -- For an API key.
    header_name       TEXT,
    header_value      TEXT,
    host              TEXT,
    port              INTEGER CHECK (port BETWEEN 1 AND 65535),
    enabled           INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    timeout_ms        INTEGER NOT NULL CHECK (timeout_ms > 0),
    ttl_s             INTEGER NOT NULL CHECK (ttl_s >= 0),
    -- ignore: a call without an answer goes on; refuse: it does not
    on_failure        TEXT    NOT NULL CHECK (on_failure IN ('ignore', 'refuse'))
);

CREATE TABLE lookup_prefix (
    prefix            TEXT    NOT NULL PRIMARY KEY,
    lookup_id         BIGINT  NOT NULL REFERENCES lookup (id) ON DELETE CASCADE
);

INSERT INTO next_id (of, next) VALUES ('lookup', 1);

-- In which state numbers are that begin so, from a file of the operator's.
CREATE TABLE jurisdiction_prefix (
    prefix            TEXT    NOT NULL PRIMARY KEY,
    -- null: not known, though calls to such numbers have a jurisdiction
    state             TEXT,
    lata              INTEGER
);

-- What an account pays and takes for calls within a state and for those of which nobody knows, instead of
-- its usual rate groups.
ALTER TABLE account ADD COLUMN intra_rate_group_id BIGINT REFERENCES rate_group (id);
ALTER TABLE account ADD COLUMN undetermined_rate_group_id BIGINT REFERENCES rate_group (id);
ALTER TABLE account ADD COLUMN carrier_intra_rate_group_id BIGINT REFERENCES rate_group (id);
ALTER TABLE account ADD COLUMN carrier_undetermined_rate_group_id BIGINT REFERENCES rate_group (id);

-- Which number its rates are looked up by.
ALTER TABLE rate_group ADD COLUMN rate_by TEXT NOT NULL DEFAULT 'dialled' CHECK (rate_by IN ('dialled', 'lrn'));

-- Whether the Request-URI to it tells where a ported number is served (RFC 4694).
ALTER TABLE trunk ADD COLUMN sends_lrn INTEGER NOT NULL DEFAULT 0 CHECK (sends_lrn IN (0, 1));

-- Whether what it says in the Request-URI of where a number is served is believed, and not asked again.
ALTER TABLE trunk ADD COLUMN believes_lrn INTEGER NOT NULL DEFAULT 0 CHECK (believes_lrn IN (0, 1));

-- Where the call went: it is priced by that again.
ALTER TABLE cdr ADD COLUMN lrn TEXT;
ALTER TABLE cdr ADD COLUMN jurisdiction TEXT CHECK (jurisdiction IN ('inter', 'intra', 'undetermined'));
