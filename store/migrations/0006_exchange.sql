-- Exchange rates (R12), and percentages off what accounts pay (J-17, J-29).

CREATE TABLE exchange_rate (
    from_currency     TEXT    NOT NULL CHECK (length(from_currency) = 3),
    to_currency       TEXT    NOT NULL CHECK (length(to_currency) = 3),
    -- What one unit of the first is in the second, as a decimal; the inverse is a row of its own.
    rate              TEXT    NOT NULL,
    set_at            BIGINT  NOT NULL,
    PRIMARY KEY (from_currency, to_currency)
);

CREATE TABLE discount (
    id                BIGINT  NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL CHECK (name <> ''),
    -- NULL is every account.
    account_id        BIGINT  REFERENCES account (id),
    -- NULL is calls from anywhere.
    site_id           BIGINT  REFERENCES site (id),
    destination_set_id BIGINT NOT NULL REFERENCES destination_set (id),
    -- In hundredths of a percent.
    hundredths        INTEGER NOT NULL CHECK (hundredths BETWEEN 1 AND 10000),
    valid_from        BIGINT,
    valid_till        BIGINT,
    created_at        BIGINT  NOT NULL
);
CREATE INDEX discount_account ON discount (account_id);
CREATE INDEX discount_destination_set ON discount (destination_set_id);
CREATE INDEX discount_site ON discount (site_id);
INSERT INTO next_id (of, next) VALUES ('discount', 1);
