-- TLS certificates of trunks: by which we know them, and which they want to see of us (S1, S8). A trunk
-- without a row has neither.
CREATE TABLE trunk_tls (
    trunk_id            BIGINT NOT NULL PRIMARY KEY REFERENCES trunk (id) ON DELETE CASCADE,
    -- JSON list of host names in lower case, of which its certificate must have one; [] asks for none
    certificate_names   TEXT   NOT NULL DEFAULT '[]',
    -- our chain for it and the key, both PEM; both or neither
    client_certificate  TEXT,
    client_key          TEXT,
    CHECK ((client_certificate IS NULL) = (client_key IS NULL))
);
