-- Who is kept out and who never is (S7), by the guard or by an operator.
CREATE TABLE source (
    -- An address or a network, as 192.0.2.7, 198.51.100.0/24 or 2001:db8:1:2::/64.
    network           TEXT    NOT NULL PRIMARY KEY,
    -- banned, allowed
    standing          TEXT    NOT NULL,
    -- A word of the guard's, or what the operator wrote.
    reason            TEXT    NOT NULL,
    since             BIGINT  NOT NULL,
    -- NULL: until it is taken away.
    until             BIGINT,
    -- guard, operator
    made_by           TEXT    NOT NULL
);

-- How much a source may do. What has no row has its default.
CREATE TABLE security_setting (
    name              TEXT    NOT NULL PRIMARY KEY,
    value             BIGINT  NOT NULL
);
