-- Rules that rewrite numbers at the edges (T8, A-19, P-022), and lists that let them through or not
-- (T9).

-- Whose: at most one of the three; none is everybody. Applied in the order of position, then id.
CREATE TABLE number_rule (
    id                BIGINT  NOT NULL PRIMARY KEY,
    account_id        BIGINT  REFERENCES account (id),
    trunk_id          BIGINT  REFERENCES trunk (id) ON DELETE CASCADE,
    subscriber_id     BIGINT  REFERENCES subscriber (id) ON DELETE CASCADE,
    -- in: what the owner sends us; out: what it is sent.
    direction         TEXT    NOT NULL CHECK (direction IN ('in', 'out')),
    subject           TEXT    NOT NULL CHECK (subject IN ('cli', 'cld')),
    position          INTEGER NOT NULL CHECK (position BETWEEN 1 AND 1000000),
    -- Signs of a dial plan: 00. or +1NXXNXXXXXX.
    pattern           TEXT    NOT NULL CHECK (pattern <> ''),
    length_min        INTEGER NOT NULL,
    length_max        INTEGER NOT NULL,
    strip             INTEGER NOT NULL CHECK (strip >= 0),
    prepend           TEXT    NOT NULL,
    -- next, plan, as_is, reject
    then_do           TEXT    NOT NULL,
    note              TEXT    NOT NULL,
    created_at        BIGINT  NOT NULL,
    CHECK ((account_id IS NOT NULL AND trunk_id IS NULL AND subscriber_id IS NULL)
        OR (account_id IS NULL AND (trunk_id IS NULL OR subscriber_id IS NULL)))
);
CREATE INDEX number_rule_account ON number_rule (account_id);
CREATE INDEX number_rule_trunk ON number_rule (trunk_id);
CREATE INDEX number_rule_subscriber ON number_rule (subscriber_id);

CREATE TABLE number_list (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE CHECK (name <> ''),
    -- plain, invalid, do_not_originate, premium
    kind              TEXT    NOT NULL,
    created_at        BIGINT  NOT NULL
);

-- Digits of a prefix, = and a whole number, or @ and a class.
CREATE TABLE number_list_line (
    list_id           BIGINT  NOT NULL REFERENCES number_list (id) ON DELETE CASCADE,
    line              TEXT    NOT NULL CHECK (line <> ''),
    PRIMARY KEY (list_id, line)
);

-- For whose calls a list does what; none of the three is everybody.
CREATE TABLE number_list_use (
    id                BIGINT  NOT NULL PRIMARY KEY,
    list_id           BIGINT  NOT NULL REFERENCES number_list (id),
    account_id        BIGINT  REFERENCES account (id),
    trunk_id          BIGINT  REFERENCES trunk (id) ON DELETE CASCADE,
    subscriber_id     BIGINT  REFERENCES subscriber (id) ON DELETE CASCADE,
    subject           TEXT    NOT NULL CHECK (subject IN ('cli', 'cld')),
    -- block, allow, allow_only
    effect            TEXT    NOT NULL,
    CHECK ((account_id IS NOT NULL AND trunk_id IS NULL AND subscriber_id IS NULL)
        OR (account_id IS NULL AND (trunk_id IS NULL OR subscriber_id IS NULL)))
);
CREATE INDEX number_list_use_list ON number_list_use (list_id);
CREATE INDEX number_list_use_account ON number_list_use (account_id);
CREATE INDEX number_list_use_trunk ON number_list_use (trunk_id);
CREATE INDEX number_list_use_subscriber ON number_list_use (subscriber_id);

INSERT INTO next_id (of, next) VALUES ('number_rule', 1), ('number_list', 1), ('number_list_use', 1);
