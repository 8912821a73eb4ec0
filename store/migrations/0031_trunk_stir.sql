-- Signed callers (S5, STIR/SHAKEN): what trunks want of them. A trunk without a row wants nothing.
CREATE TABLE trunk_stir (
    trunk_id          BIGINT  NOT NULL PRIMARY KEY REFERENCES trunk (id) ON DELETE CASCADE,
    -- calls that we send it carry an Identity header
    signs             INTEGER NOT NULL CHECK (signs IN (0, 1)),
    -- what becomes of the Identity header of calls that it sends us
    verifies          TEXT    NOT NULL
        CHECK (verifies IN ('off', 'mark', 'refuse', 'refuse_below_b', 'refuse_below_a'))
);

-- How sure the signer of the caller's number is: A, B or C (RFC 8588), on the leg that has the signature.
ALTER TABLE cdr ADD COLUMN attestation TEXT;
