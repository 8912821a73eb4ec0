-- How routes share calls (T1, T3), when they hold and how much they carry (T6), and what causes mean to a
-- trunk (S6).

-- Spans as one writes them, one a line, such as `mon,tue 08:00-18:00`; holidays as dates, one a line.
CREATE TABLE time_window (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE,
    zone              TEXT    NOT NULL,
    spans             TEXT    NOT NULL,
    holidays          TEXT    NOT NULL
);

-- The share of calls among the routes of one prefix and priority; 0: only what all others failed to carry.
ALTER TABLE route ADD COLUMN weight INTEGER NOT NULL DEFAULT 1;
-- When it holds; null: always.
ALTER TABLE route ADD COLUMN window_id BIGINT REFERENCES time_window (id);
-- Calls by it at the same time, and new ones in a second; null: no limit.
ALTER TABLE route ADD COLUMN calls_max BIGINT;
ALTER TABLE route ADD COLUMN cps_max BIGINT;

-- What holds for all routes of a prefix. One without a row goes by priority and has no limits.
CREATE TABLE route_prefix (
    id                BIGINT  NOT NULL PRIMARY KEY,
    prefix            TEXT    NOT NULL UNIQUE,
    policy            TEXT    NOT NULL,
    calls_max         BIGINT,
    cps_max           BIGINT
);

-- `heard`: what the trunk says, and what that means; `told`: what it is told instead of what a call ends
-- with. Codes are SIP statuses, or Q and a Q.850 value.
CREATE TABLE trunk_cause (
    trunk_id          BIGINT  NOT NULL REFERENCES trunk (id) ON DELETE CASCADE,
    direction         TEXT    NOT NULL,
    code              TEXT    NOT NULL,
    becomes           TEXT    NOT NULL,
    PRIMARY KEY (trunk_id, direction, code)
);

INSERT INTO next_id (of, next) VALUES ('time_window', 1), ('route_prefix', 1);
