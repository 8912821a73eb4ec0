-- What all rates of a group have that do not say otherwise (V-15), how lines and invoices are rounded
-- (R7), and the increments of local calls (A-48).

-- NULL: lines are not rounded, only the call is.
ALTER TABLE rate_group ADD COLUMN line_rounding TEXT
    CHECK (line_rounding IN ('up', 'down', 'half_up', 'half_even'));
ALTER TABLE rate_group ADD COLUMN line_decimals INTEGER CHECK (line_decimals BETWEEN 0 AND 6);
ALTER TABLE rate_group ADD COLUMN invoice_rounding TEXT NOT NULL DEFAULT 'half_up'
    CHECK (invoice_rounding IN ('up', 'down', 'half_up', 'half_even'));
ALTER TABLE rate_group ADD COLUMN invoice_decimals INTEGER NOT NULL DEFAULT 2
    CHECK (invoice_decimals BETWEEN 0 AND 6);
-- NULL: as the account has it.
ALTER TABLE rate_group ADD COLUMN duration_rounding TEXT
    CHECK (duration_rounding IN ('up', 'down', 'nearest'));
-- Terms as JSON, as a tariff has them.
ALTER TABLE rate_group ADD COLUMN defaults TEXT NOT NULL DEFAULT '{}';

ALTER TABLE account ADD COLUMN local_first_increment INTEGER NOT NULL DEFAULT 60
    CHECK (local_first_increment BETWEEN 1 AND 86400);
ALTER TABLE account ADD COLUMN local_next_increment INTEGER NOT NULL DEFAULT 60
    CHECK (local_next_increment BETWEEN 1 AND 86400);
